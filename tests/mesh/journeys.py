"""Sends vectors through one proxy, or through a sidecar's two, and says what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Callable, Sequence

from .config import Config, clusters
from .contexts import Vector
from .envoy import wait_for
from .receiver import Span
from .requests import HeaderList
from .single import HOSTS, SingleProxy

# The application's own calls have this host, so a request that goes through both listeners has it too.
_HOST = HOSTS["outbound"]


@dataclass(frozen=True)
class Journey:
    """What became of one request."""

    # As they reached the upstream.
    headers: HeaderList
    # One of each proxy, in the order in which the request passed them; none if unsampled.
    spans: list[Span]
    # Whether the first proxy counted it as malformed, continued, started.
    counted: dict[str, int]


def start_proxies(make: Callable[..., SingleProxy], vector: Vector) -> list[SingleProxy]:
    """Start the proxies of a vector's setup, each leading to the next one."""
    proxies: list[SingleProxy] = []
    config = {"batch": {"interval": "10ms"}, **vector.configuration}
    for direction in reversed(vector.through):
        change = lead_to(proxies[0].port) if proxies else None
        proxies.insert(0, make(config, direction=direction, change=change))
    return proxies


def lead_to(port: int) -> Callable[[Config], None]:
    """A change after which every cluster but the collector's is that loopback port."""

    def change(config: Config) -> None:
        for cluster in clusters(config):
            if cluster["name"] != "zipkin":
                (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
                endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port

    return change


def travel(proxies: Sequence[SingleProxy], vectors: Sequence[Vector]) -> list[Journey]:
    """Send a request for each vector, one after the other."""
    sent = [(_send(proxies[0], number, vector)) for number, vector in enumerate(vectors)]
    arrived = proxies[-1].upstream.requests
    assert len(arrived) == len(vectors)
    for proxy in proxies:
        proxy.settle()
    spans = [spans_by_request_id(proxy) for proxy in proxies]
    return [
        Journey(
            headers=arrived[number].headers,
            spans=[by_id[_request_id(number)] for by_id in spans if _request_id(number) in by_id],
            counted=counted,
        )
        for number, counted in enumerate(sent)
    ]


def spans_by_request_id(proxy: SingleProxy) -> dict[str, Span]:
    """The spans of a proxy by the request's x-request-id; two with the same are an error."""
    spans = proxy.receiver.spans
    by_id = {span["tags"]["guid:x-request-id"]: span for span in spans}
    assert len(by_id) == len(spans), json.dumps(spans)
    return by_id


def _send(proxy: SingleProxy, number: int, vector: Vector) -> dict[str, int]:
    before = _contexts(proxy)
    response = proxy.request(
        "GET", "/", host=_HOST, headers=[("x-request-id", _request_id(number)), *vector.incoming]
    )
    assert response.status == 200, f"{vector}: {response}"

    def counted() -> bool:
        return _requests(_contexts(proxy)) > _requests(before)

    # One request at a time, so that what is counted meanwhile is this one's.
    wait_for(counted, what="the count of contexts", step=0.005)
    after = _contexts(proxy)
    return {name: value - before[name] for name, value in after.items()}


def _contexts(proxy: SingleProxy) -> dict[str, int]:
    stats = proxy.stats()
    return {name: stats[f"meshspan_contexts_{name}"] for name in ("started", "continued", "malformed")}


def _requests(counts: dict[str, int]) -> int:
    return counts["started"] + counts["continued"]


def _request_id(number: int) -> str:
    return f"vector-{number}"
