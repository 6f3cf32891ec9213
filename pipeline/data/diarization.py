"""Who speaks when, and each person's stream of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from meetsplit.pipeline.data.audio import Audio, Span

Speaker: TypeAlias = str
"""A stable label, never a person's name: ``SPEAKER_00``, ``SPEAKER_01``…, numbered in order of first speech where speakers were
found; a label of this kind that an RTTM file gives is kept."""

Source: TypeAlias = Literal["mixture", "separated", "silent"]
"""What is heard of somebody: the recording, a separated voice, or nothing, because that voice was another's residue."""


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One speaker speaks during ``span``. Turns of different speakers may overlap."""

    span: Span
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who speaks when in a recording of ``duration`` seconds; ``names`` are people's names by label, where known.

    ``channels`` says whose channel is which (0 is the first), where everybody has one.
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
    """One person's estimated sound out of a mixture.

    ``margin`` says how sure the name is: the cosine similarity of the voice to its own speaker minus that to the
    best other candidate, about -1 to 1; None where nothing was compared.
    """

    audio: Audio
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class OverlapResult:
    """What a stream plays during ``span``, where separation was asked for.

    ``speakers`` are those who speak during it, sorted. ``source`` says whether a separated voice is played, or the
    recording itself because the voice could not be had, was not believed or not needed, or nothing because it was
    somebody else's residue; the ``review`` reasons say why. ``margin`` is the voice's (see `Voice`), kept for refused
    voices as well.
    """

    span: Span
    speakers: tuple[Speaker, ...]
    source: Source
    margin: float | None = None
    review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stretch of a speaker's stream without its sound: everything that outlives the sound."""

    speaker: Speaker
    span: Span
    turns: tuple[Span, ...]
    patches: tuple[OverlapResult, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether nothing of the speaker is heard: every turn lies where the voice was silenced as somebody else's residue."""
        silenced = [patch.span for patch in self.patches if patch.source == "silent"]
        return bool(silenced) and all(
            any(gag.start <= turn.start and turn.end <= gag.end for gag in silenced) for turn in self.turns
        )


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One stretch of one speaker's stream: the recording where the person speaks alone, voices where not.

    ``audio`` is what the transcriber hears and the track plays; ``turns`` are the speaker's own turns inside it, and
    no other stretch has them. ``patches`` are sorted and share no time; they may touch. Two stretches of one speaker
    share time only where a long turn was cut; there they sound the same.
    """

    speaker: Speaker
    audio: Audio
    turns: tuple[Span, ...]
    patches: tuple[OverlapResult, ...] = ()

    @property
    def span(self) -> Span:
        """Where it lies, padding included."""
        return self.audio.span

    @property
    def outline(self) -> StreamInfo:
        """The same without the sound."""
        return StreamInfo(self.speaker, self.audio.span, self.turns, self.patches)
