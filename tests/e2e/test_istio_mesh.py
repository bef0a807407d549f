"""What ships in `istio/`, in a mesh of Envoys that are configured as istiod configures them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.config import Config, connection_managers, merge_node_metadata, set_plugin_configuration
from mesh.envoy import wait_for
from mesh.istio import WasmPlugin, manifest, node_metadata, plugin_text, shipped_tracing
from mesh.load import run_load
from mesh.receiver import Span
from mesh.requests import request, request_bytes
from mesh.single import SingleProxy
from mesh.topology import Mesh
from mesh.verdict import CHAIN, WAYPOINT_CHAIN, is_whole, sampled_trace, sampling_bounds
from mesh.waterfall import by_trace, in_order, service

# Waypoints have a plugin of their own, for they take none without targetRefs.
MANIFESTS = {"waypoint": "overlays/waypoints/wasmplugin.yaml"}
ACCOUNT = {"x-account-id": "acc-42"}
PERCENTAGE = 60
DENY_ALL = {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {}}
BAD = '{"sampling": 140}'
REASON = "sampling: 140 is not a percentage from 0 to 100"

Meshes = Callable[..., "IstioMesh"]


class IstioMesh(Mesh):
    """Gateway, waypoint and services under the shipped manifests and mesh configuration."""

    def __init__(self, folder: Path, configuration: str | None = None, waypoint: bool = True, **named: Any) -> None:
        self.plugins: dict[str, WasmPlugin] = {}
        self.chain = WAYPOINT_CHAIN if waypoint else CHAIN
        self._plugins_folder = folder
        self._configuration = configuration
        super().__init__(folder=folder, waypoint=waypoint, change=self._as_istio, **named)

    def _as_istio(self, name: str, config: Config) -> None:
        wasm_plugin = manifest(MANIFESTS.get(name, "base/wasmplugin.yaml"))
        text = plugin_text(wasm_plugin) if self._configuration is None else self._configuration
        set_plugin_configuration(config, text)
        merge_node_metadata(config, node_metadata(**shipped_tracing()))
        self.plugins[name] = WasmPlugin(self._plugins_folder, wasm_plugin)
        self.plugins[name].install(config)

    def reconfigure(self, configuration: str) -> None:
        """Change the plugin configuration of every proxy."""
        for plugin in self.plugins.values():
            plugin.replace(configuration)

    def settled(self, count: int) -> list[Span]:
        """All spans of `count` requests, when every listener has told of each and every span has come."""
        assert self.receiver is not None
        received = self.receiver

        def told(*metrics: str) -> int:
            return sum(self.stats_sum(f"wasmcustom.meshspan_{metric}") for metric in metrics)

        seen = count * len(self.chain)
        wait_for(lambda: told("contexts_started", "contexts_continued") == seen, 30, "word of every request")
        sampled = told("spans_sampled")
        spans = received.wait_for(sampled, 30)
        wait_for(lambda: told("queue_spans") == 0, what="no span that waits")
        assert (len(received.spans), received.errors) == (sampled, [])
        return spans


@pytest.fixture
def istio_mesh(tmp_path: Path) -> Iterator[Meshes]:
    """Makes meshes and ends them; no module may have trapped."""
    meshes: list[IstioMesh] = []

    def start(**named: Any) -> IstioMesh:
        meshes.append(IstioMesh(tmp_path, **named))
        return meshes[-1]

    yield start
    for mesh in meshes:
        mesh.stop()
        logs = [envoy.log() for envoy in mesh.envoys.values()]
        assert [log for log in logs if "panicked at" in log or "Uncaught RuntimeError" in log] == []


@pytest.mark.parametrize("waypoint", [False, True], ids=["sidecars", "waypoint"])
def test_the_shipped_files_sample_by_the_meshs_percentage_one_span_a_listener(
    waypoint: bool, istio_mesh: Meshes
) -> None:
    mesh = istio_mesh(waypoint=waypoint)
    count = 1000
    traces = set()
    for number in range(count):
        response = request(mesh.gateway_port, "GET", f"/accounts/{number}", headers=ACCOUNT.items())
        assert response.status == 200
        traces.add(sampled_trace(response.json()["headers"]))
    received = by_trace(mesh.settled(count))
    sampled = traces - {None}
    low, high = sampling_bounds(count, PERCENTAGE)
    assert low <= len(sampled) <= high
    assert received.keys() == sampled
    assert [one for one in received.values() if not is_whole(one, mesh.chain)] == []
    for trace in received.values():
        # The application passes on the trace headers, and not the account.
        *before, _, _ = in_order(trace)
        assert {span["tags"].get("account_header") for _, span in before} == {"acc-42"}


def generation(number: int) -> str:
    """The shipped plugin configuration with a tag that tells its edition."""
    given = json.loads(plugin_text(manifest("base/wasmplugin.yaml")))
    tag = {"generation": {"literal": {"value": str(number)}}}
    return json.dumps({**given, "sampling": 100, "customTags": tag}, sort_keys=True)


def test_a_change_under_load_fails_no_request_anywhere_in_the_mesh(istio_mesh: Meshes) -> None:
    mesh = istio_mesh(configuration=generation(0))
    count, changes = 1200, 3
    changed = 0

    def progress(done: int) -> None:
        nonlocal changed
        if changed < changes and done > count * (changed + 1) // (changes + 1):
            changed += 1
            mesh.reconfigure(generation(changed))

    result = run_load(mesh.gateway_port, count, rate=100, connections=8, progress=progress)
    assert (result.statuses, result.failed, changed) == ({200: count}, 0, changes)
    spans = mesh.settled(count)
    traces = by_trace(spans)
    assert len(traces) == count
    assert [one for one in traces.values() if not is_whole(one, mesh.chain)] == []
    for name in {name for name, _ in mesh.chain}:
        editions = [span["tags"]["generation"] for span in spans if service(span) == name]
        assert set(editions) == {str(number) for number in range(changes + 1)}, name


def reasons(mesh: Mesh) -> dict[str, list[str]]:
    """What the error lines of each proxy say of an invalid plugin configuration."""
    sign = "invalid plugin configuration, "
    lines = {name: envoy.log().splitlines() for name, envoy in mesh.envoys.items()}
    return {name: [line.split(sign)[1] for line in log if sign in line] for name, log in lines.items()}


def test_an_invalid_change_leaves_the_old_configuration_in_force_and_says_so(istio_mesh: Meshes) -> None:
    mesh = istio_mesh(configuration=generation(1))
    count = 300
    changed = False

    def progress(done: int) -> None:
        nonlocal changed
        if not changed and done > count // 3:
            changed = True
            mesh.reconfigure(BAD)

    result = run_load(mesh.gateway_port, count, rate=100, connections=4, progress=progress)
    assert (result.statuses, result.failed, changed) == ({200: count}, 0, True)
    # In each proxy three VMs: the one that tries it, the main thread's and the worker's.
    expected = [f"the last valid one stays in force: {REASON}"] * 3
    wait_for(lambda: reasons(mesh) == dict.fromkeys(mesh.envoys, expected), what="one line in each VM")
    gauge = "wasmcustom.meshspan_configuration_invalid"
    assert {name: envoy.stats(gauge)[gauge] for name, envoy in mesh.envoys.items()} == dict.fromkeys(mesh.envoys, 1)
    spans = mesh.settled(count)
    assert {span["tags"]["generation"] for span in spans} == {"1"}
    assert len(by_trace(spans)) == count


def test_new_proxies_with_an_invalid_configuration_serve_every_request_and_trace_by_the_mesh(
    istio_mesh: Meshes,
) -> None:
    mesh = istio_mesh(configuration=BAD)
    count = 500
    requests = [request_bytes(headers=ACCOUNT.items())]
    assert run_load(mesh.gateway_port, count, connections=4, requests=requests).statuses == {200: count}
    expected = [f"mesh configuration and defaults are in force: {REASON}"] * 3
    assert reasons(mesh) == dict.fromkeys(mesh.envoys, expected)
    low, high = sampling_bounds(count, PERCENTAGE)
    assert low <= len(by_trace(mesh.settled(count))) <= high


@pytest.mark.parametrize("place", [0, 1], ids=["before the plugin", "after it, as in the phase AUTHN"])
def test_what_authorization_refuses_has_its_span(place: int, proxy: Callable[..., SingleProxy], tmp_path: Path) -> None:
    def change(config: Config) -> None:
        WasmPlugin(tmp_path).install(config)
        for manager in connection_managers(config):
            manager["http_filters"].insert(place, {"name": "envoy.filters.http.rbac", "typed_config": DENY_ALL})

    one = proxy(change=change)
    assert one.request().status == 403
    assert one.span()["tags"]["http.status_code"] == "403"
