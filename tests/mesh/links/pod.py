"""A pod: one sidecar with both its listeners, an application of some shape, and who it calls."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import config as configuration
from ..application import read_message
from ..background import BackgroundLoop
from ..config import REPOSITORY, Config
from ..envoy import Envoy, wait_for
from ..otlp_receiver import OtlpReceiver
from ..processes import Process
from ..receiver import Receiver, Span
from .application import DOMAIN

# Seconds that a host takes for an answer, in the mean.
HOSTS = {"stock": 0.015, "prices": 0.03, "audit": 0.005, "flaky": 0.015}
STORAGE = "dockebi-storage"


class Services:
    """All hosts that the application calls, in one server; it notes the context that each call came with."""

    def __init__(self, loop: BackgroundLoop, scale: float) -> None:
        self.contexts: dict[str, str] = {}
        self._scale = scale
        self._loop = loop
        self._server: asyncio.Server = loop.run(self._start())

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, headers, body = await read_message(reader)
                host = first.split("/")[1]
                self.contexts[body.decode()] = dict(headers).get("traceparent", "")
                mean = HOSTS[host] * self._scale
                await asyncio.sleep(mean * random.lognormvariate(-0.125, 0.5))
                status = "503 Refused" if host == "flaky" and random.random() < 0.33 else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok".encode())
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    def stop(self) -> None:
        """Close the port."""
        self._loop.loop.call_soon_threadsafe(self._server.close)


@dataclass(frozen=True)
class Call:
    """A call of the application: its span, and the serial of the request that caused it, if one did."""

    serial: str
    cause: str | None
    port: int
    span: Span


@dataclass(frozen=True)
class Outcome:
    """What a load gave: the span of each request by its serial, the port it came by, and all calls."""

    requests: dict[str, Span]
    ports: dict[str, int]
    calls: list[Call]
    # How many requests were in flight in the mean, as the load saw it.
    in_flight: float


class Pod:
    """Envoy, application, services and receiver; use it as a context manager. `change` edits the Envoy configuration last."""

    def __init__(
        self,
        shape: str,
        folder: Path,
        plugin: Mapping[str, Any],
        workers: int = 1,
        forward: str = "",
        scale: float = 1.0,
        change: Callable[[Config], Any] | None = None,
    ) -> None:
        self.folder = folder
        self._loop = BackgroundLoop("pod")
        self._stops: list[Any] = [self._loop.stop]
        self._serial = 0
        # Seconds that a request of the latest load took in the mean.
        self.mean_time = 0.0
        try:
            is_otlp = plugin.get("collector", {}).get("protocol") == "http/protobuf"
            self.receiver = (OtlpReceiver if is_otlp else Receiver)(self._loop)
            self._stops.insert(0, self.receiver.stop)
            self._services = Services(self._loop, scale)
            self._stops.insert(0, self._services.stop)
            with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
                config = self._config(plugin, listening.getsockname()[1])
                if change is not None:
                    change(config)
                self.envoy = Envoy("sidecar", config, folder, workers)
                self._stops.insert(0, self.envoy.stop)
                self.port = self.envoy.ports["virtualInbound"]
                self._application = self._start(shape, forward, scale, listening)
        except BaseException:
            self.stop()
            raise

    def _config(self, plugin: Mapping[str, Any], application: int) -> Config:
        config = configuration.load("dockebi")
        _add_hosts(config)
        services = ("127.0.0.1", self._services.port)
        ends = {("127.0.0.1", 8080): ("127.0.0.1", application), (STORAGE, 15006): services}
        ends["zipkin", 9411] = ("127.0.0.1", self.receiver.port)
        configuration.relocate(config, ends)
        for cluster in configuration.clusters(config):
            # A busy machine may take its time.
            cluster["connect_timeout"] = "30s"
        configuration.set_module(config)
        wanted = {"sampling": 100, "queue": {"maxSpans": 100_000, "maxBytes": 1 << 28}, **plugin}
        return configuration.set_plugin_configuration(config, wanted)

    def _start(self, shape: str, forward: str, scale: float, listening: socket.socket) -> Process:
        self._journal = self.folder / "journal"
        through = f"127.0.0.1:{self.envoy.ports['virtualOutbound']}"
        command = [sys.executable, "-m", "mesh.links.application", "--shape", shape, "--forward", forward]
        command += ["--listen", str(listening.fileno()), "--through", through]
        command += ["--scale", str(scale), "--journal", str(self._journal)]
        environment = {"PYTHONPATH": str(REPOSITORY / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
        process = Process("application", command, self.folder, environment, listening=listening)
        self._stops.insert(0, process.stop)
        process.wait_until(lambda: "started" in process.log(), what="listening")
        return process

    def load(self, seconds: float, rate: float, headers: str = "", connections: int = 0) -> float:
        """Send requests at random moments, `rate` a second; the mean number in flight.

        `headers` are lines more, in which `{}` is a number of the request's own. With `connections`
        no more are used, and a request waits for one.
        """
        load = _Load(self.port, self._serial, headers, connections)
        mean = self._loop.run(load.run(seconds, rate), seconds + 60)
        self._serial, self.mean_time = load.serial, load.mean_time
        return mean

    def outcome(self, in_flight: float) -> Outcome:
        """Wait until everything is over, end the application, and put together what it and the spans say."""
        self.settled()
        self._application.stop()
        entries = [json.loads(line) for line in self._journal.read_text(encoding="utf-8").splitlines()]
        spans = {(span["traceId"], span["id"]): span for span in self.receiver.spans}
        requests, ports, calls = {}, {}, []
        for entry in entries:
            if "request" in entry:
                requests[entry["request"]] = spans[_ids(entry["traceparent"])]
                ports[entry["request"]] = entry["port"]
            # A background call may be under way at the end.
            elif _ids(self._services.contexts.get(entry["call"], "")) in spans:
                span = spans[_ids(self._services.contexts[entry["call"]])]
                calls.append(Call(entry["call"], entry["cause"], entry["port"], span))
        return Outcome(requests, ports, calls, in_flight)

    def settled(self) -> dict[str, int]:
        """The module's statistics when everything is over."""
        wait_for(self._is_over, 60, "the end of all calls and the arrival of their spans", step=0.2)
        return self.envoy.meshspan_stats()

    def contexts(self) -> dict[str, str]:
        """The context that each call came with, by the call's serial."""
        return dict(self._services.contexts)

    def _is_over(self) -> bool:
        before = self.envoy.meshspan_stats()
        time.sleep(1.2)
        after = self.envoy.meshspan_stats()
        # An application that makes calls of its own never rests.
        more = sum(abs(after[name] - before[name]) for name in after if name.startswith("meshspan_contexts_"))
        # Where it does, nothing is to be left that waits, such as for a link.
        return more < 50 and after["meshspan_queue_spans"] < (50 if more else 1)

    def stop(self) -> None:
        """End everything."""
        for stop in self._stops:
            stop()

    def __enter__(self) -> Pod:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _ids(traceparent: str) -> tuple[str, str]:
    parts = traceparent.split("-")
    return (parts[1], parts[2]) if len(parts) == 4 else ("", "")


