"""An Envoy whose module and its configuration change while it runs."""

from __future__ import annotations

import time
from pathlib import Path

from .. import config as configuration
from ..background import BackgroundLoop
from ..config import Config
from ..ecds import ExtensionConfig
from ..envoy import Envoy
from ..sink import Sink
from .counting import proxy_config
from .rows import BODY, ROWS


class Discovered:
    """An Envoy's configuration with a module that comes by ECDS, which `discovery` changes."""

    def __init__(self, module: Path, folder: Path) -> None:
        self._loop = BackgroundLoop("discovered")
        self._sinks = [Sink(self._loop, 200, BODY), Sink(self._loop, 200)]
        self.config: Config = proxy_config(ROWS["meshspan-100"], *self._sinks)
        configuration.set_module(self.config, module)
        self.discovery = ExtensionConfig(folder)
        self.discovery.install(self.config)

    def stop(self) -> None:
        """End what it talks to."""
        for sink in self._sinks:
            sink.stop()
        self._loop.stop()


def taken(envoy: Envoy) -> int:
    """How many configurations it has taken."""
    stats = envoy.stats("extension_config_discovery.")
    return sum(value for name, value in stats.items() if name.endswith(".update_success"))


def wait_until_idle(pid: int) -> None:
    """Wait until it has not run for a second; to ask it would have it execute something."""
    ticks, since = -1, time.monotonic()
    while time.monotonic() - since < 1:
        running = False
        now = 0
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            state, *fields = stat.read_text(encoding="ascii").rsplit(")", 1)[1].split()
            running = running or state == "R"
            now += int(fields[10]) + int(fields[11])
        # The timers of a process that rests take a tick now and then.
        if running or now > ticks + 1:
            ticks, since = now, time.monotonic()
        time.sleep(0.05)
