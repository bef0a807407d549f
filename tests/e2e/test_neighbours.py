"""Another plugin in the same proxy writes into the shared data that the module keeps its buckets and its workers'
requests in: nothing traps, no request fails, and what was spoilt is right again."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from typing import Any

import pytest

from mesh.config import REPOSITORY, WASM_TYPE, Config, connection_managers, wasm_plugins
from mesh.envoy import wait_for
from mesh.single import SingleProxy

FOREIGN = REPOSITORY / "target" / "modules" / "foreign.wasm"
VM = "shared by both"
BUCKETS = ("meshspan.ceiling", "meshspan.ceiling.0", "meshspan.ceiling.untrusted", "meshspan.kept")
CONFIG: dict[str, Any] = {
    "sampling": {
        "percent": 100, "ratePerSecond": 100_000, "keep": {"errors": True, "ratePerSecond": 100_000},
        "rules": [{"name": "r", "match": {"path": {"prefix": "/r"}}, "percent": 100, "ratePerSecond": 100_000}],
    },
    "trust": {"sampled": "limit", "from": [], "ratePerSecond": 100_000},
}  # fmt: skip
# Tokens and the time of them, as the module writes a bucket, and what it does not.
VALUES = {
    "nothing": b"",
    "one byte": b"\x00",
    "too short": b"\xff" * 15,
    "too long": b"\xff" * 17,
    "far too long": b"\xff" * 20_000,
    "no number": struct.pack("<dQ", float("nan"), 0),
    "without end": struct.pack("<dQ", float("inf"), 2**64 - 1),
    "without beginning": struct.pack("<dQ", float("-inf"), 2**63),
    "of the future": struct.pack("<dQ", 1.0, 2**64 - 1),
    "in debt": struct.pack("<dQ", -1e300, 1),
    "an entry of correlation": b"\x01" * 45,
    "seventeen of them": b"\xff" * 45 * 17,
    "a thousand of them": b"\x01" * 45 * 500,
}


def _with_foreign(config: Config) -> None:
    """Put the other plugin before the module, in one virtual machine's name space."""
    for manager in connection_managers(config):
        filters = manager["http_filters"]
        (place,) = (at for at, one in enumerate(filters) if one.get("typed_config", {}).get("@type") == WASM_TYPE)
        other = copy.deepcopy(filters[place])
        other["name"] = "foreign"
        plugin = other["typed_config"]["config"]
        plugin["name"] = plugin["root_id"] = "foreign"
        plugin["vm_config"]["code"]["local"] = {"filename": str(FOREIGN)}
        plugin.pop("configuration", None)
        filters.insert(place, other)
    for plugin in wasm_plugins(config):
        plugin["vm_config"]["vm_id"] = VM


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def beside(request: pytest.FixtureRequest, module_proxy: Callable[..., SingleProxy]) -> SingleProxy:
    return module_proxy(CONFIG, change=_with_foreign, concurrency=request.param, failure_policy="FAIL_CLOSED")


@pytest.mark.parametrize("name", VALUES)
def test_what_another_plugin_writes_spoils_nothing_for_long(name: str, beside: SingleProxy) -> None:
    digits = VALUES[name].hex()
    pairs = [f"{bucket.encode().hex()}={digits}" for bucket in BUCKETS] + [f"*={digits}"]
    for pair in pairs:
        for path in ("/", "/r"):
            for context in ((), (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)):
                answer = beside.request("GET", path, headers=[("x-foreign", pair), ("x-request-id", name), *context])
                assert answer.status == 200
    assert not beside.trapped()

    def is_sampled() -> bool:
        return all(
            beside.forwarded("GET", path)[b"traceparent"][0].endswith((b"-01", b"-03")) for path in ("/", "/r") * 3
        )

    # A clock that is ahead is believed for a second, and a debt is paid soon at this rate.
    wait_for(is_sampled, 20, "new traces that are sampled")
    beside.settle()
