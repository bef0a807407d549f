"""The same requests give the same traces in a real Jaeger, by Zipkin's format and by OTLP over HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh.envoy import wait_for
from mesh.jaeger import Jaeger
from mesh.receiver import Span
from mesh.requests import request
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import CHAIN, is_whole, sampled_trace
from mesh.waterfall import in_order

ACCOUNTS = ("acme", "umbrella", "acme")
PROTOCOLS = {"zipkin": "zipkin", "http/protobuf": "otlp", "grpc": "otlp-grpc"}
# Spans are saved after Jaeger has answered, and the machine may be busy.
ARRIVAL = 30.0

# What both formats say, by its names in either.
SAME = {
    "status": ("http.status_code", "http.response.status_code"),
    "method": ("http.method", "http.request.method"),
    "flags": ("response_flags", "envoy.response_flags"),
    "cluster": ("upstream_cluster", "envoy.upstream_cluster"),
    "called": ("peer.service", "peer.service"),
    "account": ("account_header", "account_header"),
}


@dataclass
class Sent:
    """The trace ids of the requests that went through a mesh, in order, the failed ones last."""

    trace_ids: list[str]
    calls: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def jaeger(folder: Path) -> Iterator[Jaeger]:
    jaeger = Jaeger(folder)
    yield jaeger
    jaeger.stop()


@pytest.fixture(scope="module")
def sent(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sent]:
    """By protocol: a request for each account, and one more after the storage has gone."""
    return {name: _send(jaeger, name, tmp_path_factory.mktemp("jaeger")) for name in PROTOCOLS}


def _send(jaeger: Jaeger, protocol: str, folder: Path) -> Sent:
    before, edges = jaeger.span_count(), jaeger.edges()
    count = len(ACCOUNTS) + 1
    trace_ids = []
    port = jaeger.ports[PROTOCOLS[protocol]]
    with Mesh(sampling=100, collector_port=port, protocol=protocol, folder=folder) as mesh:
        for number in range(count):
            if number == len(ACCOUNTS):
                mesh.stop_application("dockebi-storage")
            headers = [("x-account-id", ACCOUNTS[number % len(ACCOUNTS)])]
            answer = request(mesh.gateway_port, "GET", f"/accounts/{number}?token=secret", headers, host="demo.example")
            assert answer.status == (503 if number == len(ACCOUNTS) else 200)
            trace_ids.append(sampled_trace(answer.json()["headers"]) or "not sampled")
        wait_for(lambda: jaeger.span_count() - before >= count * SPANS_A_TRACE, ARRIVAL, "all spans in Jaeger")
        sampled, exported = (f"wasmcustom.meshspan_spans_{what}" for what in ("sampled", "exported"))
        wait_for(lambda: mesh.stats_sum(sampled) == mesh.stats_sum(exported), ARRIVAL, "every span exported")
    assert jaeger.span_count() - before == count * SPANS_A_TRACE
    return Sent(trace_ids, dict(jaeger.edges() - edges))


def _said(span: Span, otlp: bool) -> dict[str, Any]:
    """What a span says, by names that both formats share."""
    tags = span["tags"]
    said = {name: tags.get(names[otlp]) for name, names in SAME.items()}
    # Zipkin's tag of no flags is a dash.
    said["flags"] = None if said["flags"] == "-" else said["flags"]
    return {**said, "name": span["name"], "kind": span["kind"], "error": tags.get("error")}


def test_every_trace_is_whole_by_either_format(jaeger: Jaeger, sent: dict[str, Sent]) -> None:
    for one in sent.values():
        for trace_id in one.trace_ids:
            trace = jaeger.trace(trace_id)
            assert is_whole(trace), trace


def test_the_same_requests_give_the_same_traces(jaeger: Jaeger, sent: dict[str, Sent]) -> None:
    by_zipkin, by_otlp, by_grpc = (
        [[_said(span, otlp) for _, span in in_order(jaeger.trace(trace_id))] for trace_id in sent[name].trace_ids]
        for name, otlp in (("zipkin", False), ("http/protobuf", True), ("grpc", True))
    )
    assert by_otlp == by_zipkin
    assert by_grpc == by_otlp
    assert [(span["status"], span["error"]) for span in by_otlp[0]] == [("200", None)] * SPANS_A_TRACE
    assert [(span["status"], span["error"]) for span in by_otlp[-1]] == [("503", "true")] * SPANS_A_TRACE
    assert by_otlp[-1][-1]["flags"] == "UF"


def test_the_service_graph_is_the_same(sent: dict[str, Sent]) -> None:
    calls = len(ACCOUNTS) + 1
    services = list(dict.fromkeys(service for service, _ in CHAIN))
    expected = {link: calls for link in zip(services, services[1:], strict=False)}
    assert {name: one.calls for name, one in sent.items()} == {name: expected for name in PROTOCOLS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"account_header": "acme"}, [0, 2, 3]),
        ({"account_header": "umbrella"}, [1]),
        ({"account_header": "nobody"}, []),
        ({"error": "true"}, [3]),
    ],
    ids=str,
)
def test_search_finds_exactly_the_traces(
    jaeger: Jaeger, sent: dict[str, Sent], protocol: str, tags: dict[str, str], expected: list[int]
) -> None:
    found = {trace[0]["traceId"] for trace in jaeger.traces("gateway.demo", tags)}
    assert [number for number, one in enumerate(sent[protocol].trace_ids) if one in found] == expected


def test_no_format_shows_a_secret(jaeger: Jaeger, sent: dict[str, Sent]) -> None:
    for one in sent.values():
        for trace_id in one.trace_ids:
            said = str(jaeger.trace(trace_id))
            assert "token=REDACTED" in said and "token=secret" not in said
