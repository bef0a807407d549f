"""Answers that no collector should give, as bytes, and what becomes of the spans that get them."""

from __future__ import annotations

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
