"""The worst that a client can send, in sizes that double: what a byte more of it costs, and whether that stays so.

And a call of an application while ever more requests are in flight of which any may have made it.

Of each case the module gets the same requests as an Envoy without it.  What it adds is all of its
callbacks for a request together, its span's way to the collector included.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..background import BackgroundLoop
from ..callgrind import CountedEnvoy
from ..envoy import Envoy, wait_for
from ..progress import steps
from ..single import HOSTS, LISTENERS
from ..sink import Sink
from .counting import SETTLING, proxy_config
from .rows import BODY, ROWS

WARMUP, REQUESTS = 120, 24
# Of what tracing adds; what is left is how the bytes fall into Envoy's and the module's memory.
STRAIGHT, NOISE = 0.2, 100_000

Lines = list[tuple[str, str]]
TRACEPARENT = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@dataclass(frozen=True)
class Worst:
    """Requests of growing size, and how the module is configured for them."""

    title: str
    # Of so many bytes, or whatever grows: the path, or nothing for the usual one, and headers.
    request: Callable[[int], tuple[str, Lines]]
    sizes: tuple[int, int, int]
    # The most instructions for one more of what grows.
    most: float
    unit: str = "byte"
    plugin: dict[str, Any] | None = None
    # What it may take beyond what each byte takes: 100 microseconds' worth, or what a table of the operator's costs.
    fixed: int = 300_000
    # Not a request is counted but a call, while as many requests are in flight as the size says.
    is_call: bool = False


def repeated(text: str, length: int) -> str:
    """The text again and again, so long."""
    return (text * (length // len(text) + 1))[:length]


def value(text: str, name: str = "x-a") -> Callable[[int], tuple[str, Lines]]:
    """A header of so many bytes."""
    return lambda size: ("", [(name, repeated(text, size))])


def path(text: str) -> Callable[[int], tuple[str, Lines]]:
    """A path of so many bytes."""
    return lambda size: (repeated(text, size), [])


def tracestate(size: int) -> tuple[str, Lines]:
    """32 members, which have so many bytes together."""
    half = size // 64 - 1
    members = [f"{number:k>{half}}={number:v>{half}}" for number in range(32)]
    return "", [TRACEPARENT, ("tracestate", ",".join(members))]


def lines(name: str, text: str) -> Callable[[int], tuple[str, Lines]]:
    """So many headers; the number of each is put into its name and its value."""
    return lambda count: (
        "",
        [(name.replace("N", str(number)), text.replace("N", str(number))) for number in range(count)],
    )


def tags(count: int, tag: dict[str, Any]) -> dict[str, Any]:
    """So many tags, whose names have their numbers."""
    text = json.dumps(tag)
    return {"customTags": {f"tag-{number}": json.loads(text.replace("N", str(number))) for number in range(count)}}


def _rule(pattern: str) -> dict[str, Any]:
    return {"name": "r", "match": {"headers": {"x-a": {"regex": pattern}}}, "percent": 100}


KIB = 1024
LONG = {"maxTagLength": 65_536}
ONE = {**LONG, "customTags": {"a": {"header": {"name": "x-a"}}}}
TEXT, TWICE = (4 * KIB, 8 * KIB, 16 * KIB), (14 * KIB, 28 * KIB, 56 * KIB)

CASES = (
    Worst("a header that nothing asks for", value("a", "x-b"), TWICE, 3),
    Worst("a header that is a tag", value("plain text. "), TWICE, 4, plugin={"customTags": ONE["customTags"]}),
    Worst("the same, all of it recorded", value("plain text. "), TWICE, 35, plugin=ONE),
    Worst("of @", value("@"), TWICE, 150, plugin=ONE),
    Worst("of addresses", value("a@b.cc,"), TWICE, 120, plugin=ONE),
    Worst("of slashes", value("a//"), TWICE, 35, plugin=ONE),
    Worst("of digits", value("4111-111"), TWICE, 130, plugin=ONE),
    Worst("of quotes", value('"\\'), TWICE, 110, plugin=ONE),
    # Each becomes a character of three bytes.
    Worst("of bytes that are not UTF-8", value("\xff\xc3"), (5 * KIB, 10 * KIB, 20 * KIB), 220, plugin=ONE),
    Worst("of parameters of a URL", value("/?a=b&"), TWICE, 220, plugin=ONE),
    Worst("8 masked tags", value("4111 "), TWICE, 6, plugin=tags(8, {"header": {"name": "x-a"}, "mode": "mask"})),
    Worst(
        "a hashed tag", value("4111 "), (1 * KIB, 2 * KIB, 4 * KIB), 200,
        plugin={**tags(1, {"header": {"name": "x-a"}, "mode": "hash"}), "hashKey": "0123456789abcdef"},
    ),
    Worst("64 tags of baggage", value("a=b,", "baggage"), TWICE, 320, plugin=tags(64, {"baggage": {"name": "nN"}})),
    Worst("64 tags of cookies", value("a=b;", "cookie"), TWICE, 320, plugin=tags(64, {"cookie": {"name": "nN"}})),
    Worst("64 tags of a query", path("/?a=b&a="), TWICE, 180, plugin=tags(64, {"queryParameter": {"name": "nN"}})),
    Worst(
        "64 tags of a path", path("/a"), TWICE, 40, fixed=1_000_000,
        plugin=tags(64, {"pathSegment": {"template": "/**/bN/{id}"}}),
    ),
    Worst("a path of many segments", path("/a"), TWICE, 15),
    Worst(
        "64 operations and 64 secrets in paths", path("/a"), TWICE, 40, fixed=14_000_000,
        plugin={
            "spanName": {"template": "{operation}"},
            "operations": [f"/**/a/a/a/a/a/a/a/a/b{number}/{{id}}" for number in range(64)],
            "pathRedact": [f"/**/a/a/a/a/a/a/a/a/b{number}/{{id}}" for number in range(64)],
        },
    ),
    Worst("tracestate of 32 members", tracestate, TEXT, 70),
    Worst(
        "lines of tracestate", lambda n: ("", [TRACEPARENT, *lines("tracestate", "kN=v")(n)[1]]), (8, 16, 32), 3000,
        "line",
    ),
    Worst("lines of b3", lines("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b716920N-1"), (16, 32, 64), 1000, "line"),
    Worst("headers", lines("x-extra-header-N", "a" * 500), (22, 44, 88), 1500, "header"),
    Worst(
        "headers that others believe", lines("ot-baggage-N", "a"), (22, 44, 88), 14_000, "header",
        plugin={"trust": {"context": "ignore", "from": []}},
    ),
    Worst("an id to correlate by", value("a", "x-request-id"), TWICE, 8),
    Worst(
        "a pattern of 245 steps", value("a"), (2 * KIB, 4 * KIB, 8 * KIB), 12, fixed=2_300_000,
        plugin={"sampling": {"percent": 100, "rules": [_rule("(?:.*a){60}[bc]$")]}},
    ),
    Worst(
        "a pattern of 20 steps", value("a"), (256, 512, 1024), 1000,
        plugin={"sampling": {"percent": 100, "rules": [_rule("(?i)bot|crawl|spider")]}},
    ),
    Worst(
        "calls while requests are in flight in mode infer", lambda _: ("", []), (6, 12, 24), 10_000, "request",
        plugin={"correlation": {"mode": "infer", "maxAge": "10m"}}, fixed=500_000, is_call=True,
    ),
)  # fmt: skip


@dataclass
class Found:
    """What a case adds in its three sizes."""

    added: list[float]
    one_more: float
    # How far the size between is above the line from the first to the last, as a part of it.
    above: float
    # What is left without the bytes.
    beyond: float


class _Client:
    """Sends one request again and again over one connection."""

    def __init__(self, port: int, direction: str = "inbound") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._host = HOSTS[direction]

    def ask(self, case: Worst, size: int) -> None:
        path, headers = case.request(size)
        head = [f"GET {path or '/'} HTTP/1.1", f"host: {self._host}"]
        head += [f"{name}: {text}" for name, text in headers]
        self._socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))

    def send(self, case: Worst, size: int, count: int) -> None:
        for _ in range(count):
            self.ask(case, size)
            answer = b""
            while not answer.endswith(BODY):
                more = self._socket.recv(65_536)
                if not more or b" 200 " not in (answer or more)[:20]:
                    raise ProcessLookupError(f"{case.title}, {size}: {(answer + more)[:300]!r}")
                answer += more

    def close(self) -> None:
        self._socket.close()


def _count(cases: list[Worst], tracer: str, folder: Path, done: Callable[[float], None]) -> list[list[float]]:
    """Instructions of a request of each case, which have one configuration, in each size."""
    loop = BackgroundLoop("worst")
    upstream, collector = Sink(loop, 200, BODY), Sink(loop, 200)
    folder.mkdir()
    try:
        row = ROWS["meshspan-100" if tracer == "meshspan" else "none"]
        config = proxy_config(row, upstream, collector, cases[0].plugin)
        counted = CountedEnvoy("envoy", config, folder, row.traffic.workers)
        client = _Client(counted.envoy.port)
        try:
            found = []
            for case in cases:
                for size in case.sizes:
                    client.send(case, size, WARMUP // 3)
                if tracer == "meshspan":
                    time.sleep(SETTLING)
                of = []
                for size in case.sizes:
                    client.send(case, size, 2)
                    of.append(counted.count(lambda: client.send(case, size, REQUESTS)) / REQUESTS)
                found.append(of)
                done(1)
            return found
        finally:
            client.close()
            counted.stop()
    finally:
        upstream.stop()
        collector.stop()
        loop.stop()


def _count_calls(case: Worst, tracer: str, folder: Path, done: Callable[[float], None]) -> list[float]:
    """Instructions of a call while so many requests are in flight, to which an application gives no answer."""
    loop = BackgroundLoop("worst")
    upstream, collector = Sink(loop, 200, BODY), Sink(loop, 200)
    application = socket.create_server(("127.0.0.1", 0), backlog=1024)
    folder.mkdir()
    clients: list[_Client] = []
    try:
        row = ROWS["meshspan-outbound" if tracer == "meshspan" else "none-outbound"]
        config = proxy_config(row, upstream, collector, case.plugin, application.getsockname()[1])
        counted = CountedEnvoy("envoy", config, folder, row.traffic.workers)
        try:
            ports = {direction: counted.envoy.ports[name] for direction, name in LISTENERS.items()}
            clients.append(_Client(ports["outbound"], "outbound"))
            clients[0].send(case, 0, WARMUP)
            # A worker has to know that it is alone.
            time.sleep(SETTLING)
            of = []
            for size in case.sizes:
                while len(clients) <= size:
                    clients.append(_Client(ports["inbound"]))
                    clients[-1].ask(case, size)
                wait_for(lambda: _in_flight(counted.envoy) == size, 60, "so many requests in flight")
                clients[0].send(case, size, WARMUP // 3)
                of.append(counted.count(lambda: clients[0].send(case, size, REQUESTS)) / REQUESTS)
            done(1)
            return of
        finally:
            for client in clients:
                client.close()
            counted.stop()
    finally:
        application.close()
        upstream.stop()
        collector.stop()
        loop.stop()


def _in_flight(envoy: Envoy) -> int:
    name = "cluster.inbound|8080||.upstream_rq_active"
    return envoy.stats(name).get(name, 0)


def measure_worst(console: Console, folder: Path, only: str = "") -> dict[str, Found]:
    """Count every case, with a progress bar."""
    cases = [case for case in CASES if only in case.title]
    found = {}
    with steps(console, 2 * len(cases)) as progress:
        progress.begin("without the module")
        requests = [case for case in cases if not case.is_call]
        counts = _count(requests, "none", folder / "none", progress.advance) if requests else []
        bases = dict(zip((case.title for case in requests), counts))
        for number, case in enumerate(cases):
            progress.begin(case.title)
            if case.is_call:
                bases[case.title] = _count_calls(case, "none", folder / f"none-{number}", progress.advance)
                counts = _count_calls(case, "meshspan", folder / str(number), progress.advance)
            else:
                (counts,) = _count([case], "meshspan", folder / str(number), progress.advance)
            added = [one - base for one, base in zip(counts, bases[case.title])]
            found[case.title] = one = _line(case, added)
            figures = ", ".join(f"{count:,.0f}" for count in added)
            progress.say(f"{case.title}: {figures}; {one.one_more:,.1f} a {case.unit}")
    return found


def _line(case: Worst, added: list[float]) -> Found:
    first, second, third = case.sizes
    one_more = (added[2] - added[0]) / (third - first)
    middle = added[0] + one_more * (second - first)
    return Found(added, one_more, (added[1] - middle) / added[2], added[0] - one_more * first)


def worst_faults(found: dict[str, Found]) -> list[str]:
    """Which cases are dearer than they may be, or grow faster than what is sent."""
    faults = []
    for case in CASES:
        one = found.get(case.title)
        if one is None:
            continue
        if one.one_more > case.most:
            faults.append(f"{case.title}: {one.one_more:,.1f} a {case.unit}, at most {case.most:,}")
        if one.above < -STRAIGHT and -one.above * one.added[2] > NOISE:
            faults.append(f"{case.title}: the size between is {one.above:.0%} off the line, so it grows faster")
        if one.beyond > case.fixed:
            faults.append(f"{case.title}: {one.beyond:,.0f} beyond its {case.unit}s, at most {case.fixed:,}")
    return faults


def worst_table(found: dict[str, Found]) -> Table:
    """The figures as a table."""
    table = Table(title="the worst requests: instructions over no tracing, all callbacks of a request together")
    for heading in ("", "sizes", "n", "2 n", "4 n", "one more", "how straight", "beyond"):
        table.add_column(heading, justify="left" if heading in ("", "sizes") else "right")
    for case in CASES:
        one = found.get(case.title)
        if one is not None:
            sizes = "/".join(str(size) for size in case.sizes)
            counts = [f"{count:,.0f}" for count in one.added]
            line = (f"{one.one_more:,.1f}", f"{one.above:+.1%}", f"{one.beyond:,.0f}")
            table.add_row(case.title, f"{sizes} {case.unit}s", *counts, *line)
    return table


def worst_json(found: dict[str, Found]) -> dict[str, Any]:
    """The figures for a program."""
    return {name: asdict(one) for name, one in found.items()}
