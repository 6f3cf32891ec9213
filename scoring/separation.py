"""Separated tracks against the true voices (stems): SI-SDR, its gain, and leakage.

SI-SDR is the scale-invariant signal-to-distortion ratio of Le Roux et al. (2019), without removing the mean;
torchmetrics' ``scale_invariant_signal_distortion_ratio`` agrees. Its gain is over the mixture in the same samples.
Values are held within -30 and 60 dB, so that a silent track counts as -30 and a perfect one stays a number. Leakage
is the energy of one person's track while only another one speaks, relative to that other's own energy then.
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
class VoiceQuality:
    """The SI-SDR of one voice in a stretch of ``seconds``, and its gain over the mixture there, both in dB."""

    seconds: float
    si_sdr: float
    gain: float


@dataclass(frozen=True, slots=True)
class VoiceScores:
    """One speaker's track: where the speaker speaks, and in each overlap. ``track`` is None where no track fits."""

    speaker: Speaker
    track: str | None
    total: VoiceQuality | None
    overlaps: tuple[tuple[Span, VoiceQuality], ...]

    @property
    def overlap(self) -> VoiceQuality | None:
        """The mean over the overlaps, weighted by their length."""
        return _mean(quality for _, quality in self.overlaps)


@dataclass(frozen=True, slots=True)
class SeparationScores:
    """The tracks of one recording, or of several: ``leaked`` and ``spoken`` are the energies that leakage compares."""

    voices: tuple[VoiceScores, ...]
    leaked: float = 0.0
    spoken: float = 0.0

    @property
    def total(self) -> VoiceQuality | None:
        """The mean over voices, weighted by how long each speaks."""
        return _mean(voice.total for voice in self.voices if voice.total is not None)

    @property
    def overlap(self) -> VoiceQuality | None:
        """The mean over voices and overlaps, weighted by their length."""
        return _mean(quality for voice in self.voices for _, quality in voice.overlaps)

    @property
    def leakage(self) -> float | None:
        """Energy of all tracks while only another person speaks, in dB of that person's.

        None where no one speaks alone.
        """
        return decibel(self.leaked, self.spoken, SILENT, math.inf) if self.spoken > 0 else None


def pool_separation(scores: Iterable[SeparationScores]) -> SeparationScores:
    """Several recordings as one."""
    recordings = tuple(scores)
    return SeparationScores(
        tuple(voice for recording in recordings for voice in recording.voices),
        sum(recording.leaked for recording in recordings),
        sum(recording.spoken for recording in recordings),
    )


def score_separation(
    stems: Mapping[Speaker, Audio], tracks: Mapping[str, Audio], turns: Sequence[Turn], mixture: Audio | None = None
) -> SeparationScores:
    """Score tracks against the true voices. ``turns`` say who speaks when, in the stems' names.

    All audio begins at recording time 0 with one rate; shorter audio is padded with silence. Without a ``mixture`` the
    sum of the stems is the mixture. Tracks find their stems by the largest correlation, each at most one.
    """
    size = max((len(audio.samples) for audio in (*stems.values(), *tracks.values())), default=0)
    rate = next((audio.rate for audio in stems.values()), 16000)
    targets = {speaker: _padded(audio, size) for speaker, audio in stems.items()}
    estimates = {name: _padded(audio, size) for name, audio in tracks.items()}
    whole = _padded(mixture, size) if mixture is not None else np.asarray(sum(targets.values()), np.float32)
    names = _assign(targets, estimates)
    silence = np.zeros(size, np.float32)
    speech = timeline.by_speaker(turns)
    overlaps = [overlap for overlap in timeline.overlaps(turns) if overlap.span.duration >= SHORTEST]
    voices: list[VoiceScores] = []
    for speaker, target in targets.items():
        signals = (estimates.get(names.get(speaker, ""), silence), target, whole)
        qualities = [
            (overlap.span, voice_quality(*signals, _mask([overlap.span], rate, size), rate))
            for overlap in overlaps
            if speaker in overlap.speakers
        ]
        total = voice_quality(*signals, _mask(speech.get(speaker, ()), rate, size), rate)
        audible = tuple((span, quality) for span, quality in qualities if quality is not None)
        voices.append(VoiceScores(speaker, names.get(speaker), total, audible))
    leaked, spoken = _leakage(targets, {speaker: estimates[name] for speaker, name in names.items()}, turns, rate)
    return SeparationScores(tuple(voices), leaked, spoken)


