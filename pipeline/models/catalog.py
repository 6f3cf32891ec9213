"""Which models does meetsplit know by name? For ``meetsplit models``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from meetsplit.pipeline.errors import MeetsplitError, MissingWeights, SettingsError, nearest
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.hub import whisper_models
from meetsplit.pipeline.models.sources import Hub, WeightSource, WhisperFile
from meetsplit.pipeline.settings import Settings


def known(on: str = "cpu") -> Mapping[str, tuple[WeightSource, ...]]:
    """Every named model and set of models. ``default`` is what ``auto`` prefers on the device ``on``."""
    embedded = (weights.EMBEDDED_SEGMENTATION, weights.EMBEDDED_ENCODER)
    best: tuple[WeightSource, ...] = (
        weights.COMMUNITY,
        registry.SEPFORMER,
        registry.ECAPA,
        WhisperFile("turbo" if on == "cuda" else "small"),
    )
    return {
        "embedded": embedded,
        "default": best,
        "community-1": (weights.COMMUNITY,),
        "sepformer": (registry.SEPFORMER,),
        "ecapa": (registry.ECAPA,),
        **{name: (WhisperFile(name),) for name in whisper_models()},
    }


def fetch_named(name: str, settings: Settings, on_event: EventListener) -> Iterator[tuple[str, Path]]:
    """Fetch a model or set of models by name or hub id; yields each one's description and place.

    Of a set, every model that can be had is fetched before the first failure is raised.
    """
    table = known(device.choose(settings.device))
    if name in table:
        wanted = table[name]
    elif name.count("/") == 1:
        wanted = (Hub(name, gated=name.startswith("pyannote/")),)
    else:
        raise SettingsError(
            f"models fetch {name}: {nearest(name, table)}, or a hub id like {registry.SEPFORMER.repo_id}"
        )
    cache = settings.cache_dir or weights.default_cache()
    failed: list[MeetsplitError] = []
    for source in wanted:
        try:
            path = weights.fetch(
                source, stage="fetch", cache=cache, offline=settings.offline, token=settings.hf_token, on_event=on_event
            )
        except MissingWeights as error:
            failed.append(error)
            on_event(Notice(str(error), "fetch"))
            continue
        yield weights.describe(source), path
    if failed:
        raise MissingWeights(
            "fetch", f"{len(failed)} of {len(wanted)} models of {name!r} could not be fetched: {failed[0]}"
        )
