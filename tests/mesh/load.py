"""Steady load over raw keep-alive connections: 2,000 requests a second on one core."""

from __future__ import annotations

import argparse
import asyncio
import collections
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .requests import request_bytes

_TICK = 0.005


@dataclass
class LoadResult:
    """What a load gave; `failed` counts requests whose connection broke."""

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    failed: int = 0
    seconds: float = 0.0
    # Seconds from the moment a request was due, so that a stall is not hidden.
    latencies: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def latency(self, quantile: float) -> float:
        """A quantile of the latencies, e.g. `latency(0.99)`, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * quantile), len(ordered) - 1)] if ordered else 0.0


class _Caller(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._due = 0.0
        self._waits = False
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._load.idle.append(self)

    def send(self, raw: bytes, due: float) -> None:
        assert self._transport is not None
        self._waits, self._due = True, due
        self._transport.write(raw)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        if not mark:
            return
        lower = head.lower()
        start = lower.find(b"\r\ncontent-length:")
        if start >= 0:
            length = int(lower[start + 17 :].split(b"\r\n", 1)[0])
            if len(body) < length:
                return
        elif b"\r\ntransfer-encoding: chunked" in lower and not body.endswith(b"0\r\n\r\n"):
            return
        self._received = b""
        self._waits = False
        self._load.answered(int(head[9:12]), self._due)
        if b"\r\nconnection: close" not in lower:
            self._load.free(self)
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._load.idle:
            self._load.idle.remove(self)
        self._load.lost(was_waiting=self._waits)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Load:
    """Sends `count` requests at `rate` a second; `rate` None is as fast as answers come."""

    def __init__(self, port: int, requests: Iterable[bytes], count: int, rate: float | None, connections: int) -> None:
        self.idle: collections.deque[_Caller] = collections.deque()
        self._port = port
        # Made beforehand and sent in turn: making one costs more than sending it.
        self._requests = list(requests)
        self._count = count
        self._rate = rate
        self._connections = connections
        self._result = LoadResult()
        self._callers: list[_Caller] = []
        self._sent = 0
        self._missing = 0
        self._started = 0.0

    async def run(self, progress: Callable[[int], None] | None = None) -> LoadResult:
        """Run it all; `progress` is called now and then with the number done."""
        await asyncio.gather(*[self._connect() for _ in range(self._connections)])
        self._started = time.perf_counter()
        while self._done() < self._count:
            self._send_due()
            await asyncio.sleep(_TICK)
            while self._missing:
                self._missing -= 1
                await self._connect()
            if progress is not None:
                progress(self._done())
        self._result.seconds = time.perf_counter() - self._started
        for caller in self._callers:
            caller.close()
        return self._result

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: _Caller(self), "127.0.0.1", self._port)
        self._callers.append(caller)

    def _done(self) -> int:
        return self._result.answered + self._result.failed

    def _send_due(self) -> None:
        now = time.perf_counter()
        due = self._count
        if self._rate is not None:
            due = min(due, int((now - self._started) * self._rate) + 1)
        while self._sent < due and self.idle:
            at = now if self._rate is None else self._started + self._sent / self._rate
            self.idle.popleft().send(self._requests[self._sent % len(self._requests)], at)
            self._sent += 1

    def free(self, caller: _Caller) -> None:
        """A caller can take the next request; without a rate it gets it at once."""
        self.idle.append(caller)
        if self._rate is None:
            self._send_due()

    def answered(self, status: int, due: float) -> None:
        """A caller got its answer."""
        self._result.statuses[status] += 1
        self._result.latencies.append(time.perf_counter() - due)

    def lost(self, was_waiting: bool) -> None:
        """A caller lost its connection; another one takes its place."""
        self._missing += 1
        if was_waiting:
            self._result.failed += 1


def run_load(
    port: int,
    count: int,
    rate: float | None = None,
    connections: int = 32,
    requests: Iterable[bytes] | None = None,
    progress: Callable[[int], None] | None = None,
) -> LoadResult:
    """Run a load and wait for its end."""
    load = Load(port, requests or [request_bytes()], count, rate, connections)
    return asyncio.run(load.run(progress))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    result = run_load(options.port, int(options.seconds * options.rate), options.rate, options.connections)
    print(
        f"{result.answered} answers, {result.failed} failed, {dict(result.statuses)}, {result.rate:.0f}/s, "
        f"median {result.latency(0.5) * 1e3:.1f} ms, 99 % {result.latency(0.99) * 1e3:.1f} ms"
    )
