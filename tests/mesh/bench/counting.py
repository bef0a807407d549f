"""One row: an Envoy as a row says, warmed up, and how many instructions a request takes there."""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import config as configuration
from ..background import BackgroundLoop
from ..callgrind import CountedEnvoy
from ..config import Config
from ..envoy import Envoy
from ..h2load import H2Load
from ..progress import steps
from ..single import HOSTS, LISTENERS
from ..sink import Sink
from ..tracers import set_native_flush, set_tracer
from .rows import BASES, BODY, CONTEXTS, HEADERS, INBOUND, PATH, ROWS, Row, Traffic, asked_tags, rules


# Seconds between the warm-up and the count.
SETTLING = 5
# Each connection is one worker's, whichever Linux chooses; after so many each has had some.
CONNECTIONS = 12
# Seconds between the calls of an application that makes some.
CALLS = 1.0


@dataclass(frozen=True)
class Count:
    """What a row gave; `halves` are the two halves of the requests, to see whether it is steady."""

    instructions: float
    halves: tuple[float, float]
    # Of all requests, warm-up included.
    spans: int
    exports: int


def proxy_config(
    row: Row, upstream: Sink | Envoy, collector: Sink, more: dict[str, Any] | None = None, holding: int | None = None
) -> Config:
    """The sidecar of `envoy/dockebi.yaml`, with one listener if it has one worker; the tracers' batches are
    as shipped. `more` goes into the plugin's configuration; `holding` is the port of an application that never answers,
    which has both listeners, too."""
    config = configuration.load("dockebi")
    has_both = row.traffic.workers > 1 or holding is not None
    wanted = LISTENERS.values() if has_both else [LISTENERS[row.traffic.direction]]
    kept = [one for one in configuration.listeners(config) if one["name"] in wanted]
    config["static_resources"]["listeners"] = kept
    to_upstream = ("127.0.0.1", upstream.port)
    to_application = to_upstream if holding is None else ("127.0.0.1", holding)
    endpoints = {("127.0.0.1", 8080): to_application, ("dockebi-storage", 15006): to_upstream}
    configuration.relocate(config, {**endpoints, ("zipkin", 9411): ("127.0.0.1", collector.port)})
    configuration.set_module(config)
    plugin = {**configuration.plugin_configuration(config), "sampling": sampling_of(row)}
    for number in range(1, row.tags):
        tag = {"header": {"name": f"x-extra-{number}", "defaultValue": f"value-{number}"}}
        plugin.setdefault("customTags", {})[f"tag-{number}"] = tag
    if row.asked_tags:
        plugin.setdefault("customTags", {}).update(asked_tags(row.asked_tags))
    if row.response:
        plugin["response"] = {"traceresponse": True, "header": "x-trace-id", "at": "everywhere"}
    if row.span_name:
        plugin["spanName"] = {"template": "{method} {route}"}
        plugin["operations"] = ["/users/{id}", "/users/{id}/orders/**", "/static/**", "/reviews/{id}"]
    plugin["events"] = row.events
    collector_of_row = {"protocol": row.protocol, "compression": row.compression}
    plugin["collector"] = {**plugin.get("collector", {}), **collector_of_row}
    plugin["correlation"] = {"mode": row.correlation}
    if row.inject:
        plugin["propagation"] = {"inject": row.inject}
    configuration.set_plugin_configuration(config, {**plugin, **(more or {})})
    if row.traffic.workers > 1:
        # What Envoy does for its own statistics goes with seconds, not with requests.
        config["stats_flush_interval"] = "290s"
    if row.flush:
        # No timer before that many have come: callgrind makes seconds short.
        set_native_flush(config, row.flush, 60_000)
    return set_tracer(config, row.tracer, row.sampling)


def sampling_of(row: Row) -> Any:
    """A percentage, or more where the row asks for more."""
    if row.keep:
        return {"percent": row.sampling, "keep": {"errors": True, "slowerThan": "60s"}}
    return row.sampling if row.rules is None else {"percent": row.sampling, "rules": rules(row.rules)}


