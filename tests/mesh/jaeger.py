"""A real Jaeger all-in-one, built by Go from the module in `tests/jaeger`; it has no web page."""

from __future__ import annotations

import collections
import http.client
import json
import re
import time
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .config import REPOSITORY
from .go_program import GoProgram
from .processes import Process, free_ports
from .receiver import Span

PROGRAM = GoProgram(
    "jaeger", "JAEGER", REPOSITORY / "tests" / "jaeger", "github.com/jaegertracing/jaeger/cmd/all-in-one"
)
_SAVED = re.compile(r'^jaeger_collector_spans_saved_by_svc_total\{[^}]*result="ok"[^}]*\} (\S+)$', re.MULTILINE)


class Jaeger:
    """A running Jaeger that keeps its spans in memory; `ports` of `zipkin`, `otlp`, `otlp-grpc` and `query`.

    At `collector` it says how to sample: by a file of `strategies`, or by what comes in if it is `adaptive`;
    `options` are more of its command line.
    """

    def __init__(
        self, folder: Path, strategies: Path | None = None, adaptive: bool = False, options: Iterable[str] = ()
    ) -> None:
        flags = {
            "zipkin": "collector.zipkin.host-port",
            "otlp": "collector.otlp.http.host-port",
            "query": "query.http-server.host-port",
            "admin": "admin.http.host-port",
            "otlp-grpc": "collector.otlp.grpc.host-port",
            "query-grpc": "query.grpc-server.host-port",
            "collector": "collector.http-server.host-port",
            "collector-grpc": "collector.grpc-server.host-port",
        }
        # Jaeger does not say which port it got for 0, so free ones are chosen just before it starts.
        self.ports = dict(zip(flags, free_ports(len(flags)), strict=True))
        command = [PROGRAM.path(), *(f"--{flag}=127.0.0.1:{self.ports[name]}" for name, flag in flags.items()), *options]
        if strategies:
            command += [f"--sampling.strategies-file={strategies}", "--sampling.strategies-reload-interval=200ms"]
        environment = {"SPAN_STORAGE_TYPE": "memory", "SAMPLING_CONFIG_TYPE": "adaptive" if adaptive else "file"}
        self.process = Process("jaeger", command, folder, environment)
        try:
            self.process.wait_until(self._is_up, timeout=60, what="up")
        except BaseException:
            self.stop()
            raise

    def _is_up(self) -> bool:
        try:
            return self._get("admin", "/")[0] == 200 and self._get("query", "/api/services")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, port: str, path: str, **query: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=30)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _query(self, path: str, **query: Any) -> list[Any]:
        status, body = self._get("query", path, **query)
        if status == 404:
            return []
        if status != 200:
            raise ValueError(f"{path} answered {status}: {body[:200]!r}")
        return json.loads(body)["data"] or []

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, in the shape that Zipkin's have; empty when it is not known."""
        return [span for trace in self._query(f"/api/traces/{trace_id}") for span in _spans(trace)]

    def traces(self, service: str, tags: dict[str, str], limit: int = 100) -> list[list[Span]]:
        """Search: `jaeger.traces("gateway.demo", {"account_header": "acme"})`."""
        found = self._query("/api/traces", service=service, tags=json.dumps(tags), limit=limit, lookback="1h")
        return [_spans(trace) for trace in found]

    def many(self, trace_ids: Iterable[str]) -> list[Span]:
        """The spans of many traces, in one list."""
        return [span for trace_id in trace_ids for span in self.trace(trace_id)]

    def edges(self) -> collections.Counter[tuple[str, str]]:
        """The service graph of the last hour."""
        links = self._query("/api/dependencies", endTs=int(time.time() * 1000) + 60_000, lookback=3_600_000)
        return collections.Counter({(link["parent"], link["child"]): link["callCount"] for link in links})

    def strategy(self, service: str) -> Any:
        """What it says to a service on its sampling."""
        status, body = self._get("collector", "/api/sampling", service=service)
        assert status == 200, body
        return json.loads(body)

    def span_count(self) -> int:
        """How many spans it has saved so far, doubles included."""
        _, metrics = self._get("admin", "/metrics")
        return int(sum(map(float, _SAVED.findall(metrics.decode()))))

    def trace_url(self, trace_id: str) -> str:
        """The trace as JSON."""
        return f"http://127.0.0.1:{self.ports['query']}/api/traces/{trace_id}"

    def stop(self) -> None:
        """End it; its spans are gone with it."""
        # Told to end, it waits for connections that nobody closes; it has nothing to save.
        self.process.stop(grace=0.5)


def _spans(trace: dict[str, Any]) -> list[Span]:
    return [_span(span, trace["processes"][span["processID"]]) for span in trace["spans"]]


def _span(span: dict[str, Any], process: dict[str, Any]) -> Span:
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    parents = [one["spanID"] for one in span["references"] or [] if one["refType"] == "CHILD_OF"]
    return {
        "traceId": span["traceID"],
        "id": span["spanID"],
        **({"parentId": parents[0]} if parents else {}),
        "kind": str(tags.pop("span.kind", "")).upper(),
        "name": span["operationName"],
        "timestamp": span["startTime"],
        "duration": span["duration"],
        "localEndpoint": {"serviceName": process["serviceName"]},
        # As in Zipkin every value is text.
        "tags": {key: value if isinstance(value, str) else json.dumps(value) for key, value in tags.items()},
    }
