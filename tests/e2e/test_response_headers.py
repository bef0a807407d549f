"""What responses tell their clients of a trace: at the edge or everywhere, once, and of no other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import Config, connection_managers
from mesh.http2 import grpc_answer
from mesh.parity import abort_filter
from mesh.requests import Response
from mesh.single import SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

BOTH: dict[str, Any] = {"traceresponse": True, "header": "X-Trace-Id"}
TRACE_ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = [("traceparent", f"00-{TRACE_ID}-{PARENT}-01")]
UNSAMPLED = [("traceparent", f"00-{TRACE_ID}-{PARENT}-00")]
GATEWAY = "router~10.0.0.1~gateway-7d.demo~demo.svc.cluster.local"


def told(response: Response) -> dict[str, list[str]]:
    """The headers of a response that tell of a trace."""
    found: dict[str, list[str]] = {}
    for name, value in response.headers:
        if name.lower() in (b"traceresponse", b"x-trace-id"):
            found.setdefault(name.lower().decode(), []).append(value.decode())
    return found


def as_gateway(config: Config) -> None:
    """A change that makes a proxy one of Istio's gateways."""
    config["node"]["id"] = GATEWAY


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("sampling", [100, 0])
@pytest.mark.parametrize(
    "response, names",
    [
        (None, []),
        ({"at": "everywhere"}, []),
        ({"traceresponse": True}, ["traceresponse"]),
        ({"header": "x-trace-id"}, ["x-trace-id"]),
        (BOTH, ["traceresponse", "x-trace-id"]),
    ],
)
def test_the_response_tells_what_goes_on_with_the_request(
    response: dict[str, Any] | None, names: list[str], sampling: int, http2: bool, proxy: Proxies
) -> None:
    config = {"sampling": sampling, **({} if response is None else {"response": response})}
    one = proxy(config, http2=http2)
    send = one.http2_request if http2 else one.request
    answered = told(send())
    assert sorted(answered) == names
    _, trace_id, span_id, flags = one.upstream.last.values("traceparent")[0].decode().split("-")
    for name in names:
        value = trace_id if name == "x-trace-id" else f"00-{trace_id}-{span_id}-{flags}"
        assert answered[name] == [value]
    assert flags == ("03" if sampling else "02")
    if sampling:
        assert (one.span()["traceId"], one.span()["id"]) == (trace_id, span_id)


@pytest.mark.parametrize(
    "at, is_gateway, headers, flags",
    [
        ("edge", False, SAMPLED, None),
        ("edge", False, UNSAMPLED, None),
        ("edge", True, SAMPLED, "01"),
        ("edge", True, UNSAMPLED, "00"),
        ("everywhere", False, SAMPLED, "01"),
        ("everywhere", False, UNSAMPLED, "00"),
    ],
)
def test_of_a_trace_that_came_in_gateways_tell_or_every_proxy(
    at: str, is_gateway: bool, headers: list[tuple[str, str]], flags: str | None, proxy: Proxies
) -> None:
    change = as_gateway if is_gateway else None
    one = proxy({"response": {**BOTH, "at": at}}, direction="outbound", change=change)
    answered = told(one.request(headers=headers))
    if flags is None:
        assert answered == {}
        return
    assert answered["x-trace-id"] == [TRACE_ID]
    # One that is not sampled goes on as it came: nobody has a span of another id.
    span_id = one.span()["id"] if flags == "01" else PARENT
    assert answered["traceresponse"] == [f"00-{TRACE_ID}-{span_id}-{flags}"]


def test_what_an_upstream_says_of_the_same_name_is_replaced(proxy: Proxies) -> None:
    theirs = (("traceresponse", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"), ("X-Trace-Id", "x"), ("x-trace-id", "y"))
    one = proxy({"sampling": 100, "response": BOTH}, upstream=Answer(headers=theirs))
    answered = told(one.request())
    trace_id = one.span()["traceId"]
    assert answered["x-trace-id"] == [trace_id]
    assert [value[3:35] for value in answered["traceresponse"]] == [trace_id]


def test_without_a_word_of_it_what_an_upstream_says_passes(proxy: Proxies) -> None:
    theirs = (("traceresponse", "theirs"), ("x-trace-id", "x"))
    one = proxy({"sampling": 100}, upstream=Answer(headers=theirs))
    assert told(one.request()) == {"traceresponse": ["theirs"], "x-trace-id": ["x"]}


def test_what_envoy_answers_itself_and_grpc_tell_likewise(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "response": BOTH}, http2=True)
    one.upstream.answer = grpc_answer(14, "away")
    assert sorted(told(one.grpc_request("/a.B/C"))) == ["traceresponse", "x-trace-id"]
    one.upstream.stop()
    other = proxy({"sampling": 0, "response": BOTH}, upstream=Answer(reset="before"))
    response = other.request()
    assert response.status == 503
    assert sorted(told(response)) == ["traceresponse", "x-trace-id"]


def test_what_a_filter_before_ours_answers_is_not_touched(proxy: Proxies) -> None:
    def change(config: Config) -> None:
        for manager in connection_managers(config):
            manager["http_filters"].insert(0, abort_filter(":path", 429))

    one = proxy({"sampling": 100, "response": BOTH}, change=change)
    response = one.request()
    assert (response.status, told(response)) == (429, {})
    assert one.span()["tags"]["http.status_code"] == "429"
