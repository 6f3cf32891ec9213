"""The rules of docs/architecture.md: layers of imports, where heavy libraries may be imported, no swallowed errors."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "speakers", "scoring", "console", "jobs", "training", "benchmarks")
CODE = sorted(
    [ROOT / "cli.py", ROOT / "__init__.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
)
SHIPPED = [file for file in CODE if file.relative_to(ROOT).parts[0] not in ("training", "benchmarks")]
HEAVY = {"torch", "torchaudio", "pyannote", "speechbrain", "whisper", "ctranslate2", "pocketsphinx", "lightning"}
HEAVY |= {"transformers"}
BACKEND_PACKAGES = (
    "pipeline/cleaners",
    "pipeline/diarizers",
    "pipeline/separators",
    "pipeline/embedders",
    "pipeline/transcribers",
    "training",
    "benchmarks",
    "scoring",
)


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)} line {node.lineno}: imports are absolute"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def offenders(files: Iterable[Path], complaint: Callable[[Path], object]) -> list[str]:
    """What is wrong with each file about which there is a complaint."""
    return [f"{name(file)}: {found}" for file in files if (found := complaint(file))]


def inside(*places: str) -> list[Path]:
    found = [file for file in CODE if name(file).startswith(places)]
    assert found, f"nothing lies in {places}"
    return found


def test_heavy_libraries_stay_in_their_backend() -> None:
    allowed = {"pipeline/models/device.py", "pipeline/interop.py", "pipeline/models/speechbrain_folder.py"}
    others = [file for file in SHIPPED if not name(file).startswith(BACKEND_PACKAGES) and name(file) not in allowed]
    assert offenders(others, lambda file: {module for module in imports(file) if module.split(".")[0] in HEAVY}) == []


def test_imports_point_downwards(tmp_path: Path) -> None:
    """The layers in pyproject.toml, checked by import-linter."""
    (tmp_path / "meetsplit").symlink_to(ROOT)
    command = [str(Path(sys.executable).with_name("lint-imports")), str(ROOT / "pyproject.toml"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_pipeline_fits_on_one_screen() -> None:
    names = {path.name for path in (ROOT / "pipeline").iterdir() if not path.name.startswith("__")}
    assert len(names) <= 22


def talks(file: Path) -> set[str]:
    """What a file calls and reads that only the command line may."""
    nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    read = {f"{n.value.id}.{n.attr}" for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    return called & {"print", "exit", "quit", "input"} | read & {
        "sys.argv",
        "sys.exit",
        "os.getenv",
        "logging.basicConfig",
    }


def test_only_the_command_line_prints_exits_and_reads_the_environment() -> None:
    quiet = [file for file in inside("pipeline/", "speakers/", "scoring/") if file in SHIPPED]
    assert offenders(quiet, talks) == []


def swallowed(file: Path) -> list[str]:
    """Lines of a file that lose an error, or that check input with an assertion."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            if node.type is None:
                found.append(f"line {node.lineno}: a bare except")
            elif broad and all(isinstance(line, ast.Pass) for line in node.body):
                found.append(f"line {node.lineno}: an error is swallowed")
        if isinstance(node, ast.Assert) and name(file).startswith(("pipeline", "speakers", "cli")):
            found.append(f"line {node.lineno}: no assert for input")
    return found


def test_nothing_is_swallowed() -> None:
    assert offenders(CODE, swallowed) == []


def test_rules_find_what_breaks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "pipeline" / "bad.py"
    file.parent.mkdir()
    file.write_text("import torch\nassert torch\ntry:\n    print(1)\nexcept Exception:\n    pass\nexcept:\n    raise\n")
    assert imports(file) == {"torch"}
    assert talks(file) == {"print"}
    assert [line.partition(":")[0] for line in swallowed(file)] == ["line 2", "line 5", "line 7"]


def test_root_holds_no_other_module() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py", "cli.py"}
    assert not (ROOT / "tests" / "__init__.py").exists()


def test_no_file_is_named_like_a_standard_module() -> None:
    inner = {file.stem for file in CODE if file.stem != "__init__"}
    assert not inner & set(sys.stdlib_module_names)


@pytest.mark.parametrize("argument", ["import meetsplit", "import meetsplit.cli; meetsplit.cli.main(['--help'])"])
def test_start_loads_no_heavy_library(argument: str) -> None:
    indented = argument.replace("; ", "\n    ")
    code = f"import sys\ntry:\n    {indented}\nexcept SystemExit:\n    pass\nprint(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    roots = {module.split(".")[0] for module in re.findall(r"'([^']+)'", loaded)}
    assert not roots & (HEAVY | {"pandas", "scipy", "numpy", "av", "dbos", "sqlalchemy"})
