"""Spans on their way to the collector: delivered once, or dropped for a reason that is counted."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from mesh import config as configuration
from mesh.background import BackgroundLoop
from mesh.books import Books, dropped, drops, balanced, send, settled
from mesh.config import Config
from mesh.envoy import Envoy, wait_for
from mesh.load import run_load
from mesh.processes import new_run_folder
from mesh.receiver import Faults, Receiver
from mesh.requests import request_bytes
from mesh.single import HOSTS, LISTENERS, SingleProxy
from mesh.upstream import Answer, Upstream

Proxies = Callable[..., SingleProxy]


def application(folder: Path) -> Envoy:
    """An Envoy that answers everything, so that what stands behind the proxy keeps any pace."""
    config = configuration.load("dockebi")
    config["static_resources"]["listeners"] = configuration.listeners(config)[:1]
    config["static_resources"]["clusters"] = []
    configuration.relocate(config, {})
    for manager in configuration.connection_managers(config):
        manager["http_filters"] = manager["http_filters"][-1:]
        answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
        manager["route_config"] = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]}
    return Envoy(new_run_folder(folder).name, config, folder)


def both_directions(config: Config, upstream: int) -> None:
    """Make a proxy's configuration the whole sidecar, inbound and outbound, before this port."""
    configuration.add_outbound(config)
    for cluster in configuration.clusters(config):
        if cluster["name"] != "zipkin":
            (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            endpoint["endpoint"]["address"]["socket_address"]["port_value"] = upstream


@pytest.mark.parametrize("concurrency", [1, 2])
def test_every_span_is_delivered_once_at_2000_requests_a_second_for_30_seconds(
    concurrency: int, proxy: Proxies, folder: Path
) -> None:
    behind = application(folder)
    try:
        one = proxy('{"sampling": 100}', concurrency=concurrency, change=lambda c: both_directions(c, behind.port))
        count = 30_000
        jobs = [
            (one.envoy.ports[name], [request_bytes(host=HOSTS[direction])]) for direction, name in LISTENERS.items()
        ]
        with Books(one) as books, ThreadPoolExecutor() as pool:
            # A machine that cannot keep the pace sends the same requests in more time.
            loads = [pool.submit(run_load, port, count, 1000, 16, requests) for port, requests in jobs]
            results = [load.result() for load in loads]
        assert [(result.statuses, result.failed) for result in results] == 2 * [({200: count}, 0)]
        stats = settled(one, 2 * count)
        spans = one.receiver.wait_for(2 * count)
        assert stats["meshspan_spans_exported"] == len(spans) == 2 * count
        assert len({span["id"] for span in spans}) == len({span["traceId"] for span in spans}) == 2 * count
        assert dropped(stats) == drops()
        assert {span["kind"]: 0 for span in spans} == {"SERVER": 0, "CLIENT": 0}
        assert (books.unbalanced, books.polls > 100) == ([], True)
        # Batches: full ones, and what the tick of each worker takes along every second.
        seconds = max(result.seconds for result in results)
        most = 2 * count // 512 + 2 * concurrency * (seconds + 5)
        assert len(one.receiver.requests) == stats["meshspan_export_requests"] <= most
    finally:
        behind.stop()


def test_a_full_batch_leaves_before_the_interval(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "batch": {"maxSpans": 10, "interval": "5m"}})
    send(one, 25)
    assert len(one.receiver.wait_for(20)) == 20
    wait_for(lambda: one.stats()["meshspan_queue_spans"] == 5, what="the rest waiting")
    assert one.stats()["meshspan_spans_exported"] == 20
    assert [request.spans for request in one.receiver.requests] == [10, 10]


FULL = {
    "by spans": ({"maxSpans": 20}, range(20, 21)),
    # A span takes about 1,000 bytes.
    "by bytes": ({"maxBytes": 12_000}, range(8, 13)),
}


@pytest.mark.parametrize("queue, kept", FULL.values(), ids=FULL.keys())
def test_what_a_full_queue_has_no_room_for_is_counted_and_memory_stays_bounded(
    queue: dict[str, int], kept: range, proxy: Proxies
) -> None:
    one = proxy({"sampling": 100, "queue": queue})
    one.receiver.faults = Faults(status=503)
    send(one, 200)
    wait_for(lambda: one.stats()["meshspan_spans_sampled"] == 200, what="all spans sampled")
    stats = balanced(one)
    waiting = stats["meshspan_queue_spans"]
    assert waiting in kept
    assert stats["meshspan_queue_bytes"] <= queue.get("maxBytes", 4 << 20)
    assert dropped(stats) == drops(queue_full=200 - waiting)
    one.receiver.faults = Faults()
    assert dropped(settled(one, 200)) == drops(queue_full=200 - waiting)
    assert len(one.receiver.spans) == waiting


def test_a_span_larger_than_the_queue_is_dropped_as_too_large(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "queue": {"maxBytes": 1400}})
    assert one.request().status == 200
    settled(one, 1)
    assert one.request("GET", "/" + "x" * 500, headers=[("user-agent", "y" * 500)]).status == 200
    stats = settled(one, 2)
    assert dropped(stats) == drops(too_large=1)
    assert len(one.receiver.spans) == stats["meshspan_spans_exported"] == 1


