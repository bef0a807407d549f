"""The Envoy configuration files of `envoy/`, moved onto loopback and adjusted.

Every change is a function from a loaded configuration to the same one changed, so
that what tests run is always the shipped file plus what the test says.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Config = dict[str, Any]
Address = tuple[str, int]
PluginConfiguration = Mapping[str, Any] | str

REPOSITORY = Path(__file__).resolve().parents[2]
ENVOY_FOLDER = REPOSITORY / "envoy"
MODULE = REPOSITORY / "dist" / "meshspan.wasm"
# The same with what traps where a request tells it to, by `make traps`.
TRAPPING = REPOSITORY / "target" / "traps" / "wasm32-unknown-unknown" / "release" / "meshspan.wasm"
WASM_TYPE = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
STRING_TYPE = "type.googleapis.com/google.protobuf.StringValue"


def load(name: str, folder: Path = ENVOY_FOLDER) -> Config:
    """Read `<name>.yaml` of `envoy/` or another folder."""
    parsed = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    # YAML anchors come back as one shared object; a copy of each lets them differ.
    return json.loads(json.dumps(parsed))


def listeners(config: Config) -> list[Config]:
    """The listeners of a configuration."""
    return config["static_resources"]["listeners"]


def clusters(config: Config) -> list[Config]:
    """The clusters of a configuration."""
    return config["static_resources"]["clusters"]


def connection_managers(config: Config) -> Iterator[Config]:
    """Every HTTP connection manager, listener by listener."""
    for listener in listeners(config):
        for chain in listener["filter_chains"]:
            for network_filter in chain["filters"]:
                if "http_filters" in network_filter["typed_config"]:
                    yield network_filter["typed_config"]


def wasm_plugins(config: Config) -> Iterator[Config]:
    """The plugin part of every wasm filter."""
    for manager in connection_managers(config):
        for http_filter in manager["http_filters"]:
            if http_filter.get("typed_config", {}).get("@type") == WASM_TYPE:
                yield http_filter["typed_config"]["config"]


def _socket_addresses(node: Any) -> Iterator[Config]:
    if isinstance(node, dict):
        if "socket_address" in node:
            yield node["socket_address"]
        for value in node.values():
            yield from _socket_addresses(value)
    elif isinstance(node, list):
        for value in node:
            yield from _socket_addresses(value)


def relocate(config: Config, endpoints: Mapping[Address, Address]) -> Config:
    """Listen on free loopback ports and reach each endpoint where it really is.

    An endpoint that `endpoints` does not name is an error: a test must not reach for a
    host name of the compose file by accident.
    """
    for listener in listeners(config):
        if "internal_listener" not in listener:
            listener["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    for cluster in clusters(config):
        for address in _socket_addresses(cluster.get("load_assignment", {})):
            host, port = endpoints[address["address"], address["port_value"]]
            address.update(address=host, port_value=port)
    config["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return config


def set_endpoint(cluster: Config, address: Address) -> None:
    """Reach a cluster's only endpoint there."""
    (endpoint,) = _socket_addresses(cluster["load_assignment"])
    endpoint["address"], endpoint["port_value"] = address


def add_cluster_like(config: Config, name: str, new: str) -> Config:
    """Add a cluster that is another one by a new name, and return it."""
    (cluster,) = [one for one in clusters(config) if one["name"] == name]
    copied = copy.deepcopy(cluster)
    copied["name"] = copied["load_assignment"]["cluster_name"] = new
    clusters(config).append(copied)
    return copied


def set_module(
    config: Config,
    module: Path = MODULE,
    failure_policy: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Load the module from `module`, with another failure policy or VM environment if given."""
    for plugin in wasm_plugins(config):
        plugin["vm_config"]["code"]["local"] = {"filename": str(module)}
        if failure_policy is not None:
            plugin["failure_policy"] = failure_policy
        if environment:
            plugin["vm_config"]["environment_variables"] = {"key_values": dict(environment)}
    return config


def plugin_configuration(config: Config) -> dict[str, Any]:
    """The plugin configuration as the file has it (of the first wasm filter)."""
    for plugin in wasm_plugins(config):
        return json.loads(plugin["configuration"]["value"])
    return {}


def set_plugin_configuration(config: Config, configuration: PluginConfiguration) -> Config:
    """Replace the plugin configuration; text goes in raw, and empty text leaves it out."""
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    for plugin in wasm_plugins(config):
        if text:
            plugin["configuration"] = {"@type": STRING_TYPE, "value": text}
        else:
            plugin.pop("configuration", None)
    return config


def merge_node_metadata(config: Config, metadata: Mapping[str, Any]) -> Config:
    """Add to the node metadata; a value None takes the key out."""
    node = config.setdefault("node", {}).setdefault("metadata", {})
    for key, value in metadata.items():
        if value is None:
            node.pop(key, None)
        else:
            node[key] = copy.deepcopy(value)
    return config


def add_outbound(config: Config) -> Config:
    """Beside the inbound listener of a sidecar the outbound one, with the very same plugin."""
    (inbound,) = listeners(config)
    outbound = listeners(load("dockebi"))[1]
    outbound["address"] = copy.deepcopy(inbound["address"])
    listeners(config).append(outbound)
    plugin = next(wasm_plugins(config))
    for other in wasm_plugins(config):
        other.update(copy.deepcopy(plugin))
    return config


def answer_everything(config: Config, body: bytes = b"") -> Config:
    """Have the proxy itself answer every request by 200."""
    answer = {"status": 200, "body": {"inline_string": body.decode("ascii")}} if body else {"status": 200}
    for manager in connection_managers(config):
        route = {"match": {"prefix": "/"}, "direct_response": answer}
        manager["route_config"] = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}
    return config


def use_http2(config: Config, *names: str) -> Config:
    """Speak HTTP/2 to these clusters."""
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": f"type.googleapis.com/{kind}", "explicit_http_config": {"http2_protocol_options": {}}}
    for cluster in clusters(config):
        if cluster["name"] in names:
            cluster["typed_extension_protocol_options"] = {kind: options}
    return config