def request_headers(traffic: Traffic) -> dict[str, str]:
    """The headers of a request of this traffic."""
    extra = {f"x-extra-{number}": f"value-{number}" for number in range(1, traffic.headers - 7)}
    return {":authority": HOSTS[traffic.direction], **HEADERS, **extra, **CONTEXTS[traffic.context]}


def count_row(row: Row, options: argparse.Namespace, folder: Path, progress: Callable[[float], None]) -> Count:
    """Start everything for one row, warm it up, count, and end it.

    With several workers what their virtual machines do each second is taken off: seconds are short under valgrind.
    """
    loop = BackgroundLoop("bench")
    upstream, collector = Sink(loop, 200, BODY), Sink(loop, 200)
    try:
        traffic = row.traffic
        counted = CountedEnvoy("envoy", proxy_config(row, upstream, collector), folder, traffic.workers)
        try:

            def load_of(traffic: Traffic) -> H2Load:
                port = counted.envoy.ports[LISTENERS[traffic.direction]]
                return H2Load(port, PATH, request_headers(traffic), folder, traffic.http2)

            outbound = counted.envoy.ports.get(LISTENERS["outbound"], 0)
            with calls(outbound) if row.calls else nullcontext():
                load = load_of(traffic)
                if traffic.workers > 1:
                    for one in [load_of(INBOUND)] * CONNECTIONS + [load] * CONNECTIONS:
                        one.send(options.warmup // CONNECTIONS, lambda _: None)
                load.send(options.warmup, progress)
                # A module whose proxy has one worker finds that out in three ticks of a second, and shares nothing any more.
                time.sleep(SETTLING)
                half = options.requests // 2
                resting = counted.count(lambda: time.sleep(SETTLING)) / SETTLING if traffic.workers > 1 else 0.0

                def count_half() -> float:
                    began = time.monotonic()
                    instructions = counted.count(lambda: load.send(half, progress))
                    return (instructions - resting * (time.monotonic() - began)) / half

                first, second = (count_half() for _ in range(2))
                return Count((first + second) / 2, (first, second), spans_of(counted.envoy.stats()), collector.requests)
        finally:
            counted.stop()
    finally:
        upstream.stop()
        collector.stop()
        loop.stop()


@contextmanager
def calls(port: int) -> Iterator[None]:
    """Calls without a context through a sidecar's outbound listener, one each second, as long as this lasts."""
    is_over = threading.Event()

    def call() -> None:
        while not is_over.wait(CALLS):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", PATH, headers={"host": HOSTS["outbound"]})
            connection.getresponse().read()
            connection.close()

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        is_over.set()
        caller.join()


def spans_of(stats: dict[str, int]) -> int:
    """How many spans the tracer has made or sent; one that samples nothing has no counter."""
    names = ("wasmcustom.meshspan_spans_sampled", "tracing.zipkin.spans_sent", "tracing.opentelemetry.spans_sent")
    return sum(stats.get(name, 0) for name in names)


def count_rows(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Count]:
    """Count every row that is wanted, with a progress bar."""
    counts = {}
    with steps(console, len(options.rows) * (options.warmup + options.requests)) as progress:
        for name in options.rows:
            progress.begin(ROWS[name].title)
            row_folder = folder / name
            row_folder.mkdir()
            counts[name] = count_row(ROWS[name], options, row_folder, progress.advance)
            progress.say(f"{ROWS[name].title}: {counts[name].instructions:,.0f}")
    return counts


def over_base(counts: dict[str, Count]) -> dict[str, float]:
    """What each way to trace adds to no tracing of the same traffic."""
    return {
        name: count.instructions - counts[BASES[ROWS[name].traffic]].instructions
        for name, count in counts.items()
        if ROWS[name].tracer != "none"
    }
