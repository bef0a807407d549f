"""The cache of what is fetched or built once, shared by all checkouts."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


class PartMissing(RuntimeError):
    """A part cannot be had here; the message is one line that says what to do."""


def cache_folder() -> Path:
    """Where fetched parts are kept: `MESHSPAN_CACHE`, else the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshspan"
    return Path(os.environ.get("MESHSPAN_CACHE") or default)


def given(variable: str) -> Path | None:
    """The file that this environment variable names, if it is set."""
    path = os.environ.get(variable)
    if path and not Path(path).is_file():
        raise PartMissing(f"{variable}={path}: there is no such file")
    return Path(path) if path else None


def cached(name: str, make: Callable[[Path], Path]) -> Path:
    """The file of this name in the cache; if it is not there, what `make` makes in a folder."""
    file = cache_folder() / name
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two runs at once make it once.
    with file.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.is_file():
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                # Only a whole file ever gets the cached name.
                os.replace(make(Path(folder)), file)
    return file
