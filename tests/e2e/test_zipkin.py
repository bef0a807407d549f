"""The whole mesh and a real Zipkin: traces are found, whole, linked, and marked where they failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh import config as configuration
from mesh.browser import Browser
from mesh.config import Config
from mesh.envoy import wait_for
from mesh.requests import request
from mesh.single import SingleProxy
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import CHAIN, is_whole, sampled_trace
from mesh.waterfall import in_order
from mesh.zipkin import Zipkin
from mesh.zipkin_page import DependencyPage, TracePage

HOST = "demo.example:8080"
ACCOUNTS = ("acme", "umbrella", "acme", "initech", "acme")
DOCKEBI = "dockebi.demo.svc.cluster.local:8080/*"
STORAGE = "dockebi-storage.demo.svc.cluster.local:8080/*"
NAMES = [DOCKEBI, DOCKEBI, STORAGE, STORAGE]
GATEWAY_CALLS = ("gateway.demo", "dockebi.demo")
DOCKEBI_CALLS = ("dockebi.demo", "dockebi-storage.demo")
TO_TWO = "http.url=http://demo.example:8080/accounts/2 and http.method=GET"
# Zipkin takes spans in after it has answered, and the machine may be busy.
ARRIVAL = 30.0


@dataclass
class Sent:
    """What was sent through a mesh, once Zipkin has all of it."""

    began: float
    trace_ids: list[str]
    statuses: list[int]
    spans_taken: int


@pytest.fixture(scope="module")
def healthy(zipkin: Zipkin, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """A request for each of the accounts."""
    with Mesh(sampling=100, collector_port=zipkin.port, folder=tmp_path_factory.mktemp("healthy")) as mesh:
        return _send(zipkin, mesh, lambda number: [("x-account-id", ACCOUNTS[number])], len(ACCOUNTS))


@pytest.fixture(scope="module")
def failing(zipkin: Zipkin, healthy: Sent, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Two requests that are answered, and three after the storage has gone."""
    with Mesh(sampling=100, collector_port=zipkin.port, folder=tmp_path_factory.mktemp("failing")) as mesh:
        good = _send(zipkin, mesh, lambda _: [], 2)
        mesh.stop_application("dockebi-storage")
        bad = _send(zipkin, mesh, lambda _: [], 3)
    return Sent(good.began, good.trace_ids + bad.trace_ids, good.statuses + bad.statuses, 0)


def _send(zipkin: Zipkin, mesh: Mesh, headers: Callable[[int], list[tuple[str, str]]], count: int) -> Sent:
    """Send requests and wait until Zipkin has their spans and the proxies have no more."""
    began, before = time.time(), zipkin.span_count()
    trace_ids, statuses = [], []
    for number in range(count):
        answer = request(mesh.gateway_port, "GET", f"/accounts/{number}", headers(number), host=HOST)
        trace_ids.append(sampled_trace(answer.json()["headers"]) or "not sampled")
        statuses.append(answer.status)
    wait_for(lambda: zipkin.span_count() - before >= count * SPANS_A_TRACE, ARRIVAL, "all spans in Zipkin")
    sampled = "wasmcustom.meshspan_spans_sampled"
    exported = "wasmcustom.meshspan_spans_exported"
    wait_for(lambda: mesh.stats_sum(sampled) == mesh.stats_sum(exported), ARRIVAL, "every span exported")
    return Sent(began, trace_ids, statuses, zipkin.span_count() - before)


def _links(zipkin: Zipkin, sent: Sent) -> dict[tuple[str, str], tuple[int, int]]:
    """The calls, and how many of them failed, of each link."""
    return {
        (link["parent"], link["child"]): (link["callCount"], link.get("errorCount", 0))
        for link in zipkin.dependencies(sent.began)
    }


