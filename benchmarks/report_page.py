"""The benchmark page, docs/benchmarks.md: each benchmark writes one section of it, between its two markers.

Tables about one subject alone are on that subject's page, such as docs/subtitles.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from meetsplit.pipeline import versions
from meetsplit.pipeline.files import write

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def argument_parser(description: str | None, page: str = PAGE.name) -> argparse.ArgumentParser:
    """A parser with the option of every benchmark: ``--write`` puts the tables into the page."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{page}")
    return parser


def publish(
    section: str, tables: str, command: Sequence[str], *, into_page: bool, page_name: str | None = None
) -> None:
    """Print the tables with command, date, machine and versions; with ``into_page``, replace that section of the page.

    The page is `PAGE`, or the one called ``page_name`` beside it.

    Raises `SystemExit` where the page has no such section.
    """
    put(section, f"{tables}\n\n{_environment(command)}", into_page=into_page, page_name=page_name)


def put(section: str, text: str, *, into_page: bool, page_name: str | None = None) -> None:
    """Print a text that says itself where it was measured; with ``into_page``, replace that section of the page.

    Raises `SystemExit` where the page has no such section.
    """
    print(text)
    if not into_page:
        return
    path = PAGE if page_name is None else PAGE.with_name(page_name)
    page = path.read_text("utf-8")
    between_markers = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.S)
    new_page, count = between_markers.subn(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)
    if count != 1:
        raise SystemExit(f"{path} has no section {section!r}")
    write(path, new_page)


def _environment(command: Sequence[str]) -> str:
    """The line under a table: command, date, machine, load and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, no GPU used"
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    others = ", ".join(f"{name} {number}" for name, number in versions.recorded())
    today = datetime.date.today().isoformat()
    return f"`{' '.join(command)}`, {today}; {machine}; {load}; meetsplit {versions.meetsplit()}, {others}."


def command_line(module: str) -> list[str]:
    """The command line as a reader would type it, absolute paths shortened to their last name."""
    shown = [
        argument if not os.path.isabs(argument) else Path(argument).name.upper()
        for argument in sys.argv[1:]
        if argument != "--write"
    ]
    return ["python", "-m", f"meetsplit.benchmarks.{module}", *shown]
