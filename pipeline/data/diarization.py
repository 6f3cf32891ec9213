"""Speaker turns, overlaps, separated voices, and one stream of audio per speaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from meetsplit.pipeline.data.audio import Audio, HasSpan, Span

Speaker: TypeAlias = str
"""A stable label, never a person's name: ``SPEAKER_00``, ``SPEAKER_01``…, numbered in order of first speech.

Labels of this kind in an RTTM file are kept."""

Source: TypeAlias = Literal["mixture", "separated", "silent"]
"""Where a speaker's audio comes from: the recording, a separated voice, or silence in place of mere leakage."""


@dataclass(frozen=True, slots=True, order=True)
class Turn(HasSpan):
    """Speech of one speaker during ``span``. Turns of different speakers may overlap.

    ``confidence`` is the share of it, from 0 to 1, that is likely this speaker's; None where the diarizer does not say.
    It makes no two turns different.
    """

    span: Span
    speaker: Speaker
    confidence: float | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who speaks when in a recording of ``duration`` seconds; ``names`` are people's names by label, where known.

    ``channels`` are the speakers' channel numbers (0 is the first) where every speaker has one.
    """

    duration: float
    turns: tuple[Turn, ...]
    names: tuple[tuple[Speaker, str], ...] = ()
    channels: tuple[tuple[Speaker, int], ...] = ()

    @property
    def span(self) -> Span:
        """The whole recording."""
        return Span(0.0, self.duration)


@dataclass(frozen=True, slots=True, order=True)
class Overlap:
    """A stretch in which the same two or more ``speakers`` (sorted) speak at once."""

    span: Span
    speakers: tuple[Speaker, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """One speaker's estimated audio from a mixture.

    ``margin`` is the confidence of the assignment to a speaker: the cosine similarity of the voice to its own speaker
    minus that to the best other candidate, about -1 to 1; None where nothing was compared.
    """

    audio: Audio
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class OverlapResult:
    """The outcome of separation for one stream during ``span``.

    ``speakers`` are those who speak during it, sorted. ``source`` says whether the stream plays a separated voice, or
    the recording itself because the voice could not be had, was not believed or not needed, or silence because it was
    mere leakage; the ``review`` reasons say why. ``margin`` is the voice's (see `Voice`), kept for refused voices as
    well.
    """

    span: Span
    speakers: tuple[Speaker, ...]
    source: Source
    margin: float | None = None
    review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stretch of a speaker's stream without its audio: what is kept once the track is written."""

    speaker: Speaker
    span: Span
    turns: tuple[Span, ...]
    patches: tuple[OverlapResult, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether every turn lies where the voice was muted as leakage."""
        muted = [patch.span for patch in self.patches if patch.source == "silent"]
        return bool(muted) and all(
            any(span.start <= turn.start and turn.end <= span.end for span in muted) for turn in self.turns
        )


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One stretch of one speaker's stream: the recording where only that speaker speaks, separated voices in overlaps.

    ``audio`` goes to the transcriber and into the track; ``turns`` are the speaker's own turns inside it, and
    no other stretch has them. ``patches`` are sorted and share no time; they may touch. Two stretches of one speaker
    share time only where a long turn was cut; there their samples are the same.
    """

    speaker: Speaker
    audio: Audio
    turns: tuple[Span, ...]
    patches: tuple[OverlapResult, ...] = ()

    @property
    def span(self) -> Span:
        """The stretch on the recording's clock, padding included."""
        return self.audio.span

    @property
    def info(self) -> StreamInfo:
        """The same without the audio."""
        return StreamInfo(self.speaker, self.audio.span, self.turns, self.patches)
