"""The README and docs/jobs.md: their Python runs, their options exist, their links lead to files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {"README.md": README, "docs/jobs.md": (ROOT / "docs" / "jobs.md").read_text("utf-8")}


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.S))
def test_its_python_runs(block: str) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SPEAKER_00" in done.stdout


@pytest.fixture(scope="module")
def existing_options() -> set[str]:
    """Every option of every command, from their help."""
    options = {"--debug"}
    helps = [
        ("run",),
        ("score",),
        ("doctor",),
        ("export",),
        ("models", "fetch"),
        ("batch",),
        ("watch",),
        ("schedule", "add"),
        ("worker",),
        ("jobs", "retry"),
    ]
    for words in helps:
        done = subprocess.run(
            [sys.executable, "-m", "meetsplit.cli", *words, "--help"],
            capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "250"},
        )  # fmt: skip
        options |= set(re.findall(r"--[a-z][a-z0-9-]+", done.stdout))
    return options


@pytest.mark.parametrize("page", PAGES)
def test_its_options_exist(page: str, existing_options: set[str]) -> None:
    text = "\n".join(
        line for line in PAGES[page].splitlines() if "meetsplit" in line or line.startswith("|") or "`--" in line
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert named, "no options are named"
    assert named <= existing_options, named - existing_options


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
