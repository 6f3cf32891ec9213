"""docs/training.md cannot lie: its options, make targets and modules exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")
CODE = "".join(
    path.read_text("utf-8") for room in ("training", "benchmarks", "console") for path in (ROOT / room).glob("*.py")
)


@pytest.mark.parametrize("option", sorted(set(re.findall(r"--[a-z][a-z0-9-]+", PAGE)) - {"--help"}))
def test_its_options_exist(option: str) -> None:
    plain = option.removeprefix("--").replace("-", "_")
    assert f'"{option}"' in CODE or re.search(rf"^    {plain}: Annotated", CODE, re.MULTILINE)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (train-[a-z-]+)", PAGE))))
def test_its_targets_exist(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m meetsplit\.([\w.]+)", PAGE))))
def test_its_modules_exist(module: str) -> None:
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
