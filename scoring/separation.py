"""How clean is each voice? Separated tracks against the true voices (stems): SI-SDR, its gain, and leakage.

SI-SDR is the scale-invariant signal-to-distortion ratio of Le Roux et al. (2019), without removing the mean; torchmetrics'
``scale_invariant_signal_distortion_ratio`` agrees. Its gain is over the mixture in the same samples. Values are held within
-30 and 60 dB, so that a silent track counts as -30 and a perfect one stays a number. Leakage is the energy of one person's
track while only somebody else speaks, relative to that other's own energy then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline

WORST, BEST = -30.0, 60.0
"""dB within which a signal-to-distortion ratio is held."""

SILENT = -100.0
"""dB at which leakage is held: nothing can be heard."""

SHORTEST = 0.1
"""Seconds below which an overlap has no ratio of its own: too few samples to say anything."""

Signal = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cleanness:
    """The SI-SDR of one voice over some stretch, its gain over the mixture there (both dB), and the stretch's length in seconds."""

    seconds: float
    si_sdr: float
    gain: float


@dataclass(frozen=True, slots=True)
class VoiceScores:
    """One speaker's track: where the speaker speaks, and in each overlap. ``track`` is None where nobody's track fits."""

    speaker: Speaker
    track: str | None
    total: Cleanness | None
    overlaps: tuple[tuple[Span, Cleanness], ...]


@dataclass(frozen=True, slots=True)
class SoundScores:
    """The tracks of one recording, or of several: ``leaked`` and ``spoken`` are the energies that leakage compares."""

    voices: tuple[VoiceScores, ...]
    leaked: float = 0.0
    spoken: float = 0.0

    @property
    def total(self) -> Cleanness | None:
        """The mean over voices, weighted by how long each speaks."""
        return _mean(voice.total for voice in self.voices if voice.total is not None)

    @property
    def overlap(self) -> Cleanness | None:
        """The mean over voices and overlaps, weighted by their length."""
        return _mean(cleanness for voice in self.voices for _, cleanness in voice.overlaps)

    @property
    def leakage(self) -> float | None:
        """Energy of everybody's tracks while only somebody else speaks, in dB of that one's energy; None where nobody speaks alone."""
        return decibel(self.leaked, self.spoken, SILENT, math.inf) if self.spoken > 0 else None


def pooled_sound(scores: Iterable[SoundScores]) -> SoundScores:
    """Several recordings as one."""
    given = tuple(scores)
    return SoundScores(
        tuple(voice for one in given for voice in one.voices),
        sum(one.leaked for one in given),
        sum(one.spoken for one in given),
    )


def score_sound(
    stems: Mapping[Speaker, Audio], tracks: Mapping[str, Audio], turns: Sequence[Turn], mixture: Audio | None = None
) -> SoundScores:
    """Score tracks against the true voices. ``turns`` say who speaks when, in the stems' names.

    All sound begins at recording time 0 with one rate; shorter sound is filled up with silence. Without a ``mixture``
    the sum of the stems is the mixture. Tracks find their stems by the largest correlation, each at most one.
    """
    size = max((len(audio.samples) for audio in (*stems.values(), *tracks.values())), default=0)
    voices = {speaker: _filled(audio, size) for speaker, audio in stems.items()}
    heard = {name: _filled(audio, size) for name, audio in tracks.items()}
    whole = _filled(mixture, size) if mixture is not None else np.asarray(sum(voices.values()), np.float32)
    rate = next((audio.rate for audio in stems.values()), 16000)
    names = _assigned(voices, heard)
    overlaps = timeline.overlaps(turns)
    speech = timeline.by_speaker(turns)
    found: list[VoiceScores] = []
    for speaker, voice in voices.items():
        estimate = heard.get(names.get(speaker, ""), np.zeros(size, np.float32))
        shared = [o.span for o in overlaps if speaker in o.speakers and o.span.duration >= SHORTEST]
        signals, own = (estimate, voice, whole), speech.get(speaker, ())
        within = [(span, cleanness(*signals, _samples([span], rate, size), rate)) for span in shared]
        total = cleanness(*signals, _samples(own, rate, size), rate)
        found.append(
            VoiceScores(
                speaker, names.get(speaker), total, tuple((span, clean) for span, clean in within if clean is not None)
            )
        )
    leaked, spoken = _leakage(voices, {speaker: heard[name] for speaker, name in names.items()}, turns, rate)
    return SoundScores(tuple(found), leaked, spoken)


