"""Load by h2load, as fast as answers come, over HTTP/1.1 or HTTP/2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .processes import Process


class H2Load:
    """Sends requests to a port of loopback, over each connection one after the other."""

    def __init__(
        self,
        port: int,
        path: str,
        headers: Mapping[str, str],
        folder: Path,
        http2: bool = False,
        connections: int = 1,
        options: Sequence[str] = (),
    ) -> None:
        self._command = ["h2load", f"-c{connections}", "-t1", "-m1", f"http://127.0.0.1:{port}{path}"]
        if not http2:
            self._command.append("--h1")
        self._command += options
        self._command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        self._folder = folder
        self._runs = 0

    def send(self, count: int, progress: Callable[[float], None]) -> float:
        """Send `count` requests; `progress` gets how many more are done. Returns how many a second were answered."""
        self._runs += 1
        process = Process(f"h2load-{self._runs}", [*self._command, f"-n{count}"], self._folder)
        done = 0
        try:
            while process.returncode is None:
                time.sleep(0.1)
                percent = max(map(int, re.findall(r"(\d+)% done", process.log())), default=0)
                progress(count * (percent - done) / 100)
                done = percent
        finally:
            process.stop()
        if f"status codes: {count} 2xx" not in process.log():
            raise process.failed(f"did not get {count} answers of 200")
        progress(count * (100 - done) / 100)
        rate = re.search(r"finished in \S+, ([\d.]+) req/s", process.log())
        return float(rate[1]) if rate else 0.0
