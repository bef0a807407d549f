"""The benchmark: what tracing costs a request, in instructions that Envoy executes.

`python -m mesh.bench` (with PYTHONPATH=tests), or `make bench`.  It ends with code 1 if the
module is not cheaper than Envoy's own Zipkin tracer, or dear where it does not sample.
There is no time in it, so that any machine, busy or not, gives the same figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import config as configuration
from .background import BackgroundLoop
from .callgrind import CountedEnvoy, missing_programs
from .config import MODULE, REPOSITORY, Config
from .processes import Process, ProcessFailed, end_with_parent, new_run_folder
from .single import HOSTS, LISTENERS
from .sink import Sink
from .tracers import set_tracer

PATH = "/reviews/7?page=2"
# With the host these are eight.
HEADERS = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br",
    "accept-language": "en-GB,en;q=0.7",
    "referer": "https://shop.example/reviews",
    "cookie": "session=4f1c2a9be07d4c55",
    "x-account-id": "acme",
}
# What comes in where an unsampled context does: one format, or what another meshspan sends.
TRACEPARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
BOTH = {
    **TRACEPARENT,
    "x-b3-traceid": "0af7651916cd43dd8448eb211c80319c",
    "x-b3-spanid": "b7ad6b7169203331",
    "x-b3-sampled": "0",
}
CONTEXTS = {"": {}, "traceparent": TRACEPARENT, "both": BOTH}
BODY = b'{"id": 7, "stars": 5, "text": "would read again"}'
UNSAMPLED_LIMIT = 60_000
ZIPKIN = "zipkin-100"


@dataclass(frozen=True)
class Row:
    """One way to trace, and the row that it is compared with."""

    title: str
    tracer: str
    sampling: float = 0
    base: str = "none"
    context: str = ""
    protocol: str = "zipkin"
    compression: str = "none"
    inject: tuple[str, ...] = ()


ROWS = {
    "none": Row("no tracing", "none"),
    "none-unsampled": Row("no tracing, traceparent comes in", "none", context="traceparent"),
    "none-both": Row("no tracing, both formats come in", "none", context="both"),
    ZIPKIN: Row("Envoy's Zipkin tracer, 100 %", "native-zipkin", 100),
    "zipkin-1": Row("Envoy's Zipkin tracer, 1 %", "native-zipkin", 1),
    "opentelemetry-100": Row("Envoy's OpenTelemetry tracer, 100 %", "native-opentelemetry", 100),
    "meshspan-100": Row("meshspan, 100 %", "meshspan", 100),
    "meshspan-otlp-100": Row("meshspan, 100 %, OTLP", "meshspan", 100, protocol="http/protobuf"),
    "meshspan-gzip-100": Row("meshspan, 100 %, gzip", "meshspan", 100, compression="gzip"),
    "meshspan-otlp-gzip-100": Row(
        "meshspan, 100 %, OTLP, gzip", "meshspan", 100, protocol="http/protobuf", compression="gzip"
    ),
    "meshspan-1": Row("meshspan, 1 %", "meshspan", 1),
    "meshspan-0": Row("meshspan, 0 %", "meshspan", 0),
    "meshspan-unsampled": Row(
        "meshspan, 1 %, an unsampled traceparent comes in", "meshspan", 1, "none-unsampled", context="traceparent"
    ),
    "meshspan-passes": Row(
        "meshspan, 1 %, an unsampled context comes in, in both formats", "meshspan", 1, "none-both", context="both"
    ),
    "meshspan-traceparent-1": Row("meshspan, 1 %, traceparent only", "meshspan", 1, inject=("tracecontext",)),
}


@dataclass(frozen=True)
class Count:
    """What a row gave; `halves` are the two halves of the requests, to see whether it is steady."""

    instructions: float
    halves: tuple[float, float]
    # Of all requests, warm-up included.
    spans: int
    exports: int


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh.bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, metavar="N", help="how many are counted in each row (1000)")
    parser.add_argument("--warmup", type=int, metavar="N", help="how many go before (1000)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--direction", choices=LISTENERS, default="inbound", help="the sidecar's listener (inbound)")
    parser.add_argument("--quick", action="store_true", help="fewer requests: 200 after 300")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "bench.json", help="the JSON file")
    options = parser.parse_args(arguments)
    options.requests = options.requests or (200 if options.quick else 1000)
    options.warmup = options.warmup or (300 if options.quick else 1000)
    if min(options.requests, options.warmup) < 20:
        parser.error("--requests, --warmup: at least 20")
    wanted = {*options.rows, *(ROWS[name].base for name in options.rows)}
    options.rows = [name for name in ROWS if name in wanted]
    return options


def proxy_config(row: Row, direction: str, upstream: Sink, collector: Sink) -> Config:
    """The sidecar of `envoy/dockebi.yaml` with one listener; the tracers' batches are as shipped."""
    config = configuration.load("dockebi")
    wanted = LISTENERS[direction]
    kept = [one for one in configuration.listeners(config) if one["name"] == wanted]
    config["static_resources"]["listeners"] = kept
    to_upstream = ("127.0.0.1", upstream.port)
    endpoints = {("127.0.0.1", 8080): to_upstream, ("dockebi-storage", 15006): to_upstream}
    configuration.relocate(config, {**endpoints, ("zipkin", 9411): ("127.0.0.1", collector.port)})
    configuration.set_module(config)
    plugin = {**configuration.plugin_configuration(config), "sampling": row.sampling}
    collector_of_row = {"protocol": row.protocol, "compression": row.compression}
    plugin["collector"] = {**plugin.get("collector", {}), **collector_of_row}
    if row.inject:
        plugin["propagation"] = {"inject": row.inject}
    configuration.set_plugin_configuration(config, plugin)
    return set_tracer(config, row.tracer, row.sampling)


