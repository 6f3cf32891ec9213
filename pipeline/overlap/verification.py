"""Is a separated voice to be believed? What is played and what is flagged, decided on sound and time alone, never on words."""

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
"""The review reason of an overlap whose voices could not be had."""

DOUBTED = "low-speaker-margin"
"""The review reason of a voice that does not sound like its speaker, or of voices that do not sound like theirs together."""

LEAK = "possible-leak"
"""The review reason where a voice was taken for the other's residue and silenced, for that voice and for those who remain."""

CROWD = "three-voices"
"""The review reason where three or more speak at once: their voices come apart badly, if at all."""

MIN_VERIFY_SECONDS, MIN_VERIFY_SECONDS_MARGINAL = 1.0, 0.3
"""Seconds of voice from which an embedding is believed, and from which it says anything."""

FAINT, COVERED = -18.0, -10.0
"""dB below its speaker's usual level, and below the mixture, at which a voice is nobody's."""

FOREIGN, BESIDE = -0.1, -6.0
"""Margin, and dB below the mixture, at which a voice is the other person's."""

MOMENT = 0.4
"""Seconds over which a voice must be nobody's to be silenced for a moment."""

EDGE = 0.05
"""Seconds left at both ends of such a moment, fade included: first and last sounds of words are soft."""


@dataclass(frozen=True, slots=True)
class VerificationOptions:
    """What a separated voice has to pass.

    A name that the separator gives with a margin below ``threshold`` is not believed (None: any is). ``verifier`` compares
    voices of ``telling`` seconds and more with their speakers' clean speech: where the mean margin of a mixture's voices is
    below ``threshold``, taking apart did not help and the recording is played for all; one voice alone below it is played,
    because the recording would hold the other's words as well, and flagged. ``leakage`` silences a voice that is the
    other's residue, altogether or for a moment.
    """

    threshold: float | None = 0.05
    verifier: Verifier | None = None
    leakage: bool = False
    telling: float = MIN_VERIFY_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class VoiceDecision:
    """What came of one speaker's voice in one region: ``audio`` is None where the recording is played."""

    audio: Audio | None
    margin: float | None = None
    review: tuple[str, ...] = ()
    source: Source = "mixture"


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a voice is wanted: its level in dB of the mixture's there, and of the speaker's clean speech, if there is any."""

    covered: float
    faint: float | None


def decide(
    voices: Mapping[Speaker, Voice],
    mixture: Audio,
    region: Region,
    enrollment: Mapping[Speaker, Sequence[Audio]],
    *,
    gates: VerificationOptions,
    on_event: EventListener = ignore_events,
) -> dict[Speaker, VoiceDecision]:
    """What is played for each speaker of the region.

    A voice is played only if it is finite, says something the mixture does not say as well, and passes the gates;
    otherwise the recording is, and ``review`` says why. A voice that is the other's residue is silent. Where that leaves
    one voice, the recording is that voice: nothing was taken apart that would have to be.
    """
    verified = _verified(voices, region, enrollment, gates)
    margins = {speaker: verified.get(speaker, voices[speaker].margin) for speaker in region.speakers}
    if _unhelpful([margin for margin in verified.values() if margin is not None], gates.threshold):
        return {speaker: VoiceDecision(None, margin, (DOUBTED,)) for speaker, margin in margins.items()}
    verdicts: dict[Speaker, VoiceDecision] = {}
    for speaker in region.speakers:
        voice, wanted = voices[speaker].audio, _together(region, speaker)
        margin = margins[speaker]
        if not np.isfinite(voice.samples).all():
            on_event(
                Notice(
                    f"a voice at {mixture.start:.2f} s came back with samples that are no numbers: recording kept",
                    "separate",
                )
            )
            verdicts[speaker] = VoiceDecision(None, margin, (UNRESOLVED,))
        elif _untouched(voice, mixture, wanted) or (_sounds(mixture, wanted) and not _sounds(voice, wanted)):
            verdicts[speaker] = VoiceDecision(None, margin, (UNRESOLVED,))
        elif gates.leakage and wanted and is_leakage(levels(voice, mixture, wanted, enrollment[speaker]), margin):
            verdicts[speaker] = VoiceDecision(voice.replaced(np.zeros_like(voice.samples)), margin, (LEAK,), "silent")
        elif speaker not in verified and _below(margin, gates.threshold):
            verdicts[speaker] = VoiceDecision(
                None, margin, (UNRESOLVED if margin is not None and math.isnan(margin) else DOUBTED,)
            )
        else:
            played = mute_leakage(voice, mixture, enrollment[speaker]) if gates.leakage else voice
            doubts = ((DOUBTED,) if _below(margin, gates.threshold) else ()) + (
                (CROWD,) if len(region.speakers) > 2 else ()
            )
            verdicts[speaker] = VoiceDecision(played, margin, doubts, "separated")
    return _settled(verdicts)


def _together(region: Region, speaker: Speaker) -> Sequence[Piece]:
    """Where the speaker's voice is wanted while everybody speaks, if they ever do: what reaches beyond an edge proves nothing."""
    wanted = region.wanted(speaker)
    return [piece for piece in wanted if piece[1] == region.speakers] or wanted


