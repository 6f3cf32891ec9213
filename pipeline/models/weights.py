"""Weights of models: located on this machine or fetched once; where that fails, errors say what to do.

`locate` never touches the network; `fetch` does, unless ``offline``; `reachable` answers within seconds. A model that
was verified when it was downloaded carries its checksum and is verified again before it is used, once per process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.events import EventListener, Finished, Notice, Started
from meetsplit.pipeline.files.user_folders import user_folder
from meetsplit.pipeline.models import checksums
from meetsplit.pipeline.models.hub import (
    damaged_hub_files,
    fetch_hub,
    fetch_openunmix,
    fetch_torchaudio,
    fetch_whisper,
    hub_access_problem,
    is_whole_archive,
    locate_in_hub_cache,
    openunmix_path,
    openunmix_reachable,
    torchaudio_path,
    torchaudio_reachable,
    whisper_path,
    whisper_reachable,
    whisper_sha256,
)
from meetsplit.pipeline.models.sources import (
    COMMUNITY,
    EMBEDDED_ENCODER,
    EMBEDDED_SEGMENTATION,
    EMBEDDED_VAD,
    REFINER,
    SPEECH_SPECTRA,
    Bundled,
    Hub,
    Local,
    OpenUnmixFile,
    TorchaudioFile,
    WeightSource,
    Wheel,
    WhisperFile,
)
from meetsplit.pipeline.models.wheels import converted_path, fetch_wheel, wheel_reachable

__all__ = [
    "COMMUNITY",
    "EMBEDDED_ENCODER",
    "EMBEDDED_SEGMENTATION",
    "EMBEDDED_VAD",
    "REFINER",
    "SPEECH_SPECTRA",
    "Bundled",
    "Hub",
    "Local",
    "OpenUnmixFile",
    "TorchaudioFile",
    "WeightSource",
    "Wheel",
    "WhisperFile",
    "check_available",
    "default_cache",
    "describe",
    "fetch",
    "find_damage",
    "locate",
    "reachable",
    "require_intact",
]

_PACKAGE = Path(__file__).parents[2]
_ALTERNATIVES = {
    "clean": "--cleaner embedded",
    "diarize": "--diarizer embedded",
    "separate": "--separator adapted",
    "transcribe": "--transcriber sphinx",
}
_SERVERS = MappingProxyType(
    {
        Wheel: "pip's package index",
        WhisperFile: "openai-whisper's server",
        TorchaudioFile: "torchaudio's server",
        OpenUnmixFile: "zenodo.org",
    }
)
_Fetched: TypeAlias = Hub | Wheel | WhisperFile | TorchaudioFile | OpenUnmixFile
"""Sources that can be fetched."""


def default_cache() -> Path:
    """The default folder of models and finished stages: ``$XDG_CACHE_HOME/meetsplit``, or ``~/.cache/meetsplit``."""
    return user_folder("cache") / "meetsplit"


def locate(source: WeightSource, *, cache: Path) -> Path | None:
    """The model's file or folder on this machine, None where it is not here or not whole. Never touches the network.

    Of a file of whisper's, which may be gigabytes, only the end is looked at; `find_damage` looks at all of it.
    """
    match source:
        case Bundled(member, sha256):
            path = _PACKAGE / member
            return path if path.exists() and (sha256 is None or checksums.intact(path, sha256)) else None
        case Local(path):
            path = path.expanduser()
            return path if path.exists() else None
        case Hub():
            return locate_in_hub_cache(source)
        case Wheel():
            path = converted_path(source, cache)
            return path if checksums.intact_by_sidecar(path) else None
        case WhisperFile(name, folder):
            path = whisper_path(name, folder)
            return path if is_whole_archive(path) else None
        case TorchaudioFile(name):
            path = torchaudio_path(name)
            return path if is_whole_archive(path) else None
        case OpenUnmixFile(name):
            path = openunmix_path(name)
            return path if path.is_file() else None


def find_damage(source: WeightSource, *, cache: Path) -> str | None:
    """How the model on this machine is damaged, with its path.

    None for one that is whole, and for one that is not here.
    """
    match source:
        case Bundled(member, sha256):
            path = _PACKAGE / member
            is_damaged = path.exists() and sha256 is not None and not checksums.intact(path, sha256)
            return _damaged(path) if is_damaged else None
        case Local() | OpenUnmixFile():
            return None
        case Hub():
            paths = damaged_hub_files(source)
            return _damaged(paths[0]) if paths else None
        case Wheel():
            path = converted_path(source, cache)
            if checksums.intact_by_sidecar(path) or not os.path.lexists(path.parent):
                return None
            if not path.is_file():
                return f"{path} is missing in its folder"
            return _damaged(path) if checksums.sidecar(path).is_file() else f"{path} has no checksum beside it"
        case WhisperFile(name, folder):
            path = whisper_path(name, folder)
            is_damaged = path.exists() and not checksums.intact(path, whisper_sha256(name))
            return _damaged(path) if is_damaged else None
        case TorchaudioFile(name):
            path = torchaudio_path(name)
            return f"{path} is not whole" if path.exists() and not is_whole_archive(path) else None


def require_intact(source: WeightSource, *, stage: str, cache: Path) -> None:
    """Raise `MissingWeights` for a damaged model, before it is loaded."""
    damage = find_damage(source, cache=cache)
    if damage is not None:
        raise MissingWeights(
            stage, f"{describe(source)} is damaged on this machine ({damage}); {_repair_advice(source)}"
        )


def fetch(
    source: WeightSource, *, stage: str, cache: Path, offline: bool, token: str | None, on_event: EventListener
) -> Path:
    """The model's file or folder, fetched now if it is not here.

    ``stage`` is the one that needs it (``diarize``, ``separate``, ``transcribe``). Raises `MissingWeights`: what is
    missing, why, and the next step. A damaged model is fetched again. A failed download leaves nothing behind that
    `locate` would take for a model.
    """
    located, damage = locate(source, cache=cache), find_damage(source, cache=cache)
    if located is not None and damage is None:
        return located
    if isinstance(source, Bundled | Local):
        raise MissingWeights(stage, _absence(source, damage))
    _forbid_offline(source, stage, offline, damage)
    if isinstance(source, Hub):
        _require_access(source, stage, token, 5.0)  # before it is announced: without a token, a gated one never comes
    on_event(
        Notice(
            f"fetching {describe(source)}" if damage is None else f"fetching {describe(source)} again: {damage}", stage
        )
    )
    on_event(Started("fetch", None, "MB"))
    began = time.monotonic()
    fetched = "failed"
    try:
        match source:
            case Hub():
                path = fetch_hub(source, stage=stage, token=token, on_event=on_event, alternative=_alternative(stage))
            case Wheel():
                path = fetch_wheel(source, stage=stage, cache=cache)
            case WhisperFile(name, folder):
                path = fetch_whisper(name, folder, stage=stage, on_event=on_event, alternative=_alternative(stage))
            case TorchaudioFile(name):
                path = fetch_torchaudio(name, stage=stage, on_event=on_event)
            case OpenUnmixFile(name):
                path = fetch_openunmix(name, stage=stage, on_event=on_event, alternative=_alternative(stage))
        fetched = str(path)
    finally:
        on_event(Finished("fetch", time.monotonic() - began, fetched))
    return path


def check_available(
    source: WeightSource,
    *,
    stage: str,
    offline: bool,
    token: str | None,
    timeout: float = 5.0,
    cache: Path | None = None,
) -> None:
    """Raise what `fetch` would raise before its download; for a source that `locate` does not find.

    So everything that a run needs is checked before any work.
    """
    damage = find_damage(source, cache=cache or default_cache())
    match source:
        case Bundled() | Local():
            raise MissingWeights(stage, _absence(source, damage))
        case Hub():
            _forbid_offline(source, stage, offline, damage)
            _require_access(source, stage, token, timeout)
        case Wheel() | WhisperFile() | TorchaudioFile() | OpenUnmixFile():
            _forbid_offline(source, stage, offline, damage)
            if not reachable(source, timeout=timeout):
                place = _SERVERS[type(source)]
                raise MissingWeights(
                    stage,
                    f"{describe(source)} {_state(damage)} and {place} does not offer it now; {_fetch_advice(source)}",
                    None if isinstance(source, Wheel) else _alternative(stage),
                )


def reachable(source: WeightSource, *, offline: bool = False, token: str | None = None, timeout: float = 3.0) -> bool:
    """Whether `fetch` would very likely succeed now; answers within about ``timeout`` seconds, without retries.

    A gated repository counts only when this token, or the one that huggingface_hub remembers, is let in.
    """
    if offline:
        return False
    match source:
        case Hub():
            return hub_access_problem(source, token, timeout) is None
        case Wheel():
            return wheel_reachable(source, timeout)
        case WhisperFile(name):
            return whisper_reachable(name, timeout)
        case TorchaudioFile(name):
            return torchaudio_reachable(name, timeout)
        case OpenUnmixFile(name):
            return openunmix_reachable(name, timeout)
    return locate(source, cache=default_cache()) is not None


def describe(source: WeightSource) -> str:
    """A few words for tables.

    >>> describe(EMBEDDED_ENCODER)
    'Resemblyzer==0.1.4/pretrained.pt (16 MB, Apache-2.0)'
    """
    match source:
        case Bundled(member):
            return f"{Path(member).name} (comes with meetsplit)"
        case Local(path):
            return str(path)
        case Hub(repo_id, revision):
            note = f" ({source.note})" if source.note else ""
            return f"{repo_id}@{revision}{note}" if revision else f"{repo_id}{note}"
        case Wheel():
            return f"{source.requirement}/{Path(source.member).name} ({source.megabytes} MB, {source.licence})"
        case WhisperFile(name):
            return f"openai-whisper {name}"
        case TorchaudioFile(name):
            return f"torchaudio {name}"
        case OpenUnmixFile(name):
            return f"Open-Unmix {name}"


def _require_access(source: Hub, stage: str, token: str | None, timeout: float) -> None:
    """Raise `MissingWeights` with the reason and the next step where the hub does not let us in."""
    problem = hub_access_problem(source, token, timeout)
    if problem is not None:
        raise MissingWeights(stage, problem, _alternative(stage))


def _damaged(path: Path) -> str:
    return f"{path} is damaged: its checksum is wrong"


def _state(damage: str | None) -> str:
    return "is not on this machine" if damage is None else f"is damaged on this machine ({damage})"


def _name_to_fetch(source: _Fetched) -> str:
    """The argument of ``meetsplit models fetch`` that brings this model."""
    match source:
        case Wheel():
            return "embedded"
        case Hub(repo_id):
            return repo_id
        case WhisperFile(name, folder):
            return name if folder is None else f"{name} --model-dir {folder}"
        case TorchaudioFile(name) | OpenUnmixFile(name):
            return name


def _repair_advice(source: WeightSource) -> str:
    if isinstance(source, Bundled | Local):
        return "install meetsplit again"
    return f"replace it: meetsplit models fetch {_name_to_fetch(source)}"


def _absence(source: Bundled | Local, damage: str | None) -> str:
    if damage is not None:
        return f"{describe(source)} is damaged on this machine ({damage}); {_repair_advice(source)}"
    if isinstance(source, Bundled):
        return f"{source.member} should come with meetsplit and is not there: install meetsplit again"
    return f"{source.path}: there is no such model file or folder; check the path"


def _forbid_offline(source: _Fetched, stage: str, offline: bool, damage: str | None) -> None:
    if offline:
        raise MissingWeights(
            stage,
            f"{describe(source)} {_state(damage)} and --offline forbids to fetch it; {_fetch_advice(source)}",
            None if isinstance(source, Wheel) else _alternative(stage),
        )


def _fetch_advice(source: _Fetched) -> str:
    return f"fetch it once with a network: meetsplit models fetch {_name_to_fetch(source)}"


def _alternative(stage: str) -> str | None:
    """The option with which this stage needs no downloaded model."""
    return _ALTERNATIVES.get(stage)
