"""Every header that is not for propagation goes on as it does without the module."""

from __future__ import annotations

from typing import Callable

import pytest

from mesh.config import Config, connection_managers
from mesh.contexts import PROPAGATION_HEADERS
from mesh.requests import HeaderList
from mesh.single import SingleProxy

CONTEXTS: dict[str, list[tuple[str, str]]] = {
    "no context": [],
    "traceparent": [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "congo=t61rcWkgMzE"),
    ],
    "b3 not sampled": [("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0")],
    "all malformed": [("traceparent", "x"), ("tracestate", "X"), ("b3", "x"), ("uber-trace-id", "x")],
}

# Headers that tracers, meshes and applications use, some repeated, empty or in odd case.
HEADERS: list[tuple[str | bytes, str | bytes]] = [
    ("x-request-id", "2f1b7c9e-5d3a-4b0f-9a63-8c1d2e4f6a70"),
    ("baggage", "user=al%C3%A9,tier=gold;ttl=5 , x= y"),
    ("Baggage", "second=line"),
    ("x-ot-span-context", "80f198ee56343ba8;e457b5a2e4d86bd1;05e3ac9a4f6e3b90;cs"),
    ("Authorization", "Bearer eyJhbGciOi.JIUzI1NiJ9.-_"),
    ("cookie", "session=1; theme=dark"),
    ("Cookie", "third=3"),
    ("X-ODD-Case", "MiXeD"),
    ("x-empty", ""),
    ("x-latin", b"caf\xe9"),
    ("x-utf8", "café".encode()),
    ("x-spaces", "two  spaces\tand a tab"),
    ("x-repeated", "1"),
    ("x-b3", "no header of b3"),
    ("x-repeated", "2"),
    ("x-b3-traceid2", "nor is this"),
    ("traceparent2", "nor this"),
    ("x-cloud-trace-context", "105445aa7843bc8bf206b120001000/1;o=1"),
    ("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678"),
    ("uberctx-user", "jaeger baggage"),
    ("sw8", "1-MQ==-Mg==-3-c2VydmljZQ==-aW5zdGFuY2U=-L2FwaQ==-MTI3LjAuMC4x"),
    ("x-client-trace-id", "client-1"),
    ("x-account-id", "acc-42"),
    ("user-agent", "curl/8.5.0"),
    ("x-repeated", "3"),
    ("content-type", "application/json"),
]


@pytest.fixture(scope="module", params=["inbound", "outbound"])
def pair(
    request: pytest.FixtureRequest, module_proxy: Callable[..., SingleProxy]
) -> tuple[SingleProxy, SingleProxy]:
    """An Envoy with the module, and the same one without."""
    direction = request.param
    config = {"sampling": 100, "customTags": {"account": {"header": {"name": "x-account-id"}}}}
    with_module = module_proxy(config, direction=direction)
    return with_module, module_proxy(direction=direction, tracer="none")


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("method, body", [("GET", b""), ("POST", b'{"a": 1}')])
def test_all_other_headers_are_those_of_an_envoy_without_the_module(
    pair: tuple[SingleProxy, SingleProxy], context: str, method: str, body: bytes
) -> None:
    arrived = []
    for proxy in pair:
        headers = [*HEADERS[:9], *CONTEXTS[context], *HEADERS[9:]]
        assert proxy.request(method, "/p%20ath?q=1&r", headers=headers, body=body).status == 200
        arrived.append(proxy.upstream.last)
    with_module, without = arrived
    assert _others(with_module.headers) == _others(without.headers)
    assert (with_module.method, with_module.path) == (without.method, without.path)
    assert with_module.body == without.body == body
    # And so that this is no comparison of nothing with nothing:
    assert {name.lower().encode() for name, _ in HEADERS} <= {name for name, _ in without.headers}


def _others(headers: HeaderList) -> HeaderList:
    return [(name, value) for name, value in headers if name not in PROPAGATION_HEADERS]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_a_request_has_the_id_that_envoy_makes_or_none(
    proxy: Callable[..., SingleProxy], protocol: str, direction: str
) -> None:
    def make(config: Config) -> None:
        for manager in connection_managers(config):
            manager["generate_request_id"] = True

    def make_none(config: Config) -> None:
        for manager in connection_managers(config):
            manager["generate_request_id"] = False

    for change, is_made in ((make, True), (make_none, False)):
        config = {"sampling": 100, "collector": {"protocol": protocol}}
        one = proxy(config, direction=direction, change=change)
        one.request()
        span, arrived = one.span(), one.upstream.last.header("x-request-id")
        told = {**span.get("tags", {}), **span.get("attributes", {})}
        (name,) = {"guid:x-request-id", "http.request.header.x-request-id"} & told.keys() or {None}
        assert (name is not None) == (arrived is not None) == is_made
        if name and arrived:
            assert told[name] in (arrived.decode(), [arrived.decode()])
