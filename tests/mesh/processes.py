"""Child processes that never outlive us, even when we are killed with SIGKILL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Linux ends a child together with the *thread* that started it, so every child is
# started by this one thread, which lives as long as the process does.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")

# Runs in the child before the program: asks the kernel for a signal at the parent's
# death, leaves if the parent died before that was asked, and becomes the program.
_LAUNCHER = """
import ctypes, os, sys
parent, last_signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, last_signal, 0, 0, 0)
if os.getppid() != parent:
    sys.exit("the process that started this one is gone")
try:
    os.execvp(program[0], program)
except OSError as error:
    sys.exit(f"{program[0]}: {error.strerror}")
"""


class ProcessFailed(RuntimeError):
    """A child process ended, or did not get ready; the message ends with its log."""


def new_run_folder(parent: Path | None = None) -> Path:
    """Make a fresh folder for the logs and files of one run."""
    return Path(tempfile.mkdtemp(prefix="meshspan-", dir=parent))


def end_with_parent() -> None:
    """Have this process stopped (SIGTERM) when the one that started it goes away."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free just now, for a program that does not say which it got for 0."""
    free = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in free]
    for one in free:
        one.close()
    return ports


class Process:
    """One running program with its log file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        orphan_signal: signal.Signals = signal.SIGKILL,
        listening: socket.socket | None = None,
    ) -> None:
        """Start `command`; `orphan_signal` is what it gets if this process dies.

        `listening` is a socket that the program inherits, under the number it has here.
        """
        self.name = name
        self.log_path = folder / f"{name}.log"
        launch = [sys.executable, "-S", "-E", "-c", _LAUNCHER, str(os.getpid()), str(int(orphan_signal))]
        with self.log_path.open("ab") as log:
            self._child = _STARTER.submit(
                subprocess.Popen,
                [*launch, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                # Ctrl-C in a terminal reaches the whole foreground group; we end the
                # children ourselves, in order, so that last spans still get out.
                start_new_session=True,
                pass_fds=() if listening is None else (listening.fileno(),),
            ).result()

    @property
    def pid(self) -> int:
        """The process id, the program's own (the launcher became the program)."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._child.poll()

    def log(self) -> str:
        """Everything the program has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def failed(self, why: str) -> ProcessFailed:
        """The error to raise for this process, with the end of its log."""
        tail = "\n".join(self.log().splitlines()[-25:])
        return ProcessFailed(f"{self.name} {why}; {self.log_path} ends with:\n{tail}")

    def wait_until(self, ready: Callable[[], T], timeout: float = 30.0, what: str = "ready") -> T:
        """Poll `ready()` until it returns something true, and return that."""
        deadline = time.monotonic() + timeout
        while True:
            if self.returncode is not None:
                raise self.failed(f"ended with code {self.returncode} before it was {what}")
            answer = ready()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise self.failed(f"was not {what} after {timeout:g} s")
            time.sleep(0.02)

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM, wait, and SIGKILL only if it does not listen; returns the exit code."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(grace)
            except subprocess.TimeoutExpired:
                self._child.kill()
        return self._child.wait()
