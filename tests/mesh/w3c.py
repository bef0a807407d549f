"""Runs the W3C working group's own validation suite against a sidecar with the module.

The suite is not part of this project: clone w3c/trace-context yourself and say

    make w3c SUITE=/path/to/trace-context

It talks to a service that calls back as told; that service is a small application behind
the sidecar's inbound listener, and its calls leave through the outbound one.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, web

from .application import FORWARDED
from .background import BackgroundLoop
from .config import Config, clusters
from .single import HOSTS, SingleProxy


class CallingApplication:
    """For each `{url, arguments}` of a request's body, posts the arguments to the URL."""

    def __init__(self, loop: BackgroundLoop) -> None:
        self.outbound_port = 0
        self.port: int = loop.run(self._start())

    async def _start(self) -> int:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner.addresses[0][1]

    async def _answer(self, request: web.Request) -> web.Response:
        forwarded = [(name, value) for name, value in request.headers.items() if name.lower() in FORWARDED]
        headers = [*forwarded, ("host", HOSTS["outbound"])]
        async with ClientSession() as session:
            for call in await request.json():
                url = f"http://127.0.0.1:{self.outbound_port}{urlsplit(call['url']).path}"
                async with session.post(url, json=call["arguments"], headers=headers) as answer:
                    await answer.read()
        return web.Response(text="called")


def upstream_at(port: int) -> Any:
    """A change that leads every cluster but the collector's to `port`."""

    def change(config: Config) -> None:
        for cluster in clusters(config):
            if cluster["name"] == "zipkin":
                continue
            for locality in cluster["load_assignment"]["endpoints"]:
                for host in locality["lb_endpoints"]:
                    host["endpoint"]["address"]["socket_address"]["port_value"] = port

    return change


def free_port() -> int:
    """A port for the suite, which cannot be asked which one it took."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(suite: Path, configuration: str) -> int:
    """Run the suite at its strictest; returns its exit code, the number of failed cases."""
    loop = BackgroundLoop("w3c")
    application = CallingApplication(loop)
    harness_port = free_port()
    inbound = SingleProxy(configuration, "inbound", change=upstream_at(application.port), loop=loop)
    outbound = SingleProxy(configuration, "outbound", change=upstream_at(harness_port), loop=loop)
    application.outbound_port = outbound.port
    levels = {"SPEC_LEVEL": "2", "STRICT_LEVEL": "2", "HARNESS_PORT": str(harness_port)}
    command = [sys.executable, str(suite / "test" / "test.py"), f"http://127.0.0.1:{inbound.port}/test"]
    try:
        return subprocess.run(command, env={**os.environ, **levels}, check=False).returncode
    finally:
        inbound.stop()
        outbound.stop()
        loop.stop()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make w3c", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("suite", type=Path, help="a clone of w3c/trace-context")
    parser.add_argument("--config", default='{"sampling": 100}', help="the plugin configuration")
    options = parser.parse_args()
    if not (options.suite / "test" / "test.py").is_file():
        parser.error(f"{options.suite} is not a clone of w3c/trace-context: it has no test/test.py")
    return run(options.suite, options.config)


if __name__ == "__main__":
    sys.exit(main())
