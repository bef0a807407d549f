"""How many calls get the right parent where applications forward nothing: a benchmark with ground truth.

Real Envoy, an application of each shape, requests at random moments so that 1, 2, 4, 8 and 16 are in
flight in the mean. What a proxy has learned at one load it keeps for the next. The truth is in the
bodies of requests and in the application's own log, where no filter looks.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..config import MODULE, REPOSITORY
from ..processes import ProcessFailed, end_with_parent, new_run_folder
from .application import SHAPES
from .pod import Outcome, Pod
from .record import record
from .score import Score, score

MODES = ["off", "exact", "sure", "infer"]
COLUMNS = ["right", "wrong", "link_right", "link_wrong", "unlinked", "apart"]


@dataclass
class Row:
    """A shape at one load."""

    shape: str
    mode: str
    workers: int
    load: float
    # How many were in flight in the mean.
    in_flight: float
    score: Score


@dataclass
class Window:
    """The seconds of a load, by the clock, and the mean number in flight."""

    load: float
    begin: float
    end: float
    in_flight: float


def rate_for(pod: Pod, load: float, rate: float) -> float:
    """Requests a second that keep so many in flight, found by trying.

    By Little's law, from how long requests take: how many there were by chance, and that a trial begins and ends
    with none in flight, does not count. Later trials correct half, since requests take longer where there are more.
    """
    for seconds, part in ((1.5, 1.0), (1.5, 1.0), (1.5, 0.5), (3.0, 0.5)):
        pod.load(seconds, rate)
        rate *= min(3.0, max(0.3, load / (rate * pod.mean_time))) ** part
    return rate


def run_pod(options: argparse.Namespace, shape: str, mode: str, workers: int, folder: Path) -> list[Row]:
    """One pod through all loads."""
    plugin = {"correlation": {"mode": mode, **json.loads(options.correlation)}}
    windows: list[Window] = []
    with Pod(shape, folder, plugin, workers, options.forward, options.scale) as pod:
        rate = 10.0
        for load in options.loads:
            rate = rate_for(pod, load, rate)
            begin = time.time()
            mean = pod.load(options.seconds, rate)
            windows.append(Window(load, begin, time.time(), mean))
        outcome = pod.outcome(0)
    if options.record:
        options.record.mkdir(parents=True, exist_ok=True)
        record(outcome, options.record / f"{shape}-{workers}.trace")
    return [Row(shape, mode, workers, one.load, one.in_flight, _score(outcome, one)) for one in windows]


def _score(outcome: Outcome, window: Window) -> Score:
    begin, end = window.begin * 1e6, window.end * 1e6
    return score(outcome, [call for call in outcome.calls if begin <= call.span["timestamp"] < end])


def pooled(rows: list[Row]) -> Row:
    """The calls of all shapes together."""
    total = Score()
    for row in rows:
        total.add(row.score)
    in_flight = sum(row.in_flight for row in rows) / len(rows)
    return Row("all", rows[0].mode, rows[0].workers, rows[0].load, in_flight, total)


def table(rows: list[Row], title: str) -> Table:
    """Shares of all calls in percent."""
    found = Table(title=title)
    for heading in ["shape", "in flight", "calls", *(name.replace("_", " ") for name in COLUMNS), "by"]:
        found.add_column(heading, justify="left" if heading in ("shape", "by") else "right")
    for row in rows:
        one = row.score
        shares = [f"{one.share(getattr(one, name)):.2f}" for name in COLUMNS]
        by = ", ".join(f"{name} {one.share(count):.1f}" for name, count in one.right_by.most_common())
        if one.wrong_by:
            by += "; wrong: " + ", ".join(f"{name} {count}" for name, count in one.wrong_by.most_common())
        found.add_row(row.shape, f"{row.in_flight:.1f}", str(one.calls), *shares, by)
    return found


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh.links", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="SHAPE", help=", ".join(SHAPES)
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, metavar="MODE", help=", ".join(MODES))
    parser.add_argument("--loads", nargs="+", type=float, default=[1, 2, 4, 8, 16], help="in flight in the mean")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=8, help="how long each load is measured")
    parser.add_argument("--scale", type=float, default=2, help="how slow the applications are")
    parser.add_argument("--forward", default="", help="headers that the applications forward all the same")
    parser.add_argument("--correlation", default="{}", metavar="JSON", help="more of the plugin's configuration")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="write what proxies saw, to replay (record.py)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "links.json", help="the JSON file")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, console: Console) -> list[Row]:
    """Every shape in every mode with every number of workers."""
    rows: list[Row] = []
    for mode in options.modes:
        for workers in options.workers:
            found: list[Row] = []
            for shape in options.shapes:
                found += run_pod(options, shape, mode, workers, new_run_folder())
            for load in options.loads:
                of_load = [row for row in found if row.load == load]
                of_load.append(pooled(of_load))
                title = f"{mode}, {workers} worker{'s' * (workers > 1)}, {load:g} in flight: percent of calls"
                console.print(table(of_load, title))
                rows += of_load
    return rows


def main() -> int:
    """Measure and print."""
    options = parse_arguments()
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    console = Console() if sys.stdout.isatty() else Console(width=150, no_color=True)
    if not MODULE.is_file():
        console.print("dist/meshspan.wasm is not there: run make build first", highlight=False)
        return 1
    try:
        rows = measure(options, console)
    except (ProcessFailed, TimeoutError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    result: dict[str, Any] = {"unit": "calls", "seconds": options.seconds, "rows": [vars(row) | {"score": vars(row.score)} for row in rows]}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
