"""The tags of Envoy's own Zipkin tracer: the same requests through it and through the module.

Everything in the two spans is compared. `DIFFERENCES` lists what may differ, with the
reason; what is listed has to differ, so that no row outlives its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.http2 import grpc_answer
from mesh.parity import ISTIO_TAGS, PLUGIN, REFUSED, parity_routes
from mesh.receiver import Span
from mesh.requests import ConnectionEnded
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer, Upstream

TRACERS = ("native-zipkin", "meshspan")
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))
BROKEN = grpc_answer(14, "it%20broke", b"ab")
LONG = "x" * 400
B3 = (
    ("x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"), ("x-b3-spanid", "00f067aa0ba902b7"), ("x-b3-sampled", "1"),
)  # fmt: skip
RECORDED = ("user-agent", "x-account-id", "x-absent", "x-client-trace-id", "x-envoy-downstream-service-cluster")
CHUNKED = (("transfer-encoding", "chunked"),)


@dataclass(frozen=True)
class Case:
    """A request, and what the upstream does with it."""

    name: str
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    answer: Answer = Answer()
    host: str | None = None
    http2: bool = False
    leaves: bool = False

    def send(self, proxy: SingleProxy) -> None:
        """Send it; a reset is an answer too."""
        headers = self.headers
        if not any(name == "x-request-id" for name, _ in headers):
            headers = (*headers, ("x-request-id", REQUEST_ID))
        headers = tuple(pair for pair in headers if pair[1] != "absent")
        host = HOSTS[proxy.direction] if self.host is None else self.host
        send = proxy.leave if self.leaves else proxy.http2_request if self.http2 else proxy.request
        try:
            send(self.method, self.path, headers, self.body, host=host)
        except ConnectionEnded:
            pass


def _grpc(
    name: str, answer: Answer, *headers: tuple[str, str], path: str = "/pkg.Service/Method", **more: Any
) -> Case:
    given = {key for key, _ in headers}
    defaults = tuple(pair for pair in GRPC if pair[0] not in given)
    return Case(name, "POST", path, (*defaults, *headers), b"\0\0\0\0\2ab", answer, **more)


CASES = [
    Case("get"),
    Case("http2", http2=True),
    Case("head", "HEAD"),
    Case("continued", headers=B3),
    Case("request_id_made_by_envoy", headers=(("x-request-id", "absent"),)),
    Case("user_agent", headers=(("user-agent", 'curl/8 "quoted\\" ' + "\u00fc".encode().decode("latin-1")),)),
    Case("client_trace_id", headers=(("x-client-trace-id", "client-1"),)),
    Case("downstream_cluster", headers=(("x-envoy-downstream-service-cluster", "caller.demo"),)),
    Case("forwarded_proto", headers=(("x-forwarded-proto", "https"),)),
    Case("forwarded_for", headers=(("x-forwarded-for", "10.1.2.3"),)),
    Case("custom_tags", headers=(("x-account-id", "acc-42"), ("x-account-id", "second"))),
    Case("empty_headers", headers=tuple((name, "") for name in RECORDED)),
    Case("repeated_headers", headers=tuple((name, value) for name in RECORDED for value in "ab")),
    Case("long_headers", headers=(("user-agent", LONG), ("x-account-id", LONG))),
    Case("long_path", path="/" + LONG),
    Case("normalized_path", path="/a/./b/../c"),
    Case("query", path="/a?b=c&d=e"),
    Case("original_path", path="/now", headers=(("x-envoy-original-path", "/then"),)),
    Case("userinfo", host="user:secret@example.com"),
    Case("empty_host", host=""),
    Case("connect", "CONNECT", path="example.com:443"),
    Case("post", "POST", body=b"x" * 321),
    Case("post_http2", "POST", body=b"x" * 321, http2=True),
    Case("post_chunked", "POST", headers=CHUNKED, body=b"5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"),
    Case("large_answer", answer=Answer(body=b"x" * 100_000)),
    Case("chunked_answer", answer=Answer(body=b"x" * 1000, trailers=(("x-trailer", "1"),))),
    Case("no_content", answer=Answer(204, body=b"")),
    Case("404", answer=Answer(404)),
    Case("500", answer=Answer(500)),
    Case("no_route", headers=(("x-no-route", "1"),)),
    Case("no_route_post", "POST", headers=(("x-no-route", "1"),), body=b"x" * 321),
    Case("direct_response", path="/direct"),
    Case("unknown_cluster", path="/unknown-cluster"),
    Case("refused", path="/refused"),
    Case("refused_post", "POST", path="/refused", body=b"x" * 321),
    Case("refused_and_retried", path="/refused-retried"),
    Case("retried_503", path="/retried", answer=Answer(503)),
    Case("timeout", path="/timeout", answer=Answer(delay=60)),
    Case("reset", answer=Answer(reset="before")),
    Case("reset_in_answer", answer=Answer(reset="after", body=b"x" * 100)),
    Case("client_leaves", answer=Answer(delay=60), leaves=True),
    Case("aborted_before", headers=(("x-abort-before", "1"),)),
    Case("aborted_before_post", "POST", headers=(("x-abort-before", "1"),), body=b"x" * 321),
    Case("aborted_after", headers=(("x-abort-after", "1"),)),
    Case("alt_stat_name", path="/alt-stat-name"),
    _grpc("grpc", BROKEN, ("grpc-timeout", "5S")),
    _grpc("grpc_http2", BROKEN, http2=True),
    _grpc("grpc_ok", grpc_answer(), ("content-type", "application/grpc+proto")),
    _grpc("grpc_trailers_only", Answer(200, (GRPC[0], ("grpc-status", "5"), ("grpc-message", "gone")), b"")),
    _grpc("grpc_without_status", Answer()),
    _grpc("grpc_refused", Answer(), path="/refused"),
    _grpc("grpc_query", BROKEN, path="/pkg.Service/Method?token=secret"),
    _grpc("grpc_original_path", BROKEN, ("x-envoy-original-path", "/then")),
    _grpc("grpc_userinfo", BROKEN, host="user:secret@example.com"),
    _grpc("grpc_long_path", BROKEN, path="/" + LONG),
    _grpc("grpc_long_message", Answer(200, (("grpc-status", "2"), ("grpc-message", LONG)), b"")),
    _grpc("grpc_status_is_no_number", Answer(200, (("grpc-status", "abc"),), b"")),
    _grpc("grpc_with_parameter", Answer(), ("content-type", "application/grpc;charset=utf-8")),
    _grpc("grpc_web", Answer(), ("content-type", "application/grpc-web")),
    Case("grpc_status_for_a_plain_request", answer=Answer(200, (("grpc-status", "3"), ("grpc-message", "m")))),
]

# More of these would not differ by direction, and each costs a third of a second.
_BARE = ("get", "post", "refused", "grpc", "custom_tags")
# (Where a client names no host, ours has a name, and Envoy's outbound span has none: test_span_names.py.)
SETTINGS = [
    *(("inbound", case) for case in CASES),
    *(("outbound", case) for case in CASES if case.name != "empty_host"),
    *(("bare", case) for case in CASES if case.name in _BARE),
]


@dataclass(frozen=True)
class Difference:
    """`field` differs so in the cases; of two rows that match, the later one holds."""

    field: str
    cases: str
    holds: Callable[[Any, Any], bool]
    reason: str


def _native_has_none(native: Any, ours: Any) -> bool:
    return native is None and ours is not None


def _ours_has_none(native: Any, ours: Any) -> bool:
    return native is not None and ours is None


def _cut(native: str, ours: str) -> bool:
    return native.startswith(ours) and len(ours) == 256


def _redacted(native: str, ours: str) -> bool:
    return ours == re.sub(r"=[^&]*", "=REDACTED", native)


def _without_userinfo(native: str, ours: str) -> bool:
    return "user:secret@" in native and ours == native.replace("user:secret@", "")


def _are(wanted_native: str, wanted_ours: str) -> Callable[[Any, Any], bool]:
    return lambda native, ours: (native, ours) == (wanted_native, wanted_ours)


def _at(address: str) -> Callable[[Any, Any], bool]:
    return lambda native, ours: native["serviceName"] == ours["serviceName"] and ours["ipv4"] == address


def _same_but_decision(native: str, ours: str) -> bool:
    return ours == REQUEST_ID and native == ours[:14] + native[14] + ours[15:]


def _authority_and_service(native: str, ours: str) -> bool:
    return native in HOSTS.values() and ours.endswith("/*")


_NO_DECORATOR = (
    "no_route*", "direct_response", "unknown_cluster", "refused*", "retried_503", "timeout", "alt_stat_name",
    "grpc_refused",
)  # fmt: skip
_NAMED_ALIKE = "without a decorator on its route Envoy takes the authority; ours names a service alike with and without"
_SECRET_VALUES = "values of the query may be secrets"
_SECRET_USER = "a password never leaves"
_CAPPED = "every tag has a cap"
_COSTLY = "to look for it in every answer would cost every request two calls of the host"

DIFFERENCES = [
    Difference("annotations", "*", _ours_has_none, "'ss' and 'cr' say no more than kind and duration do"),
    Difference("localEndpoint", "*", _at("10.244.1.11"), "the pod's address, not any of the machine's; no port 0"),
    Difference("localEndpoint", "bare/*", _at("127.0.0.1"), "the address that was called, where Istio tells none"),
    Difference("remoteEndpoint", "*", _native_has_none, "Zipkin draws its dependency graph from it"),
    Difference("tags.sampling.rule", "*", _native_has_none, "Envoy's tracer does not say what decided"),
    *(
        Difference("tags.sampling.probability", f"*/{case.name}", _native_has_none, "nor how likely that was")
        for case in CASES
        if case.name != "continued"
    ),
    Difference("tags.guid:x-request-id", "*", _same_but_decision, "Envoy's tracer writes its decision into the id"),
    Difference("tags.guid:x-request-id", "*/request_id_made_by_envoy", lambda a, b: len(a) == len(b) == 36, "random"),
    *(Difference("name", f"*/{case}", _authority_and_service, _NAMED_ALIKE) for case in _NO_DECORATOR),
    Difference("name", "*/connect", _are("example.com:443", "example.com:443/*"), _NAMED_ALIKE),
    Difference("name", "outbound/*userinfo", _are("user:secret@example.com", "example.com/*"), _SECRET_USER),
    Difference("tags.http.url", "*userinfo", _without_userinfo, _SECRET_USER),
    Difference("tags.grpc.authority", "*/grpc_userinfo", _without_userinfo, _SECRET_USER),
    Difference("tags.http.url", "*query", _redacted, _SECRET_VALUES),
    Difference("tags.grpc.path", "*/grpc_query", _redacted, _SECRET_VALUES),
    Difference("tags.http.url", "*/connect", _native_has_none, "what CONNECT asked for is worth knowing"),
    Difference(
        "tags.peer.address", "*/forwarded_for", _are("127.0.0.1", "10.1.2.3"),
        "source.address follows x-forwarded-for, and Envoy has no attribute for the direct peer",
    ),
    Difference(
        "tags.upstream_cluster.name", "*/alt_stat_name", _are("observed", "alt-stat-name"),
        "Envoy has no attribute for alt_stat_name",
    ),
    Difference("tags.user_agent", "*/long_headers", _cut, _CAPPED),
    Difference("tags.account", "*/long_headers", _cut, _CAPPED),
    Difference("tags.grpc.path", "*/grpc_long_path", _cut, _CAPPED),
    Difference("tags.grpc.message", "*/grpc_long_message", _cut, _CAPPED),
    Difference("tags.grpc.status_code", "*/grpc_status_is_no_number", _ours_has_none, "a status is a number"),
    Difference("tags.grpc.status_code", "*/grpc_status_for_a_plain_request", _ours_has_none, _COSTLY),
    Difference("tags.grpc.message", "*/grpc_status_for_a_plain_request", _ours_has_none, _COSTLY),
    *(
        Difference(f"tags.grpc.{tag}", "*/grpc_with_parameter", _native_has_none, "gRPC servers take it for gRPC")
        for tag in ("path", "authority", "content_type")
    ),
]  # fmt: skip

Pair = dict[str, SingleProxy]


@pytest.fixture(scope="module")
def pairs(folder: Path, loop: BackgroundLoop) -> Iterator[Callable[[str], Pair]]:
    """For each setting two proxies that differ in their tracer only, before one upstream.

    "bare" is a listener that names no direction, on a node without a zone and outside Istio.
    """
    started: dict[str, Pair] = {}

    def pair(setting: str) -> Pair:
        if setting not in started:
            bare = setting == "bare"
            named: dict[str, Any] = {
                "direction": "inbound" if bare else setting,
                "node_metadata": {"MESH_ID": None, "INSTANCE_IPS": None} if bare else {},
                "change": parity_routes({} if bare else ISTIO_TAGS, bare),
                "upstream": Upstream(loop),
            }
            started[setting] = {
                tracer: SingleProxy(PLUGIN, tracer=tracer, folder=folder, loop=loop, **named) for tracer in TRACERS
            }
        return started[setting]

    yield pair
    proxies = [proxy for pair in started.values() for proxy in pair.values()]
    assert [proxy.stop() for proxy in proxies] == [0] * len(proxies)
    for pair in started.values():
        assert pair["meshspan"].receiver.errors == []
        assert not pair["meshspan"].trapped()


def _fields(span: Span) -> dict[str, Any]:
    """All that is in a span, flat; of what is random, its size."""
    fields = {name: value for name, value in span.items() if name not in ("tags", "timestamp", "duration")}
    fields["id"] = len(span["id"])
    if "parentId" not in span:
        fields["traceId"] = len(span["traceId"])
    return {**fields, **{f"tags.{name}": value for name, value in span["tags"].items()}}


@pytest.mark.parametrize("setting, case", SETTINGS, ids=lambda value: getattr(value, "name", value))
def test_a_span_is_that_of_envoys_zipkin_tracer_but_for_the_listed_differences(
    pairs: Callable[[str], Pair], setting: str, case: Case
) -> None:
    spans = {}
    for tracer, proxy in pairs(setting).items():
        proxy.receiver.clear()
        proxy.upstream.answer = case.answer
        case.send(proxy)
        spans[tracer] = _fields(proxy.span())
    native, ours = spans["native-zipkin"], spans["meshspan"]
    allowed = {row.field: row for row in DIFFERENCES if fnmatchcase(f"{setting}/{case.name}", row.cases)}
    differing = {field for field in {*native, *ours} if native.get(field) != ours.get(field)}
    shown = {field: (native.get(field), ours.get(field)) for field in differing | {*allowed}}
    assert differing == {*allowed}, f"native and ours: {shown}"
    for field, row in allowed.items():
        assert row.holds(native.get(field), ours.get(field)), f"{field}, native and ours: {shown[field]}"


@pytest.mark.parametrize("setting", ["inbound", "outbound"])
@pytest.mark.parametrize("send", [send for _, send in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_envoy_refuses_before_any_filter_and_health_checks_have_no_span_in_either(
    pairs: Callable[[str], Pair], setting: str, send: Callable[[SingleProxy], Any]
) -> None:
    for proxy in pairs(setting).values():
        proxy.receiver.clear()
        proxy.upstream.answer = Answer()
        send(proxy)
        proxy.request(path="/traced")
        assert proxy.span()["tags"]["http.url"].endswith("/traced")
