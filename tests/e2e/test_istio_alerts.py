"""The alerts fire when they should and only then; the dashboard's queries work on what Envoy really says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mesh.config import TRAPPING, Config, set_module
from mesh.envoy import wait_for
from mesh.manifests import ISTIO
from mesh.promtool import RULES, promtool, run_tests, series, write_rules
from mesh.single import SingleProxy

LABELS = {"namespace": "demo", "pod": "dockebi-1"}
# How long the series are, in minutes; a value and what each of them adds.
MINUTES = 40
FLAT, RISING = "0+0x40", "0+60x40"
METRICS = (
    "spans_sampled",
    "spans_exported",
    "spans_dropped_queue_full",
    "spans_dropped_rejected",
    "spans_dropped_retries_exhausted",
    "spans_dropped_too_large",
    "export_requests",
    "export_failures",
    "contexts_started",
    "contexts_continued",
    "contexts_malformed",
    "queue_spans",
    "queue_bytes",
    "configuration_invalid",
)
HEALTHY = {
    **{f"meshspan_{name}": FLAT for name in METRICS},
    "meshspan_spans_sampled": RISING,
    "meshspan_spans_exported": RISING,
    "meshspan_export_requests": RISING,
    "meshspan_contexts_started": "0+6x40",
    "meshspan_contexts_continued": "0+54x40",
    "istio_requests_total": RISING,
}
# By alert: what is different from a proxy that is well.
FIRES: dict[str, dict[str, str]] = {
    "MeshspanQueueFull": {"meshspan_spans_dropped_queue_full": "0+6x40"},
    "MeshspanSpansRejected": {"meshspan_spans_dropped_rejected": "0+6x40"},
    "MeshspanSpansTooLarge": {"meshspan_spans_dropped_too_large": "0+1x40"},
    "MeshspanRetriesExhausted": {"meshspan_spans_dropped_retries_exhausted": "0+0x30 0 100+0x8"},
    "MeshspanQueueFilling": {"meshspan_queue_spans": "0+50x40"},
    # Requests that could not be made are failures alone.
    "MeshspanExportFailing": {"meshspan_export_failures": "0+12x40", "meshspan_export_requests": FLAT},
    "MeshspanContextsMalformed": {"meshspan_contexts_malformed": "0+6x40"},
    "MeshspanConfigurationInvalid": {"meshspan_configuration_invalid": "1+0x40"},
    # One of two workers is dead: the module sees half.
    "MeshspanSilent": {"meshspan_contexts_started": "0+3x40", "meshspan_contexts_continued": "0+27x40"},
}
SILENT = {"all workers dead": {"meshspan_contexts_started": "60+0x40", "meshspan_contexts_continued": "540+0x40"}}
QUIET = {
    "all is well": {},
    "no requests": {**SILENT["all workers dead"], "istio_requests_total": "600+0x40"},
    "few failures": {"meshspan_export_failures": "0+6x40"},
    "few malformed contexts": {"meshspan_contexts_malformed": "0+1x40"},
}


def text(labels: dict[str, str]) -> str:
    """Labels as PromQL writes them."""
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def input_series(values: dict[str, str], labels: dict[str, str] = LABELS) -> list[dict[str, str]]:
    """promtool's input: a series of each of these values."""
    return [{"series": f"{name}{{{text(labels)}}}", "values": value} for name, value in values.items()]


def alerts() -> list[str]:
    """The shipped alerts' names."""
    spec = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]
    return [rule["alert"] for group in spec["groups"] for rule in group["rules"]]


def fires(tmp_path: Path, group: list[dict[str, str]], expected: dict[str, dict[str, str]]) -> None:
    """Check which alerts fire at the end, and with which labels."""
    query = {
        "expr": 'ALERTS{alertstate="firing"}',
        "eval_time": f"{MINUTES - 1}m",
        "exp_samples": [
            {"labels": f'ALERTS{{alertname="{name}",alertstate="firing",{text(labels)}}}', "value": 1}
            for name, labels in expected.items()
        ],
    }
    run_tests(tmp_path, [{"interval": "1m", "input_series": group, "promql_expr_test": [query]}])


def expected(name: str) -> dict[str, str]:
    """The labels of an alert about the one pod."""
    severity = "info" if name in ("MeshspanSpansTooLarge", "MeshspanContextsMalformed") else "warning"
    by_pod = name in ("MeshspanQueueFilling", "MeshspanSilent", "MeshspanMissing")
    return {"severity": severity, **(LABELS if by_pod else {"namespace": "demo"})}


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    code, output = promtool("check", "rules", "--lint=all", "--lint-fatal", write_rules(tmp_path / "rules.yaml"))
    assert code == 0, output


def test_every_alert_has_a_test() -> None:
    assert sorted(alerts()) == sorted([*FIRES, "MeshspanMissing"])