def _add_hosts(config: Config) -> None:
    """A virtual host and a cluster for each host, made of the one that the sidecar has."""
    (cluster,) = [one for one in configuration.clusters(config) if STORAGE in one["name"]]
    configuration.clusters(config).remove(cluster)
    *_, manager = configuration.connection_managers(config)
    virtual_hosts = manager["route_config"]["virtual_hosts"]
    first = virtual_hosts.pop(0)
    for host in HOSTS:
        text = json.dumps(cluster).replace(f"{STORAGE}.", f"{host}.").replace(f'"name": "{STORAGE}"', f'"name": "{host}"')
        configuration.clusters(config).append(json.loads(text))
        virtual_hosts.insert(0, json.loads(json.dumps(first).replace(STORAGE, host)))


class _Load:
    """Requests at the moments of a Poisson process, each over a connection that is idle."""

    def __init__(self, port: int, serial: int, headers: str, connections: int) -> None:
        self.serial = serial
        self.statuses: Counter[int] = Counter()
        self._port, self._headers = port, headers
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(connections or 10_000)
        self._busy = 0.0

    async def run(self, seconds: float, rate: float) -> float:
        loop = asyncio.get_running_loop()
        start = due = loop.time()
        tasks = []
        while due < start + seconds:
            due += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.serial += 1
            tasks.append(asyncio.ensure_future(self._one(self.serial)))
        await asyncio.gather(*tasks)
        if set(self.statuses) != {200}:
            raise AssertionError(f"answers: {dict(self.statuses)}")
        for _, writer in self._idle:
            writer.close()
        return self._busy / (loop.time() - start)

    @property
    def mean_time(self) -> float:
        return self._busy / max(1, self.statuses.total())

    async def _one(self, serial: int) -> None:
        async with self._room:
            start = time.perf_counter()
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            body = str(serial)
            path = ("/read", "/write", "/report")[serial % 3]
            head = f"POST {path} HTTP/1.1\r\nhost: dockebi.{DOMAIN}\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"{head}{self._headers.format(serial)}\r\n{body}".encode())
            first, _, _ = await read_message(reader)
            self.statuses[int(first.split(" ")[1])] += 1
            self._idle.append((reader, writer))
            self._busy += time.perf_counter() - start
