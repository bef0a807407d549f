"""Services that forward different formats, one behind the other, still make one whole trace."""

from __future__ import annotations

import functools
from typing import Callable

import pytest

from mesh.background import BackgroundLoop
from mesh.contexts import FORMATS
from mesh.journeys import lead_to
from mesh.receiver import Span
from mesh.requests import HeaderList, request
from mesh.single import HOSTS, SingleProxy
from mesh.upstream import Answer, RecordedRequest, Upstream

W3C = (b"traceparent", b"tracestate")
B3 = FORMATS["b3multi"]
B3_SINGLE = FORMATS["b3"]
JAEGER = FORMATS["jaeger"]

_OWN_SPAN = b"feedc0de00000001"


class Chain:
    """Three services, each with its sidecar; the test says which headers each one forwards."""

    def __init__(self, make: Callable[..., SingleProxy], config: dict[str, object]) -> None:
        self.forwards: list[tuple[bytes, ...]] = [(), (), ()]
        # Whether the service in the middle has a tracer of its own, which makes a span in B3.
        self.own_span = False
        self.received: list[HeaderList] = [[], [], []]
        self._make, self._config = make, config
        # From the last service to the first: who calls has to know where.
        self._loops = [BackgroundLoop(f"service {number}") for number in range(3)]
        self.proxies: list[SingleProxy] = []
        next_port = 0
        for number in (2, 1, 0):
            next_port = self._start_service(number, next_port)
        self.port = next_port

    def _start_service(self, number: int, next_inbound: int) -> int:
        through = 0
        if next_inbound:
            outbound = self._make(self._config, direction="outbound", change=lead_to(next_inbound))
            self.proxies.insert(0, outbound)
            through = outbound.port

        def answer(received: RecordedRequest) -> Answer:
            # It waits for the next service, and each service has a loop of its own to wait on.
            self.received[number] = received.headers
            if through:
                done = request(through, "GET", "/", headers=self._forwarded(number), host=HOSTS["outbound"])
                return Answer(status=done.status)
            return Answer()

        inbound = self._make(self._config, upstream=Upstream(self._loops[number], answer))
        self.proxies.insert(0, inbound)
        return inbound.port

    def _forwarded(self, number: int) -> HeaderList:
        kept = [(name, value) for name, value in self.received[number] if name in self.forwards[number]]
        if number == 1 and self.own_span:
            fields = dict(kept)
            fields[b"x-b3-parentspanid"] = fields[b"x-b3-spanid"]
            fields[b"x-b3-spanid"] = _OWN_SPAN
            kept = list(fields.items())
        return kept


CONFIGURATIONS: dict[str, dict[str, object]] = {
    "as shipped": {"sampling": 100},
    "all formats": {"sampling": 100, "propagation": {"inject": ["tracecontext", "b3", "b3multi", "jaeger"]}},
}


@pytest.fixture(scope="module")
def chain(module_proxy: Callable[..., SingleProxy]) -> Callable[[str], Chain]:
    """The chain of a configuration, started when it is first asked for."""
    return functools.cache(lambda name: Chain(module_proxy, CONFIGURATIONS[name]))


@pytest.mark.parametrize(
    "configuration, forwards",
    [
        ("as shipped", (W3C, B3, W3C)),
        ("as shipped", (B3, W3C, B3)),
        ("all formats", (W3C, B3, W3C)),
        ("all formats", (W3C, B3_SINGLE, W3C)),
        ("all formats", (B3_SINGLE, W3C, B3)),
        ("all formats", (B3, JAEGER, W3C)),
        ("all formats", (JAEGER, B3_SINGLE, JAEGER)),
    ],
    ids=lambda value: "-".join(names[0].decode() for names in value) if isinstance(value, tuple) else value,
)
@pytest.mark.parametrize(
    "incoming, trace, parent, debug",
    [
        ([], None, None, False),
        ([("b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1")], "a3ce929d0e0e4736", "00f067aa0ba902b7", False),
        (
            [("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")],
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00f067aa0ba902b7",
            False,
        ),
        ([("x-b3-flags", "1")], None, None, True),
    ],
    ids=["new trace", "64 bits", "128 bits", "debug"],
)
def test_a_mixed_chain_is_one_whole_trace(
    chain: Callable[[str], Chain],
    configuration: str,
    forwards: tuple[tuple[bytes, ...], ...],
    incoming: list[tuple[str, str]],
    trace: str | None,
    parent: str | None,
    debug: bool,
) -> None:
    services = chain(configuration)
    services.forwards, services.own_span = list(forwards), False
    spans = _spans_of_one_request(services, incoming)
    assert len({span["traceId"].zfill(32) for span in spans}) == 1
    assert trace is None or spans[0]["traceId"].zfill(32) == trace.zfill(32)
    assert [span["kind"] for span in spans] == ["SERVER", "CLIENT", "SERVER", "CLIENT", "SERVER"]
    assert [span.get("parentId") for span in spans] == [parent, *(span["id"] for span in spans[:-1])]
    assert spans[0].get("debug", False) is debug


@pytest.mark.parametrize("forwards", [(W3C, B3, W3C), (B3, W3C, B3)], ids=["b3 between w3c", "w3c between b3"])
def test_an_unsampled_request_stays_unsampled_in_a_mixed_chain(
    chain: Callable[[str], Chain], forwards: tuple[tuple[bytes, ...], ...]
) -> None:
    services = chain("as shipped")
    services.forwards, services.own_span = list(forwards), False
    for proxy in services.proxies:
        proxy.receiver.clear()
    assert request(services.port, "GET", "/", headers=[("x-b3-sampled", "0")]).status == 200
    for proxy in services.proxies:
        assert proxy.spans(0) == []
    arrived = [dict(headers) for headers in services.received]
    assert {headers[b"x-b3-sampled"] for headers in arrived} == {b"0"}
    assert len({headers[b"x-b3-traceid"] for headers in arrived}) == 1
    assert len({headers[b"traceparent"].split(b"-")[1] for headers in arrived}) == 1


def test_a_tracer_within_the_b3_service_is_part_of_the_trace(chain: Callable[[str], Chain]) -> None:
    services = chain("as shipped")
    services.forwards, services.own_span = [W3C, B3, W3C], True
    spans = _spans_of_one_request(services, [])
    assert len({span["traceId"] for span in spans}) == 1
    # The span of the application's own tracer stands between its sidecar's two.
    assert spans[3]["parentId"] == _OWN_SPAN.decode()
    assert dict(services.received[2])[b"traceparent"].split(b"-")[1].decode() == spans[0]["traceId"]


def _spans_of_one_request(services: Chain, incoming: list[tuple[str, str]]) -> list[Span]:
    """One span of each proxy, in the order in which the request passed them."""
    for proxy in services.proxies:
        proxy.receiver.clear()
    assert request(services.port, "GET", "/", headers=incoming).status == 200
    spans = []
    for proxy in services.proxies:
        (span,) = proxy.receiver.wait_for(1)
        spans.append(span)
    return spans
