"""The demo with applications that forward nothing: which call is linked to which request, and whether rightly.

dockebi calls the storage twice for each request.  Both answer with the headers that they got, so that
a client knows the trace of each request and those of the calls that it caused: that is the
truth, which no proxy can read.  Requests come one after the other until their calls are linked;
more in the same way, all of whose calls have to be linked; and then several at a time, where it is
only told how many were.
"""

from __future__ import annotations

import collections
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from .config import Config, plugin_configuration, set_plugin_configuration
from .progress import progress_bar
from .receiver import Span
from .requests import Connection
from .verdict import CHAIN, Verdict, sampled_trace, trace_of
from .waterfall import by_trace, in_order, linked_by, service

CALLS = 2
MODES = ("exact", "sure", "infer")
# Each span's depth, service and kind: the chain, with its last two once for each call.
TREE = [*enumerate(CHAIN), *[(2, CHAIN[2]), (3, CHAIN[3])] * (CALLS - 1)]

# A pause is so many times as long as the request before it took, on whatever machine: that is low load.
PAUSE = 4
# So many requests on end whose calls were linked end the first part, and so many at all.
LEARNT, MOST_LEARNING = 50, 400
# How many are under way at a time in the last part.
CROWD = 4


@dataclass(frozen=True)
class Told:
    """What the applications say of a request: its trace, and the traces of its calls, each with whether it is sampled."""

    status: int
    request: tuple[str, bool]
    calls: tuple[tuple[str, bool], ...] = ()

    def right(self) -> int:
        """How many of its calls are in its trace."""
        return sum(call[0] == self.request[0] for call in self.calls)


@dataclass
class Part:
    """Some requests, all at one load."""

    title: str
    told: list[Told] = field(default_factory=list)

    def calls(self) -> int:
        """How many calls they made."""
        return sum(len(one.calls) for one in self.told)

    def right(self) -> int:
        """How many of these are in the trace of the request that made them."""
        return sum(one.right() for one in self.told)

    def wrong(self, requests: set[str]) -> int:
        """How many are in the trace of another of these requests."""
        return sum(call[0] != one.request[0] and call[0] in requests for one in self.told for call in one.calls)


Parts = tuple[Part, Part, Part]


def set_mode(mode: str) -> Callable[[str, Config], Any]:
    """What changes a proxy so that it correlates in this mode."""

    def change(_: str, config: Config) -> None:
        set_plugin_configuration(config, {**plugin_configuration(config), "correlation": {"mode": mode}})

    return change


def send(connection: Connection, number: int) -> Told:
    """Send the request with this number, at which the storage works for a few milliseconds."""
    headers = [("x-account-id", f"account-{number % 7}"), ("user-agent", "meshspan-demo")]
    path = f"/delay/{random.uniform(0.001, 0.003):.6f}"
    response = connection.request("GET", path, headers, host="demo.example:8080")
    return told(response.status, response.json() if response.status == 200 else {})


def told(status: int, body: Mapping[str, Any]) -> Told:
    """What an answer says."""
    following = body.get("next")
    calls = [one for one in following if isinstance(one, dict)] if isinstance(following, list) else []
    return Told(status, _context(body), tuple(map(_context, calls)))


def _context(body: Mapping[str, Any]) -> tuple[str, bool]:
    headers = body.get("headers", {})
    return trace_of(headers) or "", sampled_trace(headers) is not None


def at_low_load(port: int, first: int, count: int) -> Iterator[Told]:
    """So many requests from this number on, one after the other and with pauses."""
    with Connection(port, timeout=60) as connection:
        for number in range(first, first + count):
            begin = time.monotonic()
            yield send(connection, number)
            time.sleep(PAUSE * (time.monotonic() - begin))


def learn(port: int, part: Part, done: Callable[[int], None]) -> bool:
    """Send until calls are linked; whether they came to be. `done` hears how many on end were."""
    on_end = 0
    for one in at_low_load(port, 0, MOST_LEARNING):
        part.told.append(one)
        on_end = on_end + 1 if one.calls and one.right() == len(one.calls) else 0
        done(on_end)
        if on_end == LEARNT:
            return True
    return False


def at_once(port: int, first: int, count: int, part: Part, done: Callable[[], None]) -> None:
    """Send so many, `CROWD` at a time."""
    numbers, lock = iter(range(first, first + count)), threading.Lock()

    def client() -> None:
        with Connection(port, timeout=60) as connection:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                one = send(connection, number)
                with lock:
                    part.told.append(one)
                    done()

    with ThreadPoolExecutor(CROWD) as pool:
        for client_done in [pool.submit(client) for _ in range(CROWD)]:
            client_done.result()


def send_all(console: Console, port: int, count: int) -> tuple[Parts, bool]:
    """Send what is to be learnt from, and so many at low load and at more; whether it was learnt, without which that is all."""
    parts = learning, low, crowd = Part("until learnt"), Part("one in flight"), Part(f"{CROWD} in flight")
    with progress_bar(console) as progress:
        task = progress.add_task("learning: linked on end", total=LEARNT)
        if not learn(port, learning, lambda on_end: progress.update(task, completed=on_end)):
            return parts, False
        task = progress.add_task(low.title, total=count)
        first = len(learning.told)
        for one in at_low_load(port, first, count):
            low.told.append(one)
            progress.advance(task)
        task = progress.add_task(crowd.title, total=count)
        at_once(port, first + count, count, crowd, lambda: progress.advance(task))
    return parts, True


