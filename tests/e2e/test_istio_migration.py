"""A mesh that is half on Envoy's own tracers and half on meshspan: what of its traces joins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mesh.journeys import lead_to
from mesh.single import SingleProxy

Proxies = Callable[..., SingleProxy]

# The order that fits what the other half speaks, as istio/README.md says, and one that does not.
B3_FIRST = ["b3multi", "b3", "tracecontext", "jaeger"]
W3C_FIRST = ["tracecontext", "b3", "b3multi", "jaeger"]
SPEAKS: dict[str, tuple[str, list[str], list[str]]] = {
    "native-zipkin": ("zipkin", B3_FIRST, W3C_FIRST),
    "native-opentelemetry": ("http/protobuf", W3C_FIRST, B3_FIRST),
}


def parents(tracer: str, extract: list[str], proxy: Proxies) -> list[str | None]:
    """Whose child each span of one request is, through meshspan, an own tracer of Envoy's and meshspan."""
    protocol, *_ = SPEAKS[tracer]
    given: dict[str, Any] = {"sampling": 100, "propagation": {"extract": extract}}
    last = proxy(given)
    native = proxy({"sampling": 100, "collector": {"protocol": protocol}}, tracer=tracer, change=lead_to(last.port))
    first = proxy(given, direction="outbound", change=lead_to(native.port))
    first.request()
    spans = {"first": first.span(), "native": native.receiver.wait_for(1, 30)[0], "last": last.span()}
    assert len({span["traceId"] for span in spans.values()}) == 1
    names = {span["id"]: name for name, span in spans.items()}
    return [names.get(span.get("parentId")) for span in spans.values()]


@pytest.mark.parametrize("tracer", SPEAKS)
def test_a_trace_through_both_is_whole_in_the_order_that_the_other_speaks(tracer: str, proxy: Proxies) -> None:
    _, order, _ = SPEAKS[tracer]
    assert parents(tracer, order, proxy) == [None, "first", "native"]


@pytest.mark.parametrize("tracer", SPEAKS)
def test_in_the_other_order_it_is_one_trace_that_passes_by_the_spans_of_the_other(tracer: str, proxy: Proxies) -> None:
    _, _, order = SPEAKS[tracer]
    assert parents(tracer, order, proxy) == [None, "first", "first"]
