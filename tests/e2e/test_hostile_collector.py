"""Answers that no collector should give: nothing traps, the books balance, and the next good answer is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.books import Books, dropped, drops, balanced, send, settled
from mesh.envoy import wait_for
from mesh.grpc_receiver import GrpcFaults
from mesh.hostile_answers import HTTP, answer
from mesh.load import run_load
from mesh.receiver import Faults
from mesh.requests import request_bytes
from mesh.single import SingleProxy

Proxies = Callable[..., SingleProxy]

MIB = 1 << 20


@pytest.fixture(scope="module")
def shared(module_proxy: Proxies) -> Callable[[str], SingleProxy]:
    """The proxy of each protocol that the tables share; its counters go on."""
    made: dict[str, SingleProxy] = {}

    def get(protocol: str) -> SingleProxy:
        if protocol not in made:
            # Five spans are one request: a second would meet the close of the first one's connection.
            batch = {"maxSpans": 5, "interval": "5m"}
            collector = {"protocol": protocol, "timeout": "2s"}
            made[protocol] = module_proxy({"sampling": 100, "collector": collector, "batch": batch})
        return made[protocol]

    return get


def becomes_of_five(one: SingleProxy, faults: Faults) -> str:
    """What becomes of five spans that get this answer, once: "waits" are those that are then sent again."""
    before = one.stats()
    sampled = before.get("meshspan_spans_sampled", 0)
    one.receiver.clear()
    one.receiver.faults = replace(faults)
    with Books(one) as books:
        send(one, 5)

        def answered() -> bool:
            stats = one.stats()
            failed = stats["meshspan_export_failures"] > before.get("meshspan_export_failures", 0)
            return failed or stats["meshspan_spans_sampled"] - sampled == 5 and stats["meshspan_queue_spans"] == 0

        wait_for(answered, 20, "an answer")
        if one.stats()["meshspan_queue_spans"]:
            one.receiver.faults = Faults()
        after = settled(one, sampled + 5, 30)
    one.receiver.faults = Faults()
    assert books.unbalanced == []
    rejected = dropped(after)["rejected"] - before.get("meshspan_spans_dropped_rejected", 0)
    failed = after["meshspan_export_failures"] - before.get("meshspan_export_failures", 0)
    exported = after["meshspan_spans_exported"] - before.get("meshspan_spans_exported", 0)
    assert exported + rejected == 5
    assert not one.trapped()
    return "rejected" if rejected == 5 else "waits" if failed else "exported"


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
@pytest.mark.parametrize("raw, outcome", HTTP.values(), ids=HTTP.keys())
def test_an_answer_over_http_that_no_collector_should_give(
    raw: bytes, outcome: str, protocol: str, shared: Callable[[str], SingleProxy]
) -> None:
    assert becomes_of_five(shared(protocol), Faults(raw=raw)) == outcome


EARLY = {"200 OK": "exported", "400 Bad Request": "rejected", "503 Busy": "waits"}


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
@pytest.mark.parametrize("status, outcome", EARLY.items())
def test_an_answer_that_comes_before_the_body_is_read(status: str, outcome: str, protocol: str, proxy: Proxies) -> None:
    one = proxy(
        {
            "sampling": 100,
            "maxTagLength": 65_536,
            "customTags": {"padding": {"header": {"name": "x-padding"}}},
            "collector": {"protocol": protocol},
            # One request of more than what the sockets between take.
            "queue": {"maxBytes": 64 * MIB},
            "batch": {"maxSpans": 400, "interval": "5m"},
        }
    )
    one.receiver.faults = Faults(early=answer(status))
    with Books(one) as books:
        result = run_load(one.port, 400, connections=4, requests=[request_bytes(headers=[("x-padding", "x" * 50_000)])])
        assert (result.statuses, result.failed) == ({200: 400}, 0)
        if outcome == "waits":
            wait_for(lambda: one.stats()["meshspan_export_failures"], 20, "a failure")
            one.receiver.faults = Faults()
        stats = settled(one, 400, 30)
    assert dropped(stats) == drops(rejected=400 if outcome == "rejected" else 0)
    assert (stats["meshspan_export_failures"] > 0) == (outcome != "exported")
    assert len(one.receiver.spans) == (400 if outcome == "waits" else 0)
    assert books.unbalanced == []


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_of_an_answer_of_100_mib_envoy_takes_32(protocol: str, proxy: Proxies) -> None:
    one = proxy({"sampling": 100, "collector": {"protocol": protocol}, "batch": {"maxSpans": 5, "interval": "5m"}})
    send(one, 5)
    settled(one, 5)
    before = one.envoy.resident()
    one.receiver.faults = Faults(raw=answer(body=b"x" * 100 * MIB))
    send(one, 5)
    wait_for(lambda: one.stats()["meshspan_export_failures"] >= 3, 30, "three failures")
    assert one.envoy.resident() - before <= (32 + 8) * MIB
    assert balanced(one)["meshspan_queue_spans"] == 5
    one.receiver.faults = Faults()
    stats = settled(one, 10, 30)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (10, drops())
    assert "its answer broke off; they wait" in one.log()


def test_an_answer_of_which_only_the_beginning_is_read_is_counted(proxy: Proxies) -> None:
    one = proxy({"sampling": 100})

    def count() -> int:
        return one.stats().get("meshspan_answers_cut", 0)

    for number, (length, expected) in enumerate(((65_536, 0), (65_537, 1), (1 << 20, 2)), 1):
        one.receiver.faults = Faults(raw=answer(body=b"x" * length))
        send(one, 1)
        settled(one, number)
        wait_for(lambda least=expected: count() >= least, 20, f"an answer of {length} bytes that is counted")
        assert count() == expected


def trailers(*pairs: tuple[str, str], status: int | str = 14, headers_only: bool = False) -> GrpcFaults:
    """An answer with these beside its status."""
    return GrpcFaults(grpc_status=status, trailers=pairs, trailers_only=headers_only)


GRPC = {
    "a status of letters": (trailers(status="UNAVAILABLE"), "rejected"),
    "an empty status": (trailers(status=""), "rejected"),
    "a status in spaces": (trailers(status=" 14 "), "waits"),
    "a status below zero": (trailers(status="-1"), "rejected"),
    "a status of 4 GiB": (trailers(status="4294967296"), "rejected"),
    "a status that wraps round to 0": (trailers(status="4294967310"), "rejected"),
    "a status of 30,000 digits": (trailers(status="9" * 30_000), "rejected"),
    # Envoy makes one of them, "14,0", which is no status.
    "two statuses": (trailers(("grpc-status", "0"), status=14), "rejected"),
    "two statuses the other way round": (trailers(("grpc-status", "14"), status=0), "rejected"),
    "5,000 trailers": (trailers(*((f"x-{number}", "y") for number in range(5_000))), "waits"),
    "a message of 40 KB": (trailers(("grpc-message", "%00" * 13_000)), "waits"),
    "a message that is not UTF-8": (trailers(("grpc-message", "%ff%fe%zz%")), "waits"),
    "details of 40 KB": (trailers(("grpc-status-details-bin", "A" * 40_000), status=8), "rejected"),
    "details that are no base64": (trailers(("grpc-status-details-bin", "%%%"), status=8), "rejected"),
    "details twice": (trailers(("grpc-status-details-bin", "CAg"), ("grpc-status-details-bin", "CAg")), "waits"),
    "10 MiB that is no message": (GrpcFaults(body=b"\xff" * 10 * MIB), "exported"),
    "204": (Faults(raw=answer("204 No Content")), "waits"),
    "301": (Faults(status=301), "rejected"),
}  # fmt: skip


@pytest.mark.parametrize("faults, outcome", GRPC.values(), ids=GRPC.keys())
def test_an_answer_over_grpc_that_no_collector_should_give(
    faults: Faults, outcome: str, shared: Callable[[str], SingleProxy]
) -> None:
    assert becomes_of_five(shared("grpc"), faults) == outcome
