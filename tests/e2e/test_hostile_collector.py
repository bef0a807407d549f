"""Answers that no collector should give: nothing traps, the books balance, and the next good answer is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.books import Books, dropped, drops, imbalance, send, settled
from mesh.envoy import wait_for
from mesh.grpc_receiver import GrpcFaults
from mesh.load import run_load
from mesh.receiver import Faults
from mesh.requests import request_bytes
from mesh.single import SingleProxy

Proxies = Callable[..., SingleProxy]

MIB = 1 << 20


def answer(status: str = "200 OK", *headers: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    """An answer, as long as it says unless it says it itself."""
    lines = [f"{version} {status}", *headers]
    if not any(line.startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks: str) -> bytes:
    """An answer in chunks as they are given."""
    return answer("200 OK", "transfer-encoding: chunked", body="".join(chunks).encode())


ABSURD = "9" * 50_000
HTTP = {
    "5,000 headers": (answer("200 OK", *(f"x-{number}: y" for number in range(5_000))), "waits"),
    "a header of 60 KB": (answer("200 OK", "x-long: " + "y" * 60_000), "exported"),
    "a header of 200 KB": (answer("200 OK", "x-long: " + "y" * 200_000), "waits"),
    "a header that is not UTF-8": (answer("200 OK", "x-bytes: \xff\xfe"), "exported"),
    "no status": (answer("abc OK"), "waits"),
    "a status of 42": (answer("42 Low"), "rejected"),
    "a status of 999": (answer("999 High"), "rejected"),
    "interim answers": (answer("100 Continue") + answer("103 Hints", "link: x") + answer("202 Accepted"), "exported"),
    "nothing but an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", "waits"),
    "204": (answer("204 No Content"), "exported"),
    "205": (answer("205 Reset Content"), "exported"),
    "304": (answer("304 Not Modified"), "rejected"),
    "301 with a location": (answer("301 Moved", "location: http://127.0.0.1:1/elsewhere"), "rejected"),
    "101": (answer("101 Switching Protocols", "upgrade: websocket", "connection: upgrade"), "rejected"),
    "HTTP/1.0": (answer(version="HTTP/1.0"), "exported"),
    "HTTP/1.0 to the close": (b"HTTP/1.0 200 OK\r\n\r\nbody", "exported"),
    "HTTP/3.7": (answer(version="HTTP/3.7"), "exported"),
    "chunks": (chunked("3\r\nabc\r\n", "0\r\n\r\n"), "exported"),
    "trailers": (chunked("3\r\nabc\r\n", "0\r\ngrpc-status: 13\r\nretry-after: 5\r\n\r\n"), "exported"),
    "5,000 trailers": (chunked("0\r\n", *(f"x-{number}: y\r\n" for number in range(5_000)), "\r\n"), "exported"),
    "a chunk without a length": (chunked("zz\r\nabc\r\n0\r\n\r\n"), "waits"),
    "a chunk of 16 EB": (chunked("ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), "waits"),
    "chunks that end early": (chunked("fff\r\nabc"), "waits"),
    "two lengths": (answer("200 OK", "content-length: 1", "content-length: 2", body=b"ab"), "waits"),
    "a negative length": (answer("200 OK", "content-length: -1"), "waits"),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-le", "waits"),
    "two answers": (answer() + answer("400 Bad Request"), "exported"),
    "1 MiB that is no protobuf": (answer(body=b"\xff" * MIB), "exported"),
    "Retry-After of 50,000 digits": (answer("429 Busy", f"retry-after: {ABSURD}"), "waits"),
    "Retry-After twice": (answer("503 Busy", "retry-after: 0", "retry-after: 1"), "waits"),
    "Retry-After below zero": (answer("503 Busy", "retry-after: -1"), "waits"),
    "Retry-After long ago": (answer("503 Busy", "retry-after: Thu, 01 Jan 1970 00:00:00 GMT"), "waits"),
    "Retry-After that is no date": (answer("503 Busy", "retry-after: Thu, 99 Jan 9999 99:99:99 GMT"), "waits"),
    "Retry-After with an accepted batch": (answer("202 Accepted", f"retry-after: {ABSURD}"), "exported"),
}  # fmt: skip


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
    assert (one.stats()["meshspan_queue_spans"], imbalance(one.stats())) == (5, 0)
    one.receiver.faults = Faults()
    stats = settled(one, 10, 30)
    assert (stats["meshspan_spans_exported"], dropped(stats)) == (10, drops())
    assert "its answer broke off; they wait" in one.log()


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
