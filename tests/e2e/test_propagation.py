"""Contexts through a real Envoy: what comes in, in any format, goes on in every configured one."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest

from mesh.contexts import CONTEXT_HEADERS, IDS, Context, Vector, injected_traceparent, of_headers, read_vectors
from mesh.journeys import Journey, start_proxies, travel
from mesh.receiver import Span
from mesh.single import SingleProxy

FILES = sorted(Path(__file__).with_name("vectors").glob("*.yaml"))
VECTORS = [vector for file in FILES for vector in read_vectors(file)]


@pytest.fixture(scope="module")
def journey(module_proxy: Callable[..., SingleProxy]) -> Iterator[Callable[[Vector], Journey]]:
    """What became of a vector; all of a setup travel when the first one is asked for."""
    journeys: dict[str, dict[str, Journey]] = {}

    def of(vector: Vector) -> Journey:
        if vector.setup not in journeys:
            alike = [other for other in VECTORS if other.setup == vector.setup]
            done = travel(start_proxies(module_proxy, vector), alike)
            journeys[vector.setup] = {str(other): one for other, one in zip(alike, done)}
        return journeys[vector.setup][str(vector)]

    yield of


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_what_comes_in_goes_on_in_every_format(vector: Vector, journey: Callable[[Vector], Journey]) -> None:
    done = journey(vector)
    trace, parent = _check_spans(vector, done.spans)
    if vector.passes:
        assert of_headers(done.headers, CONTEXT_HEADERS) == vector.incoming
        return
    context = _context_that_went_out(vector, done, trace, parent)
    expected: dict[bytes, bytes] = {}
    for name in vector.expected_formats():
        expected.update(context.written(name))
    assert sorted(of_headers(done.headers, CONTEXT_HEADERS)) == sorted(expected.items())
    if vector.out:
        lines = [line.replace("NEW", context.span) for line in vector.out]
        went_out = of_headers(done.headers, CONTEXT_HEADERS)
        assert sorted(f"{name.decode()}: {value.decode()}" for name, value in went_out) == sorted(lines)


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_tracestate_goes_on_only_with_its_trace(vector: Vector, journey: Callable[[Vector], Journey]) -> None:
    incoming = [value.strip(b" \t") for name, value in vector.incoming if name.lower() == b"tracestate"]
    done = journey(vector)
    arrived = [value for name, value in done.headers if name == b"tracestate"]
    if done.spans and done.spans[0]["tags"]["sampling.rule"] == "percent":
        # A trace that was sampled here says how likely that was, beside traceparent.
        assert arrived == ([b"ot=th:0"] if b"traceparent" in dict(done.headers) else [])
        return
    assert arrived == (incoming if vector.tracestate_kept else [])


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_what_comes_in_is_counted(vector: Vector, journey: Callable[[Vector], Journey]) -> None:
    assert journey(vector).counted == {
        "started": int(vector.trace is None),
        "continued": int(vector.trace is not None),
        "malformed": int(vector.malformed),
    }


def _check_spans(vector: Vector, spans: list[Span]) -> tuple[str | None, str | None]:
    """The spans hang together; the trace, and the parent of the last one, where that is known."""
    if vector.decision == "drop":
        assert spans == []
        # What the first proxy has written passes the others untouched.
        return vector.trace, vector.parent
    assert len(spans) == len(vector.through)
    trace = vector.trace or spans[0]["traceId"].zfill(32)
    assert vector.trace is not None or trace not in {value.zfill(32) for value in IDS.values()}
    parent = vector.parent
    for span in spans:
        assert span["traceId"].zfill(32) == trace
        assert span.get("parentId") == parent
        assert span.get("debug", False) == (vector.decision == "debug")
        parent = span["id"]
    return trace, spans[-1].get("parentId")


def _context_that_went_out(
    vector: Vector, done: Journey, trace: str | None, parent: str | None
) -> Context:
    """What was exported says which ids went out; where nothing was, one header says it for the others."""
    if vector.keeps_span:
        assert trace and parent
        return Context(trace, parent, None, vector.decision)
    first = dict(done.headers)
    if b"traceparent" in first:
        sent_trace, sent_span, _ = injected_traceparent(done.headers)
    else:
        sent_trace, sent_span = first[b"b3"].decode().split("-")[:2]
        sent_trace = sent_trace.zfill(32)
    assert sent_span not in (*IDS.values(), "0" * 16)
    if done.spans:
        sent_span = done.spans[-1]["id"]
    return Context(trace or sent_trace, sent_span, parent, vector.decision, vector.random)
