"""Whatever bytes a request carries, it gets the answer that it gets without the module."""

from __future__ import annotations

import random
from typing import Callable, Iterator

import pytest

from mesh.requests import HeaderList, request_bytes
from mesh.single import SingleProxy
from mesh.twins import Twins
from mesh.upstream import Answer

SEED = 4_736
CONFIG = {"sampling": 100, "customTags": {"account": {"header": {"name": "x-account-id"}}}}

# Everything of a request that the module looks at, with a value that is well-formed.
VISIBLE: dict[bytes, bytes] = {
    b":method": b"GET",
    b":path": b"/reviews/1?key=value&other",
    b"host": b"dockebi.demo.svc.cluster.local:8080",
    b"x-request-id": b"2f1b7c9e-5d3a-4b0f-9a63-8c1d2e4f6a70",
    b"x-client-trace-id": b"client-1",
    b"user-agent": b"curl/8.5.0",
    b"content-type": b"application/grpc+proto",
    b"grpc-timeout": b"5S",
    b"x-envoy-downstream-service-cluster": b"gateway.demo",
    b"x-account-id": b"acc-42",
    b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"tracestate": b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    b"b3": b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90",
    b"x-b3-traceid": b"4bf92f3577b34da6a3ce929d0e0e4736",
    b"x-b3-spanid": b"00f067aa0ba902b7",
    b"x-b3-parentspanid": b"05e3ac9a4f6e3b90",
    b"x-b3-sampled": b"1",
    b"x-b3-flags": b"1",
    b"uber-trace-id": b"4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1",
    b"baggage": b"user=al%C3%A9,tier=gold",
}
BYTES = [bytes([value]) for value in range(256)]


@pytest.fixture(scope="module")
def shared(module_proxy: Callable[..., SingleProxy]) -> Twins:
    return Twins(module_proxy, CONFIG)


@pytest.fixture
def twins(shared: Twins) -> Iterator[Twins]:
    """Both Envoys; at the end every request that was sampled has its span, and no other."""
    shared.clear()
    yield shared
    shared.check_spans()


def http1(changed: dict[bytes, bytes], more: HeaderList = []) -> bytes:
    """A request with every visible header, some of them changed, and more headers."""
    values = {**VISIBLE, **changed}
    method, path = values.pop(b":method"), values.pop(b":path")
    return request_bytes(method, path, [*values.items(), *more])


def http2(changed: dict[bytes, bytes], more: HeaderList = []) -> HeaderList:
    """The same in the words of HTTP/2."""
    values = {**VISIBLE, **changed}
    pseudo = [(b":method", values.pop(b":method")), (b":path", values.pop(b":path"))]
    pseudo += [(b":scheme", b"http"), (b":authority", values.pop(b"host"))]
    return [*pseudo, *values.items(), *more]


def within(name: bytes, byte: bytes) -> bytes:
    """The well-formed value with a byte in its middle."""
    middle = (len(VISIBLE[name]) + 1) // 2
    return VISIBLE[name][:middle] + byte + VISIBLE[name][middle:]


def alone(name: bytes, value: bytes) -> bytes:
    """Nothing but this value; a path begins with a slash all the same, or no route takes it."""
    return b"/" + value if name == b":path" else value


@pytest.mark.parametrize("name", VISIBLE, ids=bytes.decode)
def test_every_byte_in_every_header_that_is_looked_at(twins: Twins, name: bytes) -> None:
    outcomes = []
    for byte in BYTES:
        for value in (within(name, byte), alone(name, byte)):
            outcomes.append(twins.compare(http1({name: value}), (name, value)))
    # Envoy itself refuses some, and every method that it does not know; that many came through
    # shows that something was tested.
    if name != b":method":
        assert sum(outcome[0] == 200 for outcome in outcomes) > 100


@pytest.mark.parametrize("name", VISIBLE, ids=bytes.decode)
def test_every_byte_over_http2(twins: Twins, name: bytes) -> None:
    outcomes = [
        twins.compare_http2(http2({name: within(name, byte)}), (name, within(name, byte))) for byte in BYTES
    ]
    assert sum(outcome[0] == 200 for outcome in outcomes) > 60


