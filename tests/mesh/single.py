"""One Envoy between a test and an upstream: what most tests of the module need."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import config as configuration
from .background import BackgroundLoop
from .config import Config, PluginConfiguration
from .ecds import ExtensionConfig
from .envoy import Envoy, wait_for
from .http2 import Http2Upstream, grpc_request, http2_request
from .otlp_receiver import OtlpReceiver
from .processes import new_run_folder
from .receiver import Receiver, Span
from .requests import Connection, Response, request, request_bytes
from .tracers import set_native_flush, set_tracer
from .upstream import Answer, Answering, Upstream

LISTENERS = {"inbound": "virtualInbound", "outbound": "virtualOutbound"}
HOSTS = {
    "inbound": "dockebi.demo.svc.cluster.local:8080",
    "outbound": "dockebi-storage.demo.svc.cluster.local:8080",
}

# Names logs and files; the id of an object would come again for a later one.
_NUMBERS = itertools.count(1)


class SingleProxy:
    """dockebi's sidecar with one of its listeners, a recording upstream and a receiver.

    `config` is the plugin configuration: a dict (spans are then sent every 50 ms unless
    it says `batch`), or text that goes in raw; None is {"sampling": 100}.
    The receiver takes what its `collector.protocol` says, Zipkin's JSON or OTLP.
    `http2` makes an upstream that speaks HTTP/2; clients may speak either all the same.
    `ecds` delivers the plugin configuration as Istio does, and `reconfigure` changes it.
    `environment` is the VM's, `process_environment` that of Envoy itself.
    `change` edits the Envoy configuration last, for routes, clusters, other filters.
    """

    def __init__(
        self,
        config: PluginConfiguration | None = None,
        direction: str = "inbound",
        node_metadata: Mapping[str, Any] | None = None,
        concurrency: int = 1,
        upstream: Answering | Upstream = Answer(),
        http2: bool = False,
        ecds: bool = False,
        tracer: str = "meshspan",
        failure_policy: str | None = None,
        environment: Mapping[str, str] | None = None,
        process_environment: Mapping[str, str] | None = None,
        change: Callable[[Config], Any] | None = None,
        log_level: str = "warning",
        folder: Path | None = None,
        loop: BackgroundLoop | None = None,
    ) -> None:
        self.direction = direction
        self.folder = folder or new_run_folder()
        self._own_folder = folder is None
        self._tracer = tracer
        self._own_loop = None if loop else BackgroundLoop("single proxy")
        self._loop = loop or self._own_loop
        assert self._loop is not None
        self.receiver = _receiver(config, self._loop)
        if not isinstance(upstream, Upstream):
            upstream = (Http2Upstream if http2 else Upstream)(self._loop, upstream)
        self.upstream = upstream
        envoy_config = self._base_config()
        configuration.set_module(envoy_config, failure_policy=failure_policy, environment=environment)
        wanted = {"sampling": 100} if config is None else config
        configuration.set_plugin_configuration(envoy_config, _sent_soon(wanted))
        configuration.merge_node_metadata(envoy_config, node_metadata or {})
        set_tracer(envoy_config, tracer)
        set_native_flush(envoy_config, 1, 100)
        if change is not None:
            change(envoy_config)
        name = f"proxy-{direction}-{next(_NUMBERS)}"
        self._discovered = ExtensionConfig(self.folder) if ecds else None
        if self._discovered:
            self._discovered.install(envoy_config)
        self.config = envoy_config
        self.envoy = Envoy(name, envoy_config, self.folder, concurrency, log_level, process_environment)

    def _base_config(self) -> Config:
        config = configuration.load("dockebi")
        wanted = LISTENERS[self.direction]
        kept = [one for one in configuration.listeners(config) if one["name"] == wanted]
        config["static_resources"]["listeners"] = kept
        if isinstance(self.upstream, Http2Upstream):
            services = [one["name"] for one in configuration.clusters(config) if one["name"] != "zipkin"]
            configuration.use_http2(config, *services)
        upstream = ("127.0.0.1", self.upstream.port)
        endpoints = {("127.0.0.1", 8080): upstream, ("dockebi-storage", 15006): upstream}
        return configuration.relocate(config, {**endpoints, ("zipkin", 9411): ("127.0.0.1", self.receiver.port)})

    def reconfigure(self, config: PluginConfiguration) -> bool:
        """Change the plugin configuration live (needs `ecds=True`); whether Envoy took it."""
        assert self._discovered is not None, "make the proxy with ecds=True"
        before = self._config_updates()
        self._discovered.replace(_sent_soon(config))
        wait_for(lambda: self._config_updates() != before, what="Envoy's word on the configuration")
        # The statistics are the main thread's; the workers get it a moment later.
        time.sleep(0.1)
        return self._config_updates()[0] > before[0]

    def _config_updates(self) -> tuple[int, int]:
        """How many plugin configurations Envoy has taken and how many it has refused."""
        stats = self.envoy.stats("extension_config_discovery.")
        counts = [
            sum(value for name, value in stats.items() if name.endswith(ending))
            for ending in (".update_success", ".update_rejected")
        ]
        return counts[0], counts[1]

    @property
    def port(self) -> int:
        """The port of its listener."""
        return self.envoy.ports[LISTENERS[self.direction]]

    def request(self, *arguments: Any, **named: Any) -> Response:
        """Send one request: `proxy.request("GET", "/x", headers=[("b3", "0"), (b"x", b"\\xff")])`."""
        named.setdefault("host", HOSTS[self.direction])
        return request(self.port, *arguments, **named)

    def http2_request(self, *arguments: Any, **named: Any) -> Response:
        """Like `request`, over HTTP/2."""
        named.setdefault("host", HOSTS[self.direction])
        return http2_request(self.port, *arguments, **named)

    def grpc_request(self, path: str, headers: Any = (), **named: Any) -> Response:
        """Call a gRPC method; `upstream.answer = grpc_answer(status=14)` says what comes back."""
        named.setdefault("host", HOSTS[self.direction])
        return grpc_request(self.port, path, headers, **named)

    def connection(self) -> Connection:
        """A connection to send several requests over, or half of one."""
        return Connection(self.port)

    def leave(self, *arguments: Any, **named: Any) -> None:
        """Send one request and go away when the upstream has it; its answer must take its time."""
        before = len(self.upstream.requests)
        named.setdefault("host", HOSTS[self.direction])
        with self.connection() as connection:
            connection.send(request_bytes(*arguments, **named))
            self.upstream.wait_for(before + 1)

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
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return code


def _receiver(config: PluginConfiguration | None, loop: BackgroundLoop) -> Receiver:
    collector = config.get("collector", {}) if isinstance(config, Mapping) else {}
    return OtlpReceiver(loop) if collector.get("protocol") == "http/protobuf" else Receiver(loop)


def _sent_soon(config: PluginConfiguration) -> PluginConfiguration:
    return config if isinstance(config, str) else {"batch": {"interval": "50ms"}, **config}
