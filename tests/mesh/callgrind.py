"""An Envoy under callgrind: how many instructions it executes while something happens.

Hardware counters are not there in most containers, and times are too noisy to compare;
instructions repeat to well under a percent, whatever else the machine does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from .config import Config
from .envoy import Envoy
from .processes import ProcessFailed

# Valgrind runs everything some fifty times slower.
_START_TIMEOUT = 300.0
_COMMAND_TIMEOUT = 120.0

_TOTALS = re.compile(r"^(?:totals|summary): (\d+)$", re.MULTILINE)


def missing_programs() -> str | None:
    """One line that says how to get what counting needs; None if all is there."""
    packages = {"valgrind": "valgrind", "vgdb": "valgrind", "h2load": "nghttp2-client"}
    missing = sorted({package for program, package in packages.items() if not shutil.which(program)})
    if not missing:
        return None
    names = " ".join(missing)
    return f"the benchmark needs {names}: make debian-packages, or apt-get install {names}"


class CountedEnvoy:
    """A running Envoy whose instructions can be counted; all its threads count."""

    def __init__(self, name: str, config: Config, folder: Path, workers: int = 1) -> None:
        self._prefix = f"--vgdb-prefix={folder / 'vgdb'}"
        self._out = folder / f"{name}.callgrind"
        self._dumps = 0
        callgrind = ["valgrind", "--tool=callgrind", self._prefix, f"--callgrind-out-file={self._out}"]
        # V8 writes code at run time; without the check valgrind would run what was there before.
        callgrind += ["--smc-check=all-non-file", "--instr-atstart=no"]
        self.envoy = Envoy(name, config, folder, workers, under=callgrind, start_timeout=_START_TIMEOUT)

    def count(self, work: Callable[[], None]) -> int:
        """Do `work`; the instructions that Envoy executed meanwhile."""
        self._tell("instrumentation", "on")
        try:
            work()
        finally:
            self._tell("instrumentation", "off")
        self._tell("dump", "counted")
        self._dumps += 1
        dump = Path(f"{self._out}.{self._dumps}")
        totals = _TOTALS.findall(dump.read_text(errors="replace"))
        if not totals:
            raise ProcessFailed(f"{dump} has no totals")
        return max(int(total) for total in totals)

    def _tell(self, *command: str) -> None:
        done = subprocess.run(
            ["vgdb", f"--pid={self.envoy.pid}", self._prefix, *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_COMMAND_TIMEOUT,
        )  # fmt: skip
        if done.returncode != 0:
            raise ProcessFailed(f"vgdb {' '.join(command)}: {done.stdout.strip()}")

    def stop(self) -> None:
        """End it."""
        self.envoy.stop()
