"""Sampling by a server's word: a real Jaeger whose strategies change at run time, and servers of every other kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.config import Config, add_cluster_like, set_endpoint
from mesh.envoy import wait_for
from mesh.jaeger import Jaeger
from mesh.processes import free_ports
from mesh.single import SingleProxy
from mesh.upstream import Answer, Upstream

SERVICE = "dockebi.demo"
# Of the inbound listener, by Istio's metadata of the cluster.
OPERATION = "dockebi.demo.svc.cluster.local:8080/*"
# An answer comes a second after it has changed, or later on a busy machine.
SOON = 30.0
ALL, NONE, HALF = (
    json.dumps({"probabilisticSampling": {"samplingRate": rate}}).encode() for rate in (1, 0, 0.5)
)  # fmt: skip


def _asks(port: int) -> Callable[[Config], None]:
    """Adds the cluster of a server of remote sampling at this port of loopback."""

    def change(config: Config) -> None:
        set_endpoint(add_cluster_like(config, "zipkin", "sampling"), ("127.0.0.1", port))

    return change


def _remote(percent: float = 0, rules: Any = (), **remote: Any) -> dict[str, Any]:
    remote = {"cluster": "sampling", "interval": "1s", **remote}
    return {"sampling": {"percent": percent, "rules": list(rules), "remote": remote}}


def _threshold(proxy: SingleProxy, path: str = "/", method: str = "GET") -> str | None:
    """How the next new trace is sampled, by its `tracestate`; None where it is not."""
    headers = proxy.forwarded(method, path)
    flags = headers[b"traceparent"][0].rsplit(b"-", 1)[1]
    state = headers.get(b"tracestate", [b""])[0].decode()
    return state.removeprefix("ot=th:") if int(flags, 16) & 1 else None


def _becomes(proxy: SingleProxy, expected: str | None, path: str = "/", method: str = "GET") -> None:
    what = f"{method} {path} sampled by {expected}"
    wait_for(lambda: _threshold(proxy, path, method) == expected, SOON, what)


def _failures(proxy: SingleProxy) -> int:
    return proxy.stats().get("meshspan_remote_sampling_failures", 0)


class Strategies:
    """Jaeger's file of strategies, and a Jaeger that reads it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "strategies.json"
        self.say({"type": "probabilistic", "param": 1})
        self.jaeger = Jaeger(folder, strategies=self._file)

    def say(self, strategy: dict[str, Any]) -> None:
        """From now on this is the service's strategy, and nothing is sampled of any other's."""
        none = {"type": "probabilistic", "param": 0}
        whole = {"default_strategy": none, "service_strategies": [{"service": SERVICE, **strategy}]}
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps(whole), encoding="utf-8")
        beside.rename(self._file)


@pytest.fixture(scope="module")
def strategies(folder: Path) -> Iterator[Strategies]:
    strategies = Strategies(folder)
    yield strategies
    strategies.jaeger.stop()


@pytest.fixture
def server(loop: BackgroundLoop) -> Iterator[Upstream]:
    """A server that answers whatever a test says."""
    server = Upstream(loop, Answer(body=ALL))
    yield server
    server.stop()


def test_a_real_jaeger_s_strategies_are_followed_as_they_change(
    strategies: Strategies, proxy: Callable[..., SingleProxy]
) -> None:
    follower = proxy(_remote(0), change=_asks(strategies.jaeger.ports["collector"]))
    strategies.say({"type": "probabilistic", "param": 1})
    _becomes(follower, "0")
    strategies.say({"type": "probabilistic", "param": 0})
    _becomes(follower, None)
    pay = {"operation": "POST /pay", "type": "probabilistic", "param": 1}
    strategies.say({"type": "probabilistic", "param": 0, "operation_strategies": [pay]})
    _becomes(follower, "0", "/pay?card=1", "POST")
    assert [_threshold(follower, "/"), _threshold(follower, "/pay")] == [None, None]
    named = {"operation": OPERATION, "type": "probabilistic", "param": 1}
    strategies.say({"type": "probabilistic", "param": 0, "operation_strategies": [named]})
    _becomes(follower, "0")
    follower.settle()
    spans = follower.receiver.spans
    assert spans[-1]["name"] == OPERATION
    assert {span["tags"]["sampling.rule"] for span in spans} == {"remote"}
    assert {span["tags"]["sampler.type"] for span in spans} == {"probabilistic"}
    assert {span["tags"]["sampler.param"] for span in spans} == {"1"}
    assert _failures(follower) == 0


