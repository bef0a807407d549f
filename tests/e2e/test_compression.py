"""gzip: the same spans in fewer bytes, said so in the header, for each protocol over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.config import MODULE, set_module
from mesh.envoy import wait_for
from mesh.single import HOSTS, SingleProxy

PROTOCOLS = ("zipkin", "http/protobuf")
PARENT_ID = "b7ad6b7169203331"


def _plugin(protocol: str, compression: str | None, **more: Any) -> dict[str, Any]:
    chosen = {} if compression is None else {"compression": compression}
    return {"sampling": 100, "collector": {"protocol": protocol, **chosen}, **more}


def _send(proxy: SingleProxy, count: int) -> set[str]:
    """Requests of that many traces, over one connection."""
    trace_ids = [f"{(1 << 120) + number:032x}" for number in range(count)]
    with proxy.connection() as connection:
        for trace_id in trace_ids:
            headers = [("traceparent", f"00-{trace_id}-{PARENT_ID}-01")]
            assert connection.request("GET", "/", headers, host=HOSTS["inbound"]).status == 200
    return set(trace_ids)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("compression", [None, "none", "gzip"])
def test_a_body_is_compressed_if_the_configuration_says_so(
    proxy: Callable[..., SingleProxy], protocol: str, compression: str | None
) -> None:
    one = proxy(_plugin(protocol, compression))
    sent = _send(one, 50)
    # The receiver undoes what the header says, and is strict about what comes out.
    assert {span["traceId"] for span in one.spans(50)} == sent
    for request in one.receiver.requests:
        on_the_wire = int(request.headers["content-length"])
        if compression == "gzip":
            assert request.headers["content-encoding"] == "gzip"
            assert on_the_wire < request.size
        else:
            assert "content-encoding" not in request.headers
            assert on_the_wire == request.size


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_waits_counts_as_it_is_and_a_batch_that_failed_goes_again_compressed(
    proxy: Callable[..., SingleProxy], protocol: str
) -> None:
    one = proxy(_plugin(protocol, "gzip"))
    one.receiver.faults.status = 503
    sent = _send(one, 20)
    wait_for(lambda: one.stats()["meshspan_export_failures"] > 0, what="a failure")
    wait_for(lambda: one.stats()["meshspan_queue_spans"] == 20, what="that all spans wait")
    waiting = one.stats()["meshspan_queue_bytes"]
    one.receiver.faults.status = 200
    assert {span["traceId"] for span in one.spans(20, timeout=30)} == sent
    stats = one.stats()
    assert (stats["meshspan_spans_exported"], stats["meshspan_queue_bytes"]) == (20, 0)
    read = sum(request.size for request in one.receiver.requests if request.spans)
    # Not the bytes on the wire, which are a fraction of this.
    assert waiting > read / 2
    assert {request.headers["content-encoding"] for request in one.receiver.requests} == {"gzip"}


def test_where_envoy_cannot_compress_spans_go_as_they_are_and_the_log_says_so(
    proxy: Callable[..., SingleProxy], tmp_path: Path
) -> None:
    module = tmp_path / "module.wasm"
    # Asks for a function that no Envoy has.
    content, changed = re.subn(rb"compress(?!ion)", b"comprend", MODULE.read_bytes())
    assert changed == 1
    module.write_bytes(content)
    one = proxy(_plugin("zipkin", "gzip"), change=lambda config: set_module(config, module))
    sent = _send(one, 20)
    assert {span["traceId"] for span in one.spans(20)} == sent
    assert not any("content-encoding" in request.headers for request in one.receiver.requests)
    assert "collector.compression: this Envoy has no gzip for modules; spans go without" in one.log()
