"""Where do models come from? Finds them on this machine, fetches them once, and says what to do where it cannot.

`locate` never touches the network; `fetch` does, unless ``offline``; `reachable` finds out within seconds.
"""

from __future__ import annotations

import time
from pathlib import Path

from meetsplit.pipeline.downloads import fetch_hub, fetch_whisper, hub_refusal, located_hub, whisper_at, whisper_reachable, whole_file
from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.events import Finished, Noticed, Started, Tell
from meetsplit.pipeline.sources import (
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
from meetsplit.pipeline.wheels import fetch_wheel, kept_at, wheel_reachable

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
    "default_cache",
    "describe",
    "fetch",
    "locate",
    "reachable",
]

_PACKAGE = Path(__file__).parent.parent
_INSTEAD = {"diarize": "--diarizer embedded", "separate": "--separator adapted", "transcribe": "--transcriber sphinx"}

WHISPER_NAMES: tuple[str, ...] = (
    *(f"{size}{english}" for size in ("tiny", "base", "small", "medium") for english in ("", ".en")),
    *("large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo"),
)
"""The names of openai-whisper's models."""


def default_cache() -> Path:
    """Where models are kept unless somebody says otherwise: ``~/.cache/meetsplit``."""
    return Path.home() / ".cache" / "meetsplit"


def locate(source: WeightSource, *, cache: Path) -> Path | None:
    """The model's file or folder on this machine, None where it is not here whole. Never touches the network."""
    match source:
        case Bundled(member):
            path = _PACKAGE / member
        case Local(path):
            path = path.expanduser()
        case Hub():
            return located_hub(source)
        case Wheel():
            path = kept_at(source, cache)
        case WhisperFile(name):
            path = whisper_at(name)
            return path if whole_file(path) else None
    return path if path.exists() else None


def fetch(source: WeightSource, *, stage: str, cache: Path, offline: bool, token: str | None, tell: Tell) -> Path:
    """The model's file or folder, fetched now if it is not here.

    ``stage`` is who needs it (``diarize``, ``separate``, ``transcribe``). Raises `MissingWeights`: what is missing, why, and
    the next step. A failed download leaves nothing behind that `locate` would take for a model.
    """
    here = locate(source, cache=cache)
    if here is not None:
        return here
    if isinstance(source, Bundled | Local):
        raise MissingWeights(stage, _absent(source))
    _forbid(source, stage, offline)
    tell(Noticed(f"fetching {describe(source)}", stage))
    tell(Started("fetch", None, "MB"))
    began = time.monotonic()
    match source:
        case Hub():
            path = fetch_hub(source, stage=stage, token=token, tell=tell, instead=_instead(stage))
        case Wheel():
            path = fetch_wheel(source, stage=stage, cache=cache)
        case WhisperFile(name):
            path = fetch_whisper(name, stage=stage, tell=tell)
    tell(Finished("fetch", time.monotonic() - began, str(path)))
    return path


def check(source: WeightSource, *, stage: str, offline: bool, token: str | None, timeout: float = 5.0) -> None:
    """Raise what `fetch` would raise before its download: for a look at everything that is needed before any work.

    Only for a source that `locate` does not find.
    """
    match source:
        case Bundled() | Local():
            raise MissingWeights(stage, _absent(source))
        case Hub():
            _forbid(source, stage, offline)
            refused = hub_refusal(source, token, timeout)
            if refused is not None:
                instead = _instead(stage)
                raise MissingWeights(stage, f"{refused}; or use {instead}" if instead else refused)
        case Wheel() | WhisperFile():
            _forbid(source, stage, offline)
            if not reachable(source, timeout=timeout):
                place = "pip's package index" if isinstance(source, Wheel) else "openai-whisper's server"
                raise MissingWeights(
                    stage, f"{describe(source)} is not on this machine and {place} does not offer it now; {_once(source, stage)}"
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


def _absent(source: Bundled | Local) -> str:
    if isinstance(source, Bundled):
        return f"{source.member} should come with meetsplit and is not there: install meetsplit again"
    return f"{source.path}: there is no such model file or folder; check the path"


def _forbid(source: Hub | Wheel | WhisperFile, stage: str, offline: bool) -> None:
    if offline:
        raise MissingWeights(stage, f"{describe(source)} is not on this machine and --offline forbids to fetch it; {_once(source, stage)}")


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
