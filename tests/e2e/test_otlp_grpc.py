"""OTLP over gRPC, and what a collector may say of spans that it does not take."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from mesh.books import Books, dropped, drops, send, settled
from mesh.envoy import wait_for
from mesh.grpc_receiver import METHOD, GrpcFaults
from mesh.receiver import Faults, Span
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

PARENT_ID = "00f067aa0ba902b7"


def bench(proxy: Proxies, protocol: str = "grpc", timeout: str = "5s", **named: Any) -> SingleProxy:
    """A proxy that calls a collector of this kind."""
    collector = {"protocol": protocol, "timeout": timeout}
    return proxy({"sampling": 100, "collector": collector, "batch": {"maxSpans": 50, "interval": "50ms"}}, **named)


def log_lines(one: SingleProxy) -> list[str]:
    """The module's own lines in the log."""
    return [line for line in one.log().splitlines() if "meshspan:" in line]


# What differs from one run of the same request to the next.
RANDOM = {"id", "start", "end"}
RANDOM_ATTRIBUTES = re.compile(r"http\.request\.header\.x-request-id|.*\.port$")


def comparable(span: Span) -> Span:
    """A span without what is another in each run."""
    kept = {name: value for name, value in span.items() if name not in RANDOM}
    kept["attributes"] = {
        name: value for name, value in span["attributes"].items() if not RANDOM_ATTRIBUTES.fullmatch(name)
    }
    return kept


def spans_of_some_requests(one: SingleProxy) -> list[Span]:
    """The spans of the same few requests, by trace id."""
    requests: list[tuple[str, str, Answer]] = [
        ("GET", "/", Answer()),
        ("POST", "/p?a=b", Answer(404)),
        ("PUT", "/a%C3%A9", Answer(503)),
    ]
    for number, (method, path, answer) in enumerate(requests, 1):
        one.upstream.answer = answer
        traceparent = f"00-{number:032x}-{PARENT_ID}-01"
        headers = [("traceparent", traceparent), ("tracestate", "a=1"), ("user-agent", "x" * 300)]
        one.request(method, path, headers)
    spans = one.spans(len(requests))
    return sorted((comparable(span) for span in spans), key=lambda span: span["traceId"])


@pytest.mark.parametrize("direction", HOSTS)
def test_the_same_requests_make_the_same_spans_as_over_http(direction: str, proxy: Proxies) -> None:
    over_grpc, over_http = (
        spans_of_some_requests(bench(proxy, protocol, direction=direction)) for protocol in ("grpc", "http/protobuf")
    )
    assert over_grpc == over_http


def test_each_of_300_requests_is_one_span_of_a_grpc_call(proxy: Proxies) -> None:
    one = bench(proxy, concurrency=2)
    with Books(one) as books:
        sent = [f"{number + 1:032x}" for number in range(300)]
        with one.connection() as connection:
            for trace_id in sent:
                headers = [("traceparent", f"00-{trace_id}-{PARENT_ID}-01")]
                assert connection.request("GET", "/", headers, host=HOSTS["inbound"]).status == 200
        stats = settled(one, 300)
    assert sorted(span["traceId"] for span in one.receiver.spans) == sent
    assert (stats["meshspan_spans_exported"], dropped(stats), books.unbalanced) == (300, drops(), [])
    for request in one.receiver.requests:
        assert (request.path, request.headers[":authority"]) == (METHOD, "zipkin")
        assert (request.headers["content-type"], request.headers["te"]) == ("application/grpc", "trailers")
        assert request.headers["user-agent"].startswith("meshspan/")


def retry_info(seconds: int) -> tuple[tuple[str, str], ...]:
    """The trailer by which a server asks to be left alone."""
    # google.rpc is not among the packages here: Duration, RetryInfo and Status by hand.
    duration = b"\x08" + bytes([seconds])
    info = b"\x0a" + bytes([len(duration)]) + duration
    detail = AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info).SerializeToString()
    status = b"\x08\x08\x1a" + bytes([len(detail)]) + detail
    return (("grpc-status-details-bin", base64.b64encode(status).decode().rstrip("=")),)


