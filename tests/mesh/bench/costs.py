"""What one callback and one hostcall cost, in instructions of the whole Envoy.

A callback is the difference between the minimal module and the same without it; a hostcall
between requests in which the probe makes none, one and some more.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..callgrind import CountedEnvoy
from ..h2load import H2Load
from ..processes import ProcessFailed
from ..progress import steps
from .counting import request_headers
from .discovered import Discovered, taken, wait_until_idle
from .modules import MINIMAL, PROBE, without
from .rows import INBOUND, PATH

CALLBACKS = ("proxy_on_context_create", "proxy_on_request_headers", "proxy_on_log", "proxy_on_done")

# What src/host/facts.rs asks for.
EXPRESSION = (
    "xds.listener_direction==2"
    "?[xds.cluster_name,response.code,request.protocol,request.time,response.size,response.flags,source.address,"
    "upstream.address,upstream.local_address]"
    ":[xds.cluster_name,response.code,request.protocol,request.time,response.size,response.flags,source.address,"
    "destination.address]"
)
# By the probe's word for each.
HOSTCALLS = {
    "pairs": "proxy_get_header_map_pairs",
    "add": "proxy_add_header_map_value",
    "replace": "proxy_replace_header_map_value",
    "remove": "proxy_remove_header_map_value",
    "evaluate": "proxy_call_foreign_function",
    "property": "proxy_get_property",
    "increment": "proxy_increment_metric",
    "record": "proxy_record_metric",
    "metric": "proxy_get_metric",
    "share": "proxy_set_shared_data",
    "look": "proxy_get_shared_data, no bytes",
    "fetch": "proxy_get_shared_data",
    "time": "proxy_get_current_time_nanoseconds",
}
MORE = 8
# Each is counted after as many that are not.
MOST_REQUESTS = 300


@dataclass(frozen=True)
class Cost:
    """Instructions of the first call in a request, and of each after it."""

    first: float
    more: float

    def of(self, calls: int) -> float:
        """What so many calls in a request cost."""
        return self.first + (calls - 1) * self.more if calls else 0.0


def measure_costs(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Cost]:
    """Count all of them in one Envoy."""
    counter = _Counter(folder, min(options.requests, MOST_REQUESTS))
    costs = {}
    with steps(console, len(CALLBACKS) + len(HOSTCALLS)) as progress:
        try:
            # The first module: what an Envoy does for the first time is done.
            counter.module(MINIMAL)
            whole = counter.module(MINIMAL)
            for callback in CALLBACKS:
                progress.begin(callback)
                cost = whole - counter.module(without(callback, MINIMAL, folder))
                costs[callback] = Cost(cost, cost)
                progress.advance()
            counter.configuration("time 0")
            counter.module(PROBE)
            none = statistics.median(counter.configuration(f"{word} 0") for word in ("pairs", "add", "time"))
            for word, hostcall in HOSTCALLS.items():
                progress.begin(hostcall)
                first, more = (counter.configuration(_said(word, calls)) for calls in (1, 1 + MORE))
                costs[hostcall] = Cost(first - none, (more - first) / MORE)
                progress.advance()
        finally:
            counter.stop()
    return costs


def _said(word: str, calls: int) -> str:
    return f"{word} {calls}" + (f" {EXPRESSION}" if word == "evaluate" else "")


class _Counter:
    """One Envoy, and the instructions of a request in it with one module after the other."""

    def __init__(self, folder: Path, requests: int) -> None:
        self._requests = requests
        self._modules = 0
        self._discovered = Discovered(MINIMAL, folder)
        self._counted = CountedEnvoy("costs", self._discovered.config, folder)
        self._load = H2Load(self._counted.envoy.port, PATH, request_headers(INBOUND), folder)

    def module(self, module: Path) -> float:
        """With another module."""
        self._modules += 1
        return self._after(lambda: self._discovered.discovery.replace_module(module, str(self._modules)))

    def configuration(self, text: str) -> float:
        """With another configuration."""
        return self._after(lambda: self._discovered.discovery.replace(text))

    def _after(self, change: Callable[[], None]) -> float:
        envoy = self._counted.envoy
        before = taken(envoy)
        change()
        # Asked while it compiles, under valgrind, it may not answer in time.
        wait_until_idle(envoy.pid)
        if taken(envoy) != before + 1:
            raise ProcessFailed("Envoy did not take a module or its configuration")
        self._send(self._requests)
        return self._counted.count(lambda: self._send(self._requests)) / self._requests

    def _send(self, count: int) -> None:
        self._load.send(count, lambda _: None)

    def stop(self) -> None:
        """End it all."""
        self._counted.stop()
        self._discovered.stop()
