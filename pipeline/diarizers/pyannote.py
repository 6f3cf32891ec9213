"""Who spoke when, by any pyannote.audio pipeline: a local folder, or one that `weights` fetched from the hub.

The whole annotation is taken, in which turns overlap, never the exclusive view made for transcribers that cannot separate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, progress_hook, quiet_pyannote
from meetsplit.pipeline.diarizers.pyannote_turns import audible, too_few, turns_of
from meetsplit.pipeline.errors import MissingWeights, blame
from meetsplit.pipeline.events import EventListener, ignore_events
from meetsplit.pipeline.models import weights as weights_of
from meetsplit.pipeline.settings import Settings

with quiet_pyannote():
    from pyannote.audio import Pipeline

    from meetsplit.pipeline.diarizers.pyannote_folder import FetchHub, open_pipeline

_SHARES = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 1.0)}


class PyannoteDiarizer:
    """A pyannote.audio pipeline behind the `Diarizer` promise; 16 kHz."""

    def __init__(self, pipeline: Any, bounds: Mapping[str, int]) -> None:
        self.rate = 16000
        self._pipeline = pipeline
        self._bounds = bounds

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """Load the pipeline at ``weights["pipeline"]``: a folder with a ``config.yaml``, or that file.

        Its files are data: nothing that they name is run unless ``settings.trust_model_code``. Networks that it names by a hub id
        are fetched. Raises `MissingWeights` where there is none, `StageError` for one that cannot be loaded.
        """
        place = weights["pipeline"]
        config = place / "config.yaml" if place.is_dir() else place
        if not config.is_file():
            raise MissingWeights(
                "diarize", f"{place}: no config.yaml, so this is no pyannote.audio pipeline; check --diarizer-model"
            )
        no_telemetry()
        with quiet_pyannote(), blame("diarize", f"loading the pipeline {place}"):
            pipeline: Any = (
                _run_as_code(config, settings)
                if settings.trust_model_code
                else open_pipeline(config, _fetching(settings))
            )
            pipeline.to(torch.device(device))
        asked = {
            "num_speakers": settings.num_speakers,
            "min_speakers": settings.min_speakers,
            "max_speakers": settings.max_speakers,
        }
        return cls(pipeline, {name: count for name, count in asked.items() if count is not None})

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not audible(audio.samples):
            return ()
        waveform = torch.from_numpy(audio.samples.copy())[None]
        hook = progress_hook(on_event, audio.duration, _SHARES)
        with quiet_pyannote(), blame("diarize", "finding the speakers"):
            found = self._pipeline(
                {"waveform": waveform, "sample_rate": audio.rate, "uri": "recording"}, hook=hook, **self._bounds
            )
        turns = turns_of(getattr(found, "speaker_diarization", found), audio)
        too_few(turns, self._bounds.get("num_speakers", self._bounds.get("min_speakers")), on_event)
        return turns


def _run_as_code(config: Path, settings: Settings) -> Any:
    """The pipeline as pyannote.audio itself opens it, which runs whatever its files ask for; see ``--trust-model-code``."""
    pipeline = Pipeline.from_pretrained(config, token=settings.hf_token)
    if pipeline is None:
        raise MissingWeights(
            "diarize", f"{config}: a model that it needs could not be fetched; accept its conditions on the hub"
        )
    return pipeline


def _fetching(settings: Settings) -> FetchHub:
    cache = settings.cache_dir or weights_of.default_cache()

    def fetch_hub(repository: str, revision: str | None, files: tuple[str, ...]) -> Path:
        source = weights_of.Hub(repository, revision, patterns=files, gated=repository.startswith("pyannote/"))
        return weights_of.fetch(
            source,
            stage="diarize",
            cache=cache,
            offline=settings.offline,
            token=settings.hf_token,
            on_event=ignore_events,
        )

    return fetch_hub
