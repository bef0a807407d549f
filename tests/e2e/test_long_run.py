"""A short form of `make soak`: the collector fails and the configuration changes at random under load."""

from __future__ import annotations

from pathlib import Path

from mesh.soak.stage import Plan, Stage


def test_faults_and_changes_under_load_fail_no_request_and_the_books_balance(folder: Path) -> None:
    stage = Stage(Plan("random", workers=2, seconds=20, requests=5_000, seed="a short run"), folder)
    try:
        outcome = stage.run(lambda _: None)
    finally:
        stage.stop()
    assert outcome.faults == []
    assert len(outcome.events) >= 4
    assert outcome.stats["meshspan_spans_exported"] > 0
