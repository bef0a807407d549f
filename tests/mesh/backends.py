"""Where the demo's spans go: the built-in receiver or a real server."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from .background import BackgroundLoop
from .jaeger import Jaeger
from .receiver import Receiver, Span
from .waterfall import service_edges
from .zipkin import Zipkin

BACKENDS = ("builtin", "zipkin", "jaeger")


class Backend(Protocol):
    """What the demo wants to know of a collector."""

    port: int
    # What the module has to speak, as in `collector.protocol`.
    protocol: str

    def span_count(self) -> int:
        """How many spans have come so far, doubles included."""

    def spans(self, trace_ids: Iterable[str]) -> list[Span]:
        """All spans that came; a server is asked for those traces."""

    def edges(self) -> collections.Counter[tuple[str, str]]:
        """The service graph."""

    def errors(self) -> list[str]:
        """What broke the rules of the wire format."""

    def trace_url(self, trace_id: str) -> str | None:
        """The web page of a trace, if there is one."""

    def web_url(self) -> str | None:
        """The web page, if there is one."""

    def stop(self) -> None:
        """End it."""


class Builtin:
    """The receiver in this process."""

    protocol = "zipkin"

    def __init__(self) -> None:
        self._loop = BackgroundLoop("receiver")
        self._receiver = Receiver(self._loop)
        self.port = self._receiver.port

    def span_count(self) -> int:
        return len(self._receiver.spans)

    def spans(self, trace_ids: Iterable[str]) -> list[Span]:
        return self._receiver.spans

    def edges(self) -> collections.Counter[tuple[str, str]]:
        return service_edges(self._receiver.spans)

    def errors(self) -> list[str]:
        return self._receiver.errors

    def trace_url(self, trace_id: str) -> None:
        return None

    def web_url(self) -> None:
        return None

    def stop(self) -> None:
        self._receiver.stop()
        self._loop.stop()


class RealZipkin:
    """A Zipkin server; its graph and its traces are what it says itself."""

    protocol = "zipkin"

    def __init__(self, folder: Path) -> None:
        self._zipkin = Zipkin(folder)
        self.port = self._zipkin.port
        self.span_count = self._zipkin.span_count
        self.edges = self._zipkin.edges
        self.trace_url = self._zipkin.trace_url

    def spans(self, trace_ids: Iterable[str]) -> list[Span]:
        return self._zipkin.many(trace_ids)

    def errors(self) -> list[str]:
        dropped = self._zipkin.dropped_messages()
        return [f"Zipkin refused {dropped} messages"] if dropped else []

    def web_url(self) -> str:
        return self._zipkin.url

    def stop(self) -> None:
        self._zipkin.stop()


class RealJaeger:
    """A Jaeger server, by OTLP; its graph and its traces are what it says itself."""

    protocol = "http/protobuf"

    def __init__(self, folder: Path) -> None:
        self._jaeger = Jaeger(folder)
        self.port = self._jaeger.ports["otlp"]
        self.span_count = self._jaeger.span_count
        self.trace_url = self._jaeger.trace_url
        self.edges = self._jaeger.edges
        self.stop = self._jaeger.stop

    def spans(self, trace_ids: Iterable[str]) -> list[Span]:
        return self._jaeger.many(trace_ids)

    def errors(self) -> list[str]:
        return []

    def web_url(self) -> None:
        return None


def start_backend(name: str, folder: Path) -> Backend:
    """Start a backend by its name."""
    if name == "jaeger":
        return RealJaeger(folder)
    return RealZipkin(folder) if name == "zipkin" else Builtin()
