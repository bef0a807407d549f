"""Every source of a custom tag in a real Envoy, every way to show a value, and the resource's attributes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mesh.config import Config, clusters, connection_managers
from mesh.http2 import grpc_answer
from mesh.single import SingleProxy
from mesh.tokens import FILTER as TOKENS
from mesh.tokens import token, token_filter
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

KEY = "a key of 16 bytes or more"


def with_metadata(config: Config) -> None:
    """Gives routes, clusters, hosts and, by a token, requests some metadata."""
    for manager in connection_managers(config):
        # As in Istio, where the module goes first.
        manager["http_filters"].insert(1, token_filter())
        for host in manager["route_config"]["virtual_hosts"]:
            for route in host["routes"]:
                route["metadata"] = {"filter_metadata": {"team": {"name": "shop", "weight": 0.25, "on": True}}}
    for cluster in clusters(config):
        cluster["metadata"] = {"filter_metadata": {"tier": {"deep": {"er": "gold"}}}}
        for locality in cluster.get("load_assignment", {}).get("endpoints", []):
            for endpoint in locality["lb_endpoints"]:
                endpoint["metadata"] = {"filter_metadata": {"envoy.lb": {"version": "v7"}}}


def metadata(kind: str, *path: str) -> dict[str, Any]:
    """A tag of metadata."""
    return {"metadata": {"kind": kind, "path": list(path)}}


TAGS: dict[str, Any] = {
    "header": {"header": {"name": "x-account-id"}},
    "cookie": {"cookie": {"name": "theme"}},
    "query": {"queryParameter": {"name": "page"}},
    "segment": {"pathSegment": {"template": "/users/{id}"}},
    "baggage": {"baggage": {"name": "tenant"}},
    "request-trailer": {"requestTrailer": {"name": "x-checksum"}},
    "response-header": {"responseHeader": {"name": "X-Cache"}},
    "response-trailer": {"responseTrailer": {"name": "x-served"}},
    "claim": metadata("dynamic", TOKENS, "payload", "sub"),
    "claim-number": metadata("dynamic", TOKENS, "payload", "org"),
    "claim-truth": metadata("dynamic", TOKENS, "payload", "paid"),
    "claim-list": metadata("dynamic", TOKENS, "payload", "groups"),
    "claim-map": metadata("dynamic", TOKENS, "payload"),
    "route": metadata("route", "team", "name"),
    "route-number": metadata("route", "team", "weight"),
    "route-truth": metadata("route", "team", "on"),
    "cluster": metadata("cluster", "tier", "deep", "er"),
    "host": metadata("host", "envoy.lb", "version"),
    "attribute": {"attribute": {"name": "request.protocol"}},
    "attribute-number": {"attribute": {"name": "response.code"}},
    "attribute-map": {"attribute": {"name": "request.headers"}},
    "attribute-truth": {"attribute": {"name": "connection.mtls"}},
}
EXPECTED = {
    "header": "acme",
    "cookie": "dark",
    "query": "2",
    "segment": "a b",
    "baggage": "t 1",
    "request-trailer": "c0ffee",
    "response-header": "hit",
    "response-trailer": "here",
    "claim": "user-42",
    "claim-number": "12",
    "claim-truth": "true",
    "claim-list": None,
    "claim-map": None,
    "route": "shop",
    "route-number": "0.25",
    "route-truth": "true",
    "cluster": "gold",
    "host": "v7",
    "attribute": "HTTP/2",
    "attribute-number": "200",
    "attribute-map": None,
    "attribute-truth": "false",
}
HEADERS = [
    ("x-account-id", "acme"),
    ("cookie", "a=1; theme=dark"),
    ("baggage", "x=1,tenant=t%201;ttl=3"),
]


def told(span: dict[str, Any]) -> dict[str, Any]:
    """The tags or attributes of a span."""
    return {**span.get("tags", {}), **span.get("attributes", {})}


@pytest.fixture(scope="module", params=["inbound", "outbound"])
def sources(request: pytest.FixtureRequest, module_proxy: Proxies) -> Iterator[SingleProxy]:
    """A proxy with a tag of every source."""
    config = {"sampling": 100, "customTags": TAGS}
    yield module_proxy(config, direction=request.param, http2=True, change=with_metadata)


def ask_for_all(sources: SingleProxy) -> None:
    """Send a request and an answer that have a value for every tag that can have one."""
    answer = grpc_answer(0)
    trailers = (*answer.trailers, ("x-served", "here"))
    sources.upstream.answer = Answer(200, (*answer.headers, ("x-cache", "hit")), answer.body, trailers)
    bearer = token({"sub": "user-42", "org": 12, "paid": True, "groups": ["a", "b"]})
    headers = [*HEADERS, ("authorization", f"Bearer {bearer}")]
    sources.grpc_request("/users/a%20b?page=2", headers, trailers=[("x-checksum", "c0ffee")])


def test_every_source_gives_its_value(sources: SingleProxy) -> None:
    sources.receiver.clear()
    ask_for_all(sources)
    tags = told(sources.span())
    assert {name: tags.get(name) for name in TAGS} == EXPECTED


def test_what_a_request_has_not_is_no_tag(sources: SingleProxy) -> None:
    sources.receiver.clear()
    sources.upstream.answer = Answer(200)
    sources.http2_request("GET", "/other")
    tags = told(sources.span())
    kept = {"route", "route-number", "route-truth", "cluster", "host", "attribute", "attribute-number"}
    kept |= {"attribute-truth"}
    assert {name: tags.get(name) for name in TAGS} == {name: EXPECTED[name] if name in kept else None for name in TAGS}


def test_what_a_request_has_not_is_the_tags_default(proxy: Proxies) -> None:
    def with_default(tag: dict[str, Any]) -> dict[str, Any]:
        return {source: {**asked, "defaultValue": f"no {source}"} for source, asked in tag.items()}

    wanted = {name: tag for name, tag in TAGS.items() if not name.startswith(("attribute", "host"))}
    one = proxy({"sampling": 100, "customTags": {name: with_default(tag) for name, tag in wanted.items()}})
    one.request(path="/other")
    tags = told(one.span())
    assert {name: tags.get(name) for name in wanted} == {name: f"no {next(iter(tag))}" for name, tag in wanted.items()}


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
@pytest.mark.parametrize("where", ["configuration", "environment", "nowhere"])
def test_a_value_is_plain_or_hashed_or_masked(where: str, protocol: str, proxy: Proxies) -> None:
    header = {"header": {"name": "x-account-id"}}
    later = {"responseHeader": {"name": "x-cache"}}
    tags = {
        "plain": {**header, "mode": "plain"},
        "hash": {**header, "mode": "hash"},
        "mask": {**header, "mode": "mask"},
        "hash-later": {**later, "mode": "hash"},
        "short": {**header, "maxLength": 7},
    }
    config = {"sampling": 100, "customTags": tags, "collector": {"protocol": protocol}}
    if where == "configuration":
        config["hashKey"] = KEY
    environment = {"MESHSPAN_HASH_KEY": KEY} if where == "environment" else None
    one = proxy(config, environment=environment, upstream=Answer(headers=(("x-cache", "account-0042"),)))
    one.request(headers=[("x-account-id", "account-0042")])
    found = told(one.span())
    hashed = hmac.new(KEY.encode(), b"account-0042", hashlib.sha256).hexdigest()[:32] if where != "nowhere" else None
    expected = {"plain": "account-0042", "hash": hashed, "mask": "****0042", "hash-later": hashed, "short": "account"}
    assert {name: found.get(name) for name in tags} == expected
    assert ("no key" in one.log()) == (where == "nowhere")


def shown(value: str | None, mode: str) -> str | None:
    """A value as a tag of that mode shows it."""
    if value is None or mode == "plain":
        return value
    if mode == "hash":
        return hmac.new(KEY.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]
    return "****" + (value[-4:] if len(value) >= 12 else "")


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_every_source_is_plain_or_hashed_or_masked(direction: str, protocol: str, proxy: Proxies) -> None:
    # One of each source, and of each kind of value that metadata and attributes have; 64 tags are the most.
    names = [name for name in TAGS if not name.endswith(("list", "map"))]
    modes = ("plain", "hash", "mask")
    tags = {f"{name} {mode}": {**TAGS[name], "mode": mode} for name in names for mode in modes}
    config = {"sampling": 100, "customTags": tags, "hashKey": KEY, "collector": {"protocol": protocol}}
    one = proxy(config, direction=direction, http2=True, change=with_metadata)
    ask_for_all(one)
    found = told(one.span())
    expected = {f"{name} {mode}": shown(EXPECTED[name], mode) for name in names for mode in modes}
    assert {name: found.get(name) for name in tags} == expected
    assert {next(iter(TAGS[name])) for name in names} == {
        "header", "cookie", "queryParameter", "pathSegment", "baggage", "requestTrailer", "responseHeader",
        "responseTrailer", "metadata", "attribute",
    }  # fmt: skip


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_tag_is_on_the_spans_that_it_is_for(direction: str, proxy: Proxies) -> None:
    header = {"header": {"name": ":method"}}
    later = {"responseHeader": {"name": "content-length"}}
    tags = {f"{on} {next(iter(tag))}": {**tag, "on": on} for on in ("inbound", "outbound", "both") for tag in (header, later)}
    one = proxy({"sampling": 100, "customTags": tags}, direction=direction)
    one.request()
    found = told(one.span())
    assert {name for name in tags if name in found} == {name for name in tags if not name.startswith(
        {"inbound": "outbound", "outbound": "inbound"}[direction]
    )}  # fmt: skip


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_the_resource_says_what_configuration_and_environment_say(protocol: str, proxy: Proxies) -> None:
    config = {
        "sampling": 100,
        "resource": {"deployment.environment.name": "prod", "team": "shop"},
        "customTags": {"team": {"literal": {"value": "own"}}},
        "collector": {"protocol": protocol},
    }
    environment = {
        "OTEL_SERVICE_NAME": "checkout",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,team=none,region=eu%2Dwest,istio.mesh_id=mine",
    }
    one = proxy(config, environment=environment)
    one.request()
    span = one.span()
    if protocol == "zipkin":
        assert span["localEndpoint"]["serviceName"] == "checkout"
        resource = span["tags"]
        assert resource["team"] == "own"
    else:
        resource = span["resource"]
        assert (resource["service.name"], resource["team"], told(span)["team"]) == ("checkout", "shop", "own")
    assert (resource["deployment.environment.name"], resource["region"]) == ("prod", "eu-west")
    assert resource["istio.mesh_id"] == "mine"
