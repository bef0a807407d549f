"""What requests get when the module itself fails, in proxies that run it as Istio does.

`istio/README.md` says what each of these means for a mesh, and what only pilot-agent decides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mesh.broken_modules import module_that_traps_in
from mesh.config import MODULE, Config, set_module
from mesh.envoy import wait_for
from mesh.istio import WasmPlugin, manifest
from mesh.load import run_load
from mesh.single import SingleProxy

Proxies = Callable[..., SingleProxy]

STRATEGIES = ("FAIL_OPEN", "FAIL_RELOAD", "FAIL_CLOSE")
# What may be in the place of the module; None is a file that is not there.
BROKEN = {
    "missing": None,
    "empty": b"",
    "not wasm": b"<html>404</html>",
    "wasm's first bytes only": b"\0asm\1\0\0\0<html>",
    "traps at its start": module_that_traps_in("proxy_on_vm_start"),
    "traps at its configuration": module_that_traps_in("proxy_on_configure"),
}


def wasm_plugin(folder: Path, strategy: str | None = None) -> WasmPlugin:
    """The shipped plugin, or the same with another fail strategy."""
    shipped = copy.deepcopy(manifest("base/wasmplugin.yaml"))
    if strategy is not None:
        shipped["spec"]["failStrategy"] = strategy
    return WasmPlugin(folder, shipped)


def module_file(folder: Path, content: bytes | None, name: str = "module") -> Path:
    """A file with this content, or the path of one that is not there."""
    path = folder / f"{name}.wasm"
    if content is not None:
        path.write_bytes(content)
    return path


def statuses(one: SingleProxy, count: int = 20) -> set[int]:
    """What requests are answered with."""
    return set(run_load(one.port, count, connections=2).statuses)


def has_refused(one: SingleProxy, count: int) -> bool:
    """Whether Envoy has refused that many configurations."""
    return one.log().count("update rejected") == count


def test_the_shipped_manifests_fail_open() -> None:
    for path in ("base/wasmplugin.yaml", "overlays/waypoints/wasmplugin.yaml"):
        assert manifest(path)["spec"]["failStrategy"] == "FAIL_OPEN"


# 500 and not 403 or 503: Envoy has no configuration of a filter that it must run.
@pytest.mark.parametrize("broken", BROKEN)
def test_a_new_proxy_without_a_module_that_starts_answers_500_even_when_failing_open(
    broken: str, proxy: Proxies, tmp_path: Path
) -> None:
    plugin = wasm_plugin(tmp_path)

    def change(config: Config) -> None:
        set_module(config, module_file(tmp_path, BROKEN[broken]))
        plugin.install(config)

    one = proxy(change=change, clean=False)
    assert statuses(one) == {500}
    plugin.replace_module(MODULE)
    wait_for(lambda: one.request().status == 200, what="a module that starts in force")


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_no_other_strategy_does_better_for_a_new_proxy(strategy: str, proxy: Proxies, tmp_path: Path) -> None:
    def change(config: Config) -> None:
        set_module(config, module_file(tmp_path, BROKEN["traps at its start"]))
        wasm_plugin(tmp_path, strategy).install(config)

    assert statuses(proxy(change=change, clean=False)) == {500}


def test_a_proxy_that_runs_keeps_its_module_when_one_comes_that_does_not_start(proxy: Proxies, tmp_path: Path) -> None:
    plugin = wasm_plugin(tmp_path)
    one = proxy(change=plugin.install, clean=False)
    for count, (name, content) in enumerate(BROKEN.items(), 1):
        file = module_file(tmp_path, content, name.replace(" ", "-"))
        plugin.replace_module(file)
        wait_for(partial(has_refused, one, count), what="Envoy's refusal")
        assert statuses(one) == {200}
    one.spans(20 * len(BROKEN))


AN_IMAGE_THAT_CANNOT_BE_FETCHED = {"FAIL_OPEN": 200, "FAIL_RELOAD": 403, "FAIL_CLOSE": 403}


@pytest.mark.parametrize("strategy, status", AN_IMAGE_THAT_CANNOT_BE_FETCHED.items())
def test_an_image_that_cannot_be_fetched_costs_no_request_when_failing_open(
    strategy: str, status: int, proxy: Proxies, tmp_path: Path
) -> None:
    plugin = wasm_plugin(tmp_path, strategy)

    def change(config: Config) -> None:
        plugin.install(config)
        plugin.cannot_be_fetched()

    assert statuses(proxy(change=change)) == {status}


def trapping_in_requests(proxy: Proxies, folder: Path, plugin: WasmPlugin) -> SingleProxy:
    """A proxy whose module traps in the first request that each VM gets."""

    def change(config: Config) -> None:
        set_module(config, module_file(folder, module_that_traps_in("proxy_on_request_headers")))
        plugin.install(config)

    return proxy(change=change, clean=False)


A_TRAP_IN_A_REQUEST = {"FAIL_OPEN": [503, 200, 200], "FAIL_RELOAD": [503, 503, 503], "FAIL_CLOSE": [503, 503, 503]}


@pytest.mark.parametrize("strategy, expected", A_TRAP_IN_A_REQUEST.items())
def test_a_trap_in_a_request_fails_that_one_alone_when_failing_open(
    strategy: str, expected: list[int], proxy: Proxies, tmp_path: Path
) -> None:
    one = trapping_in_requests(proxy, tmp_path, wasm_plugin(tmp_path, strategy))
    assert [one.request().status for _ in expected] == expected


def test_a_dead_vm_comes_back_with_a_change_of_the_plugin_configuration(proxy: Proxies, tmp_path: Path) -> None:
    plugin = wasm_plugin(tmp_path)
    one = trapping_in_requests(proxy, tmp_path, plugin)
    for number in range(3):
        # A VM that lives traps; one that is dead lets everything pass.
        wait_for(lambda: one.request().status == 503, what="a VM that lives")
        assert statuses(one) == {200}
        plugin.replace({"generation": number})


def test_a_dead_vm_is_replaced_by_a_module_that_works(proxy: Proxies, tmp_path: Path) -> None:
    plugin = wasm_plugin(tmp_path)
    one = trapping_in_requests(proxy, tmp_path, plugin)
    assert [one.request().status for _ in range(2)] == [503, 200]
    plugin.replace_module(MODULE)

    def traced() -> bool:
        assert one.request().status == 200
        return bool(one.receiver.spans)

    wait_for(traced, what="a span")
