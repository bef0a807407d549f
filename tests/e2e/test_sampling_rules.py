"""Rules of sampling in a real Envoy: what they match, Envoy's own attributes included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import Config, connection_managers
from mesh.single import SingleProxy

DIRECTIONS = ("inbound", "outbound")
RULES: list[dict[str, Any]] = [
    {"name": "orders", "match": {"path": {"prefix": "/orders"}, "method": ["POST", "PUT"]}, "percent": 100},
    {"name": "vip", "match": {"headers": {"X-Account-Id": {"prefix": "vip-"}}}, "percent": 100},
    {"name": "bytes", "match": {"headers": {"x-bytes": {"suffix": "\u00e9"}}}, "percent": 100},
    {"name": "ids", "match": {"path": {"regex": r"^/users/\d+$"}, "headers": {"x-tier": {"regex": r"(?i)^(gold|vip)\b"}}}, "percent": 100},
    {"name": "shop", "match": {"host": {"exact": "shop.example"}}, "percent": 100},
    {"name": "robots", "match": {"userAgent": {"suffix": "bot"}}, "percent": 0},
    {"name": "route", "match": {"route": {"exact": "reports"}}, "percent": 100},
    {"name": "out", "match": {"direction": "outbound", "path": {"prefix": "/both"}}, "percent": 100},
    {"name": "in", "match": {"direction": "inbound", "path": {"prefix": "/both"}}, "percent": 100},
    {"name": "cluster", "match": {"cluster": {"suffix": "CLUSTER"}, "path": {"prefix": "/cluster"}}, "percent": 100},
    {"name": "missed", "match": {"cluster": {"exact": "another"}}, "percent": 100},
]  # fmt: skip
CLUSTERS = {"inbound": "inbound|8080||", "outbound": "outbound|8080||dockebi-storage.demo.svc.cluster.local"}

# Method, path and headers of a request, and the rule that its span names; None where there is no span.
CASES: dict[str, tuple[str, str, list[tuple[str, str | bytes]], str | None]] = {
    "path_and_method": ("POST", "/orders/7?x=1", [], "orders"),
    "path_without_method": ("GET", "/orders/7", [], None),
    "header": ("GET", "/", [("x-account-id", "vip-7")], "vip"),
    "the_first_of_two_rules": ("PUT", "/orders", [("x-account-id", "vip-7")], "orders"),
    "the_first_of_two_lines": ("GET", "/", [("x-account-id", "vip-7"), ("x-account-id", "acc-7")], "vip"),
    "not_the_second_of_two_lines": ("GET", "/", [("x-account-id", "acc-7"), ("x-account-id", "vip-7")], None),
    "bytes_that_are_no_text": ("GET", "/", [("x-bytes", b"\xff\xc3\xa9")], "bytes"),
    "other_bytes": ("GET", "/", [("x-bytes", b"\xff\xe9")], None),
    "two_patterns": ("GET", "/users/42?x=1", [("x-tier", "Gold-1")], "ids"),
    "one_pattern_of_two": ("GET", "/users/42/mail", [("x-tier", "Gold-1")], None),
    "a_pattern_without_its_header": ("GET", "/users/42", [], None),
    "bytes_that_match_no_pattern": ("GET", "/users/42", [("x-tier", b"\xffgold")], None),
    "zero_percent": ("GET", "/", [("user-agent", "robot")], None),
    "route": ("GET", "/reports/2", [], "route"),
    "cluster": ("GET", "/cluster", [], "cluster"),
    "nothing": ("GET", "/", [("user-agent", "curl/8"), ("x-account-id", "acc-7")], None),
    "a_decision_that_came_in": ("GET", "/", [("b3", "1"), ("user-agent", "robot")], "parent"),
    "a_decision_against_it": ("POST", "/orders", [("b3", "0")], None),
}  # fmt: skip


def _named_route(config: Config) -> None:
    """One more route, with a name."""
    for manager in connection_managers(config):
        for host in manager["route_config"]["virtual_hosts"]:
            named = {**host["routes"][-1], "name": "reports", "match": {"prefix": "/reports"}}
            host["routes"].insert(0, named)


@pytest.fixture(scope="module", params=DIRECTIONS)
def ruled(request: pytest.FixtureRequest, module_proxy: Callable[..., SingleProxy]) -> SingleProxy:
    """A proxy with the rules, which samples nothing else."""
    rules = [
        {**rule, "match": {**rule["match"], "cluster": {"suffix": CLUSTERS[request.param]}}}
        if rule["name"] == "cluster"
        else rule
        for rule in RULES
    ]
    config = {"sampling": {"percent": 0, "rules": rules}}
    return module_proxy(config, direction=request.param, change=_named_route)


@pytest.mark.parametrize("case", CASES)
def test_the_first_rule_that_matches_decides(ruled: SingleProxy, case: str) -> None:
    method, path, headers, rule = CASES[case]
    ruled.receiver.clear()
    ruled.request(method, path, headers)
    spans = ruled.spans(0 if rule is None else 1)
    assert [span["tags"]["sampling.rule"] for span in spans] == ([] if rule is None else [rule])


def test_a_rule_may_ask_for_the_host_and_the_direction(ruled: SingleProxy) -> None:
    for path, host, rule in [
        ("/", "shop.example:8080", "shop"),
        ("/both", None, "in" if ruled.direction == "inbound" else "out"),
    ]:
        ruled.receiver.clear()
        ruled.request("GET", path, **({"host": host} if host else {}))
        assert ruled.span()["tags"]["sampling.rule"] == rule


PROBES: list[tuple[str, list[tuple[str, str]]]] = [
    ("/healthz", [("user-agent", "kube-probe/1.34")]),
    ("/", [("user-agent", "Envoy/HC")]),
    ("/", [("user-agent", "GoogleHC/1.0")]),
    ("/", [("user-agent", "ELB-HealthChecker/2.0")]),
    ("/grpc.health.v1.Health/Check", [("content-type", "application/grpc")]),
]


def test_probes_have_no_span_unless_they_are_asked_for(proxy: Callable[..., SingleProxy]) -> None:
    deep = {"name": "deep", "match": {"path": {"exact": "/deep"}}, "percent": 100}
    usual = proxy({"sampling": {"percent": 100, "rules": [deep]}})
    for path, headers in PROBES:
        usual.request("GET", path, headers)
    usual.request("GET", "/deep", PROBES[0][1])
    usual.request("GET", "/healthz", [("user-agent", "curl/8")])
    assert [span["tags"]["sampling.rule"] for span in usual.spans(2)] == ["deep", "percent"]
    asked_for = proxy({"sampling": {"percent": 100, "dropProbes": False}})
    for path, headers in PROBES:
        asked_for.request("GET", path, headers)
    assert len(asked_for.spans(len(PROBES))) == len(PROBES)


def test_a_header_of_the_operators_choice_has_a_new_trace_sampled(proxy: Callable[..., SingleProxy]) -> None:
    none = {"name": "none", "match": {"path": {"prefix": "/"}}, "percent": 0}
    force = {"header": "X-Trace-Me", "value": "on"}
    forcing = proxy({"sampling": {"percent": 0, "ratePerSecond": 0.01, "rules": [none], "force": force}})
    asks = ("x-trace-me", "on")
    for headers, rule in [
        ([asks], "force"),
        # A context that nobody has decided on.
        ([asks, ("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7")], "force"),
        ([asks, PROBES[0][1][0]], "force"),
        ([asks, ("b3", "0")], None),
        ([asks, ("b3", "1")], "parent"),
        ([asks, ("b3", "d")], "debug"),
        ([("b3", "d")], "debug"),
        ([("x-trace-me", "On")], None),
        ([("x-trace-me", "on, on")], None),
    ]:
        forcing.receiver.clear()
        before = len(forcing.upstream.requests)
        forcing.request("GET", "/", headers)
        spans = forcing.spans(0 if rule is None else 1)
        assert [span["tags"]["sampling.rule"] for span in spans] == ([] if rule is None else [rule]), headers
        # It goes on like any other header.
        (arrived,) = forcing.upstream.requests[before:]
        assert arrived.values("x-trace-me") == [value.encode() for name, value in headers if name == "x-trace-me"]
    assert forcing.stats()["meshspan_traces_limited"] == 0
