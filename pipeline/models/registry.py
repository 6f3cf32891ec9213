"""Registry of backends: the class behind each name, what it needs, and the order of ``auto``.

Classes are imported on demand.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from meetsplit.pipeline.errors import MissingDependency, SettingsError, nearest
from meetsplit.pipeline.models import device, weights
from meetsplit.pipeline.models.ctranslate2_folder import is_ctranslate2_folder
from meetsplit.pipeline.models.hub import whisper_languages, whisper_models
from meetsplit.pipeline.models.sources import (
    ASTEROID_CHECKPOINT,
    FASTER_WHISPER,
    OPENUNMIX_MODELS,
    TORCHAUDIO_MODELS,
    WAV2VEC2_FILES,
    OpenUnmixFile,
    TorchaudioFile,
)
from meetsplit.pipeline.models.weights import Hub, Local, WeightSource, WhisperFile
from meetsplit.pipeline.settings import WHISPER_OPTIONS, Settings, stored_fields


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


def weight_sources(stage: str, name: str, settings: Settings) -> Mapping[str, WeightSource]:
    """The sources of the backend's weights under these settings, by role."""
    match stage, name:
        case "cleaner", _:
            return _cleaner(name, settings)
        case "diarizer", "pyannote":
            return {"pipeline": hub_or_local(settings.diarizer_model, weights.COMMUNITY, "--diarizer-model")}
        case "diarizer", "embedded":
            return {"segmentation": _segmentation(settings), "encoder": weights.EMBEDDED_ENCODER}
        case "separator", ("sepformer" | "convtasnet" | "dprnn"):
            return _separators(settings, BLIND_MODELS[name])
        case "separator", "adapted":
            return {"refiner": weights.REFINER}
        case "embedder", _:
            return {"embedder": ECAPA if name == "ecapa" else weights.EMBEDDED_ENCODER}
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
    if _is_hub_id(name):
        return Hub(name, gated=name.startswith("pyannote/"))
    raise SettingsError(f"{option} {name}: no such file or folder here, and not a hub id like {default.repo_id}")


def _separators(settings: Settings, default: Hub) -> Mapping[str, WeightSource]:
    sources = {"separator": hub_or_local(settings.separator_model, default, "--separator-model")}
    if settings.separator_model_3 is not None:
        sources["separator_3"] = hub_or_local(settings.separator_model_3, default, "--separator-model-3")
    return sources


def _cleaner(name: str, settings: Settings) -> Mapping[str, WeightSource]:
    if name == "demucs":
        return {"model": hub_or_local(settings.cleaner_model, DEMUCS, "--cleaner-model")}
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
    if _is_hub_id(name):
        return Hub(name, patterns=WAV2VEC2_FILES)
    where = "or a hub id like facebook/wav2vec2-base-960h, or the path of a folder in Hugging Face's format"
    raise SettingsError(f"--align-model {name}: {nearest(name, TORCHAUDIO_MODELS)}, {where}")


def _whisper(settings: Settings) -> WeightSource:
    name = settings.model
    if name is None:
        return WhisperFile(_default_whisper(settings), settings.model_dir)
    path = Path(name).expanduser()
    if name.endswith(".pt") or path.is_file() or _is_folder(name):
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
    if _is_folder(name):
        return Local(Path(name).expanduser())
    if name in FASTER_WHISPER:
        return FASTER_WHISPER[name]
    if Path(name).exists() or name.endswith(".pt"):
        raise SettingsError(f"--model {name} is no folder in CTranslate2's format: use --transcriber whisper")
    if _is_hub_id(name):
        return Hub(name, patterns=FASTER_WHISPER["tiny"].patterns)
    raise SettingsError(
        f"--model {name}: {nearest(name, FASTER_WHISPER)}, or a hub id like {FASTER_WHISPER['small'].repo_id}, "
        "or the path of a folder in CTranslate2's format"
    )


def _default_whisper(settings: Settings) -> str:
    return "turbo" if device.choose(settings.device).partition(":")[0] == "cuda" else "small"


def _is_folder(name: str) -> bool:
    """Whether a model's name is the path of a folder: it exists, and is not meant to be a name of a model."""
    return Path(name).expanduser().is_dir() and (name not in whisper_models() and name not in FASTER_WHISPER)


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def chosen_backend(stage: str, settings: Settings) -> str:
    """The backend that the settings name for a stage, or ``auto``. Naming a model is naming the backend that has it."""
    match stage:
        case "cleaner" if settings.cleaner == "auto" and settings.cleaner_model is not None:
            return "openunmix" if settings.cleaner_model in OPENUNMIX_MODELS else "demucs"
        case "diarizer" if settings.diarizer == "auto" and settings.diarizer_model is not None:
            return "pyannote"
        case "separator" if settings.separator == "auto" and (settings.separator_model or settings.separator_model_3):
            return _separator_of(settings.separator_model or settings.separator_model_3 or "")
        case "transcriber" if settings.transcriber == "auto" and settings.model is not None:
            return _transcriber_of(settings.model, settings)
        case "aligner":
            return "ctc"
    by_stage = {
        "cleaner": settings.cleaner,
        "diarizer": settings.diarizer,
        "separator": settings.separator,
        "transcriber": settings.transcriber,
    }
    return by_stage.get(stage, "auto")


