"""The benchmark's command line.

It ends with code 1 if a promise does not hold or, with `--check`, if a row executes 3 % more than
when the figures in `bench_figures.json` were committed, or the module is larger by that; `--commit`
writes them anew, which wants a reason.  No time is promised: any machine, busy or not, gives the
same figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ..callgrind import missing_programs
from ..config import MODULE, REPOSITORY
from ..processes import ProcessFailed, end_with_parent, new_run_folder
from . import __doc__ as summary
from .border import border
from .committed import COMMITTED, commit, worse_than_committed
from .counting import count_rows, over_base
from .growth import growth_table, growths
from .latency import latency_table, measure_latency
from .memory import measure_memory, memory_faults, memory_table
from .report import faults, result_table, rows_json
from .rows import BASES, CHECKED, ROWS
from .start import measure_start, start_table
from .worst import measure_worst, worst_faults, worst_json, worst_table


@dataclass
class Found:
    """What a part of the benchmark found, for programs, and which promises do not hold."""

    figures: dict[str, Any]
    faults: list[str] = field(default_factory=list)


def count_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """Instructions of a request, row by row."""
    counts = count_rows(options, console, folder)
    over = over_base(counts)
    console.print(result_table(counts, over))
    console.print(growth_table(counts, over))
    if options.commit:
        commit(counts)
    worse = worse_than_committed(counts) if options.check else []
    growth = {name: asdict(one) for name, one in growths(over).items()}
    return Found({**rows_json(options, counts, over), "growth": growth}, faults(over) + worse)


def border_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """Callbacks and hostcalls of a request, and what each costs."""
    return Found(border(options, console, folder))


def start_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """What comes before the first request."""
    starts = measure_start(console, folder)
    console.print(start_table(starts))
    return Found({"start": {name: asdict(one) for name, one in starts.items()}})


def memory_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """Memory at rest."""
    memory = measure_memory(console, folder)
    console.print(memory_table(memory))
    return Found({"memory_bytes": {name: asdict(one) for name, one in memory.items()}}, memory_faults(memory))


def latency_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """Time that tracing adds, which is shown and never judged."""
    latencies = measure_latency(console, folder)
    console.print(latency_table(latencies))
    return Found({"latency": asdict(latencies)})


def worst_part(options: argparse.Namespace, console: Console, folder: Path) -> Found:
    """What the worst requests cost, and how that grows."""
    worst = measure_worst(console, folder, options.case)
    console.print(worst_table(worst))
    return Found({"worst": worst_json(worst)}, worst_faults(worst))


PARTS: dict[str, Callable[[argparse.Namespace, Console, Path], Found]] = {
    "rows": count_part,
    "border": border_part,
    "start": start_part,
    "memory": memory_part,
    "latency": latency_part,
    "worst": worst_part,
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh.bench", description=(summary or "").split("\n")[0])
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, help=f"of {', '.join(PARTS)}; all but the last (with --rows the first two)"
    )
    parser.add_argument("--requests", type=int, metavar="N", help="how many are counted in each row (1024)")
    parser.add_argument("--warmup", type=int, metavar="N", help="how many go before (1500)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--case", default="", metavar="TEXT", help="only the worst requests whose titles have this")
    parser.add_argument("--check", action="store_true", help=f"compare {', '.join(CHECKED)} with {COMMITTED.name}")
    parser.add_argument("--commit", action="store_true", help=f"write these figures to {COMMITTED.name}")
    parser.add_argument("--quick", action="store_true", help="fewer requests: 200 after 300")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "bench.json", help="the JSON file")
    options = parser.parse_args(arguments)
    if options.check or options.commit:
        options.parts, options.rows, options.requests, options.warmup = ["rows"], CHECKED, 300, 1200
    options.parts = options.parts or (["rows", "border"] if options.rows else list(PARTS)[:-1])
    options.rows = options.rows or list(ROWS)
    options.requests = options.requests or (200 if options.quick else 1024)
    options.warmup = options.warmup or (300 if options.quick else 1500)
    if min(options.requests, options.warmup) < 20:
        parser.error("--requests, --warmup: at least 20")
    wanted = {*options.rows, *(BASES[ROWS[name].traffic] for name in options.rows)}
    options.rows = [name for name in ROWS if name in wanted]
    return options


def main() -> int:
    """Run the benchmark; the exit code says whether the promises hold."""
    options = parse_arguments()
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    console = Console() if sys.stdout.isatty() else Console(width=120, no_color=True)
    fault = cannot_run()
    if fault:
        console.print(fault, highlight=False)
        return 1
    console.print(f"the module has {MODULE.stat().st_size:,} bytes", highlight=False)
    result: dict[str, Any] = {"module_bytes": MODULE.stat().st_size}
    found: list[str] = []
    try:
        folder = new_run_folder()
        for name in options.parts:
            part = PARTS[name](options, console, folder)
            result |= part.figures
            found += part.faults
    except (ProcessFailed, TimeoutError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({**result, "faults": found}, indent=1) + "\n", encoding="utf-8")
    for fault in found:
        console.print(f"[red]{fault}[/red]", highlight=False)
    return 1 if found else 0


def cannot_run() -> str | None:
    """One line on what is missing here, if anything is."""
    if not MODULE.is_file():
        return "dist/meshspan.wasm is not there: run make build first"
    if os.environ.get("ENVOY", "").startswith("docker:"):
        return "callgrind cannot count inside a container: set ENVOY to a program, or leave it unset"
    return missing_programs()


if __name__ == "__main__":
    sys.exit(main())
