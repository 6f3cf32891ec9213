"""The model card beside trained weights: description, data, licence, command, metrics, limitations."""

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
class ModelCard:
    """The sections of a model card. ``data`` and ``licence`` are told with ``--about`` by the person who trained."""

    title: str
    description: str
    data: str
    licence: str
    command: str
    metrics: str
    limitations: str

    def __str__(self) -> str:
        sections = {
            "What it is": self.description,
            "Trained on": self.data,
            "Licences of the data": self.licence
            or "not told (`--about`): do not pass these weights on before it is known",
            "Made by": f"`{self.command}`\n\n{software_versions()}",
            "Measured": self.metrics,
            "Limits": self.limitations,
        }
        return f"# {self.title}\n\n" + "\n\n".join(f"## {head}\n\n{text}" for head, text in sections.items()) + "\n"

    def write(self, path: Path) -> None:
        """Write the card as markdown. Raises `OutputError`."""
        write(path, str(self))


def command_line(module: str) -> str:
    """The command line as a reader would type it, absolute paths shortened to their last name."""
    arguments = [argument if not argument.startswith("/") else Path(argument).name.upper() for argument in sys.argv[1:]]
    quoted = [f'"{argument}"' if " " in argument else argument for argument in arguments]
    return " ".join(["python", "-m", module, *quoted])


def software_versions() -> str:
    """The versions of this package and its dependencies, and the commit where the code lies in a git repository."""
    others = ", ".join(f"{name} {number}" for name, number in versions.recorded())
    return f"meetsplit {versions.meetsplit()}{_commit()}, {others}."


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return f", commit {result.stdout.strip()}" if result.returncode == 0 else ""
