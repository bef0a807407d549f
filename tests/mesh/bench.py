"""The benchmark: what tracing costs a request, in instructions that Envoy executes.

`python -m mesh.bench` (with PYTHONPATH=tests), or `make bench`.  It ends with code 1 if a promise
about Envoy's own tracers does not hold or, with `--check`, if a row executes 3 % more than when
the figures beside this file were committed; `--commit` writes them anew, which wants a reason.
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
from .hostcalls import crossings
from .processes import Process, ProcessFailed, end_with_parent, new_run_folder
from .single import HOSTS, LISTENERS
from .sink import Sink
from .tracers import set_native_flush, set_tracer

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
ZIPKIN = "zipkin-100"
OPENTELEMETRY = "opentelemetry-tuned-100"


@dataclass(frozen=True)
class Traffic:
    """What is asked, and where; rows of the same traffic share a base without tracing."""

    direction: str = "inbound"
    http2: bool = False
    headers: int = 8
    context: str = ""


@dataclass(frozen=True)
class Row:
    """One way to trace."""

    title: str
    tracer: str = "meshspan"
    sampling: float = 100
    traffic: Traffic = Traffic()
    protocol: str = "zipkin"
    compression: str = "none"
    inject: tuple[str, ...] = ()
    tags: int = 1
    # How many spans Envoy's own tracers wait for before they send; 0 is as shipped (5).
    flush: int = 0


INBOUND = Traffic()
OUTBOUND = Traffic(direction="outbound")
HTTP2 = Traffic(http2=True)
ONE_FORMAT, BOTH_FORMATS = Traffic(context="traceparent"), Traffic(context="both")
OTLP = "http/protobuf"

ROWS = {
    "none": Row("no tracing", "none"),
    "none-outbound": Row("no tracing, outbound", "none", traffic=OUTBOUND),
    "none-http2": Row("no tracing, HTTP/2", "none", traffic=HTTP2),
    "none-traceparent": Row("no tracing, traceparent comes in", "none", traffic=ONE_FORMAT),
    "none-both": Row("no tracing, traceparent and B3 come in", "none", traffic=BOTH_FORMATS),
    "none-32-headers": Row("no tracing, 32 headers", "none", traffic=Traffic(headers=32)),
    "none-64-headers": Row("no tracing, 64 headers", "none", traffic=Traffic(headers=64)),
    ZIPKIN: Row("Envoy's Zipkin tracer, 100 %", "native-zipkin"),
    "zipkin-1": Row("Envoy's Zipkin tracer, 1 %", "native-zipkin", 1),
    "opentelemetry-100": Row("Envoy's OpenTelemetry tracer, 100 %", "native-opentelemetry"),
    OPENTELEMETRY: Row("the same, 256 spans a flush", "native-opentelemetry", flush=256),
    "opentelemetry-1": Row("Envoy's OpenTelemetry tracer, 1 %", "native-opentelemetry", 1),
    "opentelemetry-unsampled": Row(
        "Envoy's OpenTelemetry tracer, 1 %, unsampled traceparent in", "native-opentelemetry", 1, ONE_FORMAT
    ),
    "meshspan-100": Row("meshspan, 100 %"),
    "meshspan-otlp-100": Row("meshspan, 100 %, OTLP", protocol=OTLP),
    "meshspan-1": Row("meshspan, 1 %", sampling=1),
    "meshspan-0": Row("meshspan, 0 %", sampling=0),
    "meshspan-traceparent-1": Row("meshspan, 1 %, writes traceparent only", sampling=1, inject=("tracecontext",)),
    "meshspan-unsampled": Row("meshspan, 1 %, unsampled traceparent in", sampling=1, traffic=ONE_FORMAT),
    "meshspan-passes": Row("meshspan, 1 %, unsampled traceparent and B3 in", sampling=1, traffic=BOTH_FORMATS),
    "meshspan-gzip-100": Row("meshspan, 100 %, gzip", compression="gzip"),
    "meshspan-otlp-gzip-100": Row("meshspan, 100 %, OTLP, gzip", protocol=OTLP, compression="gzip"),
    "opentelemetry-outbound": Row("Envoy's OpenTelemetry tracer, outbound", "native-opentelemetry", traffic=OUTBOUND),
    "meshspan-outbound": Row("meshspan, 100 %, outbound", traffic=OUTBOUND),
    "meshspan-otlp-outbound": Row("meshspan, 100 %, OTLP, outbound", traffic=OUTBOUND, protocol=OTLP),
    "opentelemetry-http2": Row("Envoy's OpenTelemetry tracer, HTTP/2", "native-opentelemetry", traffic=HTTP2),
    "meshspan-http2": Row("meshspan, 100 %, HTTP/2", traffic=HTTP2),
    "meshspan-1-http2": Row("meshspan, 1 %, HTTP/2", sampling=1, traffic=HTTP2),
    "meshspan-8-tags": Row("meshspan, 100 %, 8 custom tags", tags=8),
    "meshspan-32-tags": Row("meshspan, 100 %, 32 custom tags", tags=32),
    "meshspan-32-headers": Row("meshspan, 100 %, 32 headers", traffic=Traffic(headers=32)),
    "meshspan-64-headers": Row("meshspan, 100 %, 64 headers", traffic=Traffic(headers=64)),
    "meshspan-1-64-headers": Row("meshspan, 1 %, 64 headers", sampling=1, traffic=Traffic(headers=64)),
}
BASES = {row.traffic: name for name, row in ROWS.items() if row.tracer == "none"}
# What is compared with the committed figures in every test run.
CHECKED = ["none", "none-both", "meshspan-100", "meshspan-otlp-100", "meshspan-0", "meshspan-passes"]
COMMITTED = Path(__file__).with_name("bench_figures.json")
TOLERANCE = 0.03


@dataclass(frozen=True)
class Promise:
    """A row costs at most `most` of another."""

    row: str
    other: str
    most: float


PROMISES = (
    Promise("meshspan-100", OPENTELEMETRY, 0.80),
    Promise("meshspan-otlp-100", OPENTELEMETRY, 0.80),
    Promise("meshspan-100", ZIPKIN, 0.26),
    Promise("meshspan-otlp-100", ZIPKIN, 0.26),
    Promise("meshspan-1", "opentelemetry-1", 2.0),
    Promise("meshspan-traceparent-1", "opentelemetry-1", 1.5),
    Promise("meshspan-passes", "opentelemetry-1", 1.3),
)


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
    parser.add_argument("--requests", type=int, metavar="N", help="how many are counted in each row (1024)")
    parser.add_argument("--warmup", type=int, metavar="N", help="how many go before (1500)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--check", action="store_true", help=f"compare {', '.join(CHECKED)} with {COMMITTED.name}")
    parser.add_argument("--commit", action="store_true", help=f"write these figures to {COMMITTED.name}")
    parser.add_argument("--quick", action="store_true", help="fewer requests: 200 after 300")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "bench.json", help="the JSON file")
    options = parser.parse_args(arguments)
    if options.check or options.commit:
        options.rows, options.requests, options.warmup = CHECKED, 300, 1200
    options.requests = options.requests or (200 if options.quick else 1024)
    options.warmup = options.warmup or (300 if options.quick else 1500)
    if min(options.requests, options.warmup) < 20:
        parser.error("--requests, --warmup: at least 20")
    wanted = {*options.rows, *(BASES[ROWS[name].traffic] for name in options.rows)}
    options.rows = [name for name in ROWS if name in wanted]
    return options


def proxy_config(row: Row, upstream: Sink, collector: Sink) -> Config:
    """The sidecar of `envoy/dockebi.yaml` with one listener; the tracers' batches are as shipped."""
    config = configuration.load("dockebi")
    wanted = LISTENERS[row.traffic.direction]
    kept = [one for one in configuration.listeners(config) if one["name"] == wanted]
    config["static_resources"]["listeners"] = kept
    to_upstream = ("127.0.0.1", upstream.port)
    endpoints = {("127.0.0.1", 8080): to_upstream, ("dockebi-storage", 15006): to_upstream}
    configuration.relocate(config, {**endpoints, ("zipkin", 9411): ("127.0.0.1", collector.port)})
    configuration.set_module(config)
    plugin = {**configuration.plugin_configuration(config), "sampling": row.sampling}
    for number in range(1, row.tags):
        tag = {"header": {"name": f"x-extra-{number}", "defaultValue": f"value-{number}"}}
        plugin.setdefault("customTags", {})[f"tag-{number}"] = tag
    collector_of_row = {"protocol": row.protocol, "compression": row.compression}
    plugin["collector"] = {**plugin.get("collector", {}), **collector_of_row}
    if row.inject:
        plugin["propagation"] = {"inject": row.inject}
    configuration.set_plugin_configuration(config, plugin)
    if row.flush:
        # No timer before that many have come: callgrind makes seconds short.
        set_native_flush(config, row.flush, 60_000)
    return set_tracer(config, row.tracer, row.sampling)


