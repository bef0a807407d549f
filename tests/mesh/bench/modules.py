"""The modules that ours is compared with, and ours without one of its callbacks."""

from __future__ import annotations

from pathlib import Path

from ..config import MODULE, REPOSITORY

# Exports what ours does, and does nothing.
MINIMAL = REPOSITORY / "target" / "modules" / "minimal.wasm"
# Makes hostcalls as its configuration says.
PROBE = MINIMAL.with_name("probe.wasm")
MODULES = {"minimal module": MINIMAL, "meshspan": MODULE}


def without(callback: str, module: Path, folder: Path) -> Path:
    """The module with this callback under a name that Envoy does not ask for, so that it never runs."""
    name = callback.encode("ascii")
    code = module.read_bytes()
    if code.count(name) != 1:
        raise ValueError(f"{module} does not have {callback} once")
    changed = folder / f"{module.stem}-without-{callback}.wasm"
    changed.write_bytes(code.replace(name, b"_" * len(name)))
    return changed
