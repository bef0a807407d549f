"""Envoys with the module, each exporting by another protocol, and one without, for the same exchanges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..background import BackgroundLoop
from ..config import Config, clusters, connection_managers
from ..contexts import PROPAGATION_HEADERS, injected_traceparent
from ..requests import HeaderList
from ..single import SingleProxy
from ..twins import make_room
from . import answers, frames, http1, http2
from .exchange import Exchange, Play
from .upstreams import PlayingHttp2Upstream, PlayingUpstream

PROTOCOLS = ("zipkin", "http/protobuf", "grpc")
# How many exchanges are under way at once.
AT_ONCE = 8
# How often an exchange has to make a difference, and how far apart the numbers are of its plays: the same proxy plays all.
PLAYS, ANOTHER = 3, 3_000_000

# As users who configure little have it, and with whatever looks at requests and answers besides.
USUAL: dict[str, Any] = {"sampling": 100, "customTags": {"account": {"header": {"name": "x-account-id"}}}}
MORE: dict[str, Any] = {
    "sampling": {
        "percent": 60,
        "rules": [
            {"name": "paths", "match": {"path": {"regex": "^/(.*[a-f]){2}|%|/$"}}, "percent": 80, "ratePerSecond": 5},
            {"name": "agents", "match": {"userAgent": {"regex": "(?i)(moz|curl).*[^ -~]"}}, "percent": 90},
            {
                "name": "hosts", "ratePerSecond": 0.5,
                "match": {"host": {"suffix": "e"}, "headers": {"x-account-id": {"regex": ".+"}}},
            },
        ],
        "force": {"header": "x-account-id", "value": "42"},
        "keep": {"errors": True, "slowerThan": "1ms"},
    },
    "customTags": {
        "account": {"header": {"name": "x-account-id"}, "mode": "hash"},
        "theme": {"cookie": {"name": "theme", "defaultValue": "-"}},
        "page": {"queryParameter": {"name": "page"}, "mode": "mask"},
        "first": {"pathSegment": {"template": "/{first}"}},
        "last": {"pathSegment": {"template": "/**/{last}"}},
        "user": {"baggage": {"name": "user"}},
        "type": {"responseHeader": {"name": "content-type"}},
        "cookies": {"responseHeader": {"name": "set-cookie"}, "allowSensitive": True, "maxLength": 4},
        "sent": {"requestTrailer": {"name": "x-trailer"}},
        "got": {"responseTrailer": {"name": "grpc-status"}},
        "claim": {"metadata": {"kind": "dynamic", "path": ["a", "b"]}},
        "details": {"attribute": {"name": "response.code_details"}},
        "took": {"attribute": {"name": "request.duration"}, "mode": "mask"},
    },
    "hashKey": "0123456789abcdef",
    "spanName": {"template": "{method} {route} of {service}"},
    "operations": ["/**/{id}"],
    "pathRedact": ["/**/x/{id}", "a*"],
    "response": {"traceresponse": True, "header": "x-trace-id", "at": "everywhere"},
    "accessLog": "all",
    "correlation": {"headers": ["x-account-id"], "maxInFlight": 4},
}  # fmt: skip
# Of the proxies with more, each has another. Nobody here is who they say.
TRUST: tuple[dict[str, Any], ...] = (
    {"context": "link", "sampled": "limit", "from": []},
    {"context": "ignore", "sampled": "ignore", "from": ["10.0.0.0/8", "spiffe://cluster.local/*"]},
    {"context": "continue", "sampled": "limit", "ratePerSecond": 5},
)
# What the module adds to answers then, and does not let through.
OURS = (b"traceresponse", b"x-trace-id", b"baggage")

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Proxies:
    """Plays exchanges to one Envoy after the other with the module, and all to the one without."""

    def __init__(
        self,
        make: Callable[..., SingleProxy],
        loop: BackgroundLoop,
        over_http2: bool,
        direction: str,
        more: bool = False,
    ) -> None:
        self._loop = loop
        self._ours = OURS if more else ()
        # Which of those have come.
        self.seen: set[bytes] = set()
        self._over_http2 = over_http2
        upstream = PlayingHttp2Upstream if over_http2 else PlayingUpstream

        def proxy(**named: Any) -> SingleProxy:
            return make(upstream=upstream(loop), change=_admit, direction=direction, **named)

        self.plain = proxy(tracer="none")
        configurations = [{**MORE, "trust": trust} for trust in TRUST] if more else [USUAL] * len(PROTOCOLS)
        self.traced = [
            proxy(config={**config, "collector": {"protocol": protocol}}, failure_policy="FAIL_CLOSED")
            for protocol, config in zip(PROTOCOLS, configurations, strict=True)
        ]

    def compare(self, numbers: range, seed: int) -> list[str]:
        """Play the exchanges of these numbers; where the module makes a difference."""
        return self._loop.run(self._compare(numbers, seed), timeout=300)

    async def _compare(self, numbers: range, seed: int) -> list[str]:
        left = iter(numbers)

        async def play_on() -> list[str]:
            return [fault for number in left for fault in await self._one(number, seed)]

        return [fault for faults in await asyncio.gather(*(play_on() for _ in range(AT_ONCE))) for fault in faults]

    async def _one(self, number: int, seed: int) -> list[str]:
        # How much of an answer Envoy has read when the reset comes differs from run to run, on a busy
        # machine now and then: what the module does differs each time.
        faults: list[str] = []
        for play in range(PLAYS):
            faults = await self._play(number, seed, number + play * ANOTHER)
            if not faults:
                break
        return faults

    async def _play(self, drawn: int, seed: int, number: int) -> list[str]:
        draw = http2.draw if self._over_http2 else http1.draw
        exchange = draw(random.Random(f"{seed} {drawn}"), number)
        pair = (self.traced[number % len(self.traced)], self.plain)
        plays = [Play(exchange) for _ in pair]
        for proxy, play in zip(pair, plays, strict=True):
            proxy.upstream.plays[number] = play
        await asyncio.gather(*(play.run(proxy.port) for proxy, play in zip(pair, plays, strict=True)))
        if any(play.is_stuck for play in plays):
            return [f"seed {seed}, number {number}: nothing happens any more; {exchange}"]
        # A client that leaves has as much as there was before.
        outcomes = [] if exchange.leaves else [[self._answer(play) for play in plays]]
        # Whether a head has arrived whose request is refused later, nobody can say.
        if all(play.arrived for play in plays):
            outcomes.append([self._others(play.arrived or []) for play in plays])
        return [
            f"seed {seed}, number {number}: {traced} with the module, {plain} without; {exchange}"
            for traced, plain in outcomes
            if traced != plain
        ]

    def _answer(self, play: Play) -> Any:
        """What the client got that must be the same."""
        received = bytes(play.client.received)
        if self._over_http2:
            found, error = frames.streams(received, [http2.STREAM])
            stream = found[http2.STREAM]
            heads = [self._without_ours(answers.comparable(head)) for head in stream.heads]
            return heads, stream.body, stream.ended, stream.reset, error
        apart = answers.taken_apart(received, play.exchange.bodies)
        return [replace(answer, head=self._without_ours(answer.head)) for answer in apart]

    def _others(self, head: HeaderList) -> HeaderList:
        """Headers that are not for propagation."""
        others = [line for line in head if line[0] not in PROPAGATION_HEADERS]
        return self._without_ours(answers.comparable(others))

    def _without_ours(self, head: HeaderList) -> HeaderList:
        self.seen |= {name for name, _ in head if name in self._ours}
        return [line for line in head if line[0] not in self._ours]

    def check_spans(self) -> int:
        """That whatever arrived upstream with the sampled flag was exported, each once; how many that is."""
        return sum(_check_spans(proxy) for proxy in self.traced)

    def memory(self) -> list[int]:
        """The bytes that each has for itself, the one without the module last."""
        return [proxy.envoy.anonymous() for proxy in (*self.traced, self.plain)]


def _check_spans(proxy: SingleProxy) -> int:
    proxy.settle(timeout=30)
    stats = proxy.stats()
    exported = [span["id"] for span in proxy.receiver.spans]
    assert len(exported) == len(set(exported)) == stats["meshspan_spans_exported"] == stats["meshspan_spans_sampled"]
    assert isinstance(proxy.upstream, PlayingUpstream)
    heads = [play.arrived for play in proxy.upstream.plays.values() if play.arrived]
    # The bytes of a tunnel that Envoy ended itself came without a request.
    contexts = [injected_traceparent(head) for head in heads if len(head) > 1]
    arrived = {span for _, span, sampled in contexts if sampled}
    assert arrived <= set(exported)
    return len(arrived)


def _admit(config: Config) -> None:
    """Let in everything that can be let in."""
    make_room(config)
    for manager in connection_managers(config):
        manager["http_protocol_options"] = {"accept_http_10": True, "enable_trailers": True}
        manager["http2_protocol_options"]["allow_connect"] = True
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
        host = manager["route_config"]["virtual_hosts"][0]
        (route,) = host["routes"]
        if host["domains"] != ["*"]:
            host["domains"].append(http1.TUNNEL.decode())
        host["routes"] = [*_tunnels(route["route"]["cluster"]), route]
    for cluster in clusters(config):
        if cluster["name"] != "zipkin":
            options = cluster.setdefault("typed_extension_protocol_options", {}).setdefault(_OPTIONS, {})
            options["@type"] = f"type.googleapis.com/{_OPTIONS}"
            # What is left of one exchange is nothing to the next.
            options["common_http_protocol_options"] = {"max_requests_per_connection": 1}
            explicit = options.setdefault("explicit_http_config", {"http_protocol_options": {"enable_trailers": True}})
            if "http2_protocol_options" in explicit:
                explicit["http2_protocol_options"] = {"allow_connect": True}


def _tunnels(cluster: str) -> Iterator[Config]:
    """The routes of CONNECT: one that Envoy ends, and one that goes on."""
    ends = {"upgrade_type": "CONNECT", "connect_config": {}}
    yield {
        "match": {"connect_matcher": {}, "headers": [{"name": "x-ends-here", "present_match": True}]},
        "route": {"cluster": cluster, "upgrade_configs": [ends]},
    }
    yield {"match": {"connect_matcher": {}}, "route": {"cluster": cluster}}
