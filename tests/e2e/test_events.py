"""What spans tell of the way of their requests, where events are asked for: moments, attempts, the wait for a connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mesh.config import Config, connection_managers
from mesh.hostcalls import crossings
from mesh.parity import parity_routes, service_cluster
from mesh.requests import request_bytes
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer, RecordedRequest

Proxies = Callable[..., SingleProxy]

SENT, RECEIVED = "first_upstream_tx_byte_sent", "first_upstream_rx_byte_received"
ANSWERED, UPGRADED = "first_downstream_tx_byte_sent", "upgraded"
RESENT, WAITED = "http.request.resend_count", "upstream.cx_pool_ready_duration"
UPGRADE = (("upgrade", "websocket"), ("connection", "upgrade"))
FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"


def with_delay_and_tunnels(config: Config) -> None:
    """Routes for each case; a filter behind the module holds requests with `x-late` for 60 ms."""
    own = service_cluster(config)
    parity_routes({}, bare=False)(config)
    delay = {"fixed_delay": "0.06s", "percentage": {"numerator": 100}}
    typed = {"@type": FAULT, "delay": delay, "headers": [{"name": "x-late", "present_match": True}]}
    for manager in connection_managers(config):
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
        manager["http_filters"].insert(-1, {"name": "late", "typed_config": typed})
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        routes.insert(0, {"match": {"connect_matcher": {}}, "route": {"cluster": own}})


@pytest.fixture(
    scope="module", params=[(p, d) for p in ("zipkin", "http/protobuf") for d in ("inbound", "outbound")], ids=str
)
def eventful(request: pytest.FixtureRequest, module_proxy: Proxies) -> Iterator[SingleProxy]:
    """A proxy whose spans tell events."""
    protocol, direction = request.param
    config = {"sampling": 100, "events": True, "collector": {"protocol": protocol}}
    yield module_proxy(config, direction=direction, change=with_delay_and_tunnels)


def one_span(proxy: SingleProxy, answer: Any, path: str = "/", **named: Any) -> dict[str, Any]:
    """The span of one request."""
    proxy.receiver.clear()
    proxy.upstream.answer = answer
    proxy.request(path=path, **named)
    return proxy.span()


def moments(span: dict[str, Any]) -> dict[str, int]:
    """Its events in microseconds since its start, with that of its end."""
    if "end" in span:
        start = span["start"]
        return {**{name: (time - start) // 1000 for name, time in span["events"]}, "end": (span["end"] - start) // 1000}
    found = {one["value"]: one["timestamp"] - span["timestamp"] for one in span.get("annotations", [])}
    return {**found, "end": span["duration"]}


def told(span: dict[str, Any], name: str) -> int | None:
    """A tag or an attribute that is a number."""
    value = {**span.get("tags", {}), **span.get("attributes", {})}.get(name)
    return None if value is None else int(value)


def test_a_request_tells_when_it_was_sent_on_and_answered(eventful: SingleProxy) -> None:
    span = one_span(eventful, Answer(delay=0.08, body_delay=0.05), headers=[("x-late", "1")])
    found = moments(span)
    assert list(found) == [SENT, RECEIVED, "end"]
    # As long as each thing takes at the least, less what timers round off; a busy machine takes longer.
    assert 55_000 <= found[SENT]
    assert 75_000 <= found[RECEIVED] - found[SENT]
    assert 45_000 <= found["end"] - found[RECEIVED]
    assert told(span, RESENT) is None
    assert told(span, WAITED)


def test_a_request_that_is_sent_again_says_how_often_and_when_at_last(eventful: SingleProxy) -> None:
    answers: Iterator[Answer] = iter([Answer(503, delay=0.07)])

    def answer(_: RecordedRequest) -> Answer:
        return next(answers, Answer(delay=0.05))

    span = one_span(eventful, answer, "/retried")
    found = moments(span)
    assert list(found) == [SENT, RECEIVED, "end"]
    assert found[SENT] >= 65_000
    assert found[RECEIVED] - found[SENT] >= 45_000
    assert told(span, RESENT) == 1


@pytest.mark.parametrize("path", ["/direct", "/refused", "/unknown-cluster", "/timeout"])
def test_an_answer_of_envoys_own_is_not_the_upstreams(eventful: SingleProxy, path: str) -> None:
    span = one_span(eventful, Answer(delay=60), path)
    assert list(moments(span)) == [ANSWERED, "end"]
    # A connection that could not be made was waited for as well.
    assert (told(span, WAITED) is None) == (path in ("/direct", "/unknown-cluster"))


def test_a_request_that_nobody_answered_has_no_events(eventful: SingleProxy) -> None:
    eventful.receiver.clear()
    eventful.upstream.answer = Answer(delay=60)
    eventful.leave()
    assert list(moments(eventful.span())) == ["end"]


@pytest.mark.parametrize("method, status", [("GET", 101), ("CONNECT", 200)])
def test_an_upgraded_connection_says_when(eventful: SingleProxy, method: str, status: int) -> None:
    eventful.receiver.clear()
    eventful.upstream.answer = Answer(status, UPGRADE if status == 101 else (), b"", delay=0.03)
    headers = UPGRADE if status == 101 else ()
    with socket.create_connection(("127.0.0.1", eventful.port), 10) as client:
        host = HOSTS[eventful.direction]
        client.sendall(request_bytes(method, "/" if method == "GET" else host, headers, host=host))
        assert client.recv(65536).startswith(b"HTTP/1.1 %d " % status)
        client.sendall(b"a frame, for all that Envoy knows")
    # The first of them left at once.
    beginning, whole = eventful.spans(2)
    found = moments(beginning)
    assert list(found) == [RECEIVED, UPGRADED, "end"]
    assert list(moments(whole)) == ["end"]
    assert 25_000 <= found[RECEIVED] == found[UPGRADED]


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_nothing_of_it_is_there_unless_it_is_asked_for(proxy: Proxies, protocol: str) -> None:
    one = proxy({"sampling": 100, "collector": {"protocol": protocol}})
    span = one_span(one, Answer())
    assert list(moments(span)) == ["end"]
    assert (told(span, RESENT), told(span, WAITED)) == (None, None)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_only_a_request_that_has_a_span_pays(direction: str) -> None:
    calls = {
        (sampling, events): crossings({"sampling": sampling, "events": events}, direction, "/", [])
        for sampling in (0, 100)
        for events in (False, True)
    }
    assert calls[0, True] == calls[0, False]
    more = {name: count - calls[100, False].get(name, 0) for name, count in calls[100, True].items()}
    assert {name: count for name, count in more.items() if count} == {
        "proxy_call_foreign_function": 2,
        "proxy_on_memory_allocate": 1,
        "proxy_get_current_time_nanoseconds": 1,
    }