@pytest.mark.parametrize("name", VISIBLE, ids=bytes.decode)
def test_empty_and_very_long_values(twins: Twins, name: bytes) -> None:
    values = [b"", b" ", b"a" * 60_000, b"\xff" * 60_000, "é".encode() * 30_000, b"0" * 60_000]
    values += [b"a=1," * 15_000, b"-" * 60_000, b"%3A" * 20_000, b":" * 60_000, VISIBLE[name] * 500]
    for value in values:
        changed = {name: alone(name, value)}
        twins.compare(http1(changed), (name, value[:10], len(value)))
        twins.compare_http2(http2(changed), (name, value[:10], len(value)))


@pytest.mark.parametrize("name", list(VISIBLE)[3:], ids=bytes.decode)
def test_repeated_headers(twins: Twins, name: bytes) -> None:
    for count in (1, 100):
        for more in (
            [(name, VISIBLE[name])] * count,
            [(name, b"%d" % number) for number in range(count)],
            [(name, b"\xff" * number) for number in range(count)],
        ):
            for outcome in (
                twins.compare(http1({}, more), (name, more)),
                twins.compare_http2(http2({}, more), (name, more)),
            ):
                assert outcome[0] == 200


def test_a_hundred_headers_more(twins: Twins) -> None:
    more = [(b"x-header-%d" % number, b"\x80\xff" * number) for number in range(100)]
    assert twins.compare(http1({}, more), "100 headers")[0] == 200
    assert twins.compare_http2(http2({}, more), "100 headers")[0] == 200


NAMES = [
    *(b"x-" + byte + b"y" for byte in BYTES),
    *(b"traceparent" + byte for byte in BYTES),
    *BYTES,
    b"", b"x" * 60_000, "x-é".encode(), b"x-\xc3\x28", b"x_y", b"!#$%&'*+-.^_`|~", b":strange", b":path", b":status",
    b"TRACEPARENT", b"X-B3-TraceId", b"connection", b"te", b"host", b"transfer-encoding", b"upgrade",
]  # fmt: skip


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_strange_header_names(twins: Twins, protocol: str) -> None:
    for name in NAMES:
        if protocol == "http1":
            twins.compare(http1({}, [(name, b"1")]), name[:30])
        else:
            twins.compare_http2(http2({}, [(name, b"1")]), name[:30])


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_random_bytes(twins: Twins, protocol: str) -> None:
    generator = random.Random(SEED)
    admitted = [byte for byte in BYTES if byte not in (b"\r", b"\n", b"\0")]
    for number in range(400):
        changed = {}
        for name in generator.sample(list(VISIBLE), generator.randint(1, 6)):
            # Envoy refuses most of what is not printable there, which would test nothing else.
            exacting = name in (b":method", b":path", b"host")
            changed[name] = alone(name, _printable(generator) if exacting else _strange(generator, name, admitted))
        about = ("seed", SEED, "number", number, changed)
        if protocol == "http1":
            twins.compare(http1(changed), about)
        else:
            twins.compare_http2(http2(changed), about)


def _printable(generator: random.Random) -> bytes:
    return bytes(generator.choices(b"abcXYZ019-._~%/", k=generator.randint(1, 40)))


def _strange(generator: random.Random, name: bytes, admitted: list[bytes]) -> bytes:
    """Random bytes, or the characters of the formats at random, or a well-formed value damaged."""
    kind = generator.randrange(3)
    if kind == 0:
        return b"".join(generator.choices(admitted, k=generator.randint(0, 80)))
    if kind == 1:
        return bytes(generator.choices(b"0123456789abcdefd-:=,% ", k=generator.randint(0, 80)))
    value = bytearray(VISIBLE[name])
    for _ in range(generator.randint(1, 3)):
        value[generator.randrange(len(value))] = generator.choice(admitted)[0]
    return bytes(value)


@pytest.mark.parametrize("name", [b"grpc-status", b"grpc-message", b"server", b"x-b3-sampled"], ids=bytes.decode)
def test_every_byte_in_an_answer(twins: Twins, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for byte in BYTES:
        answer = Answer(headers=((b"content-type", b"application/grpc"), (name, b"1" + byte + b"2")))
        for proxy in (twins.traced, twins.plain):
            monkeypatch.setattr(proxy.upstream, "answer", answer)
        twins.compare(http1({}), (name, byte))
