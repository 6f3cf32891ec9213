"""Verification of separated voices: whether each is played, silenced or replaced by the recording, and what is flagged.

Decided on sound and time, never on words. Leakage itself is measured and muted in `leakage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Source, Span, Speaker, Voice
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.overlap.leakage import is_leakage, mute_leakage, voice_levels
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
