"""OTLP over HTTP: each request as one span with the attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.http2 import grpc_answer
from mesh.parity import ISTIO_TAGS, parity_routes
from mesh.requests import ConnectionEnded
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer, Answering

COLLECTOR = {"protocol": "http/protobuf"}
CONFIG = {
    "sampling": 100,
    "collector": COLLECTOR,
    "customTags": {
        "account_header": {"header": {"name": "x-account-id"}},
        "server.port": {"header": {"name": "x-port"}},
        "stage": {"literal": {"value": "prod"}},
    },
}
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OTHER_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")
RANDOM_TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-03")
ERROR = 2
TRAILERS_ONLY = Answer(200, (("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "gone")), b"")

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A request, and what its span says; None stands for an attribute that is absent."""

    name: str
    method: str = "GET"
    path: str = "/p"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    host: str | None = None
    answer: Answering = Answer()
    http2: bool = False
    grpc: bool = False
    leaves: bool = False
    # On both listeners, and what more on each.
    expected: Attributes = field(default_factory=dict)
    inbound: Attributes = field(default_factory=dict)
    outbound: Attributes = field(default_factory=dict)
    # Which listeners' spans are errors, and the description of the error.
    errors: tuple[str, ...] = ()
    message: str = ""
    # Fields of the span other than attributes.
    span: Attributes = field(default_factory=dict)

    def send(self, proxy: SingleProxy) -> None:
        """Send the request, however it ends."""
        headers = [("x-request-id", REQUEST_ID), *self.headers]
        host = HOSTS[proxy.direction] if self.host is None else self.host
        if self.grpc:
            proxy.grpc_request(self.path, headers, host=host)
            return
        send = proxy.leave if self.leaves else proxy.http2_request if self.http2 else proxy.request
        try:
            send(self.method, self.path, headers, self.body, host=host)
        except ConnectionEnded:
            pass


BOTH = ("inbound", "outbound")
NO_ERROR: Attributes = {"error.type": None}
ROOT = {"parentId": None, "flags": 0x103, "traceState": "ot=th:0", "links": []}
CHILD = {"parentId": PARENT_ID, "traceId": TRACE_ID}


def _grpc(name: str, answer: Answer, **more: Any) -> Case:
    rpc = {"rpc.system": "grpc", "rpc.service": "pkg.Service", "rpc.method": "Method", "http.request.method": "POST"}
    expected = {**rpc, **more.pop("expected", {})}
    return Case(name, path="/pkg.Service/Method", answer=answer, grpc=True, expected=expected, **more)


