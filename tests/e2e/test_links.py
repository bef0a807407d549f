"""Calls that cannot be told apart when they are made and can be a second later: links in their spans."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mesh.books import dropped, drops, imbalance
from mesh.ecds import ExtensionConfig
from mesh.envoy import wait_for
from mesh.links.pod import Pod
from mesh.receiver import Span

INFER = {"correlation": {"mode": "infer"}}
# Long work and then a call, soon after which the request ends.
SHAPE = "compute"


def link_of(span: Span) -> tuple[str, float] | None:
    """The request that a call is linked to, and the confidence; nothing where there is no link."""
    tags = span.get("tags")
    if tags is None:
        if not span["links"]:
            return None
        (link,), (said,) = span["links"], span["link_attributes"]
        assert set(said) == {"meshspan.correlation", "meshspan.correlation.confidence"}
        assert said["meshspan.correlation"] == "inferred"
        return link, said["meshspan.correlation.confidence"]
    assert ("meshspan.link" in tags) == ("meshspan.link.confidence" in tags)
    if "meshspan.link" not in tags:
        return None
    assert len(tags["meshspan.link.confidence"]) == len("0.934")
    return tags["meshspan.link"], float(tags["meshspan.link.confidence"])


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_a_call_that_can_be_told_a_second_later_is_linked_to_its_request(protocol: str, tmp_path: Path) -> None:
    with Pod(SHAPE, tmp_path, {**INFER, "collector": {"protocol": protocol}}) as pod:
        # What is learnt while few are in flight serves while more are.
        pod.load(12, 12)
        outcome = pod.outcome(pod.load(12, 40))
        stats = pod.envoy.meshspan_stats()
        assert pod.receiver.errors == []
    serials = {f"{span['traceId']}-{span['id']}": serial for serial, span in outcome.requests.items()}
    right = wrong = 0
    for call in outcome.calls:
        if found := link_of(call.span):
            link, confidence = found
            assert 0.9 <= confidence < 1
            assert "parentId" not in call.span
            right += serials[link] == call.cause
            wrong += serials[link] != call.cause
    assert right > 50, (right, wrong, len(outcome.calls))
    # A busy machine blurs times.
    assert wrong * 20 <= len(outcome.calls), (right, wrong, len(outcome.calls))
    assert stats["meshspan_correlation_links"] == right + wrong
    assert all(link_of(span) is None for span in outcome.requests.values())


def test_without_infer_no_span_waits_for_a_link(tmp_path: Path) -> None:
    with Pod(SHAPE, tmp_path, {"correlation": {"mode": "sure"}}) as pod:
        outcome = pod.outcome(pod.load(3, 40))
        assert pod.envoy.meshspan_stats()["meshspan_correlation_links"] == 0
    assert all(link_of(call.span) is None for call in outcome.calls)


def test_spans_that_wait_for_their_links_outlast_a_change_of_the_configuration(tmp_path: Path) -> None:
    discovery = ExtensionConfig(tmp_path)

    def generation(number: int) -> dict[str, Any]:
        tag = {"generation": {"literal": {"value": str(number)}}}
        return {"sampling": 100, "customTags": tag, **INFER}

    with Pod(SHAPE, tmp_path, generation(0), change=discovery.install) as pod, ThreadPoolExecutor() as pool:
        load = pool.submit(pod.load, 8, 40)
        for number in (1, 2):
            recorded = pod.envoy.meshspan_stats().get("meshspan_spans_sampled", 0)
            more = recorded + 60
            wait_for(lambda: pod.envoy.meshspan_stats().get("meshspan_spans_sampled", 0) > more, 20, "more spans")
            discovery.replace(generation(number))
        load.result()
        outcome = pod.outcome(0)
        stats = pod.envoy.meshspan_stats()
        spans = pod.receiver.spans
    count = len(outcome.requests) + len(outcome.calls)
    assert (stats["meshspan_spans_exported"], dropped(stats), imbalance(stats)) == (count, drops(), 0)
    assert len({span["id"] for span in spans}) == len(spans) == count
    assert {span["tags"]["generation"] for span in spans} == {"0", "1", "2"}


def test_spans_that_wait_for_their_links_take_their_room_in_the_queue(tmp_path: Path) -> None:
    queue = {"maxSpans": 40, "maxBytes": 1 << 20}
    with Pod(SHAPE, tmp_path, {**INFER, "queue": queue, "batch": {"maxSpans": 4}}) as pod:
        pod.receiver.faults.status = 503
        pod.load(4, 40)

        def full() -> dict[str, int] | None:
            stats = pod.envoy.meshspan_stats()
            is_full = stats["meshspan_queue_spans"] == 40 and stats["meshspan_spans_dropped_queue_full"] > 40
            return stats if is_full and imbalance(stats) == 0 else None

        wait_for(full, 20, "a full queue and balanced books")
        pod.receiver.faults.status = 202
        stats = wait_for(lambda: pod.settled(), 60)
        lost = stats["meshspan_spans_dropped_queue_full"]
        assert stats["meshspan_spans_exported"] == stats["meshspan_spans_sampled"] - lost
        assert len({span["id"] for span in pod.receiver.spans}) == stats["meshspan_spans_exported"]