class Load:
    """Sends requests with h2load: one after the other on each of four connections."""

    def __init__(self, traffic: Traffic, port: int, folder: Path) -> None:
        extra = {f"x-extra-{number}": f"value-{number}" for number in range(1, traffic.headers - 7)}
        headers = {":authority": HOSTS[traffic.direction], **HEADERS, **extra, **CONTEXTS[traffic.context]}
        self._command = ["h2load", "-c1", "-t1", "-m1", f"http://127.0.0.1:{port}{PATH}"]
        if not traffic.http2:
            self._command.append("--h1")
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
        counted = CountedEnvoy("envoy", proxy_config(row, upstream, collector), folder)
        try:
            load = Load(row.traffic, counted.envoy.port, folder)
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
    """What each way to trace adds to no tracing of the same traffic."""
    return {
        name: count.instructions - counts[BASES[ROWS[name].traffic]].instructions
        for name, count in counts.items()
        if ROWS[name].tracer != "none"
    }


def faults(over: dict[str, float]) -> list[str]:
    """Which promises do not hold, of those whose rows were counted."""
    return [
        f"{one.row} is {over[one.row] / over[one.other]:.2f} of {one.other}, promised is {one.most:.2f}"
        for one in PROMISES
        if {one.row, one.other} <= over.keys() and over[one.row] > one.most * over[one.other]
    ]


