"""An application of one shape, which knows what caused each of its calls and forwards no context.

A process of its own, as threads and event loops of applications are. Every request that comes in
has a serial as its body, every call gets one, and the log says which call belongs to which request:
where no filter looks, and nothing of it in headers.

    python -m mesh.links.application --shape chain --listen fd:3 --through 127.0.0.1:15001
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mesh.application import read_message

DOMAIN = "demo.svc.cluster.local:8080"
Headers = dict[str, str]


@dataclass
class Request:
    """A request that came in."""

    serial: str
    path: str
    headers: Headers


@dataclass
class Journal:
    """What the application knows: requests with the context they came with, calls with their cause."""

    lines: list[str] = field(default_factory=list)
    serials: itertools.count[int] = field(default_factory=itertools.count)

    def request(self, request: Request, port: int) -> None:
        entry = {"request": request.serial, "traceparent": request.headers.get("traceparent"), "port": port}
        self.lines.append(json.dumps(entry))

    def call(self, cause: Request | None, port: int) -> str:
        serial = f"c{next(self.serials)}"
        self.lines.append(json.dumps({"call": serial, "cause": cause and cause.serial, "port": port}))
        return serial


class Work:
    """Time that the application takes for work of its own, around a mean."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def seconds(self, mean: float, spread: float = 0.4) -> float:
        return self._scale * mean * random.lognormvariate(-spread * spread / 2, spread)

    async def do(self, mean: float, spread: float = 0.4) -> None:
        await asyncio.sleep(self.seconds(mean, spread))


def call_bytes(host: str, cause: Request | None, serial: str, forwarded: tuple[str, ...]) -> bytes:
    lines = [f"POST /{host}/items HTTP/1.1", f"host: {host}.{DOMAIN}", f"content-length: {len(serial)}"]
    if cause is not None:
        lines += [f"{name}: {cause.headers[name]}" for name in forwarded if name in cause.headers]
    return "\r\n".join([*lines, "", serial]).encode("latin-1")


class Caller:
    """Makes calls from an event loop, over connections that are kept open; `most` is a pool's size."""

    def __init__(self, journal: Journal, through: tuple[str, int], forwarded: tuple[str, ...], most: int) -> None:
        self._journal, self._through, self._forwarded = journal, through, forwarded
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(most)

    async def call(self, host: str, cause: Request | None) -> int:
        """The status of the answer."""
        async with self._room:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._through)
            serial = self._journal.call(cause, writer.get_extra_info("sockname")[1])
            writer.write(call_bytes(host, cause, serial, self._forwarded))
            first, _, _ = await read_message(reader)
            self._idle.append((reader, writer))
            return int(first.split(" ")[1])


class BlockingCaller:
    """Makes calls from one thread, over a connection of its own."""

    def __init__(self, journal: Journal, through: tuple[str, int], forwarded: tuple[str, ...]) -> None:
        self._journal, self._through, self._forwarded = journal, through, forwarded
        self._connection: socket.socket | None = None

    def call(self, host: str, cause: Request | None) -> None:
        if self._connection is None:
            self._connection = socket.create_connection(self._through)
        serial = self._journal.call(cause, self._connection.getsockname()[1])
        self._connection.sendall(call_bytes(host, cause, serial, self._forwarded))
        read_blocking(self._connection)


def read_blocking(connection: socket.socket) -> tuple[str, Headers, bytes]:
    """One message with a content-length; an end of the connection raises."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(connection)
    return first, headers, body


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("closed")
    return received


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Handler = Callable[["Shape", Request], Awaitable[None]]


class Shape:
    """An application on an event loop; what it does for a request says its handler."""

    pool = 1000

    def __init__(self, journal: Journal, through: tuple[str, int], forwarded: tuple[str, ...], scale: float) -> None:
        self.work = Work(scale)
        self.journal = journal
        self.caller = Caller(journal, through, forwarded, self.pool)
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        """Serve for ever."""
        self.start()
        await asyncio.start_server(self._connection, sock=listening)
        await asyncio.Event().wait()

    def start(self) -> None:
        """Begin what runs besides requests."""

    def spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, headers, body = await read_message(reader)
                request = Request(body.decode(), first.split(" ")[1], dict(headers))
                self.journal.request(request, writer.get_extra_info("peername")[1])
                await self.handle(request)
                writer.write(ANSWER)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    async def handle(self, request: Request) -> None:
        raise NotImplementedError


class Chain(Shape):
    """One call after the other, to three hosts."""

    async def handle(self, request: Request) -> None:
        for host in ("stock", "prices", "audit"):
            await self.work.do(0.008)
            await self.caller.call(host, request)
        await self.work.do(0.004)


class FanOut(Shape):
    """Three calls at once."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        await asyncio.gather(*(self.caller.call(host, request) for host in ("stock", "prices", "audit")))
        await self.work.do(0.005)


class Interleaved(Shape):
    """Two calls of one host with work between that takes now little and now much."""

    async def handle(self, request: Request) -> None:
        for _ in range(2):
            await self.work.do(0.015, spread=0.8)
            await self.caller.call("stock", request)


class Pool(Shape):
    """One call, for which requests wait until one of three connections is free."""

    pool = 3

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        await self.caller.call("stock", request)
        await self.work.do(0.02)


