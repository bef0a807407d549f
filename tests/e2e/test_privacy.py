"""What leaves the process of a request, and that no secret does, wherever it stands."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mesh.config import Config, connection_managers
from mesh.http2 import grpc_answer
from mesh.requests import Text
from mesh.single import SingleProxy
from mesh.tokens import FILTER as TOKENS
from mesh.tokens import token, token_filter
from mesh.upstream import Answer, RecordedRequest

Proxies = Callable[..., SingleProxy]
Headers = list[tuple[Text, Text]]

# One secret for each place, so that what leaked says where it stood.
SECRET = "s3cret-of-the-{}"
CARD = "4111 1111 1111 1111"
EMAIL = "bob.smith@example.com"
CLIENT = "203.0.113.77"

# What Envoy's own filter makes metadata of; the token itself is a secret too.
CLAIMS = {"sub": SECRET.format("subject"), "org": SECRET.format("organisation"), "mail": f"<{EMAIL}>"}
TOKEN = token({**CLAIMS, "groups": [SECRET.format("group")]})
REQUEST_TRAILERS: Headers = [
    ("x-sum", SECRET.format("sum")),
    ("x-unnamed-trailer", SECRET.format("unnamed-trailer")),
    ("grpc-trace-bin", SECRET.format("trace-bin")),
]
PATH = (
    f"/reset/{SECRET.format('path')}/eyJ{SECRET.format('segment')};jsessionid={SECRET.format('parameter')}"
    f"/{EMAIL}/{CARD.replace(' ', '-')}"
    f"?token={SECRET.format('query')}&{SECRET.format('word')}&a=b%26{SECRET.format('escape')}&page=2"
)
URL = f"https://user:{SECRET.format('url')}@h/?q={SECRET.format('urls-query')}#{SECRET.format('fragment')}"
HEADERS: Headers = [
    ("authorization", f"Bearer {SECRET.format('authorization')}"),
    ("proxy-authorization", f"Basic {SECRET.format('proxy-authorization')}"),
    ("cookie", f"session={SECRET.format('cookie')}; account={SECRET.format('other-cookie')}"),
    ("x-api-key", SECRET.format("api-key")),
    ("x-csrf-token", SECRET.format("csrf-token")),
    ("baggage", f"user={SECRET.format('baggage')},tenant={SECRET.format('tenant')}"),
    ("x-unnamed", SECRET.format("header")),
    ("x-unnamed-bin", SECRET.format("metadata")),
    ("uber-trace-id", SECRET.format("context")),
    ("uberctx-user", SECRET.format("jaeger-baggage")),
    ("x-forwarded-for", CLIENT),
    ("x-passport", TOKEN),
    ("grpc-tags-bin", SECRET.format("grpc-tags")),
    # And these are named: as tags of the operator's, or as what every span has.
    ("x-url", URL),
    ("x-note", f"{EMAIL} paid with {CARD}"),
    ("x-account", SECRET.format("account")),
    ("user-agent", f"curl ({EMAIL})"),
    ("x-envoy-original-path", PATH + f"#{SECRET.format('original-fragment')}"),
]
HOST = f"user:{SECRET.format('userinfo')}@dockebi-storage.demo.svc.cluster.local:8080"
ANSWERED: tuple[tuple[str, str], ...] = (
    ("set-cookie", f"session={SECRET.format('set-cookie')}"),
    ("x-answer", SECRET.format("answer")),
    ("location", f"/?token={SECRET.format('location')}"),
    ("x-balance", SECRET.format("balance")),
    ("x-mail", f"to {EMAIL}"),
)
TRAILERS = (("x-trailer", SECRET.format("trailer")), ("x-named-trailer", SECRET.format("named-trailer")),
            ("grpc-status-details-bin", SECRET.format("details")))  # fmt: skip

HASH_KEY = "s3cret-of-the-key"

CONFIG: dict[str, Any] = {
    "sampling": 100,
    "pathRedact": ["/reset/{token}", "eyJ*"],
    "clientAddress": "truncate",
    "customTags": {
        "url": {"header": {"name": "x-url"}},
        "note": {"header": {"name": "x-note"}},
        "client": {"header": {"name": "x-forwarded-for"}},
        "path": {"header": {"name": ":path"}},
        # What is named and may not be read is hashed or masked, whatever it comes from.
        "account": {"header": {"name": "x-account"}, "mode": "hash"},
        "cookie": {"cookie": {"name": "account"}, "mode": "hash"},
        "word": {"queryParameter": {"name": "token"}, "mode": "hash", "allowSensitive": True},
        "user": {"pathSegment": {"template": "/reset/{token}"}, "mode": "hash"},
        "tenant": {"baggage": {"name": "tenant"}, "mode": "mask"},
        "balance": {"responseHeader": {"name": "x-balance"}, "mode": "mask"},
        "trailer": {"responseTrailer": {"name": "x-named-trailer"}, "mode": "hash"},
        "sum": {"requestTrailer": {"name": "x-sum"}, "mode": "hash"},
        "subject": {"metadata": {"kind": "dynamic", "path": [TOKENS, "payload", "sub"]}, "mode": "mask"},
        "organisation": {"metadata": {"kind": "dynamic", "path": [TOKENS, "payload", "org"]}, "mode": "hash"},
        "groups": {"metadata": {"kind": "dynamic", "path": [TOKENS, "payload", "groups"]}},
        "claims": {"metadata": {"kind": "dynamic", "path": [TOKENS, "payload"]}},
        "from": {"attribute": {"name": "request.headers.x-account"}, "mode": "mask"},
        # And what is shown is masked where it looks like a person's.
        "mail": {"responseHeader": {"name": "x-mail"}},
        "claimed": {"metadata": {"kind": "dynamic", "path": [TOKENS, "payload", "mail"]}},
        "target": {"attribute": {"name": "request.path"}},
        "url_path": {"attribute": {"name": "request.url_path"}},
        "original": {"attribute": {"name": "request.headers.x-url"}},
    },
    "hashKey": HASH_KEY,
    "events": True,
    "spanName": {"template": "{method} {route}"},
    "operations": ["/reset/{token}/**"],
}


def with_tokens(config: Config) -> None:
    """Has Envoy read the token, behind the module as in Istio."""
    for manager in connection_managers(config):
        manager["http_filters"].insert(1, token_filter("x-passport", ""))


def forbidden(left: bytes) -> list[str]:
    """What of the secrets is in it, in any case and escape that tells it."""
    text = left.decode("latin-1").lower()
    secrets = set(re.findall(r"s3cret-of-the-[a-z-]+", text))
    plain = {TOKEN.lower(), *TOKEN.lower().split("."), EMAIL, EMAIL.replace("@", "%40"), CARD, CARD.replace(" ", "-"), CARD.replace(" ", ""), CLIENT}
    return sorted(secrets | {one for one in plain if one in text})


@pytest.fixture(scope="module", params=["zipkin", "http/protobuf", "grpc"])
def leaky(request: pytest.FixtureRequest, module_proxy: Proxies) -> Iterator[dict[str, SingleProxy]]:
    """A proxy in each direction, of which all is kept that leaves it."""
    collector = {"collector": {"protocol": request.param}}
    proxies = {
        direction: module_proxy({**CONFIG, **collector}, direction=direction, http2=True, change=with_tokens)
        for direction in ("inbound", "outbound")
    }
    for proxy in proxies.values():
        proxy.receiver.bodies = []
        proxy.envoy.admin("/logging?wasm=trace", "POST")
    yield proxies


def left(proxy: SingleProxy) -> bytes:
    """Everything that left: bodies and headers to the collector, the log, names of statistics."""
    assert proxy.receiver.bodies
    headers = [f"{request.path} {dict(request.headers)}".encode() for request in proxy.receiver.requests]
    return b"\n".join([*proxy.receiver.bodies, *headers, proxy.log().encode(), proxy.envoy.admin("/stats").encode()])


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_no_secret_leaves_wherever_it_stands(leaky: dict[str, SingleProxy], direction: str) -> None:
    proxy = leaky[direction]
    proxy.upstream.answer = Answer(503, ANSWERED, b"body", TRAILERS)
    before = len(proxy.receiver.spans)
    body = SECRET.format("body").encode()
    proxy.request("POST", PATH, HEADERS, body, host=HOST)
    proxy.request("POST", PATH, [*HEADERS, ("content-type", "application/grpc")], body, host=HOST)
    message = f"no {EMAIL} with {CARD} at https://u:{SECRET.format('message')}@h"
    answer = grpc_answer(14, message)
    proxy.upstream.answer = Answer(200, (*answer.headers, *ANSWERED), answer.body, (*answer.trailers, *TRAILERS))
    # Over HTTP/2 Envoy itself refuses user information.
    proxy.grpc_request(PATH, HEADERS, message=body, trailers=REQUEST_TRAILERS)
    proxy.spans(before + 3)
    assert forbidden(left(proxy)) == []
    # So that this is no search for nothing: all of it went through, and the spans tell what they may.
    arrived = b"\n".join(_all_of(request) for request in proxy.upstream.requests[-3:])
    # All but what is no context, and a host that a route rewrites.
    sent = PATH + str(HEADERS) + str(REQUEST_TRAILERS)
    wanted = set(re.findall(r"s3cret-of-the-[a-z-]+", sent)) - {SECRET.format("context")}
    assert {*wanted, TOKEN.lower()} <= set(forbidden(arrived))
    hashes = [hashed(secret) for secret in (SECRET.format("sum"), SECRET.format("organisation"))]
    bodies = b"".join(proxy.receiver.bodies or [])
    for told in [b"/reset/REDACTED/REDACTED", b"/REDACTED/REDACTED?token=REDACTED", b"page=REDACTED",
                 b"https://REDACTED@h/?q=REDACTED", b"REDACTED paid with REDACTED",
                 b"curl (REDACTED)", b"no REDACTED with REDACTED at https://REDACTED@h",
                 b"to REDACTED", b"<REDACTED>", b"****ject", *hashes, b"****nant", b"****ance", b"****ount", b"/reset/{token}/**"]:  # fmt: skip
        assert told in bodies, told
    # OTLP's spans of a client tell nothing of who called it.
    assert b"203.0.113.0" in bodies or direction == "outbound"


def _all_of(request: RecordedRequest) -> bytes:
    lines = [b": ".join(pair) for pair in (*request.headers, *request.trailers)]
    return b"\n".join([request.path, *lines, request.body])


def hashed(secret: str) -> bytes:
    """What a tag of mode hash says of it."""
    return hmac.new(HASH_KEY.encode(), secret.encode(), hashlib.sha256).hexdigest()[:32].encode()


def _told(span: dict[str, Any], name: str) -> Any:
    return {**span.get("tags", {}), **span.get("attributes", {})}.get(name)


@pytest.mark.parametrize("protocol, url", [("zipkin", "http.url"), ("http/protobuf", "url.full")])
@pytest.mark.parametrize(
    "config, path, expected",
    [
        ({}, "/a?page=2&t=s", "/a?page=REDACTED&t=REDACTED"),
        ({"query": {"keep": ["page"]}}, "/a?page=2&t=s", "/a?page=2&t=REDACTED"),
        ({"query": "drop"}, "/a?page=2&t=s", "/a"),
        ({}, f"/users/{EMAIL}", "/users/REDACTED"),
        ({"maskPatterns": []}, f"/users/{EMAIL}", f"/users/{EMAIL}"),
    ],
)
def test_a_url_is_redacted_as_configured(
    proxy: Proxies, protocol: str, url: str, config: dict[str, Any], path: str, expected: str
) -> None:
    one = proxy({"sampling": 100, "collector": {"protocol": protocol}, **config}, direction="outbound")
    one.request(path=path, host="h")
    assert _told(one.span(), url) == f"http://h{expected}"


# What tells of the client, by format; a direct one has an address with a port.
ADDRESSES = {
    "zipkin": lambda span: (_told(span, "peer.address"), span.get("remoteEndpoint", {}).get("ipv4"),
                            "port" in span.get("remoteEndpoint", {})),
    "http/protobuf": lambda span: (_told(span, "client.address"), _told(span, "network.peer.address"),
                                   _told(span, "network.peer.port") is not None),
}  # fmt: skip


@pytest.mark.parametrize("protocol", ADDRESSES)
@pytest.mark.parametrize(
    "how, direct, expected",
    [
        ("full", True, ("127.0.0.1", "127.0.0.1", True)),
        ("full", False, (CLIENT, CLIENT, False)),
        ("truncate", True, ("127.0.0.0", "127.0.0.0", False)),
        ("truncate", False, ("203.0.113.0", "203.0.113.0", False)),
        ("drop", True, (None, None, False)),
        ("drop", False, (None, None, False)),
    ],
)
def test_a_clients_address_is_told_as_configured(
    proxy: Proxies, protocol: str, how: str, direct: bool, expected: tuple[str | None, str | None, bool]
) -> None:
    config = {"sampling": 100, "collector": {"protocol": protocol}, "clientAddress": how}
    one = proxy(config)
    one.request(headers=[] if direct else [("x-forwarded-for", CLIENT)])
    found = ADDRESSES[protocol](one.span())
    if protocol == "http/protobuf" and not found[2]:
        # Of an address without a port OTLP says no end of a connection.
        expected = (expected[0], None, expected[2])
    assert found == expected


def test_a_secret_header_is_a_tag_only_where_the_tag_says_so(proxy: Proxies) -> None:
    tag = {"header": {"name": "Authorization"}}
    one = proxy({"sampling": 100, "customTags": {"a": {**tag, "allowSensitive": True}}})
    one.request(headers=[("authorization", "Basic x")])
    assert one.span()["tags"]["a"] == "Basic x"
    # In mesh configuration it counts as absent, and is reported.
    metadata = {"PROXY_CONFIG": {"tracing": {"sampling": 100, "customTags": {"a": tag}}}}
    other = proxy({}, node_metadata=metadata)
    other.request(headers=[("authorization", "Basic x")])
    assert "a" not in other.span()["tags"]
    line = (
        'mesh configuration: PROXY_CONFIG.tracing.customTags.a.header.name: "Authorization" lets people in; '
        "allowed: another one, or allowSensitive: true beside it; ignored"
    )
    assert line in other.log()
