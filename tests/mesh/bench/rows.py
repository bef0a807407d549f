"""What is counted: the requests, the ways to trace, and what is promised of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PATH = "/reviews/7?page=2"
# With the host these are eight.
HEADERS = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br",
    "accept-language": "en-GB,en;q=0.7",
    "referer": "https://shop.example/reviews",
    "cookie": "session=4f1c2a9be07d4c55",
    "x-account-id": "acme",
}
# What comes in where an unsampled context does: one format, or what another meshspan sends.
TRACEPARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
BOTH = {
    **TRACEPARENT,
    "x-b3-traceid": "0af7651916cd43dd8448eb211c80319c",
    "x-b3-spanid": "b7ad6b7169203331",
    "x-b3-sampled": "0",
}
CONTEXTS = {"": {}, "traceparent": TRACEPARENT, "both": BOTH}
BODY = b'{"id": 7, "stars": 5, "text": "would read again"}'
MODES = ("off", "exact", "sure", "infer")
ZIPKIN = "zipkin-100"
OPENTELEMETRY = "opentelemetry-tuned-100"


@dataclass(frozen=True)
class Traffic:
    """What is asked, and where; rows of the same traffic share a base without tracing."""

    direction: str = "inbound"
    http2: bool = False
    headers: int = 8
    context: str = ""
    # With several the proxy has both listeners, and each worker has received something.
    workers: int = 1


@dataclass(frozen=True)
class Row:
    """One way to trace."""

    title: str
    tracer: str = "meshspan"
    sampling: float = 100
    traffic: Traffic = Traffic()
    protocol: str = "zipkin"
    compression: str = "none"
    inject: tuple[str, ...] = ()
    correlation: str = "exact"
    tags: int = 1
    # How many tags are asked of Envoy at the end, one half of headers that the response has, the other of trailers
    # that it has not.
    asked_tags: int = 0
    response: bool = False
    span_name: bool = False
    events: bool = False
    # Whether the application makes calls without a context meanwhile, one each second.
    calls: bool = False
    # How many rules of sampling there are, none of which matches; no percentage alone says so.
    rules: int | None = None
    # What is kept of requests that are not sampled, none of which fails.
    keep: bool = False
    # How many spans Envoy's own tracers wait for before they send; 0 is as shipped (5).
    flush: int = 0


INBOUND = Traffic()
OUTBOUND = Traffic(direction="outbound")
HTTP2 = Traffic(http2=True)
ONE_FORMAT, BOTH_FORMATS = Traffic(context="traceparent"), Traffic(context="both")
SHARED = Traffic(context="both", workers=2)
SHARED_OUTBOUND = Traffic(direction="outbound", workers=2)
OTLP = "http/protobuf"

ROWS = {
    "none": Row("no tracing", "none"),
    "none-outbound": Row("no tracing, outbound", "none", traffic=OUTBOUND),
    "none-http2": Row("no tracing, HTTP/2", "none", traffic=HTTP2),
    "none-traceparent": Row("no tracing, traceparent comes in", "none", traffic=ONE_FORMAT),
    "none-both": Row("no tracing, traceparent and B3 come in", "none", traffic=BOTH_FORMATS),
    "none-32-headers": Row("no tracing, 32 headers", "none", traffic=Traffic(headers=32)),
    "none-64-headers": Row("no tracing, 64 headers", "none", traffic=Traffic(headers=64)),
    "none-shared": Row("no tracing, traceparent and B3 come in, two workers", "none", traffic=SHARED),
    "none-shared-outbound": Row("no tracing, outbound, two workers", "none", traffic=SHARED_OUTBOUND),
    ZIPKIN: Row("Envoy's Zipkin tracer, 100 %", "native-zipkin"),
    "zipkin-1": Row("Envoy's Zipkin tracer, 1 %", "native-zipkin", 1),
    "opentelemetry-100": Row("Envoy's OpenTelemetry tracer, 100 %", "native-opentelemetry"),
    OPENTELEMETRY: Row("the same, 256 spans a flush", "native-opentelemetry", flush=256),
    "opentelemetry-1": Row("Envoy's OpenTelemetry tracer, 1 %", "native-opentelemetry", 1),
    "opentelemetry-unsampled": Row(
        "Envoy's OpenTelemetry tracer, 1 %, unsampled traceparent in", "native-opentelemetry", 1, ONE_FORMAT
    ),
    "meshspan-100": Row("meshspan, 100 %"),
    "meshspan-otlp-100": Row("meshspan, 100 %, OTLP", protocol=OTLP),
    "meshspan-1": Row("meshspan, 1 %", sampling=1),
    **{
        f"meshspan-{rules}-rules": Row(f"meshspan, 0 %, {rules} rules", sampling=0, rules=rules)
        for rules in (0, 1, 10, 100)
    },
    "meshspan-0": Row("meshspan, 0 %", sampling=0),
    "meshspan-keep-0": Row("meshspan, 0 %, errors and slow ones kept", sampling=0, keep=True),
    "meshspan-keep-passes": Row(
        "the same, unsampled traceparent and B3 in", sampling=0, keep=True, traffic=BOTH_FORMATS
    ),
    "meshspan-traceparent-1": Row("meshspan, 1 %, writes traceparent only", sampling=1, inject=("tracecontext",)),
    "meshspan-unsampled": Row("meshspan, 1 %, unsampled traceparent in", sampling=1, traffic=ONE_FORMAT),
    "meshspan-passes": Row("meshspan, 1 %, unsampled traceparent and B3 in", sampling=1, traffic=BOTH_FORMATS),
    "meshspan-passes-off": Row(
        "the same, correlation off", sampling=1, traffic=BOTH_FORMATS, correlation="off"
    ),
    "meshspan-passes-sure": Row(
        "the same, correlation sure", sampling=1, traffic=BOTH_FORMATS, correlation="sure"
    ),
    **{
        f"meshspan-shared-{mode}": Row(
            f"the same, two workers, correlation {mode}", sampling=1, traffic=SHARED, correlation=mode
        )
        for mode in MODES
    },
    **{
        f"meshspan-shared-calls-{mode}": Row(
            f"the same, 0 %, and calls without a context, correlation {mode}",
            sampling=0, traffic=SHARED, correlation=mode, calls=True,
        )
        for mode in ("off", "sure")
    },
    "meshspan-outbound-0": Row("meshspan, 0 %, outbound", sampling=0, traffic=OUTBOUND),
    "meshspan-outbound-0-sure": Row("the same, correlation sure", sampling=0, traffic=OUTBOUND, correlation="sure"),
    "meshspan-outbound-0-off": Row("the same, correlation off", sampling=0, traffic=OUTBOUND, correlation="off"),
    **{
        f"meshspan-shared-outbound-{mode}": Row(
            f"the same, two workers, correlation {mode}", sampling=0, traffic=SHARED_OUTBOUND, correlation=mode
        )
        for mode in MODES
    },
    "meshspan-gzip-100": Row("meshspan, 100 %, gzip", compression="gzip"),
    "meshspan-otlp-gzip-100": Row("meshspan, 100 %, OTLP, gzip", protocol=OTLP, compression="gzip"),
    "opentelemetry-outbound": Row("Envoy's OpenTelemetry tracer, outbound", "native-opentelemetry", traffic=OUTBOUND),
    "meshspan-outbound": Row("meshspan, 100 %, outbound", traffic=OUTBOUND),
    "meshspan-otlp-outbound": Row("meshspan, 100 %, OTLP, outbound", traffic=OUTBOUND, protocol=OTLP),
    "opentelemetry-http2": Row("Envoy's OpenTelemetry tracer, HTTP/2", "native-opentelemetry", traffic=HTTP2),
    "meshspan-http2": Row("meshspan, 100 %, HTTP/2", traffic=HTTP2),
    "meshspan-1-http2": Row("meshspan, 1 %, HTTP/2", sampling=1, traffic=HTTP2),
    "meshspan-8-tags": Row("meshspan, 100 %, 8 custom tags", tags=8),
    "meshspan-32-tags": Row("meshspan, 100 %, 32 custom tags", tags=32),
    "meshspan-0-8-tags": Row("meshspan, 0 %, 8 custom tags", sampling=0, tags=8),
    "meshspan-0-32-tags": Row("meshspan, 0 %, 32 custom tags", sampling=0, tags=32),
    "meshspan-8-asked-tags": Row("meshspan, 100 %, 8 tags of the response more", asked_tags=8),
    "meshspan-0-8-asked-tags": Row("meshspan, 0 %, 8 tags of the response more", sampling=0, asked_tags=8),
    "meshspan-response": Row("meshspan, 100 %, traceresponse and a header", response=True),
    "meshspan-0-response": Row("meshspan, 0 %, traceresponse and a header", sampling=0, response=True),
    "meshspan-span-name": Row("meshspan, 100 %, named by a template and operations", span_name=True),
    "meshspan-0-span-name": Row("meshspan, 0 %, named by a template and operations", sampling=0, span_name=True),
    "meshspan-events": Row("meshspan, 100 %, events", events=True),
    "meshspan-otlp-events": Row("meshspan, 100 %, OTLP, events", protocol=OTLP, events=True),
    "meshspan-0-events": Row("meshspan, 0 %, events", sampling=0, events=True),
    "meshspan-32-headers": Row("meshspan, 100 %, 32 headers", traffic=Traffic(headers=32)),
    "meshspan-64-headers": Row("meshspan, 100 %, 64 headers", traffic=Traffic(headers=64)),
    "meshspan-1-64-headers": Row("meshspan, 1 %, 64 headers", sampling=1, traffic=Traffic(headers=64)),
}
# Each kind as often as the others: of the path, a header, user agent and method, host, all of it.
_MATCHES: tuple[dict[str, Any], ...] = (
    {"path": {"prefix": "/reviews/N/"}},
    {"headers": {"x-account-id": {"exact": "account-N"}}},
    {"userAgent": {"prefix": "robot-N/"}, "method": ["GET", "HEAD"]},
    {"host": {"suffix": ".N.example"}},
    {"method": ["POST"], "path": {"exact": "/payments/N"}, "headers": {"x-absent": {"prefix": "N"}}},
)


def rules(count: int) -> list[dict[str, Any]]:
    """So many rules, none of which matches a request of the benchmark."""
    matches = json.dumps(_MATCHES)
    return [
        {
            "name": f"rule-{number}",
            "percent": 100,
            "match": json.loads(matches.replace("N", str(number)))[number % len(_MATCHES)],
        }
        for number in range(count)
    ]


def asked_tags(count: int) -> dict[str, Any]:
    """So many tags of headers and trailers of the response."""
    sources = ({"responseHeader": {"name": "content-type"}}, {"responseTrailer": {"name": "x-absent"}})
    return {f"asked-{number}": sources[number % len(sources)] for number in range(count)}


BASES = {row.traffic: name for name, row in ROWS.items() if row.tracer == "none"}
# What is compared with the committed figures in every test run.
CHECKED = ["none", "none-both", "meshspan-100", "meshspan-otlp-100", "meshspan-0", "meshspan-passes"]


@dataclass(frozen=True)
class Promise:
    """A row costs at most `most` of another."""

    row: str
    other: str
    most: float


PROMISES = (
    Promise("meshspan-100", OPENTELEMETRY, 0.75),
    Promise("meshspan-otlp-100", OPENTELEMETRY, 0.75),
    Promise("meshspan-100", ZIPKIN, 0.26),
    Promise("meshspan-otlp-100", ZIPKIN, 0.26),
    Promise("meshspan-1", "opentelemetry-1", 2.0),
    Promise("meshspan-traceparent-1", "opentelemetry-1", 1.5),
    Promise("meshspan-passes", "opentelemetry-1", 1.3),
)
