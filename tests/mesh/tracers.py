"""Which tracer an Envoy runs: meshspan, one of Envoy's own, or none.

Envoy's own serve as the yardstick, for tags and for cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import WASM_TYPE, Config, connection_managers, plugin_configuration

TRACERS = ("meshspan", "native-zipkin", "none")

NATIVE_ZIPKIN = {
    "name": "envoy.tracers.zipkin",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
        "collector_cluster": "zipkin",
        "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": "HTTP_JSON",
        "trace_id_128bit": True,
        # As Istio sets it: the server's span has an id of its own.
        "shared_span_context": False,
    },
}


def set_tracer(config: Config, tracer: str, sampling: float | None = None) -> Config:
    """Replace the wasm filter by the tracer named; "meshspan" leaves it as it is."""
    if tracer not in TRACERS:
        raise ValueError(f"unknown tracer {tracer!r}, there are {', '.join(TRACERS)}")
    if tracer == "meshspan":
        return config
    plugin = plugin_configuration(config)
    percentage = sampling if sampling is not None else plugin.get("sampling", 100)
    for manager in connection_managers(config):
        manager["http_filters"] = [
            http_filter
            for http_filter in manager["http_filters"]
            if http_filter.get("typed_config", {}).get("@type") != WASM_TYPE
        ]
        if tracer == "native-zipkin":
            manager["tracing"] = {
                "provider": NATIVE_ZIPKIN,
                "client_sampling": {"value": 100},
                "random_sampling": {"value": percentage},
                "overall_sampling": {"value": 100},
                "custom_tags": _native_custom_tags(plugin.get("customTags", {})),
            }
    return config


def set_native_flush(config: Config, spans: int, interval_ms: int) -> Config:
    """How many spans, and how long, Envoy's Zipkin tracer waits before it sends (5, 5000)."""
    layer = {"tracing.zipkin.min_flush_spans": spans, "tracing.zipkin.flush_interval_ms": interval_ms}
    config["layered_runtime"] = {"layers": [{"name": "flush", "static_layer": layer}]}
    return config


def _native_custom_tags(tags: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Our customTags in the words of Envoy's connection manager."""
    native = []
    for name, source in tags.items():
        ((kind, fields),) = source.items()
        wanted: dict[str, Any] = {"tag": name}
        if kind == "header":
            wanted["request_header"] = {"name": fields["name"]}
        else:
            wanted[kind] = {key: value for key, value in fields.items() if key in ("name", "value")}
        if "defaultValue" in fields:
            target = "request_header" if kind == "header" else kind
            wanted[target]["default_value"] = fields["defaultValue"]
        native.append(wanted)
    return native
