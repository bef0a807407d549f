"""A configuration changes while requests run: none fails and no span is lost."""

from __future__ import annotations

import collections
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from mesh import config as configuration
from mesh.background import BackgroundLoop
from mesh.books import Books, dropped, drops, settled
from mesh.config import Config
from mesh.ecds import ExtensionConfig, Listeners
from mesh.envoy import wait_for
from mesh.load import LoadResult, run_load
from mesh.receiver import Receiver, Span
from mesh.requests import Connection, request, request_bytes
from mesh.single import HOSTS, LISTENERS, SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]
Discovery = Union[ExtensionConfig, Listeners]

DISCOVERIES = {"ecds": ExtensionConfig, "lds": Listeners}
PROTOCOLS = ("zipkin", "http/protobuf", "grpc")


def generation(number: int, protocol: str = "zipkin", interval: str = "60s") -> dict[str, Any]:
    """A configuration that names itself in each span; the spans wait for long."""
    tag = {"generation": {"literal": {"value": str(number)}}}
    return {
        "sampling": 100,
        "customTags": tag,
        "batch": {"interval": interval},
        "collector": {"protocol": protocol},
    }


def generations(spans: list[Span]) -> set[str]:
    """The configurations by which these spans were recorded."""
    return {(span.get("tags") or span["attributes"])["generation"] for span in spans}


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


class Traffic:
    """Requests to both listeners, one load after the other until it is told to end."""

    def __init__(self, one: SingleProxy, headers: list[tuple[str, str]]) -> None:
        self._one = one
        self._requests = {
            one.envoy.ports[name]: [request_bytes(host=HOSTS[direction], headers=headers)]
            for direction, name in LISTENERS.items()
        }
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor()

    def __enter__(self) -> Traffic:
        self._loads = [self._pool.submit(self._run, port) for port in self._requests]
        return self

    def _run(self, port: int) -> list[LoadResult]:
        results = []
        while not self._ended.is_set():
            results.append(run_load(port, 100, rate=250, connections=8, requests=self._requests[port]))
        return results

    def go_on(self, count: int) -> None:
        """Let so many more requests be recorded."""
        enough = self._one.stats()["meshspan_spans_sampled"] + count
        wait_for(lambda: self._one.stats()["meshspan_spans_sampled"] >= enough, 30, f"{count} more requests")

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown()

    def answered(self) -> int:
        """How many requests there were; all of them got their answer."""
        results = [result for load in self._loads for result in load.result()]
        assert {(*result.statuses, result.failed) for result in results} == {(200, 0)}
        return sum(result.answered for result in results)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("collector", ["there", "away"])
@pytest.mark.parametrize("kind", DISCOVERIES)
def test_a_change_under_load_fails_no_request_and_loses_no_span(
    kind: str, collector: str, protocol: str, proxy: Proxies, folder: Path
) -> None:
    discovery: Discovery = DISCOVERIES[kind](folder)
    one = proxy(generation(0, protocol), concurrency=2, change=both_listeners(discovery))
    changes = 2
    # Envoy closes the connections of a listener that it replaces, so there each request has its own.
    headers = [("connection", "close")] if kind == "lds" else []
    with Books(one) as books:
        with Traffic(one, headers) as traffic:
            for number in range(changes):
                traffic.go_on(200)
                failures = one.stats()["meshspan_export_failures"]
                if collector == "away":
                    one.receiver.stop()
                discovery.replace(generation(number + 1, protocol))
                if collector == "away":
                    wait_for(lambda: one.stats()["meshspan_export_failures"] > failures, what="a failure")
                    one.receiver.start_again()
            traffic.go_on(200)
        count = traffic.answered()
        # The last change sends what waits by the one before.
        discovery.replace(generation(changes + 1, protocol, interval="50ms"))
        stats = settled(one, count, timeout=30)
    spans = one.receiver.spans
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (count, drops())
    assert len({span["id"] for span in spans}) == count
    # An answer that a stop of the collector broke off left spans with it, and they were sent again.
    assert collector == "away" or len(spans) == count
    assert generations(spans) == {str(number) for number in range(changes + 1)}
    newest = max(spans, key=lambda span: span.get("timestamp") or span["start"])
    assert generations([newest]) == {str(changes)}
    assert books.unbalanced == []


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
    one.envoy.wait_for_log("proxy_done return")
    # A root context that is gone has no tick any more.
    one.envoy.admin("/logging?wasm=warning", "POST")
    log = one.log()
    # Only the old root context of the worker had spans; what it does is in this order.
    sent = log.index("proxy_http_call(")
    answered = log.index("proxy_on_http_call_response(", sent)
    assert log.index("proxy_done(", answered)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_listeners_that_share_a_virtual_machine_change_together(concurrency: int, proxy: Proxies, folder: Path) -> None:
    discovery = Listeners(folder)
    one = proxy(generation(1), concurrency=concurrency, change=both_listeners(discovery))
    for _ in range(20):
        for direction, name in LISTENERS.items():
            assert request(one.envoy.ports[name], host=HOSTS[direction]).status == 200
    wait_until_all_wait(one, 40)
    discovery.replace(generation(2))
    spans = delivered(one, 40)
    assert generations(spans) == {"1"}
    assert collections.Counter(span["kind"] for span in spans) == {"SERVER": 20, "CLIENT": 20}


def both_listeners(discovery: Discovery) -> Callable[[Config], None]:
    """Adds the outbound listener, with the very plugin of the inbound one, before it is discovered."""

    def change(config: Config) -> None:
        configuration.add_outbound(config)
        discovery.install(config)

    return change


def test_what_waits_outlasts_its_listener_while_another_uses_the_plugin(proxy: Proxies, folder: Path) -> None:
    discovery = Listeners(folder)
    one = proxy(generation(1), change=both_listeners(discovery))
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
