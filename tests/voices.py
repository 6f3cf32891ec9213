"""Sound that could be a voice, for tests that need no words in it."""

from __future__ import annotations

import numpy as np

from meetsplit.pipeline.data import Samples


def babble(seconds: float, *, seed: int = 0, rate: int = 16000) -> Samples:
    """Noise that swells four times a second, as syllables do: what does not move is not taken for speech."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate), np.float32)
    swell = 0.1 * (0.55 - 0.45 * np.cos(2 * np.pi * 4.0 * np.arange(len(noise)) / rate))
    return (noise * swell).astype(np.float32)
