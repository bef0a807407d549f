"""The collectors of a long run, and everything that can happen to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import config as configuration
from ..background import BackgroundLoop
from ..config import Config
from ..ecds import Collectors
from ..grpc_receiver import GrpcFaults, OtlpGrpcReceiver
from ..hostile_answers import HTTP
from ..otlp_receiver import OtlpReceiver
from ..receiver import Receiver, Span

HTTP_CLUSTER, GRPC_CLUSTER = "zipkin", "otlp-grpc"


class _Http(Receiver):
    """Takes Zipkin's JSON and OTLP, checks the spans and counts them, and keeps none."""

    path = "/{path:.+}"
    taken = 0

    @staticmethod
    def parse(content_type: str, body: bytes) -> tuple[list[Span], list[str]]:
        kind = OtlpReceiver if content_type == "application/x-protobuf" else Receiver
        return kind.parse(content_type, body)

    def _note(self, request: Any, body: bytes, at_once: int, spans: list[Span], errors: list[str]) -> None:
        self.taken += len(spans)
        self._received.errors += errors


class _Grpc(OtlpGrpcReceiver):
    """The same over gRPC."""

    taken = 0

    def note(self, call: Any, spans: list[Span], errors: list[str]) -> None:
        self.taken += len(spans)
        self._received.errors += errors


class FaultyCollectors:
    """One collector over HTTP and one over gRPC, with the same bad days."""

    def __init__(self, loop: BackgroundLoop, folder: Path) -> None:
        self._receivers = (_Http(loop), _Grpc(loop))
        self._discovered = Collectors(folder, HTTP_CLUSTER)
        self._away = False
        self._no_cluster = False

    def install(self, config: Config) -> None:
        """Have an Envoy know both; only the cluster of the first can go away."""
        http, grpc = self._receivers
        (cluster,) = [one for one in configuration.clusters(config) if one["name"] == HTTP_CLUSTER]
        other = configuration.add_cluster_like(config, HTTP_CLUSTER, GRPC_CLUSTER)
        for one, receiver in ((cluster, http), (other, grpc)):
            configuration.set_endpoint(one, ("127.0.0.1", receiver.port))
        configuration.use_http2(config, GRPC_CLUSTER)
        self._discovered.install(config)

    @property
    def taken(self) -> int:
        """How many spans they took; those whose answer was lost came again."""
        return sum(receiver.taken for receiver in self._receivers)

    @property
    def errors(self) -> list[str]:
        """What was wrong with spans."""
        return [error for receiver in self._receivers for error in receiver.errors]

    def go_away(self) -> None:
        """Refuse connections."""
        for receiver in self._receivers:
            receiver.stop()
        self._away = True

    def answer(self, **faults: Any) -> None:
        """Treat requests so from now on."""
        for receiver in self._receivers:
            receiver.faults = GrpcFaults(**faults)

    def lose_cluster(self, change: Callable[[Collectors], None]) -> None:
        """Let Envoy not know the cluster, or no host of it."""
        change(self._discovered)
        self._no_cluster = True

    def heal(self) -> None:
        """End what is wrong."""
        self.answer()
        if self._away:
            for receiver in self._receivers:
                receiver.start_again()
        self._away = False
        if self._no_cluster:
            self._discovered.add()
        self._no_cluster = False

    def stop(self) -> None:
        """Close both."""
        self.heal()
        for receiver in self._receivers:
            receiver.stop()


def _hostile_answer(collectors: FaultyCollectors, rng: random.Random) -> None:
    # Of those that accept the spans nobody would count them.
    answers = [raw for raw, outcome in HTTP.values() if outcome != "exported"]
    collectors.answer(raw=rng.choice(answers))


FAULTS: dict[str, Callable[[FaultyCollectors, random.Random], None]] = {
    "refuses connections": lambda collectors, rng: collectors.go_away(),
    "hangs": lambda collectors, rng: collectors.answer(delay=3600),
    "is slow": lambda collectors, rng: collectors.answer(delay=rng.uniform(0.05, 0.5)),
    "closes connections": lambda collectors, rng: collectors.answer(close=True),
    "refuses spans": lambda collectors, rng: collectors.answer(status=rng.choice([400, 413, 500])),
    "is busy": lambda collectors, rng: collectors.answer(status=rng.choice([429, 503]), retry_after="1"),
    "takes small bodies only": lambda collectors, rng: collectors.answer(max_body=rng.choice([2_000, 20_000])),
    "gives hostile answers": _hostile_answer,
    "has no cluster": lambda collectors, rng: collectors.lose_cluster(Collectors.remove),
    "has no host": lambda collectors, rng: collectors.lose_cluster(Collectors.empty),
}
