"""Which line lives in which room: the table of docs/architecture.md, read from the imports and enforced."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "speakers", "scoring", "console", "jobs", "training", "benchmarks")
CODE = sorted([ROOT / "cli.py", ROOT / "__init__.py", *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))])
SHIPPED = [file for file in CODE if file.relative_to(ROOT).parts[0] not in ("training", "benchmarks")]
HEAVY = {"torch", "torchaudio", "pyannote", "speechbrain", "whisper", "pocketsphinx", "lightning", "transformers"}
BACKEND_ROOMS = (
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


@pytest.mark.parametrize("file", SHIPPED, ids=name)
def test_heavy_libraries_stay_in_their_backend(file: Path) -> None:
    own = {"pipeline/device.py", "pipeline/conversions.py", "pipeline/speechbrain_folder.py"}  # the last is shared by two backends
    allowed = name(file).startswith(BACKEND_ROOMS) or name(file) in own
    heavy = {module for module in imports(file) if module.split(".")[0] in HEAVY}
    assert allowed or not heavy


@pytest.mark.parametrize("file", [f for f in CODE if name(f).startswith("pipeline/")], ids=name)
def test_pipeline_never_imports_what_stands_above_it(file: Path) -> None:
    above = ("meetsplit.speakers", "meetsplit.jobs", "meetsplit.cli", "meetsplit.console", "meetsplit.scoring", "meetsplit.training")
    assert not {module for module in imports(file) if module.startswith(above)}


@pytest.mark.parametrize("file", [f for f in CODE if name(f).startswith("speakers/")], ids=name)
def test_speakers_know_only_values_promises_and_errors(file: Path) -> None:
    ours = {module for module in imports(file) if module.startswith("meetsplit.")}
    allowed = ("meetsplit.pipeline", "meetsplit.speakers")
    assert all(module.startswith(allowed) for module in ours)


@pytest.mark.parametrize("file", [f for f in SHIPPED if name(f).startswith(("pipeline/", "speakers/", "scoring/"))], ids=name)
def test_only_the_command_line_prints_exits_and_reads_the_environment(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "exit", "quit", "input"}
    read = {f"{n.value.id}.{n.attr}" for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    assert not read & {"sys.argv", "sys.exit", "os.getenv", "logging.basicConfig"}


@pytest.mark.parametrize("file", CODE, ids=name)
def test_nothing_is_swallowed(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            broad = isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            empty = all(isinstance(line, ast.Pass) for line in node.body)
            assert not (broad and empty), f"line {node.lineno}: an error is swallowed"
        if isinstance(node, ast.Assert):
            assert not name(file).startswith(("pipeline", "speakers", "cli")), f"line {node.lineno}: no assert for input"


def test_root_holds_no_other_module() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "cli.py"}
    assert not (ROOT / "tests" / "__init__.py").exists()


def test_no_file_is_named_like_a_standard_module() -> None:
    inner = {file.stem for file in CODE if file.stem != "__init__"}
    assert not inner & set(sys.stdlib_module_names)


@pytest.mark.parametrize("argument", ["import meetsplit", "import meetsplit.cli; meetsplit.cli.main(['--help'])"])
def test_start_loads_no_heavy_library(argument: str) -> None:
    code = f"import sys\ntry:\n    {argument.replace('; ', chr(10) + '    ')}\nexcept SystemExit:\n    pass\nprint(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    roots = {module.split(".")[0] for module in re.findall(r"'([^']+)'", loaded)}
    assert not roots & (HEAVY | {"pandas", "scipy"})
