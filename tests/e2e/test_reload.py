"""A configuration changes while requests run: none fails and no span is lost."""

from __future__ import annotations

import collections
import copy
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from mesh import config as configuration
from mesh.background import BackgroundLoop
from mesh.config import Config
from mesh.ecds import ExtensionConfig, Listeners
from mesh.envoy import wait_for
from mesh.load import run_load
from mesh.receiver import Receiver, Span
from mesh.requests import Connection, request, request_bytes
from mesh.single import HOSTS, LISTENERS, SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]
Discovery = Union[ExtensionConfig, Listeners]

DISCOVERIES = {"ecds": ExtensionConfig, "lds": Listeners}


def generation(number: int, interval: str = "60s") -> dict[str, Any]:
    """A configuration that names itself in each span; the spans wait for long."""
    tag = {"generation": {"literal": {"value": str(number)}}}
    return {"sampling": 100, "customTags": tag, "batch": {"interval": interval}}


def generations(spans: list[Span]) -> set[str]:
    """The configurations by which these spans were recorded."""
    return {span["tags"]["generation"] for span in spans}


def waiting(one: SingleProxy) -> int:
    """How many spans wait in the module."""
    return one.stats()["meshspan_queue_spans"]


def wait_until_all_wait(one: SingleProxy, count: int) -> None:
    """Wait until the module has told that `count` spans wait."""
    wait_for(lambda: waiting(one) == count, what=f"{count} spans wait")


def delivered(one: SingleProxy, count: int, timeout: float = 30.0) -> list[Span]:
    """Wait until exactly `count` spans have come, each once, and none waits."""
    spans = one.receiver.wait_for(count, timeout)
    wait_for(lambda: waiting(one) == 0 and one.books_balance(), what="sampled = exported")
    assert len({span["id"] for span in one.receiver.spans}) == len(one.receiver.spans) == count
    stats = one.stats()
    assert stats["meshspan_spans_sampled"] == stats["meshspan_spans_exported"] == count
    assert stats["meshspan_queue_bytes"] == 0
    return spans


@pytest.mark.parametrize("kind", DISCOVERIES)
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_change_under_load_fails_no_request_and_loses_no_span(
    kind: str, concurrency: int, proxy: Proxies, folder: Path
) -> None:
    discovery: Discovery = DISCOVERIES[kind](folder)
    one = proxy(generation(0), concurrency=concurrency, change=discovery.install)
    count, changes = 3000, 3
    changed = 0

    def progress(done: int) -> None:
        nonlocal changed
        if changed < changes and done > count * (changed + 1) // (changes + 1):
            changed += 1
            discovery.replace(generation(changed))

    # Envoy closes the connections of a listener that it replaces, so there each request has its own.
    headers = [("connection", "close")] if kind == "lds" else []
    requests = [request_bytes(headers=headers)]
    result = run_load(one.port, count, rate=500, connections=16, requests=requests, progress=progress)
    assert (result.statuses, result.failed, changed) == ({200: count}, 0, changes)
    # The last change sends what waits by the one before.
    discovery.replace(generation(changes + 1, interval="50ms"))
    spans = delivered(one, count)
    assert generations(spans) == {str(number) for number in range(changes + 1)}
    newest = max(spans, key=lambda span: span["timestamp"])
    assert newest["tags"]["generation"] == str(changes)


# Seconds that the request takes; Envoy lets those of a replaced listener live for its drain time, 1 s.
UNDER_WAY = {"ecds": 2.0, "lds": 0.8}


@pytest.mark.parametrize("kind", DISCOVERIES)
def test_a_request_under_way_at_the_change_is_recorded_by_the_old_configuration(
    kind: str, proxy: Proxies, folder: Path
) -> None:
    discovery: Discovery = DISCOVERIES[kind](folder)
    slow = Answer(body_delay=UNDER_WAY[kind])
    one = proxy(generation(1), change=discovery.install, upstream=lambda r: slow if r.path == b"/slow" else Answer())
    with Connection(one.port) as connection:
        connection.send(request_bytes("GET", "/slow"))
        one.upstream.wait_for(1)
        discovery.replace(generation(2, interval="50ms"))
        sent = 1

        def changed() -> bool:
            nonlocal sent
            sent += 1
            return one.request().status == 200 and "2" in generations(one.receiver.spans)

        if kind == "ecds":
            wait_for(changed, what="the new configuration in force")
        assert connection.read_response().status == 200
    wait_for(changed, what="the new configuration in force")
    (old,) = [span for span in delivered(one, sent) if span["tags"]["http.url"].endswith("/slow")]
    assert old["tags"]["generation"] == "1"


