"""The figures that are committed, which no change may make worse without a reason."""

from __future__ import annotations

import json
from pathlib import Path

from ..config import MODULE
from .counting import Count

COMMITTED = Path(__file__).parents[1] / "bench_figures.json"
TOLERANCE = 0.03
# The module's bytes, and what they may never be again once they are below it.
SIZE = "module_bytes"
MOST_BYTES = 250_000


def commit(counts: dict[str, Count]) -> None:
    """Write these figures down as those to compare with."""
    figures = {SIZE: MODULE.stat().st_size, **{name: round(count.instructions) for name, count in counts.items()}}
    COMMITTED.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def worse_than_committed(counts: dict[str, Count]) -> list[str]:
    """Which rows execute more than they did when the figures were committed, and whether the module is larger.

    The C library does the same by more or fewer instructions on another processor, so what was
    committed is taken in proportion to the row without tracing.
    """
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    here = counts["none"].instructions / committed["none"]
    return _larger(MODULE.stat().st_size, committed[SIZE]) + [
        f"{name} executes {count.instructions:,.0f} instructions a request, committed are {committed[name] * here:,.0f}"
        for name, count in counts.items()
        if count.instructions > (1 + TOLERANCE) * committed[name] * here
    ]


def _larger(size: int, committed: int) -> list[str]:
    most = int((1 + TOLERANCE) * committed)
    if committed <= MOST_BYTES:
        most = min(most, MOST_BYTES)
    return [f"the module has {size:,} bytes, allowed are {most:,}"] if size > most else []
