"""What a module takes before the first request: loading it, and on_configure in a new virtual machine.

An Envoy with another module gets it by ECDS while instructions are counted: first the module, which V8
then compiles, and then twice a new `vm_id`, for which Envoy starts three virtual machines: one on
the main thread that is never configured, one that tries the configuration, and the worker's.
What on_configure takes is the difference to the same module without that callback.
"""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..callgrind import CountedEnvoy
from ..ecds import ExtensionConfig
from ..envoy import Envoy, wait_for
from ..processes import ProcessFailed
from ..progress import steps
from .discovered import Discovered, taken, wait_until_idle
from .modules import MINIMAL, MODULES, without

CONFIGURE = "proxy_on_configure"
# How many new vm_ids.
TIMES = 3
_CONFIGURED = 2
_LINE = re.compile(rf"^\[(\S+)\]\[(\d+)\] \[(host->vm|host<-vm)\] {CONFIGURE}\b", re.MULTILINE)
_LOG_FORMAT = {"log_format": {"text_format": "[%T.%f][%t] %v"}}


@dataclass(frozen=True)
class Start:
    """Instructions, and seconds that depend on the machine."""

    # Once in a process.
    load: float
    new_vms: float
    configure: float
    configure_seconds: float


def measure_start(console: Console, folder: Path) -> dict[str, Start]:
    """Count the start of each module."""
    starts = {}
    with steps(console, 3 * len(MODULES)) as progress:
        for name, module in MODULES.items():
            progress.begin(f"start: {name}")
            first, whole = _pushes(module, folder)
            progress.advance()
            _, unconfigured = _pushes(without(CONFIGURE, module, folder), folder, count_first=False)
            progress.advance()
            configure = (whole - unconfigured) / _CONFIGURED
            starts[name] = Start(first - whole, whole, configure, _seconds(module, folder))
            progress.advance()
    return starts


def another(folder: Path) -> Path:
    """A module to begin with: not the minimal one itself, which would be loaded already when it is measured."""
    return without("proxy_on_tick", MINIMAL, folder)


def _pushes(module: Path, folder: Path, count_first: bool = True) -> tuple[float, float]:
    """Instructions of the first virtual machines with this module, and of those after."""
    starting = Discovered(another(folder), folder)
    try:
        counted = CountedEnvoy(f"start-{module.stem}", starting.config, folder)
        try:
            first, *later = (
                _push(counted, starting.discovery, module, str(number), count_first or number > 0)
                for number in range(1 + TIMES)
            )
            return first, statistics.median(later)
        finally:
            counted.stop()
    finally:
        starting.stop()


def _push(counted: CountedEnvoy, discovery: ExtensionConfig, module: Path, vm_id: str, count: bool) -> int:
    """Give it the module in new virtual machines; the instructions of that, if they are to be counted."""
    before = taken(counted.envoy)

    def push() -> None:
        discovery.replace_module(module, vm_id)
        wait_until_idle(counted.envoy.pid)

    instructions = 0
    if count:
        instructions = counted.count(push)
    else:
        push()
    if taken(counted.envoy) != before + 1:
        raise ProcessFailed(f"Envoy did not take {module}")
    return instructions


def _seconds(module: Path, folder: Path) -> float:
    """Wall time of on_configure, the shortest of some, with Envoy writing each hostcall to its log."""
    starting = Discovered(another(folder), folder)
    starting.config["application_log_config"] = _LOG_FORMAT
    try:
        envoy = Envoy(f"wall-{module.stem}", starting.config, folder)
        try:
            envoy.admin("/logging?wasm=trace", "POST")
            for number in range(1 + TIMES):
                before = taken(envoy)
                starting.discovery.replace_module(module, str(number))
                wait_for(lambda before=before: taken(envoy) > before, what="the configuration taken")
            time.sleep(1)
            return min(_durations(envoy.log()))
        finally:
            envoy.stop()
    finally:
        starting.stop()


def _durations(log: str) -> list[float]:
    began: dict[str, datetime] = {}
    durations = []
    for at, thread, direction in _LINE.findall(log):
        when = datetime.strptime(at, "%H:%M:%S.%f")
        if direction == "host->vm":
            began[thread] = when
        else:
            durations.append((when - began.pop(thread)).total_seconds())
    return durations


def start_table(starts: dict[str, Start]) -> Table:
    """The figures as a table."""
    table = Table(title="start, one worker: instructions, and wall time on this machine")
    for heading in ("", "load, once a process", "new VMs for a new vm_id", "on_configure, each", "wall time"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, one in starts.items():
        counts = (f"{count:,.0f}" for count in (one.load, one.new_vms, one.configure))
        table.add_row(name, *counts, f"{one.configure_seconds * 1000:.1f} ms")
    return table