def si_sdr(estimate: Signal, target: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, held within `WORST` and `BEST`; ``target`` must not be silent."""
    e, t = estimate.astype(np.float64), target.astype(np.float64)
    scaled = (np.dot(e, t) / np.dot(t, t)) * t
    return decibel(float(np.dot(scaled, scaled)), float(np.dot(e - scaled, e - scaled)), WORST, BEST)


def cleanness(
    estimate: Signal, target: Signal, mixture: Signal, where: npt.NDArray[np.bool_], rate: int
) -> Cleanness | None:
    """SI-SDR and gain in the samples ``where`` (True) at ``rate`` Hz; None where the true voice is silent there."""
    if not np.any(target[where]):
        return None
    ratio = si_sdr(estimate[where], target[where])
    return Cleanness(np.count_nonzero(where) / rate, ratio, ratio - si_sdr(mixture[where], target[where]))


def decibel(power: float, reference: float, least: float, most: float) -> float:
    """``power`` in dB of ``reference``, held within ``least`` and ``most``.

    >>> decibel(1.0, 10.0, -100.0, 100.0)
    -10.0
    """
    if power <= 0:
        return least
    return most if reference <= 0 else min(max(10.0 * math.log10(power / reference), least), most)


def _mean(parts: Iterable[Cleanness]) -> Cleanness | None:
    given = tuple(parts)
    seconds = sum(part.seconds for part in given)
    if seconds <= 0:
        return None
    return Cleanness(
        seconds, sum(p.seconds * p.si_sdr for p in given) / seconds, sum(p.seconds * p.gain for p in given) / seconds
    )


def _filled(audio: Audio, size: int) -> Signal:
    samples = audio.samples[:size]
    return samples if len(samples) == size else np.concatenate([samples, np.zeros(size - len(samples), np.float32)])


def _samples(spans: Iterable[Span], rate: int, size: int) -> npt.NDArray[np.bool_]:
    where = np.zeros(size, np.bool_)
    for span in spans:
        where[round(span.start * rate) : round(span.end * rate)] = True
    return where


def _assigned(voices: Mapping[Speaker, Signal], tracks: Mapping[str, Signal]) -> dict[Speaker, str]:
    from scipy.optimize import linear_sum_assignment

    if not voices or not tracks:
        return {}
    speakers, names = list(voices), list(tracks)
    alike = np.array([[_correlation(voices[speaker], tracks[name]) for name in names] for speaker in speakers])
    rows, columns = linear_sum_assignment(-alike)
    return {speakers[row]: names[column] for row, column in zip(rows, columns, strict=True) if alike[row, column] > 0}


def _correlation(a: Signal, b: Signal) -> float:
    norm = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return abs(float(np.dot(a, b))) / norm if norm > 0 else 0.0


def _leakage(
    voices: Mapping[Speaker, Signal], tracks: Mapping[Speaker, Signal], turns: Sequence[Turn], rate: int
) -> tuple[float, float]:
    leaked = spoken = 0.0
    for other, voice in voices.items():
        where = _samples(timeline.alone(turns, other), rate, len(voice))
        own = float(np.sum(np.square(voice[where], dtype=np.float64)))
        for speaker, track in tracks.items():
            if speaker != other:
                leaked += float(np.sum(np.square(track[where], dtype=np.float64)))
                spoken += own
    return leaked, spoken
