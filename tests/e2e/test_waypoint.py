"""gateway -> waypoint -> service, in Envoys with the tunnels of an ambient mesh between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.config import Config, clusters, connection_managers
from mesh.envoy import wait_for
from mesh.receiver import Span
from mesh.requests import Response, request
from mesh.topology import Mesh
from mesh.verdict import WAYPOINT_CHAIN, is_whole
from mesh.waterfall import in_order, service
from mesh.zipkin import Zipkin

HOST = "dockebi.demo.svc.cluster.local:8080"
CLUSTER = "inbound-vip|8080|http|dockebi.demo.svc.cluster.local"


@pytest.fixture(scope="module")
def ambient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with a waypoint, all spans of which are recorded."""
    with Mesh(sampling=100, waypoint=True, folder=tmp_path_factory.mktemp("ambient")) as mesh:
        yield mesh
        assert mesh.receiver is not None and mesh.receiver.errors == []


def ask(mesh: Mesh, count: int, host: str = HOST) -> tuple[Response, list[Span]]:
    """The answer to one request, and the spans of its trace, parents first."""
    assert mesh.receiver is not None
    mesh.receiver.clear()
    response = request(mesh.gateway_port, "GET", "/accounts/1", host=host)
    spans = [span for _, span in in_order(mesh.receiver.wait_for(count))]
    assert len(spans) == count
    return response, spans


def test_a_waypoint_is_one_server_span_between_its_caller_and_the_service(ambient: Mesh) -> None:
    response, spans = ask(ambient, len(WAYPOINT_CHAIN))
    assert response.status == 200
    assert is_whole(spans, WAYPOINT_CHAIN)
    gateway, waypoint, inbound, *_ = spans
    # The service that is called is in the name; the span is filed under the proxy that made it.
    assert (gateway["name"], waypoint["name"], inbound["name"]) == (f"{HOST}/*",) * 3
    assert waypoint["tags"]["node_id"].startswith("waypoint~")
    assert waypoint["tags"]["upstream_cluster"] == CLUSTER


def test_a_waypoints_span_has_no_address_of_the_service_as_its_own(ambient: Mesh) -> None:
    _, (gateway, waypoint, *_) = ask(ambient, len(WAYPOINT_CHAIN))
    assert waypoint["localEndpoint"] == {"serviceName": "waypoint.demo", "ipv4": "10.244.1.20"}
    # Nor does the gateway see past its own end of the tunnel.
    assert gateway["remoteEndpoint"] == {"serviceName": "dockebi.demo"}


def test_the_waypoints_span_is_what_envoys_own_tracer_makes_of_it(ambient: Mesh, tmp_path: Path) -> None:
    def shape(spans: list[Span]) -> list[tuple[str, str, str]]:
        return [(service(span), span["kind"], span["name"]) for span in spans]

    _, ours = ask(ambient, len(WAYPOINT_CHAIN))
    with Mesh(tracer="native-zipkin", sampling=100, waypoint=True, native_flush=(1, 100), folder=tmp_path) as mesh:
        _, native = ask(mesh, len(WAYPOINT_CHAIN))
    assert shape(ours) == shape(native)


def encap(config: Config) -> None:
    """Let the waypoint take the call for one to a pod's address: istiod's chain direct-http."""
    for manager in connection_managers(config):
        for virtual_host in manager["route_config"]["virtual_hosts"]:
            for route in virtual_host["routes"]:
                if route["route"]["cluster"] == CLUSTER:
                    virtual_host["name"] = "inbound|http|0"
                    route["route"]["cluster"] = "encap"
    for cluster in clusters(config):
        if cluster["name"] == CLUSTER:
            cluster["name"] = "encap"
            cluster.pop("metadata")


def test_a_call_to_a_pods_address_is_named_by_its_authority(tmp_path: Path) -> None:
    def change(name: str, config: Config) -> None:
        if name == "waypoint":
            encap(config)

    with Mesh(sampling=100, waypoint=True, change=change, folder=tmp_path) as mesh:
        _, (_, waypoint, *_) = ask(mesh, len(WAYPOINT_CHAIN), host="10.244.1.11:8080")
    assert waypoint["name"] == "10.244.1.11:8080/*"


def test_a_service_that_is_gone_is_an_error_at_the_waypoint_and_before(tmp_path: Path) -> None:
    with Mesh(sampling=100, waypoint=True, folder=tmp_path) as mesh:
        ask(mesh, len(WAYPOINT_CHAIN))
        mesh.envoys["dockebi"].stop()
        response, spans = ask(mesh, 2)
        assert response.status == 503
        assert [service(span) for span in spans] == ["gateway.demo", "waypoint.demo"]
        assert {(span["tags"]["http.status_code"], span["tags"]["error"]) for span in spans} == {("503", "true")}
        assert spans[1]["tags"]["response_flags"] == "UF"


def test_zipkin_draws_the_waypoint_between_gateway_and_service(tmp_path: Path) -> None:
    services = [name for name, _ in WAYPOINT_CHAIN]
    expected = {(one, other, 3) for one, other in zip(services[:-1], services[1:], strict=True) if one != other}
    zipkin = Zipkin(tmp_path)
    try:
        began = time.time()
        with Mesh(sampling=100, waypoint=True, collector_port=zipkin.port, folder=tmp_path) as mesh:
            for _ in range(3):
                assert request(mesh.gateway_port, host=HOST).status == 200

            def links() -> bool:
                found = zipkin.dependencies(began)
                return {(one["parent"], one["child"], one["callCount"]) for one in found} == expected

            wait_for(links, 30, f"the links {expected}", step=0.5)
    finally:
        zipkin.stop()
