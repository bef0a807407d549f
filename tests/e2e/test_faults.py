"""A collector's bad days: no request fails, every span is accounted for, and it comes back by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh import config as configuration
from mesh.books import Books, dropped, drops, balanced, send, settled
from mesh.ecds import Collectors
from mesh.envoy import wait_for
from mesh.load import run_load
from mesh.receiver import Faults, Span
from mesh.requests import request_bytes
from mesh.single import SingleProxy

Proxies = Callable[..., SingleProxy]

# Where a span of each protocol says the path of its request; a protocol gets all tests by a line here.
PROTOCOLS: dict[str, Callable[[Span], str]] = {
    "zipkin": lambda span: span["tags"]["http.url"],
    "http/protobuf": lambda span: span["attributes"]["url.path"],
    "grpc": lambda span: span["attributes"]["url.path"],
}

# Seconds from a fault's end to the last span that waited, and what a busy machine may add.
RECOVERY, SLACK = 5, 15


class Bench:
    """A proxy whose collector can fail in every way."""

    def __init__(
        self,
        proxy: Proxies,
        folder: Path,
        protocol: str,
        concurrency: int = 1,
        timeout: str = "5s",
        **config: Any,
    ) -> None:
        self.clusters = Collectors(folder)
        collector = {"protocol": protocol, "timeout": timeout}
        batch = {"maxSpans": 50, "interval": "50ms"}
        wanted = {"sampling": 100, "collector": collector, "batch": batch, **config}
        self.one = proxy(wanted, concurrency=concurrency, change=self.clusters.install)
        self.receiver = self.one.receiver

    def stats(self) -> dict[str, int]:
        """The module's metrics by name."""
        return self.one.stats()

    def failures(self) -> int:
        """Callouts that failed so far."""
        return self.stats().get("meshspan_export_failures", 0)

    def waiting(self) -> int:
        """Spans that wait or are on their way."""
        return self.stats().get("meshspan_queue_spans", 0)

    def wait_for_clusters(self, collectors: int) -> None:
        """Wait until the worker knows so many clusters of collectors besides those of services."""
        count = "thread_local_cluster_manager.worker_0.clusters_inflated"
        expected = len(self.one.config["static_resources"]["clusters"]) + collectors
        wait_for(lambda: self.one.envoy.stats(count).get(count) == expected, what=f"{expected} clusters")

    def log_lines(self) -> list[str]:
        """The lines on spans that could not be sent."""
        return [line for line in self.one.log().splitlines() if "spans could not be sent" in line]


@dataclass(frozen=True)
class Fault:
    """A bad day of the collector."""

    # What it does with requests, or how the fault begins and ends.
    faults: Faults | None = None
    begin: Callable[[Bench], None] | None = None
    end: Callable[[Bench], None] | None = None
    # Whether callouts fail, and why their spans are dropped if they are.
    fails: bool = True
    loses: str | None = None
    # What the log says of it.
    says: str = ""
    # How long the proxy waits for an answer; a busy machine must not make a fault of its own.
    timeout: str = "5s"

    def start(self, bench: Bench) -> None:
        """Let it begin."""
        if self.begin is not None:
            self.begin(bench)
        else:
            assert self.faults is not None
            bench.receiver.faults = self.faults

    def stop(self, bench: Bench) -> None:
        """Let it end."""
        if self.end is not None:
            self.end(bench)
        bench.receiver.faults = Faults()


def remove_cluster(bench: Bench) -> None:
    """Take the collector's cluster away."""
    bench.clusters.remove()
    bench.wait_for_clusters(0)


def empty_cluster(bench: Bench) -> None:
    """Take the hosts of the collector's cluster away."""
    # Only a cluster that comes or goes shows in the worker's statistics.
    remove_cluster(bench)
    bench.clusters.empty()
    bench.wait_for_clusters(1)


def add_cluster(bench: Bench) -> None:
    """Bring the collector's cluster back as it was."""
    bench.clusters.add()


# What Envoy answers itself it answers a gRPC request by a gRPC status, with the reason.
GRPC_SAYS = {
    "answered 503": 'answered gRPC status 14 ("upstream connect error',
    "answered 504": 'answered gRPC status 14 ("upstream request timeout")',
}

HALF_AN_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000\r\n\r\nonly so much"