def test_every_trace_is_whole_and_no_span_comes_twice(zipkin: Zipkin, healthy: Sent) -> None:
    assert len(set(healthy.trace_ids)) == len(ACCOUNTS)
    assert healthy.spans_taken == len(ACCOUNTS) * SPANS_A_TRACE
    for trace_id in healthy.trace_ids:
        trace = zipkin.trace(trace_id)
        assert is_whole(trace), trace
        spans = [span for _, span in in_order(trace)]
        assert [(span["localEndpoint"]["serviceName"], span["kind"]) for span in spans] == list(CHAIN)
        assert [span["name"] for span in spans] == NAMES
        assert [span.get("parentId") for span in spans] == [None, *(span["id"] for span in spans[:-1])]


@pytest.mark.parametrize(
    ("by", "query", "expected"),
    [
        ("custom tag", {"annotation_query": "account_header=acme"}, [0, 2, 4]),
        ("custom tag of one", {"annotation_query": "account_header=initech"}, [3]),
        ("custom tag's name", {"annotation_query": "account_header"}, [0, 1, 2, 3, 4]),
        ("two tags", {"annotation_query": f"account_header=acme and {TO_TWO}"}, [2]),
        ("tags that differ", {"annotation_query": f"account_header=umbrella and {TO_TWO}"}, []),
        ("value that nobody sent", {"annotation_query": "account_header=nobody"}, []),
        ("service and tag", {"serviceName": "dockebi.demo", "annotation_query": "account_header=acme"}, [0, 2, 4]),
        # The application forwards the headers of traces only, so this one ends at dockebi.
        ("service that the header does not reach",
         {"serviceName": "dockebi-storage.demo", "annotation_query": "account_header"}, []),
        ("service that is not there", {"serviceName": "nobody.demo"}, []),
        ("span name", {"spanName": STORAGE}, [0, 1, 2, 3, 4]),
        ("service and span name", {"serviceName": "gateway.demo", "spanName": DOCKEBI}, [0, 1, 2, 3, 4]),
        ("name of another's span", {"serviceName": "gateway.demo", "spanName": STORAGE}, []),
        ("service it calls", {"serviceName": "dockebi.demo", "remoteServiceName": "dockebi-storage.demo"},
         [0, 1, 2, 3, 4]),
        ("service it does not call", {"serviceName": "gateway.demo", "remoteServiceName": "dockebi-storage.demo"}, []),
        ("error, where there is none", {"annotation_query": "error"}, []),
    ],
)  # fmt: skip
def test_search_finds_exactly_the_traces(
    by: str, query: dict[str, Any], expected: list[int], zipkin: Zipkin, healthy: Sent
) -> None:
    found = {trace[0]["traceId"]: trace for trace in zipkin.traces(**query)}
    ours = [number for number, trace_id in enumerate(healthy.trace_ids) if trace_id in found]
    assert ours == expected
    assert all(is_whole(found[healthy.trace_ids[number]]) for number in ours)


def test_the_search_form_offers_services_and_span_names(zipkin: Zipkin, healthy: Sent) -> None:
    # Other tests' services may be there, too.
    services = {name for name in zipkin.names("services") if name.endswith(".demo")}
    assert services == {"gateway.demo", "dockebi.demo", "dockebi-storage.demo"}
    assert zipkin.names("spans", serviceName="gateway.demo") == {DOCKEBI}
    assert zipkin.names("spans", serviceName="dockebi-storage.demo") == {STORAGE}
    assert zipkin.names("remoteServices", serviceName="gateway.demo") == {"dockebi.demo"}


def test_dependency_links_are_exactly_the_mesh(zipkin: Zipkin, healthy: Sent) -> None:
    assert _links(zipkin, healthy) == {GATEWAY_CALLS: (len(ACCOUNTS), 0), DOCKEBI_CALLS: (len(ACCOUNTS), 0)}


def test_a_failing_service_marks_traces_and_links(zipkin: Zipkin, failing: Sent) -> None:
    assert failing.statuses == [200, 200, 503, 503, 503]
    found = {trace[0]["traceId"]: trace for trace in zipkin.traces("error")}
    found = {trace_id: found[trace_id] for trace_id in failing.trace_ids if trace_id in found}
    assert set(found) == set(failing.trace_ids[2:])
    for trace in found.values():
        assert is_whole(trace), trace
        tags = [span["tags"] for _, span in in_order(trace)]
        assert [one["error"] for one in tags] == ["true"] * SPANS_A_TRACE
        assert [one["http.status_code"] for one in tags] == ["503"] * SPANS_A_TRACE
        assert tags[-1]["response_flags"] == "UF"
    assert _links(zipkin, failing) == {GATEWAY_CALLS: (5, 3), DOCKEBI_CALLS: (5, 3)}