def test_spans_that_the_collector_refuses_are_dropped_as_rejected(proxy: Proxies) -> None:
    one = proxy()
    one.receiver.faults = Faults(status=400)
    send(one, 50)
    stats = settled(one, 50)
    assert dropped(stats) == drops(rejected=50)
    assert stats["meshspan_export_failures"] == stats["meshspan_export_requests"] == len(one.receiver.requests)
    one.receiver.faults = Faults()
    send(one, 50)
    assert settled(one, 100)["meshspan_spans_exported"] == len(one.receiver.spans) == 50


def failure_lines(one: SingleProxy) -> list[str]:
    """The lines on spans that could not be sent."""
    return [line for line in one.log().splitlines() if "spans could not be sent" in line]


AWAY = {
    "refuses connections": None,
    "breaks off": Faults(close=True),
    "answers 503": Faults(status=503),
    "answers 429": Faults(status=429),
    "does not answer in time": Faults(delay=60),
}


@pytest.mark.parametrize("faults", AWAY.values(), ids=AWAY.keys())
def test_nothing_is_lost_while_the_collector_is_away_for_three_seconds(
    faults: Faults | None, proxy: Proxies, loop: BackgroundLoop
) -> None:
    # A collector that works must never be slower, or it has spans twice.
    one = proxy({"sampling": 100, "collector": {"timeout": "3s"}})
    send(one, 50)
    settled(one, 50)
    port = one.receiver.port
    expected = 250
    if faults is None:
        one.receiver.stop()
    else:
        one.receiver.faults = faults
    away_until = time.monotonic() + 3
    send(one, 100)
    wait_for(lambda: one.stats().get("meshspan_export_failures", 0) >= 2, timeout=60, what="failures counted")
    wait_for(lambda: time.monotonic() > away_until, what="three seconds")
    send(one, 100)
    if faults is None:
        # A new one, which has not seen the first 50.
        one.receiver = Receiver(loop, port)
        expected = 200
    else:
        one.receiver.faults = Faults()
    stats = settled(one, 250)
    assert dropped(stats) == drops()
    assert len({span["id"] for span in one.receiver.spans}) == len(one.receiver.spans) == expected
    assert len(failure_lines(one)) == 1


def test_a_collector_away_for_good_costs_no_request_and_the_spans_wait(proxy: Proxies) -> None:
    one = proxy()
    one.receiver.faults = Faults(close=True)
    send(one, 50)
    wait_for(lambda: one.stats()["meshspan_export_failures"] >= 5, timeout=60, what="five failures")
    send(one, 50)
    wait_for(lambda: one.stats()["meshspan_queue_spans"] == 100, what="all spans waiting")
    assert dropped(balanced(one)) == drops()
    # Many failures, and one line a minute on them.
    assert len(failure_lines(one)) == 1


def test_a_cluster_that_does_not_exist_costs_no_request_and_the_spans_wait(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "collector": {"cluster": "nowhere"}})
    send(one, 50)
    wait_for(lambda: one.stats()["meshspan_export_failures"] >= 2, what="failures counted")
    send(one, 50)
    wait_for(lambda: one.stats()["meshspan_queue_spans"] == 100, what="all spans waiting")
    assert dropped(balanced(one)) == drops()
    assert one.stats()["meshspan_export_requests"] == 0
    (line,) = failure_lines(one)
    assert "[warning][wasm]" in line and '"nowhere"' in line


ISTIO_NAME = "outbound|9411||zipkin.obs.svc.cluster.local"
ADDRESSED = {
    "by default": ({}, "zipkin", b"/api/v2/spans", b"zipkin", {}),
    "an Istio service": ({}, ISTIO_NAME, b"/api/v2/spans", b"zipkin.obs.svc.cluster.local", {}),
    "as configured": (
        {"path": "/in?key=1", "authority": "spans.example:9", "headers": {"X-Api-Key": "s3cret", "x-tenant": ""}},
        "zipkin",
        b"/in?key=1",
        b"spans.example:9",
        {b"x-api-key": b"s3cret", b"x-tenant": b""},
    ),
}


@pytest.mark.parametrize("collector, cluster, path, authority, headers", ADDRESSED.values(), ids=ADDRESSED.keys())
def test_the_collector_is_addressed_as_configured(
    collector: dict[str, Any],
    cluster: str,
    path: bytes,
    authority: bytes,
    headers: dict[bytes, bytes],
    proxy: Proxies,
    loop: BackgroundLoop,
) -> None:
    taker = Upstream(loop, Answer(202))

    def change(config: Config) -> None:
        (zipkin,) = [one for one in configuration.clusters(config) if one["name"] == "zipkin"]
        zipkin["name"] = zipkin["load_assignment"]["cluster_name"] = cluster
        (endpoint,) = zipkin["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = taker.port

    one = proxy({"sampling": 100, "collector": {"cluster": cluster, **collector}}, change=change)
    assert one.request().status == 200
    assert settled(one, 1)["meshspan_spans_exported"] == 1
    (got,) = taker.requests
    taker.stop()
    assert (got.method, got.path, got.header("host")) == (b"POST", path, authority)
    assert got.header("content-type") == b"application/json"
    assert {name: got.header(name) for name in headers} == headers
    assert len(json.loads(got.body)) == 1
    assert b"s3cret" not in one.log().encode()
