"""How often a request crosses the border between Envoy and the module, which is most of what it costs."""

from __future__ import annotations

import pytest

from mesh.bench.rows import BOTH, HEADERS, PATH, TRACEPARENT, asked_tags
from mesh.hostcalls import crossings

ALWAYS = {
    "proxy_on_context_create": 1,
    "proxy_on_request_headers": 1,
    "proxy_get_header_map_pairs": 1,
    # Room for what a hostcall gives.
    "proxy_on_memory_allocate": 1,
    "proxy_on_response_headers": 1,
    "proxy_on_log": 1,
    "proxy_on_done": 1,
}
# All attributes of a finished request at once.
SAMPLED = {"proxy_on_memory_allocate": 2, "proxy_call_foreign_function": 1}
# The bucket of a ceiling besides; the clock is WASI's, and not counted here.
LIMITED = {
    "proxy_on_memory_allocate": 3,
    "proxy_call_foreign_function": 1,
    "proxy_get_shared_data": 1,
    "proxy_set_shared_data": 1,
}
# One question at the end of a request that may be kept: whether anything is wrong with it. No is no value.
ASKED = {"proxy_call_foreign_function": 1}
KEEP = {"errors": True, "slowerThan": "60s"}
ADDED = "proxy_add_header_map_value"
REPLACED = "proxy_replace_header_map_value"
ASKED_TAGS = {"customTags": asked_tags(8)}
TAG = {"customTags": {"account": {"header": {"name": "x-account-id"}}}}


@pytest.mark.parametrize(
    ("config", "context", "expected"),
    [
        pytest.param({"sampling": 100, **TAG}, {}, {**SAMPLED, ADDED: 5}, id="sampled"),
        pytest.param({"sampling": 0, **TAG}, {}, {ADDED: 4}, id="not sampled"),
        pytest.param({"sampling": 0, **ASKED_TAGS}, {}, {ADDED: 4}, id="not sampled, with tags of the response"),
        pytest.param(
            {"sampling": 0, "propagation": {"inject": ["tracecontext"]}}, {}, {ADDED: 1}, id="one format goes out"
        ),
        pytest.param(
            {"sampling": {"percent": 100, "ratePerSecond": 50}, **TAG}, {}, {**LIMITED, ADDED: 5}, id="below a ceiling"
        ),
        pytest.param(
            {"sampling": {"percent": 0, "ratePerSecond": 50}, **TAG}, {}, {ADDED: 4}, id="not sampled, with a ceiling"
        ),
        pytest.param({"sampling": 100}, TRACEPARENT, {ADDED: 3}, id="unsampled in one of two formats"),
        pytest.param({"sampling": 100}, BOTH, {}, id="unsampled in every format"),
        pytest.param(
            {"sampling": 0, "response": {"traceresponse": True, "header": "x-trace-id", "at": "everywhere"}},
            BOTH,
            {"proxy_replace_header_map_value": 2},
            id="a response that tells of its trace",
        ),
        pytest.param({"sampling": {"percent": 0, "keep": KEEP}}, {}, {**ASKED, ADDED: 4}, id="it may be kept"),
        pytest.param(
            {"sampling": {"percent": 0, "keep": KEEP}},
            BOTH,
            {**ASKED, REPLACED: 2},
            id="it may be kept, unsampled in every format",
        ),
        pytest.param(
            {"sampling": {"percent": 0, "keep": {**KEEP, "percent": 0}}},
            BOTH,
            {},
            id="it may not be kept, unsampled in every format",
        ),
    ],
)
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_request_crosses_the_border_no_more_than_it_must(
    config: dict[str, object], context: dict[str, str], expected: dict[str, int], direction: str
) -> None:
    found = crossings(config, direction, PATH, [*HEADERS.items(), *context.items()])
    # Until it is known that there is no other worker, an inbound request is shared while it lasts, and an
    # outbound one without a context is looked up among what is shared.
    expected = {**ALWAYS, **expected}
    written = found.pop("proxy_set_shared_data", 0) - expected.pop("proxy_set_shared_data", 0)
    assert written in ((0, 2) if direction == "inbound" else (0,))
    read = found.pop("proxy_get_shared_data", 0) - expected.pop("proxy_get_shared_data", 0)
    assert 0 <= read <= (direction == "outbound" and not context)
    assert found == expected


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_without_correlation_nothing_is_shared(direction: str) -> None:
    config = {"sampling": 0, "correlation": {"mode": "off"}}
    assert crossings(config, direction, PATH, [*HEADERS.items()]) == {**ALWAYS, ADDED: 4}
