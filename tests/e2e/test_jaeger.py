"""The same requests give the same traces in a real Jaeger by each protocol, and in a real Zipkin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mesh.envoy import wait_for
from mesh.jaeger import Jaeger
from mesh.receiver import Span
from mesh.requests import request
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import CHAIN, is_whole, sampled_trace
from mesh.waterfall import in_order
from mesh.zipkin import Zipkin

ACCOUNTS = ("acme", "umbrella", "acme")
# Jaeger's ports by protocol.
PORTS = {"zipkin": "zipkin", "http/protobuf": "otlp", "grpc": "otlp-grpc"}
REAL_ZIPKIN = "zipkin, to a real Zipkin"
# Whether what is shown has OpenTelemetry's names.
WAYS = {"zipkin": False, "http/protobuf": True, "grpc": True, REAL_ZIPKIN: False}
# Spans are saved after Jaeger has answered, and the machine may be busy.
ARRIVAL = 30.0

# What both formats say, by its names in either.
SAME = {
    "status": ("http.status_code", "http.response.status_code"),
    "method": ("http.method", "http.request.method"),
    "request size": ("request_size", "http.request.body.size"),
    "response size": ("response_size", "http.response.body.size"),
    "agent": ("user_agent", "user_agent.original"),
    "cluster": ("upstream_cluster", "envoy.upstream_cluster"),
    "flags": ("response_flags", "envoy.response_flags"),
    "account": ("account_header", "account_header"),
}


@dataclass
class Sent:
    """What became of the requests that went through a mesh, in order, the failed one last."""

    trace_ids: list[str]
    # As the backend shows them, every parent before its children.
    traces: list[list[Span]]
    calls: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def jaeger(folder: Path) -> Iterator[Jaeger]:
    jaeger = Jaeger(folder)
    yield jaeger
    jaeger.stop()


@pytest.fixture(scope="module")
def sent(jaeger: Jaeger, zipkin: Zipkin, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sent]:
    """By way: a request for each account, and one more after the storage has gone."""

    def send(way: str) -> Sent:
        folder = tmp_path_factory.mktemp("backend")
        if way == REAL_ZIPKIN:
            return _send(zipkin, zipkin.port, "zipkin", folder)
        return _send(jaeger, jaeger.ports[PORTS[way]], way, folder)

    return {way: send(way) for way in WAYS}


def _send(backend: Jaeger | Zipkin, port: int, protocol: str, folder: Path) -> Sent:
    before, edges = backend.span_count(), backend.edges()
    count = len(ACCOUNTS) + 1
    trace_ids = []
    with Mesh(sampling=100, collector_port=port, protocol=protocol, folder=folder) as mesh:
        for number in range(count):
            if number == len(ACCOUNTS):
                mesh.stop_application("dockebi-storage")
            headers = [("x-account-id", ACCOUNTS[number % len(ACCOUNTS)]), ("user-agent", "shop/1")]
            answer = request(mesh.gateway_port, "GET", f"/accounts/{number}?token=secret", headers, host="demo.example")
            assert answer.status == (503 if number == len(ACCOUNTS) else 200)
            trace_ids.append(sampled_trace(answer.json()["headers"]) or "not sampled")
        wait_for(lambda: backend.span_count() - before >= count * SPANS_A_TRACE, ARRIVAL, "all spans there")
        sampled, exported = (f"wasmcustom.meshspan_spans_{what}" for what in ("sampled", "exported"))
        wait_for(lambda: mesh.stats_sum(sampled) == mesh.stats_sum(exported), ARRIVAL, "every span exported")
    assert backend.span_count() - before == count * SPANS_A_TRACE
    traces = [[span for _, span in in_order(backend.trace(trace_id))] for trace_id in trace_ids]
    return Sent(trace_ids, traces, dict(backend.edges() - edges))


def _said(trace: list[Span], otlp: bool) -> list[dict[str, Any]]:
    """What the spans of a trace say, by names that both formats share."""
    places = {span["id"]: place for place, span in enumerate(trace)}
    return [
        {
            # What is not there is a dash in some of Zipkin's tags.
            **{name: span["tags"].get(names[otlp], "-") for name, names in SAME.items()},
            # Jaeger makes a tag of Zipkin's remote endpoint.
            "called": span["tags"].get("peer.service") or span.get("remoteEndpoint", {}).get("serviceName"),
            "url": _path_and_query(span["tags"], otlp),
            "parent": places.get(span.get("parentId")),
            "service": span["localEndpoint"]["serviceName"],
            "name": span["name"],
            "kind": span["kind"],
            "error": span["tags"].get("error"),
        }
        for span in trace
    ]


def _path_and_query(tags: dict[str, str], otlp: bool) -> str:
    whole = tags.get("url.full") if otlp else tags["http.url"]
    if whole is None:
        return f"{tags['url.path']}?{tags['url.query']}"
    parts = urlsplit(whole)
    return f"{parts.path}?{parts.query}"


def test_every_trace_is_whole_by_either_format(sent: dict[str, Sent]) -> None:
    for one in sent.values():
        for trace in one.traces:
            assert is_whole(trace), trace


def test_the_same_requests_give_the_same_traces(sent: dict[str, Sent]) -> None:
    said = {way: [_said(trace, otlp) for trace in sent[way].traces] for way, otlp in WAYS.items()}
    expected = said.pop("zipkin")
    assert said == {way: expected for way in said}
    good, bad = expected[0], expected[-1]
    assert [span["parent"] for span in good] == [None, 0, 1, 2]
    assert {span["url"] for span in good} == {"/accounts/0?token=REDACTED"}
    # The application does not forward these two headers.
    assert [(span["account"], span["agent"]) for span in good[:2]] == [("acme", "shop/1")] * 2
    assert [(span["status"], span["error"]) for span in good] == [("200", None)] * SPANS_A_TRACE
    assert [(span["status"], span["error"]) for span in bad] == [("503", "true")] * SPANS_A_TRACE
    assert bad[-1]["flags"] == "UF"


def test_the_service_graph_is_the_same(sent: dict[str, Sent]) -> None:
    calls = len(ACCOUNTS) + 1
    services = list(dict.fromkeys(service for service, _ in CHAIN))
    expected = {link: calls for link in zip(services, services[1:], strict=False)}
    assert {name: one.calls for name, one in sent.items()} == {name: expected for name in WAYS}


@pytest.mark.parametrize("protocol", PORTS)
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


def test_no_format_shows_a_secret(sent: dict[str, Sent]) -> None:
    for one in sent.values():
        for trace in one.traces:
            assert "token=REDACTED" in str(trace) and "token=secret" not in str(trace)
