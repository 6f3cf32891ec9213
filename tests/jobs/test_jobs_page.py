"""docs/jobs.md names the test of each of its promises; the tests are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_promise_names_tests_that_exist() -> None:
    page = (HERE.parents[1] / "docs" / "jobs.md").read_text("utf-8")
    job_statuses = [line for line in page.partition("## Which test shows it")[2].splitlines() if line.startswith("| ")][
        1:
    ]
    existing = {
        name
        for file in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    assert len(job_statuses) >= 20
    for row in job_statuses:
        names = re.findall(r"`(test_\w+)`", row)
        assert names, f"no test: {row}"
        assert set(names) <= existing, f"no such test: {set(names) - existing}"
