"""Where do the numbers go? Each benchmark owns one section of docs/benchmarks.md, between its two markers."""

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


def options(about: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has: ``--write`` puts the tables into the page."""
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    return found


def publish(section: str, tables: str, command: Sequence[str], *, into_page: bool) -> None:
    """Print the tables with machine, versions, date and command under them; with ``into_page``, replace that section of the page.

    Raises `SystemExit` where the page has no such section.
    """
    text = f"{tables}\n\n{_circumstances(command)}"
    print(text)
    if not into_page:
        return
    page = PAGE.read_text("utf-8")
    own = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.S)
    fresh, count = own.subn(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    if count != 1:
        raise SystemExit(f"{PAGE} has no section {section!r}")
    write(PAGE, fresh)


def _circumstances(command: Sequence[str]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, no GPU used"
    made = ", ".join(f"{name} {number}" for name, number in versions.recorded())
    today = datetime.date.today().isoformat()
    return f"`{' '.join(command)}`, {today}; {machine}; load {os.getloadavg()[0]:.1f} at the end; meetsplit {versions.meetsplit()}, {made}."


def command(module: str) -> list[str]:
    """The command line as a reader would type it, folders of this machine left out."""
    shown = [
        argument if not os.path.isabs(argument) else Path(argument).name.upper()
        for argument in sys.argv[1:]
        if argument != "--write"
    ]
    return ["python", "-m", f"meetsplit.benchmarks.{module}", *shown]
