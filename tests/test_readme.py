"""The README and the pages of docs/: their Python runs, their command lines are understood, their links lead on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_lines import code_blocks, command_lines, complaint, options

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "from-whisperx.md"  # about the options of others
}
GENERATED = ("python.md", "reference/cli.md", "reference/python.md")
"""Pages that the site makes of the program, the package and the notebook."""

OTHERS = {
    *("--budgets", "--check", "--checkpoint", "--data", "--exam-kinds", "--gpus", "--kind", "--lessons", "--minutes"),
    *(
        "--average",
        "--network",
        "--peak",
        "--rooms",
        "--short",
        "--size",
        "--spare",
        "--start",
        "--steps",
        "--unpacked",
        "--voices",
    ),
}
"""Options of other programs and of our own scripts that the pages name."""


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


@pytest.mark.parametrize("page", PAGES)
def test_its_command_lines_are_understood(page: str) -> None:
    assert [problem for words in command_lines(PAGES[page]) if (problem := complaint(words))] == []


@pytest.mark.parametrize("page", PAGES)
def test_its_options_exist(page: str) -> None:
    """Options in the text around, whose command is not said: one of ours has them, unless the line is about another
    program.
    """
    named = set(re.findall(r"`(--[a-z][a-z0-9-]+)", PAGES[page]))
    assert named <= options() | OTHERS, named - options() - OTHERS


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert ((ROOT / page).parent / target).exists() or target in GENERATED, target


def test_the_readme_is_short_and_shows_the_terminal() -> None:
    assert len(README.splitlines()) <= 120
    assert re.search(r"!\[[^]]+\]\(docs/images/[^)]+\)", README)


def test_its_numbers_are_those_of_the_benchmarks() -> None:
    table = README.partition("<!-- numbers -->")[2].partition("<!-- /numbers -->")[0]
    figures = re.findall(r"\d+\.\d+", table)
    measured = re.findall(r"\d+\.\d+", (ROOT / "docs" / "benchmarks.md").read_text("utf-8"))
    assert figures
    assert set(figures) <= set(measured)


def test_a_package_index_gets_no_link_that_leads_nowhere_there() -> None:
    page = (ROOT / tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["readme"]).read_text("utf-8")
    assert re.findall(r"\]\((?!https:)[^)]*\)", page) == []
    assert {words[0] for line in code_blocks(page) if (words := line.split("  "))} <= set(re.split(r"\n *|  ", README))