class Cache(Shape):
    """Every other request finds what it needs and calls nobody."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        if random.random() < 0.5:
            await self.caller.call("stock", request)
        await self.work.do(0.01)


class Background(Shape):
    """One call, and others of the same host that belong to no request."""

    def start(self) -> None:
        self.spawn(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(random.expovariate(1 / self.work.seconds(0.1, 0)))
            self.spawn(self._one())

    async def _one(self) -> None:
        await self.caller.call("prices", None)

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        await self.caller.call("prices", request)
        await self.work.do(0.02)


class Queue(Shape):
    """A request is noted and answered at once; one of four workers makes its call later."""

    def start(self) -> None:
        self._queue: asyncio.Queue[Request] = asyncio.Queue()
        for _ in range(4):
            self.spawn(self._worker())

    async def _worker(self) -> None:
        while True:
            request = await self._queue.get()
            await self.work.do(0.005)
            await self.caller.call("stock", request)

    async def handle(self, request: Request) -> None:
        await self.work.do(0.03)
        self._queue.put_nowait(request)
        await self.work.do(0.01)


class Retries(Shape):
    """One call of a host that refuses every third, and again after a pause."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        for attempt in range(3):
            if await self.caller.call("flaky", request) == 200:
                break
            await self.work.do(0.01 * 2**attempt)


class Afterwards(Shape):
    """One call, then the answer, then another call."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.01)
        await self.caller.call("stock", request)
        await self.work.do(0.01)
        self.spawn(self._after(request))

    async def _after(self, request: Request) -> None:
        await self.work.do(0.005)
        await self.caller.call("audit", request)


class Routes(Shape):
    """Three routes that differ in what they call."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.006)
        if request.path == "/read":
            await self.caller.call("stock", request)
        elif request.path == "/write":
            await self.caller.call("stock", request)
            await self.work.do(0.01)
            await self.caller.call("audit", request)
        else:
            await asyncio.gather(*(self.caller.call("prices", request) for _ in range(3)))
            await self.work.do(0.03)


class Compute(Shape):
    """Long work, one call, a little work."""

    async def handle(self, request: Request) -> None:
        await self.work.do(0.06, spread=0.2)
        await self.caller.call("prices", request)
        await self.work.do(0.005)


class Threads:
    """A thread for each connection that comes in, with a connection of its own for its calls."""

    def __init__(self, journal: Journal, through: tuple[str, int], forwarded: tuple[str, ...], scale: float) -> None:
        self.work, self.journal = Work(scale), journal
        self._caller_arguments = (journal, through, forwarded)

    async def run(self, listening: socket.socket) -> None:
        """Serve for ever."""
        listening.setblocking(True)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        await asyncio.Event().wait()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            connection, (_, port) = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, port), daemon=True).start()

    def caller(self) -> BlockingCaller:
        return BlockingCaller(*self._caller_arguments)

    def _serve(self, connection: socket.socket, port: int) -> None:
        caller = self.caller()
        try:
            while True:
                self.answer(connection, port, caller, read_blocking(connection))
        except OSError:
            connection.close()

    def answer(
        self, connection: socket.socket, port: int, caller: BlockingCaller, message: tuple[str, Headers, bytes]
    ) -> None:
        first, headers, body = message
        request = Request(body.decode(), first.split(" ")[1], headers)
        self.journal.request(request, port)
        for host in ("stock", "prices"):
            time.sleep(self.work.seconds(0.01))
            caller.call(host, request)
        time.sleep(self.work.seconds(0.01))
        connection.sendall(ANSWER)


class ThreadPool(Threads):
    """Eight threads that take turns, whichever connection a request came by; each has a connection for its calls."""

    async def run(self, listening: socket.socket) -> None:
        """Serve for ever."""
        import queue

        self._queue: queue.Queue[tuple[socket.socket, int, tuple[str, Headers, bytes]]] = queue.Queue()
        for _ in range(8):
            threading.Thread(target=self._work, daemon=True).start()
        await super().run(listening)

    def _serve(self, connection: socket.socket, port: int) -> None:
        try:
            while True:
                self._queue.put((connection, port, read_blocking(connection)))
        except OSError:
            connection.close()

    def _work(self) -> None:
        caller = self.caller()
        while True:
            connection, port, message = self._queue.get()
            self.answer(connection, port, caller, message)


SHAPES: dict[str, type[Shape] | type[Threads]] = {
    "threads": Threads,
    "thread-pool": ThreadPool,
    "chain": Chain,
    "fan-out": FanOut,
    "interleaved": Interleaved,
    "pool": Pool,
    "cache": Cache,
    "background": Background,
    "queue": Queue,
    "retries": Retries,
    "afterwards": Afterwards,
    "routes": Routes,
    "compute": Compute,
}


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    """Serve until SIGTERM, then write what is known."""
    parser = argparse.ArgumentParser(prog="mesh.links.application", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--listen", type=int, required=True, metavar="FD", help="a socket that listens already")
    parser.add_argument("--through", type=_address, required=True, metavar="HOST:PORT", help="the sidecar")
    parser.add_argument("--forward", default="", metavar="NAME,...", help="headers that it forwards")
    parser.add_argument("--scale", type=float, default=1.0, help="how long its work takes")
    parser.add_argument("--journal", required=True, metavar="FILE")
    options = parser.parse_args()
    journal = Journal()

    def end(*_: object) -> None:
        with open(options.journal, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in journal.lines)
        # Threads may sit in calls that nobody answers any more.
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    forwarded = tuple(filter(None, options.forward.split(",")))
    shape = SHAPES[options.shape]
    print("started", flush=True)

    async def run() -> None:
        await shape(journal, options.through, forwarded, options.scale).run(socket.socket(fileno=options.listen))

    asyncio.run(run())


if __name__ == "__main__":
    main()