CASES = [
    Case(
        "get",
        path="/p?token=secret&b=2",
        expected={
            "http.request.method": "GET",
            "http.request.method_original": None,
            "http.response.status_code": 200,
            "http.request.body.size": 0,
            "http.response.body.size": 2,
            "http.request.header.x-request-id": [REQUEST_ID],
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
            "network.peer.address": "127.0.0.1",
            "server.port": 8080,
            "envoy.response_flags": None,
            "rpc.system": None,
            "stage": "prod",
            "account_header": None,
            **NO_ERROR,
        },
        inbound={
            "url.scheme": "http",
            "url.path": "/p",
            "url.query": "token=REDACTED&b=REDACTED",
            "url.full": None,
            "server.address": "dockebi.demo.svc.cluster.local",
            "client.address": "127.0.0.1",
            "envoy.upstream_cluster": "inbound|8080||",
        },
        outbound={
            "url.full": f"http://{HOSTS['outbound']}/p?token=REDACTED&b=REDACTED",
            "url.scheme": None,
            "url.path": None,
            "url.query": None,
            "server.address": "dockebi-storage.demo.svc.cluster.local",
            "client.address": None,
            "peer.service": "dockebi-storage.demo",
            "envoy.upstream_cluster": "outbound|8080||dockebi-storage.demo.svc.cluster.local",
        },
        span=ROOT,
    ),
    Case("no_query", inbound={"url.path": "/p", "url.query": None}),
    Case("post", "POST", body=b"x" * 321, expected={"http.request.method": "POST", "http.request.body.size": 321}),
    Case("http2", http2=True, expected={"network.protocol.version": "2", **NO_ERROR}),
    Case(
        "unknown_method",
        "BREW",
        http2=True,
        expected={"http.request.method": "_OTHER", "http.request.method_original": "BREW"},
    ),
    Case(
        "headers",
        headers=(
            ("user-agent", "curl/8"),
            ("x-account-id", "acc-42"),
            ("x-client-trace-id", "client-1"),
            ("x-envoy-downstream-service-cluster", "caller.demo"),
        ),
        expected={
            "user_agent.original": "curl/8",
            "account_header": "acc-42",
            "http.request.header.x-client-trace-id": ["client-1"],
            "envoy.downstream_cluster": "caller.demo",
        },
    ),
    Case("custom_tag_replaces_attribute", headers=(("x-port", "own"),), expected={"server.port": "own"}),
    Case(
        "userinfo",
        host="user:secret@example.com",
        expected={"server.address": "example.com", "server.port": 80},
        # No virtual host has this name, so the catch-all one answers.
        outbound={"url.full": "http://example.com/p", "error.type": "502"},
        errors=("outbound",),
    ),
    Case(
        "forwarded_for",
        headers=(("x-forwarded-for", "10.1.2.3"),),
        inbound={"client.address": "10.1.2.3", "network.peer.address": None, "network.peer.port": None},
        outbound={"client.address": None, "network.peer.address": "127.0.0.1"},
    ),
    Case(
        "404",
        answer=Answer(404),
        expected={"http.response.status_code": 404},
        inbound=NO_ERROR,
        outbound={"error.type": "404"},
        errors=("outbound",),
    ),
    Case("503", answer=Answer(503), expected={"http.response.status_code": 503, "error.type": "503"}, errors=BOTH),
    Case(
        "connection_refused",
        path="/refused",
        expected={"http.response.status_code": 503, "error.type": "503", "envoy.response_flags": "UF"},
        errors=BOTH,
    ),
    Case(
        "no_route",
        headers=(("x-no-route", "1"),),
        expected={"http.response.status_code": 404, "envoy.response_flags": "NR", "envoy.upstream_cluster": None},
        # The virtual host names the service all the same.
        outbound={"peer.service": "dockebi-storage.demo", "network.peer.address": None},
        errors=("outbound",),
    ),
    Case(
        "timeout",
        path="/timeout",
        answer=Answer(delay=60),
        expected={"http.response.status_code": 504, "error.type": "504", "envoy.response_flags": "UT"},
        errors=BOTH,
    ),
    Case(
        "client_leaves",
        answer=Answer(delay=60),
        leaves=True,
        expected={"http.response.status_code": None, "error.type": "DC", "envoy.response_flags": "DC"},
        errors=BOTH,
    ),
    Case(
        "answer_broken_off",
        answer=Answer(reset="after", body=b"x" * 100),
        expected={"http.response.status_code": 200, "error.type": "UPE", "envoy.response_flags": "UPE"},
        errors=BOTH,
    ),
    Case("continued", headers=(TRACEPARENT,), span={**CHILD, "flags": 0x301, "traceState": ""}),
    Case(
        "tracestate",
        headers=(RANDOM_TRACEPARENT, ("tracestate", "a=1 , b=2"), ("tracestate", "c=3")),
        span={**CHILD, "flags": 0x303, "traceState": "a=1,b=2,c=3"},
    ),
    Case(
        "malformed_tracestate",
        headers=(TRACEPARENT, ("tracestate", "A=1")),
        span={**CHILD, "flags": 0x301, "traceState": ""},
    ),
    Case(
        "a_threshold",
        headers=(TRACEPARENT, ("tracestate", "a=1,ot=th:c;rv:d0000000000000")),
        expected={"sampling.rule": "parent", "sampling.probability": 0.25},
        span={"traceState": "a=1,ot=th:c;rv:d0000000000000"},
    ),
    Case(
        "a_threshold_that_would_not_have_sampled",
        headers=(TRACEPARENT, ("tracestate", "a=1,ot=th:c;rv:b0000000000000")),
        expected={"sampling.rule": "parent", "sampling.probability": None},
        span={"traceState": "ot=rv:b0000000000000,a=1"},
    ),
    Case(
        "tracestate_without_context",
        headers=(("tracestate", "a=1"),),
        expected={"sampling.rule": "percent", "sampling.probability": 1.0},
        span=ROOT,
    ),
    Case(
        "another_trace_came_in",
        headers=(TRACEPARENT, ("b3", f"{OTHER_TRACE_ID}-{PARENT_ID}-1"), ("uber-trace-id", "1f:2:0:1")),
        span={**CHILD, "links": [f"{OTHER_TRACE_ID}-{PARENT_ID}", f"{0x1F:032x}-{2:016x}"]},
    ),
    Case(
        "one_trace_came_in_twice",
        headers=(TRACEPARENT, ("b3", f"{TRACE_ID}-{PARENT_ID}-1")),
        span={**CHILD, "links": []},
    ),
    Case("debug", headers=(("b3", f"{TRACE_ID}-{PARENT_ID}-d"),), span={**CHILD, "flags": 0x301}),
    Case(
        "b3_with_64_bits",
        headers=(("b3", f"{TRACE_ID[16:]}-{PARENT_ID}-1"),),
        span={"traceId": "0" * 16 + TRACE_ID[16:], "parentId": PARENT_ID},
    ),
    _grpc("grpc_ok", grpc_answer(), expected={"rpc.grpc.status_code": 0, **NO_ERROR}),
    _grpc(
        "grpc_unavailable",
        grpc_answer(14, "away"),
        expected={"rpc.grpc.status_code": 14, "error.type": "UNAVAILABLE", "http.response.status_code": 200},
        errors=BOTH,
        message="away",
    ),
    _grpc(
        "grpc_not_found",
        TRAILERS_ONLY,
        expected={"rpc.grpc.status_code": 5, "grpc.message": "gone"},
        inbound=NO_ERROR,
        outbound={"error.type": "NOT_FOUND"},
        errors=("outbound",),
        message="gone",
    ),
]  # fmt: skip


