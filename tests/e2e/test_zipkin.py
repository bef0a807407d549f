"""The module and a real Zipkin: traces are found, linked, and shown on its web page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.browser import page_text, screenshot
from mesh.envoy import wait_for
from mesh.requests import request
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import is_whole, sampled_trace
from mesh.zipkin import Zipkin

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def zipkin(folder: Path) -> Iterator[Zipkin]:
    server = Zipkin(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def traces(zipkin: Zipkin, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The trace id of one request for each account, when Zipkin has them all."""
    with Mesh(sampling=100, collector_port=zipkin.port, folder=tmp_path_factory.mktemp("mesh")) as mesh:
        found = {}
        for account in ("acme", "umbrella", "initech"):
            headers = [("x-account-id", account)]
            answer = request(mesh.gateway_port, "GET", f"/accounts/{account}", headers, host="demo.example:8080")
            found[account] = sampled_trace(answer.json()["headers"]) or "not sampled"
        wait_for(lambda: zipkin.span_count() >= len(found) * SPANS_A_TRACE, what="all spans in Zipkin")
        assert zipkin.dropped_messages() == 0
    return found


def test_a_trace_is_found_whole_by_its_account(zipkin: Zipkin, traces: dict[str, str]) -> None:
    for account, trace_id in traces.items():
        (found,) = zipkin.traces(f"account_header={account}")
        assert {span["traceId"] for span in found} == {trace_id}
        assert is_whole(found)
        assert is_whole(zipkin.trace(trace_id))


def test_a_trace_is_found_by_envoys_tags(zipkin: Zipkin, traces: dict[str, str]) -> None:
    query = "http.method=GET and http.url=http://demo.example:8080/accounts/acme and component=proxy"
    found = zipkin.traces(query, serviceName="gateway.demo")
    assert [trace[0]["traceId"] for trace in found] == [traces["acme"]]
    assert zipkin.traces("error") == []


def test_the_dependency_graph_is_the_mesh(zipkin: Zipkin, traces: dict[str, str]) -> None:
    links = {(link["parent"], link["child"]): link["callCount"] for link in zipkin.dependencies()}
    calls = len(traces)
    assert links == {("gateway.demo", "dockebi.demo"): calls, ("dockebi.demo", "dockebi-storage.demo"): calls}


def test_the_web_page_shows_the_trace(zipkin: Zipkin, traces: dict[str, str], folder: Path) -> None:
    url = zipkin.trace_url(traces["acme"])
    page = page_text(url)
    for part in (traces["acme"], "gateway.demo", "dockebi.demo", "dockebi-storage.demo", "account_header", "acme"):
        assert part in page
    picture = folder / "zipkin.png"
    screenshot(url, picture)
    assert picture.read_bytes().startswith(PNG) and picture.stat().st_size > 20_000