def test_a_64_bit_trace_of_the_caller_is_whole_under_its_16_digits(
    zipkin: Zipkin, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trace_id, caller = "463ac35c9f6413ad", "a2fb4a1d1a96d312"
    with Mesh(sampling=0, collector_port=zipkin.port, folder=tmp_path_factory.mktemp("64-bit")) as mesh:
        _send(zipkin, mesh, lambda _: [("b3", f"{trace_id}-{caller}-1")], 1)
    spans = [span for _, span in in_order(zipkin.trace(trace_id))]
    assert is_whole(spans), spans
    assert {span["traceId"] for span in spans} == {trace_id}
    assert [span.get("parentId") for span in spans] == [caller, *(span["id"] for span in spans[:-1])]


@pytest.mark.parametrize(
    ("cluster", "virtual_host", "host", "expected"),
    [
        ("outbound|443||api.example.com", "api.example.com:443", "api.example.com", "api.example.com"),
        ("PassthroughCluster", "allow_any", "other.example.org:8443", "other.example.org"),
    ],
)
def test_a_call_that_leaves_the_mesh_is_a_link_to_its_host(
    cluster: str, virtual_host: str, host: str, expected: str, zipkin: Zipkin, proxy: Callable[..., SingleProxy]
) -> None:
    def leave(config: Config) -> None:
        (collector,) = (one for one in configuration.clusters(config) if one["name"] == "zipkin")
        (endpoint,) = collector["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = zipkin.port
        (storage,) = (one for one in configuration.clusters(config) if one["name"].startswith("outbound|"))
        storage["name"] = storage["load_assignment"]["cluster_name"] = cluster
        storage.pop("metadata")
        (manager,) = configuration.connection_managers(config)
        routes = [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": cluster}}]
        manager["route_config"]["virtual_hosts"] = [{"name": virtual_host, "domains": ["*"], "routes": routes}]

    began = time.time()
    sidecar = proxy(direction="outbound", change=leave)
    traced = sidecar.forwarded("GET", "/", host=host)[b"traceparent"][0].decode().split("-")[1]
    (span,) = wait_for(lambda: zipkin.trace(traced), ARRIVAL, "the span in Zipkin")
    assert (span["kind"], span["localEndpoint"]["serviceName"]) == ("CLIENT", "dockebi.demo")
    assert span["remoteEndpoint"]["serviceName"] == expected
    assert span["remoteEndpoint"]["port"] == sidecar.upstream.port
    links = [(one["parent"], one["child"], one["callCount"]) for one in zipkin.dependencies(began)]
    assert links == [("dockebi.demo", expected, 1)]


def test_the_web_page_shows_the_trace(zipkin: Zipkin, healthy: Sent, tmp_path: Path) -> None:
    trace_id = healthy.trace_ids[1]
    spans = [span for _, span in in_order(zipkin.trace(trace_id))]
    picture = tmp_path / "page.png"
    with Browser(tmp_path) as browser:
        page = TracePage(browser, zipkin.trace_url(trace_id))
        shown = page.rows()
        assert [(row.service, row.name) for row in shown] == list(zip((one for one, _ in CHAIN), NAMES, strict=True))
        # From a second on, the page rounds to milliseconds.
        assert [row.duration for row in shown] == pytest.approx([span["duration"] for span in spans], rel=1e-3)
        assert trace_id in browser.text()
        for number, span in enumerate(spans):
            page.select(number, span["id"])
            assert page.tags().items() >= span["tags"].items()
            # The application does not forward the header of this tag.
            assert page.tags().get("account_header") == ("umbrella" if number < 2 else None)
        browser.screenshot(picture)
        assert DependencyPage(browser, zipkin.url).services() >= {service for service, _ in CHAIN}
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
