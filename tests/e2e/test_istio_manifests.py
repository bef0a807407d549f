"""Everything in `istio/` is what an API server, Istio, kustomize and the module take, README's YAML included."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mesh.config import MODULE, load, set_module, set_plugin_configuration
from mesh.envoy import validate
from mesh.manifests import ISTIO, Object, check, objects, plugins
from mesh.otel_collector import PROGRAM as OTEL_COLLECTOR

FOLDERS = sorted(path.parent for path in ISTIO.rglob("kustomization.yaml"))
# What no kustomization takes in, and other projects' values, which have no schema here.
FILES = sorted({ISTIO / "istio-operator.yaml", ISTIO / "helm-values.yaml", *(ISTIO / "collectors").glob("*.yaml")})
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_blocks() -> list[str]:
    """The YAML in istio/README.md."""
    return BLOCK.findall((ISTIO / "README.md").read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(ISTIO.parent))


@functools.cache
def everything() -> list[Object]:
    """All objects of all files and folders."""
    return objects(*FOLDERS, *FILES)


@pytest.mark.parametrize("path", [*FOLDERS, *FILES], ids=name)
def test_an_api_server_takes_it(path: Path) -> None:
    assert objects(path)


@pytest.fixture
def readme_objects(tmp_path: Path) -> list[Object]:
    """The objects in istio/README.md; a kustomization there stands beside the overlays."""
    shutil.copytree(ISTIO, tmp_path / "istio")
    paths = []
    for number, block in enumerate(readme_blocks()):
        folder = tmp_path / "istio" / "overlays" / f"readme-{number}"
        folder.mkdir()
        is_overlay = "kind: Kustomization" in block
        file = folder / ("kustomization.yaml" if is_overlay else "block.yaml")
        file.write_text(block, encoding="utf-8")
        paths.append(folder if is_overlay else file)
    return objects(*paths)


def test_an_api_server_takes_the_readmes(readme_objects: list[Object]) -> None:
    assert len(readme_objects) >= len(readme_blocks()) > 0


def test_every_yaml_file_is_read_here() -> None:
    taken = {*FILES, *ISTIO.glob("examples/*.yaml"), *(folder / "kustomization.yaml" for folder in FOLDERS)}
    for folder in FOLDERS:
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
        taken |= {folder / one for one in listed if one.endswith(".yaml")}
    assert set(ISTIO.rglob("*.yaml")) == taken


WASM_PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: a, namespace: b}
spec: {url: "oci://c/d:e", %s}
"""
OPERATOR = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: a}
spec: {%s}
"""
REFUSED = {
    "a misspelled key of the mesh configuration": (OPERATOR % "meshConfig: {enableTrcing: true}", "enableTrcing"),
    "a misspelled key of Helm's": ("meshConfig: {defaultConfig: {tracing: {sampeling: 60}}}", "sampeling"),
    "a wrong type in the mesh configuration": (OPERATOR % "meshConfig: {enableTracing: 60}", "enableTracing"),
    "what is no mesh configuration": (OPERATOR % "values: {}", "cannot be checked here"),
    "an unknown field of a WasmPlugin": (WASM_PLUGIN % "failStrtegy: FAIL_OPEN", "spec.failStrtegy"),
    "a value that WasmPlugin does not know": (WASM_PLUGIN % "phase: FIRST", "Unsupported value"),
    "a broken rule in CEL": (
        WASM_PLUGIN % "selector: {matchLabels: {a: b}}, targetRefs: [{kind: Gateway, name: c}]",
        "only one of targetRefs or selector can be set",
    ),
    "a URL of an unknown scheme": (WASM_PLUGIN.replace("oci:", "ftp:") % "priority: 1", "url must have schema"),
    "a version that is not served": (WASM_PLUGIN.replace("v1alpha1", "v1") % "priority: 1", "is not served"),
    "a list of a map with a key twice": (
        WASM_PLUGIN % "vmConfig: {env: [{name: a, value: b}, {name: a, value: c}]}",
        "Duplicate value",
    ),
    "an unknown field of Kubernetes' own": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}",
        "spec.prots",
    ),
    "an unknown kind": ("apiVersion: v1\nkind: Pot\nmetadata: {name: a}", "Pot"),
    "a key twice": ("apiVersion: v1\napiVersion: v1\nkind: Pod", "apiVersion"),
    "what is no object": ("- a\n- b", "cannot unmarshal"),
}


@pytest.mark.parametrize("text, reason", REFUSED.values(), ids=REFUSED.keys())
def test_the_check_refuses(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "refused.yaml"
    file.write_text(text, encoding="utf-8")
    _, wrong = check(file)
    assert any(reason in line for line in wrong), wrong


def test_the_check_takes_what_the_refused_are_made_of(tmp_path: Path) -> None:
    file = tmp_path / "taken.yaml"
    operator = OPERATOR % "meshConfig: {enableTracing: true}"
    file.write_text(f"{WASM_PLUGIN % 'priority: 1'}---{operator}", encoding="utf-8")
    assert len(objects(file)) == 2


OVERLAYS = {
    "istio": ["Telemetry meshspan", "WasmPlugin meshspan"],
    "istio/base": ["Telemetry meshspan", "WasmPlugin meshspan"],
    "istio/monitoring": ["ConfigMap meshspan-dashboard", "PrometheusRule meshspan"],
    "istio/overlays/gateways": ["Telemetry meshspan", "WasmPlugin meshspan"],
    "istio/overlays/namespace": ["Telemetry meshspan", "WasmPlugin meshspan"],
    "istio/overlays/otlp": ["Telemetry meshspan", "WasmPlugin meshspan"],
    # Never both kinds of plugin.
    "istio/overlays/traffic-extension": ["Telemetry meshspan", "TrafficExtension meshspan"],
    "istio/overlays/waypoints": ["Telemetry meshspan", "WasmPlugin meshspan", "WasmPlugin meshspan-waypoints"],
}


def test_every_overlay_makes_these_objects() -> None:
    made = {name(one): sorted(f"{o['kind']} {o['metadata']['name']}" for o in objects(one)) for one in FOLDERS}
    assert made == OVERLAYS


def test_every_plugin_is_the_same_module_at_the_same_place_and_fails_open() -> None:
    def choices() -> Iterator[tuple[object, ...]]:
        for plugin, module in plugins(everything()):
            spec = plugin["spec"]
            yield spec["phase"], spec["priority"], *(module[key] for key in ("url", "pluginName", "failStrategy"))

    (choice,) = set(choices())
    assert choice[0] == "AUTHN" and choice[-1] == "FAIL_OPEN"


def test_gateways_alone_are_selected_by_plugin_and_telemetry() -> None:
    made = objects(ISTIO / "overlays" / "gateways")
    assert [one["spec"]["selector"] for one in made] == 2 * [{"matchLabels": {"istio": "ingress"}}]
    assert {one["metadata"]["namespace"] for one in made} == {"istio-ingress"}


def test_helm_and_the_operator_have_the_same_mesh_configuration() -> None:
    operator, helm = objects(ISTIO / "istio-operator.yaml", ISTIO / "helm-values.yaml")
    assert operator["spec"]["meshConfig"] == helm["meshConfig"]


def test_the_access_log_that_telemetry_names_is_in_the_mesh_configuration() -> None:
    (operator,) = objects(ISTIO / "istio-operator.yaml")
    defined = [one["name"] for one in operator["spec"]["meshConfig"]["extensionProviders"]]
    (telemetry,) = objects(ISTIO / "base" / "telemetry.yaml")
    (log,) = telemetry["spec"]["accessLogging"]
    assert [one["name"] for one in log["providers"]] == defined


def services() -> dict[tuple[str, int], str]:
    """The name of each port that the collectors serve, by host and number."""
    return {
        (f"{one['metadata']['name']}.{one['metadata']['namespace']}.svc", port["port"]): port["name"]
        for one in everything()
        if one.get("kind") == "Service"
        for port in one["spec"]["ports"]
    }


def test_the_mesh_configurations_zipkin_is_jaegers_service() -> None:
    (operator,) = objects(ISTIO / "istio-operator.yaml")
    host, port = operator["spec"]["meshConfig"]["defaultConfig"]["tracing"]["zipkin"]["address"].split(":")
    assert services()[host, int(port)] == "http-zipkin"


def test_otlps_cluster_is_a_port_that_speaks_http2() -> None:
    ((_, module),) = plugins(objects(ISTIO / "overlays" / "otlp"))
    _, port, _, host = module["pluginConfig"]["collector"]["cluster"].split("|")
    assert services()[host.removesuffix(".cluster.local"), int(port)].startswith("grpc-")


def collector_configurations() -> dict[str, Object]:
    """What the shipped Collectors are configured with, but for the first tier's: its exporter is not built here."""
    values = yaml.safe_load((ISTIO / "examples" / "otel-storage-values.yaml").read_text(encoding="utf-8"))
    # A null takes away what the chart has.
    pipelines = values["config"]["service"]["pipelines"]
    values["config"]["service"]["pipelines"] = {name: one for name, one in pipelines.items() if one}
    found = objects(ISTIO / "collectors" / "otel-collector.yaml")
    (text,) = [one["data"]["config.yaml"] for one in found if one["kind"] == "ConfigMap"]
    return {"collectors": yaml.safe_load(text), "examples": values["config"]}