class Load:
    """Sends requests with h2load: one after the other on each of four connections."""

    def __init__(self, row: Row, port: int, host: str, folder: Path) -> None:
        headers = {":authority": host, **HEADERS, **CONTEXTS[row.context]}
        self._command = ["h2load", "--h1", "-c1", "-t1", f"http://127.0.0.1:{port}{PATH}"]
        self._command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        self._folder = folder
        self._runs = 0

    def send(self, count: int, progress: Callable[[float], None]) -> None:
        """Send `count` requests; `progress` gets how many more are done."""
        self._runs += 1
        process = Process(f"h2load-{self._runs}", [*self._command, f"-n{count}"], self._folder)
        done = 0
        try:
            while process.returncode is None:
                time.sleep(0.1)
                percent = max(map(int, re.findall(r"(\d+)% done", process.log())), default=0)
                progress(count * (percent - done) / 100)
                done = percent
        finally:
            process.stop()
        if f"status codes: {count} 2xx" not in process.log():
            raise process.failed(f"did not get {count} answers of 200")
        progress(count * (100 - done) / 100)


def count_row(row: Row, options: argparse.Namespace, folder: Path, progress: Callable[[float], None]) -> Count:
    """Start everything for one row, warm it up, count, and end it."""
    loop = BackgroundLoop("bench")
    upstream, collector = Sink(loop, 200, BODY), Sink(loop, 200)
    try:
        counted = CountedEnvoy("envoy", proxy_config(row, options.direction, upstream, collector), folder)
        try:
            load = Load(row, counted.envoy.port, HOSTS[options.direction], folder)
            load.send(options.warmup, progress)
            half = options.requests // 2
            first, second = (counted.count(lambda: load.send(half, progress)) / half for _ in range(2))
            return Count((first + second) / 2, (first, second), spans_of(counted.envoy.stats()), collector.requests)
        finally:
            counted.stop()
    finally:
        upstream.stop()
        collector.stop()
        loop.stop()


def spans_of(stats: dict[str, int]) -> int:
    """How many spans the tracer has made or sent; one that samples nothing has no counter."""
    names = ("wasmcustom.meshspan_spans_sampled", "tracing.zipkin.spans_sent", "tracing.opentelemetry.spans_sent")
    return sum(stats.get(name, 0) for name in names)


