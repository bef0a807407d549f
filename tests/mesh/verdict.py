"""Did every request's trace arrive, whole and once?  What the demo's exit code rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .receiver import Span
from .topology import SPANS_A_TRACE
from .waterfall import by_trace, in_order, service

# One trace, from the gateway to the storage: every span the child of the one before.
CHAIN = (
    ("gateway.demo", "CLIENT"),
    ("dockebi.demo", "SERVER"),
    ("dockebi.demo", "CLIENT"),
    ("dockebi-storage.demo", "SERVER"),
)
# The same with a waypoint.
WAYPOINT_CHAIN = (CHAIN[0], ("waypoint.demo", "SERVER"), *CHAIN[1:])
_SIGMAS = 5


def trace_of(headers: Mapping[str, str]) -> str | None:
    """The trace id of these propagation headers, sampled or not."""
    traceparent = headers.get("traceparent", "").split("-")
    return traceparent[1] if len(traceparent) >= 4 else headers.get("x-b3-traceid")


def sampled_trace(headers: Mapping[str, str]) -> str | None:
    """The trace id if these propagation headers say that the trace is sampled."""
    traceparent = headers.get("traceparent", "").split("-")
    if len(traceparent) >= 4:
        return traceparent[1] if int(traceparent[3], 16) & 1 else None
    if headers.get("x-b3-sampled") == "1" or headers.get("x-b3-flags") == "1":
        return headers.get("x-b3-traceid")
    return None


def is_whole(trace: list[Span], chain: Sequence[tuple[str, str]] = CHAIN) -> bool:
    """Whether a trace is exactly the chain, each span once."""
    if len(trace) != len(chain):
        return False
    ordered = in_order(trace)
    # In a chain each span is one deeper than its parent.
    return all(
        depth == number and (service(span), span.get("kind")) == chain[number]
        for number, (depth, span) in enumerate(ordered)
    )


def sampling_bounds(requests: int, percentage: float) -> tuple[int, int]:
    """The fewest and most traces that chance allows (5 sigma of the binomial distribution)."""
    mean = requests * percentage / 100
    spread = _SIGMAS * math.sqrt(mean * (1 - percentage / 100))
    return max(0, math.ceil(mean - spread)), min(requests, math.floor(mean + spread))


@dataclass
class Verdict:
    """The numbers of one run, and what is wrong with them."""

    requests: int
    not_ok: int
    percentage: float
    sampled: set[str]
    # Not sampled, and to be exported all the same.
    kept: set[str]
    received: int
    incomplete: list[str]
    dropped: int
    spans_sampled: int
    errors: list[str]

    @property
    def expected(self) -> int:
        """The spans that should have come."""
        return len(self.sampled | self.kept) * SPANS_A_TRACE

    def failures(self) -> list[str]:
        """One line for each promise that did not hold; empty is success."""
        low, high = sampling_bounds(self.requests, self.percentage)
        checks = [
            (self.not_ok == 0, f"{self.not_ok} requests were not answered as they should be"),
            (
                low <= len(self.sampled) <= high,
                f"{len(self.sampled)} traces sampled, {self.percentage:g} % of {self.requests} is {low} to {high}",
            ),
            (self.received == self.expected, f"{self.received} spans received, {self.expected} expected"),
            (not self.incomplete, f"{len(self.incomplete)} incomplete traces, such as {self.incomplete[:1]}"),
            (self.dropped == 0, f"{self.dropped} spans dropped"),
            (
                self.spans_sampled == self.received,
                f"the proxies say {self.spans_sampled} spans sampled, {self.received} were received",
            ),
            (not self.errors, f"{len(self.errors)} violations of Zipkin v2, such as {self.errors[:1]}"),
        ]
        return [line for held, line in checks if not held]


def judge(
    answers: Iterable[tuple[int, Any]],
    percentage: float,
    spans: list[Span],
    received: int,
    dropped: int,
    spans_sampled: int,
    errors: list[str],
    wanted: Callable[[int], int] = lambda _: 200,
) -> Verdict:
    """Weigh the answers (status, JSON of the first service) against the spans that came.

    `wanted` is the status that the answer with this number should have; of 500 the trace is kept.
    """
    answers = list(answers)
    bodies = [(status, body["headers"]) for status, body in answers if body is not None]
    sampled = {trace_id for _, headers in bodies if (trace_id := sampled_trace(headers)) is not None}
    kept = {trace_id for status, headers in bodies if status == 500 and (trace_id := trace_of(headers)) is not None}
    traces = by_trace(spans)
    # A trace that nobody asked for is as wrong as one that is missing.
    asked_for = sampled | kept
    incomplete = [
        one for one in asked_for | traces.keys() if one not in asked_for or not is_whole(traces.get(one, []))
    ]
    not_ok = sum(status != wanted(number) for number, (status, _) in enumerate(answers))
    return Verdict(
        len(answers), not_ok, percentage, sampled, kept - sampled,
        received, incomplete, dropped, spans_sampled, errors,
    )  # fmt: skip
