"""The whole mesh: traces are whole, and nothing outlives the one who started it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.envoy import wait_for
from mesh.requests import request
from mesh.topology import SPANS_A_TRACE, Mesh
from mesh.verdict import CHAIN, is_whole, judge, sampled_trace, sampling_bounds
from mesh.waterfall import by_trace

TESTS = Path(__file__).resolve().parents[1]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS)}


def test_every_request_becomes_one_whole_trace(mesh: Mesh) -> None:
    receiver = mesh.receiver
    assert receiver is not None
    trace_ids = set()
    for number in range(20):
        response = request(mesh.gateway_port, "GET", f"/accounts/{number}")
        assert response.status == 200
        trace_ids.add(sampled_trace(response.json()["headers"]) or "not sampled")
    assert len(trace_ids) == 20

    def arrived() -> bool:
        traces = by_trace(receiver.spans)
        return all(len(traces.get(one, [])) >= SPANS_A_TRACE for one in trace_ids)

    wait_for(arrived, what="all spans")
    traces = by_trace(receiver.spans)
    assert [one for one in trace_ids if not is_whole(traces[one])] == []


# Starts a mesh, prints the process ids of all that runs, and waits to be killed.
_WAITING_MESH = """
import time
from mesh.topology import Mesh
with Mesh() as mesh:
    print(*mesh.pids(), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_running_when_a_run_is_killed(ended_by: signal.Signals, folder: Path) -> None:
    command = [sys.executable, "-c", _WAITING_MESH]
    environment = {**_environment(), "TMPDIR": str(folder)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdout is not None
        pids = [int(word) for word in run.stdout.readline().split()]
        assert len(pids) == 5
        run.send_signal(ended_by)
        run.wait(30)
    wait_for(lambda: not any(_is_running(pid) for pid in pids), what="the end of all processes")


def _is_running(pid: int) -> bool:
    try:
        # Ours are children of the killed process, so a zombie waits only for init.
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sampling", [100, 50])
def test_demo_ends_with_code_0(sampling: int) -> None:
    command = [sys.executable, "-m", "mesh.demo", "--requests", "200", "--sampling", str(sampling), "--span", "2"]
    done = subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    for part in ("Trace ", "Tags of dockebi.demo SERVER", "Service graph", "incomplete traces    0"):
        assert part in done.stdout
    (trace_id,) = re.findall(r"^Trace ([0-9a-f]{32})\b", done.stdout, re.MULTILINE)
    (line,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert line["trace_id"] == trace_id


def test_demo_has_every_failed_request_though_it_samples_one_percent() -> None:
    command = [sys.executable, "-m", "mesh.demo", "--requests", "200", "--scenario", "failures", "--span", "4"]
    done = subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    for part in (r"^traces sampled +\d .*, 1 % configured", r"^incomplete traces +0", r"^sampling\.kept +error"):
        assert re.search(part, done.stdout, re.MULTILINE), part
    # Of ten that fail some may be sampled as well.
    (kept,) = re.findall(r"^failed, not sampled +(\d+)", done.stdout, re.MULTILINE)
    assert 5 <= int(kept) <= 10


def _span(number: int) -> dict[str, Any]:
    service, kind = CHAIN[number]
    span = {
        "traceId": "a" * 32, "id": f"{number + 1:016x}", "kind": kind, "timestamp": 1000 + number, "duration": 1,
        "localEndpoint": {"serviceName": service},
    }  # fmt: skip
    return span if number == 0 else {**span, "parentId": f"{number:016x}"}


WHOLE = [_span(number) for number in range(SPANS_A_TRACE)]


@pytest.mark.parametrize(
    ("name", "spans", "expected"),
    [
        ("whole", WHOLE, None),
        ("whole, in any order", WHOLE[::-1], None),
        ("one missing", WHOLE[:2] + WHOLE[3:], "3 spans received, 4 expected"),
        ("one twice", [*WHOLE, WHOLE[1]], "5 spans received, 4 expected"),
        ("one twice in place of another", [*WHOLE[:3], WHOLE[2]], "1 incomplete traces"),
        ("of the wrong kind", [*WHOLE[:3], {**WHOLE[3], "kind": "CLIENT"}], "1 incomplete traces"),
        ("with the wrong parent", [*WHOLE[:3], {**WHOLE[3], "parentId": WHOLE[1]["id"]}], "1 incomplete traces"),
        ("none", [], "0 spans received, 4 expected"),
        ("of a trace that nobody asked for", [*WHOLE, {**WHOLE[0], "traceId": "b" * 32}], "1 incomplete traces"),
    ],
)
def test_the_demos_verdict_sees_what_is_wrong(name: str, spans: list[dict[str, Any]], expected: str | None) -> None:
    answers = [(200, {"headers": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}})]
    failures = judge(answers, 100, spans, len(spans), 0, len(spans), []).failures()
    assert (failures == []) if expected is None else any(expected in failure for failure in failures)


FAILED = [(200, {"headers": {}}), (500, {"headers": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-02"}})]


@pytest.mark.parametrize(
    ("name", "answers", "spans", "expected"),
    [
        ("whole", FAILED, WHOLE, None),
        ("one missing", FAILED, WHOLE[:3], "3 spans received, 4 expected"),
        ("one that did not fail", [(200, {"headers": {}})] * 2, [], "1 requests were not answered as they should be"),
        ("of what did not fail", FAILED[:1], WHOLE, "4 spans received, 0 expected"),
    ],
)
def test_the_demos_verdict_sees_what_is_wrong_with_failures(
    name: str, answers: list[tuple[int, Any]], spans: list[dict[str, Any]], expected: str | None
) -> None:
    wanted = [200, 500].__getitem__
    failures = judge(answers, 0, spans, len(spans), 0, len(spans), [], wanted).failures()
    assert (failures == []) if expected is None else any(expected in failure for failure in failures)


def test_sampling_bounds_are_exact_at_the_ends() -> None:
    assert sampling_bounds(300, 0) == (0, 0)
    assert sampling_bounds(300, 100) == (300, 300)
    low, high = sampling_bounds(5000, 60)
    assert 2800 < low < 3000 < high < 3200
