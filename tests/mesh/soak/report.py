"""What the long runs say in the end."""

from __future__ import annotations

from rich.table import Table

from ..books import dropped
from .stage import MIB, Outcome


def result_table(outcomes: list[Outcome]) -> Table:
    """The runs as columns."""
    table = Table(title="long runs; memory is what belongs to no file, between rounds of load")
    table.add_column("")
    for outcome in outcomes:
        plan = outcome.plan
        table.add_column(f"{plan.collector}, {plan.workers} worker{'s' if plan.workers > 1 else ''}", justify="right")
    columns = [_cells(outcome) for outcome in outcomes]
    names = dict.fromkeys(name for column in columns for name in column)
    for name in names:
        table.add_row(name, *(column.get(name, "") for column in columns))
    return table


def _cells(outcome: Outcome) -> dict[str, str]:
    stats = outcome.stats
    first, *later = outcome.memory or [0]
    counts = {
        "requests, all answered by 200": outcome.requests,
        "seconds": round(outcome.seconds),
        "spans sampled": stats.get("meshspan_spans_sampled", 0),
        "exported": stats.get("meshspan_spans_exported", 0),
        **{f"dropped, {reason}": count for reason, count in dropped(stats).items()},
        "waiting at the end": stats.get("meshspan_queue_spans", 0),
        "requests to the collector that failed": stats.get("meshspan_export_failures", 0),
        **{name: outcome.events[name] for name in sorted(outcome.events)},
    }
    memory = {
        "memory after the first round, MB": first,
        "at the end": (later or [first])[-1],
        "most": max(outcome.memory, default=0),
    }
    return {
        **{name: f"{count:,}" for name, count in counts.items()},
        **{name: f"{value / MIB:.1f}" for name, value in memory.items()},
        "rounds": str(len(outcome.memory)),
        "faults found": str(len(outcome.faults)),
    }
