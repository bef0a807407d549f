"""The built-in receiver for OTLP over gRPC: a server of HTTP/2 that is strict about what it is sent."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .http2 import grpc_message
from .otlp_receiver import OtlpReceiver
from .receiver import Faults, Request, Span

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_WANTED = {":method": "POST", ":path": METHOD, "content-type": "application/grpc", "te": "trailers"}
_PREFIX = 5
# The largest frame that anyone takes.
_FRAME = 16_384

Headers = list[tuple[str, str]]


@dataclass
class GrpcFaults(Faults):
    """What a gRPC server can do besides; `status` is HTTP's."""

    # A `grpc-status`, the `grpc-message` and other trailers with it.
    grpc_status: int | str | None = None
    message: str = ""
    trailers: tuple[tuple[str, str], ...] = ()
    # Whether the error comes in the headers, without a message and trailers.
    trailers_only: bool = True
    # The whole body of an answer that accepts, in place of `response` as a message.
    body: bytes | None = None
    # Reset the stream "before" or "after" the headers of the answer; "goaway" refuses the connection.
    reset: str | None = None


@dataclass
class _Call:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class OtlpGrpcReceiver(OtlpReceiver):
    """Takes TraceService/Export over HTTP/2 without TLS; spans are those of `OtlpReceiver`."""

    async def _start(self) -> None:
        self._connections: set[_Connection] = set()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024, reuse_port=True
        )

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.run(self._stop())

    async def _stop(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def fault(self) -> Faults | None:
        """How the request that just came is treated, if badly."""
        faults = self.faults
        if faults.requests is not None:
            if faults.requests <= 0:
                return None
            faults.requests -= 1
        return faults

    def note(self, call: _Call, spans: list[Span], errors: list[str]) -> None:
        """Note a request."""
        with self._changed:
            if self.bodies is not None:
                self.bodies.append(bytes(call.body))
            size, path = len(call.body), call.headers.get(":path", "")
            noted = Request(time.time(), call.headers, path, size, len(spans), self._under_way)
            self._received.requests.append(noted)
            self._received.spans += spans
            self._received.errors += errors
            self._changed.notify_all()

    def take(self, call: _Call) -> list[str]:
        """Note a request with its spans; what is wrong with it."""
        wrong = [
            f"{name} is {call.headers.get(name)} and not {value}"
            for name, value in _WANTED.items()
            if call.headers.get(name) != value
        ]
        if call.body[:_PREFIX] != b"\0" + (len(call.body) - _PREFIX).to_bytes(4, "big"):
            wrong.append("the body is not one message that is not compressed")
        spans, errors = self.parse("application/x-protobuf", bytes(call.body[_PREFIX:]))
        self.note(call, spans, wrong + errors)
        return wrong + errors

    def under_way(self, change: int) -> None:
        """Count the calls that wait for their answer."""
        self._under_way += change


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: OtlpGrpcReceiver) -> None:
        self._receiver = receiver
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._calls: dict[int, _Call] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._receiver._connections.add(self)
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver._connections.discard(self)
        for task in self._answering:
            task.cancel()

    def abort(self) -> None:
        """Close without a word."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._calls[event.stream_id] = _Call({str(name): str(value) for name, value in event.headers})
            elif isinstance(event, h2.events.DataReceived):
                if event.stream_id in self._calls:
                    self._calls[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self._calls.pop(event.stream_id, None)
            elif isinstance(event, h2.events.StreamEnded):
                task = asyncio.ensure_future(self._answer(event.stream_id, self._calls.pop(event.stream_id)))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        self._flush()

    async def _answer(self, stream: int, call: _Call) -> None:
        self._receiver.under_way(1)
        try:
            await self._treat(stream, call)
        except h2.exceptions.ProtocolError:
            pass  # the proxy has reset the stream or gone away meanwhile
        finally:
            self._receiver.under_way(-1)
            self._flush()

    async def _treat(self, stream: int, call: _Call) -> None:
        faults = self._receiver.fault()
        if faults is None:
            return self._accept(stream, call, GrpcFaults())
        if faults.delay:
            await asyncio.sleep(faults.delay)
        if faults.close:
            return self._transport.abort()
        if faults.raw is not None:
            # All is sent before the close.
            self._transport.write(faults.raw)
            return self._transport.close()
        too_large = faults.max_body is not None and len(call.body) > faults.max_body
        if faults.status >= 300 or too_large:
            self._receiver.note(call, [], [])
            retry_after = [("retry-after", faults.retry_after)] if faults.retry_after else []
            return self._send(stream, 413 if too_large else faults.status, retry_after)
        grpc = faults if isinstance(faults, GrpcFaults) else GrpcFaults(response=faults.response)
        if grpc.reset is not None:
            return self._reset(stream, call, grpc.reset)
        if grpc.grpc_status is not None:
            self._receiver.note(call, [], [])
            status = [("grpc-status", str(grpc.grpc_status)), *grpc.trailers]
            status += [("grpc-message", grpc.message)] if grpc.message else []
            if grpc.trailers_only:
                return self._send(stream, 200, status)
            return self._send(stream, 200, [], b"", status)
        self._accept(stream, call, grpc)

    def _accept(self, stream: int, call: _Call, grpc: GrpcFaults) -> None:
        errors = self._receiver.take(call)
        if errors:
            return self._send(stream, 200, [("grpc-status", "3"), ("grpc-message", errors[0][:100])])
        body = grpc_message(grpc.response) if grpc.body is None else grpc.body
        self._send(stream, 200, [], body, [("grpc-status", "0")])

    def _reset(self, stream: int, call: _Call, how: str) -> None:
        self._receiver.note(call, [], [])
        if how == "goaway":
            self._h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0)
            self._flush()
            return self._transport.close()
        if how == "after":
            self._h2.send_headers(stream, _head(200, []))
        self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def _send(
        self, stream: int, status: int, headers: Headers, body: bytes = b"", trailers: Headers | None = None
    ) -> None:
        self._h2.send_headers(stream, _head(status, headers), end_stream=not body and not trailers)
        for start in range(0, len(body), _FRAME):
            last = start + _FRAME >= len(body)
            self._h2.send_data(stream, body[start : start + _FRAME], end_stream=last and not trailers)
        if trailers:
            self._h2.send_headers(stream, trailers, end_stream=True)

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())


def _head(status: int, headers: Headers) -> Headers:
    return [(":status", str(status)), ("content-type", "application/grpc"), *headers]
