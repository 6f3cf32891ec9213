"""SpeechBrain's SepFormer: blind separation by a network trained on mixtures of other people.

Subakan et al., "Attention is all you need in speech separation", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.inference.separation import SepformerSeparation

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, rms
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models.speechbrain_folder import open_as_code, open_folder, speechbrain_device
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.chunking import consistent_with_mixture, overlap_add
from meetsplit.pipeline.settings import Settings

WINDOW = 20.0
"""Seconds separated at once: attention over more costs gigabytes."""

WINDOW_OVERLAP = 2.0
"""Seconds that neighbouring windows share, for keeping the order of the voices."""

INPUT_RMS = 0.1
"""RMS to which every window is scaled for the network; its training mixtures were about that loud."""

MIN_SAMPLES = 512
"""Samples that the network is given at least, padded with zeros: its first filter is longer than the shortest clips."""

POWER_SMOOTHING = 0.032
"""Seconds over which voices' powers are compared when the remaining difference to the mixture is divided."""


class SepformerSeparator:
    """A `BlindSeparator` over one SepFormer per number of voices, read from local folders.

    ``models`` are loaded SpeechBrain separators; each knows its sample rate and number of voices. A model for 8 kHz
    gets the mixture resampled; its voices come back at 16 kHz with what it cannot represent (above about 3.7 kHz)
    taken from the mixture and given to the louder voice at that moment. The voices of a mixture add up to it but for
    rounding; see `consistent_with_mixture`.
    """

    def __init__(self, models: Sequence[SepformerSeparation]) -> None:
        self.rate: int = 16_000
        self._models = {int(model.hparams.num_spks): model for model in models}
        self.counts: frozenset[int] = frozenset(self._models)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> SepformerSeparator:
        """The folder ``weights["separator"]`` and, for three voices, ``weights["separator_3"]`` if it is there.

        A folder is what the hub has: ``hyperparams.yaml`` and the ``.ckpt`` files it names. Nothing is linked, copied
        or fetched, and nothing that the file names is run unless ``settings.trust_model_code``. Raises
        `MissingWeights` for an incomplete folder, `StageError` for one that holds something else.
        """
        models = [_load_model(weights["separator"], settings, device)]
        if "separator_3" in weights:
            models.append(_load_model(weights["separator_3"], settings, device))
            if int(models[1].hparams.num_spks) != 3:
                raise StageError(
                    "separate", f"{weights['separator_3']} takes apart {models[1].hparams.num_spks} voices, not 3"
                )
        return cls(models)

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        """``count`` voices; raises `Unseparated` (``overlap-unresolved``) for silent or non-finite network output."""
        if mixture.rate != self.rate:
            raise ValueError(f"the SepFormer separator hears at {self.rate} Hz, not {mixture.rate} Hz")
        if count not in self._models:
            raise ValueError(f"no model for {count} voices, only for {sorted(self._models)}")
        if not np.any(mixture.samples):
            return [mixture] * count
        rows = overlap_add(
            mixture.samples,
            lambda samples: self._separate_window(samples, self._models[count]),
            size=round(WINDOW * self.rate),
            overlap=round(WINDOW_OVERLAP * self.rate),
            anonymous=True,
        )
        return [mixture.replaced(row) for row in rows]

    def _separate_window(self, samples: Samples, model: SepformerSeparation) -> Samples:
        """The voices of one window, in any order."""
        loudness = rms(samples)
        if loudness == 0.0:
            return np.zeros((int(model.hparams.num_spks), len(samples)), np.float32)
        gain = np.float32(INPUT_RMS / loudness)
        scaled = resample(Audio(samples * gain, self.rate), int(model.hparams.sample_rate))
        length = len(scaled.samples)
        padded = np.pad(scaled.samples, (0, max(MIN_SAMPLES - length, 0)))
        with torch.inference_mode(), blame("separate", f"SepFormer on {len(samples) / self.rate:.1f} s of overlap"):
            outputs = model.separate_batch(torch.tensor(padded)[None])[0, :length].T.float().cpu().numpy()
        if not np.all(np.isfinite(outputs)):
            raise Unseparated("overlap-unresolved", "SepFormer answered with numbers that are not finite")
        if not np.all(np.any(outputs, axis=1)):
            raise Unseparated("overlap-unresolved", "SepFormer answered with a voice that is silent throughout")
        resampled = [resample(Audio(output, scaled.rate), self.rate).samples for output in outputs]
        voices = np.stack([_to_length(voice, len(samples)) for voice in resampled])
        return consistent_with_mixture(voices, samples * gain, smooth=round(POWER_SMOOTHING * self.rate)) / gain


def _to_length(samples: Samples, length: int) -> Samples:
    """Exactly ``length`` samples: two resamplings may differ from the input by one."""
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))


def _load_model(folder: Path, settings: Settings, device: str) -> SepformerSeparation:
    """The SepFormer in a folder. Raises `StageError` for one without its numbers."""
    required = ("num_spks", "sample_rate")
    with blame("separate", f"loading the SepFormer in {folder}"):
        if settings.trust_model_code:
            model: Any = open_as_code(SepformerSeparation, "separate", folder, device)
        else:
            content = open_folder("separate", folder, SepformerSeparation.MODULES_NEEDED, required)
            model = SepformerSeparation(
                content.modules, dict(content.numbers), run_opts={"device": speechbrain_device(device)}
            )
    missing = [name for name in required if not hasattr(model.hparams, name)]
    if missing:
        raise StageError("separate", f"{folder / 'hyperparams.yaml'} does not say {' and '.join(missing)}")
    return model
