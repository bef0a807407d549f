"""Ceilings on sampled traces in a real Envoy, whose workers share them.

What is counted are spans by their own time in Envoy, away from both ends of the load: how evenly a
busy machine gets requests to Envoy does not matter, as long as there are more than the ceiling.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.config import answer_everything
from mesh.envoy import wait_for
from mesh.processes import Process
from mesh.receiver import Span
from mesh.single import SingleProxy

CEILING = 40
# Two seconds' worth, so that no trace is lost where a busy machine lets no request through for so long.
BURST = 80
# The burst is over by the first, and the load goes on after the second.
BEGIN, END, SECONDS = 3, 13, 15


def _load(proxy: SingleProxy, folder: Path, name: str, rate: int) -> None:
    """Send so many requests a second over eight connections."""
    options = ["--h1", "-c8", "-t1", "-m1", f"-D{SECONDS}", f"--rps={rate / 8}"]
    process = Process(f"h2load-{name}", ["h2load", *options, f"http://127.0.0.1:{proxy.port}/"], folder)
    try:
        wait_for(lambda: process.returncode is not None, SECONDS + 60, "the end of the load")
    finally:
        process.stop()
    assert " 0 3xx, 0 4xx, 0 5xx" in process.log()


def _count(spans: list[Span]) -> int:
    """How many began between `BEGIN` and `END`, by seconds after the first."""
    first = min(span["timestamp"] for span in spans)
    return sum(BEGIN * 1e6 <= span["timestamp"] - first < END * 1e6 for span in spans)


@pytest.mark.parametrize(("workers", "rate"), [(1, 100), (4, 100), (2, 1_000), (1, 5_000), (2, 5_000), (4, 5_000)])
def test_ten_seconds_have_as_many_traces_as_the_ceiling_says(
    proxy: Callable[..., SingleProxy], folder: Path, workers: int, rate: int
) -> None:
    config = {"sampling": {"percent": 100, "ratePerSecond": CEILING, "burst": BURST}}
    limited = proxy(config, concurrency=workers, change=answer_everything)
    _load(limited, folder, f"{workers}-{rate}", rate)
    limited.settle()
    spans = limited.receiver.spans
    assert _count(spans) == pytest.approx(CEILING * (END - BEGIN), rel=0.1)
    limit = limited.stats()["meshspan_traces_limited"]
    assert limit + len(spans) == limited.stats()["meshspan_contexts_started"]
    # What is sampled stands for what came: four standard deviations, and what the steps of a ceiling add.
    weights = sum(1 / float(span["tags"]["sampling.probability"]) for span in spans)
    assert weights == pytest.approx(limit + len(spans), rel=0.25)
