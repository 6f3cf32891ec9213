"""Registry of backends: the class behind each name, what it needs, and the order of ``auto``.

Classes are imported on demand.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from meetsplit.pipeline.errors import MissingDependency, SettingsError, nearest
from meetsplit.pipeline.models.sources import ASTEROID_CHECKPOINT
from meetsplit.pipeline.models.weights import Hub
from meetsplit.pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Backend:
    """An implementation of one stage.

    ``address`` is ``module:Class``; ``packages`` are modules it imports beyond our core.

    The class has ``load(settings, weights, device)``, with ``weights`` mapping each role to a path on this machine.
    ``install`` is what to type when a package is missing.
    """

    address: str
    description: str
    packages: tuple[str, ...] = ()
    install: str = ""
    on_device: bool = True


_HOME = "meetsplit.pipeline"

BACKENDS: Mapping[str, Mapping[str, Backend]] = MappingProxyType(
    {
        "cleaner": {
            "embedded": Backend(f"{_HOME}.cleaners.embedded:EmbeddedCleaner", "music and noise by their spectra"),
            "demucs": Backend(
                f"{_HOME}.cleaners.demucs:DemucsCleaner",
                "vocals of a Demucs, without music",
                ("demucs",),
                "pip install 'meetsplit[music]'",
            ),
            "openunmix": Backend(f"{_HOME}.cleaners.openunmix:OpenUnmixCleaner", "voices of an Open-Unmix"),
        },
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
            "convtasnet": Backend(
                f"{_HOME}.separators.convtasnet:ConvTasNetSeparator", "Conv-TasNet, asteroid's checkpoints"
            ),
            "dprnn": Backend(f"{_HOME}.separators.dprnn:DprnnSeparator", "DPRNN-TasNet, asteroid's checkpoints, 8 kHz"),
            "adapted": Backend(
                f"{_HOME}.separators.adapted:AdaptedSeparator", "dictionary and a network, both taught here"
            ),
            "dictionary": Backend(
                f"{_HOME}.separators.dictionary:DictionarySeparator", "voices learned from this recording"
            ),
            "none": Backend(
                f"{_HOME}.separators.passthrough:PassthroughSeparator", "the mixture itself", on_device=False
            ),
        },
        "embedder": {
            "ecapa": Backend(f"{_HOME}.embedders.ecapa:EcapaEmbedder", "SpeechBrain ECAPA-TDNN", ("speechbrain",)),
            "ge2e": Backend(f"{_HOME}.embedders.ge2e:GE2EEmbedder", "GE2E voice encoder"),
        },
        "transcriber": {
            "whisper": Backend(f"{_HOME}.transcribers.whisper:WhisperTranscriber", "openai-whisper", ("whisper",)),
            "faster-whisper": Backend(
                f"{_HOME}.transcribers.faster_whisper:FasterWhisperTranscriber",
                "Whisper by CTranslate2",
                ("ctranslate2",),
                "pip install 'meetsplit[fast]'",
            ),
            "sphinx": Backend(
                f"{_HOME}.transcribers.sphinx:SphinxTranscriber",
                "pocketsphinx, English, offline, rough",
                ("pocketsphinx",),
                "pip install 'meetsplit[offline]'",
                on_device=False,
            ),
            "script": Backend(
                f"{_HOME}.transcribers.given_words:GivenWordsTranscriber", "your own words", on_device=False
            ),
        },
        "aligner": {
            "ctc": Backend(f"{_HOME}.transcribers.ctc_alignment:CtcAligner", "wav2vec2 with CTC", ("torchaudio",)),
        },
    }
)

AUTO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cleaner": ("demucs", "embedded"),
        "diarizer": ("pyannote", "embedded"),
        "separator": ("sepformer", "adapted", "dictionary"),
        "embedder": ("ecapa", "ge2e"),
        "transcriber": ("whisper", "sphinx"),
    }
)
"""What ``auto`` tries, best first."""

BLIND = frozenset({"sepformer", "convtasnet", "dprnn"})
"""Separators whose voices are anonymous and need a matcher, hence an embedder."""

_SPEECHBRAIN = ("hyperparams.yaml", "*.ckpt", "*.txt")
SEPFORMER = Hub("speechbrain/sepformer-whamr16k", patterns=_SPEECHBRAIN)
DEMUCS = Hub("adefossez/HTDemucs", patterns=("*.yaml", "*.safetensors"))
"""Hybrid Transformer Demucs (Rouard, Massa, Défossez, 2023), trained on MUSDB18-HQ and 800 songs; MIT."""
CONVTASNET = Hub("JorisCos/ConvTasNet_Libri2Mix_sepclean_16k", patterns=(ASTEROID_CHECKPOINT,))
DPRNN = Hub("mpariente/DPRNNTasNet-ks2_WHAM_sepclean", patterns=(ASTEROID_CHECKPOINT,), note="8 kHz")
ECAPA = Hub("speechbrain/spkrec-ecapa-voxceleb", patterns=_SPEECHBRAIN)


BLIND_MODELS: Mapping[str, Hub] = MappingProxyType({"sepformer": SEPFORMER, "convtasnet": CONVTASNET, "dprnn": DPRNN})
"""The public model of each blind separator."""


def backend_named(stage: str, name: str) -> Backend:
    """The backend of that name; `SettingsError` with the nearest name for one that does not exist."""
    try:
        return BACKENDS[stage][name]
    except KeyError:
        raise SettingsError(f"--{stage} {name}: {nearest(name, [*BACKENDS[stage], 'auto'])}") from None


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
    backend = backend_named(stage, name)
    package = missing_package(backend)
    if package is not None:
        raise MissingDependency(
            stage,
            f"--{stage} {name} needs the Python package {package!r}: {backend.install or 'pip install ' + package}",
        )


def load(stage: str, name: str, settings: Settings, paths: Mapping[str, Path], device: str) -> Any:
    """Import the backend's class and load it with the ``paths`` of its weights by role."""
    require_packages(stage, name)
    return import_address(backend_named(stage, name).address).load(settings, paths, device)


def import_address(address: str) -> Any:
    """The object at ``module:name``."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
