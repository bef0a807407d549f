"""Programs that Go builds from modules of ours, with all their parts pinned by a `go.sum`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cache import PartMissing, cached, given


@dataclass(frozen=True)
class GoProgram:
    """A program, and the environment variable that takes one that is there."""

    name: str
    variable: str
    # The folder with `go.mod`, and which package in it or of its parts is built.
    module: Path
    package: str = "."

    def path(self) -> str:
        """Where it is: given, in the cache, or built, which takes minutes the first time."""
        return str(given(self.variable) or cached(f"{self.name}-{self._digest()}", self._build))

    def _digest(self) -> str:
        sources = [path for path in sorted(self.module.rglob("*")) if path.suffix in (".go", ".mod", ".sum")]
        return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]

    def _build(self, folder: Path) -> Path:
        go = shutil.which("go")
        if go is None:
            raise PartMissing(
                f"{self.name} is built with Go 1.24 or later: install it (https://go.dev/dl), or set {self.variable}"
            )
        built = folder / self.name
        command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(built), self.package]
        done = subprocess.run(command, cwd=self.module, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            last = (done.stdout.strip().splitlines() or ["go build failed"])[-1]
            raise PartMissing(f"{self.name} could not be built ({last}); set {self.variable} to one that is there")
        return built
