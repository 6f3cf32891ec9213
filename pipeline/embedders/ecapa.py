"""SpeechBrain's ECAPA-TDNN voice embeddings.

Desplanques, Thienpondt, Demuynck, "ECAPA-TDNN: Emphasized channel attention, propagation and aggregation in TDNN based
speaker verification", 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from speechbrain.inference.speaker import SpeakerRecognition

from meetsplit.pipeline.data import Audio, rms
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.models.speechbrain_folder import on, open_folder, run_as_code
from meetsplit.pipeline.settings import Settings

SHORTEST = 0.25
"""Seconds below which a clip says nothing about a voice."""

QUIETEST = 1e-5
"""RMS below which a clip is silence."""

LONGEST = 30.0
"""Seconds of a clip heard at once; the rest is left out."""


class EcapaEmbedder:
    """An `Embedder` over a SpeechBrain ECAPA-TDNN from a local folder; rows have 192 numbers in the public model."""

    def __init__(self, model: SpeakerRecognition) -> None:
        self._model = model
        self.rate: int = int(getattr(model.hparams, "sample_rate", 16_000))

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> EcapaEmbedder:
        """The folder ``weights["embedder"]``, as the hub has it; nothing is linked, copied or fetched, and nothing that its file names
        is run unless ``settings.trust_model_code``.

        Raises `MissingWeights` for an incomplete folder, `StageError` for one that holds something else.
        """
        folder = weights["embedder"]
        with blame("match", f"loading the ECAPA embedder in {folder}"):
            if settings.trust_model_code:
                return cls(run_as_code(SpeakerRecognition, "match", folder, device))
            found = open_folder(
                "match", folder, ("compute_features", "mean_var_norm", "embedding_model"), ("sample_rate",)
            )
            return cls(SpeakerRecognition(found.modules, dict(found.numbers), run_opts={"device": on(device)}))

    @torch.inference_mode()
    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """One unit-length row per clip, each clip heard on its own; NaN for clips under 0.25 s or silent."""
        found = [self._embedded(clip) for clip in clips]
        width = next((len(row) for row in found if row is not None), 0) or self._width()
        empty = np.full(width, np.nan, np.float32)
        return np.stack([empty if row is None else row for row in found]) if found else np.zeros((0, width), np.float32)

    def _embedded(self, clip: Audio) -> npt.NDArray[np.float32] | None:
        if clip.rate != self.rate:
            raise ValueError(f"ECAPA hears at {self.rate} Hz, not {clip.rate} Hz")
        samples = clip.samples[: round(LONGEST * self.rate)]
        if len(samples) < SHORTEST * self.rate or not rms(samples) > QUIETEST:
            return None
        with blame("match", f"embedding {clip.duration:.1f} s at {clip.start:.1f} s"):
            row = self._model.encode_batch(torch.tensor(samples)[None])[0].flatten().float().cpu().numpy()
        norm = float(np.linalg.norm(row))
        return row / norm if np.isfinite(norm) and norm > 0.0 else None

    def _width(self) -> int:
        noise = np.random.default_rng(0).standard_normal(self.rate).astype(np.float32)
        row = self._embedded(Audio(noise, self.rate))
        return 0 if row is None else len(row)
