"""Requests of traces that are not sampled and are exported for how they end, in a real Envoy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mesh.config import Config, connection_managers
from mesh.contexts import injected_traceparent
from mesh.http2 import grpc_answer
from mesh.load import run_load
from mesh.parity import parity_routes, rate_limit, rate_limit_filter
from mesh.requests import ConnectionEnded, request_bytes
from mesh.single import SingleProxy
from mesh.upstream import Answer

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UNSAMPLED = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00"),)
B3 = tuple({"x-b3-traceid": TRACE_ID, "x-b3-spanid": PARENT_ID, "x-b3-sampled": "0"}.items())
PROBE = ("user-agent", "kube-probe/1.34")
# Longer than a busy machine takes for a request, and what takes longer still.
SLOWER_THAN, SLOW = "2s", Answer(delay=2.5)


@dataclass(frozen=True)
class Ending:
    """A request that is not sampled, what the upstream does, and why its span is kept, if it is."""

    kept: str | None
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    answer: Answer = Answer()
    leaves: bool = False
    parent: str | None = None
    body: bytes = b""


ENDINGS = {
    "200": Ending(None),
    "404": Ending(None, answer=Answer(404)),
    "500": Ending("error", answer=Answer(500)),
    "503_of_a_trace_that_came_in": Ending("error", headers=UNSAMPLED, answer=Answer(503), parent=PARENT_ID),
    "503_of_a_trace_in_both_formats": Ending(
        "error", headers=UNSAMPLED + B3, answer=Answer(503), parent=PARENT_ID
    ),
    "503_of_a_trace_in_b3": Ending("error", headers=B3, answer=Answer(503), parent=PARENT_ID),
    "no_route": Ending(None, headers=(("x-no-route", "1"),)),
    "no_cluster": Ending("error", path="/unknown-cluster"),
    "refused": Ending("error", path="/refused"),
    "retries_used_up": Ending("error", path="/refused-retried"),
    "reset_before_the_answer": Ending("error", answer=Answer(reset="before")),
    "reset_in_the_answer": Ending("error", answer=Answer(reset="after", body=b"x" * 100)),
    "timeout": Ending("error", path="/timeout", answer=Answer(delay=60)),
    "the_client_left": Ending(None, answer=Answer(delay=60), leaves=True),
    "slow": Ending("slow", answer=SLOW),
    "slow_of_a_trace_that_came_in": Ending("slow", headers=UNSAMPLED, answer=SLOW, parent=PARENT_ID),
    "slow_upload": Ending("slow", answer=SLOW, body=b"x" * 1000),
    "fault_before_the_module": Ending(None, headers=(("x-abort-before", "1"),)),
    "probe": Ending(None, headers=(PROBE,), answer=Answer(503)),
    "a_decision_alone": Ending(None, headers=(("b3", "0"),), answer=Answer(503)),
}  # fmt: skip


@pytest.fixture(scope="module", params=["inbound", "outbound"])
def keeping(request: pytest.FixtureRequest, module_proxy: Callable[..., SingleProxy]) -> SingleProxy:
    """A proxy that samples nothing, and keeps errors and what is slow."""
    config = {"sampling": {"percent": 0, "keep": {"errors": True, "slowerThan": SLOWER_THAN}}}
    return module_proxy(config, direction=request.param, change=parity_routes({}, bare=False))


@pytest.mark.parametrize("name", ENDINGS)
def test_how_a_request_ends_says_whether_it_is_kept(keeping: SingleProxy, name: str) -> None:
    ending = ENDINGS[name]
    keeping.receiver.clear()
    keeping.upstream.clear()
    keeping.upstream.answer = ending.answer
    send = keeping.leave if ending.leaves else keeping.request
    try:
        send("POST" if ending.body else "GET", ending.path, ending.headers, ending.body)
    except ConnectionEnded:
        assert name == "reset_in_the_answer"
    spans = keeping.spans(0 if ending.kept is None else 1)
    for span in spans:
        assert (span["tags"]["sampling.kept"], span["tags"]["sampling.rule"]) == (ending.kept, "keep")
        assert "sampling.probability" not in span["tags"]
        assert span.get("parentId") == ending.parent
        assert span["tags"]["http.url"].endswith(ending.path)
    # The headers that went on say that the trace is not sampled, and name the span.
    for seen in keeping.upstream.requests:
        trace, span_id, flag = injected_traceparent(seen.headers)
        assert not flag and seen.header("tracestate") is None
        assert [(trace, span_id)] * len(spans) == [(span["traceId"], span["id"]) for span in spans]
        if ending.parent:
            assert (trace, span_id != PARENT_ID) == (TRACE_ID, True)


@pytest.mark.parametrize(
    ("status", "kept"), [(0, None), (5, None), (14, "error"), (2, "error"), (8, "error"), (1, None)]
)
def test_grpc_fails_by_its_own_status(proxy: Callable[..., SingleProxy], status: int, kept: str | None) -> None:
    config = {"sampling": {"percent": 0, "keep": {"errors": True}}}
    grpc = proxy(config, http2=True, upstream=grpc_answer(status, "words"))
    grpc.grpc_request("/demo.Accounts/Get")
    spans = grpc.spans(0 if kept is None else 1)
    assert [span["tags"]["grpc.status_code"] for span in spans] == ([] if kept is None else [str(status)])


def test_a_filter_that_answers_first_may_fail_as_well(proxy: Callable[..., SingleProxy]) -> None:
    def limited(config: Config) -> None:
        """A limit before the module that answers 503 from the second request on."""
        for manager in connection_managers(config):
            manager["http_filters"].insert(0, rate_limit_filter("limit"))
            route = manager["route_config"]["virtual_hosts"][0]["routes"][-1]
            limit = {**rate_limit(1), "status": {"code": 503}}
            route["typed_per_filter_config"] = {"limit": limit}

    config = {"sampling": {"percent": 0, "keep": {"errors": True}}}
    first = proxy(config, change=limited)
    assert [first.request(headers=UNSAMPLED).status for _ in range(2)] == [200, 503]
    span = first.span()
    assert (span["tags"]["response_flags"], span["parentId"]) == ("RL", PARENT_ID)


def test_a_share_of_traces_is_the_same_in_every_proxy(proxy: Callable[..., SingleProxy]) -> None:
    """And not that of those that are sampled."""
    ids = [f"{number * 0x9e37_79b9_7f4a_7c15 % 2**64:016x}" for number in range(1, 401)]
    requests = [request_bytes(headers=[("b3", f"{one}-{PARENT_ID}-0")]) for one in ids]
    kept = []
    for direction, percent in [("inbound", 50), ("outbound", 50), ("inbound", 5)]:
        keep = {"errors": True, "percent": percent, "ratePerSecond": 10_000}
        one = proxy({"sampling": {"percent": 0, "keep": keep}}, direction=direction, upstream=Answer(500))
        assert dict(run_load(one.port, len(ids), requests=requests).statuses) == {500: len(ids)}
        one.settle()
        kept.append({span["traceId"] for span in one.receiver.spans})
    expected = {one for one in ids if _lot(int(one, 16)) % 2**56 >= 2**55}
    assert kept[0] == kept[1] == expected
    assert kept[2] < expected and kept[2]


def _lot(bits: int) -> int:
    """The end of SplitMix64."""
    bits = (bits ^ bits >> 30) * 0xBF58_476D_1CE4_E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D0_49BB_1331_11EB % 2**64
    return bits ^ bits >> 31


def test_a_ceiling_bounds_what_is_kept_and_counts_the_rest(proxy: Callable[..., SingleProxy]) -> None:
    keep = {"errors": True, "ratePerSecond": 0.01, "burst": 10}
    limited = proxy({"sampling": {"percent": 0, "keep": keep}}, concurrency=2, upstream=Answer(500))
    assert dict(run_load(limited.port, 500, requests=[request_bytes()]).statuses) == {500: 500}
    limited.settle()
    stats = limited.stats()
    kept = stats["meshspan_spans_kept"]
    assert 10 <= kept <= 40
    assert kept == stats["meshspan_spans_sampled"] == len(limited.receiver.spans)
    assert kept + stats["meshspan_spans_kept_limited"] == 500
    assert stats["meshspan_traces_limited"] == 0