def count_rows(options: argparse.Namespace, console: Console, folder: Path) -> dict[str, Count]:
    """Count every row that is wanted, with a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    counts = {}
    total = len(options.rows) * (options.warmup + options.requests)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        for name in options.rows:
            progress.update(task, description=ROWS[name].title)
            row_folder = folder / name
            row_folder.mkdir()
            counts[name] = count_row(ROWS[name], options, row_folder, lambda more: progress.advance(task, more))
            if not console.is_terminal:
                console.print(f"{ROWS[name].title}: {counts[name].instructions:,.0f}")
    return counts


def over_base(counts: dict[str, Count]) -> dict[str, float]:
    """What each way to trace adds to its base."""
    bases = {row.base for row in ROWS.values()}
    return {
        name: count.instructions - counts[ROWS[name].base].instructions
        for name, count in counts.items()
        if name not in bases
    }


def faults(over: dict[str, float]) -> list[str]:
    """Which promises do not hold, of those whose rows were counted."""
    found = []
    if {"meshspan-100", ZIPKIN} <= over.keys() and over["meshspan-100"] >= over[ZIPKIN]:
        found.append("at 100 % meshspan is not cheaper than Envoy's own Zipkin tracer")
    if over.get("meshspan-1", 0) >= UNSAMPLED_LIMIT:
        found.append(f"at 1 % meshspan adds {over['meshspan-1']:,.0f} instructions, allowed are {UNSAMPLED_LIMIT:,}")
    return found


def result_table(counts: dict[str, Count], over: dict[str, float]) -> Table:
    """The figures as a table."""
    table = Table(title="instructions a request (GET, 8 headers; the whole Envoy, one worker)")
    table.add_column("")
    for heading in ("in all", "over no tracing", "Envoy's Zipkin = 1", "halves differ by", "spans", "exports"):
        table.add_column(heading, justify="right")
    for name, count in counts.items():
        first, second = count.halves
        added = f"{over[name]:,.0f}" if name in over else ""
        ratio = f"{over[name] / over[ZIPKIN]:.2f}" if name in over and ZIPKIN in over else ""
        apart = f"{abs(first - second) / count.instructions:.1%}"
        table.add_row(
            ROWS[name].title, f"{count.instructions:,.0f}", added, ratio, apart, str(count.spans), str(count.exports)
        )
    return table


def result_json(options: argparse.Namespace, counts: dict[str, Count], over: dict[str, float]) -> dict[str, Any]:
    """The figures for a program."""
    rows = {
        name: {"title": ROWS[name].title, **asdict(count), "over_base": over.get(name)}
        for name, count in counts.items()
    }
    request = {"method": "GET", "path": PATH, "headers": {"host": HOSTS[options.direction], **HEADERS}}
    return {
        "unit": "instructions a request",
        "direction": options.direction,
        "request": request,
        "warmup": options.warmup,
        "requests": options.requests,
        "module_bytes": MODULE.stat().st_size,
        "rows": rows,
        "faults": faults(over),
    }


def main() -> int:
    """Run the benchmark; the exit code says whether the promises hold."""
    options = parse_arguments()
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    console = Console() if sys.stdout.isatty() else Console(width=120, no_color=True)
    missing = missing_programs()
    if not MODULE.is_file():
        missing = "dist/meshspan.wasm is not there: run make build first"
    if os.environ.get("ENVOY", "").startswith("docker:"):
        missing = "callgrind cannot count inside a container: set ENVOY to a program, or leave it unset"
    if missing:
        console.print(missing, highlight=False)
        return 1
    try:
        counts = count_rows(options, console, new_run_folder())
    except (ProcessFailed, TimeoutError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    over = over_base(counts)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result_json(options, counts, over), indent=1) + "\n", encoding="utf-8")
    console.print(result_table(counts, over))
    for fault in faults(over):
        console.print(f"[red]{fault}[/red]", highlight=False)
    return 1 if faults(over) else 0


if __name__ == "__main__":
    sys.exit(main())
