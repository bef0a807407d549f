"""The built-in receiver: a Zipkin v2 endpoint that is strict about what it is sent."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .background import BackgroundLoop

Span = dict[str, Any]

_TRACE_ID = re.compile(r"(?:[0-9a-f]{16}){1,2}\Z")
_SPAN_ID = re.compile(r"[0-9a-f]{16}\Z")
_KINDS = {"CLIENT", "SERVER", "PRODUCER", "CONSUMER"}
_ENDPOINT_KEYS = {"serviceName", "ipv4", "ipv6", "port"}
_KEYS = {
    "traceId", "parentId", "id", "kind", "name", "timestamp", "duration",
    "localEndpoint", "remoteEndpoint", "annotations", "tags", "debug", "shared",
}  # fmt: skip


def _is_id(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None and set(value) != {"0"}


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def span_faults(span: Any) -> list[str]:
    """What in a span is not Zipkin v2 (zipkin.io's zipkin2-api.yaml); empty when all is well."""
    if not isinstance(span, dict):
        return ["a span is not an object"]
    faults = [f"unknown key {key}" for key in span.keys() - _KEYS]
    if not _is_id(_TRACE_ID, span.get("traceId")):
        faults.append("traceId is not 16 or 32 lower-case hex digits")
    if not _is_id(_SPAN_ID, span.get("id")):
        faults.append("id is not 16 lower-case hex digits")
    if "parentId" in span and not _is_id(_SPAN_ID, span["parentId"]):
        faults.append("parentId is not 16 lower-case hex digits")
    if "kind" in span and span["kind"] not in _KINDS:
        faults.append("kind is none of Zipkin's")
    if "name" in span and not isinstance(span["name"], str):
        faults.append("name is not a string")
    for key in ("timestamp", "duration"):
        # Zipkin lets both be absent; a proxy always knows them.
        if not _is_positive(span.get(key)):
            faults.append(f"{key} is not a positive whole number of microseconds")
    for key in ("localEndpoint", "remoteEndpoint"):
        if key in span:
            faults += [f"{key}: {fault}" for fault in _endpoint_faults(span[key])]
    for one in span.get("annotations", []):
        if set(one) != {"timestamp", "value"} or not _is_positive(one["timestamp"]) or not isinstance(one["value"], str):
            faults.append("an annotation is not a time and a text")
    tags = span.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        faults.append("tags are not a map of strings")
    return faults


def _endpoint_faults(endpoint: Any) -> list[str]:
    if not isinstance(endpoint, dict):
        return ["not an object"]
    faults = [f"unknown key {key}" for key in endpoint.keys() - _ENDPOINT_KEYS]
    faults += [
        f"{key} is not a string"
        for key in ("serviceName", "ipv4", "ipv6")
        if key in endpoint and not isinstance(endpoint[key], str)
    ]
    if "port" in endpoint and not (type(endpoint["port"]) is int and 0 <= endpoint["port"] <= 65535):
        faults.append("port is not a port")
    return faults


@dataclass
class Faults:
    """How the receiver misbehaves; set the fields at any time."""

    status: int = 202
    delay: float = 0.0
    # Close the connection without an answer.
    close: bool = False
    # These bytes instead of an answer, then a close; and the same before the body is read.
    raw: bytes | None = None
    early: bytes | None = None
    # The `retry-after` of a refusal.
    retry_after: str | None = None
    # 413 for bodies that are larger.
    max_body: int | None = None
    # The body of an answer that accepts.
    response: bytes = b""
    # Only this many requests are treated so, then all is well again; None is for ever.
    requests: int | None = None


@dataclass
class Request:
    """One export request as it came in."""

    at: float
    headers: Mapping[str, str]
    path: str
    size: int
    spans: int
    # How many were under way when it came, itself included.
    at_once: int


@dataclass
class _Received:
    spans: list[Span] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Receiver:
    """Takes POST /api/v2/spans on a loopback port; keeps connections open."""

    # What another wire format has instead.
    path = "/api/v2/spans"
    accepted = 202

    @staticmethod
    def parse(content_type: str, body: bytes) -> tuple[list[Span], list[str]]:
        """The spans of a body and everything that is wrong with it; aiohttp has undone gzip."""
        return _parse(content_type, body)

    def __init__(self, loop: BackgroundLoop, port: int = 0) -> None:
        self.faults = Faults()
        # The bodies as they came, for those who put a list here.
        self.bodies: list[bytes] | None = None
        self._loop = loop
        self._received = _Received()
        self._changed = threading.Condition()
        self._under_way = 0
        # Held without listening, so that no other program is given the port while this is stopped.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", port))
        self.port: int = self._held.getsockname()[1]
        loop.run(self._start())

    async def _start(self) -> None:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post(self.path, self._take)
        # A collector that closes idle connections would add cost, and races, of its own.
        self._runner = web.AppRunner(application, keepalive_timeout=3600, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_port=True).start()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self._under_way += 1
        try:
            early = self.faults.early
            if early is not None and request.transport is not None:
                request.transport.write(early)
                await request.read()
                request.transport.close()
                return web.Response()
            return await self._answer(request, await request.read(), self._under_way)
        finally:
            self._under_way -= 1

    async def _answer(self, request: web.Request, body: bytes, at_once: int) -> web.StreamResponse:
        faults = self.faults
        if faults.requests is None or faults.requests > 0:
            if faults.requests is not None:
                faults.requests -= 1
            if faults.delay:
                await asyncio.sleep(faults.delay)
            if faults.close and request.transport is not None:
                request.transport.abort()
                return web.Response()
            if faults.raw is not None and request.transport is not None:
                # All is sent before the close.
                request.transport.write(faults.raw)
                request.transport.close()
                return web.Response()
            too_large = faults.max_body is not None and len(body) > faults.max_body
            if faults.status >= 300 or too_large:
                self._note(request, body, at_once, [], [])
                headers = {"retry-after": faults.retry_after} if faults.retry_after else None
                return web.Response(status=413 if too_large else faults.status, headers=headers)
        spans, errors = self.parse(request.content_type, body)
        self._note(request, body, at_once, spans, errors)
        return web.Response(status=400 if errors else self.accepted, body=faults.response)

    def _note(self, request: web.Request, body: bytes, at_once: int, spans: list[Span], errors: list[str]) -> None:
        with self._changed:
            if self.bodies is not None:
                self.bodies.append(body)
            noted = Request(time.time(), request.headers, request.path, len(body), len(spans), at_once)
            self._received.requests.append(noted)
            self._received.spans += spans
            self._received.errors += errors
            self._changed.notify_all()

    @property
    def spans(self) -> list[Span]:
        """All spans so far, in the order in which they came."""
        with self._changed:
            return list(self._received.spans)

    @property
    def requests(self) -> list[Request]:
        """All export requests so far, refused ones included."""
        with self._changed:
            return list(self._received.requests)

    @property
    def errors(self) -> list[str]:
        """What broke the rules of Zipkin v2; must be empty at the end of every test."""
        with self._changed:
            return list(self._received.errors)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Span]:
        """Wait until at least `count` spans are there, and return all."""
        with self._changed:
            got_them = self._changed.wait_for(lambda: len(self._received.spans) >= count, timeout)
            if not got_them:
                raise TimeoutError(f"{len(self._received.spans)} of {count} spans after {timeout:g} s")
            return list(self._received.spans)

    def clear(self) -> None:
        """Forget what came so far."""
        with self._changed:
            self._received = _Received()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.run(self._runner.cleanup())

    def start_again(self) -> None:
        """Open the same port again after a stop; what came before is remembered."""
        self._loop.run(self._start())


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a body; JSON lets a key come twice, and readers do not agree on which holds."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(f"a key comes twice among {[key for key, _ in pairs]}")
    return fields


def _parse(content_type: str, body: bytes) -> tuple[list[Span], list[str]]:
    if content_type != "application/json":
        return [], [f"content-type {content_type} is not application/json"]
    try:
        spans = json.loads(body.decode("utf-8"), object_pairs_hook=_each_key_once)
    except ValueError as error:
        return [], [f"a body of {len(body)} bytes is not JSON: {error}"]
    if not isinstance(spans, list):
        return [], ["a body is not a JSON array"]
    errors = [f"{fault}: {json.dumps(span)[:500]}" for span in spans for fault in span_faults(span)]
    return spans, errors