@dataclass
class Proxies:
    """One proxy for each listener and upstream protocol, made when first asked for."""

    folder: Path
    loop: BackgroundLoop
    made: dict[tuple[str, bool], SingleProxy] = field(default_factory=dict)

    def get(self, direction: str, http2: bool, answer: Answering) -> SingleProxy:
        """The proxy, with nothing received yet and the upstream answering so."""
        key = (direction, http2)
        if key not in self.made:
            self.made[key] = SingleProxy(
                CONFIG,
                direction,
                http2=http2,
                change=parity_routes({}, bare=False),
                folder=self.folder,
                loop=self.loop,
            )
        proxy = self.made[key]
        proxy.receiver.clear()
        proxy.upstream.clear()
        proxy.upstream.answer = answer
        return proxy


@pytest.fixture(scope="module")
def proxies(folder: Path, loop: BackgroundLoop) -> Iterator[Proxies]:
    """The proxies that the table shares."""
    proxies = Proxies(folder, loop)
    yield proxies
    for proxy in proxies.made.values():
        assert proxy.stop() == 0
        assert not proxy.trapped()


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_span_says_what_the_conventions_say(proxies: Proxies, case: Case, direction: str) -> None:
    proxy = proxies.get(direction, case.grpc, case.answer)
    case.send(proxy)
    span = proxy.span()
    expected = {**case.expected, **(case.inbound if direction == "inbound" else case.outbound)}
    assert {name: span["attributes"].get(name) for name in expected} == expected
    assert {name: span.get(name) for name in case.span} == case.span
    assert span["status"] == ((ERROR, case.message) if direction in case.errors else None)
    assert span["kind"] == ("SERVER" if direction == "inbound" else "CLIENT")
    assert proxy.receiver.errors == []


