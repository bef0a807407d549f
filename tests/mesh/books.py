"""The module's books: every sampled span is exported, dropped for a reason, or waits."""

from __future__ import annotations

import threading

from .envoy import wait_for
from .load import run_load
from .single import SingleProxy

DROPS = ("queue_full", "rejected", "retries_exhausted", "too_large")


def imbalance(stats: dict[str, int]) -> int:
    """sampled - (exported + dropped + waiting), 0 at every moment but in a telling (see `Books`)."""
    done = stats["meshspan_spans_exported"] + stats["meshspan_queue_spans"]
    return stats["meshspan_spans_sampled"] - done - sum(dropped(stats).values())


def dropped(stats: dict[str, int]) -> dict[str, int]:
    """Dropped spans by reason."""
    return {reason: stats[f"meshspan_spans_dropped_{reason}"] for reason in DROPS}


def drops(**counts: int) -> dict[str, int]:
    """What `dropped` gives for these and no others."""
    return {**dict.fromkeys(DROPS, 0), **counts}


def balanced(one: SingleProxy, timeout: float = 5.0) -> dict[str, int]:
    """The statistics, read again while they do not balance: a read can fall into a telling (see `Books`)."""
    def now() -> dict[str, int] | None:
        stats = one.stats()
        return stats if imbalance(stats) == 0 else None

    return wait_for(now, timeout, "balanced books")


def settled(one: SingleProxy, count: int, timeout: float = 20.0) -> dict[str, int]:
    """The statistics when `count` spans are sampled and none waits; the books balance.

    A read that falls into a telling (see `Books`) is off by what is being told, so it is repeated.
    """
    def now() -> dict[str, int] | None:
        stats = one.stats()
        done = stats["meshspan_spans_sampled"] == count and stats["meshspan_queue_spans"] == 0
        return stats if done and stats["meshspan_queue_bytes"] == 0 and imbalance(stats) == 0 else None

    return wait_for(now, timeout, f"{count} spans sampled, none waiting and balanced books")


def send(one: SingleProxy, count: int) -> None:
    """Send requests that all succeed."""
    result = run_load(one.port, count, connections=4)
    assert (result.statuses, result.failed) == ({200: count}, 0)


class Books:
    """Reads the module's statistics again and again while a load runs.

    The module tells Envoy all its changes in one go, yet metric by metric, and Envoy reads them
    one by one as well: a read that falls into a telling is off by what is being told. So a read
    that does not balance is repeated, and only one that stays off counts.
    """

    def __init__(self, one: SingleProxy) -> None:
        self.polls = 0
        self.torn = 0
        self.unbalanced: list[dict[str, int]] = []
        self._one = one
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        while not self._ended.wait(0.02):
            reads = (self._one.stats() for _ in range(5))
            stats = next(reads)
            self.polls += 1
            if imbalance(stats):
                self.torn += 1
                if all(imbalance(again) for again in reads):
                    self.unbalanced.append(stats)

    def __enter__(self) -> Books:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