def worse_than_committed(counts: dict[str, Count]) -> list[str]:
    """Which rows execute more than they did when the figures were committed.

    The C library does the same by more or fewer instructions on another processor, so what was
    committed is taken in proportion to the row without tracing.
    """
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    here = counts["none"].instructions / committed["none"]
    return [
        f"{name} executes {count.instructions:,.0f} instructions a request, committed are {committed[name] * here:,.0f}"
        for name, count in counts.items()
        if count.instructions > (1 + TOLERANCE) * committed[name] * here
    ]


def result_table(counts: dict[str, Count], over: dict[str, float]) -> Table:
    """The figures as a table."""
    table = Table(title="instructions a request (GET, 8 headers; the whole Envoy, one worker)")
    table.add_column("")
    headings = ("in all", "over no tracing", "OpenTelemetry tuned = 1", "Zipkin = 1", "halves differ by", "spans", "exports")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, count in counts.items():
        first, second = count.halves
        added = f"{over[name]:,.0f}" if name in over else ""
        ratios = [
            f"{over[name] / over[other]:.2f}" if {name, other} <= over.keys() else "" for other in (OPENTELEMETRY, ZIPKIN)
        ]
        apart = f"{abs(first - second) / count.instructions:.1%}"
        table.add_row(
            ROWS[name].title, f"{count.instructions:,.0f}", added, *ratios, apart, str(count.spans), str(count.exports)
        )
    return table


def border(console: Console) -> dict[str, dict[str, int]]:
    """How often a request crosses the border, by callback and hostcall."""
    tag = {"customTags": {"account": {"header": {"name": "x-account-id"}}}}
    requests = {
        "sampled": ({"sampling": 100, **tag}, {}),
        "not sampled": ({"sampling": 0, **tag}, {}),
        "unsampled, passes": ({"sampling": 0, **tag}, BOTH),
    }
    counts = {
        name: crossings(config, "inbound", PATH, [*HEADERS.items(), *context.items()])
        for name, (config, context) in requests.items()
    }
    table = Table(title="callbacks and hostcalls of one request")
    table.add_column("")
    for name in counts:
        table.add_column(name, justify="right")
    for call in sorted({call for calls in counts.values() for call in calls}):
        table.add_row(call, *(str(calls.get(call, "")) for calls in counts.values()))
    console.print(table)
    return counts


def result_json(
    options: argparse.Namespace, counts: dict[str, Count], over: dict[str, float], calls: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """The figures for a program."""
    rows = {
        name: {"title": ROWS[name].title, **asdict(count), "over_base": over.get(name)}
        for name, count in counts.items()
    }
    request = {"method": "GET", "path": PATH, "headers": {"host": HOSTS["inbound"], **HEADERS}}
    return {
        "unit": "instructions a request",
        "request": request,
        "warmup": options.warmup,
        "requests": options.requests,
        "module_bytes": MODULE.stat().st_size,
        "rows": rows,
        "crossings": calls,
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
    console.print(result_table(counts, over))
    result = result_json(options, counts, over, {} if options.check else border(console))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.commit:
        figures = {name: round(count.instructions) for name, count in counts.items()}
        COMMITTED.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    found = faults(over) + (worse_than_committed(counts) if options.check else [])
    for fault in found:
        console.print(f"[red]{fault}[/red]", highlight=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
