"""The ids of a request in Envoy's access log, with the format that `envoy/` ships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import Config, connection_managers, load
from mesh.envoy import wait_for
from mesh.parity import abort_filter
from mesh.single import SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

NONE: dict[str, Any] = {"trace_id": None, "span_id": None, "trace_flags": None}
SAMPLED = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
UNSAMPLED = [("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0")]
PASSES = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]


def with_shipped_log(config: Config) -> None:
    """A change that gives a proxy the access log of the gateway."""
    (shipped,) = connection_managers(load("gateway"))
    for manager in connection_managers(config):
        manager["access_log"] = shipped["access_log"]


def logged(proxy: SingleProxy) -> dict[str, Any]:
    """The one line of the access log."""
    (line,) = wait_for(proxy.envoy.access_log, 30, "the access log's line")
    return line


def ids(line: dict[str, Any]) -> dict[str, Any]:
    """What of a line is of the trace."""
    return {name: line[name] for name in NONE}


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("inject", [["tracecontext"], ["b3"], ["jaeger"]], ids=lambda formats: formats[0])
@pytest.mark.parametrize("headers", [[], SAMPLED, UNSAMPLED, PASSES], ids=["new", "sampled", "unsampled", "passes"])
def test_the_log_has_the_ids_that_go_on_in_whatever_format(
    direction: str, inject: list[str], headers: list[tuple[str, str]], proxy: Proxies
) -> None:
    config = {"sampling": 100, "accessLog": "all", "propagation": {"inject": sorted({*inject, "tracecontext"})}}
    one = proxy(config, direction=direction, change=with_shipped_log)
    forwarded = one.forwarded("GET", "/a?token=secret", headers=headers)
    _, trace_id, span_id, flags = forwarded[b"traceparent"][0].decode().split("-")
    line = logged(one)
    assert ids(line) == {"trace_id": trace_id, "span_id": span_id, "trace_flags": flags}
    assert (line["path"], line["response_code"]) == ("/a", 200)
    if int(flags, 16) & 1:
        span = one.span()
        assert (line["trace_id"], line["span_id"]) == (span["traceId"].zfill(32), span["id"])


@pytest.mark.parametrize(
    "access_log, sampling, is_shown",
    [
        (None, 100, False), ("none", 100, False),
        ("sampled", 100, True), ("sampled", 0, False),
        ("all", 100, True), ("all", 0, True),
    ],
)  # fmt: skip
def test_the_ids_are_shown_of_those_requests_that_are_asked_for(
    access_log: str | None, sampling: int, is_shown: bool, proxy: Proxies
) -> None:
    config = {"sampling": sampling, **({"accessLog": access_log} if access_log else {})}
    one = proxy(config, change=with_shipped_log)
    one.request()
    assert (ids(logged(one)) != NONE) == is_shown


def test_a_request_that_a_filter_before_ours_answers_has_the_ids_of_its_span(proxy: Proxies) -> None:
    def change(config: Config) -> None:
        with_shipped_log(config)
        for manager in connection_managers(config):
            manager["http_filters"].insert(0, abort_filter(":path", 429))

    one = proxy({"sampling": 100, "accessLog": "sampled"}, change=change)
    assert one.request().status == 429
    span, line = one.span(), logged(one)
    assert (line["trace_id"], line["span_id"]) == (span["traceId"].zfill(32), span["id"])


def test_a_request_that_is_kept_for_how_it_ended_has_the_ids_of_its_span(proxy: Proxies) -> None:
    config = {"sampling": {"percent": 0, "keep": {"errors": True}}, "accessLog": "sampled"}
    one = proxy(config, change=with_shipped_log, upstream=Answer(503))
    assert one.request().status == 503
    span, line = one.span(), logged(one)
    assert ids(line) == {"trace_id": span["traceId"], "span_id": span["id"], "trace_flags": "02"}
