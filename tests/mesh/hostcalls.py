"""How often one request crosses the border between Envoy and the module, by Envoy's own trace log."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping
from typing import Any

from .envoy import wait_for
from .requests import HeaderList
from .single import SingleProxy

_CROSSING = re.compile(r"\[(host->vm|vm->host)\] (?:env\.)?(proxy_\w+)\((\d*)")
# These are the timer's, not a request's.
_TICK = "proxy_on_tick"


def crossings(config: Mapping[str, Any], direction: str, path: str, headers: HeaderList) -> dict[str, int]:
    """Send one request that follows others; each callback and hostcall with how many there were."""
    # No batch leaves meanwhile.
    proxy = SingleProxy({**config, "batch": {"interval": "60s"}}, direction)
    try:
        # So many are asked for their direction before it is believed, and the next is one of 64.
        for _ in range(20):
            proxy.request("GET", path, headers=headers)
        proxy.envoy.admin("/logging?wasm=trace", "POST")
        before = len(proxy.log())
        proxy.request("GET", path, headers=headers)
        wait_for(lambda: "[host<-vm] proxy_on_done" in proxy.log()[before:], what="the request's end")
        return _count(proxy.log()[before:])
    finally:
        proxy.stop()


def _count(log: str) -> dict[str, int]:
    counts: collections.Counter[str] = collections.Counter()
    in_tick = False
    for line in log.splitlines():
        if found := _CROSSING.search(line):
            in_tick = found[2] == _TICK or (in_tick and found[1] == "vm->host")
            if not in_tick:
                counts[found[2]] += 1
        elif "[host<-vm] " + _TICK in line:
            in_tick = False
    return dict(counts)
