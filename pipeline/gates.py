"""Is a separated voice to be believed? What is played and what is flagged, decided on sound and time alone, never on words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Source, Span, Speaker, Voice
from meetsplit.pipeline.events import Noticed, Tell, nobody
from meetsplit.pipeline.plan import Piece, Region
from meetsplit.pipeline.stages import Verifier

UNRESOLVED = "overlap-unresolved"
"""The review reason of an overlap whose voices could not be had."""

DOUBTED = "low-speaker-margin"
"""The review reason of a voice that does not sound like its speaker; the recording is played."""

LEAK = "possible-leak"
"""The review reason where a voice was taken for the other's residue and silenced, for that voice and for those who remain."""

TELLING = 1.0
"""Seconds of voice below which an embedding says too little to refuse it."""

FAINT = -25.0
"""dB below its speaker's usual level, and `COVERED` below the mixture, at which a voice is nobody's."""

COVERED = -15.0
"""dB below the mixture: what a separator leaves of one voice in another's place."""

FOREIGN = -0.1
"""Margin at which a voice that is `COVERED` sounds like the other person."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a separated voice has to pass.

    ``verifier`` compares it with its speaker's clean speech; a margin below ``threshold`` is not believed (None: any is).
    ``leakage`` silences a voice that is the other's residue.
    """

    threshold: float | None = 0.05
    verifier: Verifier | None = None
    leakage: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
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


def judge(
    voices: Mapping[Speaker, Voice],
    mixture: Audio,
    region: Region,
    known: Mapping[Speaker, Sequence[Audio]],
    *,
    gates: Gates,
    tell: Tell = nobody,
) -> dict[Speaker, Verdict]:
    """What is played for each speaker of the region.

    A voice is played only if it is finite, says something the mixture does not say as well, and passes the gates;
    otherwise the recording is, and ``review`` says why. A voice that is the other's residue is silent. Where that leaves
    one voice, the recording is that voice: nothing was taken apart that would have to be.
    """
    margins = _margins(voices, region, known, gates)
    verdicts: dict[Speaker, Verdict] = {}
    for speaker in region.speakers:
        voice, wanted = voices[speaker].audio, region.wanted(speaker)
        margin = margins[speaker]
        if not np.isfinite(voice.samples).all():
            tell(Noticed(f"a voice at {mixture.start:.2f} s came back with samples that are no numbers: recording kept", "separate"))
            verdicts[speaker] = Verdict(None, margin, (UNRESOLVED,))
        elif _untouched(voice, mixture, wanted) or (_sounds(mixture, wanted) and not _sounds(voice, wanted)):
            verdicts[speaker] = Verdict(None, margin, (UNRESOLVED,))
        elif gates.leakage and wanted and residue(levels(voice, mixture, wanted, known[speaker]), margin):
            verdicts[speaker] = Verdict(voice.replaced(np.zeros_like(voice.samples)), margin, (LEAK,), "silent")
        elif margin is not None and gates.threshold is not None and not margin >= gates.threshold:
            verdicts[speaker] = Verdict(None, margin, (UNRESOLVED if math.isnan(margin) else DOUBTED,))
        else:
            verdicts[speaker] = Verdict(voice, margin, (), "separated")
    return _settled(verdicts)


def levels(voice: Audio, mixture: Audio, wanted: Sequence[Piece], clean: Sequence[Audio]) -> Levels:
    """How loud the voice is where it is wanted; -inf where it is silent."""
    own = _power([voice.crop(span) for span, _ in wanted])
    usual = _power(clean)
    return Levels(_decibel(own, _power([mixture.crop(span) for span, _ in wanted])), _decibel(own, usual) if usual else None)


def residue(found: Levels, margin: float | None) -> bool:
    """Whether a voice is what a separator left of somebody else.

    It is, where it is far below the mixture, and either far below what its speaker's voice usually is as well, or sounds
    like the other person. Somebody who really speaks, softly and into a loud voice, is neither.
    """
    if found.covered > COVERED:
        return False
    return (found.faint is not None and found.faint <= FAINT) or (margin is not None and margin <= FOREIGN)


def _settled(verdicts: dict[Speaker, Verdict]) -> dict[Speaker, Verdict]:
    """Where one voice is left, the recording is that voice. Where none is, the gate has misjudged them all."""
    silent = [speaker for speaker, verdict in verdicts.items() if verdict.source == "silent"]
    left = [speaker for speaker in verdicts if speaker not in silent]
    if not silent:
        return verdicts
    if not left:
        return {speaker: Verdict(None, verdict.margin, (UNRESOLVED,)) for speaker, verdict in verdicts.items()}
    alone = len(left) == 1
    marked = {
        speaker: Verdict(None if alone else verdict.audio, verdict.margin, (LEAK,), "mixture" if alone else verdict.source)
        for speaker, verdict in verdicts.items()
        if speaker in left
    }
    return verdicts | marked


def _margins(
    voices: Mapping[Speaker, Voice], region: Region, known: Mapping[Speaker, Sequence[Audio]], gates: Gates
) -> dict[Speaker, float | None]:
    """The separator's own margins, and the verifier's where that one has none and the voice is long enough to tell."""
    margins = {speaker: voices[speaker].margin for speaker in region.speakers}
    if gates.verifier is None:
        return margins
    asked: dict[Speaker, Audio] = {}
    for speaker, margin in margins.items():
        wanted = region.wanted(speaker)
        sound = voices[speaker].audio
        if margin is None and sum(span.duration for span, _ in wanted) >= TELLING and np.isfinite(sound.samples).all():
            asked[speaker] = sound.crop(Span(wanted[0][0].start, wanted[-1][0].end))
    return {**margins, **gates.verifier.margins(asked, known)} if asked else margins


def _untouched(voice: Audio, mixture: Audio, wanted: Sequence[Piece]) -> bool:
    return any(len(active) > 1 for _, active in wanted) and np.array_equal(voice.samples, mixture.samples)


def _sounds(audio: Audio, pieces: Sequence[Piece]) -> bool:
    return any(audio.crop(span).samples.any() for span, _ in pieces)


def _power(clips: Sequence[Audio]) -> float:
    count = sum(len(clip.samples) for clip in clips)
    return sum(float(np.sum(np.square(clip.samples, dtype=np.float64))) for clip in clips) / count if count else 0.0


def _decibel(power: float, reference: float) -> float:
    return 10.0 * math.log10(power / reference) if power > 0.0 and reference > 0.0 else -math.inf if power == 0.0 else math.inf
