"""What the two proxies of the parity test have in common: routes, clusters, filters, tags.

Each kind of request has a route of its own; what the upstream answers is the test's.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable, Mapping
from typing import Any

from .config import Config, clusters, connection_managers, listeners
from .requests import ConnectionEnded, Response
from .single import SingleProxy

PLUGIN = {
    "sampling": 100,
    "customTags": {
        "account": {"header": {"name": "x-account-id"}},
        "absent": {"header": {"name": "x-absent", "defaultValue": "none"}},
        "stage": {"literal": {"value": "prod"}},
    },
}

# As Istio configures them: literals, from the node metadata.
ISTIO_TAGS = {
    "istio.canonical_revision": "v1",
    "istio.canonical_service": "dockebi",
    "istio.mesh_id": "cluster.local",
    "istio.namespace": "demo",
    "istio.cluster_id": "Kubernetes",
}

# Bound and never listened on, so that connecting is refused as long as the tests run.
_CLOSED = socket.socket()
_CLOSED.bind(("127.0.0.1", 0))
CLOSED_PORT: int = _CLOSED.getsockname()[1]

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE = "type.googleapis.com/"


def abort_filter(header: str, status: int) -> dict[str, Any]:
    """A filter that answers requests with this header itself."""
    abort = {"http_status": status, "percentage": {"numerator": 100}}
    typed = {"@type": _TYPE + "envoy.extensions.filters.http.fault.v3.HTTPFault", "abort": abort}
    return {"name": header, "typed_config": {**typed, "headers": [{"name": header, "present_match": True}]}}


def health_check_filter(path: str) -> dict[str, Any]:
    """A filter that answers health checks at `path` itself."""
    headers = [{"name": ":path", "string_match": {"exact": path}}]
    typed = {"@type": _TYPE + "envoy.extensions.filters.http.health_check.v3.HealthCheck"}
    return {"name": "health", "typed_config": {**typed, "pass_through_mode": False, "headers": headers}}


_RATE_LIMIT = _TYPE + "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def rate_limit_filter(name: str) -> dict[str, Any]:
    """A local rate limit that limits nothing but routes with a `rate_limit` for this name."""
    return {"name": name, "typed_config": {"@type": _RATE_LIMIT, "stat_prefix": name}}


def rate_limit(requests: int) -> dict[str, Any]:
    """So many requests an hour, 429 after these."""
    always = {"default_value": {"numerator": 100}}
    bucket = {"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": "3600s"}
    limit = {"@type": _RATE_LIMIT, "stat_prefix": "limit", "token_bucket": bucket}
    return {**limit, "filter_enabled": always, "filter_enforced": always}


def add_cluster(config: Config, name: str, like: str, port: int | None = None, **more: Any) -> None:
    """Add a cluster like another one, at another port of this machine if given."""
    cluster = copy.deepcopy(next(one for one in clusters(config) if one["name"] == like))
    cluster["load_assignment"]["cluster_name"] = name
    if port is not None:
        for host in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]:
            host["endpoint"]["address"]["socket_address"]["port_value"] = port
    clusters(config).append({**cluster, "name": name, **more})


def service_cluster(config: Config) -> str:
    """The cluster that the (first) listener's default route leads to."""
    manager = next(connection_managers(config))
    return manager["route_config"]["virtual_hosts"][0]["routes"][-1]["route"]["cluster"]


def parity_routes(istio_tags: Mapping[str, str], bare: bool) -> Callable[[Config], None]:
    """A change that adds a route for each case, and Istio's tags where Envoy's tracer runs."""

    def change(config: Config) -> None:
        own = service_cluster(config)
        for cluster in clusters(config):
            if cluster["name"] == own:
                http1 = {"http_protocol_options": {"enable_trailers": True}}
                options = {"@type": _TYPE + _OPTIONS, "explicit_http_config": http1}
                cluster.setdefault("typed_extension_protocol_options", {_OPTIONS: options})
        add_cluster(config, "refused", own, CLOSED_PORT)
        add_cluster(config, "alt-stat-name", own, alt_stat_name="observed")
        for manager in connection_managers(config):
            _change_manager(manager, own, istio_tags)
        if bare:
            del config["node"]["locality"]
            for listener in listeners(config):
                del listener["traffic_direction"]

    return change


def _change_manager(manager: Config, own: str, istio_tags: Mapping[str, str]) -> None:
    manager["http_protocol_options"] = {"enable_trailers": True}
    manager["http2_protocol_options"] = {"allow_connect": True}
    filters = manager["http_filters"]
    before = [abort_filter("x-abort-before", 429), health_check_filter("/healthz")]
    manager["http_filters"] = [*before, *filters[:-1], abort_filter("x-abort-after", 429), filters[-1]]
    if "tracing" in manager:
        literals = [{"tag": name, "literal": {"value": value}} for name, value in istio_tags.items()]
        manager["tracing"]["custom_tags"] += literals
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    routes[-1]["match"]["headers"] = [{"name": "x-no-route", "present_match": False}]
    retry = {"num_retries": 1, "retry_back_off": {"base_interval": "0.001s"}}
    routes[:0] = [
        {"match": {"path": path}, **({"direct_response": rest} if "status" in rest else {"route": rest})}
        for path, rest in {
            "/refused": {"cluster": "refused"},
            "/refused-retried": {"cluster": "refused", "retry_policy": {"retry_on": "connect-failure", **retry}},
            "/retried": {"cluster": own, "retry_policy": {"retry_on": "5xx", **retry}},
            "/timeout": {"cluster": own, "timeout": "0.2s"},
            "/unknown-cluster": {"cluster": "nowhere"},
            "/alt-stat-name": {"cluster": "alt-stat-name"},
            "/direct": {"status": 418, "body": {"inline_string": "teapot"}},
        }.items()
    ]


def _raw(head: bytes) -> Callable[[SingleProxy], Response]:
    def send(proxy: SingleProxy) -> Response:
        with proxy.connection() as connection:
            connection.send(head)
            return connection.read_response()

    return send


def _broken_http2(proxy: SingleProxy) -> None:
    try:
        proxy.http2_request(path="")
    except ConnectionEnded:
        pass


# What is no request to the filters: by name, how it is sent.
REFUSED: list[tuple[str, Callable[[SingleProxy], Any]]] = [
    ("bad_escape_in_path", lambda proxy: proxy.request(path="/%zz%00")),
    ("bad_escape_in_path_http2", lambda proxy: proxy.http2_request(path="/%zz%00")),
    ("fragment_in_path", lambda proxy: proxy.http2_request(path="/a#secret")),
    ("asterisk", lambda proxy: proxy.request("OPTIONS", "*")),
    ("bad_authority", lambda proxy: proxy.request(host="a/b")),
    ("no_path_http2", _broken_http2),
    ("no_host", _raw(b"GET / HTTP/1.1\r\n\r\n")),
    ("http_1_0", _raw(b"GET / HTTP/1.0\r\n\r\n")),
    ("unknown_method", lambda proxy: proxy.request("BREW")),
    ("two_lengths", lambda proxy: proxy.request("POST", headers=[("content-length", "1"), ("content-length", "2")])),
    ("too_large", lambda proxy: proxy.request(headers=[("x-large", "x" * 70_000)])),
    ("health_check", lambda proxy: proxy.request(path="/healthz")),
]
