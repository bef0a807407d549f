"""The percentage over thousands of real requests, and the same decision in every proxy."""

from __future__ import annotations

import math
import random
from typing import Callable

import pytest

from mesh.contexts import injected_traceparent
from mesh.load import run_load
from mesh.receiver import Span
from mesh.requests import request_bytes
from mesh.single import SingleProxy
from mesh.upstream import RecordedRequest

REQUESTS = 5_000
SEED = 20_260


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("percent", [0, 1, 10, 60, 100])
def test_the_share_of_sampled_requests_is_the_percentage(
    proxy: Callable[..., SingleProxy], percent: int, direction: str
) -> None:
    sampling = proxy({"sampling": percent}, direction=direction)
    result = run_load(sampling.port, REQUESTS, requests=[request_bytes()])
    assert (dict(result.statuses), result.failed) == ({200: REQUESTS}, 0)
    arrived = sampling.upstream.wait_for(REQUESTS)
    sent = [injected_traceparent(request.headers) for request in arrived]
    share = percent / 100
    # Five standard deviations of a binomial distribution: wrong once in 1.7 million runs.
    # At 0 and at 100 percent there are none, and the count is exact.
    tolerance = 5 * math.sqrt(REQUESTS * share * (1 - share))
    sampled = sum(flag for _, _, flag in sent)
    assert abs(sampled - REQUESTS * share) <= tolerance
    # What is exported are those requests and no others, each once.
    exported = {(span["traceId"], span["id"]) for span in sampling.spans(sampled, timeout=30)}
    assert exported == {(trace, span) for trace, span, flag in sent if flag}
    assert len({trace for trace, _, _ in sent}) == REQUESTS
    assert len({span for _, span, _ in sent}) == REQUESTS
    for request in arrived:
        _check_both_formats_agree(request)


def _check_both_formats_agree(request: RecordedRequest) -> None:
    """An unsampled request carries a context too, with the flag off, in both default formats."""
    trace, span, flag = injected_traceparent(request.headers)
    headers = dict(request.headers)
    assert headers[b"x-b3-traceid"].decode().zfill(32) == trace
    assert headers[b"x-b3-spanid"].decode() == span
    assert headers[b"x-b3-sampled"] == (b"1" if flag else b"0")
    # Ids of the module's own are random, and level 2 of W3C's specification says so by a flag.
    assert headers[b"traceparent"].endswith(b"03" if flag else b"02")


def test_proxies_with_the_same_percentage_decide_alike_without_a_decision(
    proxy: Callable[..., SingleProxy],
) -> None:
    """Also with the rule of OpenTelemetry, and what 10 percent keep 60 percent keep too."""
    random_ids = random.Random(SEED)
    # 64-bit ids are decided by the same low bits.
    ids = [f"{random_ids.getrandbits(bits):0{bits // 4}x}" for bits in (128, 64) for _ in range(500)]
    # Ids right below and at the threshold of 60 percent.
    threshold = round((1 - 0.6) * 2**56)
    ids += [f"{2**127 + threshold + step:032x}" for step in (-2**20, -1, 0, 1, 2**20)]
    first, second, smaller = (
        _decisions(proxy({"sampling": percent}, direction=direction), ids)
        for percent, direction in [(60, "inbound"), (60, "outbound"), (10, "inbound")]
    )
    assert first == second, f"seed {SEED}"
    by_rule = {trace: int(trace, 16) % 2**56 >= threshold for trace in ids}
    assert [trace for trace in ids if first[trace] != by_rule[trace]] == [], f"seed {SEED}"
    assert all(first[trace] for trace in ids if smaller[trace]), f"seed {SEED}"
    assert any(smaller.values()) and not all(first.values())


@pytest.mark.parametrize("percent", [0.01, 1, 10, 60])
def test_a_percentage_begins_at_its_threshold_and_ends_with_the_last_id(
    proxy: Callable[..., SingleProxy], percent: float
) -> None:
    threshold = 2**56 - round(2**56 * percent / 100)
    random_ids = random.Random(SEED)
    below = [0, 1, *(threshold - 2**bits for bits in range(0, 40, 4))]
    below += [random_ids.randrange(threshold) for _ in range(100)]
    above = [threshold, *(threshold + 2**bits for bits in range(0, 40, 4)), 2**56 - 1]
    above += [random_ids.randrange(threshold, 2**56) for _ in range(100)]
    # Whatever is before the 56 bits.
    ids = {f"{random_ids.getrandbits(72) | 1:018x}{low:014x}": low >= threshold for low in (*below, *above)}
    assert _decisions(proxy({"sampling": percent}), list(ids)) == ids, f"seed {SEED}"


def test_of_two_proxies_in_a_row_the_one_with_the_smaller_percentage_samples_a_subset(
    proxy: Callable[..., SingleProxy],
) -> None:
    """Where the application between them forwards ids and no decision; where it does, all of the first's."""
    count, spans = 3_000, {}
    first = proxy({"sampling": 10}, direction="inbound")
    run_load(first.port, count, requests=[request_bytes()])
    went_on = [injected_traceparent(one.headers) for one in first.upstream.wait_for(count)]
    spans["first"] = _by_trace(first, sum(flag for _, _, flag in went_on))
    for name, is_told in [("ids", False), ("decision", True)]:
        decision = {flag: f"-{flag:d}" if is_told else "" for flag in (False, True)}
        requests = [request_bytes(headers=[("b3", f"{trace}-{span}{decision[flag]}")]) for trace, span, flag in went_on]
        second = proxy({"sampling": 1}, direction="outbound")
        run_load(second.port, count, requests=requests)
        sampled = sum(injected_traceparent(one.headers)[2] for one in second.upstream.wait_for(count))
        spans[name] = _by_trace(second, sampled)
    for share, name in [(0.1, "first"), (0.01, "ids")]:
        tolerance = 5 * math.sqrt(count * share * (1 - share))
        assert 0 < len(spans[name]) == pytest.approx(count * share, abs=tolerance), name
    assert spans["ids"].keys() < spans["first"].keys() == spans["decision"].keys()
    parents = {trace: span["id"] for trace, span in spans["first"].items()}
    for name in ("ids", "decision"):
        assert all(span["parentId"] == parents[trace] for trace, span in spans[name].items())
    rules = {name: {span["tags"]["sampling.rule"] for span in one.values()} for name, one in spans.items()}
    assert rules == {"first": {"percent"}, "ids": {"percent"}, "decision": {"parent"}}


def _by_trace(proxy: SingleProxy, count: int) -> dict[str, Span]:
    return {span["traceId"]: span for span in proxy.spans(count, timeout=30)}


def _decisions(proxy: SingleProxy, ids: list[str]) -> dict[str, bool]:
    """What the proxy decides for each trace id that comes in B3 without a decision."""
    requests = [request_bytes(headers=[("b3", f"{trace}-00f067aa0ba902b7")]) for trace in ids]
    result = run_load(proxy.port, len(ids), requests=requests)
    assert dict(result.statuses) == {200: len(ids)}
    decided = {}
    for request in proxy.upstream.wait_for(len(ids)):
        trace, _, flag = injected_traceparent(request.headers)
        decided[trace] = flag
    assert len(decided) == len(ids)
    exported = {span["traceId"].zfill(32) for span in proxy.spans(sum(decided.values()))}
    assert exported == {trace for trace, flag in decided.items() if flag}
    return {trace: decided[trace.zfill(32)] for trace in ids}
