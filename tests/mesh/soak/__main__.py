"""The command line of the long runs.

It ends with code 1 if a request failed, the module trapped, the books did not balance or memory grew.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from ..callgrind import missing_programs
from ..config import MODULE, REPOSITORY
from ..processes import ProcessFailed, end_with_parent, new_run_folder
from ..progress import steps
from . import __doc__ as summary
from .report import result_table
from .stage import COLLECTORS, Outcome, Plan, Stage


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh.soak", description=(summary or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="of load at least, all runs together (10)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="at least, all runs together (1000000)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="a run for each (1 2 4)")
    parser.add_argument(
        "--collector", nargs="+", choices=COLLECTORS, default=["random"], metavar="HOW",
        help=f"a run for each of {', '.join(COLLECTORS)} (random: it fails, and the configuration changes)",
    )  # fmt: skip
    parser.add_argument("--seed", default=str(random.randrange(10**6)), help="draws the same again")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "soak.json", help="the JSON file")
    return parser.parse_args(arguments)


def main() -> int:
    """Run them all, one after the other; the exit code says whether all is well."""
    options = parse_arguments()
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    console = Console() if sys.stdout.isatty() else Console(width=160, no_color=True)
    fault = missing_programs() if MODULE.is_file() else "dist/meshspan.wasm is not there: run make build first"
    if fault:
        console.print(fault, highlight=False)
        return 1
    console.print(f"--seed {options.seed}", highlight=False)
    runs = [(collector, workers) for collector in options.collector for workers in options.workers]
    seconds, requests = options.minutes * 60 / len(runs), -(-options.requests // len(runs))
    plans = [
        Plan(collector, workers, seconds, requests, f"{options.seed} {collector} {workers}")
        for collector, workers in runs
    ]
    try:
        outcomes = [_run(plan, console) for plan in plans]
    except (ProcessFailed, TimeoutError) as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(result_table(outcomes))
    options.output.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n", encoding="utf-8")
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    for fault in faults:
        console.print(f"[red]{fault}[/red]", highlight=False)
    return 1 if faults else 0


def _run(plan: Plan, console: Console) -> Outcome:
    with steps(console, 1) as progress:
        progress.begin(f"collector {plan.collector}, {plan.workers} workers")
        stage = Stage(plan, new_run_folder())
        try:
            return stage.run(progress.advance)
        finally:
            stage.stop()


if __name__ == "__main__":
    sys.exit(main())
