"""Dockerfile and compose files, read: nothing here can build them, but what they name has to exist."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import complaint

from meetsplit.jobs.database import database
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.workflows import SECRET

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
STEPS = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
ARGUMENTS = dict(step[4:].split("=") for step in STEPS if step.startswith("ARG "))


def compose(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text("utf-8")))


def test_the_image_has_a_python_and_a_torch_that_the_project_takes() -> None:
    assert tuple(map(int, ARGUMENTS["PYTHON"].split("."))) >= (3, 11)
    for package in ("torch", "torchaudio"):
        (bounds,) = (line for line in PROJECT["project"]["dependencies"] if re.match(rf"{package}\W", line))
        assert f"'{bounds}'" in DOCKERFILE
    (extras,) = re.findall(r"pip install --no-cache-dir '/src\[(\w+)\]'", DOCKERFILE)
    assert extras in PROJECT["project"]["optional-dependencies"]
    variants = set(re.findall(r"(\w+)\) index=\S+", DOCKERFILE))
    assert variants == {"cpu", "cuda"}
    assert ARGUMENTS["VARIANT"] in variants


def test_the_image_gets_everything_that_the_package_is_built_from() -> None:
    assert "COPY . /src" in STEPS
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    left_out = [line for line in lines if line and not line.startswith("#")]
    packages = [name.replace(".", "/").removeprefix("meetsplit/") for name in PROJECT["tool"]["setuptools"]["packages"]]
    needed = {"pyproject.toml", "LICENSE", PROJECT["project"]["readme"], "__init__.py", "cli.py", *packages[1:]}
    for path in needed:
        assert (ROOT / path).exists(), path
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        assert not [pattern for pattern in left_out if any(fnmatch.fnmatch(part, pattern) for part in parents)], path
    assert {".git", ".venv"} <= set(left_out)


def test_its_commands_and_variables_exist() -> None:
    commands = [words.split() for words in re.findall(r"^RUN meetsplit (.*)", DOCKERFILE, re.MULTILINE)]
    assert commands == [["models", "fetch", "embedded", "--quiet"]]
    assert complaint(commands[0]) is None
    assert 'ENTRYPOINT ["meetsplit"]' in STEPS
    for line in re.findall(r"docker build (.*)", DOCKERFILE):
        assert set(re.findall(r"--build-arg (\w+)=", line)) <= set(ARGUMENTS)
    (environment,) = (step for step in STEPS if step.startswith("ENV "))
    names = set(re.findall(r"(\w+)=", environment))
    assert {name for name in names if name.startswith("MEETSPLIT")} <= variables()
    assert {"XDG_CACHE_HOME", "HF_HOME"} <= names
    folders = set(re.findall(r"(?<==)/\w+", environment)) | {"/recordings"}
    assert all(re.search(rf"^RUN useradd.*mkdir.* {folder}\b", "\n".join(STEPS), re.MULTILINE) for folder in folders)


def variables() -> set[str]:
    """The environment variables that the program reads."""
    files = [*(ROOT / "console").glob("*.py"), *(ROOT / "pipeline" / "settings").glob("*.py")]
    found = "\n".join(path.read_text("utf-8") for path in files)
    return set(re.findall(r'(?:envvar|variable)="(\w+)"', found)) | {SECRET}


def test_two_workers_share_one_queue(tmp_path: Path) -> None:
    services, volumes = (compose("compose.yaml")[part] for part in ("services", "volumes"))
    worker = services["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert complaint(worker["command"]) is None
    assert (ROOT / worker["build"]["context"] / "Dockerfile").is_file()
    assert set(worker["build"]["args"]) <= set(ARGUMENTS)
    assert set(worker["environment"]) <= variables()
    account = services["database"]["environment"]
    address = worker["environment"]["MEETSPLIT_DATABASE"].replace("${DATABASE_PASSWORD}", "secret")
    assert address == f"postgresql://{account['POSTGRES_USER']}:secret@database/{account['POSTGRES_DB']}"
    assert database(address, JobStore(tmp_path)).file is None
    assert set(worker["depends_on"]) <= set(services)
    mounts = [mount for service in services.values() for mount in service["volumes"]]
    assert {name for name in (mount.split(":")[0] for mount in mounts) if name.isalpha()} == set(volumes)
    inside = {mount.rsplit(":", 1)[1] for mount in worker["volumes"]}
    assert inside == {"/recordings", "/cache", "/state"}


def test_the_gpu_variant_changes_the_worker_alone() -> None:
    base, more = compose("compose.yaml")["services"], compose("compose.cuda.yaml")["services"]
    assert set(more) == {"worker"}
    assert more["worker"]["build"]["args"] == {"VARIANT": "cuda"}
    assert more["worker"]["image"] != base["worker"]["image"]
    assert more["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


@pytest.mark.parametrize("file", ["compose.yaml", "compose.cuda.yaml", *sorted((ROOT / "docs" / "systemd").iterdir())])
def test_commands_in_files_exist(file: str | Path) -> None:
    text = (ROOT / file).read_text("utf-8")
    lines = re.findall(r"(?:run --rm worker|ExecStart=\S*/meetsplit) (.*)", text)
    assert [problem for line in lines if (problem := complaint(line.split()))] == []
    assert lines or "meetsplit" in text
