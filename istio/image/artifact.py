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


def write(module: Path, layout: Path, tag: str, annotations: list[str]) -> None:
    """Write the layout; the same arguments give the same bytes."""
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def blob(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    runtime = blob(CONFIG, b'{"type":"envoy_proxy","abiVersions":["v0.2.1"]}')
    content = blob(CONTENT, module.read_bytes())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": runtime,
        "layers": [content, runtime],
        "annotations": dict(sorted(one.split("=", 1) for one in annotations)),
    }
    descriptor = blob(MANIFEST, json.dumps(manifest, separators=(",", ":")).encode())
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    (layout / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("layout", type=Path)
    parser.add_argument("tag")
    parser.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    write(options.module, options.layout, options.tag, options.annotation)
