"""A real image registry (Debian's docker-registry), and crane, which fetches as Istio's pilot-agent does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from .config import REPOSITORY
from .go_program import GoProgram
from .processes import Process

CRANE = GoProgram("crane", "CRANE", REPOSITORY / "tests" / "crane", "github.com/google/go-containerregistry/cmd/crane")
_LISTENS = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


class Registry:
    """A running registry without TLS; `port` is where it listens."""

    def __init__(self, folder: Path) -> None:
        store = folder / "registry"
        config = folder / "registry.json"
        storage = {"filesystem": {"rootdirectory": str(store)}}
        config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:0"}}))
        self.process = Process("registry", ["docker-registry", "serve", str(config)], folder)
        try:
            found = self.process.wait_until(lambda: _LISTENS.search(self.process.log()), what="listening")
        except BaseException:
            self.stop()
            raise
        self.port = int(found.group(1))

    def stop(self) -> None:
        """End it."""
        self.process.stop()


def crane(*arguments: str) -> bytes:
    """What crane prints."""
    done = subprocess.run([CRANE.path(), *arguments, "--insecure"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def crane_manifest(image: str) -> dict[str, Any]:
    """The manifest of an image."""
    return json.loads(crane("manifest", image))
