"""What a trap of the module's own costs, by where it is and by what Envoy was told to do then.

`make traps` builds the module with what ends it where a request says so; nothing else is different.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mesh.config import TRAPPING, Config, load, set_module, wasm_plugins
from mesh.envoy import wait_for
from mesh.requests import request_bytes
from mesh.single import HOSTS, SingleProxy

Proxies = Callable[..., SingleProxy]

HEADER = "x-meshspan-trap"
# Where it traps, and what the request that asked for it is answered with.
PLACES = {"request-headers": 503, "response-headers": 503, "log": 200, "tick": 200}
POLICIES = ("FAIL_CLOSED", "FAIL_OPEN", "FAIL_RELOAD")
WAITING = 3


def trapping(proxy: Proxies, policy: str) -> SingleProxy:
    """A proxy with one worker whose module traps on demand, and the shipped pause before a new VM."""

    def change(config: Config) -> None:
        set_module(config, TRAPPING, policy)

    return proxy(change=change, clean=False)


def trap(one: SingleProxy, place: str) -> int:
    """Have it trap; the status of the request that did it."""
    status = one.request(headers=[(HEADER, place)]).status
    one.envoy.wait_for_log(f"a request asked for a trap in {place}")
    return status


def vm(one: SingleProxy, name: str) -> int:
    """What Envoy counts of the reloads of its VMs."""
    return sum(value for key, value in one.envoy.stats("wasm.").items() if key.endswith(f".{name}"))


# What `istio/` says of it is in test_istio_failure.py.
@pytest.mark.parametrize("name", ["dockebi", "dockebi-storage", "envoy", "gateway"])
def test_the_shipped_files_have_a_new_vm_made_soon(name: str) -> None:
    for plugin in wasm_plugins(load(name)):
        assert plugin["failure_policy"] == "FAIL_RELOAD"
        assert plugin["reload_config"] == {"backoff": {"base_interval": "0.01s"}}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_trap_costs_in_requests_and_in_spans(policy: str, place: str, proxy: Proxies) -> None:
    one = trapping(proxy, policy)
    one.receiver.faults.status = 503
    for _ in range(WAITING):
        assert one.request().status == 200
    wait_for(lambda: one.stats()["meshspan_queue_spans"] == WAITING, what="spans that wait")
    with one.connection() as under_way:
        whole = request_bytes("POST", body=b"12", host=HOSTS[one.direction])
        under_way.send(whole[:-1])
        wait_for(lambda: one.stats()["meshspan_contexts_started"] == WAITING + 1, what="a request under way")
        assert trap(one, place) == PLACES[place]
        # Whatever the policy, it takes the answers of all that the VM had under way.
        under_way.send(whole[-1:])
        assert under_way.read_response().status == 503
    one.receiver.clear()
    one.receiver.faults.status = 200
    if policy == "FAIL_RELOAD":
        refused = 0
        while (status := one.request(path="/later").status) != 200:
            assert status == 503
            refused += 1
        # What has come meanwhile was refused, and is counted; then there is a VM again.
        assert vm(one, "vm_reload_backoff") == refused
        assert vm(one, "vm_reload_success") == 1
        # The new VM has spans of its own only: what waited in the old one went with it.
        assert [span["tags"]["http.url"].endswith("/later") for span in one.receiver.wait_for(1)] == [True]
        assert b"x-b3-traceid" in one.forwarded()
    else:
        forwarded = len(one.upstream.requests)
        expected = {"FAIL_CLOSED": 503, "FAIL_OPEN": 200}[policy]
        assert {one.request().status for _ in range(20)} == {expected}
        later = one.upstream.requests[forwarded:]
        assert len(later) == (20 if expected == 200 else 0)
        # None is traced, and nothing comes back by itself.
        assert all(request.header("x-b3-traceid") is None for request in later)
        assert one.receiver.spans == []
        assert vm(one, "vm_reload_success") == vm(one, "vm_reload_backoff") == 0
    # The gauge of what waited stays where it was: nobody is there to lower it.
    assert one.stats()["meshspan_queue_spans"] >= WAITING
