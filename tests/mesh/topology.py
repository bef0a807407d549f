"""The whole mesh: gateway -> [waypoint ->] dockebi -> dockebi-storage, each service with its sidecar."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import config as configuration
from .ambient import through_hbone
from .background import BackgroundLoop
from .config import Address, Config, PluginConfiguration
from .envoy import Envoy
from .processes import Process, new_run_folder
from .receiver import Receiver
from .tracers import set_native_flush, set_tracer

SPANS_A_TRACE = 4
APPLICATION = Path(__file__).with_name("application.py")
# Of the service, which no pod has.
DOCKEBI_ADDRESS = "10.96.0.11:8080"
STORAGE_URL = "http://dockebi-storage.demo.svc.cluster.local:8080"


class Mesh:
    """A running mesh; use it as a context manager, it starts leaf first.

    `plugin` is the plugin configuration of all proxies, `plugins` that of some by name;
    `sampling` takes the place of what it says, for meshspan also with rules and more.
    `collector_port` is where spans go, by `protocol` (meshspan's); None starts the built-in receiver.
    `native_flush` is for Envoy's own tracer: spans, milliseconds (as shipped 5, 5000).
    `waypoint` puts one before dockebi, that the gateway reaches through HBONE.
    `calls` is how often dockebi calls the storage for a request; `silent` applications forward no header.
    `change` edits each Envoy's configuration last, by its name.
    """

    def __init__(
        self,
        tracer: str = "meshspan",
        sampling: float | Mapping[str, Any] | None = None,
        plugin: PluginConfiguration | None = None,
        plugins: Mapping[str, PluginConfiguration] | None = None,
        collector_port: int | None = None,
        protocol: str = "zipkin",
        node_metadata: Mapping[str, Any] | None = None,
        failure_policy: str | None = None,
        concurrency: int = 1,
        native_flush: tuple[int, int] = (5, 500),
        waypoint: bool = False,
        calls: int = 1,
        silent: bool = False,
        change: Callable[[str, Config], Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder or new_run_folder()
        self._own_folder = folder is None
        self.envoys: dict[str, Envoy] = {}
        self.receiver: Receiver | None = None
        self._tracer = tracer
        self._sampling = sampling
        self._plugin = plugin
        self._protocol = protocol
        self._plugins = plugins or {}
        self._node_metadata = node_metadata or {}
        self._failure_policy = failure_policy
        self._concurrency = concurrency
        self._native_flush = native_flush
        self._waypoint = waypoint
        self._calling = ("--calls", str(calls), *(["--silent"] if silent else []))
        self._change = change
        self._applications: list[Process] = []
        self._loop: BackgroundLoop | None = None
        try:
            if collector_port is None:
                self._loop = BackgroundLoop("receiver")
                self.receiver = Receiver(self._loop)
                collector_port = self.receiver.port
            self._start(collector_port)
        except BaseException:
            self.stop()
            raise

    def _start(self, collector_port: int) -> None:
        collector = {("zipkin", 9411): ("127.0.0.1", collector_port)}
        storage_application = _listen()
        storage_address = storage_application.getsockname()
        self._start_application("dockebi-storage", storage_application)
        storage = self._start_envoy(
            "dockebi-storage",
            # The storage calls nobody, so where its outbound listener leads is of no account.
            {
                **collector,
                ("127.0.0.1", 8080): storage_address,
                ("dockebi", 15006): storage_address,
            },
        )
        # The sidecar has to know the application's port and the application the
        # sidecar's; so the application's socket is there before the application is.
        dockebi_application = _listen()
        dockebi = self._start_envoy(
            "dockebi",
            {
                **collector,
                ("127.0.0.1", 8080): dockebi_application.getsockname(),
                ("dockebi-storage", 15006): ("127.0.0.1", storage.ports["virtualInbound"]),
            },
        )
        through = f"127.0.0.1:{dockebi.ports['virtualOutbound']}"
        calling = ("--next", STORAGE_URL, "--through", through, *self._calling)
        self._start_application("dockebi", dockebi_application, *calling)
        before_dockebi = ("127.0.0.1", dockebi.ports["virtualInbound"])
        if self._waypoint:
            waypoint = self._start_envoy("waypoint", {**collector, ("dockebi", 15006): before_dockebi})
            before_dockebi = ("127.0.0.1", waypoint.ports["connect_terminate"])
        self._start_envoy("gateway", {**collector, ("dockebi", 15006): before_dockebi})

    def _start_application(self, name: str, listening: socket.socket, *arguments: str) -> None:
        command = [sys.executable, str(APPLICATION), "--name", name, *arguments]
        command += ["--listen", f"fd:{listening.fileno()}"]
        with listening:
            application = Process(f"{name}-application", command, self.folder, listening=listening)
        self._applications.append(application)
        application.wait_until(lambda: "listens on port" in application.log(), what="listening")

    def _start_envoy(self, name: str, endpoints: Mapping[Address, Address]) -> Envoy:
        config = configuration.relocate(self._load(name), endpoints)
        configuration.set_module(config, failure_policy=self._failure_policy)
        plugin = self._plugins.get(name, self._plugin)
        if plugin is None:
            plugin = configuration.plugin_configuration(config)
        if self._sampling is not None and not isinstance(plugin, str):
            plugin = {**plugin, "sampling": self._sampling}
        if self._protocol != "zipkin" and not isinstance(plugin, str):
            plugin = {**plugin, "collector": {**plugin.get("collector", {}), "protocol": self._protocol}}
        if self._protocol == "grpc":
            configuration.use_http2(config, "zipkin")
        configuration.set_plugin_configuration(config, plugin)
        configuration.merge_node_metadata(config, self._node_metadata)
        set_tracer(config, self._tracer, None if isinstance(self._sampling, Mapping) else self._sampling)
        set_native_flush(config, *self._native_flush)
        if self._change is not None:
            self._change(name, config)
        self.envoys[name] = Envoy(name, config, self.folder, self._concurrency)
        return self.envoys[name]

    def _load(self, name: str) -> Config:
        if name == "waypoint":
            return configuration.load(name, Path(__file__).parent)
        config = configuration.load(name)
        if name == "gateway" and self._waypoint:
            through_hbone(config, "outbound|8080||dockebi.demo.svc.cluster.local", DOCKEBI_ADDRESS)
        return config

    @property
    def gateway_port(self) -> int:
        """The port that clients call."""
        return self.envoys["gateway"].port

    @property
    def gateway_url(self) -> str:
        """Where clients call."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def stats_sum(self, name: str) -> int:
        """One statistic summed over all Envoys."""
        return sum(envoy.stats(name).get(name, 0) for envoy in self.envoys.values())

    def pids(self) -> list[int]:
        """The process ids of all that runs besides this process."""
        envoys = [envoy.pid for envoy in self.envoys.values()]
        return [*envoys, *(application.pid for application in self._applications)]

    def stop_application(self, name: str) -> None:
        """End a service's application; its sidecar then answers 503."""
        (application,) = [one for one in self._applications if one.name == f"{name}-application"]
        application.stop()

    def stop(self) -> None:
        """Stop what runs, the gateway first, so that no request is cut off."""
        for envoy in reversed(list(self.envoys.values())):
            envoy.stop()
        for application in self._applications:
            application.stop()
        if self.receiver is not None:
            self.receiver.stop()
        if self._loop is not None:
            self._loop.stop()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.stop()
        # After an error the logs are what one wants to see.
        if self._own_folder and kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _listen() -> socket.socket:
    """A socket that listens on a free loopback port, for a program to inherit."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)
