"""A real Zipkin server, version 3.5.1, with its web page: a jar run by Java."""

from __future__ import annotations

import collections
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .cache import PartMissing, cached, given
from .processes import Process, free_ports

VERSION = "3.5.1"
SHA256 = "7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d"
COORDINATES = f"io.zipkin:zipkin-server:{VERSION}:jar:exec"
_JAR_NAME = f"zipkin-server-{VERSION}-exec.jar"


def zipkin_jar() -> Path:
    """The server's jar: `ZIPKIN_JAR`, the cached one, or fetched from Maven Central."""
    return given("ZIPKIN_JAR") or cached(_JAR_NAME, _fetch_checked)


def _fetch_checked(folder: Path) -> Path:
    fetched = _fetch(folder)
    digest = _sha256(fetched)
    if digest != SHA256:
        raise PartMissing(f"{COORDINATES} has sha256 {digest} where {SHA256} is expected")
    return fetched


def _fetch(folder: Path) -> Path:
    """Fetch the jar into `folder`: with mvn, which knows the user's mirrors, else with jgo."""
    maven = shutil.which("mvn")
    try:
        jar = _fetch_with_maven(maven, folder) if maven else _fetch_with_jgo(folder)
    except Exception as error:  # whatever it was, the user needs the way out
        raise PartMissing(f"could not fetch {COORDINATES} ({error}); set ZIPKIN_JAR to {_JAR_NAME}") from error
    return jar


def _fetch_with_maven(maven: str, folder: Path) -> Path:
    command = [maven, "-B", "-q", "dependency:copy", f"-Dartifact={COORDINATES}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stdout.strip().splitlines() or ["mvn failed"])[0])
    return folder / _JAR_NAME


def _fetch_with_jgo(folder: Path) -> Path:
    from jgo.maven import MavenContext

    server = MavenContext(repo_cache=folder).project("io.zipkin", "zipkin-server").at_version(VERSION)
    return Path(server.artifact(classifier="exec", packaging="jar").resolve())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def java() -> str:
    """The Java program, 17 or later (`JAVA_HOME` first, then the path)."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java") or ""
    try:
        done = subprocess.run([program, "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = done.stdout
    except OSError:
        said = ""
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found.group(1)) < 17:
        what = f"Java {found.group(1)}" if found else "none"
        raise PartMissing(
            f"Zipkin needs Java 17 or later and found {what}: on Debian apt-get install openjdk-17-jre-headless"
        )
    return program


class Zipkin:
    """A running Zipkin server that keeps its spans in memory."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        # Zipkin cannot take port 0, so a free one is chosen just before it starts.
        self.port = port or free_ports(1)[0]
        command = [java(), "-Xmx512m", "-jar", str(zipkin_jar())]
        environment = {"QUERY_PORT": str(self.port), "STORAGE_TYPE": "mem", "SELF_TRACING_ENABLED": "false"}
        self.process = Process("zipkin", command, folder, environment)
        try:
            self.process.wait_until(self._is_up, timeout=60, what="up")
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Its web page."""
        return f"http://127.0.0.1:{self.port}/zipkin"

    def trace_url(self, trace_id: str) -> str:
        """The web page of one trace."""
        return f"{self.url}/traces/{trace_id}"

    def _is_up(self) -> bool:
        try:
            return self._get("/health") is not None
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def _get(self, path: str, **query: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise ValueError(f"{path} answered {answer.status}: {body[:200]!r}")
        return json.loads(body)

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of one trace; empty when it is not known."""
        return self._get(f"/api/v2/trace/{trace_id}") or []

    def many(self, trace_ids: Iterable[str]) -> list[dict[str, Any]]:
        """The spans of many traces, in one list."""
        ids, spans = list(trace_ids), []
        for start in range(0, len(ids), 100):
            chunk = ids[start : start + 100]
            if len(chunk) == 1:  # Zipkin refuses a single id here
                traces = [self.trace(chunk[0])]
            else:
                traces = self._get("/api/v2/traceMany", traceIds=",".join(chunk))
            spans += [span for trace in traces for span in trace]
        return spans

    def traces(self, annotation_query: str = "", limit: int = 100, **more: Any) -> list[list[dict[str, Any]]]:
        """Search: `zipkin.traces("account_header=acme and http.method=GET", serviceName="gateway.demo")`."""
        query = {"annotationQuery": annotation_query} if annotation_query else {}
        return self._get("/api/v2/traces", limit=limit, lookback=3_600_000, **query, **more)

    def dependencies(self, since: float | None = None) -> list[dict[str, Any]]:
        """The dependency links, e.g. {"parent": "gateway.demo", "child": "dockebi.demo", "callCount": 3}.

        Of the traces that began after `since`, a time.time(); without it, of the last hour.
        """
        end = int(time.time() * 1000) + 60_000
        lookback = 3_600_000 if since is None else end - int(since * 1000)
        return self._get("/api/v2/dependencies", endTs=end, lookback=lookback)

    def edges(self) -> collections.Counter[tuple[str, str]]:
        """The service graph of the last hour."""
        return collections.Counter({(one["parent"], one["child"]): one["callCount"] for one in self.dependencies()})

    def names(self, what: str, **query: Any) -> set[str]:
        """What it can be searched by: `services`, or of a serviceName `spans` or `remoteServices`."""
        return set(self._get(f"/api/v2/{what}", **query))

    def span_count(self) -> int:
        """How many spans it has taken so far, doubles included."""
        metrics = self._get("/metrics")
        return int(metrics.get("counter.zipkin_collector.spans.http", 0))

    def dropped_messages(self) -> int:
        """How many messages it could not read."""
        return int(self._get("/metrics").get("counter.zipkin_collector.messages_dropped.http", 0))

    def stop(self) -> None:
        """End the server; its spans are gone with it."""
        self.process.stop()
