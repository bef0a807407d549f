"""A real OpenTelemetry Collector, built by Go from the module in `tests/collector`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .config import REPOSITORY
from .envoy import wait_for
from .go_program import GoProgram
from .processes import Process, free_ports
from .receiver import Span

PROGRAM = GoProgram("collector", "OTEL_COLLECTOR", REPOSITORY / "tests" / "collector")
READY = "Everything is ready. Begin running and processing data."
# By number, as in OTLP.
_KINDS = {2: "SERVER", 3: "CLIENT"}


class Collector:
    """A running Collector; `ports` of `zipkin`, `http/protobuf` and `grpc`."""

    def __init__(self, name: str, folder: Path) -> None:
        # It does not say which port it got for 0, so free ones are chosen just before it starts.
        self.ports = dict(zip(("zipkin", "http/protobuf", "grpc"), free_ports(3), strict=True))
        self._file = folder / f"{name}-spans.json"
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        self.process = Process(name, [PROGRAM.path(), "--config", str(config)], folder)
        try:
            self.process.wait_until(lambda: READY in self.process.log(), timeout=60)
        except BaseException:
            self.stop()
            raise

    def _config(self) -> dict[str, Any]:
        endpoints = {protocol: {"endpoint": f"127.0.0.1:{port}"} for protocol, port in self.ports.items()}
        # As little as can be said here, so that a test can send more.
        grpc = {**endpoints["grpc"], "max_recv_msg_size_mib": 1}
        receivers = {
            "zipkin": endpoints["zipkin"],
            "otlp": {"protocols": {"http": endpoints["http/protobuf"], "grpc": grpc}},
        }
        return {
            "receivers": receivers,
            # Line by line what came in, as OTLP's JSON.
            "exporters": {"file": {"path": str(self._file), "flush_interval": "50ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": [*receivers], "exporters": ["file"]}},
            },
        }

    @property
    def spans(self) -> list[Span]:
        """All spans that it has written so far, in the shape of `mesh.otlp_receiver`'s."""
        text = self._file.read_text(encoding="utf-8") if self._file.is_file() else ""
        # The last line may be half written.
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [span for line in whole for span in _spans(json.loads(line))]

    def wait_for(self, wanted: Callable[[Span], bool], count: int, timeout: float = 30.0) -> list[Span]:
        """Wait for at least `count` spans that are `wanted`, and return all of these."""

        def enough() -> list[Span]:
            found = [span for span in self.spans if wanted(span)]
            return found if len(found) >= count else []

        return wait_for(enough, timeout, f"the arrival of {count} spans at the Collector", step=0.1)

    def stop(self) -> int:
        """End it; what it has taken is written by then."""
        return self.process.stop()


def _spans(request: dict[str, Any]) -> list[Span]:
    return [
        {
            **_span(span),
            "resource": _attributes(resource_spans["resource"]),
            "scope": (scope_spans["scope"].get("name", ""), scope_spans["scope"].get("version", "")),
        }
        for resource_spans in request["resourceSpans"]
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]


def _span(span: dict[str, Any]) -> Span:
    status = span.get("status", {})
    return {
        "traceId": span["traceId"],
        "id": span["spanId"],
        **({"parentId": span["parentSpanId"]} if span.get("parentSpanId") else {}),
        "traceState": span.get("traceState", ""),
        "name": span["name"],
        "kind": _KINDS.get(span["kind"], ""),
        "start": int(span["startTimeUnixNano"]),
        "end": int(span["endTimeUnixNano"]),
        "flags": span.get("flags", 0),
        "links": [f"{link['traceId']}-{link['spanId']}" for link in span.get("links", [])],
        "link_attributes": [_attributes(link) for link in span.get("links", [])],
        "events": [(event["name"], int(event["timeUnixNano"])) for event in span.get("events", [])],
        "attributes": _attributes(span),
        "status": (status.get("code", 0), status.get("message", "")) if status else None,
    }


def _attributes(owner: dict[str, Any]) -> dict[str, Any]:
    return {attribute["key"]: _value(attribute["value"]) for attribute in owner.get("attributes", [])}


def _value(value: dict[str, Any]) -> Any:
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return [_value(element) for element in inner["values"]]
    # 64 bits are text in OTLP's JSON.
    return int(inner) if kind == "intValue" else inner