RETRYABLE = [1, 4, 10, 11, 14, 15]
NOT_RETRYABLE = [2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 17]
# Each in the headers of an answer that is nothing else, or in its trailers.
ANSWERS = {"trailers only": True, "in trailers": False}


@pytest.fixture(scope="module")
def shared(module_proxy: Proxies) -> SingleProxy:
    """The proxy that the tables share; its counters and its log go on."""
    return bench(module_proxy)


def settled_again(one: SingleProxy, count: int) -> Callable[[], dict[str, int]]:
    """What `count` more spans change in the statistics, to be called when they are sent."""
    sampled = one.stats().get("meshspan_spans_sampled", 0)
    before = settled(one, sampled) if sampled else {}

    def changes() -> dict[str, int]:
        after = settled(one, before.get("meshspan_spans_sampled", 0) + count)
        return {name: value - before.get(name, 0) for name, value in after.items()}

    return changes


@pytest.mark.parametrize("trailers_only", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("status", RETRYABLE)
def test_after_a_status_that_is_retryable_spans_wait(status: int, trailers_only: bool, shared: SingleProxy) -> None:
    changes = settled_again(shared, 5)
    shared.receiver.clear()
    shared.receiver.faults = GrpcFaults(grpc_status=status, trailers_only=trailers_only, requests=1)
    send(shared, 5)
    changed = changes()
    assert (changed["meshspan_spans_exported"], dropped(changed)) == (5, drops())
    assert changed["meshspan_export_failures"] >= 1
    assert len({span["id"] for span in shared.receiver.spans}) == len(shared.receiver.spans) == 5


@pytest.mark.parametrize("trailers_only", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("status", NOT_RETRYABLE)
def test_after_any_other_status_spans_are_dropped(status: int, trailers_only: bool, shared: SingleProxy) -> None:
    changes = settled_again(shared, 5)
    shared.receiver.clear()
    shared.receiver.faults = GrpcFaults(grpc_status=status, trailers_only=trailers_only)
    send(shared, 5)
    changed = changes()
    assert dropped(changed) == drops(rejected=5)
    assert changed["meshspan_export_failures"] == changed["meshspan_export_requests"] == len(shared.receiver.requests)


def test_a_server_that_is_exhausted_and_says_for_how_long_is_left_alone(proxy: Proxies) -> None:
    one = bench(proxy)
    one.receiver.faults = GrpcFaults(grpc_status=8, message="slow%20down", trailers=retry_info(3), requests=1)
    send(one, 1)
    asked = wait_for(lambda: one.receiver.requests, what="a request")[0].at
    send(one, 20)
    stats = settled(one, 21)
    assert one.receiver.requests[1].at - asked >= 3
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (21, drops())
    (line,) = log_lines(one)
    assert 'it answered gRPC status 8 ("slow down"); they wait' in line


def partial(rejected: int, message: str) -> bytes:
    """The answer of a collector that took all spans but so many."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


PARTIAL = {
    "some": (partial(2, "too old\n"), 2, 'rejected 2 of its spans: "too old\\n"'),
    "none, with a warning": (partial(0, "slow down"), 0, 'rejected 0 of its spans: "slow down"'),
    "more than there were": (partial(1000, ""), 5, "rejected 1000 of its spans"),
    "fewer than none": (partial(-1, ""), 0, None),
    "nothing said": (b"", 0, None),
    "garbage": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, None),
    "more than is read": (partial(2, "x" * 100_000), 0, None),
}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("response, rejected, says", PARTIAL.values(), ids=PARTIAL.keys())
def test_spans_that_a_partial_success_rejects_are_counted_and_its_message_is_logged(
    response: bytes, rejected: int, says: str | None, protocol: str, proxy: Proxies
) -> None:
    # One batch leaves when it is full.
    collector = {"protocol": protocol}
    one = proxy({"sampling": 100, "collector": collector, "batch": {"maxSpans": 5, "interval": "1m"}})
    one.receiver.faults = Faults(response=response)
    send(one, 5)
    stats = settled(one, 5)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (5 - rejected, drops(rejected=rejected))
    assert (stats["meshspan_export_requests"], stats["meshspan_export_failures"]) == (1, 0)
    lines = log_lines(one)
    assert len(lines) == int(says is not None)
    assert says is None or says in lines[0]


def test_what_partial_successes_say_is_one_line_a_minute(proxy: Proxies) -> None:
    one = bench(proxy)
    one.receiver.faults = Faults(response=partial(1, "no"))
    for count in range(1, 4):
        send(one, 1)
        settled(one, count)
    assert (len(one.receiver.requests), len(log_lines(one))) == (3, 1)


HOSTILE = {
    "no message": b"",
    "half a prefix": b"\0\0",
    "a message that is cut off": b"\0\0\0\0\x09ab",
    "a message of 4 GiB": b"\0\xff\xff\xff\xffab",
    "a compressed message": b"\x01\0\0\0\x02ab",
    "bytes": bytes(range(256)) * 400,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_good_status_accepts_whatever_the_message_is(body: bytes, shared: SingleProxy) -> None:
    changes = settled_again(shared, 5)
    shared.receiver.clear()
    shared.receiver.faults = GrpcFaults(body=body)
    send(shared, 5)
    changed = changes()
    assert (changed["meshspan_spans_exported"], dropped(changed)) == (5, drops())


UNAVAILABLE = "it answered gRPC status 14"
# What the collector does (None: it refuses connections), and what the log says.
AWAY: dict[str, tuple[Faults | None, str]] = {
    "refuses connections": (None, UNAVAILABLE),
    "closes connections": (Faults(close=True), UNAVAILABLE),
    "does not answer": (Faults(delay=3600), UNAVAILABLE),
    "answers garbage": (Faults(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), UNAVAILABLE),
    "resets before its answer": (GrpcFaults(reset="before"), UNAVAILABLE),
    "resets within its answer": (GrpcFaults(reset="after"), "its answer broke off"),
    "goes away": (GrpcFaults(reset="goaway"), UNAVAILABLE),
    "answers 429": (Faults(status=429, retry_after="1"), "it answered 429"),
    "answers 502": (Faults(status=502), "it answered 502"),
    "answers 503": (Faults(status=503), "it answered 503"),
    "answers 504": (Faults(status=504), "it answered 504"),
    "answers 413 to large bodies": (Faults(max_body=10_000), "it answered 413; they are sent in halves"),
}


@pytest.mark.parametrize("faults, says", AWAY.values(), ids=AWAY.keys())
def test_a_short_fault_loses_nothing(faults: Faults | None, says: str, proxy: Proxies) -> None:
    # A busy machine must not make a timeout of its own.
    never_answers = faults is not None and faults.delay > 0
    one = bench(proxy, timeout="1s" if never_answers else "5s")
    with Books(one) as books:
        send(one, 20)
        settled(one, 20)
        if faults is None:
            one.receiver.stop()
        else:
            one.receiver.faults = replace(faults)
        send(one, 100)
        wait_for(lambda: one.stats()["meshspan_export_failures"] >= 2, what="two failures")
        send(one, 100)
        if faults is None:
            one.receiver.start_again()
        one.receiver.faults = Faults()
        stats = settled(one, 220)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (220, drops())
    assert len({span["id"] for span in one.receiver.spans}) == len(one.receiver.spans) == 220
    assert books.unbalanced == []
    (line,) = log_lines(one)
    assert says in line


def test_what_is_no_grpc_server_gets_the_spans_dropped_and_is_named(proxy: Proxies) -> None:
    one = bench(proxy)
    one.receiver.faults = Faults(status=404)
    send(one, 5)
    assert dropped(settled(one, 5)) == drops(rejected=5)
    (line,) = log_lines(one)
    assert "it answered 404; they are dropped" in line
