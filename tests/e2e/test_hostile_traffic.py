"""Whatever clients and upstreams do to each other, nothing of it is different for the module, and the module lives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mesh.background import BackgroundLoop
from mesh.hostile.proxies import Proxies
from mesh.single import SingleProxy

SEED = 4_738
EXCHANGES = 6_000
# After a third of them everything has its size. What is left open for allocators, in bytes.
WARM, MOST_GROWTH = EXCHANGES // 3, 4 << 20


@pytest.mark.parametrize("more", [False, True], ids=["usual", "with more configured"])
@pytest.mark.parametrize(
    "over_http2, direction", [(False, "inbound"), (True, "outbound")], ids=["http1 inbound", "http2 outbound"]
)
def test_broken_exchanges_are_the_same_as_without_the_module(
    proxy: Callable[..., SingleProxy], loop: BackgroundLoop, over_http2: bool, direction: str, more: bool
) -> None:
    proxies = Proxies(proxy, loop, over_http2, direction, more)
    assert proxies.compare(range(WARM), SEED) == []
    before = proxies.memory()
    assert proxies.compare(range(WARM, EXCHANGES), SEED) == []
    assert proxies.check_spans() > EXCHANGES // (8 if more else 4)
    *grown, own = (after - first for first, after in zip(before, proxies.memory(), strict=True))
    assert max(grown) < max(own, 0) + MOST_GROWTH
    for one in proxies.traced:
        # The VM is the one that began: Envoy makes no other under this policy.
        assert one.stats()["meshspan_spans_sampled"] > 0 and not one.trapped()
    if more:
        # What is configured has been at work.
        stats = [one.stats() for one in proxies.traced]
        for name in ("spans_kept", "contexts_replaced", "decisions_ignored", "traces_limited"):
            assert any(one.get(f"meshspan_{name}") for one in stats), name
        assert {b"traceresponse", b"x-trace-id"} <= proxies.seen
