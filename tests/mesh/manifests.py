"""The manifests in `istio/`, read as strictly as an API server does by the program in `tests/manifests`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from .cache import PartMissing
from .config import REPOSITORY
from .go_program import GoProgram

Object = dict[str, Any]

ISTIO = REPOSITORY / "istio"
PROGRAM = GoProgram("manifests", "MANIFESTS", REPOSITORY / "tests" / "manifests")


def check(*paths: Path) -> tuple[list[Object], list[str]]:
    """The objects in these files and kustomize folders, and a line for each thing that is wrong with them."""
    command = [PROGRAM.path(), str(_definitions()), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode > 1:
        raise RuntimeError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.splitlines()


def objects(*paths: Path) -> list[Object]:
    """The objects in these files and kustomize folders; it is an error if anything is wrong with them."""
    found, wrong = check(*paths)
    assert wrong == []
    return found


def _definitions() -> Path:
    """Istio's custom resource definitions, of the version that the program is built with."""
    command = ["go", "mod", "download", "-json", "istio.io/api"]
    try:
        done = subprocess.run(command, cwd=PROGRAM.module, stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PartMissing(f"Istio's resource definitions come with Go 1.24 or later: {error}") from error
    return Path(json.loads(done.stdout)["Dir"]) / "kubernetes" / "customresourcedefinitions.gen.yaml"


def plugins(found: list[Object]) -> list[tuple[Object, Object]]:
    """Every WasmPlugin and TrafficExtension among these, and its part on the module."""
    spec = {"WasmPlugin": lambda one: one["spec"], "TrafficExtension": lambda one: one["spec"]["wasm"]}
    return [(one, spec[one["kind"]](one)) for one in found if one.get("kind") in spec]
