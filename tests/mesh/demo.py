"""The demo: requests through a real mesh, one trace on the terminal, and a verdict.

`python -m mesh.demo` (with PYTHONPATH=tests), or `make demo`.  It ends with code 0 only
if every trace arrived whole and once and nothing was dropped.  With `--scenario failures` it
samples 1 % and keeps errors; every twentieth request fails in the last service, and then the
traces of all these have to be there as well, and nothing else.  With `--app silent` the
applications forward no header, and every trace has to be whole all the same while load is low.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import silent, waterfall
from .backends import BACKENDS, Backend, start_backend
from .browser import BrowserFailed
from .cache import PartMissing
from .config import MODULE, load, plugin_configuration
from .processes import ProcessFailed, end_with_parent, new_run_folder
from .progress import progress_bar
from .requests import Connection
from .topology import SPANS_A_TRACE, Mesh
from .tracers import TRACERS
from .verdict import Verdict, judge, sampled_trace, trace_of
from .zipkin_page import take_pictures

_ARRIVAL_TIMEOUT = 20.0
# A double would come with the next batch at the latest; the batch interval is 1 s.
_SETTLE = 1.3

# One of so many requests fails, where any are to.
FAILING = 20

Answers = list[tuple[int, Any]]


class _Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = _Parser(prog="mesh.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=300, metavar="N", help="how many to send (300)")
    parser.add_argument(
        "--backend", default="builtin", choices=BACKENDS,
        help="where spans go: the built-in receiver, a real Zipkin, or a real Jaeger by OTLP",
    )  # fmt: skip
    parser.add_argument("--sampling", type=float, metavar="PERCENT", help="percentage (60, as in envoy/*.yaml)")
    parser.add_argument("--scenario", default="plain", choices=("plain", "failures"), help="whether requests fail (plain)")
    parser.add_argument(
        "--app", default="forwarding", choices=("forwarding", "silent"), help="whether applications forward trace headers"
    )
    parser.add_argument(
        "--correlation", default="infer", choices=silent.MODES, help="how calls of --app silent are linked (infer)"
    )
    parser.add_argument("--span", type=int, metavar="N", help="also show the tags of the trace's Nth span")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="save what Zipkin's web page shows")
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument("--tracer", default="meshspan", choices=TRACERS[:2], help="meshspan, or Envoy's own")
    options = parser.parse_args(arguments)
    if options.backend == "jaeger" and options.tracer != "meshspan":
        parser.error("--backend jaeger needs --tracer meshspan: Envoy's own speaks Zipkin's format")
    if options.pictures and options.backend != "zipkin":
        parser.error("--pictures needs --backend zipkin")
    if options.scenario == "failures":
        if options.tracer != "meshspan":
            parser.error("--scenario failures needs --tracer meshspan")
        if options.sampling is None:
            options.sampling = 1.0
    options.spans_a_trace = SPANS_A_TRACE
    if options.app == "silent":
        if options.tracer != "meshspan" or options.scenario != "plain":
            parser.error("--app silent needs --tracer meshspan and --scenario plain")
        if options.sampling is None:
            options.sampling = 100.0
        options.spans_a_trace = len(silent.TREE)
    if options.requests < 1:
        parser.error("--requests: at least 1")
    if options.sampling is not None and not 0 <= options.sampling <= 100:
        parser.error("--sampling: a percentage from 0 to 100")
    if options.span is not None and not 1 <= options.span <= options.spans_a_trace:
        parser.error(f"--span: a trace has the spans 1 to {options.spans_a_trace}")
    return options


def wanted_status(scenario: str, number: int) -> int:
    """What the request with this number should be answered."""
    return 500 if scenario == "failures" and number % FAILING == FAILING - 1 else 200


def send_requests(console: Console, port: int, count: int, scenario: str) -> Answers:
    """Send the requests over one connection, each for one of a few accounts."""
    answers: Answers = []
    with progress_bar(console) as progress, Connection(port) as connection:
        task = progress.add_task("requests", total=count)
        for number in range(count):
            headers = [("x-account-id", f"account-{number % 7}"), ("user-agent", "meshspan-demo")]
            status = wanted_status(scenario, number)
            path = f"/accounts/{number % 7}" if status == 200 else f"/status/{status}"
            response = connection.request("GET", path, headers, host="demo.example:8080")
            answers.append((response.status, response.json() if response.status in (200, 500) else None))
            progress.advance(task)
    return answers


def wait_for_spans(backend: Backend, expected: int) -> None:
    """Wait until all spans are there, and then for one more that should not be."""
    deadline = time.monotonic() + _ARRIVAL_TIMEOUT
    while backend.span_count() < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(_SETTLE)


def dropped_spans(mesh: Mesh) -> int:
    """Spans dropped for whatever reason, by the proxies' own statistics."""
    return sum(
        value for envoy in mesh.envoys.values() for value in envoy.stats("wasmcustom.meshspan_spans_dropped_").values()
    )


