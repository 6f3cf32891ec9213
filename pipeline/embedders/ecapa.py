"""SpeechBrain's ECAPA-TDNN speaker embeddings.

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
from meetsplit.pipeline.models.speechbrain_folder import open_as_code, open_folder, speechbrain_device
from meetsplit.pipeline.settings import Settings

MIN_SECONDS = 0.25
"""Seconds below which a clip is not embedded."""

SILENCE_RMS = 1e-5
"""RMS below which a clip is silence."""

MAX_SECONDS = 30.0
"""Seconds of a clip that are embedded; the rest is left out."""


class EcapaEmbedder:
    """An `Embedder` over a SpeechBrain ECAPA-TDNN from a local folder; rows have 192 numbers in the public model."""

    def __init__(self, model: SpeakerRecognition) -> None:
        self._model = model
        self.rate: int = int(getattr(model.hparams, "sample_rate", 16_000))

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> EcapaEmbedder:
        """The folder ``weights["embedder"]``, as the hub has it.

        Nothing is linked, copied or fetched, and nothing that its file names is run unless
        ``settings.trust_model_code``. Raises `MissingWeights` for an incomplete folder, `StageError` for one that
        holds something else.
        """
        folder = weights["embedder"]
        with blame("match", f"loading the ECAPA embedder in {folder}"):
            if settings.trust_model_code:
                return cls(open_as_code(SpeakerRecognition, "match", folder, device))
            modules = ("compute_features", "mean_var_norm", "embedding_model")
            content = open_folder("match", folder, modules, ("sample_rate",))
            return cls(
                SpeakerRecognition(
                    content.modules, dict(content.numbers), run_opts={"device": speechbrain_device(device)}
                )
            )

    @torch.inference_mode()
    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """One unit-length row per clip, each embedded on its own; NaN for clips under 0.25 s or silent."""
        rows = [self._embed_clip(clip) for clip in clips]
        dimension = next((len(row) for row in rows if row is not None), 0) or self._dimension()
        if not rows:
            return np.zeros((0, dimension), np.float32)
        missing = np.full(dimension, np.nan, np.float32)
        return np.stack([missing if row is None else row for row in rows])

    def _embed_clip(self, clip: Audio) -> npt.NDArray[np.float32] | None:
        """A unit-length row; None for a clip that is too short or silent."""
        if clip.rate != self.rate:
            raise ValueError(f"ECAPA hears at {self.rate} Hz, not {clip.rate} Hz")
        samples = clip.samples[: round(MAX_SECONDS * self.rate)]
        if len(samples) < MIN_SECONDS * self.rate or not rms(samples) > SILENCE_RMS:
            return None
        with blame("match", f"embedding {clip.duration:.1f} s at {clip.start:.1f} s"):
            row = self._model.encode_batch(torch.tensor(samples)[None])[0].flatten().float().cpu().numpy()
        norm = float(np.linalg.norm(row))
        return row / norm if np.isfinite(norm) and norm > 0.0 else None

    def _dimension(self) -> int:
        """Length of a row, as the model answers to noise."""
        noise = np.random.default_rng(0).standard_normal(self.rate).astype(np.float32)
        row = self._embed_clip(Audio(noise, self.rate))
        return 0 if row is None else len(row)
