"""Spans on a terminal: one trace as a waterfall, a span's tags, the service graph."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from .receiver import Span

_COLOURS = {"CLIENT": "cyan", "SERVER": "green"}


def by_trace(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """The spans of each trace id."""
    traces: dict[str, list[Span]] = collections.defaultdict(list)
    for span in spans:
        traces[span["traceId"]].append(span)
    return dict(traces)


def in_order(trace: list[Span]) -> list[tuple[int, Span]]:
    """The spans of a trace with their depth, every parent before its children."""
    children = collections.defaultdict(list)
    ids = {span["id"] for span in trace}
    for span in sorted(trace, key=lambda span: span["timestamp"]):
        parent = span.get("parentId")
        children[parent if parent in ids else None].append(span)
    ordered: list[tuple[int, Span]] = []
    waiting = [(0, span) for span in reversed(children[None])]
    while waiting:
        depth, span = waiting.pop()
        ordered.append((depth, span))
        waiting += [(depth + 1, child) for child in reversed(children[span["id"]])]
    return ordered


def service(span: Span) -> str:
    """The service that a span belongs to."""
    return str(span.get("localEndpoint", {}).get("serviceName", "?"))


def waterfall(trace: list[Span], width: int = 120) -> Table:
    """One trace, a span a line, with a bar for its time; `width` is the terminal's."""
    ordered = in_order(trace)
    start = min(span["timestamp"] for span in trace)
    end = max(span["timestamp"] + span["duration"] for span in trace)
    services = ["  " * depth + service(span) for depth, span in ordered]
    widest = max(map(len, services))
    links = [linked_by(span) for _, span in ordered]
    links_width = max(map(len, links)) and max(9, *map(len, links)) + 2
    bar_width = max(10, min(36, width - widest - links_width - 58))
    table = Table(title=f"Trace {trace[0]['traceId']}", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=1)
    table.add_column("service", no_wrap=True, min_width=widest)
    table.add_column("kind", no_wrap=True, min_width=6)
    # The one column that gives way on a narrow terminal.
    table.add_column("name", no_wrap=True, overflow="ellipsis")
    if links_width:
        table.add_column("linked by", no_wrap=True, min_width=links_width - 2)
    table.add_column("duration", justify="right", no_wrap=True, min_width=9)
    table.add_column("", no_wrap=True, min_width=3)
    table.add_column(f"{(end - start) / 1000:.2f} ms", no_wrap=True, min_width=bar_width)
    for number, (label, link, (_, span)) in enumerate(zip(services, links, ordered, strict=True), 1):
        colour = _COLOURS.get(span.get("kind", ""), "white")
        tags = span.get("tags", {})
        status = tags.get("http.status_code") or tags.get("http.response.status_code", "-")
        table.add_row(
            str(number),
            label,
            Text(span.get("kind", "-"), style=colour),
            Text(span.get("name", "").replace(".svc.cluster.local", "")),
            *([Text(link, style="magenta")] if links_width else []),
            f"{span['duration'] / 1000:.2f} ms",
            Text(status, style="red" if "error" in tags else "green"),
            Text(_bar(span, start, end, bar_width), style=colour),
        )
    return table


def linked_by(span: Span) -> str:
    """How its parent was found, where the application forwarded none: the mode, and how sure it is of that."""
    tags = span.get("tags", {})
    words = (tags.get("meshspan.correlation", ""), tags.get("meshspan.correlation.confidence", ""))
    return " ".join(filter(None, words))


def _bar(span: Span, start: int, end: int, bar_width: int) -> str:
    scale = bar_width / max(end - start, 1)
    left = min(int((span["timestamp"] - start) * scale), bar_width - 1)
    width = max(1, min(round(span["duration"] * scale), bar_width - left))
    return " " * left + "━" * width


def tags(span: Span) -> Table:
    """The tags of one span."""
    title = f"Tags of {service(span)} {span.get('kind', '')} {span['id']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in sorted(span.get("tags", {}).items()):
        table.add_row(name, Text(value))
    return table


def service_edges(spans: Iterable[Span]) -> collections.Counter[tuple[str, str]]:
    """How often one service called another, by parent and child spans."""
    edges: collections.Counter[tuple[str, str]] = collections.Counter()
    for trace in by_trace(spans).values():
        by_id = {span["id"]: span for span in trace}
        for span in trace:
            parent = by_id.get(span.get("parentId", ""))
            if parent is not None and service(parent) != service(span):
                edges[service(parent), service(span)] += 1
    return edges


def service_graph(edges: collections.Counter[tuple[str, str]]) -> Table:
    """The service graph, a call a line, those who call first on top."""
    table = Table(title="Service graph", title_justify="left", box=None, pad_edge=False, show_header=False)
    for (caller, called), count in sorted(edges.items(), key=lambda edge: (_depth(edge[0][0], edges), edge)):
        table.add_row(caller, "->", called, f"{count} calls")
    return table


def _depth(name: str, edges: Iterable[tuple[str, str]]) -> int:
    """How many calls away from a caller that nobody calls; a circle counts as one."""
    depth, layer, seen = 0, {name}, {name}
    while layer:
        layer = {caller for caller, called in edges if called in layer} - seen
        seen |= layer
        depth += bool(layer)
    return depth
