"""Pauses that a model gave to the word after them: the word's start is moved to where it is heard.

recording    …boxes.    (0.5 s of room)    I think…
attention    …boxes.|I                    |think…        the pause has no token: the next one attends to it
here         …boxes.|                   I |think…

Cross-attention puts a word's start where the word before it ends. The level of the sound tells how much of that is
silence (docs/benchmarks.md has what it gains).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.transcribers.hallucinations import RawWord

FRAME, HOP = 0.02, 0.01
"""Seconds over which the level is measured, and from one measurement to the next."""

LOUD = 0.3
"""Where the threshold lies between the quiet and the loud frames of a clip (5th and 95th percentile, in dB)."""

MOST_RANGE = 60.0
"""dB below its loud frames at which a clip's quiet ones count at least: digital silence is quieter than any pause."""

LEAST_RANGE = 15.0
"""dB between quiet and loud frames below which a clip's pauses cannot be told from its speech."""

MIN_PAUSE = 0.08
"""Seconds of quiet at a word's start that are a pause; the closure before a plosive is shorter."""

LEAD = 0.02
"""Seconds before the first loud frame at which the word starts: it begins quietly."""


def without_leading_pauses(words: Sequence[RawWord], clip: Audio) -> list[RawWord]:
    """The words, times in seconds into the clip, with their starts after the pause that they begin with, if any."""
    levels = _levels(clip)
    quiet, loud = np.percentile(levels, (5, 95)).tolist() if len(levels) else (0.0, 0.0)
    quiet = max(quiet, loud - MOST_RANGE)
    if loud - quiet < LEAST_RANGE:
        return list(words)
    is_loud = levels > quiet + LOUD * (loud - quiet)
    moved = []
    for word in words:
        first = round(word.start / HOP)
        heard = np.flatnonzero(is_loud[first : round(word.end / HOP)])
        pause = float(heard[0]) * HOP if len(heard) else 0.0
        moved.append(replace(word, start=word.start + pause - LEAD) if pause >= MIN_PAUSE else word)
    return moved


def _levels(clip: Audio) -> npt.NDArray[np.float32]:
    """The level in dB around every `HOP` seconds of the clip."""
    size, hop = round(FRAME * clip.rate), round(HOP * clip.rate)
    padded = np.pad(clip.samples, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.mean(np.square(frames, dtype=np.float32), axis=1)
    return np.asarray(10 * np.log10(power + 1e-12), np.float32)
