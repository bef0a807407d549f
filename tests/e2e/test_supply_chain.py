"""What the module can reach, and whether it is what its source says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mesh.checkout import checkout, environment
from mesh.config import MODULE, REPOSITORY, TRAPPING
from mesh.module import exports, imports

# All that the module may ask of Envoy. Nothing here opens a file or a connection: what leaves it are
# lines in Envoy's log, metrics, headers and filter state of the request, shared data, and requests to a cluster.
HOSTCALLS = {
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_define_metric",
    "proxy_done",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_set_effective_context",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
}
WASI = {
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "random_get",
}
EXPORTS = {
    # Two numbers that Rust's linker always exports for this target.
    "__data_end",
    "__heap_base",
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_done",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_tick",
}


def test_the_module_imports_and_exports_nothing_that_is_not_on_the_list() -> None:
    allowed = {f"env.{name}" for name in HOSTCALLS} | {f"wasi_snapshot_preview1.{name}" for name in WASI}
    assert imports(MODULE) - allowed == set()
    assert exports(MODULE) - EXPORTS == set()


def test_the_module_does_not_trap_on_demand() -> None:
    assert b"x-meshspan-trap" in TRAPPING.read_bytes()
    assert b"x-meshspan-trap" not in MODULE.read_bytes()


def test_the_same_source_in_another_folder_with_another_cargo_home_is_the_same_module(tmp_path: Path) -> None:
    copy, cargo_home = checkout(tmp_path / "copy"), tmp_path / "cargo"
    cargo_home.mkdir()
    usual = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    # What `make build` has fetched is not fetched again.
    for name in ("registry", "config.toml"):
        if (usual / name).exists():
            (cargo_home / name).symlink_to(usual / name)
    made = subprocess.run(
        ["make", "build"], cwd=copy, env=environment(CARGO_HOME=str(cargo_home), CARGO_NET_OFFLINE="true"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout
    module = (copy / MODULE.relative_to(REPOSITORY)).read_bytes()
    assert module == MODULE.read_bytes()
    for path in (tmp_path, usual, REPOSITORY):
        assert str(path).encode() not in module