@pytest.mark.parametrize("alert", FIRES)
def test_the_alert_fires_and_no_other(alert: str, tmp_path: Path) -> None:
    fires(tmp_path, input_series({**HEALTHY, **FIRES[alert]}), {alert: expected(alert)})


def test_a_proxy_whose_workers_are_all_dead_is_silent(tmp_path: Path) -> None:
    fires(
        tmp_path,
        input_series({**HEALTHY, **SILENT["all workers dead"]}),
        {"MeshspanSilent": expected("MeshspanSilent")},
    )


def test_a_dead_vm_of_a_real_envoy_is_silent(proxy: Callable[..., SingleProxy], tmp_path: Path) -> None:
    def change(config: Config) -> None:
        set_module(config, TRAPPING, "FAIL_OPEN")

    one = proxy(change=change, clean=False)
    requests = [0]

    def scrape_after(count: int, **named: Any) -> str:
        for _ in range(count):
            one.request(**named)
        requests.append(requests[-1] + count)
        return one.envoy.prometheus()

    scrapes = [scrape_after(1)]
    one.settle()
    scrapes.append(scrape_after(1, headers=[("x-meshspan-trap", "log")]))
    scrapes += [scrape_after(30) for _ in range(MINUTES - 1)]
    istio = {"istio_requests_total": " ".join(str(count) for count in requests[1:])}
    fires(tmp_path, [*series(scrapes, LABELS), *input_series(istio)], {"MeshspanSilent": expected("MeshspanSilent")})


@pytest.mark.parametrize("case", QUIET)
def test_no_alert_fires(case: str, tmp_path: Path) -> None:
    fires(tmp_path, input_series({**HEALTHY, **QUIET[case]}), {})


def test_a_pod_without_the_module_is_missing_where_its_neighbours_have_it(tmp_path: Path) -> None:
    without = {"istio_requests_total": RISING}
    group = [
        *input_series(HEALTHY, {**LABELS, "pod": "dockebi-2"}),
        *input_series(without),
        # This whole namespace is not on meshspan.
        *input_series(without, {"namespace": "native", "pod": "other-1"}),
    ]
    fires(tmp_path, group, {"MeshspanMissing": expected("MeshspanMissing")})


@pytest.fixture(scope="module")
def scraped(module_proxy: Callable[..., SingleProxy]) -> list[str]:
    """What a real Envoy says before, after and between requests, failures of the collector among them."""
    one = module_proxy({"sampling": 100, "queue": {"maxSpans": 12}})
    scrapes = [one.envoy.prometheus()]
    sent = 0
    # What a round sends fits in the queue, but for the last one's.
    for answered, count in ((200, 12), (400, 12), (503, 24)):
        one.receiver.faults.status = answered
        for _ in range(count):
            assert one.request(headers=[("traceparent", "bad")]).status == 200
        sent += count
        wait_for(lambda: one.stats()["meshspan_spans_sampled"] == sent, what="the round counted")
        if answered == 503:
            wait_for(lambda: one.stats()["meshspan_spans_dropped_queue_full"], what="a full queue")
        else:
            one.settle()
        scrapes.append(one.envoy.prometheus())
    one.receiver.faults.status = 200
    return scrapes


def queries() -> list[str]:
    """The dashboard's queries, for all namespaces and five minutes."""
    dashboard = json.loads((ISTIO / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [one.replace("$namespace", ".*").replace("$__rate_interval", "5m") for one in expressions]


def test_every_query_of_the_dashboard_finds_what_envoy_says(scraped: list[str], tmp_path: Path) -> None:
    # Istio's own counter; a plain Envoy has none.
    group = [*series(scraped, LABELS), *input_series({"istio_requests_total": "0 12 24 36"})]
    tests = [
        {"expr": f"count({query} >= 0)", "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for query in queries()
    ]
    run_tests(tmp_path, [{"interval": "1m", "input_series": group, "promql_expr_test": tests}])


def test_the_queries_count_what_happened(scraped: list[str], tmp_path: Path) -> None:
    values = {
        "meshspan_spans_sampled": 48,
        "meshspan_spans_exported": 12,
        "meshspan_spans_dropped_rejected": 12,
        "meshspan_contexts_started": 48,
        "meshspan_contexts_malformed": 48,
    }
    tests = [
        {
            "expr": f"sum by (namespace) ({metric} - {metric} offset 3m)",
            "eval_time": "3m",
            "exp_samples": [{"labels": '{namespace="demo"}', "value": value}],
        }
        for metric, value in values.items()
    ]
    run_tests(tmp_path, [{"interval": "1m", "input_series": series(scraped, LABELS), "promql_expr_test": tests}])


def test_envoy_has_every_metric_that_alerts_and_dashboard_name(scraped: list[str]) -> None:
    everything = "\n".join([*queries(), RULES.read_text(encoding="utf-8")])
    named = set(re.findall(r"\bmeshspan_\w+", everything))
    assert named == {f"meshspan_{name}" for name in METRICS}
    assert all(f"\n{name}{{" in scraped[0] for name in named)
