"""A small application as Istio's documentation asks for: it forwards the trace headers, unless it is `--silent`.

Standard library only, so that docker compose runs it in the plain python image:

    python application.py --listen 0.0.0.0:8080 --name dockebi \\
        --next http://dockebi-storage.demo.svc.cluster.local:8080 --through 127.0.0.1:15001

It answers JSON with the trace headers it got and the answer of the next service; a
caller thereby learns, without any collector, which trace its request belongs to.  The last
service answers `/status/500` with that status, and `/delay/2.5` after so many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
from urllib.parse import urlsplit

# Istio's documentation, Distributed Tracing, "Trace context propagation", and the two
# that tracing libraries of other makes forward.
FORWARDED = (
    "x-request-id", "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "x-ot-span-context",
    "uber-trace-id", "baggage",
)  # fmt: skip

Headers = list[tuple[str, str]]


async def read_message(reader: asyncio.StreamReader) -> tuple[str, Headers, bytes]:
    """Read one HTTP/1.1 message: its first line, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    fields = dict(headers)
    if "chunked" in fields.get("transfer-encoding", ""):
        return first, headers, await read_chunks(reader)
    return first, headers, await reader.readexactly(int(fields.get("content-length", "0")))


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body to its end; trailers are read and dropped."""
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return body
        body += (await reader.readexactly(size + 2))[:-2]


class NextService:
    """The service that this one calls, over connections that are kept open."""

    def __init__(self, url: str, through: tuple[str, int] | None) -> None:
        parts = urlsplit(url)
        self._authority = parts.netloc
        # In Istio iptables leads every call into the sidecar; here the caller does.
        self._address = through or (parts.hostname or "", parts.port or 80)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, headers: Headers) -> tuple[int, bytes]:
        """Call the service; returns status and body."""
        lines = [f"GET {path} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1")
        while True:
            reused = bool(self._idle)
            reader, writer = self._idle.pop() if reused else await asyncio.open_connection(*self._address)
            try:
                writer.write(request)
                first, _, body = await read_message(reader)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
                if reused:  # an idle connection may have been closed at the other end
                    continue
                raise
            self._idle.append((reader, writer))
            return int(first.split(" ")[1]), body


class Application:
    """One service of the demo."""

    def __init__(
        self, name: str, next_service: NextService | None = None, delay: float = 0.0, calls: int = 1, silent: bool = False
    ) -> None:
        self._name = name
        self._next = next_service
        self._delay = delay
        self._calls = calls
        self._silent = silent

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Start listening; `fd:3` takes over a socket that listens already."""
        if host == "fd":
            return await asyncio.start_server(self._connection, sock=socket.socket(fileno=port))
        return await asyncio.start_server(self._connection, host, port, backlog=1024)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, headers, _ = await read_message(reader)
                status, answer = await self._answer(first.split(" ")[1], headers)
                head = f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n"
                writer.write(f"{head}content-length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end is gone, or we are to stop
        finally:
            writer.close()

    async def _answer(self, path: str, headers: Headers) -> tuple[int, bytes]:
        trace = [(name, value) for name, value in headers if name in FORWARDED]
        answer: dict[str, object] = {"service": self._name, "path": path, "headers": dict(trace)}
        status = 200
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._next is None:
            _, kind, value = [*path.split("/"), "", ""][:3]
            if kind == "status":
                status = int(value)
            elif kind == "delay":
                await asyncio.sleep(float(value))
        else:
            answers = []
            try:
                for _ in range(self._calls):
                    status, body = await self._next.get(path, [] if self._silent else trace)
                    answers.append(json.loads(body) if status == 200 else body.decode("latin-1"))
                answer["next"] = answers[0] if self._calls == 1 else answers
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                status, answer["next"] = 502, str(error)
        return status, json.dumps(answer).encode()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _run(options: argparse.Namespace) -> None:
    next_service = NextService(options.next, options.through) if options.next else None
    application = Application(options.name, next_service, options.delay, options.calls, options.silent)
    server = await application.serve(*options.listen)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"{options.name} listens on port {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--listen", type=_address, default=("0.0.0.0", 8080), metavar="HOST:PORT|fd:N")
    parser.add_argument("--name", default="application", help="the name it answers with")
    parser.add_argument("--next", metavar="URL", help="the service that it calls for every request")
    parser.add_argument("--through", type=_address, metavar="HOST:PORT", help="the sidecar to call it through")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="its own work per request")
    parser.add_argument("--calls", type=int, default=1, metavar="N", help="how often it calls for every request (1)")
    parser.add_argument("--silent", action="store_true", help="forward no header")
    asyncio.run(_run(parser.parse_args()))
