"""The ends behind Envoy, over HTTP/1.1 and HTTP/2: which exchange a request belongs to, its head says."""

from __future__ import annotations

import asyncio
import re

from ..background import BackgroundLoop
from ..http2 import Http2Upstream
from ..requests import HeaderList
from ..upstream import Answer, Upstream
from .exchange import Play
from .frames import PREFACE, first_head

# The header that says which.
NUMBER = b"x-exchange"
_NUMBER = re.compile(NUMBER + rb": (\d+)")


class PlayingUpstream(Upstream):
    """Plays its part of the exchanges that it is given; each connection is for one request."""

    def __init__(self, loop: BackgroundLoop) -> None:
        self.plays: dict[int, Play] = {}
        super().__init__(loop, Answer())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            received = bytearray()
            while (head := self.head(bytes(received))) is None:
                data = await reader.read(65536)
                if not data:
                    return
                received += data
            play = self.plays.get(int(dict(head).get(NUMBER, b"-1")))
            if play is None:
                # A second request behind one that is numbered; it gets no answer.
                return
            play.arrived = head
            play.upstream.received += received
            play.note()
            reading = asyncio.ensure_future(play.read(reader, play.upstream))
            await play.play(play.exchange.upstream, writer, play.upstream, play.client)
            if writer.transport.is_closing():
                reading.cancel()
            await asyncio.wait([reading])
        except (OSError, asyncio.TimeoutError):
            pass  # the client's end says what came of it
        finally:
            writer.close()

    @staticmethod
    def head(received: bytes) -> HeaderList | None:
        """The head of the request, when all of it is there."""
        head, end, _ = received.partition(b"\r\n\r\n")
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        return [(name, value) for name, _, value in lines] if end else None


class PlayingHttp2Upstream(PlayingUpstream, Http2Upstream):
    """The same over HTTP/2."""

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)

    @staticmethod
    def head(received: bytes) -> HeaderList | None:
        """The head of the request, when all of it is there."""
        return first_head(received[len(PREFACE) :])
