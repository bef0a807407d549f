"""The tunnels of an ambient mesh: HBONE, HTTP/2 CONNECT from proxy to proxy."""

from __future__ import annotations

from typing import Any

from .config import Config, clusters, listeners, use_http2

CONNECT_ORIGINATE = "connect_originate"

_TYPE = "type.googleapis.com/envoy.extensions"


def through_hbone(config: Config, name: str, destination: str) -> Config:
    """Lead the cluster `name` through a tunnel to where its endpoints are, as istiod does.

    `destination` is the address inside the tunnel: of a service that has a waypoint the service's.
    """
    config["bootstrap_extensions"] = [
        {
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {"@type": f"{_TYPE}.bootstrap.internal_listener.v3.InternalListener"},
        }
    ]
    (cluster,) = [one for one in clusters(config) if one["name"] == name]
    tunnel = {
        **{key: cluster[key] for key in ("type", "connect_timeout", "dns_lookup_family") if key in cluster},
        "name": CONNECT_ORIGINATE,
        "load_assignment": {**cluster["load_assignment"], "cluster_name": CONNECT_ORIGINATE},
    }
    clusters(config).append(tunnel)
    use_http2(config, CONNECT_ORIGINATE)
    cluster["type"] = "STATIC"
    cluster.pop("dns_lookup_family", None)
    cluster["load_assignment"] = {"cluster_name": name, "endpoints": [{"lb_endpoints": [_inside(destination)]}]}
    cluster["transport_socket"] = _internal_upstream()
    listeners(config).append(_connect_originate())
    return config


def _inside(destination: str) -> Config:
    """The endpoint that is the internal listener; the metadata becomes the address that it was called by."""
    address = {"server_listener_name": CONNECT_ORIGINATE, "endpoint_id": destination}
    return {
        "endpoint": {"address": {"envoy_internal_address": address}},
        "metadata": {"filter_metadata": {"envoy.filters.listener.original_dst": {"local": destination}}},
    }


def _internal_upstream() -> Config:
    passed_on = {"kind": {"host": {}}, "name": "envoy.filters.listener.original_dst"}
    raw = {"@type": f"{_TYPE}.transport_sockets.raw_buffer.v3.RawBuffer"}
    return {
        "name": "envoy.transport_sockets.internal_upstream",
        "typed_config": {
            "@type": f"{_TYPE}.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            "passthrough_metadata": [passed_on],
            "transport_socket": {"name": "envoy.transport_sockets.raw_buffer", "typed_config": raw},
        },
    }


def _connect_originate() -> dict[str, Any]:
    return {
        "name": CONNECT_ORIGINATE,
        "internal_listener": {},
        "listener_filters": [
            {
                "name": "envoy.filters.listener.original_dst",
                "typed_config": {"@type": f"{_TYPE}.filters.listener.original_dst.v3.OriginalDst"},
            }
        ],
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.tcp_proxy",
                        "typed_config": {
                            "@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy",
                            "stat_prefix": CONNECT_ORIGINATE,
                            "cluster": CONNECT_ORIGINATE,
                            "tunneling_config": {"hostname": "%DOWNSTREAM_LOCAL_ADDRESS%"},
                        },
                    }
                ]
            }
        ],
    }
