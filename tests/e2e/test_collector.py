"""A real OpenTelemetry Collector, which most users run: what it writes is what was sent."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.books import dropped, drops, settled
from mesh.config import Config, clusters, use_http2
from mesh.envoy import wait_for
from mesh.grpc_receiver import METHOD, OtlpGrpcReceiver
from mesh.http2 import grpc_request
from mesh.otel_collector import Collector
from mesh.otlp_receiver import OtlpReceiver
from mesh.receiver import Receiver, Span
from mesh.single import HOSTS, SingleProxy

PROTOCOLS = ("zipkin", "http/protobuf", "grpc")
WAYS = [(protocol, "none") for protocol in PROTOCOLS] + [("zipkin", "gzip"), ("http/protobuf", "gzip")]
CLUSTER = "otel-collector"
PARENT_ID = "b7ad6b7169203331"
REQUESTS = 300
# Of 128 bits: shorter ones Zipkin writes in 16 digits.
_FIRST = 1 << 120
ACCOUNT_TAG = {"account_header": {"header": {"name": "x-account-id"}}}


@pytest.fixture(scope="module")
def collector(folder: Path) -> Iterator[Collector]:
    """The Collector that all tests share; they go by their trace ids."""
    collector = Collector("collector", folder)
    yield collector
    assert collector.stop() == 0
    faults = [line for line in collector.process.log().splitlines() if "\terror\t" in line]
    assert faults == []


def _to(port: int, protocol: str) -> Callable[[Config], None]:
    """Adds the cluster of a collector at this port of loopback."""

    def change(config: Config) -> None:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        load = {"cluster_name": CLUSTER, "endpoints": endpoints}
        clusters(config).append({"name": CLUSTER, "type": "STATIC", "load_assignment": load})
        if protocol == "grpc":
            use_http2(config, CLUSTER)

    return change


def _plugin(protocol: str, **more: Any) -> dict[str, Any]:
    return {
        "sampling": 100,
        "collector": {"protocol": protocol, "cluster": CLUSTER, **more},
        "customTags": ACCOUNT_TAG,
    }


@dataclass
class Sent:
    """What went through a proxy."""

    began: int
    ended: int = 0
    # The span ids that the upstream saw, by trace id.
    span_ids: dict[str, str] = field(default_factory=dict)


def _send(proxy: SingleProxy, first: int, count: int, more: list[tuple[str, str]] | None = None) -> Sent:
    """Requests with trace ids from `first` on, over one connection."""
    sent = Sent(time.time_ns())
    with proxy.connection() as connection:
        for number in range(count):
            headers = [("traceparent", f"00-{first + number:032x}-{PARENT_ID}-01"), ("x-account-id", f"a{number}"), *(more or [])]
            connection.request("GET", f"/accounts/{number}?page=2", headers, host=HOSTS[proxy.direction])
    wait_for(lambda: proxy.stats()["meshspan_spans_sampled"] == count, what="the end of every span")
    sent.ended = time.time_ns()
    for recorded in proxy.upstream.requests:
        _, trace_id, span_id, _ = (recorded.header("traceparent") or b"").decode().split("-")
        sent.span_ids[trace_id] = span_id
    return sent


def _of(sent: Sent) -> Callable[[Span], bool]:
    return lambda span: span["traceId"] in sent.span_ids


@pytest.mark.parametrize(("protocol", "compression"), WAYS)
def test_each_of_300_requests_is_the_span_that_it_should_be(
    proxy: Callable[..., SingleProxy], collector: Collector, protocol: str, compression: str
) -> None:
    # Outbound, where the upstream sees the span's own id.
    one = proxy(
        _plugin(protocol, compression=compression),
        direction="outbound",
        concurrency=2,
        change=_to(collector.ports[protocol], protocol),
    )
    first = _FIRST + WAYS.index((protocol, compression)) * REQUESTS
    sent = _send(one, first, REQUESTS)
    spans = collector.wait_for(_of(sent), REQUESTS)
    one.settle()
    # Not one of them twice.
    assert len([span for span in collector.spans if _of(sent)(span)]) == REQUESTS
    assert {span["traceId"]: span["id"] for span in spans} == sent.span_ids
    accounts = {f"{first + number:032x}": f"a{number}" for number in range(REQUESTS)}
    assert {span["traceId"]: span["attributes"]["account_header"] for span in spans} == accounts
    same = {(span["parentId"], span["name"], span["kind"], span["resource"]["service.name"]) for span in spans}
    assert same == {(PARENT_ID, f"{HOSTS['outbound']}/*", "CLIENT", "dockebi.demo")}
    assert all(sent.began <= span["start"] < span["end"] <= sent.ended for span in spans)
    stats = one.stats()
    assert (stats["meshspan_spans_exported"], stats["meshspan_export_failures"]) == (REQUESTS, 0)


def test_a_message_that_its_grpc_server_finds_too_large_is_sent_in_halves(
    proxy: Callable[..., SingleProxy], collector: Collector
) -> None:
    tags = {"padding": {"header": {"name": "x-padding"}}}
    # One batch of 1.8 MB, where the Collector takes 1 MiB.
    limits = {"maxTagLength": 65_536, "batch": {"maxSpans": 60, "interval": "5m"}}
    one = proxy({**_plugin("grpc"), **limits, "customTags": tags}, change=_to(collector.ports["grpc"], "grpc"))
    first = _FIRST + 100_000
    sent = _send(one, first, 60, [("x-padding", "x" * 30_000)])
    stats = settled(one, 60)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (60, drops())
    assert (stats["meshspan_export_requests"], stats["meshspan_export_failures"]) == (3, 1)
    assert len(collector.wait_for(_of(sent), 60)) == 60
    assert "received message larger than max" in one.log()
    assert "they are sent in halves" in one.log()


RECEIVERS = {"zipkin": Receiver, "http/protobuf": OtlpReceiver, "grpc": OtlpGrpcReceiver}


def _post(collector: Collector, protocol: str, receiver: Receiver) -> None:
    """Send the Collector what a receiver of ours got, to the byte."""
    content_type = "application/json" if protocol == "zipkin" else "application/x-protobuf"
    for body in receiver.bodies or []:
        if protocol == "grpc":
            # It is kept with the five bytes that gRPC puts before a message.
            answer = grpc_request(collector.ports["grpc"], METHOD, message=body[5:])
            assert (b"grpc-status", b"0") in answer.trailers
            continue
        connection = http.client.HTTPConnection("127.0.0.1", collector.ports[protocol], timeout=30)
        connection.request("POST", receiver.path, body, {"content-type": content_type})
        assert connection.getresponse().status == receiver.accepted
        connection.close()


@pytest.mark.parametrize("direction", ("inbound", "outbound"))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_reads_what_our_own_receiver_reads(
    proxy: Callable[..., SingleProxy], collector: Collector, loop: BackgroundLoop, protocol: str, direction: str
) -> None:
    receiver = RECEIVERS[protocol](loop)
    receiver.bodies = []
    one = proxy(_plugin(protocol), direction=direction, change=_to(receiver.port, protocol))
    first = _FIRST + 10_000 * (1 + PROTOCOLS.index(protocol)) + (100 if direction == "inbound" else 200)
    sent = _send(one, first, 20)
    ours = {span["id"]: span for span in receiver.wait_for(20)}
    _post(collector, protocol, receiver)
    theirs = {span["id"]: span for span in collector.wait_for(_of(sent), 20)}
    receiver.stop()
    assert receiver.errors == []
    if protocol == "zipkin":
        ours = {id_: _as_the_collector_translates(span) for id_, span in ours.items()}
        theirs = {id_: {key: span[key] for key in next(iter(ours.values()))} for id_, span in theirs.items()}
    assert theirs == ours


def _as_the_collector_translates(span: Span) -> Span:
    """A span of Zipkin's as its receiver there has it."""
    return {
        "traceId": span["traceId"],
        "id": span["id"],
        "parentId": span["parentId"],
        "name": span["name"],
        "kind": span["kind"],
        "start": span["timestamp"] * 1000,
        "end": (span["timestamp"] + span["duration"]) * 1000,
        "resource": {"service.name": span["localEndpoint"]["serviceName"]},
        "attributes": {
            **span["tags"],
            **_endpoint(span["localEndpoint"], ipv4="net.host.ip", port="net.host.port"),
            **_endpoint(span["remoteEndpoint"], serviceName="peer.service", ipv4="net.peer.ip", port="net.peer.port"),
        },
    }


def _endpoint(endpoint: dict[str, Any], **names: str) -> dict[str, Any]:
    return {name: endpoint[key] for key, name in names.items() if key in endpoint}
