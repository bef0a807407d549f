"""One long run: an Envoy, its load, and what happens meanwhile.

A run is rounds of load.  After each the collector is well again (unless it is to stay away), the
books must balance with nothing waiting, and memory is measured while nothing happens.  It must stay below
what the queues may hold, those of configurations that are replaced included, and must not go on growing: a third of a run is for warming up, and the last one is
compared with the one before.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import config as configuration
from ..background import BackgroundLoop
from ..bench.rows import HEADERS, PATH
from ..books import balanced, imbalance
from ..config import Config
from ..envoy import wait_for
from ..h2load import H2Load
from ..processes import ProcessFailed
from ..single import HOSTS, SingleProxy
from ..sink import Sink
from .changes import QUEUE_BYTES, REQUESTS, invalid, steady, valid
from .collectors import FAULTS, FaultyCollectors

MIB = 1 << 20
# Requests of a call of h2load, and how many are under way at once.
CHUNK, CONNECTIONS = 4000, 16
# Seconds of load in a round, of the first the least requests, and how long waiting spans may take after it.
ROUND, WARMUP, SETTLE = 10.0, 10_000, 90.0
# Memory that a worker may take after the first round beside its queue, and more in the last third than in the second.
MOST_BESIDE_QUEUE, MOST_IN_A_THIRD = 4 * MIB, 2 * MIB
COLLECTORS = ("random", "healthy", "dead")
CHANGED = "configuration changes"


@dataclass(frozen=True)
class Plan:
    """What a run is to be: it ends when both its time is over and its requests are sent."""

    collector: str
    workers: int
    seconds: float
    requests: int
    seed: str


@dataclass
class Outcome:
    """What became of a run."""

    plan: Plan
    requests: int = 0
    seconds: float = 0.0
    events: dict[str, int] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    # After each round: bytes that belong to no file.
    memory: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    # The most configurations that were replaced in one round. What waits for the collector in each goes on waiting there.
    replaced: int = 0


class _Load:
    """Requests in a thread until told to end; h2load says if one fails."""

    def __init__(self, port: int, requests: list[dict[str, str]], folder: Path, rng: random.Random) -> None:
        self.sent = 0
        self.failure: ProcessFailed | None = None
        self._rng = rng
        self._kinds = []
        for number, drawn in enumerate(requests):
            headers = {":authority": HOSTS["inbound"], **drawn}
            for http2 in (False, True):
                own = folder / f"load-{number}-{http2}"
                own.mkdir()
                self._kinds.append(H2Load(port, PATH, headers, own, http2, CONNECTIONS))
        self._ended = threading.Event()

    def __enter__(self) -> _Load:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._rng.choice(self._kinds).send(CHUNK, lambda _: None)
                self.sent += CHUNK
        except ProcessFailed as error:
            self.failure = error


class Stage:
    """A run of a plan."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.outcome = Outcome(plan)
        self._rng = random.Random(plan.seed)
        self._loop = BackgroundLoop("soak")
        self._collectors = FaultyCollectors(self._loop, folder)
        self._upstream = Sink(self._loop, 200, b"ok")
        self._one = SingleProxy(
            steady(), concurrency=plan.workers, ecds=True, change=self._install, folder=folder, loop=self._loop
        )
        # A generator of its own: how often it is asked depends on the machine.
        load_rng = random.Random(f"{plan.seed} load")
        requests = list(REQUESTS.values()) if plan.collector == "random" else [HEADERS]
        self._load = _Load(self._one.port, requests, folder, load_rng)

    def _install(self, config: Config) -> None:
        self._collectors.install(config)
        # The upstream of single proxies remembers each request.
        for cluster in configuration.clusters(config):
            if cluster["name"].startswith("inbound|"):
                configuration.set_endpoint(cluster, ("127.0.0.1", self._upstream.port))

    def run(self, progress: Callable[[float], None]) -> Outcome:
        """Run it to its end; `progress` gets the parts that are done, of 1 in all."""
        outcome, plan = self.outcome, self.outcome.plan
        began, told = time.monotonic(), 0.0
        done = 0.0
        while done < 1 and not outcome.faults:
            self._round(began)
            outcome.requests, outcome.seconds = self._load.sent, time.monotonic() - began
            done = min(1.0, outcome.requests / plan.requests, outcome.seconds / max(plan.seconds, 0.001))
            progress(done - told)
            told = done
        progress(1 - told)
        self._end()
        return outcome

    def _round(self, began: float) -> None:
        plan, outcome = self.outcome.plan, self.outcome
        first = not outcome.memory
        before = outcome.events.get(CHANGED, 0)
        with self._load:
            until = time.monotonic() + ROUND
            while not self._load.failure and (time.monotonic() < until or first and self._load.sent < WARMUP):
                if plan.collector == "random":
                    self._event()
                else:
                    time.sleep(0.5)
        if self._load.failure:
            outcome.faults.append(f"a request failed: {self._load.failure}")
        if plan.collector == "dead":
            # The first round was with a collector that is well.
            if first:
                self._settle()
                self._collectors.go_away()
        else:
            self._collectors.heal()
            self._settle()
        outcome.replaced = max(outcome.replaced, outcome.events.get(CHANGED, 0) - before)
        outcome.memory.append(self._one.envoy.anonymous())

    def _event(self) -> None:
        """Let something happen for a while, or be well."""
        rng = self._rng
        what = rng.choice(["fault", "fault", "well", "change", "change", "invalid"])
        if what == "fault":
            self._collectors.heal()
            name = rng.choice(list(FAULTS))
            FAULTS[name](self._collectors, rng)
            self._note(f"collector {name}")
        elif what == "well":
            self._collectors.heal()
        else:
            wanted = valid(rng) if what == "change" else invalid(rng)
            taken = self._one.reconfigure(wanted)
            if taken != (what == "change"):
                self.outcome.faults.append(f"Envoy {'took' if taken else 'refused'} {wanted}")
            self._note(CHANGED if taken else "configuration is invalid")
        time.sleep(rng.uniform(0.1, 1.5))

    def _note(self, event: str) -> None:
        self.outcome.events[event] = self.outcome.events.get(event, 0) + 1

    def _settle(self) -> None:
        def settled() -> bool:
            stats = self._one.stats()
            return stats.get("meshspan_queue_spans", 0) == 0 and imbalance(stats) == 0

        try:
            wait_for(settled, SETTLE, "sampled = exported + dropped, with nothing waiting,", step=0.2)
        except TimeoutError as error:
            self.outcome.faults.append(f"{error}: {self._one.stats()}")

    def _end(self) -> None:
        outcome = self.outcome
        if self._one.trapped():
            outcome.faults.append(f"the module trapped, see {self._one.envoy.process.log_path}")
        try:
            outcome.stats = balanced(self._one)
        except TimeoutError:
            outcome.stats = self._one.stats()
            outcome.faults.append(f"the books do not balance: {outcome.stats}")
        if outcome.plan.collector == "dead":
            self._collectors.heal()
            self._settle()
        exported = self._one.stats()["meshspan_spans_exported"]
        if self._collectors.taken < exported:
            outcome.faults.append(f"{exported} spans count as exported, and {self._collectors.taken} came")
        outcome.faults += self._collectors.errors[:5]
        outcome.faults += memory_faults(outcome)

    def stop(self) -> None:
        """End everything."""
        code = self._one.stop()
        if code:
            self.outcome.faults.append(f"Envoy ended with code {code}")
        self._collectors.stop()
        self._upstream.stop()
        self._loop.stop()


def memory_faults(outcome: Outcome) -> list[str]:
    """Whether memory grew: above what the queues may hold, or on and on."""
    first, *later = outcome.memory
    workers = outcome.plan.workers
    faults = []
    grown = max(later, default=first) - first
    if grown > workers * ((1 + outcome.replaced) * QUEUE_BYTES + MOST_BESIDE_QUEUE):
        faults.append(f"memory grew by {grown / MIB:.1f} MB after the first round")
    third = len(outcome.memory) // 3
    if third >= 2:
        middle, end = (statistics.median(outcome.memory[start:][:third]) for start in (third, 2 * third))
        # As many as ever may be replaced in a round are replaced together at some time.
        more = QUEUE_BYTES if outcome.replaced else 0
        if end - middle > workers * (MOST_IN_A_THIRD + more):
            faults.append(f"memory grew by {(end - middle) / MIB:.1f} MB from the second to the last third")
    return faults
