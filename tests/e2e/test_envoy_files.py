"""The files of `envoy/` as they stand: the one to paste runs, and compose's is right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from mesh.background import BackgroundLoop
from mesh.config import ENVOY_FOLDER, MODULE, REPOSITORY, clusters, load, set_plugin_configuration
from mesh.envoy import Envoy, validate
from mesh.receiver import Receiver
from mesh.requests import request
from mesh.upstream import Upstream

SCHEMA = REPOSITORY / "tests" / "schemas" / "compose-spec.json"
PROXIES = ("gateway", "dockebi", "dockebi-storage", "envoy")
# In the comments of collectors.yaml, each above its cluster.
COLLECTOR = re.compile(r'^ *#   ("collector": \{.*\})$', re.MULTILINE)


def _with_module_here(name: str) -> dict:
    """The file as it stands but for where the module lies on this machine."""
    text = (ENVOY_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text.replace("/etc/meshspan/meshspan.wasm", str(MODULE)))


@pytest.mark.parametrize("name", (*PROXIES, "collectors"))
def test_envoy_takes_the_file(name: str, folder: Path) -> None:
    code, output = validate(f"validate-{name}", _with_module_here(name), folder)
    assert code == 0, output


def _collectors() -> list[dict]:
    """The collectors that the comments of collectors.yaml configure."""
    text = (ENVOY_FOLDER / "collectors.yaml").read_text(encoding="utf-8")
    return [json.loads(f"{{{found}}}")["collector"] for found in COLLECTOR.findall(text)]


def test_each_example_of_a_collector_is_for_the_cluster_below_it() -> None:
    wanted = [(collector["protocol"], collector["cluster"]) for collector in _collectors()]
    names = [cluster["name"] for cluster in clusters(load("collectors"))]
    assert wanted == list(zip(("zipkin", "http/protobuf", "grpc"), names, strict=True))


@pytest.mark.parametrize("protocol", ["zipkin", "http/protobuf", "grpc"])
def test_the_module_takes_the_example_of_a_collector(protocol: str, folder: Path) -> None:
    example = next(collector for collector in _collectors() if collector["protocol"] == protocol)
    config = _with_module_here("envoy")
    set_plugin_configuration(config, {"collector": example})
    config["static_resources"]["clusters"] = clusters(config)[:1] + clusters(load("collectors"))
    code, output = validate(f"validate-{protocol.replace('/', '-')}", config, folder)
    assert code == 0, output


def test_the_file_to_paste_traces_a_request(folder: Path, loop: BackgroundLoop) -> None:
    config = _with_module_here("envoy")
    receiver, application = Receiver(loop), Upstream(loop)
    # Only the ports differ from what a person runs, because those may be taken here.
    moved = {10000: 0, 9901: 0, 8080: application.port, 9411: receiver.port}
    text = re.sub(
        r'"port_value": (\d+)', lambda found: f'"port_value": {moved[int(found.group(1))]}', json.dumps(config)
    )
    envoy = Envoy("pasted", json.loads(text.replace('\\"sampling\\": 60', '\\"sampling\\": 100')), folder)
    try:
        assert request(envoy.port, "GET", "/", headers=[("x-account-id", "acme")]).status == 200
        span = receiver.wait_for(1)[0]
        assert span["kind"] == "CLIENT"
        assert span["localEndpoint"]["serviceName"] == "front-proxy"
        assert span["tags"]["account_header"] == "acme"
        forwarded = application.last.header("traceparent") or b""
        assert forwarded.split(b"-")[1].decode() == span["traceId"]
    finally:
        envoy.stop()
        application.stop()
        receiver.stop()


def test_compose_file_follows_its_schema() -> None:
    compose = yaml.safe_load((ENVOY_FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert list(jsonschema.Draft7Validator(schema).iter_errors(compose)) == []


def test_compose_mounts_exist_and_the_names_agree() -> None:
    compose = yaml.safe_load((ENVOY_FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            assert (ENVOY_FOLDER / volume.split(":")[0]).exists(), volume
        for other in service.get("depends_on", []):
            assert other in services
    wanted = {"127.0.0.1"}
    for name in PROXIES[:3]:
        wanted |= set(re.findall(r'"load_assignment".*?"address": "([^"]+)"', json.dumps(load(name))))
    assert wanted <= services.keys() | {"127.0.0.1"}