@pytest.mark.parametrize("direction", BOTH)
def test_a_span_is_named_by_its_service_and_measured_by_envoy(proxies: Proxies, direction: str) -> None:
    proxy = proxies.get(direction, False, Answer(delay=0.05))
    proxy.request()
    span = proxy.span()
    assert span["name"] == f"{HOSTS[direction]}/*"
    assert span["end"] - span["start"] >= 50_000_000


def test_the_resource_says_which_proxy_of_which_pod(proxies: Proxies) -> None:
    proxy = proxies.get("inbound", False, Answer())
    proxy.request()
    span = proxy.span()
    name, version = span["scope"]
    assert name == "meshspan"
    assert span["resource"] == {
        "service.name": "dockebi.demo",
        "service.namespace": "demo",
        "service.instance.id": "dockebi-6c7d8f9b5d-x2x7k",
        "telemetry.sdk.name": "meshspan",
        "telemetry.sdk.language": "rust",
        "telemetry.sdk.version": version,
        "k8s.namespace.name": "demo",
        "k8s.pod.name": "dockebi-6c7d8f9b5d-x2x7k",
        "k8s.node.name": "node-1",
        "k8s.cluster.name": "Kubernetes",
        "k8s.deployment.name": "dockebi",
        "cloud.availability_zone": "zone-1",
        "envoy.node.id": "sidecar~10.244.1.11~dockebi-6c7d8f9b5d-x2x7k.demo~demo.svc.cluster.local",
        **ISTIO_TAGS,
    }


def test_a_proxy_outside_istio_has_its_node_id_as_instance(proxy: Callable[..., SingleProxy]) -> None:
    def change(config: dict[str, Any]) -> None:
        config["node"] = {"id": "node-7", "cluster": "shop"}

    one = proxy({"sampling": 100, "collector": COLLECTOR}, change=change)
    one.request()
    resource = one.span()["resource"]
    assert (resource["service.name"], resource["service.instance.id"]) == ("shop", "node-7")
    assert not [name for name in resource if name.startswith(("k8s.", "istio.", "service.namespace"))]


@pytest.mark.parametrize("value", [b"\xff\xfe", "\u5f20".encode(), b'"quoted\\"'], ids=["bytes", "utf8", "quotes"])
def test_text_of_any_bytes_is_sent_as_utf8(proxies: Proxies, value: bytes) -> None:
    proxy = proxies.get("inbound", False, Answer())
    proxy.request(path=b"/p", headers=[("user-agent", value), ("x-account-id", value)])
    text = value.decode("utf-8", errors="replace")
    attributes = proxy.span()["attributes"]
    assert (attributes["user_agent.original"], attributes["account_header"]) == (text, text)
    assert proxy.receiver.errors == []


def test_each_of_300_requests_is_one_span(proxy: Callable[..., SingleProxy]) -> None:
    one = proxy({"sampling": 100, "collector": COLLECTOR}, concurrency=2)
    sent = set()
    with one.connection() as connection:
        for number in range(300):
            trace_id = f"{number + 1:032x}"
            sent.add(trace_id)
            headers = [("traceparent", f"00-{trace_id}-{PARENT_ID}-01")]
            assert connection.request("GET", "/", headers, host=HOSTS["inbound"]).status == 200
    spans = one.spans(300, timeout=30)
    assert {span["traceId"] for span in spans} == sent
    assert len({span["id"] for span in spans}) == 300
    assert {request.path for request in one.receiver.requests} == {"/v1/traces"}
    assert one.stats()["meshspan_spans_exported"] == 300
