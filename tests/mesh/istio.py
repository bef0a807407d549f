"""Envoys as Istio configures them: what istiod, pilot-agent and the injector make of the files in `istio/`.

The shapes are those that Istio 1.30's istiod generates.  Left out are the filters that only Istio's
own proxy has (istio.metadata_exchange, istio.alpn, istio.stats and a waypoint's peer metadata),
mutual TLS, and the way from istiod to Envoy: here Envoy reads the plugin from a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .config import REPOSITORY, WASM_TYPE, Config, connection_managers, merge_node_metadata, wasm_plugins
from .ecds import ExtensionConfig

_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
_RBAC_TYPE = f"{_TYPE}.rbac.v3.RBAC"
_FAILURE_POLICIES = {
    None: "FAIL_CLOSED",
    "FAIL_CLOSE": "FAIL_CLOSED",
    "FAIL_OPEN": "FAIL_OPEN",
    "FAIL_RELOAD": "FAIL_RELOAD",
}
# What comes between a plugin of the phase AUTHN and the router.
_LATER_FILTERS = [
    {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {
            "@type": f"{_TYPE}.grpc_stats.v3.FilterConfig",
            "emit_filter_state": True,
            "stats_for_all_methods": False,
        },
    },
    {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{_TYPE}.fault.v3.HTTPFault"}},
    {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{_TYPE}.cors.v3.Cors"}},
]
# All statistics that a proxy of Istio keeps where nobody asks for more.
_KEPT_STATS = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"]


def manifest(path: str) -> Config:
    """One of the files in `istio/` that hold a single object."""
    return yaml.safe_load((REPOSITORY / "istio" / path).read_text(encoding="utf-8"))


def shipped_tracing() -> dict[str, Any]:
    """The mesh configuration's part on tracing, as shipped."""
    return manifest("istio-operator.yaml")["spec"]["meshConfig"]["defaultConfig"]["tracing"]


def plugin_text(wasm_plugin: Config) -> str:
    """The plugin configuration of a WasmPlugin in istiod's words: compact, keys sorted, empty when absent."""
    given = wasm_plugin["spec"].get("pluginConfig")
    return json.dumps(given, separators=(",", ":"), sort_keys=True) if given else ""


def node_metadata(**tracing: Any) -> dict[str, Any]:
    """Node metadata as the injector and pilot-agent fill it, for a mesh configuration with a Zipkin address."""
    proxy_config = {"tracing": {"zipkin": {"address": "zipkin.istio-system:9411"}, **tracing}}
    return {"ISTIO_VERSION": "1.30.3", "PROXY_CONFIG": proxy_config}


class WasmPlugin(ExtensionConfig):
    """A WasmPlugin as it reaches Envoy; `install` makes the Envoy one of Istio's.

    Used like `ExtensionConfig`: the plugin configuration is what the Envoy configuration
    says, everything else what the manifest does, by default `base/wasmplugin.yaml`.
    """

    def __init__(self, folder: Path, wasm_plugin: Config | None = None) -> None:
        self._manifest = wasm_plugin or manifest("base/wasmplugin.yaml")
        metadata = self._manifest["metadata"]
        self._plugin = f"{metadata['namespace']}.{metadata['name']}~istio-translated-wasmplugin"
        super().__init__(folder, f"extensions.istio.io/trafficextension/{self._plugin}")

    def install(self, config: Config) -> None:
        """Order the filters as istiod does, and have the plugin discovered."""
        spec = self._manifest["spec"]
        assert spec["phase"] == "AUTHN", "the place of no other phase is known here"
        for plugin in wasm_plugins(config):
            plugin["name"] = self._plugin
            plugin["root_id"] = spec.get("pluginName", "")
            plugin["failure_policy"] = _FAILURE_POLICIES[spec.get("failStrategy")]
        for manager in connection_managers(config):
            if any(is_wasm(one) for one in manager["http_filters"]):
                plugin, *others, router = manager["http_filters"]
                manager["http_filters"] = [plugin, *others, *_LATER_FILTERS, router]
        prefixes = [{"prefix": prefix} for prefix in _KEPT_STATS]
        config["stats_config"] = {"stats_matcher": {"inclusion_list": {"patterns": prefixes}}}
        if "ISTIO_VERSION" not in config["node"]["metadata"]:
            merge_node_metadata(config, node_metadata())
        super().install(config)

    def discovered(self) -> Config:
        """The filter as istiod names it; pilot-agent may put the second type in its place."""
        found = super().discovered()
        found["config_discovery"]["type_urls"].append(_RBAC_TYPE)
        # Envoy opens no listener before it has the plugin.
        found["config_discovery"]["config_source"]["initial_fetch_timeout"] = "0s"
        return found

    def replace_module(self, module: Path) -> None:
        """Give Envoy another module."""
        self._filter["config"]["vm_config"]["code"] = {"local": {"filename": str(module)}}
        self._write()

    def cannot_be_fetched(self) -> None:
        """What pilot-agent gives Envoy where it cannot have the image: a filter that allows or denies all."""
        allow = self._manifest["spec"].get("failStrategy") == "FAIL_OPEN"
        rules = {} if allow else {"rules": {}}
        self._filter = {"@type": _RBAC_TYPE, **rules}
        self._write()


def is_wasm(http_filter: Mapping[str, Any]) -> bool:
    """Whether this is a wasm filter with its configuration in place."""
    return http_filter.get("typed_config", {}).get("@type") == WASM_TYPE
