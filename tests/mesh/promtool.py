"""Prometheus' promtool: whether rules are right, and what queries make of series."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .config import REPOSITORY
from .go_program import GoProgram

PROGRAM = GoProgram(
    "promtool", "PROMTOOL", REPOSITORY / "tests" / "prometheus", "github.com/prometheus/prometheus/cmd/promtool"
)
RULES = REPOSITORY / "istio" / "monitoring" / "prometheus-rule.yaml"
_SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def write_rules(path: Path) -> Path:
    """Write the shipped rules as a Prometheus without the operator reads them (`make rules`)."""
    spec = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]
    # Wide, so that no text is broken in the middle.
    path.write_text(yaml.safe_dump(spec, sort_keys=False, width=1000), encoding="utf-8")
    return path


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """The exit code, and everything that it printed."""
    command = [PROGRAM.path(), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.returncode, done.stdout


def run_tests(folder: Path, groups: list[dict[str, Any]]) -> None:
    """Run these tests of promtool's against the shipped rules; they are in minutes."""
    rules = write_rules(folder / "rules.yaml")
    file = folder / "tests.yaml"
    tests = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": groups}
    file.write_text(yaml.safe_dump(tests, sort_keys=False), encoding="utf-8")
    code, output = promtool("test", "rules", file)
    assert code == 0, output


def series(scrapes: list[str], labels: Mapping[str, str]) -> list[dict[str, str]]:
    """promtool's input of what was scraped minute by minute, with the labels that a scrape adds."""
    added = ",".join(f'{name}="{value}"' for name, value in labels.items())
    values: dict[str, list[str]] = {}
    for text in scrapes:
        for name, own, value in _SAMPLE.findall(text):
            values.setdefault(f"{name}{{{own}{',' if own else ''}{added}}}", []).append(value)
    return [{"series": name, "values": " ".join(one)} for name, one in values.items()]


if __name__ == "__main__":
    import sys

    write_rules(Path(sys.argv[1]))
