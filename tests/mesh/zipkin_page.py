"""Zipkin's web page: what it shows of a trace and of the services, and pictures of it.

The names of its styles are generated, so parts are found by what they hold.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .browser import Browser

# The rows of the timeline: a span's "service: name" with its duration in the next cell.
_ROWS = """
[...document.querySelectorAll('div')].filter(cell => cell.childElementCount === 0
  && /^\\S+: \\S+$/.test(cell.textContent)
  && /^[\\d.]+(μs|ms|s)$/.test(cell.parentElement.nextElementSibling?.textContent ?? ''))
"""
_ROW_TEXTS = f"{_ROWS}.map(cell => [cell.innerText, cell.parentElement.nextElementSibling.innerText])"
_TABLE_ROWS = "[...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
_MICROSECONDS = {"μs": 1.0, "ms": 1e3, "s": 1e6}
# The graph is drawn on a canvas, from which nothing can be read, and moves into its place.
_GRAPH_SETTLES = 6.0


class Row(NamedTuple):
    """A span as the timeline shows it; the duration is in microseconds."""

    service: str
    name: str
    duration: float


class TracePage:
    """The page of one trace, opened in a browser."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        browser.open(url)
        browser.wait_for(f"{_ROWS}.length > 0", "a row of the timeline")

    def rows(self) -> list[Row]:
        """The timeline from top to bottom."""
        return [_row(label, duration) for label, duration in self._browser.evaluate(_ROW_TEXTS)]

    def select(self, number: int, span_id: str) -> None:
        """Click on a row, counted from 0, and wait until the details are those of that span."""
        self._browser.evaluate(f"{_ROWS}[{number}].click()")
        shown = "[...document.querySelectorAll('span')].find(one => one.innerText === 'Span ID')?.nextElementSibling"
        self._browser.wait_for(f"{shown}?.innerText === {json.dumps(span_id)}", f"the details of span {span_id}")

    def tags(self) -> dict[str, str]:
        """The tags of the selected span."""
        return {row[0]: row[1] for row in self._browser.evaluate(_TABLE_ROWS) if len(row) == 2}

    def fold_annotations(self) -> None:
        """Close the list of a span's events, which stands above its tags."""
        self._browser.evaluate(
            "[...document.querySelectorAll('p')].find(one => one.innerText === 'Annotation').nextElementSibling.click()"
        )
        self._browser.wait_for("!document.body.innerText.includes('Client Start')", "the list folded")


class DependencyPage:
    """The page of the services and their calls in the last hour, opened in a browser."""

    def __init__(self, browser: Browser, web_url: str) -> None:
        now = int(time.time() * 1000)
        self._browser = browser
        browser.open(f"{web_url}/dependency?startTime={now - 3_600_000}&endTime={now + 60_000}")
        browser.wait_for("document.querySelector('canvas') !== null", "the graph")

    def services(self) -> set[str]:
        """The services in the graph, as its filter offers them."""
        self._browser.evaluate("document.querySelector('button[title=Open]').click()")
        options = "[...document.querySelectorAll('[role=option]')].map(option => option.innerText)"
        self._browser.wait_for(f"{options}.length > 0", "the filter's list")
        return set(self._browser.evaluate(options))


def take_pictures(trace_url: str, web_url: str, folder: Path) -> None:
    """Write zipkin-trace.png and zipkin-dependencies.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as run, Browser(Path(run)) as browser:
        TracePage(browser, trace_url).fold_annotations()
        browser.screenshot(folder / "zipkin-trace.png")
        DependencyPage(browser, web_url)
        time.sleep(_GRAPH_SETTLES)
        browser.screenshot(folder / "zipkin-dependencies.png")


def _row(label: str, duration: str) -> Row:
    service, _, name = label.partition(": ")
    number = duration.rstrip("μms")
    return Row(service, name, float(number) * _MICROSECONDS[duration[len(number) :]])
