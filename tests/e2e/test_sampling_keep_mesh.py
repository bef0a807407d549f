"""What fails or is slow, through the whole mesh and into a real Zipkin, where nothing is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.envoy import wait_for
from mesh.requests import request
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import is_whole
from mesh.waterfall import in_order
from mesh.zipkin import Zipkin

HOST = "demo.example:8080"
KEEP = {"errors": True, "slowerThan": "2s"}
CALLER, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "80f198ee56343ba864fe8b2a57d3eff7"
PARENT = "00f067aa0ba902b7"
# What is asked, with headers, and why it is kept.
ASKED: list[tuple[str, list[tuple[str, str]], str | None]] = [
    ("/accounts/1", [], None),
    ("/status/500", [], "error"),
    ("/accounts/2", [("traceparent", f"00-{OTHER}-{PARENT}-00")], None),
    ("/status/503", [("traceparent", f"00-{CALLER}-{PARENT}-00")], "error"),
    ("/status/404", [], None),
    ("/delay/2.5", [], "slow"),
    ("/accounts/3", [], None),
]
# Zipkin takes spans in after it has answered, and the machine may be busy.
ARRIVAL = 30.0


@dataclass
class Kept:
    """The traces of `ASKED` in their order, and how many spans Zipkin has of them all."""

    trace_ids: list[str]
    spans: int


@pytest.fixture(scope="module")
def kept(zipkin: Zipkin, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """All requests, sent to a mesh that samples none."""
    plugin = {"sampling": {"percent": 0, "keep": KEEP}, "batch": {"interval": "50ms"}}
    before, trace_ids = zipkin.span_count(), []
    wanted = SPANS_A_TRACE * sum(kept is not None for _, _, kept in ASKED)
    with Mesh(plugin=plugin, collector_port=zipkin.port, folder=tmp_path_factory.mktemp("keep")) as mesh:
        for path, headers, _ in ASKED:
            answer = request(mesh.gateway_port, "GET", path, headers, host=HOST)
            trace_ids.append(answer.json()["headers"]["traceparent"].split("-")[1])
        wait_for(lambda: zipkin.span_count() - before >= wanted, ARRIVAL, "the spans in Zipkin")
    # The mesh has ended, and sent what it had.
    return Kept(trace_ids, zipkin.span_count() - before)


def test_the_whole_path_of_what_fails_or_is_slow_is_there_and_nothing_else(zipkin: Zipkin, kept: Kept) -> None:
    for (path, headers, why), trace_id in zip(ASKED, kept.trace_ids):
        if why is None:
            continue
        trace = zipkin.trace(trace_id)
        assert is_whole(trace), (path, trace)
        spans = [span for _, span in in_order(trace)]
        root = PARENT if headers else None
        assert [span.get("parentId") for span in spans] == [root, *(span["id"] for span in spans[:-1])], path
        assert {span["tags"]["sampling.kept"] for span in spans} == {why}, path
    assert kept.spans == SPANS_A_TRACE * sum(why is not None for _, _, why in ASKED)
    assert kept.trace_ids[3] == CALLER


def test_an_application_that_is_gone_leaves_the_path_to_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    plugin = {"sampling": {"percent": 0, "keep": {"errors": True}}, "batch": {"interval": "50ms"}}
    with Mesh(plugin=plugin, folder=tmp_path_factory.mktemp("gone")) as mesh:
        assert mesh.receiver is not None
        assert request(mesh.gateway_port, "GET", "/accounts/1", host=HOST).status == 200
        mesh.stop_application("dockebi-storage")
        assert request(mesh.gateway_port, "GET", "/accounts/2", host=HOST).status == 503
        trace = mesh.receiver.wait_for(SPANS_A_TRACE)
        assert is_whole(trace), trace
        assert [span["tags"]["response_flags"] for _, span in in_order(trace)][-1] == "UF"
