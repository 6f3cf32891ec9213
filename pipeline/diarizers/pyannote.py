"""Who spoke when, by any pyannote.audio pipeline: a local folder, or one that `weights` fetched from the hub.

The whole annotation is taken, in which turns overlap, never the exclusive view made for transcribers that cannot separate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.diarizers.annotations import audible, too_few, turns_of
from meetsplit.pipeline.diarizers.hushed import hushed, no_telemetry, progress_hook
from meetsplit.pipeline.errors import MissingWeights, blame
from meetsplit.pipeline.events import Tell
from meetsplit.pipeline.settings import Settings

with hushed():
    from pyannote.audio import Pipeline

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

        Raises `MissingWeights` where there is none, `StageError` for one that pyannote.audio cannot load.
        """
        place = weights["pipeline"]
        config = place / "config.yaml" if place.is_dir() else place
        if not config.is_file():
            raise MissingWeights("diarize", f"{place}: no config.yaml, so this is no pyannote.audio pipeline; check --diarizer-model")
        no_telemetry()
        with hushed(), blame("diarize", f"loading the pipeline {place}"):
            pipeline = Pipeline.from_pretrained(config, token=settings.hf_token)
            if pipeline is None:
                raise MissingWeights("diarize", f"{place}: a model that it needs could not be fetched; accept its conditions on the hub")
            pipeline.to(torch.device(device))
        asked = {"num_speakers": settings.num_speakers, "min_speakers": settings.min_speakers, "max_speakers": settings.max_speakers}
        return cls(pipeline, {name: count for name, count in asked.items() if count is not None})

    def diarize(self, audio: Audio, tell: Tell) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not audible(audio.samples):
            return ()
        waveform = torch.from_numpy(audio.samples.copy())[None]
        hook = progress_hook(tell, audio.duration, _SHARES)
        with hushed(), blame("diarize", "finding the speakers"):
            found = self._pipeline({"waveform": waveform, "sample_rate": audio.rate, "uri": "recording"}, hook=hook, **self._bounds)
        turns = turns_of(getattr(found, "speaker_diarization", found), audio)
        too_few(turns, self._bounds.get("num_speakers", self._bounds.get("min_speakers")), tell)
        return turns
