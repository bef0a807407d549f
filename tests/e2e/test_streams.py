"""A request that goes on for long is there before it ends: its beginning, and a span of the whole at its end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mesh.config import Config, clusters, connection_managers
from mesh.envoy import wait_for
from mesh.http2 import Http2Stream, grpc_answer, grpc_message
from mesh.parity import service_cluster
from mesh.requests import request_bytes
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer
from mesh.zipkin import Zipkin

Proxies = Callable[..., SingleProxy]
Span = dict[str, Any]

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")
UNSAMPLED = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00")
UPGRADE = (("upgrade", "websocket"), ("connection", "upgrade"))
SWITCH = Answer(101, UPGRADE, b"")
# Zipkin takes spans in after it has answered, and the machine may be busy.
ARRIVAL = 60.0
FRAME = b"a frame, for all that Envoy knows"
KINDS = {"inbound": "SERVER", "outbound": "CLIENT"}


def with_tunnels(config: Config) -> None:
    """Lets WebSocket and CONNECT through, over either version of HTTP."""
    own = service_cluster(config)
    for manager in connection_managers(config):
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
        manager.setdefault("http2_protocol_options", {})["allow_connect"] = True
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        routes.insert(0, {"match": {"connect_matcher": {}}, "route": {"cluster": own}})
    for cluster in clusters(config):
        # So many connections that wait as a test has.
        cluster["circuit_breakers"] = {"thresholds": [{"max_connections": 1000, "max_requests": 1000}]}


def started(one: SingleProxy, *headers: tuple[str, str], method: str = "GET") -> socket.socket:
    """A connection over which one HTTP/1.1 request has been answered for now."""
    host = HOSTS[one.direction]
    client = socket.create_connection(("127.0.0.1", one.port), 10)
    client.sendall(request_bytes(method, "/" if method == "GET" else host, headers, host=host))
    assert client.recv(65536).startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 "))
    return client


def told(span: Span, name: str) -> Any:
    """A tag or an attribute."""
    return {**span.get("tags", {}), **span.get("attributes", {})}.get(name)


def times(span: Span) -> tuple[int, int]:
    """When a span begins and how long it is, in microseconds."""
    if "end" in span:
        return span["start"] // 1000, (span["end"] - span["start"]) // 1000
    return span["timestamp"], span["duration"]


def check_beginning(one: SingleProxy, span: Span) -> None:
    """That a span is the beginning of the one request, as which others know it."""
    assert (span["traceId"], span["parentId"], span["kind"]) == (TRACE_ID, PARENT_ID, KINDS[one.direction])
    assert told(span, "meshspan.stream") == "open"
    assert told(span, "error") is None and told(span, "error.type") is None
    seen = one.upstream.last.header("traceparent")
    assert seen == f"00-{TRACE_ID}-{span['id']}-01".encode()


def check_end(beginning: Span, span: Span) -> None:
    """That a span is that of the whole request, below its beginning."""
    assert (span["traceId"], span["parentId"]) == (TRACE_ID, beginning["id"])
    assert span["id"] != beginning["id"]
    assert told(span, "meshspan.stream") == "closed"
    link = f"{TRACE_ID}-{beginning['id']}"
    assert (span.get("links") or told(span, "meshspan.link").split(",")) == [link]
    # Nobody counts the call twice.
    assert span.get("kind") == ("INTERNAL" if "end" in span else None)
    assert not span.get("remoteEndpoint") and told(span, "peer.service") is None
    assert span["name"] == beginning["name"]
    (start, duration), (first_start, first_duration) = times(span), times(beginning)
    assert start == first_start and duration > first_duration


@pytest.fixture(
    scope="module", params=[(p, d) for p in ("zipkin", "http/protobuf") for d in ("inbound", "outbound")], ids=str
)
def patient(request: pytest.FixtureRequest, module_proxy: Proxies) -> Iterator[SingleProxy]:
    """A proxy that shows what goes on after a second."""
    protocol, direction = request.param
    config = {"sampling": 0, "collector": {"protocol": protocol}, "streams": {"visibleAfter": "1s"}}
    yield module_proxy(config, direction=direction, change=with_tunnels)


@pytest.fixture
def one(patient: SingleProxy) -> SingleProxy:
    """The same with nothing received, and an upstream that switches protocols."""
    patient.receiver.clear()
    patient.upstream.answer = SWITCH
    return patient


@pytest.mark.parametrize("method, status", [("GET", 101), ("CONNECT", 200)])
def test_an_upgraded_connection_is_there_at_once(one: SingleProxy, method: str, status: int) -> None:
    one.upstream.answer = Answer(status, UPGRADE if status == 101 else (), b"")
    with started(one, *(UPGRADE if status == 101 else ()), SAMPLED, method=method) as client:
        beginning = one.span()
        check_beginning(one, beginning)
        code = told(beginning, "http.status_code") or told(beginning, "http.response.status_code")
        assert int(code) == status
        client.sendall(FRAME)
    first, end = one.spans(2)
    assert first == beginning
    check_end(beginning, end)
    assert int(told(end, "request_size") or told(end, "http.request.body.size")) == len(FRAME)
    assert int(told(end, "http.status_code") or told(end, "http.response.status_code")) == status
    assert told(end, "error") is None and told(end, "error.type") is None


def test_a_websocket_over_http2_is_there_at_once(one: SingleProxy) -> None:
    head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat")]
    with Http2Stream(one.port, [*head, (":authority", HOSTS[one.direction]), SAMPLED]) as client:
        assert client.status == 200
        beginning = one.span()
        check_beginning(one, beginning)
        client.send(FRAME)
    check_end(beginning, one.spans(2)[1])


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_stream_of_grpcs_is_there_after_its_time(proxy: Proxies, direction: str) -> None:
    one = proxy({"sampling": 100, "streams": {"visibleAfter": "1s"}}, direction=direction, http2=True)
    answer = grpc_answer(0)
    release = threading.Event()
    one.upstream.answer = Answer(200, answer.headers, answer.body, answer.trailers, release=release)
    head = [(":method", "POST"), (":scheme", "http"), (":path", "/demo.Accounts/Watch"), (":authority", HOSTS[direction])]
    head += [SAMPLED, ("content-type", "application/grpc"), ("te", "trailers")]
    with Http2Stream(one.port, head, grpc_message(b"x")) as client:
        beginning = one.span()
        check_beginning(one, beginning)
        assert times(beginning)[1] >= 1_000_000
        assert (told(beginning, "grpc.status_code"), told(beginning, "http.status_code")) == (None, "200")
        release.set()
        end = one.spans(2)[1]
        assert client.status == 200
    check_end(beginning, end)
    assert (told(end, "grpc.status_code"), told(end, "response_size")) == ("0", "5")


def test_a_request_that_waits_for_its_answer_is_no_error_yet(one: SingleProxy) -> None:
    one.upstream.answer = Answer(503, delay=60)
    before = len(one.upstream.requests)
    with socket.create_connection(("127.0.0.1", one.port), 10) as client:
        client.sendall(request_bytes(headers=[SAMPLED], host=HOSTS[one.direction]))
        one.upstream.wait_for(before + 1)
        beginning = one.span()
        check_beginning(one, beginning)
        assert told(beginning, "http.status_code") is None
    end = one.spans(2)[1]
    check_end(beginning, end)
    # The client left.
    assert (told(end, "response_flags") or told(end, "envoy.response_flags")) == "DC"


def test_a_short_request_has_one_span(one: SingleProxy) -> None:
    one.upstream.answer = Answer()
    before = one.stats()["meshspan_streams_shown"]
    one.request(headers=[SAMPLED])
    span = one.span()
    assert (span["parentId"], told(span, "meshspan.stream")) == (PARENT_ID, None)
    # One that asks for an upgrade and gets none, too.
    one.request(headers=[SAMPLED, *UPGRADE])
    assert told(one.spans(2)[1], "meshspan.stream") is None
    assert one.stats()["meshspan_streams_shown"] == before


def test_what_is_not_sampled_is_not_there(one: SingleProxy) -> None:
    with started(one, *UPGRADE, UNSAMPLED) as client:
        client.sendall(FRAME)
    one.spans(0)


def test_nothing_is_shown_before_its_end_where_that_is_off(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "streams": {"visibleAfter": "off"}}, change=with_tunnels, upstream=SWITCH)
    with started(one, *UPGRADE, SAMPLED) as client:
        one.spans(0)
        client.sendall(FRAME)
    assert told(one.span(), "meshspan.stream") is None
    assert one.stats()["meshspan_streams_shown"] == 0


def test_all_of_many_are_shown_and_the_books_balance(proxy: Proxies) -> None:
    release = threading.Event()
    config = {"sampling": 100, "streams": {"visibleAfter": "1s"}}
    one = proxy(config, change=with_tunnels, upstream=Answer(release=release), concurrency=2)
    count = 150
    with contextlib.ExitStack() as clients:
        for _ in range(count):
            clients.enter_context(started(one))
        beginnings = one.spans(count, timeout=60)
        assert {told(span, "meshspan.stream") for span in beginnings} == {"open"}
        release.set()
        ends = [span for span in one.spans(2 * count, timeout=60) if span not in beginnings]
    assert {span["parentId"] for span in ends} == {span["id"] for span in beginnings}
    assert {told(span, "meshspan.stream") for span in ends} == {"closed"}
    stats = one.stats()
    assert stats["meshspan_streams_shown"] == count
    assert stats["meshspan_spans_sampled"] == stats["meshspan_spans_exported"] == 2 * count


def test_what_nobody_takes_is_dropped_and_counted(proxy: Proxies) -> None:
    config = {"sampling": 100, "streams": {"visibleAfter": "1s"}, "queue": {"maxSpans": 3}}
    one = proxy(config, change=with_tunnels, upstream=SWITCH)
    one.receiver.faults.status = 503
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(started(one, *UPGRADE))
        wait_for(lambda: one.stats()["meshspan_spans_sampled"] == 5, what="their beginnings")
    wait_for(lambda: one.stats()["meshspan_spans_sampled"] == 10, what="their ends")
    stats = one.stats()
    assert stats["meshspan_streams_shown"] == 5
    assert stats["meshspan_spans_dropped_queue_full"] == 10 - stats["meshspan_queue_spans"]
    one.receiver.faults.status = 202
    one.settle(30)


def test_a_stream_outlives_a_change_of_the_configuration(proxy: Proxies) -> None:
    one = proxy({"sampling": 100}, change=with_tunnels, upstream=SWITCH, ecds=True)
    with started(one, *UPGRADE, SAMPLED):
        beginning = one.span()
        check_beginning(one, beginning)
        assert one.reconfigure({"sampling": 0})
        one.receiver.wait_for(1)
    check_end(beginning, one.spans(2)[1])


def test_zipkin_counts_one_call(proxy: Proxies, zipkin: Zipkin) -> None:
    caller = "streams.test"

    def change(config: Config) -> None:
        with_tunnels(config)
        (collector,) = (one for one in clusters(config) if one["name"] == "zipkin")
        (endpoint,) = collector["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = zipkin.port

    config = {"sampling": 100, "serviceName": caller, "events": True}
    one = proxy(config, direction="outbound", change=change, upstream=SWITCH)
    with started(one, *UPGRADE) as client:
        _, trace_id, span_id, _ = one.upstream.wait_for(1)[0].values("traceparent")[0].decode().split("-")
        (beginning,) = wait_for(lambda: zipkin.trace(trace_id), ARRIVAL, "its beginning in Zipkin")
        assert (beginning["id"], beginning["tags"]["meshspan.stream"]) == (span_id, "open")
        assert [one["value"] for one in beginning["annotations"]] == ["first_upstream_rx_byte_received", "upgraded"]
        client.sendall(FRAME)
    # What the other side says of the call.
    times = {"timestamp": beginning["timestamp"], "duration": 1_000_000}
    theirs = {"traceId": trace_id, "parentId": span_id, "id": "00000000000000aa", "kind": "SERVER", **times}
    body = json.dumps([{**theirs, "localEndpoint": {"serviceName": "dockebi-storage.demo"}}]).encode()
    content = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{zipkin.port}/api/v2/spans", body, content)).close()
    trace = wait_for(lambda: len(zipkin.trace(trace_id)) == 3 and zipkin.trace(trace_id), ARRIVAL, "its end in Zipkin")
    (whole,) = (span for span in trace if span["id"] not in (span_id, theirs["id"]))
    assert (whole["parentId"], whole["tags"]["meshspan.stream"]) == (span_id, "closed")
    edges = {edge: count for edge, count in zipkin.edges().items() if caller in edge}
    assert edges == {(caller, "dockebi-storage.demo"): 1}