FAULTS = {
    "refuses connections": Fault(
        begin=lambda bench: bench.receiver.stop(), end=lambda bench: bench.receiver.start_again(), says="answered 503"
    ),
    "does not answer": Fault(Faults(delay=3600), says="answered 504", timeout="1s"),
    "is slow": Fault(Faults(delay=0.2), fails=False),
    "closes connections": Fault(Faults(close=True)),
    "breaks off its answer": Fault(Faults(raw=HALF_AN_ANSWER)),
    "answers garbage": Fault(Faults(raw=b"\x00\xffno HTTP\r\n\r\n")),
    "answers 400": Fault(Faults(status=400), loses="rejected", says="answered 400; they are dropped"),
    "answers 413 to large bodies": Fault(Faults(max_body=10_000), says="answered 413; they are sent in halves"),
    "answers 413 to every body": Fault(Faults(max_body=10), loses="too_large"),
    "answers 429 and for how long": Fault(Faults(status=429, retry_after="1"), says="answered 429; they wait"),
    "answers 500": Fault(Faults(status=500), loses="rejected"),
    "answers 502": Fault(Faults(status=502)),
    "answers 503": Fault(Faults(status=503)),
    "answers 504": Fault(Faults(status=504)),
    "has no cluster": Fault(begin=remove_cluster, end=add_cluster, says="there is no such cluster; they wait"),
    "has no host": Fault(begin=empty_cluster, end=add_cluster, says="the cluster has no healthy host; they wait"),
}


def unique(spans: list[Span]) -> int:
    """How many spans these are, each counted once."""
    return len({span["id"] for span in spans})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_short_fault_fails_no_request_and_loses_only_what_is_refused(
    fault: Fault, protocol: str, proxy: Proxies, folder: Path
) -> None:
    bench = Bench(proxy, folder, protocol, timeout=fault.timeout)
    with Books(bench.one) as books:
        send(bench.one, 20)
        settled(bench.one, 20)
        fault.start(bench)
        send(bench.one, 100)
        if fault.fails:
            wait_for(lambda: bench.failures() >= 2, what="two failures")
        send(bench.one, 100)
        if fault.loses:
            settled(bench.one, 220)
        fault.stop(bench)
        send(bench.one, 20)
        stats = settled(bench.one, 240, RECOVERY + SLACK)
    lost = {fault.loses: 200} if fault.loses else {}
    assert dropped(stats) == drops(**lost)
    assert stats["meshspan_spans_exported"] == 240 - sum(lost.values())
    assert unique(bench.receiver.spans) == len(bench.receiver.spans) == stats["meshspan_spans_exported"]
    assert books.unbalanced == []
    assert len(bench.log_lines()) == int(fault.fails)
    says = GRPC_SAYS.get(fault.says, fault.says) if protocol == "grpc" else fault.says
    assert says in "".join(bench.log_lines())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_collector_that_restarts_under_load_costs_nothing(
    concurrency: int, protocol: str, proxy: Proxies, folder: Path
) -> None:
    bench = Bench(proxy, folder, protocol, concurrency, queue={"maxSpans": 10_000})
    count = 6_000
    with Books(bench.one) as books, ThreadPoolExecutor() as pool:
        load = pool.submit(run_load, bench.one.port, count, 1000, 16)
        for _ in range(3):
            before = len(bench.receiver.spans)
            bench.receiver.wait_for(before + 100, 30)
            failures = bench.failures()
            bench.receiver.stop()
            wait_for(lambda: bench.failures() > failures, what="a failure")
            bench.receiver.start_again()
        result = load.result()
        assert (result.statuses, result.failed) == ({200: count}, 0)
        stats = settled(bench.one, count, RECOVERY + SLACK)
    assert dropped(stats) == drops()
    # An answer that the restart broke off left spans with the collector, and they were sent again.
    assert unique(bench.receiver.spans) == stats["meshspan_spans_exported"] == count
    assert books.unbalanced == []


