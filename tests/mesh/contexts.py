"""Trace contexts in headers: what each format writes, and readable vectors of what comes in.

This is the tests' own opinion of the formats, read off their specifications.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping

import yaml

from .requests import HeaderList, as_bytes

# Words that stand for ids in vectors.
IDS = {
    "TRACE": "4bf92f3577b34da6a3ce929d0e0e4736",
    "ANOTHER": "80f198ee56343ba864fe8b2a57d3eff7",
    "SHORT": "a3ce929d0e0e4736",
    "SPAN": "00f067aa0ba902b7",
    "PARENT": "05e3ac9a4f6e3b90",
}

FORMATS: Mapping[str, tuple[bytes, ...]] = {
    "tracecontext": (b"traceparent",),
    "b3": (b"b3",),
    "b3multi": (b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-flags"),
    "jaeger": (b"uber-trace-id",),
}
INJECTED_BY_DEFAULT = ("tracecontext", "b3multi")

CONTEXT_HEADERS = tuple(name for names in FORMATS.values() for name in names)
PROPAGATION_HEADERS = (*CONTEXT_HEADERS, b"tracestate")


@dataclass(frozen=True)
class Context:
    """One position in a trace; `trace` has 32 digits, `decision` is sample, drop or debug."""

    trace: str
    span: str
    parent: str | None
    decision: str
    random: bool = False

    def written(self, format: str) -> dict[bytes, bytes]:
        """The headers that say this in one format."""
        # Systems that know 64-bit ids only would not read the zeros before one.
        b3_trace = self.trace[16:] if self.trace.startswith("0" * 16) else self.trace
        sampled = self.decision != "drop"
        if format == "tracecontext":
            flags = (1 if sampled else 0) | (2 if self.random else 0)
            return {b"traceparent": f"00-{self.trace}-{self.span}-{flags:02x}".encode()}
        if format == "b3":
            decision = {"drop": "0", "sample": "1", "debug": "d"}[self.decision]
            fields = [b3_trace, self.span, decision, *([self.parent] if self.parent else [])]
            return {b"b3": "-".join(fields).encode()}
        if format == "jaeger":
            flags = {"drop": 0, "sample": 1, "debug": 3}[self.decision]
            return {b"uber-trace-id": f"{b3_trace}:{self.span}:{self.parent or 0}:{flags}".encode()}
        headers = {b"x-b3-traceid": b3_trace.encode(), b"x-b3-spanid": self.span.encode()}
        # Nobody would find the parent of a span that is not recorded.
        if self.parent and sampled:
            headers[b"x-b3-parentspanid"] = self.parent.encode()
        if self.decision == "debug":
            return {**headers, b"x-b3-flags": b"1"}
        return {**headers, b"x-b3-sampled": b"1" if sampled else b"0"}


def of_headers(headers: Iterable[tuple[bytes, bytes]], wanted: Iterable[bytes]) -> HeaderList:
    """The headers of these names, in order."""
    names = set(wanted)
    return [(name, value) for name, value in headers if name in names]


def injected_traceparent(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str, bool]:
    """Trace id, span id and the sampled flag of the one traceparent that goes out."""
    (value,) = [value for name, value in headers if name == b"traceparent"]
    version, trace, span, flags = value.decode().split("-")
    assert (version, len(trace), len(span), len(flags)) == ("00", 32, 16, 2), value
    return trace, span, int(flags, 16) & 1 == 1


@dataclass(frozen=True)
class Vector:
    """Headers that come in, and the context that shall be continued from them.

    `trace` is None where a new trace begins. `out` are whole lines, where a vector has them,
    NEW standing for the id of the proxy's span. Where it `passes`, all goes on as it came in.
    """

    rule: str
    name: str
    configuration: Mapping[str, Any]
    through: tuple[str, ...]
    incoming: HeaderList
    trace: str | None
    parent: str | None
    decision: str
    random: bool
    malformed: bool
    tracestate_kept: bool
    out: tuple[str, ...]
    passes: bool

    def __str__(self) -> str:
        return f"{self.rule}: {self.name}"

    @property
    def setup(self) -> str:
        """Vectors of the same setup share proxies."""
        return repr((self.configuration, self.through))

    @property
    def keeps_span(self) -> bool:
        """Whether the span that came in goes on: nothing is recorded, and no random flag asks for another."""
        return self.decision == "drop" and self.trace is not None and not self.random

    def expected_formats(self) -> list[str]:
        """Those that are configured, and those that came in and must not go stale."""
        propagation = self.configuration.get("propagation", {})
        came_in = {name.lower() for name, _ in self.incoming}
        injected = propagation.get("inject", INJECTED_BY_DEFAULT)
        return [name for name, headers in FORMATS.items() if name in injected or came_in & set(headers)]


def read_vectors(path: Path) -> list[Vector]:
    """Read `[{rule, configuration, through, cases: {name: {in, trace, parent, ...}}}]`."""
    return [
        _vector(group, name, case)
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, case in group["cases"].items()
    ]


def _vector(group: Mapping[str, Any], name: str, case: Mapping[str, Any]) -> Vector:
    unknown = case.keys() - {"in", "trace", "parent", "decision", "random", "malformed", "tracestate", "out", "passes"}
    assert not unknown, f"{name}: {unknown}"
    trace = IDS[case["trace"]].zfill(32) if "trace" in case else None
    return Vector(
        rule=group["rule"],
        name=name,
        configuration=group["configuration"],
        through=tuple(group.get("through", ["inbound"])),
        incoming=[_header(line) for line in case["in"]],
        trace=trace,
        parent=IDS[case["parent"]] if "parent" in case else None,
        decision=case["decision"],
        random=case.get("random", trace is None),
        malformed=case.get("malformed", False),
        tracestate_kept=case.get("tracestate") == "kept",
        out=tuple(with_ids(line) for line in case.get("out", ())),
        passes=case.get("passes", False),
    )


def with_ids(text: str) -> str:
    """The text with ids for their words, and `(k)*256` written out as k 256 times."""
    for word, value in IDS.items():
        text = text.replace(word, value)
    return re.sub(r"\(([^()]+)\)\*(\d+)", lambda found: found[1] * int(found[2]), text)


def _header(line: str) -> tuple[bytes, bytes]:
    name, _, value = with_ids(line).partition(":")
    if value.startswith(" "):
        value = value[1:]
    return as_bytes(name), as_bytes(value)
