"""One request and its answer as both ends play them: bytes, waits, and how each leaves.

Nothing here goes by time: an end waits for what the other has seen.  Only an exchange in which nothing happens any
more is given up, after seconds.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..requests import HeaderList

# How long nothing may happen, in seconds.
QUIET = 10.0

_BETWEEN_CHUNKS = re.compile(rb"\r\n[0-9a-f]+\r\n")


class Step(NamedTuple):
    """What an end does next: `send`, `reset`, `close` and `end` its half, or wait.

    `begun` waits until the upstream has the request's head, `here` until this end has received the data,
    `there` until the other end has, and `gone` until Envoy has closed.  Every wait ends when
    Envoy has closed, and that of a client when it has its whole answer, but for `gone`.
    """

    do: str
    data: bytes = b""


@dataclass(frozen=True)
class Exchange:
    """What both ends do, and when the client has all that it will get.

    Over HTTP/1.1 `bodies` says of each request whether its answer may have a body.
    """

    client: tuple[Step, ...]
    upstream: tuple[Step, ...]
    is_answered: Callable[[bytes], bool] = field(repr=False)
    bodies: tuple[bool, ...] = ()

    @property
    def leaves(self) -> bool:
        """Whether the client does not wait for an answer."""
        return any(step.do in ("reset", "close") for step in self.client)


@dataclass
class End:
    """What one end has received, and whether Envoy has closed."""

    received: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def has(self, data: bytes) -> bool:
        """Whether these bytes have come, in one chunk or in two."""
        return data in self.received or data in _BETWEEN_CHUNKS.sub(b"", self.received)


class Play:
    """An exchange with one Envoy."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.client, self.upstream = End(), End()
        # The head that arrived upstream; None where none did.
        self.arrived: HeaderList | None = None
        # Whether nothing happened any more.
        self.is_stuck = False
        self._changed = asyncio.Event()

    def note(self) -> None:
        """Something has happened."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        while not condition():
            await asyncio.wait_for(self._changed.wait(), QUIET)

    async def run(self, port: int) -> None:
        """Play the client's part."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.ensure_future(self.read(reader, self.client))
        try:
            await self.play(self.exchange.client, writer, self.client, self.upstream)
            if not self.exchange.leaves:
                await self.until(lambda: self._has_ended(self.client))
        except asyncio.TimeoutError:
            self.is_stuck = True
        finally:
            writer.transport.abort()
            await reading

    def _has_ended(self, end: End) -> bool:
        """Whether an end need not wait for more: Envoy has closed, or the client has its whole answer."""
        return end.closed or (end is self.client and self.exchange.is_answered(bytes(end.received)))

    async def read(self, reader: asyncio.StreamReader, end: End) -> None:
        """Note what an end receives."""
        try:
            while data := await reader.read(65536):
                end.received += data
                self.note()
        except OSError:
            pass
        end.closed = True
        self.note()

    async def play(self, steps: tuple[Step, ...], writer: asyncio.StreamWriter, own: End, other: End) -> None:
        """Take the steps of one end."""
        for do, data in steps:
            if do == "send":
                await _send(writer, data)
            elif do == "reset":
                reset(writer)
            elif do == "close":
                writer.close()
            elif do == "end":
                _end(writer)
            elif do == "begun":
                await self.until(lambda: self._has_ended(own) or self.arrived is not None)
            elif do == "here":
                await self.until(lambda: self._has_ended(own) or own.has(data))
            elif do == "there":
                await self.until(lambda: own.closed or other.closed or other.has(data))
            else:
                assert do == "gone", do
                await self.until(lambda: own.closed)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        writer.write(data)
        await writer.drain()
    except OSError:
        pass  # Envoy has closed, which the reader notes


def _end(writer: asyncio.StreamWriter) -> None:
    try:
        if not writer.transport.is_closing():
            writer.write_eof()
    except OSError:
        pass  # likewise


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset, unless it is closed."""
    if writer.transport.is_closing():
        return
    linger_not_at_all = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not_at_all)
    writer.transport.abort()
