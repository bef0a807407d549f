"""How often a request crosses the border between Envoy and the module, and what that costs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..hostcalls import crossings
from .costs import Cost, measure_costs
from .rows import BOTH, HEADERS, PATH

# By name how often a request makes each callback and hostcall.
Counts = dict[str, dict[str, int]]


def border(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    """Count the crossings of three kinds of request, and what each costs."""
    tag = {"customTags": {"account": {"header": {"name": "x-account-id"}}}}
    requests = {
        "sampled": ({"sampling": 100, **tag}, {}),
        "not sampled": ({"sampling": 0, **tag}, {}),
        "unsampled, passes": ({"sampling": 0, **tag}, BOTH),
    }
    counts = {
        name: crossings(config, "inbound", PATH, [*HEADERS.items(), *context.items()])
        for name, (config, context) in requests.items()
    }
    costs = measure_costs(options, console, folder)
    console.print(border_table(counts, costs))
    return {"crossings": counts, "costs": {name: asdict(cost) for name, cost in costs.items()}}


def border_table(counts: Counts, costs: dict[str, Cost]) -> Table:
    """Count, cost, and count x cost."""
    table = Table(title="instructions of one callback or hostcall, and of those that a request makes")
    for heading in ("", "first", "each more", *counts):
        table.add_column(heading, justify="right" if heading else "left")
    # What costs first, and last what is a part of others.
    for call in [*costs, *sorted({call for calls in counts.values() for call in calls} - costs.keys())]:
        cost = costs.get(call)
        one = (f"{cost.first:,.0f}", f"{cost.more:,.0f}") if cost else ("", "")
        table.add_row(call, *one, *(_product(calls.get(call, 0), cost) for calls in counts.values()))
    sums = (sum(costs[call].of(count) for call, count in calls.items() if call in costs) for calls in counts.values())
    table.add_row("in all", "", "", *(f"{total:,.0f}" for total in sums))
    return table


def _product(count: int, cost: Cost | None) -> str:
    if not count:
        return ""
    return f"{count} x = {cost.of(count):,.0f}" if cost else f"{count} x"