def summary(verdict: Verdict, spans: str) -> Table:
    """The table that the demo ends with; `spans` says how many are expected of what."""
    share = 100 * len(verdict.sampled) / verdict.requests
    table = Table(title="Summary", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    table.add_row("requests", str(verdict.requests), f"{verdict.not_ok} not answered as they should be")
    table.add_row("traces sampled", str(len(verdict.sampled)), f"{share:.1f} %, {verdict.percentage:g} % configured")
    if verdict.kept:
        table.add_row("failed, not sampled", str(len(verdict.kept)), "kept all the same")
    table.add_row("spans expected", str(verdict.expected), spans)
    table.add_row("spans received", str(verdict.received), "")
    table.add_row("incomplete traces", str(len(verdict.incomplete)), "")
    table.add_row("dropped", str(verdict.dropped), "wasmcustom.meshspan_spans_dropped_*")
    return table


def log_line(mesh: Mesh, trace_id: str) -> dict[str, Any] | None:
    """The line of the gateway's access log that has this trace id."""
    lines = mesh.envoys["gateway"].access_log()
    return next((line for line in lines if line["trace_id"] == trace_id), None)


def show_trace(
    console: Console, backend: Backend, trace: list[waterfall.Span], line: dict[str, Any] | None, span: int | None
) -> None:
    """Print one trace, its line in the log and a link to it, the tags asked for, and the service graph."""
    console.print()
    console.print(waterfall.waterfall(trace, console.width))
    if line is not None:
        console.print("\nIn the gateway's access log")
        console.print(Text(json.dumps(line), style="dim"), soft_wrap=True)
    link = backend.trace_url(line["trace_id"] if line else trace[0]["traceId"])
    if link:
        console.print(Text(f"\n{link}", style="underline"), soft_wrap=True)
    if span is not None and span <= len(trace):
        console.print()
        console.print(waterfall.tags(waterfall.in_order(trace)[span - 1][1]))
    console.print()
    console.print(waterfall.service_graph(backend.edges()))


def keep_running(console: Console, mesh: Mesh, backend: Backend) -> None:
    """Print what to try and wait for Ctrl-C."""
    rows = [("gateway", mesh.gateway_url), ("Zipkin", backend.web_url() or "")]
    proxies = reversed(list(mesh.envoys.items()))
    rows += [(f"{name} admin", f"http://127.0.0.1:{envoy.admin_port}") for name, envoy in proxies]
    rows += [("try", f"curl -s -H 'x-account-id: acme' {mesh.gateway_url}/accounts/acme")]
    console.print()
    for name, value in rows:
        if value:
            console.print(Text(f"{name:<22} {value}"), soft_wrap=True)
    console.print("\nRunning until Ctrl-C.")
    while True:
        signal.pause()


def sampling_of(options: argparse.Namespace) -> float | dict[str, Any] | None:
    """What stands under `sampling` in every proxy; nothing for what `envoy/` says."""
    if options.scenario == "failures":
        return {"percent": options.sampling, "keep": {"errors": True}}
    return options.sampling


def run(options: argparse.Namespace, console: Console, folder: Path) -> int:
    """Run the demo; returns the exit code."""
    is_silent = options.app == "silent"
    with console.status("starting the collector (it is fetched or built the first time)"):
        backend = start_backend(options.backend, folder)
    try:
        with console.status("starting the mesh"):
            mesh = Mesh(
                options.tracer, sampling_of(options),
                collector_port=backend.port, protocol=backend.protocol, folder=folder,
                **({"calls": silent.CALLS, "silent": True, "change": silent.set_mode(options.correlation)} if is_silent else {}),
            )  # fmt: skip
        with mesh:
            code = (run_silent if is_silent else run_requests)(options, console, mesh, backend)
            if options.keep:
                keep_running(console, mesh, backend)
            return code
    finally:
        backend.stop()


def expected_traces(answers: Answers) -> list[str]:
    """The traces that have to arrive, those of failed requests last, to be shown."""
    bodies = [(status, body["headers"]) for status, body in answers if body is not None]
    sampled = [sampled_trace(headers) for status, headers in bodies if status == 200]
    failed = [trace_of(headers) for status, headers in bodies if status == 500]
    return [trace_id for trace_id in (*sampled, *failed) if trace_id is not None]


def run_requests(options: argparse.Namespace, console: Console, mesh: Mesh, backend: Backend) -> int:
    """Send, wait, show and judge."""
    answers = send_requests(console, mesh.gateway_port, options.requests, options.scenario)
    expected = expected_traces(answers)
    with console.status("waiting for the spans"):
        wait_for_spans(backend, len(expected) * SPANS_A_TRACE)
    spans = backend.spans(expected)
    show_one(options, console, mesh, backend, waterfall.by_trace(spans), expected)
    native = options.tracer != "meshspan"
    statistic = "tracing.zipkin.spans_sent" if native else "wasmcustom.meshspan_spans_sampled"
    percentage = options.sampling
    if percentage is None:
        percentage = float(plugin_configuration(load("gateway"))["sampling"])
    verdict = judge(
        answers, percentage, spans, backend.span_count(), dropped_spans(mesh),
        mesh.stats_sum(statistic), backend.errors(), lambda number: wanted_status(options.scenario, number),
    )  # fmt: skip
    return conclude(console, verdict, f"{SPANS_A_TRACE} a trace")


def run_silent(options: argparse.Namespace, console: Console, mesh: Mesh, backend: Backend) -> int:
    """The same with applications that forward nothing."""
    parts, has_learnt = silent.send_all(console, mesh.gateway_port, options.requests)
    wanted = silent.wanted_spans(parts)
    with console.status("waiting for the spans"):
        wait_for_spans(backend, sum(spans.total() for spans in wanted.values()))
    spans = backend.spans(wanted)
    traces = waterfall.by_trace(spans)
    low = parts[1] if has_learnt else parts[0]
    show_one(options, console, mesh, backend, traces, [one.request[0] for one in low.told])
    inferred = silent.an_inferred(parts[2], traces)
    if inferred is not None:
        console.print(f"\nAnd one of those with {parts[2].title}, linked by timing")
        console.print(waterfall.waterfall(inferred, console.width))
    verdict = silent.judge_silent(
        parts, has_learnt, options.correlation, options.sampling, spans, backend.span_count(), dropped_spans(mesh),
        mesh.stats_sum("wasmcustom.meshspan_spans_sampled"), backend.errors(),
    )  # fmt: skip
    console.print()
    console.print(silent.links_table(verdict, spans))
    return conclude(console, verdict, f"{len(silent.TREE)} a trace, if its calls are in it")


def show_one(
    options: argparse.Namespace, console: Console, mesh: Mesh, backend: Backend,
    traces: dict[str, list[waterfall.Span]], expected: list[str],
) -> None:  # fmt: skip
    """Show the last of the traces that are expected: the first also pays for opening every connection."""
    if not traces:
        return
    shown = next((one for one in reversed(expected) if one in traces), next(iter(traces)))
    show_trace(console, backend, traces[shown], log_line(mesh, shown), options.span)
    if options.pictures:
        with console.status("taking pictures of Zipkin's web page"):
            take_pictures(backend.trace_url(shown) or "", backend.web_url() or "", options.pictures)


def conclude(console: Console, verdict: Verdict, spans: str) -> int:
    """Print the summary and what is wrong; returns the exit code."""
    console.print()
    console.print(summary(verdict, spans))
    failures = verdict.failures()
    for failure in failures:
        console.print(Text(f"failed: {failure}", style="red"), soft_wrap=True)
    return 1 if failures else 0


def main() -> int:
    """Run as a program."""
    options = parse_arguments()
    if "MAKELEVEL" in os.environ:
        end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    # Without a terminal (a file, CI) there is no width to keep to, and no colour.
    console = Console() if sys.stdout.isatty() else Console(width=120, no_color=True)
    if options.tracer == "meshspan" and not MODULE.is_file():
        console.print("dist/meshspan.wasm is not there: run make build first")
        return 1
    folder = new_run_folder()
    code = 1
    try:
        code = run(options, console, folder)
    except KeyboardInterrupt:
        code = 0 if options.keep else 128 + signal.SIGINT
    except SystemExit as asked_to_end:
        code = int(asked_to_end.code or 0)
    except (ProcessFailed, PartMissing, BrowserFailed) as error:
        console.print(Text(str(error), style="red"), soft_wrap=True)
    finally:
        if code == 1:
            console.print(f"The logs are in {folder}", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
