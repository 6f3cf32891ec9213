"""The card beside weights that were trained: what they are, from which data, by which command, how good, and where they end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline import versions
from meetsplit.pipeline.files import write

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that somebody who finds the weights should know. ``data`` and ``licence`` are told by whoever trained."""

    title: str
    what: str
    data: str
    licence: str
    command: str
    metrics: str
    limits: str

    def __str__(self) -> str:
        parts = {
            "What it is": self.what,
            "Trained on": self.data,
            "Licences of the data": self.licence
            or "not told (`--about`): do not pass these weights on before it is known",
            "Made by": f"`{self.command}`\n\n{made_with()}",
            "Measured": self.metrics,
            "Limits": self.limits,
        }
        return f"# {self.title}\n\n" + "\n\n".join(f"## {head}\n\n{text}" for head, text in parts.items()) + "\n"

    def write(self, path: Path) -> None:
        """The card as markdown. Raises `OutputError`."""
        write(path, str(self))


def command(module: str) -> str:
    """The command line as a reader would type it, folders of this machine left out."""
    shown = [argument if not argument.startswith("/") else Path(argument).name.upper() for argument in sys.argv[1:]]
    return " ".join(["python", "-m", module, *(f'"{word}"' if " " in word else word for word in shown)])


def made_with() -> str:
    """This package's version, its commit where the code lies in a repository, and the versions of what it stands on."""
    git = shutil.which("git")
    asked = (
        subprocess.run(
            [git, "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
        if git
        else None
    )
    commit = f", commit {asked.stdout.strip()}" if asked is not None and asked.returncode == 0 else ""
    others = ", ".join(f"{name} {number}" for name, number in versions.recorded())
    return f"meetsplit {versions.meetsplit()}{commit}, {others}."