def test_a_real_jaeger_s_limit_of_traces_a_second_holds(
    strategies: Strategies, proxy: Callable[..., SingleProxy]
) -> None:
    follower = proxy(_remote(100), change=_asks(strategies.jaeger.ports["collector"]))
    strategies.say({"type": "probabilistic", "param": 0})
    _becomes(follower, None)
    strategies.say({"type": "ratelimiting", "param": 4})
    _becomes(follower, "0")
    follower.settle()
    follower.receiver.clear()
    before = follower.stats()
    for _ in range(300):
        follower.request("GET", "/")
    follower.settle()
    spans = follower.receiver.spans
    seconds = (spans[-1]["timestamp"] - spans[0]["timestamp"]) / 1e6
    # Two at once, four a second, and as many as a debt lets through.
    assert 0 < len(spans) <= 2 + 4 * seconds + 14
    limited = "meshspan_traces_limited"
    wait_for(lambda: len(spans) + follower.stats()[limited] - before[limited] == 300, SOON, "every trace counted")


def test_the_question_names_the_service_and_is_sampled_by_nobody(
    server: Upstream, proxy: Callable[..., SingleProxy]
) -> None:
    config = {**_remote(path="/sampling", authority="jaeger.obs", headers={"X-Key": "k"}), "serviceName": "a b&c"}
    follower = proxy(config, change=_asks(server.port))
    _becomes(follower, "0")
    asked = server.requests[0]
    assert (asked.method, asked.path) == (b"GET", b"/sampling?service=a%20b%26c")
    wanted = {"host": b"jaeger.obs", "x-key": b"k", "b3": b"0"}
    assert {name: asked.header(name) for name in wanted} == wanted


def test_rules_come_first_and_a_decision_that_came_in_is_kept(
    server: Upstream, proxy: Callable[..., SingleProxy]
) -> None:
    rules = [
        {"name": "quarter", "match": {"path": {"prefix": "/quarter"}}, "percent": 25},
        {"name": "none", "match": {"path": {"prefix": "/none"}}, "percent": 0},
        {"name": "as-all", "match": {"path": {"prefix": "/as-all"}}},
    ]
    follower = proxy(_remote(0, rules), change=_asks(server.port))
    _becomes(follower, "0")
    _becomes(follower, "c", "/quarter")
    assert _threshold(follower, "/none") is None
    assert _threshold(follower, "/as-all") == "0"
    assert _threshold(follower, "/") == "0"
    follower.settle()
    follower.receiver.clear()
    follower.request("GET", "/", [("b3", "0")])
    follower.request("GET", "/", [("user-agent", "kube-probe/1.34")])
    follower.request("GET", "/none", [("b3", "1")])
    assert follower.span()["tags"]["sampling.rule"] == "parent"


