"""Sessions: the words and turns of one recording, as reference or hypothesis, whatever file they came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from meetsplit.pipeline.data import Span, Speaker, Turn, Word, timeline

ONE_SPEAKER = "SPEAKER_00"
"""The label of a transcript without speakers."""


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
    """The utterances and turns of one recording.

    ``utterances`` are sorted by start. ``turns`` are sorted, and one speaker's turns neither overlap nor touch.
    ``has_words`` is False for a file that can only hold turns (RTTM), so that an empty transcript (every word is
    missing) differs from one that says nothing about words. ``source`` names the file, or two joined by `combine`,
    for messages.
    """

    recording: str
    source: str
    utterances: tuple[Utterance, ...]
    turns: tuple[Turn, ...]
    has_words: bool
    language: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The file that the session was read from; of two, that with the words."""
        return Path(self.source.split(" + ")[0])

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
    as_written = tuple(utterances)
    ordered = tuple(sorted(as_written, key=lambda utterance: utterance.span.start))
    all_notices = tuple(notices)
    if ordered != as_written:
        all_notices += (f"{source}: the segments are not sorted by start; they are scored sorted",)
    if turns is None:
        turns = (Turn(u.span, u.speaker) for u in ordered if u.text.strip())
    return Session(recording, source, ordered, timeline.merge_turns(turns), True, language, all_notices)


def empty_session(recording: str, has_words: bool) -> Session:
    """The session of a missing hypothesis: without any words or turns."""
    return Session(recording, "(missing)", (), (), has_words)


def combine(words: Session, turns: Session) -> Session:
    """One recording's words from one file and its turns from another."""
    return replace(
        words, source=f"{words.source} + {turns.source}", turns=turns.turns, notices=words.notices + turns.notices
    )


def restrict_to_uem(session: Session, uem: tuple[Span, ...]) -> Session:
    """Only the utterances that share time with the stretches of the UEM, whole, as ``meeteval-wer --uem`` keeps them.

    Turns stay as they are: the diarization error rate is cropped exactly where it is counted.
    """
    inside = tuple(
        u for u in session.utterances if any(span.start <= u.span.end and u.span.start <= span.end for span in uem)
    )
    return replace(session, utterances=inside)
