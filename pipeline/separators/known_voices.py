"""Clips of people from elsewhere beside what a recording has of them: a separator that knows their voices from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Speaker, Voice, rms
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.protocols import Adaptable, Separator, as_separator


def with_known_voices(separator: Separator, known: Mapping[Speaker, Sequence[Audio]]) -> Separator:
    """The separator with the ``known`` clips, at any rate, joined to the enrollment of their speakers.

    They are as loud as the speaker's own clean speech, or, where there is none, as that of the others. One that is
    `Adaptable` stays so.
    """
    return _AdaptableKnowing(separator, known) if isinstance(separator, Adaptable) else _Knowing(separator, known)


class _Knowing:
    """A separator whose enrollment has clips from elsewhere."""

    def __init__(self, separator: Separator, known: Mapping[Speaker, Sequence[Audio]]) -> None:
        self.rate = separator.rate
        self._separator, self._known = separator, known

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """As the separator does."""
        return self._separator.separate(mixture, self._joined(enrollment))

    def _joined(self, enrollment: Mapping[Speaker, Sequence[Audio]]) -> dict[Speaker, Sequence[Audio]]:
        everybody = [clip for clips in enrollment.values() for clip in clips]
        joined = dict(enrollment)
        for speaker in self._known.keys() & enrollment.keys():
            level = _level(enrollment[speaker]) or _level(everybody)
            clips = [resample(clip, self.rate) for clip in self._known[speaker]]
            gain = np.float32(level / own if level and (own := _level(clips)) else 1.0)
            joined[speaker] = (*enrollment[speaker], *(clip.replaced(clip.samples * gain) for clip in clips))
        return joined


class _AdaptableKnowing(_Knowing):
    """The same for a separator that is adapted to a recording."""

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
    ) -> Separator:
        """The separator adapted to its recording, knowing the same clips."""
        if not isinstance(self._separator, Adaptable):
            return self
        adapted = self._separator.adapt(overlap_seconds, self._joined(enrollment), on_event)
        return _Knowing(as_separator(adapted), self._known)


def _level(clips: Sequence[Audio]) -> float:
    """The RMS of all samples; 0 for none."""
    return rms(np.concatenate([np.zeros(0, np.float32), *(clip.samples for clip in clips)]))
