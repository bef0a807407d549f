"""A copy of the source, for what builds in a folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .config import REPOSITORY

_BUILT_OR_CACHED = shutil.ignore_patterns("target", "dist", ".*_cache", ".git", ".run", "__pycache__")


def checkout(folder: Path) -> Path:
    """Copy the source, and nothing that was built from it, to a folder that is not there yet."""
    return shutil.copytree(REPOSITORY, folder, ignore=_BUILT_OR_CACHED)


def environment(**more: str) -> dict[str, str]:
    """The environment without the flags of the make that runs the tests, and with more."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "CARGO_TARGET"))}
    return own | more
