"""The diarizer `pyannote`: any pyannote.audio pipeline, in a local folder or fetched from the hub by `weights`.

The whole annotation is taken, in which turns overlap, never the exclusive view made for transcribers that cannot
separate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, progress_hook, quiet_pyannote
from meetsplit.pipeline.diarizers.pyannote_turns import has_sound, notice_missing_speakers, turns_of
from meetsplit.pipeline.errors import MissingWeights, blame
from meetsplit.pipeline.events import EventListener, ignore_events
from meetsplit.pipeline.models import weights as model_weights
from meetsplit.pipeline.settings import Settings

with quiet_pyannote():
    from pyannote.audio import Pipeline

    from meetsplit.pipeline.diarizers.pyannote_folder import FetchHub, open_pipeline

_PROGRESS_SHARES = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 1.0)}


class PyannoteDiarizer:
    """A `Diarizer` at 16 kHz over a pyannote.audio pipeline."""

    def __init__(self, pipeline: Any, bounds: Mapping[str, int]) -> None:
        self.rate = 16000
        self._pipeline = pipeline
        self._bounds = bounds

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """The pipeline at ``weights["pipeline"]``: a folder with a ``config.yaml``, or that file.

        Its files are data: nothing that they name is run unless ``settings.trust_model_code``. Networks that it names
        by a hub id are fetched. Raises `MissingWeights` where there is none, `StageError` for one that cannot be
        loaded.
        """
        place = weights["pipeline"]
        config = place / "config.yaml" if place.is_dir() else place
        if not config.is_file():
            raise MissingWeights(
                "diarize", f"{place}: no config.yaml, so this is no pyannote.audio pipeline; check --diarizer-model"
            )
        no_telemetry()
        with quiet_pyannote(), blame("diarize", f"loading the pipeline {place}"):
            if settings.trust_model_code:
                pipeline: Any = _run_as_code(config, settings)
            else:
                pipeline = open_pipeline(config, _hub_fetcher(settings))
            pipeline.to(torch.device(device))
        bounds = {
            "num_speakers": settings.num_speakers,
            "min_speakers": settings.min_speakers,
            "max_speakers": settings.max_speakers,
        }
        return cls(pipeline, {name: count for name, count in bounds.items() if count is not None})

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not has_sound(audio.samples):
            return ()
        waveform = torch.from_numpy(audio.samples.copy())[None]
        hook = progress_hook(on_event, audio.duration, _PROGRESS_SHARES)
        with quiet_pyannote(), blame("diarize", "finding the speakers"):
            file = {"waveform": waveform, "sample_rate": audio.rate, "uri": "recording"}
            output = self._pipeline(file, hook=hook, **self._bounds)
        # Pipelines before pyannote.audio 4 return the annotation itself.
        turns = turns_of(getattr(output, "speaker_diarization", output), audio)
        notice_missing_speakers(turns, self._bounds.get("num_speakers", self._bounds.get("min_speakers")), on_event)
        return turns


def _run_as_code(config: Path, settings: Settings) -> Any:
    """The pipeline as pyannote.audio itself opens it, with the code that its files name; see ``--trust-model-code``."""
    pipeline = Pipeline.from_pretrained(config, token=settings.hf_token)
    if pipeline is None:
        raise MissingWeights(
            "diarize", f"{config}: a model that it needs could not be fetched; accept its conditions on the hub"
        )
    return pipeline


def _hub_fetcher(settings: Settings) -> FetchHub:
    """A function that fetches a hub repository as the settings say."""
    cache = settings.cache_dir or model_weights.default_cache()

    def fetch_hub(repository: str, revision: str | None, files: tuple[str, ...]) -> Path:
        source = model_weights.Hub(repository, revision, patterns=files, gated=repository.startswith("pyannote/"))
        return model_weights.fetch(
            source,
            stage="diarize",
            cache=cache,
            offline=settings.offline,
            token=settings.hf_token,
            on_event=ignore_events,
        )

    return fetch_hub
