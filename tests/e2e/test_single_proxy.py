"""The single proxy keeps its word: what it says was sent, received and counted is so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mesh.http2 import grpc_answer
from mesh.load import run_load
from mesh.requests import ConnectionEnded
from mesh.single import SingleProxy
from mesh.upstream import Answer

Proxy = Callable[..., SingleProxy]


@pytest.mark.parametrize(("direction", "kind"), [("inbound", "SERVER"), ("outbound", "CLIENT")])
def test_upstream_gets_every_header_byte_for_byte(proxy: Proxy, direction: str, kind: str) -> None:
    one = proxy(direction=direction)
    one.request("GET", "/x", headers=[("x-one", "1"), (b"x-one", b"\xff\x80"), ("x-two", "")])
    assert one.upstream.last.values("x-one") == [b"1", b"\xff\x80"]
    assert one.upstream.last.header("x-two") == b""
    assert one.span()["kind"] == kind


@pytest.mark.parametrize("http2", [False, True])
def test_upstream_fails_as_told(proxy: Proxy, http2: bool) -> None:
    one = proxy(http2=http2, upstream=Answer(reset="before"))
    assert one.request().status == 503
    one.upstream.answer = Answer(reset="after", body=b"x" * 100)
    with pytest.raises(ConnectionEnded):
        one.request()
    one.upstream.answer = Answer(418, (("x-kind", "pot"),), delay=0.1)
    response = one.request("POST", "/tea", body=b"leaves")
    assert (response.status, response.header("x-kind")) == (418, b"pot")
    assert one.upstream.last.body == b"leaves"
    flags = [span["tags"]["response_flags"] for span in one.spans(3)]
    assert flags[0] in ("UC", "UR") and flags[1] != "-" and flags[2] == "-"


def test_grpc_status_comes_in_the_trailers(proxy: Proxy) -> None:
    one = proxy(direction="outbound", http2=True, upstream=grpc_answer(status=14, message="away"))
    response = one.grpc_request("/demo.Accounts/Get")
    assert dict(response.trailers)[b"grpc-status"] == b"14"
    assert one.span()["tags"]["grpc.status_code"] == "14"


@pytest.mark.parametrize("tracer", ["native-zipkin", "none"])
def test_other_tracers_take_the_modules_place(proxy: Proxy, tracer: str) -> None:
    custom = {"stage": {"literal": {"value": "test"}}, "who": {"header": {"name": "x-who", "defaultValue": "-"}}}
    one = proxy({"sampling": 100, "customTags": custom}, tracer=tracer)
    assert one.request("GET", "/").status == 200
    if tracer == "none":
        one.spans(0)
    else:
        tags = one.span()["tags"]
        assert (tags["stage"], tags["who"]) == ("test", "-")
    assert one.stats() == {}


def test_a_configuration_is_changed_live_and_a_bad_one_refused(proxy: Proxy) -> None:
    one = proxy(ecds=True)
    one.request()
    one.spans(1)
    assert one.reconfigure({"sampling": 0})
    one.request()
    one.spans(1)
    assert not one.reconfigure({"samplinx": 100})
    one.request()
    one.spans(1)
    assert one.reconfigure({"sampling": 100})
    one.request()
    one.spans(2)


def test_load_is_steady_and_every_span_arrives_once(proxy: Proxy) -> None:
    one = proxy({"sampling": 100, "batch": {"interval": "1s"}}, concurrency=2)
    result = run_load(one.port, count=60_000, rate=2000, connections=32)
    assert (result.failed, dict(result.statuses)) == (0, {200: 60_000})
    # Never faster; slower only where the machine has other work, and then as many.
    assert result.rate <= 2010
    assert len({span["id"] for span in one.spans(60_000, timeout=20)}) == 60_000
    assert one.stats()["meshspan_spans_sampled"] == 60_000
