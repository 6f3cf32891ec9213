"""The weights of a backend under some settings: which model their names mean, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.ctranslate2_folder import is_ctranslate2_folder
from meetsplit.pipeline.models.hub import whisper_models
from meetsplit.pipeline.models.sources import (
    FASTER_WHISPER,
    OPENUNMIX_MODELS,
    TORCHAUDIO_MODELS,
    WAV2VEC2_FILES,
    OpenUnmixFile,
    TorchaudioFile,
)
from meetsplit.pipeline.models.weights import Hub, Local, WeightSource, WhisperFile
from meetsplit.pipeline.settings import Settings


def weight_sources(stage: str, name: str, settings: Settings) -> Mapping[str, WeightSource]:
    """The sources of the backend's weights under these settings, by role."""
    match stage, name:
        case "cleaner", _:
            return _cleaner(name, settings)
        case "diarizer", "pyannote":
            return {"pipeline": hub_or_local(settings.diarizer_model, weights.COMMUNITY, "--diarizer-model")}
        case "diarizer", "embedded":
            segmentation = _segmentation(settings)
            return {"segmentation": segmentation, "encoder": weights.EMBEDDED_ENCODER, "vad": weights.EMBEDDED_VAD}
        case "separator", ("sepformer" | "convtasnet" | "dprnn"):
            return _separators(settings, registry.BLIND_MODELS[name])
        case "separator", "adapted":
            return {"refiner": weights.REFINER}
        case "embedder", _:
            return {"embedder": registry.ECAPA if name == "ecapa" else weights.EMBEDDED_ENCODER}
        case "transcriber", "whisper":
            return {"model": _whisper(settings)}
        case "transcriber", "faster-whisper":
            return {"model": _faster_whisper(settings)}
        case "aligner", "ctc" if settings.align_model is not None:
            return {"model": _align_model(settings.align_model)}
    return {}


def hub_or_local(name: str | None, default: Hub, option: str) -> WeightSource:
    """A hub id or a local file or folder as a source, ``default`` for None; `SettingsError` for what is neither."""
    if name is None:
        return default
    if Path(name).expanduser().exists():
        return Local(Path(name).expanduser())
    if is_hub_id(name):
        return Hub(name, gated=name.startswith("pyannote/"))
    raise SettingsError(f"{option} {name}: no such file or folder here, and not a hub id like {default.repo_id}")


def _separators(settings: Settings, default: Hub) -> Mapping[str, WeightSource]:
    sources = {"separator": hub_or_local(settings.separator_model, default, "--separator-model")}
    if settings.separator_model_3 is not None:
        sources["separator_3"] = hub_or_local(settings.separator_model_3, default, "--separator-model-3")
    return sources


def _cleaner(name: str, settings: Settings) -> Mapping[str, WeightSource]:
    if name == "demucs":
        return {"model": hub_or_local(settings.cleaner_model, registry.DEMUCS, "--cleaner-model")}
    return {"model": _openunmix(settings)} if name == "openunmix" else {"speech": weights.SPEECH_SPECTRA}


def _openunmix(settings: Settings) -> WeightSource:
    """The model of `openunmix`: the one that the settings name, else one for what is to be taken out."""
    name = settings.cleaner_model or ("umxse" if settings.clean == "noise" else "umxhq")
    if name in OPENUNMIX_MODELS:
        return OpenUnmixFile(name)
    if Path(name).expanduser().is_file():
        return Local(Path(name).expanduser())
    raise SettingsError(f"--cleaner-model {name}: {nearest(name, OPENUNMIX_MODELS)}, or the path of a .pth file")


def _segmentation(settings: Settings) -> WeightSource:
    """The segmentation of ``embedded``: the file that the settings name, or ours.

    Where ``auto`` fell back from pyannote to ``embedded``, the settings name a pipeline of pyannote, which is no
    segmentation.
    """
    if settings.diarizer_model is None or settings.diarizer == "auto":
        return weights.EMBEDDED_SEGMENTATION
    if not Path(settings.diarizer_model).is_file():
        what = "with --diarizer embedded it is a segmentation's file, .safetensors or .ckpt"
        raise SettingsError(f"--diarizer-model {settings.diarizer_model}: no such file; {what}")
    return Local(Path(settings.diarizer_model))


def _align_model(name: str) -> WeightSource:
    if name in TORCHAUDIO_MODELS:
        return TorchaudioFile(name)
    if Path(name).expanduser().is_dir():
        return Local(Path(name).expanduser())
    if is_hub_id(name):
        return Hub(name, patterns=WAV2VEC2_FILES)
    where = "or a hub id like facebook/wav2vec2-base-960h, or the path of a folder in Hugging Face's format"
    raise SettingsError(f"--align-model {name}: {nearest(name, TORCHAUDIO_MODELS)}, {where}")


def _whisper(settings: Settings) -> WeightSource:
    name = settings.model
    if name is None:
        return WhisperFile(_default_whisper(settings), settings.model_dir)
    path = Path(name).expanduser()
    if name.endswith(".pt") or path.is_file() or is_folder(name):
        if not path.exists():
            raise SettingsError(f"--model {name}: no such file")
        if is_ctranslate2_folder(path):
            raise SettingsError(f"--model {name} is in CTranslate2's format: use --transcriber faster-whisper")
        return Local(path)
    models = whisper_models()
    if name not in models:
        where = "or the path of a .pt file or of a folder in Hugging Face's format"
        raise SettingsError(f"--model {name}: {nearest(name, models)}, {where}")
    return WhisperFile(name, settings.model_dir)


def _faster_whisper(settings: Settings) -> WeightSource:
    name = settings.model
    if name is None:
        return FASTER_WHISPER[_default_whisper(settings)]
    if is_folder(name):
        return Local(Path(name).expanduser())
    if name in FASTER_WHISPER:
        return FASTER_WHISPER[name]
    if Path(name).exists() or name.endswith(".pt"):
        raise SettingsError(f"--model {name} is no folder in CTranslate2's format: use --transcriber whisper")
    if is_hub_id(name):
        return Hub(name, patterns=FASTER_WHISPER["tiny"].patterns)
    raise SettingsError(
        f"--model {name}: {nearest(name, FASTER_WHISPER)}, or a hub id like {FASTER_WHISPER['small'].repo_id}, "
        "or the path of a folder in CTranslate2's format"
    )


def _default_whisper(settings: Settings) -> str:
    return "turbo" if device.choose(settings.device).partition(":")[0] == "cuda" else "small"


def is_folder(name: str) -> bool:
    """Whether a model's name is the path of a folder: it exists, and is not meant to be a name of a model."""
    return Path(name).expanduser().is_dir() and (name not in whisper_models() and name not in FASTER_WHISPER)


def is_hub_id(name: str) -> bool:
    """Whether a model's name is a repository on the hub, such as ``somebody/something``, and no path."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))
