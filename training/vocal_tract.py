"""Changes the length of a speaker's vocal tract, and so the person who is heard, but not the pitch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, rfft

from meetsplit.pipeline.data import Samples

FRAME = 1024
"""Samples in a short-time spectrum."""

HOP = 256
"""Samples between two spectra."""

ENVELOPE_MS = 2.0
"""Milliseconds of the cepstrum that make the envelope: shorter than a period of any voice."""

MOST_CHANGE = 15.0
"""Decibels by which a frequency is changed, at most: nothing is made out of silence."""


def warp_formants(samples: Samples, rate: int, factor: float) -> Samples:
    """The samples with the envelope of their spectrum stretched by ``factor``: above 1, formants move up.

    The envelope is the cepstrum's beginning; the fine structure, which carries the pitch, and the phases stay.
    """
    window = np.hanning(FRAME + 1)[:-1].astype(np.float32)
    frame_count = -(-(len(samples) + FRAME) // HOP)
    padded = np.pad(samples, (FRAME - HOP, frame_count * HOP - len(samples)))
    spectra = rfft(sliding_window_view(padded, FRAME)[::HOP][:frame_count] * window)
    cepstra = irfft(np.log(np.abs(spectra) + np.float32(1e-5)))
    kept = round(ENVELOPE_MS * 1e-3 * rate)
    cepstra[:, kept : FRAME - kept + 1] = 0.0
    envelopes = rfft(cepstra).real
    places = np.minimum(np.arange(envelopes.shape[1]) / factor, envelopes.shape[1] - 1)
    low = places.astype(np.int64)
    high, share = np.minimum(low + 1, envelopes.shape[1] - 1), (places - low).astype(np.float32)
    moved = (1 - share) * envelopes[:, low] + share * envelopes[:, high]
    most = np.float32(MOST_CHANGE * math.log(10.0) / 20.0)
    frames = irfft(spectra * np.exp(np.clip(moved - envelopes, -most, most))) * window
    return np.asarray(_overlap_add(frames)[FRAME - HOP :][: len(samples)], np.float32)


def _overlap_add(frames: npt.NDArray[np.float32]) -> Samples:
    """Frames windowed twice by a Hann window, added up every `HOP` samples at the level of before."""
    steps = FRAME // HOP
    pieces = frames.reshape(len(frames), steps, HOP)
    total = np.zeros((len(frames) + steps - 1, HOP), np.float32)
    for step in range(steps):
        total[step : step + len(frames)] += pieces[:, step]
    return total.ravel() / np.float32(0.375 * steps)  # the mean of a squared Hann window is 3/8
