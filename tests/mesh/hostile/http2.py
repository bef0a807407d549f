"""Exchanges over HTTP/2: streams that end wherever they can, gRPC that is none, and frames that may not be."""

from __future__ import annotations

import random
from collections.abc import Callable

import hpack

from ..requests import HeaderList
from . import frames
from .http1 import (
    ANSWERED,
    ASKED,
    GRPC,
    GRPC_STATUSES,
    HOST,
    METHODS,
    STATUSES,
    TUNNEL,
    drawn_body,
    drawn_fields,
    drawn_path,
)
from .exchange import Exchange, Step
from .frames import PREFACE, SETTINGS, frame

STREAM = 1
# Of RFC 9113, section 7, and one that is none of them.
CODES = (0, 1, 2, 7, 8, 11, 13, 1 << 31)


def draw(dice: random.Random, number: int) -> Exchange:
    """An exchange of this number."""
    kinds: dict[Callable[[random.Random, int], Exchange], int] = {
        _whole: 8, _client_cut: 4, _upstream_cut: 4, _broken_request: 3, _broken_answer: 3, _tunnel: 2,
    }  # fmt: skip
    (kind,) = dice.choices(list(kinds), list(kinds.values()))
    return kind(dice, number)


def is_answered(received: bytes) -> bool:
    """Whether the client's stream has ended, or its connection."""
    found, error = frames.streams(received, [STREAM])
    return found[STREAM].ended or found[STREAM].reset is not None or error is not None


def _exchange(client: list[Step], upstream: list[Step]) -> Exchange:
    hello = [Step("send", PREFACE + frame(SETTINGS, 0, 0))]
    return Exchange((*hello, *client), (Step("send", frame(SETTINGS, 0, 0)), *upstream), is_answered)


def _head(dice: random.Random, number: int, method: bytes) -> HeaderList:
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", HOST), (b":path", drawn_path(dice))]
    return [*pseudo, *drawn_fields(dice, number)]


def _request(dice: random.Random, number: int) -> list[bytes]:
    """The frames of a request that is whole: its head, its body, its trailers."""
    encoder = hpack.Encoder()
    method = dice.choice(METHODS)
    head = _head(dice, number, method)
    if not dice.randrange(3):
        method, head = b"POST", [(b":method", b"POST"), *head[1:], *GRPC]
    if method not in (b"POST", b"PUT", b"PATCH"):
        return [frames.headers(encoder, STREAM, head, ends=True)]
    has_trailers = not dice.randrange(3)
    parts = [frames.headers(encoder, STREAM, head), frames.data(STREAM, drawn_body(dice, ASKED), ends=not has_trailers)]
    if has_trailers:
        parts.append(frames.headers(encoder, STREAM, [(b"x-trailer", b"\xff"), (b"traceparent", b"x")], ends=True))
    return parts


def _asked(parts: list[bytes]) -> list[Step]:
    return [Step("here", ASKED)] if len(parts) > 1 else []


def _answer(dice: random.Random) -> list[bytes]:
    """The frames of an answer: interim ones, its head, its body, its trailers."""
    encoder = hpack.Encoder()
    interim = [(b":status", dice.choice((b"100", b"103")))]
    parts = [frames.headers(encoder, STREAM, interim)] * (dice.randrange(3) if not dice.randrange(6) else 0)
    head = [(b":status", b"%d" % dice.choice(STATUSES))]
    for _ in range(dice.choice((0, 0, 1, 4))):
        name = dice.choice((b"grpc-status", b"grpc-message", b"traceparent", b"server", b"x-b3-sampled"))
        head.append((name, dice.choice((*GRPC_STATUSES, b"a%20b%", b"%ff%zz"))))
    if not dice.randrange(3):
        head.append((b"content-type", b"application/grpc"))
    if not dice.randrange(8):
        head.append((b"content-length", dice.choice((b"0", b"10", b"99999"))))
    shape = dice.randrange(3)
    parts.append(frames.headers(encoder, STREAM, head, ends=shape == 0))
    if shape:
        parts.append(frames.data(STREAM, drawn_body(dice, ANSWERED), ends=shape == 1))
    if shape == 2:
        trailers = [(b"grpc-status", dice.choice(GRPC_STATUSES)), (b"grpc-message", b"\xff%")]
        parts.append(frames.headers(encoder, STREAM, trailers, ends=True))
    return parts


