"""How much later an answer comes for tracing's sake, with the proxy at half load.

Envoys that trace in different ways, or not at all, get the same requests in turn, many times, at half
the rate that saturates the slowest of them, at moments of a Poisson process (h2load is up to a
millisecond late with each, so they come about a tenth slower).  What else runs on the machine moves
all of them, so what is taken is the difference within each turn.  Times are those of this machine:
they are shown, and nothing is promised of them.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..background import BackgroundLoop
from ..config import Config, answer_everything, listeners, load, relocate
from ..envoy import Envoy
from ..h2load import H2Load
from ..progress import steps
from ..sink import Sink
from ..tracers import set_tracer
from .counting import proxy_config, request_headers
from .rows import BODY, INBOUND, OPENTELEMETRY, PATH, ROWS

NONE, SHIPPED = "none", "opentelemetry-100"
KINDS = (NONE, SHIPPED, OPENTELEMETRY, "meshspan-100", "meshspan-otlp-100")
OURS = KINDS[3:]
TURNS, SECONDS, CONNECTIONS = 60, 1.0, 16
WARMUP = 5000
QUANTILES = {"p50": 0.5, "p99": 0.99}


@dataclass(frozen=True)
class Difference:
    """Seconds by which one kind is later than another: the median of all turns, and where it is at 95 %."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Latencies:
    """What was measured: requests a second, the machine's load before and after, differences by kinds and quantile."""

    rate: float
    load_average: tuple[float, float]
    without: dict[str, float]
    differences: dict[str, dict[str, Difference]]


def measure_latency(console: Console, folder: Path) -> Latencies:
    """Start all kinds, and ask them in turn."""
    before = os.getloadavg()[0]
    turns: list[dict[str, dict[str, float]]] = []
    with ExitStack() as stack, steps(console, len(KINDS) + TURNS) as progress:
        ports = _start(stack, folder)
        progress.begin("saturation")
        rate = min(_saturation(port, folder, progress.advance) for port in ports.values()) / 2
        loads = {kind: _OpenLoop(port, rate, folder / kind) for kind, port in ports.items()}
        progress.begin("turns")
        for _ in range(TURNS):
            order = random.sample(KINDS, len(KINDS))
            turns.append({kind: loads[kind].quantiles() for kind in order})
            progress.advance()
    pairs = [(kind, NONE) for kind in KINDS[1:]]
    pairs += [(kind, other) for other in (SHIPPED, OPENTELEMETRY) for kind in OURS]
    differences = {
        f"{one} over {other}": {name: difference([turn[one][name] - turn[other][name] for turn in turns])
                                for name in QUANTILES}
        for one, other in pairs
    }  # fmt: skip
    without = {name: statistics.median(turn[NONE][name] for turn in turns) for name in QUANTILES}
    return Latencies(rate, (before, os.getloadavg()[0]), without, differences)


def difference(values: Sequence[float]) -> Difference:
    """The median, and the values between which that of endless turns is at 95 %, by their ranks."""
    ordered = sorted(values)
    half, apart = len(ordered) / 2, 0.98 * math.sqrt(len(ordered))
    least, most = max(math.floor(half - apart), 0), min(math.ceil(half + apart), len(ordered) - 1)
    return Difference(statistics.median(ordered), ordered[least], ordered[most])


def _start(stack: ExitStack, folder: Path) -> dict[str, int]:
    """An Envoy of each kind before one that answers; the port of each."""
    loop = BackgroundLoop("latency")
    stack.callback(loop.stop)
    collector = Sink(loop, 200)
    stack.callback(collector.stop)

    def started(name: str, config: Config) -> Envoy:
        envoy = Envoy(name, config, folder)
        stack.callback(envoy.stop)
        return envoy

    upstream = started("upstream", _answering())
    ports = {}
    for kind in KINDS:
        (folder / kind).mkdir()
        ports[kind] = started(kind, proxy_config(ROWS[kind], upstream, collector)).port
    return ports


def _answering() -> Config:
    """An Envoy that gives every request the same answer."""
    config = load("dockebi")
    listeners(config)[:] = listeners(config)[:1]
    config["static_resources"]["clusters"] = []
    return answer_everything(relocate(set_tracer(config, NONE), {}), BODY)


def _saturation(port: int, folder: Path, done: Callable[[], None]) -> float:
    """Requests a second, as fast as they are answered; the Envoy is warm after."""
    own = folder / f"saturation-{port}"
    own.mkdir()
    load = H2Load(port, PATH, request_headers(INBOUND), own, connections=CONNECTIONS)
    load.send(WARMUP, lambda _: None)
    rate = load.send(WARMUP, lambda _: None)
    done()
    return rate


class _OpenLoop:
    """Requests that come when they come, over several connections: a Poisson process of a rate."""

    def __init__(self, port: int, rate: float, folder: Path) -> None:
        self._connections = [
            _Connection(port, rate / CONNECTIONS, folder / str(number)) for number in range(CONNECTIONS)
        ]

    def quantiles(self) -> dict[str, float]:
        """Send them for a while; the quantiles of the seconds that an answer took."""
        with ThreadPoolExecutor(len(self._connections)) as pool:
            taken = pool.map(_Connection.send, self._connections)
        times = sorted(time for of_one in taken for time in of_one)
        return {name: times[int(quantile * len(times))] / 1e6 for name, quantile in QUANTILES.items()}


class _Connection:
    def __init__(self, port: int, rate: float, folder: Path) -> None:
        folder.mkdir()
        self._rate = rate
        self._url = f"http://127.0.0.1:{port}{PATH}"
        self._script, self._log = folder / "script", folder / "times"
        options = [f"--timing-script-file={self._script}", f"--log-file={self._log}"]
        self._load = H2Load(port, PATH, request_headers(INBOUND), folder, options=options)

    def send(self) -> list[int]:
        """The microseconds that each answer took."""
        due, offset = [], 0.0
        while (offset := offset + random.expovariate(self._rate)) < SECONDS:
            due.append(offset)
        lines = (f"{offset * 1e3:.3f}\t{self._url}\n" for offset in due)
        self._script.write_text("".join(lines), encoding="ascii")
        self._log.unlink(missing_ok=True)
        self._load.send(len(due), lambda _: None)
        return [int(line.split("\t")[2]) for line in self._log.read_text(encoding="ascii").splitlines()]


def latency_table(found: Latencies) -> Table:
    """The figures as a table."""
    loads = " and ".join(f"{load:.1f}" for load in found.load_average)
    title = f"latency, microseconds: {found.rate:,.0f} requests a second, {TURNS} turns; load average {loads} of "
    table = Table(title=f"{title}{os.cpu_count()} processors")
    for heading in ("", *QUANTILES):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("no tracing", *(f"{value * 1e6:,.0f}" for value in found.without.values()))
    for name, differences in found.differences.items():
        cells = (
            f"{one.median * 1e6:+,.0f} ({one.least * 1e6:+,.0f} to {one.most * 1e6:+,.0f})"
            for one in differences.values()
        )
        table.add_row(name, *cells)
    return table
