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


def _load(proxies: list[SingleProxy], folder: Path, rate: int) -> None:
    """Send each so many requests a second over eight connections."""
    options = ["--h1", "-c8", "-t1", "-m1", f"-D{SECONDS}", f"--rps={rate / 8}"]
    loads = []
    try:
        for one in proxies:
            command = ["h2load", *options, f"http://127.0.0.1:{one.port}/"]
            loads.append(Process(f"h2load-{one.envoy.name}", command, folder))
        for load in loads:
            wait_for(lambda ended=load: ended.returncode is not None, SECONDS + 60, "the end of the load")
    finally:
        for load in loads:
            load.stop()
    assert all(" 0 3xx, 0 4xx, 0 5xx" in load.log() for load in loads)


def _count(spans: list[Span]) -> int:
    """How many began between `BEGIN` and `END`, by seconds after the first."""
    first = min(span["timestamp"] for span in spans)
    return sum(BEGIN * 1e6 <= span["timestamp"] - first < END * 1e6 for span in spans)


# Loads that a machine carries together come together.
@pytest.mark.parametrize(
    ("rate", "workers"), [(100, (1, 2, 4)), (1_000, (1, 2, 4)), (5_000, (1,)), (5_000, (2,)), (5_000, (4,))], ids=str
)
def test_ten_seconds_have_as_many_traces_as_the_ceiling_says(
    proxy: Callable[..., SingleProxy], folder: Path, rate: int, workers: tuple[int, ...]
) -> None:
    config = {"sampling": {"percent": 100, "ratePerSecond": CEILING, "burst": BURST}}
    proxies = [proxy(config, concurrency=count, change=answer_everything) for count in workers]
    _load(proxies, folder, rate)
    for limited in proxies:
        limited.settle()
        spans = limited.receiver.spans
        assert _count(spans) == pytest.approx(CEILING * (END - BEGIN), rel=0.1)
        limit = limited.stats()["meshspan_traces_limited"]
        assert limit + len(spans) == limited.stats()["meshspan_contexts_started"]
        # What is sampled stands for what came: four standard deviations, and what the steps of a ceiling add.
        weights = sum(1 / float(span["tags"]["sampling.probability"]) for span in spans)
        assert weights == pytest.approx(limit + len(spans), rel=0.25)
