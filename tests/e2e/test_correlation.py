"""Applications that forward no context: which of their calls become children of which request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh.links.pod import Outcome, Pod

SESSION = "x-session-id: session-{}\r\n"
# How often a load is sent at the most where something has to be learnt first.
MOST_LOADS = 12


def parents(outcome: Outcome) -> Counter[tuple[str, str | None]]:
    """How many calls have the right parent, a wrong one or none, with the tag that says why."""
    by_ids = {(span["traceId"], span["id"]): serial for serial, span in outcome.requests.items()}
    counts: Counter[tuple[str, str | None]] = Counter()
    for call in outcome.calls:
        parent = by_ids.get((call.span["traceId"], call.span.get("parentId", "")))
        verdict = "none" if parent is None else "right" if parent == call.cause else "wrong"
        counts[verdict, call.span["tags"].get("meshspan.correlation")] += 1
    return counts


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    """Runs a load through a pod, again until `linked` calls got a parent: the outcome, which is sound in any case."""

    def run(
        shape: str, correlation: Mapping[str, Any], workers: int = 1, forward: str = "",
        rate: float = 120, seconds: float = 3, headers: str = "", linked: int = 0,
    ) -> Outcome:  # fmt: skip
        with Pod(shape, tmp_path, {"correlation": correlation}, workers, forward, scale=0.5) as pod:
            mean = pod.load(seconds, rate, headers)
            for _ in range(MOST_LOADS - 1):
                if pod.envoy.meshspan_stats()["meshspan_contexts_correlated"] >= linked:
                    break
                mean = pod.load(seconds, rate, headers)
            outcome = pod.outcome(mean)
            assert pod.receiver.errors == []
            assert outcome.calls
            return outcome

    yield run


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(
    ("shape", "forward", "by"),
    [
        ("fan-out", "x-request-id", "request_id"),
        ("threads", "x-session-id", "header:x-session-id"),
        ("interleaved", "x-session-id,x-request-id", "request_id"),
    ],
)
def test_an_id_that_is_forwarded_gives_every_call_its_parent(
    run: Any, workers: int, shape: str, forward: str, by: str
) -> None:
    outcome = run(shape, {"headers": ["X-Session-Id"]}, workers, forward, headers=SESSION)
    assert parents(outcome) == {("right", by): len(outcome.calls)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_context_that_is_forwarded_is_what_counts(run: Any, workers: int) -> None:
    outcome = run("chain", {}, workers, "traceparent,x-request-id")
    assert parents(outcome) == {("right", None): len(outcome.calls)}


def test_an_application_that_forwards_nothing_gets_no_parent_by_an_exact_mode(run: Any) -> None:
    outcome = run("chain", {}, 2)
    assert parents(outcome) == {("none", None): len(outcome.calls)}


def test_off_is_off(run: Any) -> None:
    outcome = run("chain", {"mode": "off"}, 1, "x-request-id")
    assert parents(outcome) == {("none", None): len(outcome.calls)}


def test_one_id_for_several_requests_of_different_traces_gives_no_parent(run: Any) -> None:
    outcome = run("chain", {"headers": ["x-session-id"]}, 1, "x-session-id", headers="x-session-id: same\r\n")
    found = parents(outcome)
    assert found["wrong", "header:x-session-id"] == 0
    # Alone in flight it is the one; beside others, which are of other traces, it is not.
    assert found["none", None] > 0


def test_a_thread_for_each_connection_is_found_out(tmp_path: Path) -> None:
    with Pod("threads", tmp_path, {"correlation": {"mode": "sure"}}) as pod:
        # What is learnt first counts, too.
        outcome = pod.outcome(pod.load(20, 50))
    found = parents(outcome)
    assert found["right", "connection"] > 0.8 * len(outcome.calls), found
    assert set(found) <= {("right", "connection"), ("right", "single"), ("none", None)}, found


@pytest.mark.parametrize("workers", [1, 2])
def test_the_only_request_in_flight_is_the_parent(run: Any, workers: int) -> None:
    # A busy machine has fewer moments at which nothing is in flight, from which it is learnt.
    found = parents(run("chain", {"mode": "sure"}, workers, rate=4, seconds=8, linked=5))
    assert found["right", "single"] > 0, found
    assert set(found) <= {("right", "single"), ("right", "connection"), ("none", None)}, found


def test_a_pod_that_makes_calls_of_its_own_is_believed_nothing(run: Any) -> None:
    found = parents(run("background", {"mode": "sure"}, rate=5, seconds=15))
    assert set(found) == {("none", None)}, found


@pytest.mark.parametrize("shape", ["thread-pool", "pool", "interleaved"])
def test_what_is_not_sure_gets_no_parent(run: Any, shape: str) -> None:
    found = parents(run(shape, {"mode": "sure"}, rate=80, seconds=8))
    wrong = sum(count for (verdict, _), count in found.items() if verdict == "wrong")
    assert wrong * 200 <= sum(found.values()), found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_parent_that_is_inferred_says_how_likely_it_is(tmp_path: Path, workers: int) -> None:
    with Pod("chain", tmp_path, {"correlation": {"mode": "infer"}}, workers) as pod:
        # What is learnt while few are in flight serves while more are.
        pod.load(15, 15)
        outcome = pod.outcome(pod.load(15, 40))
    found = parents(outcome)
    assert found["right", "inferred"] > 20, found
    assert {by for _, by in found} <= {"inferred", "connection", "single", None}, found
    wrong = sum(count for (verdict, _), count in found.items() if verdict == "wrong")
    # A busy machine blurs times: ten times what is wrong in the long run.
    assert wrong * 50 <= sum(found.values()), found
    for call in outcome.calls:
        tags = call.span["tags"]
        confidence = tags.get("meshspan.correlation.confidence")
        assert (confidence is not None) == (tags.get("meshspan.correlation") == "inferred")
        assert confidence is None or (len(confidence) == 5 and 0.98 <= float(confidence) < 1)


def test_a_call_keeps_the_decision_of_the_request_that_caused_it(tmp_path: Path) -> None:
    with Pod("fan-out", tmp_path, {"sampling": 50}, 2, "x-request-id", scale=0.5) as pod:
        pod.load(3, 100)
        stats = pod.settled()
        contexts = [one.split("-") for one in pod.contexts().values()]
    sampled = {trace for _, trace, _, flags in contexts if int(flags, 16) & 1}
    dropped = {trace for _, trace, _, flags in contexts if not int(flags, 16) & 1}
    assert sampled and dropped and not sampled & dropped
    # Three calls of each trace, none of which began one of its own.
    assert len(contexts) == 3 * len(sampled | dropped) == stats["meshspan_contexts_correlated"]
    assert stats["meshspan_contexts_started"] == len(sampled | dropped)


def test_requests_beyond_the_most_in_flight_are_counted_and_not_linked(tmp_path: Path) -> None:
    plugin = {"correlation": {"maxInFlight": 1}}
    with Pod("compute", tmp_path, plugin, 1, "x-request-id") as pod:
        outcome = pod.outcome(pod.load(2, 60))
        stats = pod.envoy.meshspan_stats()
    found = parents(outcome)
    assert found["right", "request_id"] > 0
    assert found["none", None] == stats["meshspan_correlation_table_full"] > 0
    assert set(found) == {("right", "request_id"), ("none", None)}
