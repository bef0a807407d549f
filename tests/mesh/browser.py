"""A web page as a person sees it: in a headless Chromium (Debian's package chromium)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# The page's own clock: it is let run this far, however long that takes in real time.
_PAGE_TIME_MS = 15_000


class BrowserMissing(RuntimeError):
    """There is no Chromium here; the message says how to get it."""


def _open(url: str, *options: str) -> str:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise BrowserMissing("Chromium is not here: on Debian apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        command = [program, "--headless=new", "--disable-gpu", "--window-size=1400,800", f"--user-data-dir={profile}"]
        command += [f"--virtual-time-budget={_PAGE_TIME_MS}", *options, url]
        if os.getuid() == 0:  # Chromium's sandbox refuses to run as root, as in a container
            command.insert(1, "--no-sandbox")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{program} ended with code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def page_text(url: str) -> str:
    """The page's document once its scripts have run."""
    return _open(url, "--dump-dom")


def screenshot(url: str, path: Path) -> None:
    """Save a picture of the page, 1400 by 800, as PNG."""
    _open(url, f"--screenshot={path.resolve()}")
