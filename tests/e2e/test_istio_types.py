"""The checker's table of Istio's keys is what the Go module istio.io/api says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "src/bin/meshspan/istio_types.json"


def test_the_table_of_istios_keys_is_that_of_the_go_module() -> None:
    command = ["go", "run", "-mod=readonly", "."]
    module = subprocess.run(command, cwd=ROOT / "tests/istio_types", stdout=subprocess.PIPE, check=True)
    assert json.loads(module.stdout) == json.loads(TABLE.read_text()), "make istio-types writes it anew"
    tracing = json.loads(TABLE.read_text())["messages"]["istio.mesh.v1alpha1.Tracing"]
    assert {"sampling", "customTags", "maxPathTagLength", "zipkin"} <= set(tracing)
