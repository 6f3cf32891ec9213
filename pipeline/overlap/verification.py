"""Verification of separated voices: what is played and what is flagged, decided on sound and time, never on words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.crossfade import FADE
from meetsplit.pipeline.data import Audio, Samples, Source, Span, Speaker, Voice
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.overlap.regions import Piece, Region
from meetsplit.pipeline.protocols import Verifier

UNRESOLVED = "overlap-unresolved"
"""The review reason of an overlap whose voices could not be separated."""

LOW_MARGIN = "low-speaker-margin"
"""The review reason of a voice that does not sound like its speaker, or of voices that do not on average."""

POSSIBLE_LEAK = "possible-leak"
"""The review reason where a voice was taken for leakage and silenced, for that voice and for those who remain."""

THREE_VOICES = "three-voices"
"""The review reason where three or more speak at once: their voices separate badly, if at all."""

MIN_VERIFY_SECONDS, MIN_VERIFY_SECONDS_MARGINAL = 1.0, 0.3
"""Seconds of voice from which an embedding is believed, and from which it says anything."""

MAX_LEAKAGE_TO_ENROLLMENT, MAX_LEAKAGE_TO_MIXTURE = -18.0, -10.0
"""dB relative to the speaker's usual level and to the mixture: a voice below both is leakage."""

FOREIGN_MARGIN, MAX_FOREIGN_TO_MIXTURE = -0.1, -6.0
"""Margin, and dB relative to the mixture: a voice below both is another speaker's."""

MUTE_WINDOW = 0.4
"""Seconds over which a voice must be leakage to be muted for a moment."""

MUTE_EDGE = 0.05
"""Seconds left at both ends of a muted moment, fade included: first and last sounds of words are soft."""


@dataclass(frozen=True, slots=True)
class VerificationOptions:
    """What a separated voice has to pass.

    A name that the separator gives with a margin below ``threshold`` is not believed (None: any is). ``verifier``
    compares voices of ``min_seconds`` and more with their speakers' clean speech: where the mean margin of a mixture's
    voices is below ``threshold``, separation did not help and the recording is played for all; one voice alone below
    it is played, because the recording would hold the other's words as well, and flagged. ``leakage`` mutes a voice
    that is leakage, altogether or for a moment.
    """

    threshold: float | None = 0.05
    verifier: Verifier | None = None
    leakage: bool = False
    min_seconds: float = MIN_VERIFY_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class VoiceDecision:
    """What is played of one speaker in one region: ``audio`` is None where the recording is."""

    audio: Audio | None
    margin: float | None = None
    review: tuple[str, ...] = ()
    source: Source = "mixture"


