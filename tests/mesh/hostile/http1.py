"""Exchanges over HTTP/1.1, drawn at random: well-formed, damaged, cut short, too early, or another protocol."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from ..requests import HeaderList
from . import frames
from .answers import are_whole
from .exchange import Exchange, Step
from .upstreams import NUMBER

# The ends of what is sent of a body, by which the other end knows that it is there.
ASKED, ANSWERED = b"<asked>", b"<answered>"

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# What the module reads, each well-formed.
VALUES: dict[bytes, bytes] = {
    b"traceparent": f"00-{TRACE}-{SPAN}-01".encode(),
    b"tracestate": b"rojo=00f067aa0ba902b7,ot=th:8,congo=t61rcWkgMzE",
    b"b3": f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90".encode(),
    b"x-b3-traceid": TRACE.encode(),
    b"x-b3-spanid": SPAN.encode(),
    b"x-b3-parentspanid": b"05e3ac9a4f6e3b90",
    b"x-b3-sampled": b"1",
    b"x-b3-flags": b"1",
    b"uber-trace-id": f"{TRACE}:{SPAN}:0:1".encode(),
    b"baggage": b"user=al%C3%A9,tier=gold",
    b"x-request-id": b"2f1b7c9e-5d3a-4b0f-9a63-8c1d2e4f6a70",
    b"x-client-trace-id": b"client-1",
    b"user-agent": b"curl/8.5.0",
    b"x-account-id": b"acc-42",
    b"x-envoy-downstream-service-cluster": b"gateway.demo",
    b"grpc-timeout": b"5S",
    b"content-type": b"application/grpc+proto",
}
METHODS = (b"GET", b"GET", b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE")
STATUSES = (200, 200, 200, 204, 206, 301, 304, 400, 404, 429, 500, 503, 599)
# What either listener of a sidecar has a route for, and where tunnels go.
HOST, TUNNEL = b"dockebi-storage.demo.svc.cluster.local:8080", b"a:443"
GRPC: HeaderList = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
GRPC_STATUSES = (b"0", b"14", b"-1", b"99999999999", b"", b"ok", b"\xff\xfe", b"4 ", b"7" * 3_000)


def _strange(dice: random.Random, value: bytes) -> bytes:
    """A value damaged, long, or of random bytes; no line ends in it."""
    kind = dice.randrange(6)
    if kind == 0:
        return bytes(dice.choices([*range(1, 10), 11, 12, *range(14, 256)], k=dice.randrange(60)))
    if kind == 1:
        return value * dice.choice((0, 2, 10, 200))
    changed = bytearray(value)
    for _ in range(dice.randint(1, 3)):
        changed[dice.randrange(len(changed))] = dice.choice(b'\x80\xff-:;=,% \t"\\0fz')
    return bytes(changed)


def drawn_fields(dice: random.Random, number: int) -> HeaderList:
    """Headers that the module reads, some of them strange, some repeated, now and then very many or very long."""
    fields = [(name, VALUES[name]) for name in dice.sample(sorted(VALUES), dice.randint(0, 8))]
    fields = [(name, value if dice.randrange(4) else _strange(dice, value)) for name, value in fields]
    if fields and not dice.randrange(5):
        fields += [dice.choice(fields)] * dice.choice((1, 1, 30))
    if not dice.randrange(40):
        fields.append((dice.choice(sorted(VALUES)), dice.choice((b"a=1,", b"\xff", b"0", b"-")) * 15_000))
    if not dice.randrange(40):
        fields += [(b"x-header-%d" % one, b"\x80\xff" * one) for one in range(100)]
    fields.insert(dice.randint(0, len(fields)), (NUMBER, b"%d" % number))
    return fields


def drawn_path(dice: random.Random) -> bytes:
    return dice.choice(
        (b"/", b"/reviews/1?key=value", b"//", b"/a/../b", b"/%00%ff", b"/" + b"x" * 5_000, b"/;a?b=c;d")
    )


def drawn_body(dice: random.Random, end: bytes) -> bytes:
    """Bytes that may be a gRPC message, or say that they are one of 4 GiB."""
    begin = dice.choice((b"", b"\0\0\0\0\x05hello", b"\0\xff\xff\xff\xff", b"\x01\0\0\0\x01", b"\xff" * 20_000))
    return begin + end


class _Sent(NamedTuple):
    """A message of HTTP/1.1: the head, and the body as its framing has it."""

    head: bytes
    body: bytes = b""
    # Whether the other end can tell that it is whole.
    whole: bool = True


def _lines(first: bytes, fields: HeaderList) -> bytes:
    return b"\r\n".join([first, *(name + b": " + value for name, value in fields)]) + b"\r\n\r\n"


def _chunked(dice: random.Random, body: bytes, trailers: HeaderList) -> bytes:
    """Chunks as the grammar allows them: odd sizes, extensions, leading zeros, trailers."""
    half = dice.randint(0, len(body) - 1)
    extension = dice.choice((b"", b"", b';a="b"', b";" + b"x" * 300))
    chunks = b""
    for part in (body[:half], body[half:]):
        if part:
            size = dice.choice((b"%x", b"%X", b"000%x")) % len(part)
            chunks += size + extension + b"\r\n" + part + b"\r\n"
    return chunks + b"0\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in trailers) + b"\r\n"


# Framings that contradict themselves or lead to nothing: headers, and what comes of the body.
BROKEN_FRAMINGS: tuple[tuple[HeaderList, bytes], ...] = (
    ([(b"transfer-encoding", b"chunked")], b"zz\r\nabc\r\n0\r\n\r\n"),
    ([(b"transfer-encoding", b"chunked")], b"ffffffffffffffff\r\nabc"),
    ([(b"transfer-encoding", b"chunked")], b"3\r\nabcdef\r\n0\r\n\r\n"),
    ([(b"transfer-encoding", b"chunked")], b"3\nabc\n0\n\n"),
    ([(b"transfer-encoding", b"chunked")], b"-3\r\nabc\r\n0\r\n\r\n"),
    ([(b"transfer-encoding", b"chunked"), (b"content-length", b"3")], b"3\r\nabc\r\n0\r\n\r\n"),
    ([(b"transfer-encoding", b"chunked, identity")], b"3\r\nabc\r\n0\r\n\r\n"),
    ([(b"transfer-encoding", b"xchunked")], b"3\r\nabc\r\n0\r\n\r\n"),
    ([(b"content-length", b"3"), (b"content-length", b"4")], b"abcd"),
    ([(b"content-length", b"3, 3")], b"abc"),
    ([(b"content-length", b"-1")], b"abc"),
    ([(b"content-length", b"3x")], b"abc"),
    ([(b"content-length", b"99999999999999999999999")], b"abc"),
)


def draw(dice: random.Random, number: int) -> Exchange:
    """An exchange of this number."""
    kinds: dict[Callable[[random.Random, int], Exchange], int] = {
        _whole: 8, _client_cut: 4, _upstream_cut: 4, _broken_request: 3, _broken_answer: 3, _pipelined: 1,
        _expects: 1, _upgrade: 2, _connect: 2, _without_answer: 1,
    }  # fmt: skip
    (kind,) = dice.choices(list(kinds), list(kinds.values()))
    return kind(dice, number)


def _request(dice: random.Random, number: int) -> tuple[_Sent, bool]:
    """A request that is whole, and whether its answer may have a body."""
    method = dice.choice(METHODS)
    fields = [(b"host", HOST), *drawn_fields(dice, number)]
    if not dice.randrange(5):
        method, fields = b"POST", [*fields, *GRPC]
    body = b""
    if method in (b"POST", b"PUT", b"PATCH"):
        body = drawn_body(dice, ASKED)
        if dice.randrange(2):
            trailers = [(b"x-trailer", b"\xff"), *([(b"traceparent", b"x")] * dice.randrange(3))]
            fields.append((b"transfer-encoding", dice.choice((b"chunked", b"Chunked"))))
            body = _chunked(dice, body, trailers if dice.randrange(2) else [])
        else:
            fields.append((b"content-length", b"%d" % len(body)))
    version = b"HTTP/1.1" if dice.randrange(6) else b"HTTP/1.0"
    if version == b"HTTP/1.0" and (b"transfer-encoding", b"chunked") in fields:
        version = b"HTTP/1.1"
    first = b" ".join((method, drawn_path(dice), version))
    return _Sent(_lines(first, fields), body), method != b"HEAD"


def _answer(dice: random.Random, shows: bool = True) -> _Sent:
    """An answer; `whole` is false where its end is that of the connection."""
    status = dice.choice(STATUSES) if shows else dice.choice((200, 404, 503))
    fields: HeaderList = []
    for _ in range(dice.choice((0, 0, 1, 4))):
        name = dice.choice((b"grpc-status", b"grpc-message", b"traceparent", b"server", b"x-b3-sampled", b"set-cookie"))
        fields.append((name, dice.choice((*GRPC_STATUSES, b"a%20b%", b"%ff%zz"))))
    if not dice.randrange(40):
        fields.append((b"x-long", b"y" * 50_000))
    if not dice.randrange(5):
        fields.append((b"content-type", b"application/grpc"))
    body, whole = drawn_body(dice, ANSWERED), True
    framing = dice.randrange(3)
    if status in (204, 304):
        body = b""
    elif framing == 0:
        fields.append((b"content-length", b"%d" % len(body)))
    elif framing == 1:
        trailers = [
            (b"grpc-status", dice.choice(GRPC_STATUSES)),
            (b"grpc-message", b"\xff%"),
            (b"x-trailer", b"y" * 900),
        ]
        body = _chunked(dice, body, trailers if dice.randrange(2) else [])
        fields.append((b"transfer-encoding", b"chunked"))
    else:
        whole = False
    interim = b"".join(
        dice.choices((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"), k=dice.randrange(3))
    )
    version = dice.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")) if framing != 1 else b"HTTP/1.1"
    head = _lines(version + b" %d Reason" % status, fields)
    return _Sent((interim if not dice.randrange(6) else b"") + head, body, whole)


def _sends(dice: random.Random, message: _Sent) -> list[Step]:
    """Bytes in one piece or in three."""
    raw = message.head + message.body
    if dice.randrange(3):
        return [Step("send", raw)]
    one, two = sorted(dice.randint(0, len(raw)) for _ in range(2))
    return [Step("send", part) for part in (raw[:one], raw[one:two], raw[two:]) if part]


def _answers(dice: random.Random, request: _Sent) -> list[Step]:
    """An answer that is whole: when the request is, or before."""
    answer = _answer(dice)
    before = [Step("here", ASKED)] if request.body and dice.randrange(4) else []
    return [*before, *_sends(dice, answer), *([] if answer.whole else [Step("close")])]


def _exchange(client: list[Step], upstream: list[Step], *bodies: bool) -> Exchange:
    return Exchange(tuple(client), tuple(upstream), lambda raw: are_whole(raw, bodies), bodies)


def _whole(dice: random.Random, number: int) -> Exchange:
    request, has_body = _request(dice, number)
    client = _sends(dice, request)
    if not dice.randrange(5):
        # Half of the connection ends; Envoy takes that for all of it.
        return _exchange([*client, Step("begun"), Step("end"), Step("gone")], [Step("gone")], has_body)
    return _exchange(client, _answers(dice, request), has_body)


def _leaves(dice: random.Random) -> Step:
    return Step(dice.choice(("reset", "close")))


def _client_cut(dice: random.Random, number: int) -> Exchange:
    """The client goes away: in its head, in its body, before the answer, in it."""
    request, has_body = _request(dice, number)
    stage = dice.randrange(4)
    if stage == 0:
        cut = [Step("send", request.head[: dice.randrange(len(request.head) - 1)])]
        return _exchange([*cut, _leaves(dice)], [Step("gone")])
    whole = [Step("send", request.head + request.body), Step("begun")]
    if stage == 1:
        cut = [Step("send", request.head + request.body[: dice.randint(0, len(request.body))])]
        return _exchange([*cut, Step("begun"), _leaves(dice)], [Step("gone")])
    if stage == 2:
        return _exchange([*whole, _leaves(dice)], [Step("gone")])
    answer = _Sent(_lines(b"HTTP/1.1 200 OK", [(b"content-length", b"1000")]), ANSWERED)
    shown = [Step("here", ANSWERED if has_body else b"HTTP/1.1 200")]
    return _exchange([*whole, *shown, _leaves(dice)], [Step("send", answer.head + answer.body), Step("gone")])


def _upstream_cut(dice: random.Random, number: int) -> Exchange:
    """The upstream goes away: before the answer, in its head, in its body."""
    request, has_body = _request(dice, number)
    upstream = [Step("here", ASKED)] if request.body and dice.randrange(2) else []
    stage = dice.randrange(3)
    if stage == 1:
        upstream.append(Step("send", b"HTTP/1.1 200 OK\r\nx-header: a\r\nconte"))
    elif stage == 2:
        fields, body = dice.choice((
            ([(b"content-length", b"1000")], b"ab" + ANSWERED),
            ([(b"transfer-encoding", b"chunked")], b"c\r\nab" + ANSWERED + b"\r\n"),
            ([(b"transfer-encoding", b"chunked")], b"c\r\nab" + ANSWERED + b"\r\n3\r\na"),
            ([(b"transfer-encoding", b"chunked")], b"c\r\nab" + ANSWERED + b"\r\n0\r\ngrpc-sta"),
        ))  # fmt: skip
        shown = ANSWERED if has_body else b"HTTP/1.1 200"
        upstream += [Step("send", _lines(b"HTTP/1.1 200 OK", fields) + body), Step("there", shown)]
    return _exchange(_sends(dice, request), [*upstream, _leaves(dice)], has_body)


def _broken_request(dice: random.Random, number: int) -> Exchange:
    """What Envoy itself refuses, or reads in its own way; it closes the connection after it."""
    first = dice.choice((
        b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"POST / HTTP/1.0", b"GET / HTTP/0.9", b"GET / HTTP/2.0",
        b"GET / HTTP/9.9", b"GET /", b"G\x00T / HTTP/1.1", b"BREW / HTTP/1.1",
        b"GET http://a@b:99999/ HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET * HTTP/1.1", b"GET  / HTTP/1.1",
        b"GET /#x HTTP/1.1", b"PRI * HTTP/2.0", b"\r\n\r\nGET / HTTP/1.1", b"CONNECT / HTTP/1.1",
    ))  # fmt: skip
    fields, body = dice.choice(BROKEN_FRAMINGS)
    own = [(b"connection", b"close"), *drawn_fields(dice, number)]
    host = dice.choice(([(b"host", HOST)], [(b"host", HOST)], [], [(b"host", b"")], [(b"host", b"a"), (b"host", b"b")]))
    broken = dice.choice(
        ([], [], [(b"x y", b"1")], [(b"", b"1")], [(b"x-nul", b"\0")], [(b"x\xff", b"1")], [(b"x-fold", b"1\r\n 2")])
    )
    raw = _lines(first, [*host, *own, *fields, *broken]) + body
    if not dice.randrange(4):
        raw = raw.replace(b"\r\n", b"\n")
    # What is not whole for Envoy gets no answer, and one that it lets through gets an early one.
    answer = _lines(b"HTTP/1.1 200 OK", [(b"content-length", b"10")]) + ANSWERED
    return _exchange([Step("send", raw)], [Step("send", answer)], True)


BROKEN_ANSWERS = (
    b"\0" * 100, b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n", b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 3_000 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", frames.PREFACE,
)  # fmt: skip


def _broken_answer(dice: random.Random, number: int) -> Exchange:
    request, has_body = _request(dice, number)
    if dice.randrange(2):
        raw = dice.choice(BROKEN_ANSWERS)
    else:
        raw = bytes(dice.choices([*range(256)], k=dice.randint(1, 300)))
    before = [Step("here", ASKED)] if request.body else []
    return _exchange(_sends(dice, request), [*before, Step("send", raw), Step("end"), Step("gone")], has_body)


def _pipelined(dice: random.Random, number: int) -> Exchange:
    """A request behind another before that is answered, whose head goes on nowhere."""
    first = _lines(b"GET / HTTP/1.1", [(b"host", HOST), *drawn_fields(dice, number)])
    second = dice.choice(
        (b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\nhost: a\r\nconnection: close\r\n\r\n")
    )
    answer = _lines(b"HTTP/1.1 200 OK", [(b"content-length", b"10")]) + ANSWERED
    return _exchange([Step("send", first + second), Step("gone")], [Step("send", answer)], True, True)


def _expects(dice: random.Random, number: int) -> Exchange:
    """A body that waits for leave to come, which Envoy gives, or that the upstream does not want."""
    fields = [(b"host", HOST), (b"expect", b"100-continue"), (b"content-length", b"7"), *drawn_fields(dice, number)]
    head = _lines(b"POST / HTTP/1.1", fields)
    answer = _sends(dice, _Sent(_lines(b"HTTP/1.1 417 No", [(b"content-length", b"10")]), ANSWERED))
    if dice.randrange(2):
        return _exchange([Step("send", head), Step("here", ANSWERED), Step("send", ASKED)], answer, True)
    client = [Step("send", head), Step("here", b"100 Continue"), Step("send", ASKED)]
    return _exchange(client, [Step("here", ASKED), *answer], True)


def _upgrade(dice: random.Random, number: int) -> Exchange:
    """Another protocol over the connection, if the upstream agrees; then bytes, and one end leaves."""
    protocol = dice.choice((b"websocket", b"websocket", b"WebSocket", b"x, websocket", b""))
    fields = [(b"host", HOST), (b"connection", b"Upgrade"), (b"upgrade", protocol), *drawn_fields(dice, number)]
    head = _lines(b"GET / HTTP/1.1", fields)
    return _tunnel(dice, head, _lines(b"HTTP/1.1 101 Switching", fields[1:3]))


def _connect(dice: random.Random, number: int) -> Exchange:
    """A tunnel, through the upstream or ended by Envoy."""
    fields = [(b"host", TUNNEL), *drawn_fields(dice, number)]
    if dice.randrange(2):
        return _tunnel(dice, _lines(b"CONNECT " + TUNNEL + b" HTTP/1.1", fields), b"HTTP/1.1 200 OK\r\n\r\n")
    # Then the upstream gets the bytes alone, and knows by them which exchange it is.
    head = _lines(b"CONNECT " + TUNNEL + b" HTTP/1.1", [*fields, (b"x-ends-here", b"1")])
    return _tunnel(dice, head + NUMBER + b": %d\r\n\r\n" % number, b"")


def _tunnel(dice: random.Random, head: bytes, agreed: bytes) -> Exchange:
    frame = b"\x81\x85\0\0\0\0" + ASKED
    client = [Step("send", head), Step("here", ANSWERED), Step("send", frame)]
    answers = Step("send", agreed + b"\x81\x0a" + ANSWERED)
    refuses = Step("send", _lines(b"HTTP/1.1 403 No", [(b"content-length", b"10")]) + ANSWERED)
    kind = dice.randrange(5)
    if kind == 0 and agreed:
        return _exchange(client[:2], [refuses], True)
    if kind == 1:
        return _exchange([*client, _leaves(dice)], [answers, Step("gone")], True)
    if kind == 2:
        return _exchange([client[0], Step("gone")], [_leaves(dice)], True)
    ends = _leaves(dice) if kind == 3 else Step("end")
    return _exchange([*client, Step("gone")], [answers, Step("here", ASKED), ends], True)


def _without_answer(dice: random.Random, number: int) -> Exchange:
    """Interim answers and nothing more, or bytes behind an answer that is whole."""
    request, has_body = _request(dice, number)
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * dice.choice((1, 50))
    if dice.randrange(2):
        return _exchange(_sends(dice, request), [Step("send", interim), Step("end"), Step("gone")], has_body)
    answer = _lines(b"HTTP/1.1 200 OK", [(b"content-length", b"10")]) + ANSWERED
    return _exchange(_sends(dice, request), [Step("send", answer * 2), Step("gone")], has_body)
