"""Sources of weights: one frozen value per kind of place; `weights` locates and fetches them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bundled:
    """A file of this package: ``member`` is its path in the package `meetsplit`, with ``/``.

    ``sha256`` its checksum.
    """

    member: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """A file or folder that the user named."""

    path: Path


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository on the Hugging Face hub, kept in its own cache.

    ``patterns`` are the files that are needed (``*.yaml``); a copy counts as here only when each pattern finds one.
    None means everything. ``gated`` says that its conditions have to be accepted once, with an account and a token.
    ``note`` is what tables add to its name.
    """

    repo_id: str
    revision: str | None = None
    patterns: tuple[str, ...] | None = None
    gated: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One model that travels inside a wheel; the wheel's package is never installed.

    ``member`` is its path in the wheel, a safetensors file or an old torch checkpoint, and ``sha256`` its checksum. Of
    a checkpoint the tensors under ``state`` are kept, and of the rest only ``metadata`` (keys of plain values).
    ``megabytes`` is the wheel's size.
    """

    package: str
    version: str
    member: str
    sha256: str
    licence: str
    state: str = ""
    metadata: tuple[str, ...] = ()
    megabytes: int = 0
    description: str = ""

    @property
    def requirement(self) -> str:
        """The requirement that pip downloads.

        >>> EMBEDDED_ENCODER.requirement
        'Resemblyzer==0.1.4'
        """
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class WhisperFile:
    """One of openai-whisper's named models (``small``, ``turbo``…) in ``folder``; None is where whisper keeps it."""

    name: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class TorchaudioFile:
    """One of torchaudio's models for alignment (`TORCHAUDIO_MODELS`), in the cache of torch.hub."""

    name: str


@dataclass(frozen=True, slots=True)
class OpenUnmixFile:
    """One of Open-Unmix's models (`OPENUNMIX_MODELS`), in the cache of torch.hub."""

    name: str


WeightSource: TypeAlias = Bundled | Local | Hub | Wheel | WhisperFile | TorchaudioFile | OpenUnmixFile

EMBEDDED_SEGMENTATION = Wheel(
    package="whisperx",
    version="3.8.6",
    member="whisperx/assets/pytorch_model.bin",
    sha256="0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea",
    licence="MIT",
    state="state_dict",
    metadata=("hyper_parameters", "pyannote.audio"),
    megabytes=17,
    description="PyanNet segmentation of pyannote.audio (Hervé Bredin, CNRS, 2022), as whisperx carries it: "
    "5 s windows, 3 local speakers",
)
"""Segmentation of 5 s windows into up to three speakers, overlap included."""

EMBEDDED_ENCODER = Wheel(
    package="Resemblyzer",
    version="0.1.4",
    member="resemblyzer/pretrained.pt",
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    licence="Apache-2.0",
    state="model_state",
    megabytes=16,
    description="GE2E voice encoder (Wan et al., 2018), trained and published by Resemble AI (Corentin Jemine, 2019)",
)
"""Voice embeddings of 256 numbers."""

EMBEDDED_VAD = Wheel(
    package="silero-vad",
    version="6.2.3",
    member="silero_vad/data/silero_vad_16k.safetensors",
    sha256="c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
    licence="MIT",
    megabytes=11,
    description="Voice activity detector of Silero (Silero Team, 2021), for 16 kHz",
)
"""How likely there is speech in each 32 ms, whoever speaks."""

REFINER = Bundled(
    "pipeline/separators/weights/refiner.safetensors",
    "bf668565c508213fad2db33ca379788cf0d9125901b44523501b3c2bc2592402",
)
"""Pretrained weights of the separator `adapted`; the model card beside them has the same checksum."""

SPEECH_SPECTRA = Bundled(
    "pipeline/cleaners/weights/speech.safetensors",
    "060a15229e1ae940e1e3d718988477eadf9e1f3d8c72e930b9587bc4ce95e092",
)
"""Spectra of speech of the cleaner `embedded`; the model card beside them has the same checksum."""

_ZENODO = "https://zenodo.org/records"

OPENUNMIX_MODELS = MappingProxyType(
    {
        "umxhq": f"{_ZENODO}/3370489/files/vocals-b62c91ce.pth",
        "umxl": f"{_ZENODO}/5069601/files/vocals-bccbd9aa.pth",
        "umxse": f"{_ZENODO}/3786908/files/speech_f5e0d9f9.pth",
    }
)
"""Addresses of Open-Unmix's models of voices (Stöter et al., 2019), as the package openunmix (1.3) has them.

``umxhq`` takes out music (MIT), as does ``umxl`` (CC BY-NC-SA 4.0, not for commercial use), ``umxse`` noise (MIT).
"""

COMMUNITY = Hub(
    "pyannote/speaker-diarization-community-1",
    patterns=("config.yaml", "segmentation/*", "embedding/*", "plda/*"),
    gated=True,
)
"""pyannote's own open pipeline, whose conditions have to be accepted once."""

ASTEROID_CHECKPOINT = "pytorch_model.bin"
"""Name of a checkpoint of asteroid's in a hub repository."""

_CTRANSLATE2 = ("config.json", "model.bin", "vocabulary.*")

FASTER_WHISPER = MappingProxyType(
    {
        name: Hub(repository, patterns=_CTRANSLATE2)
        for name, repository in {
            **{
                name: f"Systran/faster-whisper-{name}"
                for name in ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium")
            },
            **{name: f"Systran/faster-whisper-{name}" for name in ("large-v1", "large-v2", "large-v3")},
            "large": "Systran/faster-whisper-large-v3",
            "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
            "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
            "distil-small.en": "Systran/faster-distil-whisper-small.en",
            "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
            "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
            "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
            "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
        }.items()
    }
)
"""Whisper models in CTranslate2's format by name, as the package faster-whisper (1.2) has them."""

WAV2VEC2_FILES = ("*.json", "*model.[sb]*")
"""What is needed of a wav2vec2 on the hub: ``config.json``, ``vocab.json``, and ``model.safetensors`` or
``pytorch_model.bin``."""


@dataclass(frozen=True, slots=True)
class TorchaudioModel:
    """``address`` of its file, and the ``language`` that it knows, None for many."""

    address: str
    language: str | None = None


_TORCHAUDIO = "https://download.pytorch.org/torchaudio/models"

TORCHAUDIO_MODELS = MappingProxyType(
    {
        "MMS_FA": TorchaudioModel("https://dl.fbaipublicfiles.com/mms/torchaudio/ctc_alignment_mling_uroman/model.pt"),
        **{
            f"WAV2VEC2_ASR_{size}_{hours}": TorchaudioModel(
                f"{_TORCHAUDIO}/wav2vec2_fairseq_{pretrained}_asr_{corpus}.pth", "en"
            )
            for size, pretrained in {"BASE": "base_ls960", "LARGE": "large_ls960", "LARGE_LV60K": "large_lv60k"}.items()
            for hours, corpus in {"10M": "ll10m", "100H": "ls100", "960H": "ls960"}.items()
        },
        **{
            f"HUBERT_ASR_{size.upper()}": TorchaudioModel(
                f"{_TORCHAUDIO}/hubert_fairseq_{size}_ll60k_asr_ls960.pth", "en"
            )
            for size in ("large", "xlarge")
        },
        **{
            f"VOXPOPULI_ASR_BASE_10K_{language.upper()}": TorchaudioModel(
                f"{_TORCHAUDIO}/wav2vec2_voxpopuli_base_10k_asr_{language}.pt", language
            )
            for language in ("de", "en", "es", "fr", "it")
        },
    }
)
"""torchaudio's models with a CTC output by name, as version 2.11 has them."""
