"""Pages that promise something name the tests that show it: each of these tests exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def existing() -> set[str]:
    """The names of all test functions."""
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/jobs.md"])
def test_every_test_that_a_page_names_exists(page: str, existing: set[str]) -> None:
    names = set(re.findall(r"`(test_\w+)`", (ROOT / page).read_text("utf-8")))
    assert names, "no tests are named"
    assert names <= existing, names - existing


def test_every_promise_about_jobs_names_a_test() -> None:
    page = (ROOT / "docs" / "jobs.md").read_text("utf-8")
    rows = [line for line in page.partition("## Which test shows it")[2].splitlines() if line.startswith("| ")][1:]
    assert rows
    for row in rows:
        assert re.search(r"`test_\w+`", row), f"no test: {row}"
