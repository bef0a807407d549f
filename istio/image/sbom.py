"""Write what is in the module as a CycloneDX bill of materials, and as an OCI artifact that refers to the image.

The crates are those that cargo builds for the module's target. Tools that go by cargo metadata list crates of the
tests and of the checker as well.  <https://cyclonedx.org/docs/1.5/json/>
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path

from artifact import Descriptor, Layout, arguments

BILL = "application/vnd.cyclonedx+json"
EMPTY = "application/vnd.oci.empty.v1+json"


def printed(*command: str) -> str:
    """What a program prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def crates(target: str) -> list[tuple[str, str, str]]:
    """Name, version and licence of each crate that is built for the target; the module's own is the first."""
    options = ("--target", target, "--edges", "normal", "--prefix", "none", "--format", "{p}|{l}")
    tree = printed("cargo", "tree", "--locked", *options)
    found = re.findall(r"^(\S+) v(\S+)(?: \(.*?\))?\|(.*?)(?: \(\*\))?$", tree, re.MULTILINE)
    return list(dict.fromkeys(found))


def component(purl: str, name: str, version: str, licence: str, checksum: str | None = None) -> dict[str, object]:
    """A part, by its package URL."""
    # A slash is how crates wrote it once.
    licences = [{"expression": licence.replace("/", " OR ")}]
    of_name = {"name": name, "version": version, "licenses": licences, "purl": purl, "bom-ref": purl}
    return of_name | ({"hashes": [{"alg": "SHA-256", "content": checksum}]} if checksum else {})


def bill(module: Path, target: str) -> dict[str, object]:
    """The whole; the same source and module give the same."""
    lock = Path("Cargo.lock").read_text(encoding="utf-8")
    checksums = dict(re.findall(r'^name = "(.+)"\nversion = .+\nsource = .+\nchecksum = "(.+)"$', lock, re.MULTILINE))
    (own, *others), rust = crates(target), printed("rustc", "--version").split()[1]
    subject = component(f"pkg:cargo/{own[0]}@{own[1]}", *own, hashlib.sha256(module.read_bytes()).hexdigest())
    parts = [component(f"pkg:generic/rust-std@{rust}", "rust-std", rust, "MIT OR Apache-2.0")]
    parts += [component(f"pkg:cargo/{one[0]}@{one[1]}", *one, checksums.get(one[0])) for one in sorted(others)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application"} | subject},
        "components": [{"type": "library"} | part for part in parts],
    }


def image(layout: Path) -> dict[str, Descriptor]:
    """The image that the bill is about, for those who look from there; nothing where docker keeps it."""
    if not layout.is_dir():
        return {}
    (manifest,) = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    return {"subject": {name: manifest[name] for name in ("mediaType", "digest", "size")}}


if __name__ == "__main__":
    parser = arguments((__doc__ or "").split("\n")[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    written = json.dumps(bill(options.module, options.target), indent=1).encode() + b"\n"
    options.output.write_bytes(written)
    layout = Layout(options.layout)
    fields = {"artifactType": BILL, "config": layout.blob(EMPTY, b"{}"), "layers": [layout.blob(BILL, written)]}
    layout.finish(options.tag, options.annotation, **fields, **image(options.image))