def wanted_spans(parts: Iterable[Part]) -> dict[str, collections.Counter[tuple[str, str]]]:
    """The spans of every sampled trace: service and kind, by what the applications say."""
    wanted: dict[str, collections.Counter[tuple[str, str]]] = collections.defaultdict(collections.Counter)
    for one in (one for part in parts for one in part.told):
        for (trace_id, is_sampled), spans in [(one.request, CHAIN[:2]), *((call, CHAIN[2:]) for call in one.calls)]:
            if is_sampled:
                wanted[trace_id].update(spans)
    return dict(wanted)


def is_whole(trace: list[Span]) -> bool:
    """Whether a trace has each call below the request that made it, and nothing else."""
    return [(depth, (service(span), span.get("kind"))) for depth, span in in_order(trace)] == TREE


def an_inferred(part: Part, traces: Mapping[str, list[Span]]) -> list[Span] | None:
    """The last trace of a part that is whole by what was inferred of its calls."""
    whole = [traces[one.request[0]] for one in part.told if is_whole(traces.get(one.request[0], []))]
    return next((it for it in reversed(whole) if any(linked_by(span).startswith("inferred") for span in it)), None)


@dataclass
class SilentVerdict(Verdict):
    """The numbers of the silent demo, and what is wrong with them."""

    learning: Part
    low: Part
    crowd: Part
    has_learnt: bool
    # Where nothing is guessed.
    is_sure: bool
    spans: int

    @property
    def expected(self) -> int:
        """The spans that should have come."""
        return self.spans

    @property
    def parts(self) -> Parts:
        """All of them."""
        return self.learning, self.low, self.crowd

    @property
    def requests_traces(self) -> set[str]:
        """The traces of all requests."""
        return {one.request[0] for part in self.parts for one in part.told}

    def failures(self) -> list[str]:
        """One line for each promise that did not hold; empty is success."""
        apart = self.low.calls() - self.low.right()
        wrong = sum(part.wrong(self.requests_traces) for part in self.parts)
        linked = (
            (self.has_learnt, f"no {LEARNT} requests on end had their calls linked, of {len(self.learning.told)} at low load"),
            (not apart, f"{apart} of {self.low.calls()} calls at low load are not in the trace of their request"),
            (len(self.low.told) * CALLS == self.low.calls(), f"{self.low.calls()} calls of {len(self.low.told)} requests"),
            (not (self.is_sure and wrong), f"{wrong} calls are in the trace of a request that did not make them"),
        )
        # The rest has nothing to say where the first does not hold.
        return [line for held, line in linked if not held][:1] + super().failures()


def judge_silent(
    parts: Parts, has_learnt: bool, mode: str, percentage: float, spans: list[Span], received: int,
    dropped: int, spans_sampled: int, errors: list[str],
) -> SilentVerdict:  # fmt: skip
    """Weigh what the applications say, while it was learnt, at low load and at more, against the spans that came."""
    learning, low, crowd = parts
    everything = [one for part in parts for one in part.told]
    wanted, traces = wanted_spans(parts), by_trace(spans)
    whole = {one.request[0] for one in everything if one.right() == CALLS}
    incomplete = [
        one for one in wanted.keys() | traces.keys()
        if wanted.get(one) != collections.Counter((service(span), span.get("kind")) for span in traces.get(one, []))
        or (one in whole and wanted[one].total() == len(TREE) and not is_whole(traces[one]))
    ]  # fmt: skip
    return SilentVerdict(
        len(everything), sum(one.status != 200 for one in everything), percentage,
        {one.request[0] for one in everything if one.request[1]}, set(),
        received, incomplete, dropped, spans_sampled, errors,
        learning, low, crowd, has_learnt, mode != "infer", sum(spans.total() for spans in wanted.values()),
    )  # fmt: skip


def links_table(verdict: SilentVerdict, spans: list[Span]) -> Table:
    """How many calls were linked, how many of these wrongly, and by which modes, part by part."""
    title = "Calls, of which no application said what caused them"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("", "requests", "calls", "right", "wrong", "apart", "linked by"):
        table.add_column(heading, justify="left" if heading in ("", "linked by") else "right")
    traces = by_trace(spans)
    for part in verdict.parts:
        if not part.told:
            continue
        of_part = (span for one in part.told for span in traces.get(one.request[0], []))
        modes = collections.Counter(linked_by(span).split(" ")[0] for span in of_part)
        del modes[""]
        by = ", ".join(f"{mode} {count}" for mode, count in modes.most_common())
        wrong = part.wrong(verdict.requests_traces)
        figures = (len(part.told), part.calls(), part.right(), wrong, part.calls() - part.right() - wrong)
        table.add_row(part.title, *map(str, figures), by)
    return table
