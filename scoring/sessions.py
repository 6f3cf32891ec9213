"""What is compared? One session of who said what in one recording: a hypothesis or a reference, whatever file it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from meetsplit.pipeline.data import Span, Speaker, Transcript, Turn, Word, timeline

ONE_SPEAKER = "SPEAKER_00"
"""The label of a transcript that knows no speakers."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One speaker's words in one stretch of time.

    ``text`` is the text as written in the file; ``words`` has a time for every word of it where the file gives any,
    and is empty where only the whole stretch has times.
    """

    span: Span
    speaker: Speaker
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Who said what in one recording, and who spoke when.

    ``utterances`` are sorted by start. ``turns`` are sorted, and one speaker's turns neither overlap nor touch: nobody
    speaks twice at once. ``has_words`` is False for a file that can only hold turns (RTTM), so that an empty transcript
    (every word is missing) differs from one that says nothing about words. ``source`` names the file for messages.
    """

    recording: str
    source: str
    utterances: tuple[Utterance, ...]
    turns: tuple[Turn, ...]
    has_words: bool
    language: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Everybody with a turn or an utterance, sorted."""
        return tuple(sorted({turn.speaker for turn in self.turns} | {u.speaker for u in self.utterances}))

    @property
    def timed(self) -> bool:
        """Whether every utterance with text has a time for each word."""
        return any(u.words for u in self.utterances) and all(u.words or not u.text.strip() for u in self.utterances)


def make_session(
    recording: str,
    source: str,
    utterances: Iterable[Utterance],
    *,
    turns: Iterable[Turn] | None = None,
    language: str | None = None,
    notices: Iterable[str] = (),
) -> Session:
    """A transcript's session: sorted, and with the utterances as turns where no ``turns`` are given."""
    given = tuple(utterances)
    ordered = tuple(sorted(given, key=lambda utterance: utterance.span.start))
    told = tuple(notices)
    if ordered != given:
        told += (f"{source}: the segments are not sorted by start; they are scored sorted",)
    spoken = (Turn(u.span, u.speaker) for u in ordered if u.text.strip()) if turns is None else turns
    return Session(recording, source, ordered, merged(spoken), True, language, told)


def from_transcript(transcript: Transcript) -> Session:
    """What a run heard, without going through a file: the same session as its JSON gives."""
    utterances = [
        Utterance(segment.span, segment.speaker, segment.text, segment.words) for segment in transcript.segments
    ]
    return make_session(
        transcript.recording, transcript.recording, utterances, turns=transcript.turns, language=transcript.language
    )


def from_turns(recording: str, turns: Iterable[Turn]) -> Session:
    """Who spoke when, and nothing about words: the same session as an RTTM file gives."""
    return Session(recording, recording, (), merged(turns), has_words=False)


def merged(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with each speaker's overlapping or touching ones joined, sorted; empty ones are dropped.

    >>> merged([Turn(Span(1, 2), "A"), Turn(Span(0, 1), "A")])
    (Turn(span=Span(start=0, end=2), speaker='A'),)
    """
    return tuple(sorted(Turn(span, speaker) for speaker, spans in timeline.by_speaker(turns).items() for span in spans))


def silent(recording: str, has_words: bool) -> Session:
    """The session without any words: what a missing hypothesis is scored as."""
    return Session(recording, "(missing)", (), (), has_words)


def together(words: Session, turns: Session) -> Session:
    """One recording's words from one file and its turns from another."""
    return replace(
        words, source=f"{words.source} + {turns.source}", turns=turns.turns, notices=words.notices + turns.notices
    )


def within(given: Session, scored: tuple[Span, ...]) -> Session:
    """Only the utterances that share time with the ``scored`` stretches, whole, as ``meeteval-wer --uem`` keeps them.

    Turns stay as they are: the diarization error rate is cropped exactly where it is counted.
    """
    kept = tuple(
        u for u in given.utterances if any(span.start <= u.span.end and u.span.start <= span.end for span in scored)
    )
    return replace(given, utterances=kept)
