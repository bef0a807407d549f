"""A server that gives every request the same answer at once and keeps connections open.

The upstream and the collector of the benchmark: `Upstream` and `Receiver` look into what
they get, and may answer in two pieces, which would show in what the proxy executes.
"""

from __future__ import annotations

import asyncio
import re

from .background import BackgroundLoop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Sink:
    """It listens on a loopback port; `requests` is how many have come, `first` the first one's head."""

    def __init__(self, loop: BackgroundLoop, status: int, body: bytes = b"") -> None:
        head = f"HTTP/1.1 {status} Status\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
        self.answer = head.encode("ascii") + body
        self.requests = 0
        self.first = b""
        self._loop = loop
        self._server: asyncio.AbstractServer = loop.run(self._start())

    async def _start(self) -> asyncio.AbstractServer:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=64)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the port."""
        self._loop.loop.call_soon_threadsafe(self._server.close)


class _Connection(asyncio.Protocol):
    """Requests with a content-length or without a body, one after the other."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            length = _LENGTH.search(self._received, 0, end)
            whole = end + (int(length.group(1)) if length else 0)
            if len(self._received) < whole:
                return
            self._sink.first = self._sink.first or self._received[:end]
            self._received = self._received[whole:]
            self._sink.requests += 1
            assert self._transport is not None
            self._transport.write(self._sink.answer)
