"""A headless Chromium, steered by its DevTools protocol: pages are read and photographed."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from .background import BackgroundLoop
from .envoy import wait_for
from .processes import Process

# Nothing but the page that is opened may be fetched, and nothing of the user's be touched.
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # The memory file system of a container may be too small for a page.
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# A first start on a busy machine with two cores took up to 15 s.
_TIMEOUT = 90.0


class BrowserFailed(RuntimeError):
    """There is no browser, or it cannot do what it was asked for; the message says why."""


def chromium() -> str:
    """The browser's program, the first of its usual names that is there."""
    for program in _PROGRAMS:
        path = shutil.which(program)
        if path is not None:
            return path
    raise BrowserFailed("there is no Chromium: on Debian apt-get install chromium")


class Browser:
    """A running Chromium with one page; use it as a context manager."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 800) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="chromium-", dir=folder))
        command = [chromium(), *_FLAGS, f"--user-data-dir={self._profile}", f"--window-size={width},{height}"]
        self._loop = BackgroundLoop("browser")
        self._session: aiohttp.ClientSession | None = None
        self._numbers = itertools.count(1)
        # Its crash reporter goes by this, not by the profile.
        environment = {"XDG_CONFIG_HOME": str(self._profile), "XDG_CACHE_HOME": str(self._profile)}
        self._process = Process("chromium", [*command, "about:blank"], folder, environment)
        try:
            port_file = self._profile / "DevToolsActivePort"
            self._process.wait_until(lambda: port_file.exists() and port_file.read_text(), _TIMEOUT, "up")
            port = int(port_file.read_text().split()[0])
            self._socket = self._loop.run(self._connect(port), _TIMEOUT)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self._call("Emulation.setDeviceMetricsOverride", **size)
        except BaseException:
            self.stop()
            raise

    async def _connect(self, port: int) -> aiohttp.ClientWebSocketResponse:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            targets = await answer.json()
        page = next(target for target in targets if target["type"] == "page")
        # A picture comes as one message, larger than what is allowed by default.
        return await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._loop.run(self._exchange(next(self._numbers), method, parameters), _TIMEOUT)

    async def _exchange(self, number: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") != number:
                continue  # an event that nobody asked for
            if "error" in message:
                raise BrowserFailed(f"{method}: {message['error']['message']}")
            return message["result"]

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded; what its scripts show comes after that."""
        error = self._call("Page.navigate", url=url).get("errorText")
        if error:
            raise BrowserFailed(f"{url}: {error}")
        self.wait_for("document.readyState === 'complete' && document.body !== null", f"{url} whole")

    def evaluate(self, script: str) -> Any:
        """What a JavaScript expression gives in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """The text that the page shows, without what is hidden; empty while there is none."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_for(self, script: str, what: str, timeout: float = 60.0) -> Any:
        """Poll a JavaScript expression until it is true, and return what it gave."""
        try:
            return wait_for(lambda: self.evaluate(script), timeout, what)
        except TimeoutError as error:
            raise BrowserFailed(f"{error}; the page shows: {self.text()[:2000]!r}") from error

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def stop(self) -> None:
        """End the browser with all its processes."""
        if self._session is not None:
            self._loop.run(self._session.close())
        self._loop.stop()
        # Asked to, it ends its renderers and waits for them; they are of its process group.
        self._process.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
