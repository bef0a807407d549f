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
from mesh.silent import Part, Told, judge_silent
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
from mesh.silent import Part, Told, judge_silent
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


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh.demo", *arguments]
    return subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("sampling", [100, 50])
def test_demo_ends_with_code_0(sampling: int) -> None:
    done = _demo("--requests", "200", "--sampling", str(sampling), "--span", "2")
    assert done.returncode == 0, done.stdout
    for part in ("Trace ", "Tags of dockebi.demo SERVER", "Service graph", "incomplete traces    0"):
        assert part in done.stdout
    (trace_id,) = re.findall(r"^Trace ([0-9a-f]{32})\b", done.stdout, re.MULTILINE)
    (line,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert line["trace_id"] == trace_id


def test_demo_has_every_failed_request_though_it_samples_one_percent() -> None:
    done = _demo("--requests", "200", "--scenario", "failures", "--span", "4")
    assert done.returncode == 0, done.stdout
    for part in (r"^traces sampled +\d .*, 1 % configured", r"^incomplete traces +0", r"^sampling\.kept +error"):
        assert re.search(part, done.stdout, re.MULTILINE), part
    # Of ten that fail some may be sampled as well.
    (kept,) = re.findall(r"^failed, not sampled +(\d+)", done.stdout, re.MULTILINE)
    assert 5 <= int(kept) <= 10


def test_demo_has_whole_traces_of_applications_that_forward_nothing() -> None:
    done = _demo("--app", "silent", "--requests", "40", "--span", "5")
    assert done.returncode == 0, done.stdout
    # Each of both calls of the trace that is shown, and all of those at low load.
    trace = done.stdout.partition("In the gateway's access log")[0]
    assert re.findall(r"dockebi\.demo +CLIENT .* (\w+) +[\d.]+ ms", trace) == ["single", "single"], trace
    for part in (r"^one in flight +40 +80 +80 +0 +0 +single 80 *$", r"^incomplete traces +0", r"^meshspan\.correlation +single"):
        assert re.search(part, done.stdout, re.MULTILINE), (part, done.stdout)
    parts = re.findall(r"^(?:until learnt|one in flight|4 in flight)((?: +\d+){5})", done.stdout, re.MULTILINE)
    for _, calls, *of_these in (map(int, figures.split()) for figures in parts):
        assert sum(of_these) == calls
    assert len(parts) == 3


def test_demo_fails_where_applications_forward_nothing_and_nothing_links_their_calls() -> None:
    done = _demo("--app", "silent", "--correlation", "exact", "--requests", "1")
    assert done.returncode == 1, done.stdout
    (line,) = re.findall("^failed: .*", done.stdout, re.MULTILINE)
    assert line.startswith("failed: no 50 requests on end had their calls linked"), line


@pytest.mark.parametrize(
    "arguments", [["--app", "loud"], ["--app", ""], ["--app", "silent", "--scenario", "failures"], ["--scenario", "x"]]
)
def test_demo_says_in_one_line_what_it_does_not_know(arguments: list[str]) -> None:
    done = _demo(*arguments)
    assert (done.returncode, done.stdout.count("\n")) == (2, 1), done.stdout
    assert arguments[0] in done.stdout


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


A, B, OWN = (character * 32 for character in "abc")


def _silent(trace_id: str, calls: list[str], requests: int = 2) -> list[dict[str, Any]]:
    """The spans of a trace into which came a request, if it is one, and calls of a request."""
    places = [0, 1] if requests else []
    spans = [{**_span(place), "traceId": trace_id} for place in places]
    for number, call in enumerate(calls):
        ids = (f"{number + 3:x}c", f"{number + 3:x}d")
        for place, span_id, parent in zip((2, 3), ids, (f"{2:016x}", ids[0]), strict=True):
            span = {**_span(place), "traceId": trace_id, "id": span_id, "parentId": parent, "tags": {"meshspan.correlation": call}}
            spans.append(span)
    return spans


# Requests of the traces A and B; the trace of each's calls.
RIGHT = {A: (A, A), B: (B, B)}
BOTH = [*_silent(A, ["single", "single"]), *_silent(B, ["single", "single"])]


@pytest.mark.parametrize(
    ("name", "mode", "calls", "spans", "expected"),
    [
        ("all right", "sure", RIGHT, BOTH, None),
        ("all right, in any order", "infer", RIGHT, BOTH[::-1], None),
        ("none linked", "sure", {A: (A, A), B: (OWN, OWN)}, BOTH, "2 of 4 calls at low load are not in the trace"),
        ("one wrong", "infer", {A: (A, A), B: (B, A)}, BOTH, "1 of 4 calls at low load are not in the trace"),
        ("one not made", "sure", {A: (A, A), B: (B,)}, BOTH, "3 calls of 2 requests"),
        ("one span missing", "sure", RIGHT, BOTH[:-1], "11 spans received, 12 expected"),
        ("a call below the other", "sure", RIGHT, [*BOTH[:-2], {**BOTH[-2], "parentId": BOTH[-4]["id"]}, BOTH[-1]], "1 incomplete"),
        ("of a trace that nobody asked for", "sure", RIGHT, [*BOTH, {**BOTH[0], "traceId": OWN}], "1 incomplete traces"),
    ],
)
def test_the_silent_demos_verdict_sees_what_is_wrong_at_low_load(
    name: str, mode: str, calls: dict[str, tuple[str, ...]], spans: list[dict[str, Any]], expected: str | None
) -> None:
    failures = _judge_silent(mode, calls, {}, spans)
    assert (failures == []) if expected is None else any(expected in failure for failure in failures), failures


@pytest.mark.parametrize(
    ("name", "mode", "calls", "expected"),
    [
        ("apart", "sure", {B: (OWN, B)}, None),
        ("wrong, where it may be", "infer", {B: (A, B)}, None),
        ("wrong, where it may not be", "sure", {B: (A, B)}, "1 calls are in the trace of a request that did not make them"),
    ],
)
def test_the_silent_demos_verdict_is_milder_at_more_load(
    name: str, mode: str, calls: dict[str, tuple[str, ...]], expected: str | None
) -> None:
    of_a = ["single", "single", *["inferred"] * sum(call == A for call in calls[B])]
    spans = [*_silent(A, of_a), *_silent(B, ["inferred"]), *_silent(OWN, ["none"] * (calls[B][0] == OWN), 0)]
    failures = _judge_silent(mode, {A: (A, A)}, calls, spans)
    assert failures == [] if expected is None else expected in failures, failures


def _judge_silent(
    mode: str, low: dict[str, tuple[str, ...]], crowd: dict[str, tuple[str, ...]], spans: list[dict[str, Any]]
) -> list[str]:
    def part(calls: dict[str, tuple[str, ...]]) -> Part:
        return Part("", [Told(200, (one, True), tuple((call, True) for call in of)) for one, of in calls.items()])

    parts = (part({}), part(low), part(crowd))
    return judge_silent(parts, True, mode, 100, spans, len(spans), 0, len(spans), []).failures()


def test_sampling_bounds_are_exact_at_the_ends() -> None:
    assert sampling_bounds(300, 0) == (0, 0)
    assert sampling_bounds(300, 100) == (300, 300)
    low, high = sampling_bounds(5000, 60)
    assert 2800 < low < 3000 < high < 3200
