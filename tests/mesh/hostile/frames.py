"""Frames of HTTP/2, put together and taken apart without a library's opinion of what may follow what.

<https://www.rfc-editor.org/rfc/rfc9113#section-6>
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import hpack

from ..requests import HeaderList

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
# What a frame may hold, of whoever says nothing else.
MOST = 16_384


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(encoder: hpack.Encoder, stream: int, fields: HeaderList, ends: bool = False) -> bytes:
    """A block of headers, in as many frames as it takes."""
    # Huffman coding of long values takes the library seconds.
    block = encoder.encode(fields, huffman=False)
    parts = [block[start : start + MOST] for start in range(0, len(block), MOST)] or [b""]
    flags = [END_HEADERS if part is parts[-1] else 0 for part in parts]
    first = frame(HEADERS, flags[0] | (END_STREAM if ends else 0), stream, parts[0])
    return first + b"".join(frame(CONTINUATION, flag, stream, part) for flag, part in zip(flags[1:], parts[1:]))


def data(stream: int, payload: bytes, ends: bool = False) -> bytes:
    """A body, in as many frames as it takes."""
    starts = range(0, max(len(payload), 1), MOST)
    return b"".join(
        frame(DATA, END_STREAM if ends and start + MOST >= len(payload) else 0, stream, payload[start : start + MOST])
        for start in starts
    )


def reset(stream: int, code: int) -> bytes:
    """The end of a stream."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def taken_apart(received: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of each whole frame."""
    place = 0
    while place + 9 <= len(received):
        end = place + 9 + int.from_bytes(received[place : place + 3], "big")
        if end > len(received):
            return
        stream = int.from_bytes(received[place + 5 : place + 9], "big")
        yield received[place + 3], received[place + 4], stream, received[place + 9 : end]
        place = end


def first_head(received: bytes) -> HeaderList | None:
    """The first block of headers, when all of it is there."""
    block = b""
    for kind, flags, _, payload in taken_apart(received):
        if kind in (HEADERS, CONTINUATION):
            block += payload
            if flags & END_HEADERS:
                return list(_decoder().decode(block, raw=True))
    return None


@dataclass
class Stream:
    """What came of one stream; nothing counts that comes after its end."""

    heads: list[HeaderList] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


def streams(received: bytes, opened: Iterable[int]) -> tuple[dict[int, Stream], int | None]:
    """What came on these streams, and the error that ended the connection, if one did."""
    found = {stream: Stream() for stream in opened}
    decoder, block = _decoder(), b""
    for kind, flags, number, payload in taken_apart(received):
        if kind == GOAWAY:
            return found, int.from_bytes(payload[4:8], "big")
        stream = found.get(number, Stream())
        if kind in (HEADERS, CONTINUATION):
            block += payload
            if flags & END_HEADERS:
                stream.heads.append(list(decoder.decode(block, raw=True)))
                block = b""
        if stream.ended or stream.reset is not None:
            continue
        if kind == DATA:
            stream.body += payload
        elif kind == RST_STREAM:
            stream.reset = int.from_bytes(payload, "big")
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.ended = True
    return found, None


def _decoder() -> hpack.Decoder:
    return hpack.Decoder(max_header_list_size=1 << 22)