@pytest.mark.parametrize("which", ["collectors", "examples"])
def test_a_real_collector_takes_its_configuration(which: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(collector_configurations()[which]), encoding="utf-8")
    command = [OTEL_COLLECTOR.path(), "validate", f"--config={file}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_tiers_of_the_example_find_each_other() -> None:
    first, second = (
        yaml.safe_load((ISTIO / "examples" / f"otel-{tier}-values.yaml").read_text(encoding="utf-8"))
        for tier in ("gateway", "storage")
    )
    resolver = first["config"]["exporters"]["loadbalancing"]["resolver"]["dns"]
    assert resolver["hostname"] == f"{second['fullnameOverride']}.observability.svc.cluster.local"
    endpoint = second["config"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert endpoint.endswith(f":{resolver['port']}")
    ((_, module),) = plugins(objects(ISTIO / "overlays" / "otlp"))
    assert f"||{first['fullnameOverride']}.observability.svc" in module["pluginConfig"]["collector"]["cluster"]


def test_the_module_takes_every_plugin_configuration(readme_objects: list[Object], folder: Path) -> None:
    configurations = [module.get("pluginConfig", {}) for _, module in plugins([*everything(), *readme_objects])]
    assert len(configurations) > 8
    for number, given in enumerate(configurations):
        config = load("dockebi")
        set_plugin_configuration(set_module(config, MODULE), given)
        code, output = validate(f"manifest-{number}", config, folder)
        assert code == 0, output


def test_a_plugin_configuration_with_a_mistake_would_have_been_noticed(folder: Path) -> None:
    config = load("dockebi")
    set_plugin_configuration(set_module(config, MODULE), {"collector": {"protocl": "grpc"}})
    code, output = validate("manifest-mistake", config, folder)
    assert code != 0 and "collector.protocl" in output
