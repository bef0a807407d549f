"""How often a request crosses the border between Envoy and the module."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ..hostcalls import crossings
from .rows import BOTH, HEADERS, PATH


def border(console: Console) -> dict[str, dict[str, int]]:
    """How often a request crosses the border, by callback and hostcall."""
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
    table = Table(title="callbacks and hostcalls of one request")
    table.add_column("")
    for name in counts:
        table.add_column(name, justify="right")
    for call in sorted({call for calls in counts.values() for call in calls}):
        table.add_row(call, *(str(calls.get(call, "")) for calls in counts.values()))
    console.print(table)
    return counts
