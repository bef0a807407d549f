"""Envoy ends: with a drain no span is lost, and without one what waits leaves if a connection is open."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mesh.books import dropped, drops, send, settled
from mesh.config import add_outbound
from mesh.requests import request
from mesh.single import HOSTS, LISTENERS, SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

PROTOCOLS = ("zipkin", "http/protobuf", "grpc")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_after_a_drain_and_an_interval_nothing_is_lost(protocol: str, proxy: Proxies) -> None:
    """What Istio does before it kills Envoy; no connection to the collector is open yet."""
    one = proxy(
        {"sampling": 100, "collector": {"protocol": protocol}, "batch": {"interval": "1s"}},
        concurrency=2,
        change=add_outbound,
        # Long enough for all to be under way when the drain begins.
        upstream=Answer(delay=1),
    )
    count = 20
    with ThreadPoolExecutor(2 * count) as pool:
        answers = [
            pool.submit(request, one.envoy.ports[name], host=HOSTS[direction])
            for direction, name in LISTENERS.items()
            for _ in range(count)
        ]
        one.upstream.wait_for(2 * count)
        one.envoy.admin("/drain_listeners?graceful&skip_exit", "POST")
        assert [answer.result().status for answer in answers] == [200] * 2 * count
    stats = settled(one, 2 * count)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (2 * count, drops())
    assert one.envoy.stop() == 0
    assert len({span["id"] for span in one.receiver.spans}) == len(one.receiver.spans) == 2 * count


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_drain_what_waits_leaves_over_a_connection_that_is_open(protocol: str, proxy: Proxies) -> None:
    # The first batch leaves when it is full, and leaves its connection open. Of the rest no more than
    # a server of HTTP/2 takes without a word, 64 KiB.
    first, rest = 60, 50
    one = proxy({"sampling": 100, "collector": {"protocol": protocol}, "batch": {"maxSpans": first, "interval": "5m"}})
    send(one, first)
    settled(one, first)
    send(one, rest)
    # Envoy ends as soon as it can, and with it what the module could say of these spans.
    assert one.envoy.stop() == 0
    one.receiver.wait_for(first + rest)
    assert len({span["id"] for span in one.receiver.spans}) == len(one.receiver.spans) == first + rest