def si_sdr(estimate: Signal, target: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, held within `WORST` and `BEST`.

    ``target`` must not be silent.
    """
    e, t = estimate.astype(np.float64), target.astype(np.float64)
    scaled = (np.dot(e, t) / np.dot(t, t)) * t
    return decibel(float(np.dot(scaled, scaled)), float(np.dot(e - scaled, e - scaled)), WORST, BEST)


def voice_quality(
    estimate: Signal, target: Signal, mixture: Signal, where: npt.NDArray[np.bool_], rate: int
) -> VoiceQuality | None:
    """SI-SDR and gain in the samples ``where`` (True) at ``rate`` Hz; None where the true voice is silent there."""
    if not np.any(target[where]):
        return None
    ratio = si_sdr(estimate[where], target[where])
    return VoiceQuality(np.count_nonzero(where) / rate, ratio, ratio - si_sdr(mixture[where], target[where]))


def decibel(power: float, reference: float, least: float, most: float) -> float:
    """``power`` in dB of ``reference``, held within ``least`` and ``most``.

    >>> decibel(1.0, 10.0, -100.0, 100.0)
    -10.0
    """
    if power <= 0:
        return least
    return most if reference <= 0 else min(max(10.0 * math.log10(power / reference), least), most)


def _mean(qualities: Iterable[VoiceQuality]) -> VoiceQuality | None:
    """The mean weighted by seconds; None for no time at all."""
    parts = tuple(qualities)
    seconds = sum(part.seconds for part in parts)
    if seconds <= 0:
        return None
    ratio = sum(part.seconds * part.si_sdr for part in parts) / seconds
    gain = sum(part.seconds * part.gain for part in parts) / seconds
    return VoiceQuality(seconds, ratio, gain)


def _padded(audio: Audio, size: int) -> Signal:
    samples = audio.samples[:size]
    return samples if len(samples) == size else np.concatenate([samples, np.zeros(size - len(samples), np.float32)])


def _mask(spans: Iterable[Span], rate: int, size: int) -> npt.NDArray[np.bool_]:
    """True in the samples inside the spans."""
    mask = np.zeros(size, np.bool_)
    for span in spans:
        mask[round(span.start * rate) : round(span.end * rate)] = True
    return mask


def _assign(targets: Mapping[Speaker, Signal], estimates: Mapping[str, Signal]) -> dict[Speaker, str]:
    """The name of each speaker's track: the assignment with the largest correlation.

    None where they do not correlate.
    """
    from scipy.optimize import linear_sum_assignment

    if not targets or not estimates:
        return {}
    speakers, names = list(targets), list(estimates)
    correlations = np.array(
        [[_correlation(targets[speaker], estimates[name]) for name in names] for speaker in speakers]
    )
    pairs = zip(*linear_sum_assignment(-correlations), strict=True)
    return {speakers[row]: names[column] for row, column in pairs if correlations[row, column] > 0}


def _correlation(a: Signal, b: Signal) -> float:
    norm = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return abs(float(np.dot(a, b))) / norm if norm > 0 else 0.0


def _leakage(
    targets: Mapping[Speaker, Signal], tracks: Mapping[Speaker, Signal], turns: Sequence[Turn], rate: int
) -> tuple[float, float]:
    """Energies where one speaker speaks alone: of the others' tracks, and of the own voice, once per other track."""
    leaked = spoken = 0.0
    for other, target in targets.items():
        where = _mask(timeline.alone(turns, other), rate, len(target))
        own = float(np.sum(np.square(target[where], dtype=np.float64)))
        for speaker, track in tracks.items():
            if speaker != other:
                leaked += float(np.sum(np.square(track[where], dtype=np.float64)))
                spoken += own
    return leaked, spoken
