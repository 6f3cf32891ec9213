"""Quality of separated voices without the truth: how much of a track is heard in the others' tracks, and whose it is.

In an overlap, each person's track plays a separated voice. What of the mixture is strong in two of them at the same
time and pitch belongs to one and bleeds into the other, or was given to both by half:

    bleed = Σ min(|A|, |B|)² / Σ |A|²     of A's track and the sum B of the others', over all bins and frames, in dB

Far below 0 the voices are apart. The margin is what verification has measured: how much more a voice sounds like its
speaker than like the next one. On simulated meetings both go with the SI-SDR of a voice (`benchmarks.track_quality`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import OverlapResult, Samples, Span, Speaker, StreamInfo, TrackQuality

FRAME, HOP = 512, 128
"""Samples of a spectrum at 16 kHz, and between spectra."""

SHORTEST = 0.5
"""Seconds of a separated voice from which on it is judged."""

LONGEST = 10.0
"""Seconds that are judged at once."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Energy of a separated voice, and of what is as strong in the others' tracks."""

    own: float
    shared: float

    @property
    def bleed(self) -> float | None:
        """The shared part in dB, at most 0; None for silence."""
        if self.own <= 0.0:
            return None
        return 10.0 * math.log10(max(self.shared / self.own, 1e-6))


def shared_energy(own: Samples, others: Samples) -> Shared:
    """Of two signals of one length, at 16 kHz."""
    if len(own) < FRAME:
        return Shared(0.0, 0.0)
    first, second = _magnitudes(own), _magnitudes(others)
    return Shared(float(np.square(first).sum()), float(np.square(np.minimum(first, second)).sum()))


def judged(clips: Sequence[StreamInfo], speaker: Speaker) -> tuple[OverlapResult, ...]:
    """The separated voices of a speaker that are long enough to be judged, of the clips of all streams."""
    return tuple(
        voice
        for clip in clips
        if clip.speaker == speaker
        for voice in clip.patches
        if voice.source == "separated" and voice.span.duration >= SHORTEST
    )


def voice_energy(tracks: Mapping[Speaker, Path], speaker: Speaker, voice: OverlapResult) -> Shared:
    """The energies of one separated voice, by the cached tracks of all speakers."""
    own = shared = 0.0
    start = voice.span.start
    while voice.span.end - start >= FRAME / 16000:
        part = Span(start, min(start + LONGEST, voice.span.end))
        track = read_span(tracks[speaker], part).samples
        others = [read_span(tracks[one], part).samples for one in voice.speakers if one != speaker and one in tracks]
        energies = shared_energy(track, np.sum([np.zeros_like(track), *others], axis=0))
        own, shared = own + energies.own, shared + energies.shared
        start = part.end
    return Shared(own, shared)


def track_quality(clips: Sequence[StreamInfo], tracks: Mapping[Speaker, Path]) -> dict[Speaker, TrackQuality]:
    """The quality of each track in which voices are separated, for at least `SHORTEST` seconds in a row.

    ``clips`` are those of all streams and ``tracks`` the cached ones, as separation leaves both. Costs a short-time
    spectrum of every overlap, and no model.
    """
    quality: dict[Speaker, TrackQuality] = {}
    for speaker in sorted({clip.speaker for clip in clips} & tracks.keys()):
        voices = judged(clips, speaker)
        if not voices:
            continue
        energies = [voice_energy(tracks, speaker, voice) for voice in voices]
        total = Shared(sum(one.own for one in energies), sum(one.shared for one in energies))
        seconds = sum(voice.span.duration for voice in voices)
        quality[speaker] = TrackQuality(seconds, total.bleed, mean_margin(voices))
    return quality


def mean_margin(voices: Sequence[OverlapResult]) -> float | None:
    """The mean of the voices' margins, weighted by time; None where none has a finite one."""
    margins = [(voice.margin, voice.span.duration) for voice in voices if voice.margin is not None]
    finite = [(margin, seconds) for margin, seconds in margins if math.isfinite(margin)]
    weight = sum(seconds for _, seconds in finite)
    return sum(margin * seconds for margin, seconds in finite) / weight if weight else None


def _magnitudes(samples: Samples) -> Samples:
    """Magnitudes of short-time spectra between about 125 Hz and 7.8 kHz, ``(bins, frames)``."""
    from scipy.signal import stft  # slow to load, and few runs need it

    spectra = stft(samples, nperseg=FRAME, noverlap=FRAME - HOP, boundary=None, padded=False)[2]
    return np.asarray(np.abs(spectra[4:250]), np.float32)
