"""Plugin configurations and requests, drawn at random."""

from __future__ import annotations

import random
from typing import Any

from ..bench.rows import BOTH, HEADERS, TRACEPARENT
from ..contexts import FORMATS
from .collectors import GRPC_CLUSTER, HTTP_CLUSTER

# What may wait in a worker; the ceiling of memory follows from it.
QUEUE_BYTES = 1 << 20

_INVALID = ('{"sampling": 140}', '{"queue": {"maxSpans": 0}}', '{"smapling": 1}', '{"sampling": 1', "[]", '"\\u0000"')

# h2load sends the same headers again and again; a run draws one of these for each thousand or two.
_REQUESTS: dict[str, dict[str, str]] = {
    "no context": {},
    "sampled": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2"},
    "not sampled": TRACEPARENT,
    "not sampled in both": BOTH,
    "debug": {"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d"},
    "two traces": {"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1", **TRACEPARENT},
    "malformed": {"traceparent": "00-zz-zz-01", "b3": "ä", "uber-trace-id": "1:2", "tracestate": "=" * 600},
    "jaeger, 40 headers more": {"uber-trace-id": "1:2:0:1", **{f"x-extra-{n}": "value" * 20 for n in range(40)}},
}
REQUESTS = {name: {**HEADERS, **headers} for name, headers in _REQUESTS.items()}


def steady() -> dict[str, Any]:
    """The configuration of a run without changes: everything is sampled."""
    return {
        "sampling": 100,
        "customTags": {"account": {"header": {"name": "x-account-id"}}},
        "queue": {"maxBytes": QUEUE_BYTES},
    }


def valid(rng: random.Random) -> dict[str, Any]:
    """A valid plugin configuration."""
    protocol = rng.choice(["zipkin", "http/protobuf", "grpc"])
    collector = {"protocol": protocol, "cluster": HTTP_CLUSTER, "timeout": "1s"}
    if protocol == "grpc":
        collector["cluster"] = GRPC_CLUSTER
    else:
        collector["compression"] = rng.choice(["none", "gzip"])
    header = {"header": {"name": "x-account-id", "defaultValue": "-"}}
    literal = {"literal": {"value": "x" * rng.randint(1, 300)}}
    return {
        "sampling": rng.choice([100, 100, 50, 1]),
        "customTags": {f"tag-{number}": rng.choice([header, literal]) for number in range(rng.randint(0, 12))},
        "maxTagLength": rng.choice([16, 256]),
        "propagation": {name: _some(rng, list(FORMATS)) for name in ("extract", "inject")},
        "collector": collector,
        "queue": {
            "maxSpans": rng.choice([20, 2048]),
            "maxBytes": rng.choice([QUEUE_BYTES // 8, QUEUE_BYTES]),
            "overflow": rng.choice(["drop-newest", "drop-oldest"]),
        },
        "batch": {"maxSpans": rng.choice([5, 50, 512]), "interval": rng.choice(["50ms", "200ms", "1s"])},
        "export": {"maxInFlight": rng.randint(1, 8)},
    }


def invalid(rng: random.Random) -> str:
    """One that the module refuses, and never the same twice: Envoy passes over what it refused last, as a success."""
    return rng.choice(_INVALID) + " " * rng.randrange(1000)


def _some(rng: random.Random, of: list[str]) -> list[str]:
    return rng.sample(of, rng.randint(1, len(of)))