@pytest.mark.parametrize("kind", DISCOVERIES)
def test_what_waits_at_the_change_outlasts_a_collector_that_is_away(
    kind: str, proxy: Proxies, folder: Path, loop: BackgroundLoop
) -> None:
    discovery: Discovery = DISCOVERIES[kind](folder)
    one = proxy(generation(1), change=discovery.install)
    for _ in range(100):
        assert one.request().status == 200
    wait_until_all_wait(one, 100)
    port = one.receiver.port
    one.receiver.stop()
    discovery.replace(generation(2))
    # The old root context goes on trying after Envoy has told it that it is done.
    wait_for(lambda: one.stats()["meshspan_export_failures"] >= 2, timeout=20, what="two failures")
    assert waiting(one) == 100
    one.receiver = Receiver(loop, port)
    assert generations(delivered(one, 100)) == {"1"}


def test_the_old_configuration_is_let_go_when_its_last_span_is_delivered(proxy: Proxies, folder: Path) -> None:
    discovery = ExtensionConfig(folder)
    one = proxy(generation(1), change=discovery.install)
    for _ in range(3):
        one.request()
    wait_until_all_wait(one, 3)
    one.envoy.admin("/logging?wasm=trace", "POST")
    discovery.replace(generation(2))
    delivered(one, 3)
    one.envoy.wait_for_log("proxy_on_delete")
    log = one.log()
    # Only the old root context of the worker had spans; what it does is in this order.
    sent = log.index("proxy_http_call(")
    answered = log.index("proxy_on_http_call_response(", sent)
    done = log.index("proxy_done(", answered)
    assert log.index("proxy_on_delete(", done)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_listeners_that_share_a_virtual_machine_change_together(
    concurrency: int, proxy: Proxies, folder: Path
) -> None:
    discovery = Listeners(folder)

    def change(config: Config) -> None:
        add_outbound(config)
        discovery.install(config)

    one = proxy(generation(1), concurrency=concurrency, change=change)
    for _ in range(20):
        for direction, name in LISTENERS.items():
            assert request(one.envoy.ports[name], host=HOSTS[direction]).status == 200
    wait_until_all_wait(one, 40)
    discovery.replace(generation(2))
    spans = delivered(one, 40)
    assert generations(spans) == {"1"}
    assert collections.Counter(span["kind"] for span in spans) == {"SERVER": 20, "CLIENT": 20}


def add_outbound(config: Config) -> None:
    """Add the outbound listener, with the very plugin of the inbound one."""
    (inbound,) = configuration.listeners(config)
    outbound = configuration.listeners(configuration.load("dockebi"))[1]
    outbound["address"] = copy.deepcopy(inbound["address"])
    configuration.listeners(config).append(outbound)
    plugin = next(configuration.wasm_plugins(config))
    for other in configuration.wasm_plugins(config):
        other.update(copy.deepcopy(plugin))


def test_what_waits_outlasts_its_listener_while_another_uses_the_plugin(proxy: Proxies, folder: Path) -> None:
    discovery = Listeners(folder)

    def change(config: Config) -> None:
        add_outbound(config)
        discovery.install(config)

    one = proxy(generation(1), change=change)
    for _ in range(20):
        assert one.request().status == 200
    wait_until_all_wait(one, 20)
    discovery.remove("virtualInbound")
    draining = "listener_manager.total_listeners_draining"
    removed = "listener_manager.listener_removed"
    wait_for(lambda: one.envoy.stats(removed).get(removed), what="the listener removed")
    wait_for(lambda: one.envoy.stats(draining)[draining] == 0, what="the listener gone")
    assert waiting(one) == 20
    discovery.replace(generation(2))
    delivered(one, 20)


def test_a_listener_that_is_removed_delivers_what_waits_before_it_is_gone(proxy: Proxies, folder: Path) -> None:
    """Envoy drains a listener first; with its last user the module ends, and cannot send any more."""
    discovery = Listeners(folder)
    one = proxy({"sampling": 100, "batch": {"interval": "100ms"}}, change=discovery.install)
    for _ in range(20):
        assert one.request().status == 200
    discovery.remove("virtualInbound")
    # Its statistics go with the module.
    wait_for(lambda: one.stats() == {}, what="the module gone")
    assert len({span["id"] for span in one.receiver.wait_for(20)}) == len(one.receiver.spans) == 20
