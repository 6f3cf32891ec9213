"""What is shipped: every package of the repository under one name, and nothing else."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import meetsplit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FROM_A_CLONE = ("training", "benchmarks")
LISTED = set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_package_is_listed() -> None:
    skip = {".venv", ".typing", "build", "dist", "out", *FROM_A_CLONE}
    inner = {
        path.parent.relative_to(ROOT)
        for path in ROOT.rglob("__init__.py")
        if path.relative_to(ROOT).parts[0] not in skip
    }
    assert {".".join(("meetsplit", *folder.parts)) for folder in inner} == LISTED


def test_version_is_one() -> None:
    assert PROJECT["project"]["version"] == meetsplit.__version__
    assert f"## {meetsplit.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    source = tmp_path_factory.mktemp("source") / "meetsplit"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for file in tracked.stdout.splitlines():
        if (ROOT / file).is_file():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, source / file)
    out = source.parent / "dist"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_wheel_holds_the_package_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert tops == {"meetsplit", f"meetsplit-{meetsplit.__version__}.dist-info"}
    assert {f"meetsplit/pipeline/separators/weights/refiner.{kind}" for kind in ("safetensors", "md")} <= set(wheel)
    assert {f"meetsplit/pipeline/diarizers/weights/voices-ge2e.{kind}" for kind in ("safetensors", "md")} <= set(wheel)
    assert {f"meetsplit/console/sample_recording/{name}" for name in ("standup-excerpt.m4a", "README.md")} <= set(wheel)
    assert {f"meetsplit/pipeline/formats/html/page.{kind}" for kind in ("html", "css", "js")} <= set(wheel)
    assert not any("node_modules" in name or "/html/source/" in name for name in wheel)
    assert {"meetsplit/__main__.py", "meetsplit/cli.py", "meetsplit/py.typed"} <= set(wheel)
    assert "meetsplit/pipeline/run/pipeline.py" in wheel
    assert "meetsplit/pipeline/formats/meetsplit.schema.json" in wheel
    assert not [name for name in wheel if name.split("/")[1] in FROM_A_CLONE]
    assert not [name for name in wheel if "test" in name.split("/")[1] or name.startswith("meetsplit/sample_data")]


def modules() -> list[str]:
    skip = ("meetsplit.tests", "meetsplit.sample_data", "meetsplit.docs", "meetsplit.build")
    names = [module.name for module in pkgutil.walk_packages(meetsplit.__path__, "meetsplit.")]
    return [module for module in names if not module.startswith(skip)]


def test_examples_in_docstrings() -> None:
    results = {module: doctest.testmod(importlib.import_module(module)) for module in modules()}
    assert [module for module, result in results.items() if result.failed] == []
    assert sum(result.attempted for result in results.values()) > 50
