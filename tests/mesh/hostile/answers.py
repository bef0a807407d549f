"""What a client of HTTP/1.1 has received: the answers in it, and whether there are as many as it asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..requests import HeaderList

UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What is another each time.
_TIMES = (b"date", b"x-envoy-upstream-service-time")


@dataclass
class Received:
    """One answer; of one that is not whole, as much as came."""

    head: HeaderList
    body: bytes = b""
    trailers: bytes = b""
    whole: bool = False


def comparable(head: HeaderList) -> HeaderList:
    """Headers with a word for what is drawn anew each time, and without times."""
    return [(name, b"UUID" if UUID.fullmatch(value) else value) for name, value in head if name not in _TIMES]


def taken_apart(raw: bytes, bodies: tuple[bool, ...]) -> list[Received]:
    """The answers to requests, interim ones included; `bodies` says of each request whether its answer may have one."""
    found: list[Received] = []
    asked = list(bodies)
    while raw:
        head, end, rest = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        answer = Received(comparable(fields))
        found.append(answer)
        if not end:
            break
        status = re.match(rb"HTTP/1\.. (\d{3})", head)
        is_interim = status is not None and status[1].startswith(b"1") and status[1] != b"101"
        if is_interim:
            raw = rest
            continue
        has_body = (asked.pop(0) if asked else True) and status is not None and status[1] not in (b"204", b"304")
        raw = _body(answer, dict(fields), rest) if has_body else _nothing(answer, rest)
    return found


def are_whole(raw: bytes, bodies: tuple[bool, ...]) -> bool:
    """Whether each request has its whole answer."""
    whole = [answer for answer in taken_apart(raw, bodies) if answer.whole]
    return len(whole) >= len(bodies)


def _nothing(answer: Received, rest: bytes) -> bytes:
    answer.whole = True
    return rest


def _body(answer: Received, head: dict[bytes, bytes], rest: bytes) -> bytes:
    """Take the body off what follows the head; what is left."""
    if b"chunked" in head.get(b"transfer-encoding", b""):
        return _chunks(answer, rest)
    length = head.get(b"content-length")
    if length is None:
        # To the end of the connection.
        answer.body = rest
        return b""
    answer.body, rest = rest[: int(length)], rest[int(length) :]
    answer.whole = len(answer.body) == int(length)
    return rest


def _chunks(answer: Received, rest: bytes) -> bytes:
    # Envoy cuts chunks as what it reads comes in.
    while True:
        size, end, after = rest.partition(b"\r\n")
        if not end:
            return b""
        if (count := int(size, 16)) == 0:
            break
        answer.body += after[:count]
        rest = after[count + 2 :]
    answer.trailers, end, rest = (b"\r\n" + after).partition(b"\r\n\r\n")
    answer.whole = bool(end)
    return rest
