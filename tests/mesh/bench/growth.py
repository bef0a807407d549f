"""How the cost of a request grows: with its headers, with custom tags, and with the requests before it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from .counting import Count
from .rows import ROWS

# Rows of which each has more of something than the one before.
LINES = {
    "a header": (lambda row: row.traffic.headers, ("meshspan-100", "meshspan-32-headers", "meshspan-64-headers")),
    "a custom tag": (lambda row: row.tags, ("meshspan-100", "meshspan-8-tags", "meshspan-32-tags")),
}


@dataclass(frozen=True)
class Growth:
    """A straight line through the first and the last row, and how far the one between is above it."""

    one_more: float
    # A part of what tracing costs in that row.
    middle_above: float


def growths(over: dict[str, float]) -> dict[str, Growth]:
    """The lines whose rows were all counted; `over` is what each row adds to no tracing."""
    found = {}
    for name, (amount, rows) in LINES.items():
        if over.keys() >= set(rows):
            (x1, y1), (x2, y2), (x3, y3) = ((amount(ROWS[row]), over[row]) for row in rows)
            slope = (y3 - y1) / (x3 - x1)
            found[name] = Growth(slope, (y2 - y1 - slope * (x2 - x1)) / y2)
    return found


def flatness(counts: dict[str, Count]) -> tuple[str, float]:
    """The row whose second half of requests differs most from the first, and by which part."""
    apart = {name: (count.halves[1] - count.halves[0]) / count.instructions for name, count in counts.items()}
    name = max(apart, key=lambda name: abs(apart[name]))
    return name, apart[name]


def growth_table(counts: dict[str, Count], over: dict[str, float]) -> Table:
    """The figures as a table."""
    table = Table(title="growth of what tracing costs")
    for heading in ("with", "instructions more", "how straight"):
        table.add_column(heading, justify="right" if heading == "instructions more" else "left")
    for name, one in growths(over).items():
        table.add_row(name, f"{one.one_more:,.0f}", f"the row between is {one.middle_above:+.1%} off the line")
    name, apart = flatness(counts)
    half = counts[name].halves[1] - counts[name].halves[0]
    table.add_row("as many requests before", f"{half:,.0f}", f"{apart:+.1%} in the second half, {ROWS[name].title}")
    return table
