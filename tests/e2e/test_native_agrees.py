"""The built module in Envoy does with a request, byte by byte, what the same code does natively, where it is fuzzed."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import REPOSITORY
from mesh.contexts import PROPAGATION_HEADERS, of_headers
from mesh.requests import HeaderList
from mesh.single import SingleProxy

SEED = 4_737
CHANGED = 1_000
CORPUS = REPOSITORY / "fuzz" / "corpus"
# All that depends on the request's headers alone.
TAGS = ("http.method", "user_agent", "bytes", "guid:x-client-trace-id", "meshspan.link")
CONFIG = {"sampling": 100, "maxTagLength": 64, "customTags": {"bytes": {"header": {"name": "x-bytes"}}}}
OTHER_FORMATS = {
    "sampling": 0,
    "propagation": {"extract": ["jaeger", "b3multi", "b3", "tracecontext"], "inject": ["tracecontext", "jaeger", "b3"]},
}
# What Envoy or HTTP/1.1 itself reads.
_NAME = re.compile(
    rb"traceparent|tracestate|b3|uber-trace-id|x-b3-[a-z]+|x-bytes|x-client-trace-id|user-agent"
)
_REFUSED_BYTES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def cases() -> list[HeaderList]:
    """Headers of the fuzz targets' seeds, and the same seeds changed at random."""
    seeds = [path.read_bytes() for name in ("context", "span") for path in sorted((CORPUS / name).iterdir())]
    dictionary = re.findall(rb'^"(.*)"$', (REPOSITORY / "fuzz" / "dictionary").read_bytes(), re.MULTILINE)
    dice = random.Random(SEED)
    changed = []
    for _ in range(CHANGED):
        text = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 4)):
            start = dice.randrange(len(text) + 1)
            byte, line = bytes([dice.randrange(256)]), b"\n" + dice.choice(dictionary) + b"\n"
            new = dice.choice((b"", byte, line, dice.choice(seeds)[:start]))
            text[start : start + dice.choice((0, 0, 1, 5))] = new
        changed.append(bytes(text))
    found = [headers(text) for text in (*seeds, *changed)]
    return [one for number, one in enumerate(found) if one and one not in found[:number]]


def headers(text: bytes) -> HeaderList:
    """The lines that are headers which a client can send and Envoy lets through."""
    lines = (line.partition(b": ") for line in text.split(b"\n"))
    # White space around a value is no part of it, and Envoy takes it away.
    kept = [(name, value.strip(b" \t")) for name, _, value in lines if _NAME.fullmatch(name)]
    kept = [(name, value) for name, value in kept if not _REFUSED_BYTES.search(value)]
    # Envoy joins the lines of headers that it knows.
    agents = [line for line in kept if line[0] == b"user-agent"]
    return [line for line in kept if line not in agents[1:]]


def natively(config: dict[str, Any], requests: list[HeaderList]) -> list[dict[str, Any]]:
    """What the tracer does without Envoy."""
    request = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"host"), (b":path", b"/")]
    text = b"\0".join(b"".join(b"%s: %s\n" % line for line in (*request, *one)) for one in requests)
    # With the features that the native tests have, so that it is built already where they ran.
    options = ["--quiet", "--locked", "--features", "checker", "--example", "native"]
    command = ["cargo", "run", *options, "--", json.dumps(config)]
    done = subprocess.run(command, cwd=REPOSITORY, input=text, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def comparable(went_out: list[tuple[str, str]], came_in: HeaderList) -> list[tuple[str, str]]:
    """Headers in the order of their names, with words for the ids that are made anew at random."""
    (traceparent,) = [value for name, value in went_out if name == "traceparent"]
    before = b"\n".join(value for _, value in came_in).decode("latin-1")
    _, trace, span, _ = traceparent.split("-", 3)
    words = {id: word for id, word in ((trace, "TRACE"), (span, "SPAN")) if id not in before}
    written = []
    for name, value in went_out:
        for id, word in words.items():
            value = value.replace(id, word)
        written.append((name, value))
    # Envoy gives the lines of one name in their order, names in any.
    return sorted(written, key=lambda line: line[0])


@pytest.mark.parametrize("config", [CONFIG, OTHER_FORMATS], ids=["default formats", "other formats"])
def test_the_module_writes_and_records_what_the_native_code_does(
    proxy: Callable[..., SingleProxy], config: dict[str, Any]
) -> None:
    traced, requests = proxy(config, failure_policy="FAIL_CLOSED"), cases()
    assert len(requests) > 300
    expected = natively(config, requests)
    went_out = []
    for number, one in enumerate(requests):
        with traced.connection() as connection:
            response = connection.request("GET", "/", headers=one, host="host")
        assert response.status == 200, (one, response)
        arrived = of_headers(traced.upstream.requests[number].headers, PROPAGATION_HEADERS)
        went_out.append([(name.decode(), value.decode("latin-1")) for name, value in arrived])
    for one, found, native in zip(requests, went_out, expected, strict=True):
        assert comparable(found, one) == comparable(native["headers"], one), one
    sampled = [native["tags"] for native in expected if native["tags"] is not None]
    spans = {span["id"]: span["tags"] for span in traced.spans(len(sampled), timeout=30)}
    for one, found, native in zip(requests, went_out, expected, strict=True):
        if native["tags"] is not None:
            (span,) = [value.split("-")[2] for name, value in found if name == "traceparent"]
            assert {tag: spans[span].get(tag) for tag in TAGS} == {tag: native["tags"].get(tag) for tag in TAGS}, one
