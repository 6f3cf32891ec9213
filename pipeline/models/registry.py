"""Which name is which class, what it needs, and which is tried first. Classes are imported on demand."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from meetsplit.pipeline.errors import MissingDependency, SettingsError, nearest
from meetsplit.pipeline.models import device, weights
from meetsplit.pipeline.models.hub import whisper_models
from meetsplit.pipeline.models.weights import Hub, Local, WeightSource, WhisperFile
from meetsplit.pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to do one stage. ``address`` is ``module:Class``; ``packages`` are modules it imports beyond our core.

    The class has ``load(settings, weights, device)``, with ``weights`` mapping each role to a path on this machine.
    ``install`` is what to type when a package is missing.
    """

    address: str
    about: str
    packages: tuple[str, ...] = ()
    install: str = ""
    on_device: bool = True


_HOME = "meetsplit.pipeline"

BACKENDS: Mapping[str, Mapping[str, Backend]] = MappingProxyType(
    {
        "diarizer": {
            "pyannote": Backend(
                f"{_HOME}.diarizers.pyannote:PyannoteDiarizer", "pyannote.audio pipeline", ("pyannote.audio",)
            ),
            "embedded": Backend(
                f"{_HOME}.diarizers.embedded:EmbeddedDiarizer", "PyanNet + GE2E, no token", ("pyannote.audio",)
            ),
            "rttm": Backend(f"{_HOME}.diarizers.rttm:RttmDiarizer", "your own turns", on_device=False),
        },
        "separator": {
            "sepformer": Backend(
                f"{_HOME}.separators.sepformer:SepformerSeparator", "SpeechBrain SepFormer", ("speechbrain",)
            ),
            "adapted": Backend(
                f"{_HOME}.separators.adapted:AdaptedSeparator", "dictionary and a network, both taught here"
            ),
            "dictionary": Backend(
                f"{_HOME}.separators.dictionary:DictionarySeparator", "voices learned from this recording"
            ),
            "none": Backend(f"{_HOME}.separators.passthrough:NoSeparator", "the mixture itself", on_device=False),
        },
        "embedder": {
            "ecapa": Backend(f"{_HOME}.embedders.ecapa:EcapaEmbedder", "SpeechBrain ECAPA-TDNN", ("speechbrain",)),
            "ge2e": Backend(f"{_HOME}.embedders.ge2e:GE2E", "GE2E voice encoder"),
        },
        "transcriber": {
            "whisper": Backend(f"{_HOME}.transcribers.whisper:WhisperTranscriber", "openai-whisper", ("whisper",)),
            "sphinx": Backend(
                f"{_HOME}.transcribers.sphinx:SphinxTranscriber",
                "pocketsphinx, English, offline, rough",
                ("pocketsphinx",),
                "pip install 'meetsplit[offline]'",
                on_device=False,
            ),
            "script": Backend(f"{_HOME}.transcribers.given_words:ScriptTranscriber", "your own words", on_device=False),
        },
    }
)

AUTO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "diarizer": ("pyannote", "embedded"),
        "separator": ("sepformer", "adapted", "dictionary"),
        "embedder": ("ecapa", "ge2e"),
        "transcriber": ("whisper", "sphinx"),
    }
)
"""What ``auto`` tries, best first."""

BLIND = frozenset({"sepformer"})
"""Separators whose voices are anonymous and need a matcher, hence an embedder."""

_SPEECHBRAIN = ("hyperparams.yaml", "*.ckpt", "*.txt")
SEPFORMER = Hub("speechbrain/sepformer-whamr16k", patterns=_SPEECHBRAIN)
ECAPA = Hub("speechbrain/spkrec-ecapa-voxceleb", patterns=_SPEECHBRAIN)


def named(stage: str, name: str) -> Backend:
    """The backend of that name; `SettingsError` with the nearest name for one that nobody knows."""
    try:
        return BACKENDS[stage][name]
    except KeyError:
        raise SettingsError(f"--{stage} {name}: {nearest(name, [*BACKENDS[stage], 'auto'])}") from None


def sources(stage: str, name: str, settings: Settings) -> Mapping[str, WeightSource]:
    """Where the backend's weights come from under these settings, by role."""
    match stage, name:
        case "diarizer", "pyannote":
            return {"pipeline": chosen(settings.diarizer_model, weights.COMMUNITY, "--diarizer-model")}
        case "diarizer", "embedded":
            return {"segmentation": _segmentation(settings), "encoder": weights.EMBEDDED_ENCODER}
        case "separator", "sepformer":
            found = {"separator": chosen(settings.separator_model, SEPFORMER, "--separator-model")}
            if settings.separator_model_3 is not None:
                found["separator_3"] = chosen(settings.separator_model_3, SEPFORMER, "--separator-model-3")
            return found
        case "separator", "adapted":
            return {"refiner": weights.REFINER}
        case "embedder", "ecapa":
            return {"embedder": ECAPA}
        case "embedder", "ge2e":
            return {"embedder": weights.EMBEDDED_ENCODER}
        case "transcriber", "whisper":
            return {"model": _whisper(settings)}
    return {}


def chosen(asked: str | None, default: Hub, option: str) -> WeightSource:
    """A hub id or a local folder as a source; `SettingsError` for what is neither."""
    if asked is None:
        return default
    if Path(asked).exists():
        return Local(Path(asked))
    if asked.count("/") == 1 and not asked.startswith((".", "/", "~")):
        return Hub(asked, gated=asked.startswith("pyannote/"))
    raise SettingsError(f"{option} {asked}: no such folder here, and not a hub id like {default.repo_id}")


def _segmentation(settings: Settings) -> WeightSource:
    """The file that was asked for; where ``auto`` came here from pyannote, what was asked for is a pipeline and not ours."""
    if settings.diarizer_model is None or settings.diarizer == "auto":
        return weights.EMBEDDED_SEGMENTATION
    if not Path(settings.diarizer_model).is_file():
        wanted = "with --diarizer embedded it is a segmentation's file, .safetensors or .ckpt"
        raise SettingsError(f"--diarizer-model {settings.diarizer_model}: no such file; {wanted}")
    return Local(Path(settings.diarizer_model))


def _whisper(settings: Settings) -> WeightSource:
    asked = settings.model
    if asked is None:
        return WhisperFile("turbo" if device.choose(settings.device) == "cuda" else "small")
    if asked.endswith(".pt") or Path(asked).is_file():
        if not Path(asked).is_file():
            raise SettingsError(f"--model {asked}: no such file")
        return Local(Path(asked))
    known = whisper_models()
    if asked not in known:
        raise SettingsError(f"--model {asked}: {nearest(asked, known)}, or the path of a .pt file")
    return WhisperFile(asked)


def missing_package(backend: Backend) -> str | None:
    """The first module that the backend needs and this Python does not have."""
    for package in backend.packages:
        try:
            if importlib.util.find_spec(package) is None:
                return package
        except ModuleNotFoundError:
            return package
    return None


def require_packages(stage: str, name: str) -> None:
    """Raise `MissingDependency` with what to type when a package is missing."""
    backend = named(stage, name)
    package = missing_package(backend)
    if package is not None:
        raise MissingDependency(
            stage,
            f"--{stage} {name} needs the Python package {package!r}: {backend.install or 'pip install ' + package}",
        )


def load(stage: str, name: str, settings: Settings, found: Mapping[str, Path], device: str) -> Any:
    """Import the class and let it load its weights."""
    require_packages(stage, name)
    return imported(named(stage, name).address).load(settings, found, device)


def imported(address: str) -> Any:
    """What stands at ``module:name``."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
