"""Gains of a track over time: where it is the recording, and where a separated voice takes the recording's place.

recording   ____/‾‾‾‾‾‾‾‾\\____________/‾‾‾‾‾\\____      the clips' own sound: 1, elsewhere 0
layer       ______________‾‾‾‾‾‾‾‾‾‾‾‾____________      1 where the track is anything else than that

Made once from what separation has decided (the clips and their patches), on the clock of the recording, and read at any
sample rate: a track has the same edges and seams at all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.audio import crossfade
from meetsplit.pipeline.audio.crossfade import ramp
from meetsplit.pipeline.data import LATEST, Samples, Span, StreamInfo
from meetsplit.speakers.tracks import FADE


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch in seconds with its fades inside it, in seconds; one to the recording's end has `LATEST` as its end."""

    start: float
    end: float
    fade_in: float = 0.0
    fade_out: float = 0.0

    def weights(self, first: int, last: int, rate: int) -> tuple[slice, Samples] | None:
        """The weights, up to 1, of those of the samples ``first`` to ``last`` at ``rate`` that lie in it, and which
        these are, counted from ``first``; None where there are none.
        """
        begin, end = round(self.start * rate), round(self.end * rate)
        here, stop = max(begin, first), min(end, last)
        if here >= stop:
            return None
        weights = np.ones(stop - here, np.float32)
        rising, falling = (min(round(fade * rate), (end - begin) // 2) for fade in (self.fade_in, self.fade_out))
        if here < begin + rising:
            part = ramp(rising)[here - begin : stop - begin]
            weights[: len(part)] = part
        if stop > end - falling:
            part = ramp(falling)[end - stop : end - here][::-1]
            weights[len(weights) - len(part) :] = part
        return slice(here - first, stop - first), weights


@dataclass(frozen=True, slots=True)
class TrackGains:
    """The gains of one speaker's track; the stretches of each kind are sorted and disjoint.

    The recording is heard in ``audible``, but for ``replaced``, where the track plays a separated voice or silence.
    Only in ``layered`` is the track anything else than the recording at its gain.
    """

    audible: tuple[Stretch, ...]
    replaced: tuple[Stretch, ...]
    layered: tuple[Stretch, ...]

    def recording(self, first: int, last: int, rate: int) -> Samples | None:
        """The recording's gain in the samples ``first`` to ``last`` at ``rate``; None where it is 0 in all of them."""
        gain = _weights(self.audible, first, last, rate)
        voice = None if gain is None else _weights(self.replaced, first, last, rate)
        return gain if gain is None or voice is None else gain * (1 - voice)

    def layer(self, first: int, last: int, rate: int) -> Samples | None:
        """1 in those of the samples in which something is laid over the recording, else 0; None for 0 in all."""
        return _weights(self.layered, first, last, rate)


def track_gains(clips: Sequence[StreamInfo], rate: int, length: int, crosstalk: Sequence[Span] = ()) -> TrackGains:
    """The gains of the track that `TrackWriter` makes of one speaker's ``clips`` (sorted), of ``length`` samples at
    ``rate``.

    ``crosstalk`` are the stretches in which others may have been taken out of the speaker's own channel.
    """
    audible = _joined([_faded(clip.span, FADE, rate) for clip in clips], length, rate)
    patches = [patch.span for clip in clips for patch in clip.patches if patch.source != "mixture"]
    replaced = _joined([_faded(span, crossfade.FADE, rate) for span in patches], length, rate)
    # Where a voice begins or ends with what is audible, there is no recording to fade from or to.
    starts, ends = {stretch.start for stretch in audible}, {stretch.end for stretch in audible}
    voices = tuple(
        Stretch(one.start, one.end, one.fade_in * (one.start not in starts), one.fade_out * (one.end not in ends))
        for one in replaced
    )
    others = [_faded(span, 0.0, rate) for span in crosstalk]
    layered = _joined([Stretch(one.start, one.end) for one in (*voices, *others)], length, rate)
    return TrackGains(audible, voices, layered)


def _faded(span: Span, fade: float, rate: int) -> Stretch:
    """The span, from sample to sample at ``rate``, with fades of ``fade`` seconds, at most half of it each."""
    first, last = round(span.start * rate), round(span.end * rate)
    length = min(round(fade * rate), (last - first) // 2) / rate
    return Stretch(first / rate, last / rate, length, length)


def _joined(stretches: Iterable[Stretch], length: int, rate: int) -> tuple[Stretch, ...]:
    """The stretches sorted, those that overlap or touch as one; at the edges of the recording nothing fades."""
    joined: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda one: (one.start, one.end)):
        if joined and stretch.start <= joined[-1].end:
            before = joined[-1]
            last = stretch if stretch.end > before.end else before
            joined[-1] = Stretch(before.start, last.end, before.fade_in, last.fade_out)
        else:
            joined.append(stretch)
    if joined and joined[0].start <= 0:
        joined[0] = Stretch(0.0, joined[0].end, 0.0, joined[0].fade_out)
    if joined and joined[-1].end * rate >= length:
        joined[-1] = Stretch(joined[-1].start, LATEST, joined[-1].fade_in, 0.0)
    return tuple(joined)


def _weights(stretches: Sequence[Stretch], first: int, last: int, rate: int) -> Samples | None:
    """The weights of all stretches in the samples ``first`` to ``last``, 0 between them; None where all are 0."""
    weights: Samples | None = None
    at = bisect_right(stretches, (first - 1) / rate, key=lambda one: one.end)
    while at < len(stretches) and stretches[at].start * rate <= last:
        inside = stretches[at].weights(first, last, rate)
        if inside is not None:
            if weights is None:
                weights = np.zeros(last - first, np.float32)
            where, values = inside
            weights[where] = values
        at += 1
    return weights