def _whole(dice: random.Random, number: int) -> Exchange:
    request = _request(dice, number)
    before = _asked(request) if dice.randrange(4) else []
    answer = (
        [Step("send", b"".join(_answer(dice)))] if dice.randrange(2) else [Step("send", part) for part in _answer(dice)]
    )
    return _exchange([Step("send", part) for part in request], [*before, *answer])


def _leaves(dice: random.Random) -> list[Step]:
    """The stream ends, the connection does, or both say so before."""
    code = dice.choice(CODES)
    ends = [Step("send", frames.reset(STREAM, code))]
    if not dice.randrange(3):
        ends = [Step("send", frame(frames.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big") + b"debug\xff"))]
    return [*(ends if dice.randrange(4) else []), Step(dice.choice(("reset", "close")))]


def _client_cut(dice: random.Random, number: int) -> Exchange:
    request = _request(dice, number)
    stage = dice.randrange(4)
    if stage == 0:
        part = request[0][: dice.randrange(len(request[0]))]
        return _exchange([Step("send", part), *_leaves(dice)], [Step("gone")])
    if stage == 1:
        return _exchange([Step("send", request[0]), Step("begun"), *_leaves(dice)], [Step("gone")])
    whole = [Step("send", b"".join(request)), Step("begun")]
    if stage == 2:
        return _exchange([*whole, *_leaves(dice)], [Step("gone")])
    head = frames.headers(hpack.Encoder(), STREAM, [(b":status", b"200")])
    upstream = [Step("send", head + frames.data(STREAM, ANSWERED)), Step("gone")]
    # What answers HEAD has no body, and Envoy ends it with its head.
    seen = [Step("here", ANSWERED)] if b"HEAD" not in request[0] else []
    return _exchange([*whole, *seen, *_leaves(dice)], upstream)


def _upstream_cut(dice: random.Random, number: int) -> Exchange:
    request = _request(dice, number)
    upstream = _asked(request) if dice.randrange(2) else []
    head = frames.headers(hpack.Encoder(), STREAM, [(b":status", b"200"), (b"grpc-status", b"0")])
    if dice.randrange(2) and b"HEAD" not in request[0]:
        upstream += [Step("send", head + frames.data(STREAM, b"ab" + ANSWERED)), Step("there", ANSWERED)]
    code = dice.choice(CODES)
    kind = dice.randrange(3)
    if kind == 0:
        ends = [Step("send", frames.reset(STREAM, code)), Step("gone")]
    elif kind == 1:
        # The stream is above the last that was looked at.
        ends = [Step("send", frame(frames.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big"))), Step("end"), Step("gone")]
    else:
        ends = [Step(dice.choice(("reset", "close")))]
    return _exchange([Step("send", b"".join(request))], [*upstream, *ends])


# Frames that may not be, in any place.
BROKEN: tuple[bytes, ...] = (
    frame(frames.DATA, 0, 0, b"x"), frame(frames.HEADERS, 4, 2, b"\x82"), frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)),
    frame(frames.CONTINUATION, 4, STREAM, b"x"), frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
    frame(SETTINGS, 0, 0, b"\0"),
    frame(frames.PRIORITY, 0, STREAM, STREAM.to_bytes(4, "big") + b"\0"), frame(99, 255, STREAM, b"unknown"),
    frame(frames.HEADERS, 4, STREAM, b"\xff\xff\xff\xff\xff"),
    frame(frames.HEADERS, 4, STREAM, b"\x00\xff\xff\xff\x7fa"),
    frame(frames.DATA, 8, STREAM, b"\xff"), frame(frames.PUSH_PROMISE, 4, STREAM, (4).to_bytes(4, "big") + b"\x82"),
    frame(frames.PING, 0, 0, b"short"), b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", b"GET / HTTP/1.1\r\n\r\n",
    frame(frames.RST_STREAM, 0, 99, bytes(4)), frame(frames.WINDOW_UPDATE, 0, STREAM, b"\x7f\xff\xff\xff") * 2,
)  # fmt: skip


def _broken_request(dice: random.Random, number: int) -> Exchange:
    head = _head(dice, number, b"GET")
    answer = [Step("send", frames.headers(hpack.Encoder(), STREAM, [(b":status", b"200")], ends=True))]
    if dice.randrange(2):
        # Envoy refuses most of these, and they go before what it could let through.
        raw = dice.choice(BROKEN) + frames.headers(hpack.Encoder(), STREAM, head, ends=True)
        return _exchange([Step("send", raw)], answer)
    place = dice.randrange(4)
    emptied = [(name, b"" if one == place else value) for one, (name, value) in enumerate(head)]
    broken: list[HeaderList] = [
        head[:place] + head[place + 1 :], [*head, head[0]], [*head[4:], *head[:4]], [*head, (b":strange", b"1")],
        [*head, (b"X-Upper", b"1")], [*head, (b"connection", b"close")], [*head, (b"te", b"gzip")],
        [*head, (b"", b"1")],
        [*head, (b"x-nul", b"a\0b")], [*head, (b"x-line", b"a\nb")], [*head, (b"content-length", b"7")],
        [*head, (b"transfer-encoding", b"chunked")], emptied,
        [*head, (b"x\xff", b"1")], [*head, (b"host", b"other")], [*head, (b"cookie", b"a=1"), (b"cookie", b"b=2")],
    ]  # fmt: skip
    request = frames.headers(hpack.Encoder(), STREAM, dice.choice(broken), ends=True)
    return _exchange([Step("send", request)], answer)


def _broken_answer(dice: random.Random, number: int) -> Exchange:
    request = _request(dice, number)
    ok = (b":status", b"200")
    heads: list[HeaderList] = [
        [], [(b":status", b"abc")], [(b":status", b"99")], [(b":status", b"9999")], [ok, ok], [(b"x", b"1"), ok],
        [ok, (b":path", b"/")],
        [ok, (b"X-Upper", b"1")], [ok, (b"connection", b"close")], [ok, (b"", b"1")], [ok, (b"x", b"\0")],
        [ok, *([(b"x", b"y")] * 3_000)], [ok, (b"x", b"y" * 200_000)],
    ]  # fmt: skip
    broken = (
        frames.headers(hpack.Encoder(), STREAM, dice.choice(heads), ends=True)
        if dice.randrange(2)
        else dice.choice(BROKEN)
    )
    return _exchange(
        [Step("send", b"".join(request))], [*_asked(request), Step("send", broken), Step("end"), Step("gone")]
    )


def _tunnel(dice: random.Random, number: int) -> Exchange:
    """CONNECT, and WebSocket by extended CONNECT (RFC 8441)."""
    head = [(b":method", b"CONNECT"), (b":authority", TUNNEL), *drawn_fields(dice, number)]
    if dice.randrange(2):
        protocol = dice.choice((b"websocket", b"websocket", b"h2c", b""))
        more = [(b":protocol", protocol), (b":scheme", b"http"), (b":path", b"/")]
        head = [head[0], *more, (b":authority", HOST), *head[2:]]
    encoder = hpack.Encoder()
    client = [Step("send", frames.headers(encoder, STREAM, head)), Step("here", ANSWERED)]
    client.append(Step("send", frames.data(STREAM, b"\x81\x85\0\0\0\0" + ASKED)))
    agrees = frames.headers(hpack.Encoder(), STREAM, [(b":status", b"200")]) + frames.data(STREAM, ANSWERED)
    kind = dice.randrange(4)
    if kind == 0:
        return _exchange([*client, *_leaves(dice)], [Step("send", agrees), Step("gone")])
    if kind == 1:
        return _exchange(client[:1], [Step("send", frames.reset(STREAM, dice.choice(CODES))), Step("gone")])
    ends = frames.data(STREAM, b"bye", ends=True) if kind == 2 else frames.reset(STREAM, dice.choice(CODES))
    return _exchange(client, [Step("send", agrees), Step("here", ASKED), Step("send", ends), Step("gone")])
