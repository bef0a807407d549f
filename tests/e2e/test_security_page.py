"""What SECURITY.md and README.md call a test is one."""

from __future__ import annotations

import re

import pytest

from mesh.config import REPOSITORY

PAGES = ("SECURITY.md", "README.md")


def _page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page: str) -> None:
    linked = set(re.findall(r"\]\(([\w./-]+?)(?:#[\w-]*)?\)", _page(page)))
    assert len(linked) > 10
    assert [name for name in sorted(linked) if not (REPOSITORY / name).exists()] == []


def test_every_test_that_the_security_page_names_is_one() -> None:
    page = _page("SECURITY.md")
    files = set(re.findall(r"\btest_\w+\.py\b", page))
    assert [name for name in sorted(files) if not (REPOSITORY / "tests" / "e2e" / name).exists()] == []
    sources = [*(REPOSITORY / "src").rglob("*.rs"), *(REPOSITORY / "tests" / "e2e").glob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    # A table's last cell is its tests.
    named = {name for row in re.findall(r"\| ([^|\n]+) \|$", page, re.MULTILINE) for name in re.findall(r"`(\w{20,})`", row)}
    assert len(named) > 25
    assert [name for name in sorted(named) if not re.search(rf"\b(fn|def) {name}\(", code)] == []


def test_every_metric_that_the_security_page_names_is_one() -> None:
    metrics = set(re.findall(r'"meshspan_(\w+)"', (REPOSITORY / "src" / "stats" / "mod.rs").read_text(encoding="utf-8")))
    caps = _page("SECURITY.md").partition("## Caps")[2]
    cells = [row.split(" | ")[2] for row in caps.splitlines() if row.count(" | ") == 3]
    named = {name for cell in cells for name in re.findall(r"`([a-z]+_[a-z_]+)`", cell)}
    assert len(named) > 10 and named <= metrics
