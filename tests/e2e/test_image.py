"""`make release`: the image and the artifact in a real registry, fetched by another client, and pinned."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.checkout import checkout, environment
from mesh.config import MODULE, REPOSITORY
from mesh.registry import Registry, crane, crane_manifest

URL = re.compile(r"^ *url: oci://(\S+)$", re.MULTILINE)
VERSION = re.search(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
WASM = "application/vnd.module.wasm.content.layer.v1+wasm"
WASM_CONFIG = "application/vnd.module.wasm.config.v1+json"


@dataclass
class Tree:
    """A copy of what a release is made from."""

    folder: Path
    image: str

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run make with the module that is built already."""
        command = ["make", "-o", "build", f"IMAGE={self.image}", "REGISTRY_OPTIONS=--dest-tls-verify=false", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def manifests(self) -> dict[Path, str]:
        """All YAML below `istio/`."""
        return {path: path.read_text(encoding="utf-8") for path in (self.folder / "istio").rglob("*.yaml")}

    def urls(self) -> set[str]:
        """The images that the manifests name."""
        return {url for text in self.manifests().values() for url in URL.findall(text)}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A tree whose release is in a registry."""
    folder = checkout(tmp_path_factory.mktemp("release") / "meshspan")
    (folder / "dist").mkdir()
    shutil.copy(MODULE, folder / "dist")
    registry = Registry(folder)
    try:
        tree = Tree(folder, f"127.0.0.1:{registry.port}/demo/meshspan")
        done = tree.make("release")
        assert done.returncode == 0, done.stdout
        yield tree
    finally:
        registry.stop()


def test_every_manifest_names_the_image_by_its_version_and_digest(released: Tree) -> None:
    digest = crane("digest", f"{released.image}:{VERSION}").decode().strip()
    assert released.urls() == {f"{released.image}:{VERSION}@{digest}"}
    # A module, a waypoint's and TrafficExtension's.
    assert sum(len(URL.findall(text)) for text in released.manifests().values()) >= 3


def test_a_release_changes_nothing_but_the_url_and_again_nothing(released: Tree) -> None:
    pinned = released.manifests()
    shipped = (REPOSITORY / "istio").rglob("*.yaml")
    assert {path.relative_to(REPOSITORY / "istio"): URL.sub("", path.read_text()) for path in shipped} == {
        path.relative_to(released.folder / "istio"): URL.sub("", text) for path, text in pinned.items()
    }
    assert released.make("release").returncode == 0
    assert released.manifests() == pinned


def test_the_pinned_image_is_one_layer_with_the_module_as_plugin_wasm(released: Tree) -> None:
    (pinned,) = released.urls()
    manifest = crane_manifest(pinned)
    # pilot-agent takes no other type of layer, and no other name of the file.
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    with tarfile.open(fileobj=io.BytesIO(crane("blob", f"{released.image}@{layer['digest']}"))) as archive:
        assert archive.getnames() == ["plugin.wasm"]
        file = archive.extractfile("plugin.wasm")
        assert file is not None and file.read() == MODULE.read_bytes()


def test_the_artifact_has_two_layers_one_the_module_itself(released: Tree) -> None:
    manifest = crane_manifest(f"{released.image}:{VERSION}-artifact")
    assert manifest["config"]["mediaType"] == WASM_CONFIG
    # pilot-agent refuses one that has not exactly two.
    content, config = manifest["layers"]
    assert (content["mediaType"], config["mediaType"]) == (WASM, WASM_CONFIG)
    fetched = crane("blob", f"{released.image}@{content['digest']}")
    assert fetched == MODULE.read_bytes()
    assert content["digest"] == f"sha256:{hashlib.sha256(fetched).hexdigest()}"


def test_the_bill_of_materials_is_beside_the_image_and_lists_the_crates_of_the_module(released: Tree) -> None:
    manifest = crane_manifest(f"{released.image}:{VERSION}-sbom")
    image = crane("digest", f"{released.image}:{VERSION}").decode().strip()
    assert (manifest["artifactType"], manifest["subject"]["digest"]) == ("application/vnd.cyclonedx+json", image)
    (layer,) = manifest["layers"]
    written = crane("blob", f"{released.image}@{layer['digest']}")
    assert written == (released.folder / "dist" / "meshspan.cdx.json").read_bytes()
    bill = json.loads(written)
    subject = bill["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("meshspan", VERSION)
    assert subject["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(MODULE.read_bytes()).hexdigest()}]
    crates = {f"{one['name']}-{one['version']}": one for one in bill["components"] if one["name"] != "rust-std"}
    # The texts of panics name the crate that they are in.
    named = {name.decode() for name in re.findall(rb"/cargo/registry/src/[^/]+/([^/]+)/", MODULE.read_bytes())}
    assert named <= crates.keys()
    assert all(len(one["hashes"][0]["content"]) == 64 and one["licenses"] for one in crates.values())
    # Of the checker, of the tests, and of macros, none of which leaves anything in the module.
    names = {one["name"] for one in crates.values()}
    assert names.isdisjoint({"clap", "saphyr-parser", "prost", "criterion", "jsonschema", "syn", "proc-macro2"})


@pytest.mark.parametrize("form", ["", "-artifact", "-sbom"])
def test_each_says_what_it_is(form: str, released: Tree) -> None:
    prefix = "org.opencontainers.image."
    annotations = crane_manifest(f"{released.image}:{VERSION}{form}")["annotations"]
    given = {name.removeprefix(prefix): value for name, value in annotations.items()}
    assert (given["title"], given["version"], given["licenses"]) == ("meshspan", VERSION, "Apache-2.0")
    assert given["description"].startswith("A tracing filter for Envoy and Istio")


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", "sha256:" + "z" * 64])
def test_what_is_no_digest_is_pinned_nowhere(digest: str, released: Tree) -> None:
    before = released.manifests()
    done = released.make("pin", f"DIGEST={digest}")
    assert done.returncode != 0
    assert "say which image" in done.stdout
    assert released.manifests() == before