KEPT = {"drop-newest": range(20), "drop-oldest": range(80, 100)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("overflow, kept", KEPT.items(), ids=KEPT.keys())
def test_a_full_queue_keeps_the_oldest_or_the_newest(
    overflow: str, kept: range, protocol: str, proxy: Proxies, folder: Path
) -> None:
    bench = Bench(proxy, folder, protocol, queue={"maxSpans": 20, "overflow": overflow})
    # So that no span is on its way when another needs its room.
    remove_cluster(bench)
    for number in range(100):
        assert bench.one.request("GET", f"/{number}").status == 200
    wait_for(lambda: bench.stats()["meshspan_spans_sampled"] == 100, what="all sampled")
    assert balanced(bench.one)["meshspan_queue_spans"] == 20
    add_cluster(bench)
    stats = settled(bench.one, 100, RECOVERY + SLACK)
    assert dropped(stats) == drops(queue_full=80)
    paths = [PROTOCOLS[protocol](span) for span in bench.receiver.spans]
    assert sorted(int(path.rsplit("/", 1)[1]) for path in paths) == list(kept)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("overflow", KEPT)
def test_a_tiny_queue_overflows_under_load_and_the_books_balance(
    overflow: str, protocol: str, proxy: Proxies, folder: Path
) -> None:
    queue = {"maxSpans": 30, "overflow": overflow}
    bench = Bench(proxy, folder, protocol, queue=queue, batch={"maxSpans": 5, "interval": "50ms"})
    bench.receiver.faults = Faults(status=503)
    with Books(bench.one) as books:
        send(bench.one, 1000)
        wait_for(lambda: bench.stats()["meshspan_spans_sampled"] == 1000, what="all sampled")
        assert bench.waiting() == 30
        bench.receiver.faults = Faults()
        stats = settled(bench.one, 1000, RECOVERY + SLACK)
    assert dropped(stats) == drops(queue_full=970)
    assert unique(bench.receiver.spans) == len(bench.receiver.spans) == 30
    assert books.unbalanced == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("most", [1, 3])
def test_after_an_outage_one_request_asks_and_then_come_no_more_than_configured(
    most: int, protocol: str, proxy: Proxies, folder: Path
) -> None:
    batch = {"maxSpans": 5, "interval": "50ms"}
    bench = Bench(proxy, folder, protocol, batch=batch, export={"maxInFlight": most})
    bench.receiver.faults = Faults(status=503)
    send(bench.one, 100)
    wait_for(lambda: bench.failures() >= most + 1, what="the first to ask has failed")
    bench.receiver.faults = Faults(delay=0.1)
    before = len(bench.receiver.requests)
    settled(bench.one, 100, RECOVERY + SLACK)
    first, *rest = [request for request in bench.receiver.requests[before:] if request.spans]
    assert (first.at_once, max(request.at_once for request in rest)) == (1, most)
    assert len(bench.receiver.spans) == 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_asks_for_time_is_left_alone(protocol: str, proxy: Proxies, folder: Path) -> None:
    bench = Bench(proxy, folder, protocol)
    bench.receiver.faults = Faults(status=429, retry_after="4", requests=1)
    send(bench.one, 1)
    asked = wait_for(lambda: bench.receiver.requests, what="a request")[0].at
    send(bench.one, 20)
    settled(bench.one, 21, 4 + RECOVERY + SLACK)
    second = bench.receiver.requests[1].at
    # The proxy's clock and ours are the same; it had the answer a little after it was given.
    assert second - asked >= 4


MIB = 1 << 20


DEAD = {
    "refuses, drop-newest": (None, "drop-newest"),
    "refuses, drop-oldest": (None, "drop-oldest"),
    "does not answer, drop-oldest": (Faults(delay=3600), "drop-oldest"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("faults, overflow", DEAD.values(), ids=DEAD.keys())
def test_128_mb_of_spans_cost_no_more_memory_than_the_queue_may_take(
    faults: Faults | None, overflow: str, protocol: str, proxy: Proxies
) -> None:
    span, batch, most = 8192, 64, 16 * MIB
    one = proxy(
        {
            "sampling": 100,
            "maxTagLength": 65_536,
            "customTags": {"padding": {"header": {"name": "x-padding"}}},
            "collector": {"protocol": protocol, "timeout": "500ms"},
            "queue": {"maxSpans": 1_000_000, "maxBytes": most, "overflow": overflow},
            "batch": {"maxSpans": batch},
        },
        change=configuration.answer_everything,
    )
    requests = [request_bytes(headers=[("x-padding", "x" * (span - 1000 + number))]) for number in range(50)]
    send(one, 2000)
    settled(one, 2000)
    before = one.envoy.resident()
    if faults is None:
        one.receiver.stop()
    else:
        one.receiver.faults = faults
    count = 128 * MIB // span
    result = run_load(one.port, count, connections=16, requests=requests)
    assert (result.statuses, result.failed) == ({200: count}, 0)
    wait_for(lambda: one.stats()["meshspan_spans_sampled"] == 2000 + count, what="all sampled")
    stats = balanced(one)
    assert most - 2 * span < stats["meshspan_queue_bytes"] <= most
    assert dropped(stats) == drops(queue_full=count - stats["meshspan_queue_spans"])
    # The bodies: one in the module, and in Envoy one of each request that is under way.
    bodies = (1 + 4) * batch * span
    assert one.envoy.resident() - before <= most + bodies + 4 * MIB
