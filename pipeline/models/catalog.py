"""Catalog of models known by name: what ``meetsplit models list`` shows and ``models fetch`` brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from meetsplit.pipeline.errors import MeetsplitError, MissingWeights, SettingsError, nearest
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.backend_choice import auto_order
from meetsplit.pipeline.models.hub import whisper_models
from meetsplit.pipeline.models.sources import (
    FASTER_WHISPER,
    OPENUNMIX_MODELS,
    TORCHAUDIO_MODELS,
    Hub,
    OpenUnmixFile,
    TorchaudioFile,
    WeightSource,
    WhisperFile,
)
from meetsplit.pipeline.settings import Settings


def named_models(on: str = "cpu") -> Mapping[str, tuple[WeightSource, ...]]:
    """Every named model and set of models. ``default`` is what ``auto`` prefers on the device ``on``."""
    settings = Settings(device="cpu" if on == "mps" else on)
    is_faster = auto_order("transcriber", settings)[0] == "faster-whisper"
    size = "turbo" if on == "cuda" else "small"
    default: tuple[WeightSource, ...] = (
        weights.COMMUNITY,
        registry.SEPFORMER,
        registry.ECAPA,
        FASTER_WHISPER[size] if is_faster else WhisperFile(size),
    )
    return {
        "embedded": (weights.EMBEDDED_SEGMENTATION, weights.EMBEDDED_ENCODER, weights.EMBEDDED_VAD),
        "default": default,
        "community-1": (weights.COMMUNITY,),
        **{name: (source,) for name, source in registry.BLIND_MODELS.items()},
        "ecapa": (registry.ECAPA,),
        "htdemucs": (registry.DEMUCS,),
        **{name: (OpenUnmixFile(name),) for name in OPENUNMIX_MODELS},
        **{name: (WhisperFile(name),) for name in whisper_models()},
        **{f"faster-{name}": (source,) for name, source in FASTER_WHISPER.items()},
        **{name: (TorchaudioFile(name),) for name in TORCHAUDIO_MODELS},
    }


def fetch_named(name: str, settings: Settings, on_event: EventListener) -> Iterator[tuple[str, Path]]:
    """Fetch a model or set of models by name or hub id; yields each one's description and path.

    Of a set, every model that can be had is fetched before the first failure is raised.
    """
    models = named_models(device.choose(settings.device))
    if name in models:
        sources = tuple(
            WhisperFile(source.name, settings.model_dir) if isinstance(source, WhisperFile) else source
            for source in models[name]
        )
    elif name == "dnsmos":
        raise SettingsError("models fetch dnsmos: it comes with a Python package: pip install 'meetsplit[quality]'")
    elif name.count("/") == 1:
        sources = (Hub(name, gated=name.startswith("pyannote/")),)
    else:
        raise SettingsError(
            f"models fetch {name}: {nearest(name, models)}, or a hub id like {registry.SEPFORMER.repo_id}"
        )
    cache = settings.cache_dir or weights.default_cache()
    failures: list[MeetsplitError] = []
    for source in sources:
        try:
            path = weights.fetch(
                source, stage="fetch", cache=cache, offline=settings.offline, token=settings.hf_token, on_event=on_event
            )
        except MissingWeights as error:
            failures.append(error)
            on_event(Notice(str(error), "fetch"))
            continue
        yield weights.describe(source), path
    if failures:
        raise MissingWeights(
            "fetch", f"{len(failures)} of {len(sources)} models of {name!r} could not be fetched: {failures[0]}"
        )