REFUSED: dict[str, tuple[Answer, str]] = {
    "no JSON": (Answer(body=b"<html>"), "answer: not JSON: "),
    "nothing": (Answer(body=b""), "answer: not JSON: "),
    "no strategy": (Answer(body=b'{"strategyType": "PROBABILISTIC"}'), "answer: no strategy; allowed: "),
    "a share of 50": (
        Answer(body=b'{"probabilisticSampling": {"samplingRate": 50}}'),
        "answer.probabilisticSampling.samplingRate: 50 is not a number from 0 to 1",
    ),
    "too long": (Answer(body=b" " * (1 << 20) + NONE), "answer: 131073 bytes; allowed: at most 131072"),
    "too deep": (Answer(body=b"[" * 100_000), "answer: not JSON: maximal depth"),
    "as deep as it is long": (Answer(body=b"[" * 131_072), "answer: not JSON: maximal depth"),
    "lists as many as there may be": (
        Answer(body=b'{"a": [' + b",".join([b"[[[]]]"] * 18_000) + b"]}"), "answer: no strategy; allowed: ",
    ),
    "no such service": (Answer(status=404, body=NONE), "it answered 404"),
    "an error": (Answer(status=500, body=NONE), "it answered 500"),
    "redirected": (Answer(status=302, headers=(("location", "/"),), body=NONE), "it answered 302"),
    "empty": (Answer(status=204), "it answered 204"),
    "a reset": (Answer(reset="before"), "it answered 503"),
    "half an answer": (Answer(body=NONE, reset="after"), "its answer broke off"),
    "too late": (Answer(body=NONE, delay=2), "it answered 504"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_that_is_none_is_refused_and_the_last_good_one_stays(
    case: str, server: Upstream, proxy: Callable[..., SingleProxy]
) -> None:
    answer, reason = REFUSED[case]
    follower = proxy(_remote(0), change=_asks(server.port))
    _becomes(follower, "0")
    before = _failures(follower)
    server.answer = answer
    # Of both root contexts, the worker's and the main thread's, several each.
    wait_for(lambda: _failures(follower) >= before + 6, 2 * SOON, "refused answers")
    assert _threshold(follower) == "0"
    server.answer = Answer(body=HALF)
    _becomes(follower, "8")
    lines = [line for line in follower.log().splitlines() if "no strategy from cluster" in line]
    assert lines and all(f'"sampling": {reason}' in line for line in lines), lines
    # One a minute of either root context, unless the test took longer than that.
    assert len(lines) <= 4
    assert "its last answer stays in force" in lines[-1]


def test_the_local_percentage_counts_until_there_is_an_answer(
    server: Upstream, proxy: Callable[..., SingleProxy]
) -> None:
    server.answer = Answer(status=503)
    follower = proxy(_remote(25), change=_asks(server.port))
    wait_for(lambda: _failures(follower) >= 4, SOON, "questions without an answer")
    _becomes(follower, "c")
    assert "sampling.percent is in force" in follower.log()
    server.answer = Answer(body=ALL)
    _becomes(follower, "0")


@pytest.mark.parametrize(
    ("cluster", "reason"), [("sampling", "it answered 503"), ("nowhere", "there is no such cluster")]
)
def test_a_server_that_is_not_there_changes_nothing(
    cluster: str, reason: str, proxy: Callable[..., SingleProxy]
) -> None:
    (closed,) = free_ports(1)
    follower = proxy(_remote(100, cluster=cluster), change=_asks(closed))
    wait_for(lambda: _failures(follower) >= 4, SOON, "questions without an answer")
    assert _threshold(follower) == "0"
    assert f'no strategy from cluster "{cluster}": {reason}; sampling.percent is in force' in follower.log()
    made = follower.stats().get("meshspan_remote_sampling_requests", 0)
    assert (made > 0) == (cluster == "sampling")


def test_a_configuration_that_was_replaced_asks_no_more(server: Upstream, proxy: Callable[..., SingleProxy]) -> None:
    # Spans that nobody takes keep the old configuration alive.
    config = {**_remote(0), "collector": {"cluster": "nowhere"}}
    follower = proxy(config, clean=False, ecds=True, change=_asks(server.port))
    _becomes(follower, "0")
    wait_for(lambda: follower.stats()["meshspan_queue_spans"] > 0, SOON, "spans that wait")
    assert follower.reconfigure({"sampling": 0})
    _becomes(follower, None)
    # One that was on its way may still come.
    asked = len(server.requests) + 1
    failures = follower.stats()["meshspan_export_failures"]
    # The old one still tries to deliver, and that takes longer and longer.
    wait_for(lambda: follower.stats()["meshspan_export_failures"] >= failures + 3, SOON, "attempts")
    assert len(server.requests) <= asked
    assert follower.reconfigure(_remote(0))
    _becomes(follower, "0")


def test_every_worker_follows(server: Upstream, proxy: Callable[..., SingleProxy]) -> None:
    follower = proxy(_remote(0), concurrency=2, change=_asks(server.port))
    # Three root contexts: two workers' and the main thread's.
    wait_for(lambda: follower.stats().get("meshspan_remote_sampling_requests", 0) >= 6, SOON, "questions")
    wait_for(lambda: all(_threshold(follower) == "0" for _ in range(20)), SOON, "both workers")


def test_a_real_jaeger_s_adaptive_sampling_is_followed(folder: Path, proxy: Callable[..., SingleProxy]) -> None:
    jaeger = Jaeger(folder, adaptive=True, options=["--sampling.initial-sampling-probability=0.5"])
    try:
        said = jaeger.strategy(SERVICE)["operationSampling"]
        assert said["defaultSamplingProbability"] == 0.5 and said["defaultLowerBoundTracesPerSecond"] > 0
        follower = proxy(_remote(0), change=_asks(jaeger.ports["collector"]))
        _becomes(follower, "8")
        follower.settle()
        tags = follower.receiver.spans[-1]["tags"]
        assert (tags["sampler.type"], tags["sampler.param"]) == ("probabilistic", "0.5")
        assert _failures(follower) == 0
    finally:
        jaeger.stop()
