"""Which tracer an Envoy runs: meshspan, one of Envoy's own, or none.

Envoy's own serve as the yardstick, for tags and for cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import WASM_TYPE, Config, connection_managers, plugin_configuration

TRACERS = ("meshspan", "native-zipkin", "native-opentelemetry", "none")

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

NATIVE_OPENTELEMETRY = {
    "name": "envoy.tracers.opentelemetry",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "dockebi.demo",
        # HTTP, so that every tracer reaches the same cluster the same way.
        "http_service": {"http_uri": {"uri": "http://zipkin/v1/traces", "cluster": "zipkin", "timeout": "5s"}},
    },
}

_NATIVE = {"native-zipkin": NATIVE_ZIPKIN, "native-opentelemetry": NATIVE_OPENTELEMETRY}


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
        if tracer in _NATIVE:
            manager["tracing"] = {
                "provider": _NATIVE[tracer],
                "client_sampling": {"value": 100},
                "random_sampling": {"value": percentage},
                "overall_sampling": {"value": 100},
                "custom_tags": _native_custom_tags(plugin.get("customTags", {})),
            }
    return config


def set_native_flush(config: Config, spans: int, interval_ms: int) -> Config:
    """How many spans, and how many milliseconds, Envoy's own tracers wait before they send (5, 5000)."""
    layer = {
        f"tracing.{tracer}.{name}": value
        for tracer in ("zipkin", "opentelemetry")
        for name, value in {"min_flush_spans": spans, "flush_interval_ms": interval_ms}.items()
    }
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