def levels(voice: Audio, mixture: Audio, wanted: Sequence[Piece], clean: Sequence[Audio]) -> Levels:
    """How loud the voice is where it is wanted; -inf where it is silent, 0 where there is nothing to be heard at all."""
    own = _power([voice.crop(span) for span, _ in wanted])
    usual = _power(clean)
    return Levels(
        _decibel(own, _power([mixture.crop(span) for span, _ in wanted])), _decibel(own, usual) if usual else None
    )


def is_leakage(found: Levels, margin: float | None) -> bool:
    """Whether a voice is what a separator left of somebody else.

    It is, where it is far below both the mixture and what its speaker's voice usually is, or is below the mixture and
    sounds like the other person. Somebody who speaks softly into a loud voice is neither.
    """
    faint = found.faint is not None and found.faint <= FAINT and found.covered <= COVERED
    return faint or (margin is not None and margin <= FOREIGN and found.covered <= BESIDE)


def mute_leakage(voice: Audio, mixture: Audio, clean: Sequence[Audio]) -> Audio:
    """The voice without the moments in which it is nobody's for `MOMENT` or longer: silent there but for `EDGE`, with fades.

    The speaker pauses or the turn reaches too far, and the other is still heard. Where nothing is known of the
    speaker's usual level the voice stays as it is.
    """
    usual, size = _power(clean), round(MOMENT * voice.rate)
    if not usual or len(voice.samples) < size:
        return voice
    own, whole = (_running(audio.samples, size) for audio in (voice, mixture))
    nobody_speaks = (own <= usual * 10 ** (FAINT / 10)) & (own <= whole * 10 ** (COVERED / 10))
    gag = np.zeros(len(voice.samples) + 1)
    starts = np.flatnonzero(nobody_speaks)
    if not len(starts):
        return voice
    edge = round(EDGE * voice.rate)
    np.add.at(gag, starts + edge, 1.0)
    np.add.at(gag, starts + size - edge, -1.0)
    open_ = (np.cumsum(gag[:-1]) == 0).astype(np.float64)
    fade = round(FADE * voice.rate)
    weight = np.convolve(np.pad(open_, fade, mode="edge"), np.ones(2 * fade + 1) / (2 * fade + 1), "valid")
    return voice.replaced((voice.samples * weight).astype(np.float32))


def _settled(verdicts: dict[Speaker, VoiceDecision]) -> dict[Speaker, VoiceDecision]:
    """Where one voice is left, the recording is that voice. Where none is, the gate has misjudged them all."""
    silent = [speaker for speaker, verdict in verdicts.items() if verdict.source == "silent"]
    left = [speaker for speaker in verdicts if speaker not in silent]
    if not silent:
        return verdicts
    if not left:
        return {speaker: VoiceDecision(None, verdict.margin, (UNRESOLVED,)) for speaker, verdict in verdicts.items()}
    alone = len(left) == 1
    marked = {
        speaker: VoiceDecision(
            None if alone else verdict.audio, verdict.margin, (LEAK,), "mixture" if alone else verdict.source
        )
        for speaker, verdict in verdicts.items()
        if speaker in left
    }
    return verdicts | marked


def _verified(
    voices: Mapping[Speaker, Voice],
    region: Region,
    enrollment: Mapping[Speaker, Sequence[Audio]],
    gates: VerificationOptions,
) -> Mapping[Speaker, float | None]:
    """Margins of the voices that the separator named without one, where they are long enough to tell."""
    if gates.verifier is None:
        return {}
    asked: dict[Speaker, Audio] = {}
    for speaker in region.speakers:
        wanted, voice = _together(region, speaker), voices[speaker]
        long = sum(span.duration for span, _ in wanted) >= gates.telling
        if voice.margin is None and long and np.isfinite(voice.audio.samples).all():
            asked[speaker] = voice.audio.crop(Span(wanted[0][0].start, wanted[-1][0].end))
    return gates.verifier.margins(asked, enrollment) if asked else {}


def _below(margin: float | None, threshold: float | None) -> bool:
    return margin is not None and threshold is not None and not margin >= threshold


def _unhelpful(margins: Sequence[float], threshold: float | None) -> bool:
    return threshold is not None and len(margins) > 1 and sum(margins) / len(margins) < threshold


def _untouched(voice: Audio, mixture: Audio, wanted: Sequence[Piece]) -> bool:
    return any(len(active) > 1 for _, active in wanted) and np.array_equal(voice.samples, mixture.samples)


def _sounds(audio: Audio, pieces: Sequence[Piece]) -> bool:
    return any(audio.crop(span).samples.any() for span, _ in pieces)


def _running(samples: Samples, size: int) -> npt.NDArray[np.float64]:
    """Mean power of every window of ``size`` samples."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return np.asarray((sums[size:] - sums[:-size]) / size)


def _power(clips: Sequence[Audio]) -> float:
    count = sum(len(clip.samples) for clip in clips)
    return sum(float(np.sum(np.square(clip.samples, dtype=np.float64))) for clip in clips) / count if count else 0.0


def _decibel(power: float, reference: float) -> float:
    if reference <= 0.0:
        return 0.0
    return 10.0 * math.log10(power / reference) if power > 0.0 else -math.inf
