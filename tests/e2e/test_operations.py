"""What a template calls spans, and that a backend's list of operations stays short whatever is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.config import Config, answer_everything, clusters, connection_managers
from mesh.envoy import wait_for
from mesh.h2load import H2Load
from mesh.single import HOSTS, SingleProxy
from mesh.zipkin import Zipkin

Proxies = Callable[..., SingleProxy]

OPERATIONS = ["/", "/users/{id}", "/users/{id}/orders/**", "/static/**"]
SERVICE = "operations.test"
PATHS = 100_000
# Zipkin takes spans in after it has answered, and the machine may be busy.
ARRIVAL = 180.0


def _routes(config: Config) -> None:
    """Two routes to the same cluster, one named as Istio names those without a name."""
    for manager in connection_managers(config):
        for host in manager["route_config"]["virtual_hosts"]:
            rest = host["routes"][0]
            own = {**rest, "name": "checkout", "match": {"prefix": "/checkout"}}
            host["routes"] = [own, {**rest, "name": "default"}]


@pytest.mark.parametrize("direction, service", [("inbound", "dockebi.demo"), ("outbound", "dockebi-storage.demo")])
@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf"])
def test_a_span_is_called_what_the_template_says(
    proxy: Proxies, direction: str, service: str, protocol: str
) -> None:
    config = {
        "sampling": 100,
        "spanName": {"template": "{method} {route} of {service} ({operation})"},
        "operations": OPERATIONS,
        "collector": {"protocol": protocol},
    }
    one = proxy(config, direction=direction, change=_routes)
    wanted = []
    for method, path, route, operation in [
        ("GET", "/users/1", "/users/{id}", "/users/{id}"),
        ("POST", "/users/1/orders/2?q=/users/3", "/users/{id}/orders/**", "/users/{id}/orders/**"),
        ("GET", "/users/1/secrets", "other", "other"),
        ("GET", "/checkout/1", "checkout", "other"),
        ("PROPFIND", "/", "/", "/"),
    ]:
        # Zipkin's names have no case; OTLP's and the module's own have.
        method_name = "HTTP" if method == "PROPFIND" else method
        wanted.append(f"{method_name} {route} of {service} ({operation})")
        one.request(method, path)
    assert [span["name"] for span in one.spans(len(wanted))] == wanted


def test_a_hundred_thousand_paths_are_a_short_list_of_operations_in_zipkin(
    proxy: Proxies, zipkin: Zipkin, tmp_path: Path
) -> None:
    def to_zipkin(config: Config) -> None:
        (collector,) = (one for one in clusters(config) if one["name"] == "zipkin")
        (endpoint,) = collector["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = zipkin.port
        # So that no upstream of Python's has to answer them.
        answer_everything(config)

    config: dict[str, Any] = {
        "sampling": 100,
        "serviceName": SERVICE,
        "spanName": {"template": "{method} {route}"},
        "operations": OPERATIONS,
        "queue": {"maxSpans": 2 * PATHS, "maxBytes": 256 << 20},
    }
    one = proxy(config, change=to_zipkin)
    kinds = ("/users/{}", "/users/{}/orders/{}", "/static/{}/{}.js", "/{}")
    paths = [kinds[number % len(kinds)].format(number, number) for number in range(PATHS)]
    assert len(set(paths)) == PATHS
    uris = tmp_path / "uris"
    uris.write_text("".join(f"http://127.0.0.1:{one.port}{path}\n" for path in paths), encoding="ascii")
    load = H2Load(one.port, "/", {":authority": HOSTS["inbound"]}, tmp_path, options=["-i", str(uris)])
    load.send(PATHS, lambda _: None)
    wait_for(lambda: one.stats().get("meshspan_spans_exported", 0) == PATHS, ARRIVAL, "every span exported")
    wanted = {"get /users/{id}", "get /users/{id}/orders/**", "get /static/**", "get other"}
    wait_for(lambda: zipkin.names("spans", serviceName=SERVICE) == wanted, ARRIVAL, "the names in Zipkin")


def test_routes_without_number_give_so_many_names_at_most(proxy: Proxies) -> None:
    # The bound that src/attributes/span_names.rs states.
    most, count = 256, 300

    def many(config: Config) -> None:
        for manager in connection_managers(config):
            for host in manager["route_config"]["virtual_hosts"]:
                rest = host["routes"][0]
                own = [{**rest, "name": f"r{n}", "match": {"path": f"/{n}"}} for n in range(count)]
                host["routes"] = [*own, rest]

    one = proxy({"sampling": 100, "spanName": {"template": "{route}"}}, change=many)
    with one.connection() as connection:
        for number in range(count):
            connection.request("GET", f"/{number}")
    names = [span["name"] for span in one.spans(count)]
    assert names == [f"r{n}" if n < most else "other" for n in range(count)]
