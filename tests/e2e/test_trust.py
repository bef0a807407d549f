"""What counts of what clients say that nobody trusts, and who is trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.bench.rows import HEADERS, PATH
from mesh.certificates import Authority, TlsConnection, listen_with_tls
from mesh.config import Config, connection_managers
from mesh.contexts import injected_traceparent
from mesh.hostcalls import crossings
from mesh.requests import Connection, HeaderList
from mesh.single import HOSTS, SingleProxy

Proxies = Callable[..., SingleProxy]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ("traceparent", f"00-{TRACE}-{SPAN}-01")
STRANGE = [
    SAMPLED,
    ("tracestate", "congo=1"),
    ("baggage", "user=admin"),
    ("baggage", "tier=gold"),
    ("uberctx-user", "admin"),
    ("x-datadog-trace-id", "1"),
    ("x-account-id", "acc-42"),
]
BELIEVED_BY_OTHERS = {b"tracestate", b"baggage", b"uberctx-user", b"x-datadog-trace-id"}


def gateway(config: Config) -> None:
    """Name the proxy as Istio names gateways."""
    config["node"]["id"] = "router~10.244.1.10~gateway-7d9c5b6f4-k8m2p.demo~demo.svc.cluster.local"


def has_edge(config: Config) -> None:
    """Have Envoy take the other end of a connection for the client, as it does at an edge."""
    for manager in connection_managers(config):
        manager["use_remote_address"] = True


def send(connection: Connection, count: int, headers: Any = (SAMPLED,)) -> None:
    """Send requests over one connection."""
    for _ in range(count):
        assert connection.request("GET", "/", headers=headers, host=HOSTS["inbound"]).status == 200


def sampled(one: SingleProxy, headers: Any = (SAMPLED,)) -> bool:
    """Whether a request with these headers is sampled; the proxy itself samples none."""
    return injected_traceparent(pairs(one.forwarded("GET", "/", headers=headers)))[2]


def pairs(headers: dict[bytes, list[bytes]]) -> HeaderList:
    return [(name, value) for name, values in headers.items() for value in values]


@pytest.mark.parametrize("change, believed", [(gateway, False), (None, True)], ids=["gateway", "sidecar"])
def test_a_gateway_limits_what_strangers_ask_for_and_a_sidecar_does_not(
    proxy: Proxies, change: Callable[[Config], None] | None, believed: bool
) -> None:
    # Ten at once and one more every ten seconds, so that nothing depends on how fast requests come.
    one = proxy({"sampling": 0, "trust": {"ratePerSecond": 0.1, "burst": 10}}, change=change)
    with one.connection() as connection:
        send(connection, 300)
    arrived = [injected_traceparent(request.headers) for request in one.upstream.requests]
    # The trace goes on either way.
    assert {trace for trace, _, _ in arrived} == {TRACE}
    count = sum(is_sampled for _, _, is_sampled in arrived)
    assert count == 300 if believed else 10 <= count < 30
    spans = one.spans(count)
    assert all(span["tags"]["sampling.rule"] == "parent" for span in spans)
    assert one.stats()["meshspan_decisions_ignored"] == 300 - count


def test_workers_share_the_limit(proxy: Proxies) -> None:
    one = proxy({"sampling": 0, "trust": {"ratePerSecond": 0.1, "burst": 10}}, change=gateway, concurrency=2)
    for _ in range(60):
        with one.connection() as connection:
            send(connection, 5)
    count = sum(injected_traceparent(request.headers)[2] for request in one.upstream.requests)
    assert 10 <= count < 30
    one.spans(count)


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_a_context_that_is_not_trusted_becomes_a_link(proxy: Proxies, protocol: str) -> None:
    one = proxy({"sampling": 0, "trust": {"context": "link"}, "collector": {"protocol": protocol}})
    arrived = one.forwarded("GET", "/", headers=STRANGE)
    trace, span_id, is_sampled = injected_traceparent(pairs(arrived))
    assert is_sampled and trace != TRACE
    assert not BELIEVED_BY_OTHERS & set(arrived)
    assert arrived[b"x-account-id"] == [b"acc-42"]
    span = one.span()
    assert (span["traceId"], span["id"], span.get("parentId")) == (trace, span_id, None)
    if protocol == "zipkin":
        assert span["tags"]["meshspan.link"] == f"{TRACE}-{SPAN}"
    else:
        assert span["links"] == [f"{TRACE}-{SPAN}"]
    assert one.stats()["meshspan_contexts_replaced"] == 1


def test_nothing_is_left_of_a_context_that_is_ignored(proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "trust": {"context": "ignore", "sampled": "ignore"}})
    arrived = one.forwarded(
        "GET", "/", headers=[*STRANGE, ("b3", f"{TRACE}-{SPAN}-d"), ("uber-trace-id", f"{TRACE}:{SPAN}:0:1")]
    )
    trace, _, _ = injected_traceparent(pairs(arrived))
    assert not (BELIEVED_BY_OTHERS - {b"tracestate"}) & set(arrived)
    assert arrived[b"tracestate"] == [b"ot=th:0"]
    assert not [value for _, value in pairs(arrived) if TRACE.encode() in value or SPAN.encode() in value]
    span = one.span()
    assert span["traceId"] == trace
    assert span["tags"]["sampling.rule"] == "percent" and "meshspan.link" not in span["tags"]


NETWORKS: list[tuple[str, Callable[[Config], None] | None, list[tuple[str, str]], bool]] = [
    ("127.0.0.0/8", None, [], True),
    ("10.0.0.0/8", None, [], False),
    ("127.0.0.0/8", has_edge, [], True),
    # At an edge Envoy does not believe a client that says it is another.
    ("10.0.0.0/8", has_edge, [("x-forwarded-for", "10.1.2.3")], False),
    # Everywhere else it does, and so does this module, as the README says.
    ("10.0.0.0/8", None, [("x-forwarded-for", "10.1.2.3")], True),
]


@pytest.mark.parametrize("network, change, headers, trusted", NETWORKS)
def test_who_is_trusted_by_address_is_who_envoy_says_it_is(
    proxy: Proxies,
    network: str,
    change: Callable[[Config], None] | None,
    headers: list[tuple[str, str]],
    trusted: bool,
) -> None:
    one = proxy({"sampling": 0, "trust": {"sampled": "ignore", "from": [network]}}, change=change)
    assert sampled(one, [SAMPLED, *headers]) == trusted


def test_who_is_trusted_by_a_certificate_is_whom_envoy_has_verified(proxy: Proxies, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "spiffe://cluster.local/ns/demo/sa/dockebi")
    web = authority.issue("web", "spiffe://cluster.local/ns/web/sa/web")
    other = authority.issue("other", "spiffe://cluster.local/ns/webs/sa/web")
    (tmp_path / "stranger").mkdir()
    stranger = Authority(tmp_path / "stranger").issue("web", "spiffe://cluster.local/ns/web/sa/web")
    trust = {"sampled": "ignore", "from": ["spiffe://cluster.local/ns/web/*"]}
    one = proxy({"sampling": 0, "trust": trust}, change=lambda config: listen_with_tls(config, authority, server))
    for certificate, trusted in ((web, True), (other, False), (None, False)):
        one.upstream.clear()
        with TlsConnection(one.port, certificate) as connection:
            send(connection, 1)
        assert injected_traceparent(one.upstream.last.headers)[2] == trusted, certificate
    one.upstream.clear()
    with pytest.raises(OSError), TlsConnection(one.port, stranger) as connection:
        send(connection, 1)
    assert one.upstream.requests == []


@pytest.mark.parametrize(
    "trust, headers, asked",
    [
        ({}, [], {}),
        ({"sampled": "limit"}, [], {}),
        ({"sampled": "limit"}, [("b3", "0")], {}),
        ({"sampled": "limit", "from": []}, [SAMPLED], {"proxy_get_shared_data": 1, "proxy_set_shared_data": 1}),
        (
            {"sampled": "limit", "from": ["10.0.0.0/8", "spiffe://*"]},
            [SAMPLED],
            {"proxy_get_shared_data": 1, "proxy_set_shared_data": 1, "proxy_get_property": 2},
        ),
        ({"context": "link"}, [], {}),
    ],
)
def test_envoy_is_asked_only_where_it_matters(
    trust: dict[str, Any], headers: list[tuple[str, str]], asked: dict[str, int]
) -> None:
    config = {"sampling": 0, "trust": trust, "correlation": {"mode": "off"}}
    found = crossings(config, "inbound", PATH, [*HEADERS.items(), *headers])
    names = ("proxy_get_property", "proxy_get_shared_data", "proxy_set_shared_data")
    assert {name: found[name] for name in names if name in found} == asked
