"""What the shipped mesh configuration promises of access logs, and a collector behind a sidecar of the mesh."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mesh.config import Config, clusters, connection_managers
from mesh.envoy import wait_for
from mesh.http2 import grpc_answer
from mesh.manifests import ISTIO, objects
from mesh.single import SingleProxy
from mesh.upstream import Answer

Proxies = Callable[..., SingleProxy]

_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def shipped_labels() -> dict[str, str]:
    """The access log's fields, as shipped."""
    (operator,) = objects(ISTIO / "istio-operator.yaml")
    (provider,) = operator["spec"]["meshConfig"]["extensionProviders"]
    return provider["envoyFileAccessLog"]["logFormat"]["labels"]


def access_log(path: Path, labels: Mapping[str, str] | None = None) -> Callable[[Config], None]:
    """A change that writes the shipped access log into this file, or one with these fields."""
    typed = {"@type": _FILE_LOG, "path": str(path), "log_format": {"json_format": labels or shipped_labels()}}

    def change(config: Config) -> None:
        for manager in connection_managers(config):
            manager["access_log"] = [{"name": "file", "typed_config": typed}]

    return change


def logged(path: Path) -> dict[str, Any]:
    """The log's one line."""

    def line() -> dict[str, Any] | None:
        # Envoy writes the file within 10 s.
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return json.loads(text) if text.endswith("\n") else None

    found = wait_for(line, 30, "the access log's line")
    assert found is not None
    return found


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        [("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0")],
    ],
    ids=["new trace", "sampled", "unsampled"],
)
def test_the_access_log_has_the_ids_of_the_span(
    direction: str, headers: list[tuple[str, str]], proxy: Proxies, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    one = proxy(direction=direction, change=access_log(path))
    forwarded = one.forwarded(headers=headers)
    sampled = forwarded[b"x-b3-sampled"] == [b"1"]

    line = logged(path)
    assert line["response_code"] == 200
    if sampled:
        span = one.span()
        assert (line["trace_id"].zfill(32), line["span_id"]) == (span["traceId"].zfill(32), span["id"])
    _, trace_id, span_id, flags = forwarded[b"traceparent"][0].decode().split("-")
    assert (line["trace_id"].zfill(32), line["span_id"]) == (trace_id, span_id)
    assert line["sampled"] == ("1" if sampled else "0") == str(int(flags, 16) & 1)


@pytest.mark.parametrize("sampling", [0, 100])
def test_the_access_log_has_them_where_no_b3_is_written_as_the_readme_says(
    sampling: int, proxy: Proxies, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    names = {"trace_id": "wasm.trace_id", "span_id": "wasm.span_id", "flags": "wasm.trace_flags"}
    fields = {label: f"%FILTER_STATE({name}:PLAIN)%" for label, name in names.items()}
    readme = (ISTIO / "README.md").read_text(encoding="utf-8")
    assert f"`{fields['trace_id']}`, `wasm.span_id`" in readme and "`wasm.trace_flags`" in readme
    config = {"sampling": sampling, "accessLog": "all", "propagation": {"inject": ["tracecontext"]}}
    one = proxy(config, change=access_log(path, {**shipped_labels(), **fields}))
    forwarded = one.forwarded()
    assert b"x-b3-traceid" not in forwarded
    line = logged(path)
    assert f"00-{line['trace_id']}-{line['span_id']}-{line['flags']}".encode() == forwarded[b"traceparent"][0]
    assert int(line["flags"], 16) & 1 == (sampling == 100)


def has_exported(one: SingleProxy, count: int) -> bool:
    """Whether the collector has accepted that many spans."""
    return one.stats()["meshspan_spans_exported"] == count


@pytest.mark.parametrize(
    "protocol, answer", [("zipkin", Answer(202)), ("http/protobuf", Answer(200)), ("grpc", grpc_answer(0))]
)
def test_exports_are_not_traced_by_the_collectors_own_sidecar(protocol: str, answer: Answer, proxy: Proxies) -> None:
    over_grpc = protocol == "grpc"
    sidecar = proxy(upstream=answer, http2=over_grpc)

    def change(config: Config) -> None:
        (collector,) = [cluster for cluster in clusters(config) if cluster["name"] == "zipkin"]
        (host,) = collector["load_assignment"]["endpoints"][0]["lb_endpoints"]
        host["endpoint"]["address"]["socket_address"]["port_value"] = sidecar.port

    one = proxy({"sampling": 100, "collector": {"protocol": protocol}}, change=change)
    for number in range(3):
        one.request()
        wait_for(partial(has_exported, one, number + 1), what="the export")
    assert len(sidecar.upstream.requests) == 3
    # Its metrics come with the next tick; a decision without ids begins a trace.
    wait_for(lambda: sidecar.stats()["meshspan_contexts_started"] == 3, what="three contexts")
    assert sidecar.stats()["meshspan_spans_sampled"] == 0
    sidecar.request()
    assert len(sidecar.spans(1)) == 1
