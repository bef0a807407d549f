"""`make up` runs whole, and leaves nothing running however it ends; nor does a browser."""

from __future__ import annotations

import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.browser import Browser
from mesh.config import REPOSITORY
from mesh.envoy import wait_for
from mesh.topology import SPANS_A_TRACE

MARK = "MESHSPAN_TEST_RUN"
# Zipkin and the mesh start in 10 s on a machine that has nothing else to do.
UP = 120.0
GONE = 30.0


class Run:
    """A program in a session of its own, and whatever it starts, known by a mark in the environment."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._mark = f"{MARK}={uuid.uuid4()}"
        # Not the flags of the make that runs the tests.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        environment |= {MARK: self._mark.partition("=")[2], "TMPDIR": str(folder), "PYTHONPATH": "tests"}
        self.log_path = folder / "run.log"
        with self.log_path.open("wb") as log:
            self.child = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def log(self) -> str:
        """What it has printed."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_until_printed(self, text: str) -> None:
        """Wait for `text`; fails at once when the program ends before."""
        wait_for(lambda: text in self.log() or self.child.poll() is not None, UP, f"{text!r} printed")
        assert text in self.log(), f"ended with code {self.child.returncode}: {self.log()}"

    def processes(self) -> dict[int, list[str]]:
        """The command of each process that has the mark; one that has ended has no environment."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass  # it ended just now, or is another user's
        return found

    def end_what_is_left(self) -> None:
        """End all of it, for a test that failed."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.child.wait()


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    """The runs of a test; what is left of them in the end is ended."""
    runs: list[Run] = []
    yield runs
    for run in runs:
        run.end_what_is_left()


def _programs(run: Run) -> collections.Counter[str]:
    """How many of which program run, by what they are in the mesh."""
    signs = {"make": r"^make ", "demo": r"-m mesh\.demo ", "Zipkin": r"^\S*java ", "Envoy": r"^\S*envoy -c ",
             "application": r"application\.py "}  # fmt: skip
    commands = [" ".join(command) for command in run.processes().values()]
    named = [next((name for name, sign in signs.items() if re.search(sign, one)), one) for one in commands]
    return collections.Counter(named)


@pytest.mark.parametrize(
    ("ended", "how", "tidy"),
    [
        # As a terminal does it: everybody in the foreground gets it.
        ("group", signal.SIGINT, True),
        ("make", signal.SIGTERM, True),
        ("make", signal.SIGKILL, True),
        ("demo", signal.SIGKILL, False),
    ],
)
def test_make_up_leaves_nothing(ended: str, how: signal.Signals, tidy: bool, runs: list[Run], tmp_path: Path) -> None:
    run = Run(["make", "up", "REQUESTS=5", "SAMPLING=100"], tmp_path)
    runs.append(run)
    run.wait_until_printed("Running until Ctrl-C.")
    assert _programs(run) == {"make": 1, "demo": 1, "Zipkin": 1, "Envoy": 3, "application": 2}
    _check_the_link(run.log())

    (demo,) = [pid for pid, command in run.processes().items() if "mesh.demo" in command]
    if ended == "group":
        os.killpg(run.child.pid, how)
    else:
        os.kill(run.child.pid if ended == "make" else demo, how)
    run.child.wait(GONE)
    wait_for(lambda: not run.processes(), GONE, "the end of all processes")
    # Only who is killed himself cannot take his logs away.
    assert bool(list(tmp_path.glob("meshspan-*"))) is not tidy


def _check_the_link(log: str) -> None:
    """The link that was printed is that of a whole trace in the Zipkin that runs."""
    (server, trace_id) = re.findall(r"^(http://127\.0\.0\.1:\d+)/zipkin/traces/([0-9a-f]{32})$", log, re.MULTILINE)[0]
    with urllib.request.urlopen(f"{server}/zipkin/api/v2/trace/{trace_id}", timeout=30) as answer:
        spans = json.load(answer)
    assert len(spans) == SPANS_A_TRACE


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for a browser's socket, whose path may have 107 characters; pytest's folders have too many."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


_WAITING_BROWSER = """
import pathlib, sys, time
from mesh.browser import Browser
with Browser(pathlib.Path(sys.argv[1])):
    # No word of an error's.
    print("BROWSER IS UP", flush=True)
    time.sleep(600)
"""


def test_a_browser_goes_with_the_killed_one_who_started_it(runs: list[Run], short_folder: Path) -> None:
    run = Run([sys.executable, "-c", _WAITING_BROWSER, str(short_folder)], short_folder)
    runs.append(run)
    run.wait_until_printed("BROWSER IS UP")
    # A process that is changing its title shows none for a moment.
    wait_for(lambda: _chromiums(short_folder), GONE, "the browser's processes")
    run.child.kill()
    run.child.wait(GONE)
    wait_for(lambda: not _chromiums(short_folder), GONE, "the end of the browser")


def test_a_browser_that_is_stopped_is_gone_with_its_profile(tmp_path: Path) -> None:
    with Browser(tmp_path):
        assert _chromiums(tmp_path)
        assert list(tmp_path.glob("chromium-*"))
    assert not _chromiums(tmp_path)
    assert not list(tmp_path.glob("chromium-*"))


def _chromiums(folder: Path) -> list[int]:
    """The browser's processes by their profile: it overwrites their environment with titles."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"--user-data-dir={folder}".encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended just now
    return found
