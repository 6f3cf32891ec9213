"""The make targets of the recipes: the commands that they run are understood by the recipes' own parsers."""

from __future__ import annotations

import importlib
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VARIABLES = {"DATA": "speech", "DEV": "dev", "SPEECH": "voices", "ABOUT": "ours, CC0", "MINUTES": "7"}


def recipe_command(target: str) -> list[str]:
    """The command of a target's recipe, split into words, as make would run it."""
    variables = [f"{name}={value}" for name, value in VARIABLES.items()]
    make = ["make", "--dry-run", "--no-print-directory", "--directory", str(ROOT), target, *variables]
    lines = subprocess.run(make, check=True, capture_output=True, text=True).stdout.splitlines()
    (command,) = (line for line in lines if "-m meetsplit.training." in line)
    return shlex.split(command)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("train-separation", {"data": Path("speech"), "minutes": 7.0, "about": "ours, CC0"}),
        ("train-refiner", {"data": Path("speech"), "minutes": 7.0, "about": "ours, CC0"}),
        ("train-voices", {"data": Path("speech"), "about": "ours, CC0"}),
        ("train-segmentation", {"data": Path("speech"), "dev": Path("dev"), "speech": Path("voices"), "minutes": 7.0}),
        ("train-mini-whisper", {"minutes": 7.0}),
    ],
)
def test_a_target_runs_a_recipe_with_its_options(target: str, expected: dict[str, object]) -> None:
    command = recipe_command(target)
    module = command[command.index("-m") + 1]
    arguments = importlib.import_module(module).parse_arguments(command[command.index(module) + 1 :])
    for name, value in expected.items():
        assert getattr(arguments, name) == value
