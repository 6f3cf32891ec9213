"""A separator for people of whom more speech is kept than they say alone in the recording: it joins their enrollment.

Kept speech was recorded elsewhere: another level, another microphone, another room. It is laid at the level of the
person's own speech in the recording, so that neither outweighs the other where louder frames count for more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Speaker, Voice
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.protocols import Adaptable, Separator, as_separator

FRAME = 0.02
"""Seconds of the frames whose power says how loud somebody speaks."""

QUIET = 1e-3
"""The share of the loudest frame's power below which a frame is a pause."""

ELSEWHERE = 100_000.0
"""The time in seconds at which kept clips begin on a recording's clock: after the end of every recording."""


class EnrolledSeparator:
    """A `Separator`, and an `Adaptable`, that adds kept clips to the enrollment of those who have some.

    ``kept`` are clean clips by speaker, of any rate and level. Speakers without any are enrolled as they are; clips of
    those of whom the recording itself has no speech are as loud as the others.
    """

    def __init__(self, separator: Separator, kept: Mapping[Speaker, Sequence[Audio]]) -> None:
        self.rate: int = separator.rate
        self._separator, self._kept = separator, dict(kept)

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """What the separator answers with the longer enrollment."""
        return self._separator.separate(mixture, self._longer(enrollment))

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
        *,
        recording_seconds: float = math.inf,
    ) -> Separator:
        """The separator adapted with the longer enrollment where it can be; otherwise itself."""
        if not isinstance(self._separator, Adaptable):
            return self
        longer = self._longer(enrollment)
        adapted = self._separator.adapt(overlap_seconds, longer, on_event, recording_seconds=recording_seconds)
        return EnrolledSeparator(as_separator(adapted), self._kept)

    def _longer(self, enrollment: Mapping[Speaker, Sequence[Audio]]) -> dict[Speaker, tuple[Audio, ...]]:
        everybody = [clip for clips in enrollment.values() for clip in clips]
        return {
            speaker: (*clips, *_at_level_of(clips or everybody, self._kept.get(speaker, ())))
            for speaker, clips in enrollment.items()
        }


def _at_level_of(own: Sequence[Audio], kept: Sequence[Audio]) -> tuple[Audio, ...]:
    """The kept clips at the rate and level of the person's own, one after the other from `ELSEWHERE` on."""
    if not kept or not own:
        return ()
    clips = [resample(clip, own[0].rate).samples for clip in kept]
    here, there = (_active_rms(np.concatenate(part), own[0].rate) for part in ([clip.samples for clip in own], clips))
    if not here > 0.0 or not there > 0.0:
        return ()
    placed: list[Audio] = []
    start = ELSEWHERE
    for samples in clips:
        placed.append(Audio(samples * np.float32(here / there), own[0].rate, start))
        start = placed[-1].span.end + 1.0
    return tuple(placed)


def _active_rms(samples: Samples, rate: int) -> float:
    """The RMS of the frames that are no pause; 0 for silence."""
    size = round(FRAME * rate)
    power = np.square(samples[: len(samples) // size * size].reshape(-1, size), dtype=np.float64).mean(axis=1)
    return float(np.sqrt(power[power > QUIET * power.max()].mean())) if power.max(initial=0.0) > 0.0 else 0.0
