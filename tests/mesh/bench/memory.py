"""How much memory a module takes in an Envoy at rest: once, and in each virtual machine more.

Counted is what the process shares with no file (`Anonymous` of smaps_rollup): it hardly depends on what
else runs.  The first machines of a process fit into what compiling the module left free, so
what one more takes is measured between many workers and more.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .. import config as configuration
from ..background import BackgroundLoop
from ..envoy import Envoy
from ..progress import steps
from ..sink import Sink
from .counting import proxy_config
from .modules import MODULES
from .rows import ROWS

NONE = "no module"
# Workers; there is a virtual machine in each, and one on the main thread.
FEW, MANY, MORE = 1, 8, 32
RUNS = 3
MIB = 1 << 20
# What a virtual machine may take over one of the minimal module.
MOST_OVER_MINIMAL = 2 * MIB


@dataclass(frozen=True)
class Memory:
    """Bytes that an Envoy with a module takes over the same Envoy without, and how far runs were apart."""

    one_worker: float
    each_vm_more: float
    spread: float


def measure_memory(console: Console, folder: Path) -> dict[str, Memory]:
    """Start Envoys with few workers and with many; the medians."""
    kinds = (NONE, *MODULES)
    taken: dict[tuple[str, int], list[int]] = {}
    with steps(console, RUNS * len(kinds) * 3) as progress:
        # Kind after kind in each run: what changes with time hits all of them.
        for run in range(RUNS):
            for workers in (FEW, MANY, MORE):
                for kind in kinds:
                    progress.begin(f"memory: {kind}, {workers} workers")
                    run_folder = folder / f"{kind}-{workers}-{run}"
                    run_folder.mkdir()
                    taken.setdefault((kind, workers), []).append(_taken(kind, workers, run_folder))
                    progress.advance()
    medians = {key: statistics.median(values) for key, values in taken.items()}

    def over_none(kind: str) -> Memory:
        few, many, more = (medians[kind, workers] - medians[NONE, workers] for workers in (FEW, MANY, MORE))
        spread = max(max(taken[kind, workers]) - min(taken[kind, workers]) for workers in (FEW, MANY, MORE))
        return Memory(few, (more - many) / (MORE - MANY), spread)

    return {kind: over_none(kind) for kind in MODULES}


def _taken(kind: str, workers: int, folder: Path) -> int:
    loop = BackgroundLoop("memory")
    upstream, collector = Sink(loop, 200), Sink(loop, 200)
    try:
        config = proxy_config(ROWS["none" if kind == NONE else "meshspan-100"], upstream, collector)
        if kind != NONE:
            configuration.set_module(config, MODULES[kind])
        envoy = Envoy("envoy", config, folder, workers)
        try:
            # The workers' machines are there when it is live; the threads that compiled come to rest.
            time.sleep(2)
            return envoy.anonymous()
        finally:
            envoy.stop()
    finally:
        upstream.stop()
        collector.stop()
        loop.stop()


def memory_table(memory: dict[str, Memory]) -> Table:
    """The figures as a table."""
    table = Table(title=f"memory at rest over an Envoy without a module, MB (medians of {RUNS})")
    for heading in ("", "one worker", "each virtual machine more", "runs apart by"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind, one in memory.items():
        table.add_row(kind, *(f"{value / MIB:.2f}" for value in (one.one_worker, one.each_vm_more, one.spread)))
    return table


def memory_faults(memory: dict[str, Memory]) -> list[str]:
    """Whether a virtual machine takes more than is promised."""
    ours, minimal = memory["meshspan"], memory["minimal module"]
    over = ours.each_vm_more - minimal.each_vm_more
    if over <= MOST_OVER_MINIMAL:
        return []
    return [f"a virtual machine takes {over / MIB:.1f} MB more than that of the minimal module, promised are 2"]