@dataclass(frozen=True, slots=True)
class VoiceLevels:
    """A voice's level in dB relative to the mixture, and to the speaker's enrollment, where there is any."""

    to_mixture: float
    to_enrollment: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A separated voice with what it is judged by.

    ``pieces`` are where its level is measured. ``verified`` says that ``margin`` comes from the verifier, not from the
    separator; ``crowd`` that three or more speak in its region.
    """

    voice: Audio
    mixture: Audio
    pieces: Sequence[Piece]
    enrollment: Sequence[Audio]
    margin: float | None
    verified: bool
    crowd: bool


def decide(
    voices: Mapping[Speaker, Voice],
    mixture: Audio,
    region: Region,
    enrollment: Mapping[Speaker, Sequence[Audio]],
    *,
    options: VerificationOptions,
    on_event: EventListener = ignore_events,
) -> dict[Speaker, VoiceDecision]:
    """What is played of each speaker of the region; the first row that applies:

    ==========================================================  =========  ====================================
    condition                                                   played     review reason
    ==========================================================  =========  ====================================
    the mean of the verifier's margins is below the threshold   recording  low-speaker-margin, for all
    the voice has samples that are not finite                   recording  overlap-unresolved
    it is the unchanged mixture, or silent where that is not    recording  overlap-unresolved
    it is leakage                                               silence    possible-leak
    there is a threshold and the separator's margin is NaN      recording  overlap-unresolved
    the separator's margin is below the threshold               recording  low-speaker-margin
    otherwise                                                   voice      low-speaker-margin, if the verifier's
                                                                           margin is below the threshold;
                                                                           three-voices, if they are
    ==========================================================  =========  ====================================

    Where silence leaves one voice, the recording is that voice; where it leaves none, all get the recording.
    """
    verified = _verify(voices, region, enrollment, options)
    margins = {speaker: verified.get(speaker, voices[speaker].margin) for speaker in region.speakers}
    if _separation_failed(verified, options.threshold):
        return {speaker: VoiceDecision(None, margin, (LOW_MARGIN,)) for speaker, margin in margins.items()}
    decisions: dict[Speaker, VoiceDecision] = {}
    for speaker in region.speakers:
        candidate = _Candidate(
            voices[speaker].audio,
            mixture,
            _shared_pieces(region, speaker),
            enrollment[speaker],
            margins[speaker],
            speaker in verified,
            len(region.speakers) > 2,
        )
        if not np.isfinite(candidate.voice.samples).all():
            text = f"a voice at {mixture.start:.2f} s came back with samples that are no numbers: recording kept"
            on_event(Notice(text, "separate"))
            decisions[speaker] = VoiceDecision(None, margins[speaker], (UNRESOLVED,))
        else:
            decisions[speaker] = _decide_voice(candidate, options)
    return _with_recording_for_last_voice(decisions)


def _decide_voice(candidate: _Candidate, options: VerificationOptions) -> VoiceDecision:
    """The rows of `decide` about one voice, after that on finite samples."""
    voice, mixture, margin = candidate.voice, candidate.mixture, candidate.margin
    if _is_unseparated(candidate):
        return VoiceDecision(None, margin, (UNRESOLVED,))
    if options.leakage and candidate.pieces:
        levels = voice_levels(voice, mixture, candidate.pieces, candidate.enrollment)
        if is_leakage(levels, margin):
            return VoiceDecision(voice.replaced(np.zeros_like(voice.samples)), margin, (POSSIBLE_LEAK,), "silent")
    doubtful = _is_below(margin, options.threshold)
    if doubtful and not candidate.verified:
        unknown = margin is not None and math.isnan(margin)
        return VoiceDecision(None, margin, (UNRESOLVED if unknown else LOW_MARGIN,))
    review: list[str] = []
    if doubtful:
        review.append(LOW_MARGIN)
    if candidate.crowd:
        review.append(THREE_VOICES)
    audio = mute_leakage(voice, mixture, candidate.enrollment) if options.leakage else voice
    return VoiceDecision(audio, margin, tuple(review), "separated")


def _with_recording_for_last_voice(decisions: dict[Speaker, VoiceDecision]) -> dict[Speaker, VoiceDecision]:
    """Where voices were silenced: the recording for the last one left, or for all where none is left."""
    audible = [speaker for speaker, decision in decisions.items() if decision.source != "silent"]
    if len(audible) == len(decisions):
        return decisions
    if not audible:  # the check has misjudged them all
        return {speaker: VoiceDecision(None, decision.margin, (UNRESOLVED,)) for speaker, decision in decisions.items()}
    resolved = dict(decisions)
    for speaker in audible:
        decision = decisions[speaker]
        if len(audible) == 1:
            resolved[speaker] = VoiceDecision(None, decision.margin, (POSSIBLE_LEAK,))
        else:
            resolved[speaker] = VoiceDecision(decision.audio, decision.margin, (POSSIBLE_LEAK,), decision.source)
    return resolved


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


def _verify(
    voices: Mapping[Speaker, Voice],
    region: Region,
    enrollment: Mapping[Speaker, Sequence[Audio]],
    options: VerificationOptions,
) -> Mapping[Speaker, float | None]:
    """The verifier's margins of the voices that the separator named without one, where they are long enough."""
    if options.verifier is None:
        return {}
    clips: dict[Speaker, Audio] = {}
    for speaker in region.speakers:
        pieces, voice = _shared_pieces(region, speaker), voices[speaker]
        long_enough = sum(piece.span.duration for piece in pieces) >= options.min_seconds
        if voice.margin is None and long_enough and np.isfinite(voice.audio.samples).all():
            clips[speaker] = voice.audio.crop(Span(pieces[0].span.start, pieces[-1].span.end))
    return options.verifier.margins(clips, enrollment) if clips else {}


def _separation_failed(verified: Mapping[Speaker, float | None], threshold: float | None) -> bool:
    """Whether two or more voices have margins whose mean is below the threshold."""
    margins = [margin for margin in verified.values() if margin is not None]
    return threshold is not None and len(margins) > 1 and sum(margins) / len(margins) < threshold


def _shared_pieces(region: Region, speaker: Speaker) -> Sequence[Piece]:
    """The speaker's pieces in which all speakers of the region are active, else all: extensions prove nothing."""
    pieces = region.pieces_of(speaker)
    return [piece for piece in pieces if piece.speakers == region.speakers] or pieces


def _is_below(margin: float | None, threshold: float | None) -> bool:
    """Whether a margin is below the threshold, or NaN."""
    return margin is not None and threshold is not None and not margin >= threshold


def _is_unseparated(candidate: _Candidate) -> bool:
    """Whether the voice is the unchanged mixture, or silent where the mixture is not."""
    overlapped = any(len(piece.speakers) > 1 for piece in candidate.pieces)
    if overlapped and np.array_equal(candidate.voice.samples, candidate.mixture.samples):
        return True
    return _has_sound(candidate.mixture, candidate.pieces) and not _has_sound(candidate.voice, candidate.pieces)


def _has_sound(audio: Audio, pieces: Sequence[Piece]) -> bool:
    return any(audio.crop(piece.span).samples.any() for piece in pieces)


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
