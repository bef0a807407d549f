"""One Envoy between a test and an upstream: what most tests of the module need."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any, Callable, Mapping

from . import config as configuration
from .background import BackgroundLoop
from .config import Config, PluginConfiguration
from .envoy import Envoy, wait_for
from .processes import new_run_folder
from .receiver import Receiver, Span
from .requests import Connection, Response, request
from .tracers import set_native_flush, set_tracer
from .upstream import Answer, Answering, Upstream

# Names logs and files; the id of an object would come again for a later one.
_NUMBERS = itertools.count(1)

LISTENERS = {"inbound": "virtualInbound", "outbound": "virtualOutbound"}
HOSTS = {
    "inbound": "dockebi.demo.svc.cluster.local:8080",
    "outbound": "dockebi-storage.demo.svc.cluster.local:8080",
}


class SingleProxy:
    """dockebi's sidecar with one of its listeners, a recording upstream and a receiver.

    `config` is the plugin configuration: a dict (spans are then sent every 50 ms unless
    it says `batch`), or text that goes in raw; None is {"sampling": 100}.
    `change` edits the Envoy configuration last, for routes, clusters, other filters.
    """

    def __init__(
        self,
        config: PluginConfiguration | None = None,
        direction: str = "inbound",
        node_metadata: Mapping[str, Any] | None = None,
        concurrency: int = 1,
        upstream: Answering | Upstream = Answer(),
        tracer: str = "meshspan",
        failure_policy: str | None = None,
        environment: Mapping[str, str] | None = None,
        change: Callable[[Config], Any] | None = None,
        log_level: str = "warning",
        folder: Path | None = None,
        loop: BackgroundLoop | None = None,
    ) -> None:
        self.direction = direction
        self.folder = folder or new_run_folder()
        self._tracer = tracer
        self._own_loop = None if loop else BackgroundLoop("single proxy")
        self._loop = loop or self._own_loop
        assert self._loop is not None
        self.receiver = Receiver(self._loop)
        self.upstream = upstream if isinstance(upstream, Upstream) else Upstream(self._loop, upstream)
        wanted = {"sampling": 100} if config is None else config
        if not isinstance(wanted, str):
            wanted = {"batch": {"interval": "50ms"}, **wanted}
        envoy_config = self._base_config()
        configuration.set_module(envoy_config, failure_policy=failure_policy, environment=environment)
        configuration.set_plugin_configuration(envoy_config, wanted)
        configuration.merge_node_metadata(envoy_config, node_metadata or {})
        set_tracer(envoy_config, tracer)
        set_native_flush(envoy_config, 1, 100)
        if change is not None:
            change(envoy_config)
        self.config = envoy_config
        name = f"proxy-{direction}-{next(_NUMBERS)}"
        self.envoy = Envoy(name, envoy_config, self.folder, concurrency, log_level)

    def _base_config(self) -> Config:
        config = configuration.load("dockebi")
        wanted = LISTENERS[self.direction]
        kept = [one for one in configuration.listeners(config) if one["name"] == wanted]
        config["static_resources"]["listeners"] = kept
        upstream = ("127.0.0.1", self.upstream.port)
        endpoints = {("127.0.0.1", 8080): upstream, ("dockebi-storage", 15006): upstream}
        return configuration.relocate(config, {**endpoints, ("zipkin", 9411): ("127.0.0.1", self.receiver.port)})

    @property
    def port(self) -> int:
        """The port of its listener."""
        return self.envoy.ports[LISTENERS[self.direction]]

    def request(self, *arguments: Any, **named: Any) -> Response:
        """Send one request: `proxy.request("GET", "/x", headers=[("b3", "0"), (b"x", b"\\xff")])`."""
        named.setdefault("host", HOSTS[self.direction])
        return request(self.port, *arguments, **named)

    def connection(self) -> Connection:
        """A connection to send several requests over, or half of one."""
        return Connection(self.port)

    def forwarded(self, *arguments: Any, **named: Any) -> dict[bytes, list[bytes]]:
        """Send one request; the headers that the upstream got of it, by name."""
        before = len(self.upstream.requests)
        self.request(*arguments, **named)
        recorded = self.upstream.wait_for(before + 1)[before]
        headers: dict[bytes, list[bytes]] = {}
        for name, value in recorded.headers:
            headers.setdefault(name, []).append(value)
        return headers

    def spans(self, count: int, timeout: float = 10.0) -> list[Span]:
        """Wait for exactly `count` spans since the start (or `receiver.clear()`)."""
        if count:
            self.receiver.wait_for(count, timeout)
        self.settle()
        spans = self.receiver.spans
        if len(spans) != count:
            raise AssertionError(f"{len(spans)} spans where {count} are expected")
        return spans

    def span(self, timeout: float = 10.0) -> Span:
        """The one span there is."""
        return self.spans(1, timeout)[0]

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until no span is under way: every one sampled is exported or dropped."""
        # A request's span is finished just after its answer has left.
        time.sleep(0.15)
        if self._tracer == "meshspan":
            wait_for(self.books_balance, timeout, "sampled = exported + dropped")

    def books_balance(self) -> bool:
        """Whether every sampled span is exported or dropped, by the proxy's statistics."""
        stats = self.stats()
        done = stats.get("meshspan_spans_exported", 0)
        done += sum(value for name, value in stats.items() if name.startswith("meshspan_spans_dropped_"))
        return stats.get("meshspan_spans_sampled", 0) == done

    def stats(self) -> dict[str, int]:
        """The module's metrics by name."""
        return self.envoy.meshspan_stats()

    def log(self) -> str:
        """Envoy's log."""
        return self.envoy.log()

    def trapped(self) -> bool:
        """Whether the module ever trapped; no statistic says so, only Envoy's log."""
        return any(sign in self.log() for sign in ("Uncaught RuntimeError", "panicked at"))

    def stop(self) -> int:
        """Stop it all; returns Envoy's exit code."""
        code = self.envoy.stop()
        self.upstream.stop()
        self.receiver.stop()
        if self._own_loop is not None:
            self._own_loop.stop()
        return code
