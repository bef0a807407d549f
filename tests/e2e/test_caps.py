"""Clients that send something else each time: nothing grows by it, and what found no room is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mesh.config import answer_everything
from mesh.single import SingleProxy

CONFIG: dict[str, Any] = {
    "sampling": {
        "percent": 50, "keep": {"errors": True},
        "rules": [
            {"name": "r", "match": {"path": {"regex": "^/p[0-9]*7"}}, "percent": 100, "ratePerSecond": 100_000},
            {"name": "h", "match": {"headers": {"x-a": {"suffix": "9"}}}, "percent": 0},
        ],
    },
    "customTags": {
        "a": {"header": {"name": "x-a"}, "mode": "mask"},
        "c": {"cookie": {"name": "c"}},
        "b": {"baggage": {"name": "b"}, "mode": "hash"},
        "p": {"pathSegment": {"template": "/{p}"}},
        "q": {"queryParameter": {"name": "q"}},
    },
    "hashKey": "0123456789abcdef",
    "spanName": {"template": "{method} {service} {operation}"},
    "operations": ["/{p}"],
    "response": {"traceresponse": True, "at": "everywhere"},
    "correlation": {"headers": ["x-session-id"]},
    "accessLog": "all",
    "trust": {"sampled": "limit", "from": [], "ratePerSecond": 100_000},
}  # fmt: skip
ROUNDS, REQUESTS = 6, 1_500
# From the second round to the last: what is left open for allocators, in bytes. What 7,500 requests sent is 30 MiB.
MOST_GROWTH = 2 << 20
MAX_NAMES, MAX_AUTHORITIES = 256, 100


def test_values_that_are_ever_new_make_nothing_grow(proxy: Callable[..., SingleProxy]) -> None:
    one = proxy(CONFIG, change=answer_everything, failure_policy="FAIL_CLOSED")
    memory, names = [], set()
    with one.connection() as connection:
        for round_ in range(ROUNDS):
            for number in range(round_ * REQUESTS, (round_ + 1) * REQUESTS):
                answer = connection.request("GET", _path(number), headers=_headers(number), host=f"h{number}.example")
                assert answer.status == 200
            one.settle(timeout=30)
            names |= {span["name"] for span in one.receiver.spans}
            one.receiver.clear()
            memory.append(one.envoy.anonymous())
    assert memory[-1] - memory[1] < MOST_GROWTH, memory
    # Names beyond the last are one name.
    assert MAX_AUTHORITIES < len(names) <= MAX_NAMES + 1
    stats = one.stats()
    for name in ("names_limited", "values_cut", "contexts_malformed"):
        assert stats[f"meshspan_{name}"] > ROUNDS, name
    assert not one.trapped()


def _path(number: int) -> str:
    return f"/p{number}/{'s' * (number % 300)}?q={number}&k{number}=v{number}"


def _headers(number: int) -> list[tuple[str, str]]:
    trace = f"{number + 1:032x}"
    contexts = [
        [("traceparent", f"00-{trace}-{number + 1:016x}-0{number // 4 % 2}"), ("tracestate", f"k{number}=v,ot=th:{number:x}")],
        [("b3", f"{trace}-{number + 1:016x}-d")],
        [("uber-trace-id", f"{number:x}:zz:{number}")],
        [],
    ]
    return [
        *contexts[number % 4],
        ("x-request-id", f"id-{number}"), ("x-session-id", f"session-{number}"), ("x-a", f"value-{number}"),
        ("cookie", f"c={number}; d{number}=x"), ("baggage", f"b={number},b{number}=x"),
        ("user-agent", f"agent/{number} {'x' * (number % 500)}"), (f"x-name-{number}", "v" * 3_000),
        ("te", "trailers"),
    ]  # fmt: skip
