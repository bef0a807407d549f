"""The benchmark's command line.

It ends with code 1 if a promise about Envoy's own tracers does not hold or, with `--check`, if a
row executes 3 % more than when the figures in `bench_figures.json` were committed; `--commit`
writes them anew, which wants a reason.  There is no time in it, so that any machine, busy or not,
gives the same figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from ..callgrind import missing_programs
from ..config import MODULE, REPOSITORY
from ..processes import ProcessFailed, end_with_parent, new_run_folder
from . import __doc__ as summary
from .border import border
from .committed import COMMITTED, commit, worse_than_committed
from .counting import count_rows, over_base
from .report import faults, result_json, result_table
from .rows import BASES, CHECKED, ROWS


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh.bench", description=(summary or "").split("\n")[0])
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
        commit(counts)
    found = faults(over) + (worse_than_committed(counts) if options.check else [])
    for fault in found:
        console.print(f"[red]{fault}[/red]", highlight=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
