"""The plugin configuration by extension discovery (ECDS), as Istio delivers it, from a file.

Envoy takes a new file live; one that it refuses leaves the old configuration in force.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .config import STRING_TYPE, WASM_TYPE, Config, PluginConfiguration, connection_managers

_EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"


class DiscoveredPlugin:
    """The wasm filters of a configuration, moved out of it into a file that Envoy watches."""

    def __init__(self, config: Config, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.ecds.json"
        self._name = name
        self._version = 0
        self._filter: dict[str, Any] = {}
        for manager in connection_managers(config):
            for http_filter in manager["http_filters"]:
                if http_filter.get("typed_config", {}).get("@type") == WASM_TYPE:
                    self._filter = http_filter.pop("typed_config")
                    http_filter["name"] = name
                    http_filter["config_discovery"] = self._source()
        self._write()

    def _source(self) -> dict[str, Any]:
        path = {"path_config_source": {"path": str(self._path)}, "resource_api_version": "V3"}
        return {"config_source": path, "type_urls": [WASM_TYPE]}

    def put(self, configuration: PluginConfiguration) -> None:
        """Give Envoy another plugin configuration; text goes in raw, empty text leaves it out."""
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        plugin = self._filter["config"]
        plugin.pop("configuration", None)
        if text:
            plugin["configuration"] = {"@type": STRING_TYPE, "value": text}
        self._write()

    def _write(self) -> None:
        self._version += 1
        extension = {"@type": _EXTENSION, "name": self._name, "typed_config": self._filter}
        response = {"version_info": str(self._version), "resources": [extension]}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(response, indent=1), encoding="utf-8")
        # Envoy looks at a file again only when another one is moved to its place.
        os.replace(fresh, self._path)
