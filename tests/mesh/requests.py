"""HTTP/1.1 requests byte by byte, so that a test can send what no client library would."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Text = str | bytes
HeaderList = list[tuple[bytes, bytes]]


@dataclass
class Response:
    """What came back; header names are in lower case, repeats and order are kept."""

    status: int
    headers: HeaderList = field(default_factory=list)
    body: bytes = b""
    trailers: HeaderList = field(default_factory=list)

    def header(self, name: Text) -> bytes | None:
        """The first header of that name."""
        wanted = as_bytes(name).lower()
        return next((value for key, value in self.headers if key == wanted), None)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class ConnectionEnded(ConnectionError):
    """The other end closed or reset; `received` is what had come until then."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"the connection ended after {len(received)} bytes")
        self.received = received


def as_bytes(text: Text) -> bytes:
    """Header text as it goes over the wire."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def request_bytes(
    method: Text = "GET",
    path: Text = "/",
    headers: Iterable[tuple[Text, Text]] = (),
    body: bytes = b"",
    host: Text = "dockebi-storage.demo.svc.cluster.local:8080",
) -> bytes:
    """The bytes of one request; `headers` go in as they are, repeats and order kept."""
    lines = [as_bytes(method) + b" " + as_bytes(path) + b" HTTP/1.1"]
    given = [(as_bytes(name), as_bytes(value)) for name, value in headers]
    names = {name.lower() for name, _ in given}
    if b"host" not in names:
        lines.append(b"host: " + as_bytes(host))
    lines += [name + b": " + value for name, value in given]
    if body and not names & {b"content-length", b"transfer-encoding"}:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Connection:
    """One client connection that is kept open; each `request` waits for its answer."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._buffer = b""

    def request(self, *arguments: Any, **named: Any) -> Response:
        """Send what `request_bytes` makes of the arguments and read the answer."""
        self.send(request_bytes(*arguments, **named))
        method = named.get("method", arguments[0] if arguments else "GET")
        return self.read_response(has_body=as_bytes(method) != b"HEAD")

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(raw)

    def read_response(self, has_body: bool = True) -> Response:
        """Read one answer; interim answers (1xx) are passed over."""
        while True:
            first, *lines = self._until(b"\r\n\r\n")[:-4].split(b"\r\n")
            response = Response(int(first.split(b" ")[1]), _headers(lines))
            if response.status >= 200:
                break
        if not has_body or response.status in (204, 304):
            return response
        if b"chunked" in (response.header("transfer-encoding") or b""):
            self._read_chunks(response)
        elif response.header("content-length") is not None:
            response.body = self._exactly(int(response.header("content-length") or 0))
        else:
            response.body = self._to_end()
        return response

    def _read_chunks(self, response: Response) -> None:
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            response.body += self._exactly(size + 2)[:-2]
        while True:
            line = self._until(b"\r\n")
            if line == b"\r\n":
                return
            response.trailers += _headers([line[:-2]])

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        taken, mark, self._buffer = self._buffer.partition(mark)
        return taken + mark

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _to_end(self) -> bytes:
        try:
            while True:
                self._more()
        except ConnectionEnded as ended:
            self._buffer = b""
            return ended.received

    def _more(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise ConnectionEnded(self._buffer)
        self._buffer += data

    def close(self) -> None:
        """Close the connection; in the middle of an answer that is a client gone away."""
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(port: int, *arguments: Any, timeout: float = 10.0, **named: Any) -> Response:
    """Send one request over a connection of its own: `request(port, "GET", "/", headers=[...])`."""
    with Connection(port, timeout) as connection:
        return connection.request(*arguments, **named)


def _headers(lines: Iterable[bytes]) -> HeaderList:
    split = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in split]
