"""Write the module as an OCI artifact, into an OCI image layout.

Istio takes exactly two layers: the module as it is, and a configuration of the module's runtime that
nobody reads.  <https://github.com/solo-io/wasm/blob/master/spec/spec.md>
"""

import argparse
import hashlib
import json
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.module.wasm.config.v1+json"
CONTENT = "application/vnd.module.wasm.content.layer.v1+wasm"

Descriptor = dict[str, object]


class Layout:
    """An OCI image layout with one manifest; the same content gives the same bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def blob(self, media_type: str, content: bytes) -> Descriptor:
        """Add content; what describes it."""
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def finish(self, tag: str, annotations: list[str], **fields: object) -> None:
        """Write the manifest of these fields, and the index that gives it a tag."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            **fields,
            "annotations": dict(sorted(one.split("=", 1) for one in annotations)),
        }
        descriptor = self.blob(MANIFEST, json.dumps(manifest, separators=(",", ":")).encode())
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
        index = {"schemaVersion": 2, "manifests": [descriptor]}
        (self._folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")


def arguments(description: str) -> argparse.ArgumentParser:
    """What every artifact is made from."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("module", type=Path)
    parser.add_argument("layout", type=Path)
    parser.add_argument("tag")
    parser.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE")
    return parser


if __name__ == "__main__":
    options = arguments((__doc__ or "").split("\n")[0]).parse_args()
    layout = Layout(options.layout)
    runtime = layout.blob(CONFIG, b'{"type":"envoy_proxy","abiVersions":["v0.2.1"]}')
    content = layout.blob(CONTENT, options.module.read_bytes())
    layout.finish(options.tag, options.annotation, config=runtime, layers=[content, runtime])
