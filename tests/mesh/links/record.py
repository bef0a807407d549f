"""What a sidecar saw of a load, with the truth, as a text that `cargo run --example links` replays.

One line for each request and call, in the order of their beginnings:

    in  BEGIN END SERIAL -     PATH PORT
    out BEGIN END SERIAL CAUSE HOST PORT STATUS

Times are microseconds since the first; PORT is the sidecar's towards the application or the application's own;
a call's cause is the serial of its request, or `-` for one that belongs to none.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ..receiver import Span
from .pod import Outcome


def record(outcome: Outcome, path: Path) -> None:
    """Write all of an outcome to a file."""
    rows = [
        (*_times(span), "in", serial, "-", urlsplit(span["tags"]["http.url"]).path, outcome.ports[serial])
        for serial, span in outcome.requests.items()
    ]
    rows += [
        (*_times(call.span), "out", call.serial, call.cause or "-", call.span["name"].split(".")[0], call.port, call.span["tags"].get("http.status_code", "0"))
        for call in outcome.calls
    ]
    rows.sort()
    first = rows[0][0]
    lines = [" ".join(map(str, (way, begin - first, end - first, *rest))) for begin, end, way, *rest in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _times(span: Span) -> tuple[int, int]:
    return span["timestamp"], span["timestamp"] + span["duration"]
