"""However a request ends, it ends as exactly one span that says how, with Envoy's own times.

What goes on for long has another one before: see `test_streams.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.config import Config, connection_managers
from mesh.envoy import wait_for
from mesh.http2 import grpc_answer
from mesh.parity import add_cluster, parity_routes, rate_limit, rate_limit_filter, service_cluster
from mesh.receiver import Span
from mesh.requests import ConnectionEnded
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer, Answering, RecordedRequest

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01")
EXPECT = (("expect", "100-continue"),)
GRPC_HEADERS = (("content-type", "application/grpc"),)
STREAM = Answer(200, GRPC_HEADERS, b"\0\0\0\0\1x" * 1000, (("grpc-status", "0"),), body_delay=0.05)
TRAILERS_ONLY = Answer(200, (*GRPC_HEADERS, ("grpc-status", "12"), ("grpc-message", "no")), b"")
# Start and duration as Envoy's access log has them; the id tells which request it was.
LOG_FORMAT = {"id": "%REQ(X-REQUEST-ID)%", "start": "%START_TIME(%s.%6f)%", "milliseconds": "%DURATION%"}
FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def _limited(name: str, cluster: str) -> Config:
    limit = {"typed_per_filter_config": {name: rate_limit(1)}}
    return {"match": {"path": f"/{name}"}, "route": {"cluster": cluster}, **limit}


def _change(log_path: Path) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        own = service_cluster(config)
        parity_routes({}, bare=False)(config)
        add_cluster(config, "PassthroughCluster", own)
        add_cluster(config, "outbound|443||api.example.com", own)
        log = {"@type": FILE_LOG, "path": str(log_path), "log_format": {"json_format": LOG_FORMAT}}
        for manager in connection_managers(config):
            manager["access_log"] = [{"name": "file", "typed_config": log}]
            filters = manager["http_filters"]
            limits = [rate_limit_filter("limit-before"), rate_limit_filter("limit-after")]
            manager["http_filters"] = [limits[0], *filters[:-1], limits[1], filters[-1]]
            routes = manager["route_config"]["virtual_hosts"][0]["routes"]
            routes[:0] = [
                {"match": {"path": "/moved"}, "route": {"cluster": own, "internal_redirect_policy": {}}},
                {"match": {"path": "/passthrough"}, "route": {"cluster": "PassthroughCluster"}},
                {"match": {"path": "/external"}, "route": {"cluster": "outbound|443||api.example.com"}},
                *(_limited(name, own) for name in ("limit-before", "limit-after")),
            ]

    return change


@dataclass
class Proxies:
    """One proxy for each listener and upstream protocol, made when first asked for."""

    folder: Path
    loop: BackgroundLoop
    made: dict[tuple[str, bool], SingleProxy] = field(default_factory=dict)

    def log_path(self, direction: str, http2: bool) -> Path:
        return self.folder / f"outcomes-{direction}-{http2}.log"

    def get(self, direction: str, http2: bool = False, answer: Answering = Answer()) -> SingleProxy:
        """The proxy, with nothing received yet and the upstream answering so."""
        key = (direction, http2)
        if key not in self.made:
            change = _change(self.log_path(*key))
            self.made[key] = SingleProxy(
                direction=direction, http2=http2, change=change, folder=self.folder, loop=self.loop
            )
        proxy = self.made[key]
        proxy.receiver.clear()
        proxy.upstream.clear()
        proxy.upstream.answer = answer
        return proxy


@pytest.fixture(scope="module")
def proxies(folder: Path, loop: BackgroundLoop) -> Iterator[Proxies]:
    proxies = Proxies(folder, loop)
    yield proxies
    for proxy in proxies.made.values():
        assert proxy.stop() == 0
        assert proxy.receiver.errors == []
        assert not proxy.trapped()


def _failing(times: int, first: Answer, then: Answer = Answer()) -> Callable[[], Answering]:
    def answering() -> Answering:
        answers = iter([first] * times)

        def answer(_: RecordedRequest) -> Answer:
            return next(answers, then)

        return answer

    return answering


@dataclass(frozen=True)
class Outcome:
    """A request, what the upstream does, and what the span has to say; `seen` is how often the upstream saw it."""

    name: str
    status: str
    flags: str = "-"
    error: bool = False
    seen: int = 1
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    answer: Callable[[], Answering] = Answer
    leaves: bool = False
    tags: tuple[tuple[str, str], ...] = ()


def _answer(*arguments: Any, **named: Any) -> Callable[[], Answering]:
    return lambda: Answer(*arguments, **named)


OUTCOMES = [
    Outcome("200", "200", tags=(("response_size", "2"),)),
    Outcome("404", "404", answer=_answer(404)),
    Outcome("500", "500", error=True, answer=_answer(500)),
    Outcome("503", "503", error=True, answer=_answer(503)),
    Outcome("head", "200", method="HEAD", tags=(("response_size", "0"),)),
    Outcome("upload", "200", method="POST", body=b"x" * 16_000, tags=(("request_size", "16000"),)),
    Outcome("expect_continue", "200", method="POST", headers=EXPECT, body=b"12345", tags=(("request_size", "5"),)),
    Outcome("slow_answer", "200", answer=_answer(delay=0.05, body_delay=0.05)),
    Outcome("no_route", "404", "NR", seen=0, headers=(("x-no-route", "1"),)),
    Outcome("unknown_cluster", "503", "NC", True, seen=0, path="/unknown-cluster"),
    Outcome("refused", "503", "UF", True, seen=0, path="/refused"),
    Outcome("refused_and_retried", "503", "URX,UF", True, seen=0, path="/refused-retried"),
    Outcome("reset_before_the_answer", "503", "UC", True, answer=_answer(reset="before")),
    Outcome("reset_in_the_answer", "200", "UPE", answer=_answer(reset="after", body=b"x" * 100)),
    Outcome("timeout", "504", "UT", True, path="/timeout", answer=_answer(delay=60)),
    Outcome("client_leaves", "0", "DC", True, answer=_answer(delay=60), leaves=True),
    Outcome("retry_succeeds", "200", seen=2, path="/retried", answer=_failing(1, Answer(503))),
    Outcome("retries_used_up", "503", "URX", True, seen=2, path="/retried", answer=_failing(2, Answer(503))),
    Outcome("direct_response", "418", seen=0, path="/direct"),
    Outcome("aborted_before_the_module", "429", "FI", seen=0, headers=(("x-abort-before", "1"),)),
    Outcome("aborted_after_the_module", "429", "FI", seen=0, headers=(("x-abort-after", "1"),)),
]  # fmt: skip


def _check(span: Span, proxy: SingleProxy, outcome: Outcome, kind: str) -> None:
    tags = span["tags"]
    assert (span["traceId"], span["parentId"], span["kind"]) == (TRACE_ID, PARENT_ID, kind)
    assert (tags["http.status_code"], tags["response_flags"]) == (outcome.status, outcome.flags)
    assert tags.get("error") == ("true" if outcome.error else None)
    assert {name: tags[name] for name, _ in outcome.tags} == dict(outcome.tags)
    assert len(proxy.upstream.requests) == outcome.seen
    for seen in proxy.upstream.requests:
        assert seen.header("traceparent") == f"00-{TRACE_ID}-{span['id']}-01".encode()


# (The HTTP/2 client of the harness waits for the end, so it cannot leave.)
SETTINGS = [
    pytest.param(outcome, protocol, direction, kind, id=f"{outcome.name}-{protocol}-{direction}")
    for outcome in OUTCOMES
    for protocol in ("HTTP/1.1", "HTTP/2")
    for direction, kind in (("inbound", "SERVER"), ("outbound", "CLIENT"))
    if protocol == "HTTP/1.1" or not outcome.leaves
]


@pytest.mark.parametrize("outcome, protocol, direction, kind", SETTINGS)
def test_a_request_ends_as_one_span_that_says_how(
    proxies: Proxies, outcome: Outcome, protocol: str, direction: str, kind: str
) -> None:
    proxy = proxies.get(direction, answer=outcome.answer())
    headers = (*outcome.headers, TRACEPARENT)
    send = proxy.leave if outcome.leaves else proxy.request if protocol == "HTTP/1.1" else proxy.http2_request
    try:
        response = send(outcome.method, outcome.path, headers, outcome.body)
        assert outcome.leaves or str(response.status) == outcome.status
    except ConnectionEnded:
        assert outcome.name == "reset_in_the_answer"
    span = proxy.span()
    _check(span, proxy, outcome, kind)
    assert span["tags"]["http.protocol"] == protocol


GRPC = [
    ("unary_ok", grpc_answer(0, payload=b"x"), "0", None, None),
    ("not_found_is_the_clients", grpc_answer(5, "gone"), "5", "gone", None),
    ("unavailable", grpc_answer(14, "it%20broke"), "14", "it%20broke", "true"),
    ("server_streaming", STREAM, "0", None, None),
    ("trailers_only", TRAILERS_ONLY, "12", "no", "true"),
]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("answer, status, message, error", [row[1:] for row in GRPC], ids=[row[0] for row in GRPC])
def test_a_grpc_call_ends_as_one_span_with_its_status(
    proxies: Proxies, direction: str, answer: Answer, status: str, message: str | None, error: str | None
) -> None:
    proxy = proxies.get(direction, http2=True, answer=answer)
    proxy.grpc_request("/demo.Accounts/Get", [TRACEPARENT, ("grpc-timeout", "5S")])
    span = proxy.span()
    tags = span["tags"]
    assert (tags["grpc.status_code"], tags.get("grpc.message"), tags.get("error")) == (status, message, error)
    assert (tags["http.status_code"], tags["response_flags"], tags["http.protocol"]) == ("200", "-", "HTTP/2")
    assert (tags["grpc.path"], tags["grpc.timeout"]) == ("/demo.Accounts/Get", "5S")
    assert (tags["request_size"], tags["response_size"]) == ("5", str(len(answer.body)))
    assert span["parentId"] == PARENT_ID


@pytest.mark.parametrize("path", ["/limit-before", "/limit-after"])
def test_a_rate_limit_ends_as_one_span_whichever_filter_comes_first(proxies: Proxies, path: str) -> None:
    proxy = proxies.get("inbound")
    statuses = [proxy.request(path=path, headers=[TRACEPARENT]).status for _ in range(2)]
    assert statuses == [200, 429]
    tags = [span["tags"] for span in proxy.spans(2)]
    assert [(one["http.status_code"], one["response_flags"]) for one in tags] == [("200", "-"), ("429", "RL")]


def test_a_redirect_that_envoy_follows_is_one_span_for_each_request(proxies: Proxies) -> None:
    moved = Answer(302, (("location", f"http://{HOSTS['inbound']}/new"),))
    proxy = proxies.get("inbound", answer=lambda request: moved if request.path == b"/moved" else Answer())
    assert proxy.request(path="/moved", headers=[TRACEPARENT]).status == 200
    first, second = proxy.spans(2)
    assert (first["parentId"], second["parentId"]) == (PARENT_ID, first["id"])
    assert [span["tags"]["http.status_code"] for span in (first, second)] == ["302", "200"]


@pytest.mark.parametrize(
    "path, name, service",
    [
        ("/", "dockebi-storage.demo.svc.cluster.local:8080/*", "dockebi-storage.demo"),
        ("/external", "api.example.com:443/*", "api.example.com"),
        ("/passthrough", "dockebi-storage.demo.svc.cluster.local:8080/*", "dockebi-storage.demo"),
    ],
)
def test_a_call_that_leaves_the_mesh_is_a_client_span_with_its_remote_endpoint(
    proxies: Proxies, path: str, name: str, service: str
) -> None:
    proxy = proxies.get("outbound")
    proxy.request(path=path)
    span = proxy.span()
    assert (span["kind"], span["name"]) == ("CLIENT", name)
    assert span["localEndpoint"] == {"serviceName": "dockebi.demo", "ipv4": "10.244.1.11"}
    assert span["remoteEndpoint"] == {"serviceName": service, "ipv4": "127.0.0.1", "port": proxy.upstream.port}


TIMED = {
    "at_once": Answer(),
    "waits": Answer(delay=0.03),
    "waits_in_the_answer": Answer(body_delay=0.03),
    "breaks_off": Answer(reset="after", body=b"x" * 100),
    "error": Answer(reset="before"),
}


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_start_and_duration_are_those_of_envoys_access_log(proxies: Proxies, direction: str) -> None:
    proxy = proxies.get(direction, answer=lambda request: TIMED[request.path.decode()[1:]])
    ids = {f"00000000-0000-4000-8000-{number:012}": name for number, name in enumerate([*TIMED] * 4)}
    for request_id, name in ids.items():
        try:
            proxy.request(path=f"/{name}", headers=[("x-request-id", request_id)], host=HOSTS[direction])
        except ConnectionEnded:
            pass
    spans = {span["tags"]["guid:x-request-id"]: span for span in proxy.spans(len(ids))}

    def logged() -> dict[str, Any] | None:
        # Envoy writes its log every 10 s, or when it is told to open it anew.
        proxy.envoy.admin("/reopen_logs", "POST")
        lines = (json.loads(line) for line in proxies.log_path(direction, False).read_text().splitlines())
        found = {line["id"]: line for line in lines if line["id"] in ids}
        return found if len(found) == len(ids) else None

    for request_id, line in wait_for(logged, what="the access log").items():
        span = spans[request_id]
        assert span["timestamp"] == int(line["start"].replace(".", "")), ids[request_id]
        assert 0 <= span["duration"] - line["milliseconds"] * 1000 < 1000, ids[request_id]
