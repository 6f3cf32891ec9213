"""Did a backend keep its stage's promise? Checked once, where its answer comes in; whatever follows may rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meetsplit.pipeline.data import Audio, Heard, Span, Turn
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.stages import Separator

_SLACK = 0.05


def checked_turns(turns: Sequence[Turn], recording: Audio) -> tuple[Turn, ...]:
    """The turns, if they are sorted and inside the recording; otherwise `BrokenPromise`."""
    if list(turns) != sorted(turns):
        raise BrokenPromise("diarize", "the diarizer's turns are not sorted by start")
    late = next((turn for turn in turns if turn.span.end > recording.span.end + _SLACK), None)
    if late is not None:
        raise BrokenPromise("diarize", f"the diarizer's turn at {late.span.start:.2f} s ends after the recording, at {late.span.end:.2f} s")
    return tuple(turns)


def checked_words(heard: Heard, clip: Span) -> Heard:
    """The answer, if its words are in order and inside the clip; otherwise `BrokenPromise`."""
    starts = [word.span.start for word in heard.words]
    if starts != sorted(starts):
        raise BrokenPromise("transcribe", f"the words heard in the clip at {clip.start:.2f} s are not in order")
    for word in heard.words:
        if not word.text.strip() or word.span.start < clip.start - _SLACK or word.span.end > clip.end + _SLACK:
            raise BrokenPromise("transcribe", f"the word {word.text!r} at {word.span.start:.2f} s is empty or outside its clip")
    return heard


def as_separator(candidate: Any) -> Separator:
    """The candidate, if it has what a separator has; otherwise `BrokenPromise`."""
    if not isinstance(candidate, Separator):
        raise BrokenPromise("separate", f"{type(candidate).__name__} is no separator: it lacks rate or separate()")
    return candidate
