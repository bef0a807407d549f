"""What a span is called: by its service as Istio's users know it, and never by what a client may choose at will."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import Config, clusters, connection_managers
from mesh.parity import add_cluster, service_cluster
from mesh.single import SingleProxy

Proxy = Callable[..., SingleProxy]
Change = Callable[[Config], None]

STORAGE = "dockebi-storage.demo.svc.cluster.local"
# The bound that src/attributes/service.rs states.
MAX_AUTHORITY_NAMES = 100


def _route(cluster: str, virtual_host: str = "any") -> Change:
    """One virtual host with one route to a cluster of that name."""

    def change(config: Config) -> None:
        if cluster not in [one["name"] for one in clusters(config)]:
            add_cluster(config, cluster, service_cluster(config))
        route = {"match": {"prefix": "/"}, "route": {"cluster": cluster}}
        for manager in connection_managers(config):
            hosts = [{"name": virtual_host, "domains": ["*"], "routes": [route]}]
            manager["route_config"]["virtual_hosts"] = hosts

    return change


def _answered_by_envoy(virtual_host: str) -> Change:
    def change(config: Config) -> None:
        for manager in connection_managers(config):
            routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 502}}]
            hosts = [{"name": virtual_host, "domains": ["*"], "routes": routes}]
            manager["route_config"]["virtual_hosts"] = hosts

    return change


def _without_metadata(config: Config) -> None:
    for cluster in clusters(config):
        cluster.pop("metadata", None)


@pytest.mark.parametrize(
    "direction, change, host, expected",
    [
        ("outbound", None, f"{STORAGE}:8080", f"{STORAGE}:8080/*"),
        ("outbound", None, "dockebi-storage", f"{STORAGE}:8080/*"),
        ("outbound", _route(f"outbound|8080|v2|{STORAGE}"), "x", f"{STORAGE}:8080/*"),
        ("outbound", _route(f"outbound_.8080_.v2_.{STORAGE}"), "x", f"{STORAGE}:8080/*"),
        ("outbound", _route("outbound|443||api.example.com"), "x", "api.example.com:443/*"),
        ("outbound", _route("own-name"), "x", "own-name/*"),
        ("outbound", _route("PassthroughCluster"), "Api.Example.com:8443", "api.example.com:8443/*"),
        ("outbound", _route("PassthroughCluster"), "api.example.com", "api.example.com/*"),
        ("outbound", _route("PassthroughCluster"), "[::1]:8080", "[::1]:8080/*"),
        ("outbound", _route("PassthroughCluster"), "user:secret@api.example.com", "api.example.com/*"),
        ("outbound", _route("PassthroughCluster", f"{STORAGE}:8080"), "x", f"{STORAGE}:8080/*"),
        ("outbound", _answered_by_envoy(f"{STORAGE}:8080"), "x", f"{STORAGE}:8080/*"),
        ("outbound", _answered_by_envoy("block_all"), "api.example.com", "api.example.com/*"),
        ("outbound", _answered_by_envoy("block_all"), "", "GET"),
        ("inbound", None, "whatever:1", "dockebi.demo.svc.cluster.local:8080/*"),
        ("inbound", _route("inbound|8080||", "inbound|http|80"), "x", "dockebi.demo.svc.cluster.local:80/*"),
        ("inbound", _without_metadata, "api.example.com", "api.example.com/*"),
    ],
)
def test_a_span_is_named_by_its_service_else_by_its_authority_else_by_its_method(
    proxy: Proxy, direction: str, change: Change | None, host: str, expected: str
) -> None:
    one = proxy(direction=direction, change=change)
    one.request(path="/raw/path", host=host)
    assert one.span()["name"] == expected


def test_authorities_give_at_most_a_hundred_names(proxy: Proxy) -> None:
    one = proxy(direction="outbound", change=_route("PassthroughCluster"))
    with one.connection() as connection:
        for number in range(150):
            method = "POST" if number % 2 else "GET"
            assert connection.request(method, f"/raw/{number}", host=f"h{number}.example.com").status == 200
        connection.request(host="h0.example.com")
    spans = one.spans(151)
    names = [span["name"] for span in spans]
    expected = {f"h{number}.example.com/*" for number in range(MAX_AUTHORITY_NAMES)}
    assert set(names) == expected | {"GET", "POST"}
    assert names.count("h0.example.com/*") == 2
    # Zipkin keeps every name of a remote endpoint too.
    assert len({span["remoteEndpoint"].get("serviceName") for span in spans}) <= MAX_AUTHORITY_NAMES + 1


SECRET = "hunter2"


@pytest.mark.parametrize(
    "request_of",
    [
        {"path": f"/?token={SECRET}"},
        {"path": f"/?{SECRET}"},
        {"path": f"/?a=b&{SECRET}&c"},
        {"path": f"/?a=b;c={SECRET}"},
        {"path": f"/?a=b?c={SECRET}"},
        {"path": f"/?a==={SECRET}&=%00{SECRET}"},
        {"path": f"/?{'k' * 230}={SECRET}"},
        {"headers": [("x-envoy-original-path", f"/?token={SECRET}")]},
        {"host": f"user:{SECRET}@example.com"},
        {"host": f"{SECRET}@example.com:80"},
        {"host": f"a:{SECRET}@b:{SECRET}@example.com"},
        {"headers": [("authorization", f"Bearer {SECRET}"), ("cookie", f"session={SECRET}")]},
        {"headers": [("referer", f"http://h/?token={SECRET}"), ("x-api-key", SECRET)]},
        {"method": "POST", "body": SECRET.encode()},
        {"headers": [("traceparent", f"00-{SECRET}-1-1"), ("tracestate", f"vendor={SECRET}")]},
    ],
    ids=lambda request_of: str(next(iter(request_of))),
)
@pytest.mark.parametrize("grpc", [False, True])
def test_no_secret_of_a_request_is_exported(leaky: SingleProxy, request_of: dict[str, Any], grpc: bool) -> None:
    headers = [*request_of.get("headers", []), *([("content-type", "application/grpc")] if grpc else [])]
    leaky.receiver.clear()
    leaky.request(**{**request_of, "headers": headers})
    leaky.span()
    exported = [leaky.receiver.spans, [dict(request.headers) for request in leaky.receiver.requests]]
    assert SECRET not in json.dumps(exported)
    assert SECRET not in leaky.log()


@pytest.fixture(scope="module")
def leaky(folder: Any, loop: Any) -> Any:
    """A proxy that names spans by authority, so that this is in every place it can come to."""
    one = SingleProxy(direction="outbound", change=_route("PassthroughCluster"), folder=folder, loop=loop)
    yield one
    assert one.stop() == 0
    assert one.receiver.errors == []
