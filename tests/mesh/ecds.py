"""Filters (ECDS), listeners (LDS) and clusters (CDS) read from files that Envoy watches, to change them live."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Iterable

from .config import (
    STRING_TYPE,
    WASM_TYPE,
    Config,
    PluginConfiguration,
    connection_managers,
    set_plugin_configuration,
    wasm_plugins,
)

_EXTENSION_TYPE = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
_CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"


class _Watched:
    """A file with a DiscoveryResponse, replaced by an atomic move into its watched folder."""

    def __init__(self, folder: Path, name: str) -> None:
        # A folder of its own: Envoy watches the whole of it.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
        self._path = self._folder / "response.json"
        self._version = 0

    def write(self, resources: Iterable[Config]) -> None:
        """Say that these are the resources from now on."""
        self._version += 1
        response = {"version_info": str(self._version), "resources": list(resources)}
        new = self._folder / "new"
        new.write_text(json.dumps(response), encoding="utf-8")
        os.replace(new, self._path)

    def source(self) -> Config:
        """Envoy's config source for this file."""
        path = {"path": str(self._path), "watched_directory": {"path": str(self._folder)}}
        return {"path_config_source": path, "resource_api_version": "V3"}


class ExtensionConfig:
    """The plugin's configuration by ECDS.

    Give `install` to `SingleProxy(change=...)`: what the wasm filter of the Envoy
    configuration says moves into the file, and `replace` changes it while Envoy runs.
    """

    def __init__(self, folder: Path, name: str = "meshspan") -> None:
        self.name = name
        self._file = _Watched(folder, "ecds")
        self._filter: dict[str, Any] = {}

    def install(self, config: Config) -> None:
        """Take the wasm filters out of `config` and have them discovered here."""
        self._filter = {"@type": WASM_TYPE, "config": next(wasm_plugins(config))}
        self._write()
        for manager in connection_managers(config):
            for index, http_filter in enumerate(manager["http_filters"]):
                if http_filter.get("typed_config", {}).get("@type") == WASM_TYPE:
                    manager["http_filters"][index] = self.discovered()

    def discovered(self) -> Config:
        """The filter as a connection manager names it."""
        discovery = {"config_source": self._file.source(), "type_urls": [WASM_TYPE]}
        return {"name": self.name, "config_discovery": discovery}

    def replace(self, configuration: PluginConfiguration) -> None:
        """Give the plugin another configuration; text goes in raw, empty text leaves it out."""
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        plugin = self._filter["config"]
        plugin.pop("configuration", None)
        if text:
            plugin["configuration"] = {"@type": STRING_TYPE, "value": text}
        self._write()

    def replace_module(self, module: Path, vm_id: str) -> None:
        """Have the plugin run by another module, in virtual machines of its own."""
        machine = self._filter["config"]["vm_config"]
        machine["vm_id"] = vm_id
        machine["code"]["local"] = {"filename": str(module)}
        self._write()

    def _write(self) -> None:
        self._file.write([{"@type": _EXTENSION_TYPE, "name": self.name, "typed_config": self._filter}])


class Listeners:
    """All listeners by LDS; used like `ExtensionConfig`."""

    def __init__(self, folder: Path) -> None:
        self._file = _Watched(folder, "lds")
        self._config: Config = {}

    def install(self, config: Config) -> None:
        """Take the listeners out of `config` and have them discovered here."""
        listeners = config["static_resources"].pop("listeners")
        self._config = {"static_resources": {"listeners": listeners}}
        config["static_resources"]["listeners"] = []
        config["dynamic_resources"] = {"lds_config": self._file.source()}
        self._write(listeners)

    def replace(self, configuration: PluginConfiguration) -> None:
        """Give the plugin of every listener another configuration."""
        set_plugin_configuration(self._config, configuration)
        self._write(self._config["static_resources"]["listeners"])

    def remove(self, name: str) -> None:
        """Take one listener away."""
        listeners = self._config["static_resources"]["listeners"]
        listeners[:] = [listener for listener in listeners if listener["name"] != name]
        self._write(listeners)

    def _write(self, listeners: Iterable[Config]) -> None:
        self._file.write({"@type": _LISTENER_TYPE, **listener} for listener in listeners)


class Collectors:
    """The collector's cluster by CDS; used like `ExtensionConfig`."""

    def __init__(self, folder: Path, name: str = "zipkin") -> None:
        self._name = name
        self._file = _Watched(folder, "cds")
        self._cluster: Config = {}

    def install(self, config: Config) -> None:
        """Take the collector's cluster out of `config` and have it discovered here."""
        clusters = config["static_resources"]["clusters"]
        (self._cluster,) = [one for one in clusters if one["name"] == self._name]
        clusters.remove(self._cluster)
        config.setdefault("dynamic_resources", {})["cds_config"] = self._file.source()
        self.add()

    def add(self) -> None:
        """Let the cluster be there, as the Envoy configuration had it."""
        self._file.write([{"@type": _CLUSTER_TYPE, **self._cluster}])

    def remove(self) -> None:
        """Take the cluster away."""
        self._file.write([])

    def empty(self) -> None:
        """Leave the cluster without a host."""
        cluster = {**self._cluster, "type": "STATIC"}
        cluster["load_assignment"] = {"cluster_name": self._name, "endpoints": []}
        self._file.write([{"@type": _CLUSTER_TYPE, **cluster}])
