"""Fixtures over the mesh: `proxy` makes a single Envoy, `mesh` is the whole mesh, shared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.background import BackgroundLoop
from mesh.config import MODULE, PluginConfiguration
from mesh.processes import new_run_folder
from mesh.single import SingleProxy
from mesh.topology import Mesh
from mesh.zipkin import Zipkin


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say at once, and in one line, when there is nothing to test."""
    if not MODULE.is_file():
        pytest.exit("dist/meshspan.wasm is not there: run make build first", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself has failed: what it needs is fetched or the run says so."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and no test may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def loop() -> Iterator[BackgroundLoop]:
    """The loop that all receivers and upstreams of the session run on."""
    loop = BackgroundLoop("tests")
    yield loop
    loop.stop()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logs of the session go."""
    return new_run_folder(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def mesh(folder: Path) -> Iterator[Mesh]:
    """One mesh for the whole session, sampling everything; tests go by their trace ids."""
    with Mesh(sampling=100, folder=folder) as mesh:
        yield mesh
        assert mesh.receiver is not None and mesh.receiver.errors == []


@pytest.fixture(scope="session")
def zipkin(folder: Path) -> Iterator[Zipkin]:
    """One real Zipkin for the whole session; tests go by their trace ids and by time."""
    server = Zipkin(folder)
    yield server
    dropped = server.dropped_messages()
    server.stop()
    assert dropped == 0


@pytest.fixture
def proxy(folder: Path, loop: BackgroundLoop) -> Iterator[Callable[..., SingleProxy]]:
    """Makes single proxies (see `mesh.single.SingleProxy`) and checks each at the end.

    A proxy made with `clean=False` may break the rules that are checked here: it may
    send spans that are not Zipkin v2, trap, or end with an error.
    """
    yield from _proxies(folder, loop)


@pytest.fixture(scope="module")
def module_proxy(folder: Path, loop: BackgroundLoop) -> Iterator[Callable[..., SingleProxy]]:
    """Like `proxy`, for proxies that the tests of a module share."""
    yield from _proxies(folder, loop)


def _proxies(folder: Path, loop: BackgroundLoop) -> Iterator[Callable[..., SingleProxy]]:
    started: list[tuple[SingleProxy, bool]] = []

    def start(config: PluginConfiguration | None = None, clean: bool = True, **named: Any) -> SingleProxy:
        proxy = SingleProxy(config, folder=folder, loop=loop, **named)
        started.append((proxy, clean))
        return proxy

    yield start
    faults = []
    for proxy, clean in started:
        code = proxy.stop()
        if clean:
            faults += proxy.receiver.errors
            faults += [f"Envoy ended with code {code}"] if code else []
            faults += ["the module trapped, see Envoy's log"] if proxy.trapped() else []
    assert faults == []
