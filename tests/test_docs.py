"""The documentation: the site builds without a warning, and its references leave nothing out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

import meetsplit
from meetsplit import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link or an anchor that leads nowhere and a page that nothing leads to are warnings."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


def commands() -> Iterator[tuple[str, ...]]:
    """Every command that the help pages list, found by following them."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        words = waiting.pop()
        yield words
        if len(words) < 2:
            waiting += [(*words, name) for name in listed(help_of(words))]


def help_of(words: tuple[str, ...]) -> str:
    """What ``meetsplit WORDS --help`` prints."""
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue())


def listed(text: str) -> list[str]:
    """The commands in the boxes of a help page whose titles speak of commands."""
    boxes = re.findall(r"╭─ ([^─]*?)─+╮\n(.*?)╰", text, re.DOTALL)
    return [
        name
        for title, rows in boxes
        if "Options" not in title and "Arguments" not in title
        for name in re.findall(r"^│ ([a-z][a-z-]*) ", rows, re.MULTILINE)
    ]


def test_every_command_and_option_is_in_the_reference(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    page = unescape(re.sub(r"<[^>]+>", "", (site / "reference" / "cli.html").read_text("utf-8")))
    sections = dict(re.findall(r"\n *(meetsplit[a-z -]*)¶\n(.*?)(?=\n *meetsplit[a-z -]*¶\n|\Z)", page, re.DOTALL))
    seen = []
    for words in commands():
        section = sections[" ".join(("meetsplit", *words))]
        options = {
            option
            for row in re.findall(r"^│[ *]*((?:--?[a-z][a-z0-9-]*[ ,]+)+)", help_of(words), re.MULTILINE)
            for option in re.findall(r"--?[a-z][a-z0-9-]*", row)
        }
        assert {"--help", "-h"} <= options
        assert options <= set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", section)), words
        seen.append(words)
    assert {("run",), ("schedule", "run-now"), ("cache", "prune")} <= set(seen)
    assert len(sections) == len(seen)
    assert "meetsplit run [OPTIONS] RECORDING..." in page
    assert not re.search(r"<list|\{[A-Z]", page), "types and braces are typer's, not a person's"


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text("utf-8")
    documented = set(re.findall(r'id="meetsplit\.(\w+)"', page)) | set(meetsplit._EARLIER_NAMES)
    assert set(meetsplit.__all__) - {"__version__"} <= documented


def test_the_site_asks_no_other_server(site: Path) -> None:
    """Links lead elsewhere, but scripts, styles, fonts and pictures are the site's own (docs/privacy.md)."""
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', page.read_text("utf-8")
        )
        assert loaded == [], page
    for picture in site.rglob("*.svg"):
        assert "url(http" not in picture.read_text("utf-8"), picture