def auto_order(stage: str, settings: Settings) -> tuple[str, ...]:
    """What ``auto`` tries under these settings, best first.

    Of transcribers, `faster-whisper` comes first where it is installed and there is no GPU, where it is quicker
    (docs/benchmarks.md), or the settings ask for integers, which only it computes with; otherwise it is taken by name.
    """
    order = AUTO[stage]
    if stage != "transcriber" or missing_package(BACKENDS[stage]["faster-whisper"]) is not None:
        return order
    is_first = settings.compute_type.startswith("int8") or not device.choose(settings.device).startswith("cuda")
    return ("faster-whisper", *order) if is_first else order


def _separator_of(model: str) -> str:
    """The separator that a model's name is about: asteroid's are called after their network, and a file is one."""
    name = re.sub("[-_ ]", "", Path(model).name.lower())
    if "dprnn" in name:
        return "dprnn"
    return "convtasnet" if "convtasnet" in name or Path(model).expanduser().is_file() else "sepformer"


def _transcriber_of(model: str, settings: Settings) -> str:
    """The transcriber that has this model; ``auto`` where both have it and `faster-whisper` comes first."""
    path = Path(model).expanduser()
    if _is_folder(model):
        return "faster-whisper" if is_ctranslate2_folder(path) else "whisper"
    if model in FASTER_WHISPER and model not in whisper_models():
        return "faster-whisper"
    if model in FASTER_WHISPER:
        return "auto" if auto_order("transcriber", settings)[0] == "faster-whisper" else "whisper"
    return "faster-whisper" if _is_hub_id(model) and not path.exists() and not model.endswith(".pt") else "whisper"


def unmet_request(stage: str, name: str, settings: Settings) -> tuple[str, str] | None:
    """What the settings request and this backend cannot do, and the way out, in words; None where there is none.

    Known before any work: a language that does not exist, or that the model or `sphinx` does not know, and what only
    Whisper takes.
    """
    if stage == "cleaner":
        return _unmet_by_cleaner(name, settings)
    if stage != "transcriber" or name == "script":
        return None
    language, code = settings.language, None
    if language is not None:
        spelt, languages = language.strip().lower(), whisper_languages()
        code = languages.get(spelt, None if languages else spelt)
        if code is None:
            hint = nearest(spelt, languages).partition("There are")[0]
            return f"--language {language}", f"{hint}Write a code such as de, or the English name of a language"
    only_english = name == "sphinx" or (settings.model or "").endswith(".en")
    which = "sphinx" if name == "sphinx" else f"--model {settings.model}"
    remedy = "use --transcriber whisper" if name == "sphinx" else "drop the .en from --model"
    if only_english and code not in (None, "en"):
        return f"--language {language}: {which} knows English only", remedy
    if only_english and settings.task == "translate":
        return f"--task translate: {which} writes down English only", remedy
    if name == "faster-whisper":
        return _unmet_by_faster_whisper(settings)
    if name == "sphinx":
        set_options = {option for option, _ in stored_fields(settings)} & set(WHISPER_OPTIONS)
        set_options |= {name for name in ("initial_prompt", "model") if getattr(settings, name) is not None}
        if set_options:
            return f"--{min(set_options).replace('_', '-')}: sphinx has nothing of the kind", f"drop it, or {remedy}"
    return None


def _unmet_by_cleaner(name: str, settings: Settings) -> tuple[str, str] | None:
    remedy = "use --cleaner embedded"
    if settings.cleaner_model is not None and name == "embedded":
        return f"--cleaner-model {settings.cleaner_model}: the cleaner embedded has its own model", "drop it"
    if name == "demucs" and settings.clean in ("noise", "all"):
        return f"--clean {settings.clean}: demucs takes out music only", remedy
    if name == "openunmix" and settings.clean == "all":
        return "--clean all: a model of openunmix takes out music or noise, not both", remedy
    return None


def _unmet_by_faster_whisper(settings: Settings) -> tuple[str, str] | None:
    remedy = "drop it, or use --transcriber whisper"
    if settings.condition_on_previous_text:
        return "--condition-on-previous-text: faster-whisper decodes every window by itself here", remedy
    if settings.hallucination_silence_threshold is not None:
        return "--hallucination-silence-threshold: faster-whisper has nothing of the kind here", remedy
    if settings.model_dir is not None:
        where = "the models of faster-whisper lie in the hub's cache, which HF_HOME moves"
        return f"--model-dir {settings.model_dir}: {where}", remedy
    return None


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
