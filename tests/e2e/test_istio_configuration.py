"""Configuration in Istio: who has the last word, and that a bad plugin configuration stops nothing."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, Callable

import pytest

from mesh.config import Config, set_plugin_configuration, wasm_plugins
from mesh.ecds import ExtensionConfig
from mesh.envoy import wait_for
from mesh.istio import WasmPlugin
from mesh.istio import node_metadata as istio
from mesh.load import run_load
from mesh.requests import Connection, request, request_bytes
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

BAD = '{"sampling": 140}'
REASON = "sampling: 140 is not a percentage from 0 to 100"
ACCOUNT = {"account_header": {"header": {"name": "x-account-id"}}}


def plugin(sampling: float | None = None, **tags: str) -> dict[str, Any]:
    """A plugin configuration with these literal tags, that sends soon."""
    literals = {name: {"literal": {"value": value}} for name, value in tags.items()}
    wanted = {"customTags": literals, "sampling": sampling, "batch": {"interval": "50ms"}}
    return {key: value for key, value in wanted.items() if value not in (None, {})}


def reasons(log: str) -> list[str]:
    """What the error lines say that tell of an invalid plugin configuration."""
    lines = [line for line in log.splitlines() if "invalid plugin configuration" in line]
    assert all("[error][wasm]" in line for line in lines)
    return [line.split("invalid plugin configuration, ")[1] for line in lines]


ALWAYS_OR_NEVER = {
    "mesh alone": ({}, {"sampling": 100}, True),
    "plugin alone": ({"sampling": 100}, {}, True),
    "plugin over mesh, on": ({"sampling": 100}, {"sampling": 0.01}, True),
    "plugin over mesh, off": ({"sampling": 0}, {"sampling": 100}, False),
    "plugin without a percentage": ({"serviceName": "x"}, {"sampling": 100}, True),
}


@pytest.mark.parametrize("given, mesh, sampled", ALWAYS_OR_NEVER.values(), ids=ALWAYS_OR_NEVER.keys())
def test_the_plugins_percentage_goes_before_the_meshs(
    given: dict[str, Any], mesh: dict[str, Any], sampled: bool, proxy: Proxies
) -> None:
    one = proxy(given, node_metadata=istio(**mesh))
    for _ in range(20):
        assert one.request().status == 200
    one.spans(20 if sampled else 0)


SHARES = {
    "mesh's 60 %": ({}, {"sampling": 60}, 0.60),
    "plugin's 25 % over mesh's 60 %": ({"sampling": 25}, {"sampling": 60}, 0.25),
    "nothing configured is 1 %": ({}, {}, 0.01),
}


@pytest.mark.parametrize("given, mesh, share", SHARES.values(), ids=SHARES.keys())
def test_the_share_that_is_sampled_is_the_one_configured(
    given: dict[str, Any], mesh: dict[str, Any], share: float, proxy: Proxies
) -> None:
    count = 3000
    one = proxy(given, node_metadata=istio(**mesh))
    assert run_load(one.port, count).statuses == {200: count}
    wait_for(lambda: one.stats()["meshspan_contexts_started"] == count, what="all requests counted")
    one.settle()
    stats = one.stats()
    sampled = stats["meshspan_spans_sampled"]
    # Five standard deviations: one run in a million is outside.
    assert abs(sampled - count * share) < 5 * math.sqrt(count * share * (1 - share)), sampled
    assert len(one.spans(sampled)) == stats["meshspan_spans_exported"]


def test_custom_tags_of_plugin_and_mesh_are_merged_by_name(proxy: Proxies) -> None:
    mesh_tags = {**ACCOUNT, "stage": {"literal": {"value": "mesh"}}, "zone": {"literal": {"value": "z"}}}
    one = proxy(plugin(100, stage="plugin", team="blue"), node_metadata=istio(customTags=mesh_tags))
    one.request(headers=[("x-account-id", "a-1")])
    tags = one.span()["tags"]
    wanted = {"account_header": "a-1", "stage": "plugin", "zone": "z", "team": "blue"}
    assert {name: tags.get(name) for name in wanted} == wanted


LENGTHS = {
    "neither": ({}, {}, 256),
    "mesh": ({}, {"maxPathTagLength": 40}, 40),
    "plugin over mesh": ({"maxTagLength": 60}, {"maxPathTagLength": 40}, 60),
}


@pytest.mark.parametrize("given, mesh, length", LENGTHS.values(), ids=LENGTHS.keys())
def test_the_paths_length_is_the_plugins_then_the_meshs(
    given: dict[str, Any], mesh: dict[str, Any], length: int, proxy: Proxies
) -> None:
    one = proxy({"sampling": 100, **given}, node_metadata=istio(**mesh))
    path = "/" + "p" * 300
    one.request("GET", path)
    url = one.span()["tags"]["http.url"]
    assert url == f"http://{HOSTS['inbound']}" + path[:length]


def has_tag(one: SingleProxy, name: str, value: str | None, port: int | None = None) -> bool:
    """Whether requests on every worker are recorded with this value of a custom tag."""
    one.receiver.clear()
    for _ in range(8):
        assert request(port or one.port, "GET", "/", host=HOSTS["inbound"]).status == 200
    one.settle()
    found = {span["tags"].get(name) for span in one.receiver.wait_for(8)}
    return found == {value}


def gauge(one: SingleProxy) -> int:
    """Whether the module says that another configuration than the one given is in force."""
    return one.stats()["meshspan_configuration_invalid"]


def balanced(config: Config) -> None:
    """Have connections go to the workers in turn."""
    for listener in config["static_resources"]["listeners"]:
        listener["connection_balance_config"] = {"exact_balance": {}}


@pytest.fixture
def discovery(folder: Path) -> WasmPlugin:
    """The shipped plugin, whose configuration the test says."""
    return WasmPlugin(folder)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_proxy_that_starts_with_a_bad_configuration_traces_by_the_mesh(
    concurrency: int, proxy: Proxies, discovery: WasmPlugin
) -> None:
    def change(config: Config) -> None:
        balanced(config)
        discovery.install(config)

    metadata = istio(sampling=100, customTags={"from": {"literal": {"value": "mesh"}}})
    one = proxy(BAD, node_metadata=metadata, concurrency=concurrency, change=change)
    assert has_tag(one, "from", "mesh")
    assert gauge(one) == 1
    # One line for each VM: the one that tries it, the main thread's and the workers'.
    expected = f"mesh configuration and defaults are in force: {REASON}"
    assert reasons(one.log()) == (2 + concurrency) * [expected]
    discovery.replace(plugin(**{"from": "plugin"}))
    wait_for(lambda: has_tag(one, "from", "plugin"), what="the valid configuration in force")
    assert gauge(one) == 0
    assert len(reasons(one.log())) == 2 + concurrency


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_proxy_that_runs_keeps_its_configuration_when_a_bad_one_comes(
    concurrency: int, proxy: Proxies, discovery: WasmPlugin
) -> None:
    def change(config: Config) -> None:
        balanced(config)
        discovery.install(config)

    # The mesh would sample almost nothing and tag nothing.
    one = proxy(plugin(100, generation="1"), node_metadata=istio(sampling=0.0001), concurrency=concurrency, change=change)
    assert has_tag(one, "generation", "1")
    for bad in (BAD, "no JSON at all", '{"queue": [1, 2]}'):
        before = len(reasons(one.log()))
        discovery.replace(bad)
        wait_for(lambda: len(reasons(one.log())) == before + 2 + concurrency, what="one line in each VM")
        assert all(reason.startswith("the last valid one stays in force: ") for reason in reasons(one.log()))
        assert gauge(one) == 1
        assert has_tag(one, "generation", "1")
    discovery.replace(plugin(100, generation="2"))
    wait_for(lambda: has_tag(one, "generation", "2"), what="the valid configuration in force")
    assert gauge(one) == 0


def test_going_back_to_a_configuration_that_a_long_request_still_holds_counts_as_valid(
    proxy: Proxies, discovery: WasmPlugin
) -> None:
    given = plugin(100, generation="1")
    slow = Answer(body_delay=5.0)
    one = proxy(
        given,
        node_metadata=istio(),
        change=discovery.install,
        upstream=lambda got: slow if got.path == b"/slow" else Answer(),
    )
    with Connection(one.port) as connection:
        connection.send(request_bytes("GET", "/slow"))
        one.upstream.wait_for(1)
        discovery.replace(BAD)
        wait_for(lambda: len(reasons(one.log())) == 3, what="one line in each VM")
        assert gauge(one) == 1
        discovery.replace(given)
        wait_for(lambda: gauge(one) == 0, what="the valid configuration in force")
        assert connection.read_response().status == 200
    assert has_tag(one, "generation", "1")


def test_two_plugins_of_one_proxy_keep_their_own_last_valid_configuration(proxy: Proxies, folder: Path) -> None:
    files = {name: ExtensionConfig(folder, name) for name in ("first", "second")}

    def change(config: Config) -> None:
        (template,) = config["static_resources"]["listeners"]
        listeners = []
        for name, file in files.items():
            listener = copy.deepcopy(template)
            listener["name"] = name
            one_listener = {"static_resources": {"listeners": [listener]}}
            for wasm in wasm_plugins(one_listener):
                wasm["name"] = wasm["root_id"] = name
            set_plugin_configuration(one_listener, plugin(100, plugin=name))
            file.install(one_listener)
            listeners.append(listener)
        # The first keeps the name by which the proxy's port is found.
        config["static_resources"]["listeners"] = [{**template, "name": "virtualInbound"}, *listeners]

    one = proxy(node_metadata=istio(), change=change)
    ports = {name: one.envoy.ports[name] for name in files}
    for name, port in ports.items():
        assert has_tag(one, "plugin", name, port)
    before = len(reasons(one.log()))
    for file in files.values():
        file.replace(BAD)
    wait_for(lambda: len(reasons(one.log())) >= before + 4, what="the lines of both plugins")
    assert gauge(one) == 1
    for name, port in ports.items():
        assert has_tag(one, "plugin", name, port)


def test_a_bad_configuration_is_refused_where_istio_is_told_to_and_what_runs_goes_on(
    proxy: Proxies, discovery: WasmPlugin
) -> None:
    refuse = {"MESHSPAN_INVALID_CONFIGURATION": "refuse"}
    one = proxy(plugin(100, generation="1"), node_metadata=istio(), environment=refuse, change=discovery.install)
    discovery.replace(BAD)
    wait_for(lambda: "rejected" in one.log(), what="the refusal")
    # Refused by the VM that tries it; no other one sees it.
    assert reasons(one.log()) == [f"refused: {REASON}"]
    assert has_tag(one, "generation", "1")
