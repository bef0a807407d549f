"""An Envoy with the module and the same one without it; every request goes to both."""

from __future__ import annotations

import functools
import hashlib
import re
import socket
from typing import Callable, Union

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .config import Config, connection_managers
from .contexts import PROPAGATION_HEADERS, injected_traceparent
from .requests import Connection, ConnectionEnded, HeaderList
from .single import SingleProxy
from .upstream import Answer, RecordedRequest

# A status with a body; "refused" where the connection or the stream was closed instead.
Outcome = Union[tuple[int, bytes], str]
REFUSED = "refused"

_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class Twins:
    """A trap shows in the answer, since the filter fails closed: 503, or gRPC's status 14."""

    def __init__(self, make: Callable[..., SingleProxy], config: dict[str, object]) -> None:
        self.traced = make(config, failure_policy="FAIL_CLOSED", upstream=echo, change=make_room)
        self.plain = make(tracer="none", upstream=echo, change=make_room)
        self._proxies = (self.traced, self.plain)
        self._http1 = [Http1(proxy.port) for proxy in self._proxies]
        self._http2 = [Http2(proxy.port) for proxy in self._proxies]

    def compare(self, raw: bytes, about: object) -> Outcome:
        """Send the bytes of an HTTP/1.1 request to both; they must answer the same."""
        return self._same([connection.ask(raw) for connection in self._http1], about)

    def compare_http2(self, headers: HeaderList, about: object) -> Outcome:
        """Send headers over HTTP/2 to both, as they are; they must answer the same."""
        return self._same([connection.ask(headers) for connection in self._http2], about)

    def _same(self, outcomes: list[Outcome], about: object) -> Outcome:
        traced, plain = outcomes
        if traced != plain:
            arrived = [proxy.upstream.requests[-1:] for proxy in self._proxies]
            raise AssertionError(f"{about!r}: {traced} with the module, {plain} without; last arrived {arrived}")
        return traced

    def clear(self) -> None:
        """Forget what came so far; `check_spans` has waited for all of it."""
        for proxy in self._proxies:
            proxy.upstream.clear()
            proxy.receiver.clear()

    def check_spans(self) -> None:
        """What arrived upstream with the sampled flag is what was exported, each once."""
        arrived = [injected_traceparent(request.headers) for request in self.traced.upstream.requests]
        expected = {(trace, span) for trace, span, sampled in arrived if sampled}
        assert len({span for _, span, _ in arrived}) == len(arrived)
        exported = self.traced.spans(len(expected), timeout=30)
        assert {(span["traceId"].zfill(32), span["id"]) for span in exported} == expected
        assert self.traced.receiver.errors == []


def echo(request: RecordedRequest) -> Answer:
    """An answer that differs if anything of the request does that is not for propagation."""
    others = [header for header in request.headers if header[0] not in PROPAGATION_HEADERS]
    # Where a request has no id, or an empty one, Envoy makes a random one.
    others = [(name, b"UUID" if _UUID.fullmatch(value) else value) for name, value in others]
    seen = repr((request.method, request.path, others, request.body))
    return Answer(body=hashlib.sha256(seen.encode()).hexdigest().encode())


def make_room(config: Config) -> None:
    """Let in longer and more headers than Envoy does by default, and refuse the others at once."""
    for manager in connection_managers(config):
        manager["max_request_headers_kb"] = 256
        manager["common_http_protocol_options"] = {"max_headers_count": 300}
        # What Envoy refuses over HTTP/2 ends its stream, not the connection a second later.
        manager["http2_protocol_options"] = {"override_stream_error_on_invalid_http_message": True}
        manager["delayed_close_timeout"] = "0.01s"


class Http1:
    """HTTP/1.1 requests over one connection, or a new one where Envoy has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    def ask(self, raw: bytes) -> Outcome:
        """Send a request, byte by byte as given."""
        connection = self._connection or Connection(self._port)
        self._connection = None
        try:
            connection.send(raw)
            response = connection.read_response()
        except (ConnectionEnded, ConnectionError):
            connection.close()
            return REFUSED
        # A line feed of its own may have ended the headers early, and what followed is no request.
        if response.header("connection") == b"close" or _LONE_LINE_FEED.search(raw):
            connection.close()
        else:
            self._connection = connection
        return response.status, response.body


class Http2:
    """The same over HTTP/2; the library checks nothing of what it sends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._h2 = h2.connection.H2Connection()

    def ask(self, headers: HeaderList) -> Outcome:
        """Send a request that is its headers alone."""
        if self._socket is None:
            self._connect()
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=True)
        try:
            return self._answer(stream)
        except (OSError, h2.exceptions.ProtocolError):
            self._close()
            return REFUSED

    def _connect(self) -> None:
        config = h2.config.H2Configuration(
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        # Huffman coding of long values takes the library seconds.
        encoder = self._h2.encoder
        encoder.encode = functools.partial(encoder.encode, huffman=False)
        self._h2.initiate_connection()
        self._socket = socket.create_connection(("127.0.0.1", self._port), 10)

    def _answer(self, stream: int) -> Outcome:
        assert self._socket is not None
        status, body = 0, b""
        while True:
            self._socket.sendall(self._h2.data_to_send())
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionEnded(b"")
            for event in self._h2.receive_data(received):
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise ConnectionEnded(b"")
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.StreamReset):
                    return REFUSED
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                if isinstance(event, h2.events.StreamEnded):
                    self._socket.sendall(self._h2.data_to_send())
                    return status, body

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
