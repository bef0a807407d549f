"""An upstream that records exactly what it was sent and answers as the test says."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .background import BackgroundLoop
from .requests import HeaderList, Text, as_bytes


@dataclass(frozen=True)
class Answer:
    """What the upstream does with a request."""

    status: int = 200
    headers: tuple[tuple[Text, Text], ...] = ()
    body: bytes = b"ok"
    trailers: tuple[tuple[Text, Text], ...] = ()
    # Seconds before the response starts, and between its headers and its body.
    delay: float = 0.0
    body_delay: float = 0.0
    # Set to let the body follow its headers.
    release: threading.Event | None = None
    # "before": the connection is reset instead of an answer; "after": in its body.
    reset: str | None = None


async def hold(answer: Answer) -> None:
    """Wait for as long as the body is to come after the headers."""
    await asyncio.sleep(answer.body_delay)
    while answer.release and not answer.release.is_set():
        await asyncio.sleep(0.01)


@dataclass
class RecordedRequest:
    """One request as it arrived: names and values are bytes, order and repeats are kept."""

    method: bytes
    path: bytes
    headers: HeaderList
    body: bytes = b""
    trailers: HeaderList = field(default_factory=list)

    def values(self, name: Text) -> list[bytes]:
        """All values of a header."""
        wanted = as_bytes(name).lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def header(self, name: Text) -> bytes | None:
        """The value of a header that must not be repeated; None when it is absent."""
        values = self.values(name)
        if len(values) > 1:
            raise AssertionError(f"{name!r} came {len(values)} times: {values}")
        return values[0] if values else None


Answering = Answer | Callable[[RecordedRequest], Answer]


class Upstream:
    """An HTTP/1.1 server on a loopback port; `answer` can be changed at any time."""

    def __init__(self, loop: BackgroundLoop, answer: Answering = Answer()) -> None:
        self.answer: Answering = answer
        self._loop = loop
        self._requests: list[RecordedRequest] = []
        self._arrived = threading.Condition()
        self._server: asyncio.Server = loop.run(self._start())

    async def _start(self) -> asyncio.Server:
        # The limit is for heads longer than asyncio expects.
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, limit=1 << 20)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.sockets[0].getsockname()[1]

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far."""
        with self._arrived:
            return list(self._requests)

    @property
    def last(self) -> RecordedRequest:
        """The request that came last."""
        return self.requests[-1]

    def wait_for(self, count: int, timeout: float = 10.0) -> list[RecordedRequest]:
        """Wait until at least `count` requests have come, and return all."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests after {timeout:g} s")
            return list(self._requests)

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._arrived:
            self._requests.clear()

    def stop(self) -> None:
        """Close the port."""
        self._loop.loop.call_soon_threadsafe(self._server.close)

    def record(self, request: RecordedRequest) -> Answer:
        """Note a request and say what it gets."""
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
        return self.answer(request) if callable(self.answer) else self.answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the proxy closed the connection, or the test ends
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        answer = self.record(request)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.reset == "before":
            return _reset(writer)
        writer.write(_head(answer))
        if answer.body_delay or answer.release:
            await writer.drain()
            await hold(answer)
        if answer.reset == "after":
            writer.write(_body(answer)[: max(1, len(answer.body) // 2)])
            await writer.drain()
            # Time for the proxy to pass on that the response has started.
            await asyncio.sleep(0.1)
            return _reset(writer)
        if request.method != b"HEAD":
            writer.write(_body(answer))
        await writer.drain()
        return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close with a TCP reset; returns that the connection is done."""
    linger_not_at_all = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not_at_all)
    writer.transport.abort()
    return False


def _head(answer: Answer) -> bytes:
    lines = [b"HTTP/1.1 %d Status" % answer.status]
    lines += [as_bytes(name) + b": " + as_bytes(value) for name, value in answer.headers]
    if answer.trailers:
        lines.append(b"transfer-encoding: chunked")
    elif answer.status not in (204, 304):
        lines.append(b"content-length: %d" % len(answer.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _body(answer: Answer) -> bytes:
    if not answer.trailers:
        return answer.body
    chunk = b"%x\r\n%s\r\n" % (len(answer.body), answer.body) if answer.body else b""
    trailers = [as_bytes(name) + b": " + as_bytes(value) + b"\r\n" for name, value in answer.trailers]
    return chunk + b"0\r\n" + b"".join(trailers) + b"\r\n"


async def _read_request(reader: asyncio.StreamReader) -> RecordedRequest:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    method, path, _ = first.split(b" ", 2)
    request = RecordedRequest(method, path, _split(lines))
    if b"chunked" in b",".join(request.values("transfer-encoding")):
        await _read_chunks(reader, request)
    else:
        request.body = await reader.readexactly(int((request.values("content-length") or [b"0"])[0]))
    return request


async def _read_chunks(reader: asyncio.StreamReader, request: RecordedRequest) -> None:
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            break
        request.body += (await reader.readexactly(size + 2))[:-2]
    while True:
        line = await reader.readuntil(b"\r\n")
        if line == b"\r\n":
            return
        request.trailers += _split([line[:-2]])


def _split(lines: list[bytes]) -> HeaderList:
    parts = (line.partition(b":") for line in lines)
    return [(name, value.strip(b" \t")) for name, _, value in parts]
