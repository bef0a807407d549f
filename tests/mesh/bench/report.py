"""What the benchmark says in the end: tables for people, JSON for programs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ..single import HOSTS
from .counting import Count
from .rows import HEADERS, OPENTELEMETRY, PATH, PROMISES, ROWS, ZIPKIN


def faults(over: dict[str, float]) -> list[str]:
    """Which promises do not hold, of those whose rows were counted."""
    return [
        f"{one.row} is {over[one.row] / over[one.other]:.2f} of {one.other}, promised is {one.most:.2f}"
        for one in PROMISES
        if {one.row, one.other} <= over.keys() and over[one.row] > one.most * over[one.other]
    ]


def result_table(counts: dict[str, Count], over: dict[str, float]) -> Table:
    """The figures as a table."""
    table = Table(title="instructions a request (GET, 8 headers; the whole Envoy, one worker)")
    table.add_column("")
    headings = (
        "in all",
        "over no tracing",
        "OpenTelemetry tuned = 1",
        "Zipkin = 1",
        "halves differ by",
        "spans",
        "exports",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, count in counts.items():
        first, second = count.halves
        added = f"{over[name]:,.0f}" if name in over else ""
        ratios = [
            f"{over[name] / over[other]:.2f}" if {name, other} <= over.keys() else ""
            for other in (OPENTELEMETRY, ZIPKIN)
        ]
        apart = f"{abs(first - second) / count.instructions:.1%}"
        table.add_row(
            ROWS[name].title, f"{count.instructions:,.0f}", added, *ratios, apart, str(count.spans), str(count.exports)
        )
    return table


def rows_json(options: argparse.Namespace, counts: dict[str, Count], over: dict[str, float]) -> dict[str, Any]:
    """The figures for a program."""
    rows = {
        name: {"title": ROWS[name].title, **asdict(count), "over_base": over.get(name)}
        for name, count in counts.items()
    }
    request = {"method": "GET", "path": PATH, "headers": {"host": HOSTS["inbound"], **HEADERS}}
    return {
        "unit": "instructions a request",
        "request": request,
        "warmup": options.warmup,
        "requests": options.requests,
        "rows": rows,
    }
