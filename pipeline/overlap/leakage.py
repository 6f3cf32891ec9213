"""Leakage of another speaker in a separated voice: measured by level and margin, and muted.

A separator leaves some of the others in each voice. A voice that is nothing else is silenced altogether
(`verification.decide`); within a voice, moments that are nothing else are muted (`mute_leakage`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.crossfade import FADE
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.overlap.regions import Piece

MAX_LEAKAGE_TO_ENROLLMENT, MAX_LEAKAGE_TO_MIXTURE = -18.0, -10.0
"""dB relative to the speaker's usual level and to the mixture: a voice below both is leakage."""

FOREIGN_MARGIN, MAX_FOREIGN_TO_MIXTURE = -0.1, -6.0
"""Margin, and dB relative to the mixture: a voice below both is another speaker's."""

MUTE_WINDOW = 0.4
"""Seconds over which a voice must be leakage to be muted for a moment."""

MUTE_EDGE = 0.05
"""Seconds left at both ends of a muted moment, fade included: first and last sounds of words are soft."""


@dataclass(frozen=True, slots=True)
class VoiceLevels:
    """A voice's level in dB relative to the mixture, and to the speaker's enrollment, where there is any."""

    to_mixture: float
    to_enrollment: float | None


def voice_levels(voice: Audio, mixture: Audio, pieces: Sequence[Piece], enrollment: Sequence[Audio]) -> VoiceLevels:
    """The voice's levels in the pieces; -inf where it is silent, 0 where mixture or enrollment are silence."""
    power = _power([voice.crop(piece.span) for piece in pieces])
    usual = _power(enrollment)
    to_mixture = _decibel(power, _power([mixture.crop(piece.span) for piece in pieces]))
    return VoiceLevels(to_mixture, _decibel(power, usual) if usual else None)


def is_leakage(levels: VoiceLevels, margin: float | None) -> bool:
    """Whether a voice is only what a separator left of another speaker.

    It is, where it is far below both the mixture and what its speaker's voice usually is, or is below the mixture and
    sounds like another speaker. A speaker who speaks softly into a loud voice is neither.
    """
    faint = levels.to_enrollment is not None and levels.to_enrollment <= MAX_LEAKAGE_TO_ENROLLMENT
    if faint and levels.to_mixture <= MAX_LEAKAGE_TO_MIXTURE:
        return True
    foreign = margin is not None and margin <= FOREIGN_MARGIN
    return foreign and levels.to_mixture <= MAX_FOREIGN_TO_MIXTURE


def mute_leakage(voice: Audio, mixture: Audio, enrollment: Sequence[Audio]) -> Audio:
    """The voice, muted with fades where it is leakage for `MUTE_WINDOW` or longer, all but `MUTE_EDGE` at both ends.

    There the speaker pauses or the turn reaches too far, and the other is still heard. Where nothing is known of the
    speaker's usual level the voice stays as it is.
    """
    usual, size = _power(enrollment), round(MUTE_WINDOW * voice.rate)
    if not usual or len(voice.samples) < size:
        return voice
    voice_power, mixture_power = _windowed_power(voice.samples, size), _windowed_power(mixture.samples, size)
    faint = voice_power <= usual * 10 ** (MAX_LEAKAGE_TO_ENROLLMENT / 10)
    covered = voice_power <= mixture_power * 10 ** (MAX_LEAKAGE_TO_MIXTURE / 10)
    starts = np.flatnonzero(faint & covered)
    if not len(starts):
        return voice
    # Each window of leakage mutes its inside; windows overlap, so their beginnings and ends are counted.
    edge = round(MUTE_EDGE * voice.rate)
    changes = np.zeros(len(voice.samples) + 1)
    np.add.at(changes, starts + edge, 1.0)
    np.add.at(changes, starts + size - edge, -1.0)
    audible = (np.cumsum(changes[:-1]) == 0).astype(np.float64)
    fade = round(FADE * voice.rate)
    width = 2 * fade + 1
    gain = np.convolve(np.pad(audible, fade, mode="edge"), np.ones(width) / width, "valid")
    return voice.replaced((voice.samples * gain).astype(np.float32))


def _windowed_power(samples: Samples, size: int) -> npt.NDArray[np.float64]:
    """Mean power of every window of ``size`` samples."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return np.asarray((sums[size:] - sums[:-size]) / size)


def _power(clips: Sequence[Audio]) -> float:
    """Mean power of all samples of the clips; 0 for none."""
    count = sum(len(clip.samples) for clip in clips)
    return sum(float(np.sum(np.square(clip.samples, dtype=np.float64))) for clip in clips) / count if count else 0.0


def _decibel(power: float, reference: float) -> float:
    """A ratio of powers in dB; -inf for no power, 0 without a reference."""
    if reference <= 0.0:
        return 0.0
    return 10.0 * math.log10(power / reference) if power > 0.0 else -math.inf
