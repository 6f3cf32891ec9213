"""Which backend settings choose for a stage, the order of ``auto``, and what a backend cannot do of their requests."""

from __future__ import annotations

import re
from pathlib import Path

from meetsplit.pipeline.errors import nearest
from meetsplit.pipeline.models import device, registry
from meetsplit.pipeline.models.ctranslate2_folder import is_ctranslate2_folder
from meetsplit.pipeline.models.hub import whisper_languages, whisper_models
from meetsplit.pipeline.models.sources import FASTER_WHISPER, OPENUNMIX_MODELS
from meetsplit.pipeline.models.weight_sources import is_folder, is_hub_id
from meetsplit.pipeline.settings import WHISPER_OPTIONS, Settings, stored_fields


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
    order = registry.AUTO[stage]
    if stage != "transcriber" or registry.missing_package(registry.BACKENDS[stage]["faster-whisper"]) is not None:
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
    if is_folder(model):
        return "faster-whisper" if is_ctranslate2_folder(path) else "whisper"
    if model in FASTER_WHISPER and model not in whisper_models():
        return "faster-whisper"
    if model in FASTER_WHISPER:
        return "auto" if auto_order("transcriber", settings)[0] == "faster-whisper" else "whisper"
    return "faster-whisper" if is_hub_id(model) and not path.exists() and not model.endswith(".pt") else "whisper"


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
