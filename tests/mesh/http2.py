"""HTTP/2 without TLS, for gRPC and the like: a recording upstream and a client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .requests import ConnectionEnded, HeaderList, Response, Text, as_bytes
from .upstream import Answer, RecordedRequest, Upstream, hold

# The largest frame that anyone takes.
_FRAME = 16_384


def _config(client_side: bool) -> h2.config.H2Configuration:
    # Neither checked nor tidied: what a test sends goes out, what comes in is recorded.
    return h2.config.H2Configuration(
        client_side=client_side,
        header_encoding=None,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )


def grpc_message(payload: bytes = b"") -> bytes:
    """A gRPC message as it stands in a body: not compressed, its length, itself."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def grpc_answer(status: int = 0, message: str = "", payload: bytes = b"") -> Answer:
    """What a gRPC server answers: 200 and the status in the trailers."""
    trailers = [("grpc-status", str(status))] + ([("grpc-message", message)] if message else [])
    return Answer(200, (("content-type", "application/grpc"),), grpc_message(payload), tuple(trailers))


class Http2Upstream(Upstream):
    """Like `Upstream` over HTTP/2; the recorded headers include `:authority` and the like."""

    async def _start(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _ServerConnection(self), "127.0.0.1", 0, backlog=1024)


class _ServerConnection(asyncio.Protocol):
    def __init__(self, upstream: Http2Upstream) -> None:
        self._upstream = upstream
        self._h2 = h2.connection.H2Connection(_config(client_side=False))
        self._requests: dict[int, RecordedRequest] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = _pairs(event.headers)
                pseudo = dict(headers)
                self._requests[event.stream_id] = RecordedRequest(pseudo[b":method"], pseudo[b":path"], headers)
            elif isinstance(event, h2.events.DataReceived):
                self._requests[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                self._requests[event.stream_id].trailers = _pairs(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                task = asyncio.ensure_future(self._answer(event.stream_id))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        self._flush()

    async def _answer(self, stream: int) -> None:
        answer = self._upstream.record(self._requests.pop(stream))
        await asyncio.sleep(answer.delay)
        try:
            if answer.reset == "before":
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
                return
            head = [(b":status", b"%d" % answer.status), *_pairs(answer.headers)]
            self._h2.send_headers(stream, head, end_stream=not answer.body and not answer.trailers)
            self._flush()
            await hold(answer)
            if answer.body:
                self._h2.send_data(stream, answer.body, end_stream=not answer.trailers and answer.reset is None)
                self._flush()
            if answer.reset == "after":
                await asyncio.sleep(0.1)
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            elif answer.trailers:
                self._h2.send_headers(stream, _pairs(answer.trailers), end_stream=True)
        except h2.exceptions.ProtocolError:
            pass  # the proxy has reset the stream or gone away meanwhile
        finally:
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        for task in self._answering:
            task.cancel()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


def http2_request(
    port: int,
    method: Text = "GET",
    path: Text = "/",
    headers: Iterable[tuple[Text, Text]] = (),
    body: bytes = b"",
    host: Text = "dockebi-storage.demo.svc.cluster.local:8080",
    timeout: float = 10.0,
    trailers: Iterable[tuple[Text, Text]] = (),
) -> Response:
    """Send one HTTP/2 request over a connection of its own; a reset raises ConnectionEnded."""
    connection = h2.connection.H2Connection(_config(client_side=True))
    connection.initiate_connection()
    head = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *headers]
    connection.send_headers(1, _pairs(head), end_stream=not body and not trailers)
    for start in range(0, len(body), _FRAME):
        is_last = start + _FRAME >= len(body) and not trailers
        connection.send_data(1, body[start : start + _FRAME], end_stream=is_last)
    if trailers:
        connection.send_headers(1, _pairs(trailers), end_stream=True)
    response = Response(0)
    with socket.create_connection(("127.0.0.1", port), timeout) as client:
        client.sendall(connection.data_to_send())
        while True:
            data = client.recv(65536)
            if not data:
                raise ConnectionEnded(response.body)
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    response.headers = _pairs(event.headers)
                    response.status = int(dict(response.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    response.body += event.data
                elif isinstance(event, h2.events.TrailersReceived):
                    response.trailers = _pairs(event.headers)
                elif isinstance(event, h2.events.StreamReset):
                    raise ConnectionEnded(response.body)
                elif isinstance(event, h2.events.StreamEnded):
                    return response
            client.sendall(connection.data_to_send())


class Http2Stream:
    """A request over a connection of its own whose answer has begun and which goes on until it is closed."""

    def __init__(self, port: int, headers: Iterable[tuple[Text, Text]], body: bytes = b"", timeout: float = 10.0) -> None:
        self._h2 = h2.connection.H2Connection(_config(client_side=True))
        self._h2.initiate_connection()
        self._h2.send_headers(1, _pairs(headers))
        if body:
            self._h2.send_data(1, body, end_stream=True)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.status = 0
        while not self.status:
            self._socket.sendall(self._h2.data_to_send())
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionEnded(b"")
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.status = int(dict(_pairs(event.headers))[b":status"])

    def send(self, data: bytes) -> None:
        """Send some of the body."""
        self._h2.send_data(1, data)
        self._socket.sendall(self._h2.data_to_send())

    def close(self) -> None:
        """Close the connection, and the request with it."""
        self._socket.close()

    def __enter__(self) -> Http2Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def grpc_request(
    port: int, path: Text, headers: Iterable[tuple[Text, Text]] = (), message: bytes = b"", **named: Any
) -> Response:
    """Call a gRPC method, with an empty message by default: `grpc_request(port, "/pkg.Service/Method")`."""
    grpc = [("content-type", "application/grpc"), ("te", "trailers"), *headers]
    return http2_request(port, "POST", path, grpc, grpc_message(message), **named)


def _pairs(headers: Iterable[tuple[Text, Text]]) -> HeaderList:
    return [(as_bytes(name), as_bytes(value)) for name, value in headers]
