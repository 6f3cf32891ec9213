"""Noise taken out by its own floor: minimum statistics and the log-spectral amplitude estimator, without weights.

The power of the noise in a frequency is followed by the minima of the smoothed power around each moment (Martin, "Noise
power spectral density estimation based on optimal smoothing and minimum statistics", 2001), ahead as well as back,
because the recording is there. How much louder the speech is than that is estimated with Ephraim and Malah's
decision-directed rule, and gives the gain of their "Speech enhancement using a minimum mean-square error log-spectral
amplitude estimator", 1985.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.special import exp1

Power: TypeAlias = npt.NDArray[np.float64]
"""Powers of short-time spectra, or gains on them, ``(bins, frames)``."""

SMOOTHING = 0.1
"""Seconds over which powers are smoothed before their minima are looked for."""

MINIMUM = 1.2
"""Seconds around a moment within which the minimum is looked for: longer than a syllable, shorter than a scene."""

BIAS = 1.8
"""By how much the minimum of the smoothed power of noise lies below its mean."""

LEAST_GAIN = 10 ** (-15 / 20)
"""What is left of noise: silence would be heard as holes, by people and by transcribers."""

_MEMORY = 0.96
"""Weight of the frame before in the decision-directed rule."""

_LEAST_RATIO = 10 ** (-20 / 10)
"""Least ratio of speech to noise that is assumed, in power."""


def noise_power(power: Power, frames_per_second: float) -> Power:
    """The power of the noise in each bin and frame."""
    smoothed = uniform_filter1d(power, _odd(SMOOTHING * frames_per_second), axis=1, mode="nearest")
    minima = minimum_filter1d(smoothed, _odd(MINIMUM * frames_per_second), axis=1, mode="nearest")
    settled: Power = BIAS * uniform_filter1d(minima, _odd(MINIMUM / 2 * frames_per_second), axis=1, mode="nearest")
    return settled


def noise_gains(power: Power, frames_per_second: float) -> Power:
    """The gains on magnitudes that take the noise out, at least `LEAST_GAIN`."""
    noise = np.maximum(noise_power(power, frames_per_second), 1e-12 * max(float(power.max()), 1e-30))
    posterior = np.minimum(power / noise, 1e4)
    gains = np.empty_like(power)
    before = np.maximum(posterior[:, 0] - 1, 0.0)
    for frame in range(power.shape[1]):
        here = posterior[:, frame]
        prior = np.maximum(_MEMORY * before + (1 - _MEMORY) * np.maximum(here - 1, 0.0), _LEAST_RATIO)
        wiener = prior / (1 + prior)
        gain = wiener * np.exp(0.5 * exp1(np.maximum(wiener * here, 1e-6)))
        gains[:, frame] = np.clip(gain, LEAST_GAIN, 1.0)
        before = gain**2 * here
    return gains


def _odd(frames: float) -> int:
    return max(int(frames) | 1, 3)
