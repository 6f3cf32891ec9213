"""Protocols of the stages, and checks of what a backend returns. Backends inherit nothing.

`tests/contracts/` holds one suite per promise and runs every backend through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Span, Speaker, Turn, Voice
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.events import EventListener


@runtime_checkable
class Diarizer(Protocol):
    """Who spoke when."""

    rate: int
    """Sample rate in Hz at which it wants to hear the recording."""

    def diarize(self, audio: Audio, on_event: EventListener) -> Sequence[Turn]:
        """Turns sorted by start, inside the audio, at ``audio``'s clock; turns of different speakers may overlap.

        Speakers are ``SPEAKER_00``… in order of first speech, unless the diarizer is given labels of this kind: those
        keep their numbers. Silence gives an empty sequence. The audio is not changed.
        """


@runtime_checkable
class Informed(Protocol):
    """A diarizer that does not listen and must be told which recording is meant; the turns it brings may have names."""

    names: tuple[tuple[Speaker, str], ...]
    """People's names by label, once it has diarized."""

    def about(self, recording: str) -> Diarizer:
        """The diarizer for the recording of that name (the file's, without folder and extension)."""


@runtime_checkable
class FromFile(Protocol):
    """A backend that answers from a file of turns or words instead of from the sound."""

    sha256: str | None
    """Checksum of the bytes that its answers come from, once it has read them."""


@runtime_checkable
class Separator(Protocol):
    """One voice at a time, by name."""

    rate: int

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per known speaker: same span, rate and level scale as ``mixture``, finite.

        ``enrollment`` holds clean single-speaker speech of every speaker active in the mixture, at the mixture's rate;
        it may be empty for a speaker who never speaks alone. Raises `Unseparated` where a voice cannot be had.
        """


@runtime_checkable
class Adaptable(Separator, Protocol):
    """A separator that can learn the voices of one recording before it takes them apart; before, it does as well as it can."""

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
    ) -> Separator:
        """The separator for this recording.

        ``overlap_seconds`` says for how many seconds each group of people (sorted) is to be taken apart; ``enrollment`` holds the clean
        speech of all of them, the very values that `Separator.separate` is given later.
        """


@runtime_checkable
class BlindSeparator(Protocol):
    """Anonymous voices."""

    rate: int
    counts: frozenset[int]
    """How many voices it can split a mixture into."""

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        """Exactly ``count`` voices: same span, rate and level scale as ``mixture``, finite, in no particular order."""


@runtime_checkable
class Embedder(Protocol):
    """What a voice looks like as numbers."""

    rate: int

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """One unit-length row per clip, shape ``(len(clips), d)``; a clip too short or silent to tell is a row of NaN."""


@runtime_checkable
class Matcher(Protocol):
    """Whose voice is this?"""

    def match(self, voices: Sequence[Audio], enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One distinct voice per known speaker, the best joint assignment, with each name's margin."""


@runtime_checkable
class SpeakerActivity(Protocol):
    """Whose voices are in a mixture?"""

    rate: int

    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        """How much of the energy about each ``block`` seconds of the mixture sounds like each known speaker, 0 to 1.

        The rest sounds like several. What ``enrollment`` holds from the mixture's own time says nothing about it and is left
        out. Raises `Unseparated` where nothing is left of somebody.
        """


@runtime_checkable
class Verifier(Protocol):
    """Does a voice sound like the person it is said to be?"""

    def margins(
        self, voices: Mapping[Speaker, Audio], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> Mapping[Speaker, float | None]:
        """The margin (see `Voice`) of each voice, by its speaker; None where the sound does not tell.

        ``enrollment`` holds clean speech of these speakers and of everybody who speaks with them.
        """


@runtime_checkable
class Transcriber(Protocol):
    """What was said."""

    rate: int

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip, in order, lazily; the clips are stretches of one person's stream.

        Word times are on the recording's clock and inside the clip; silence gives no words.
        """


class Unseparated(Exception):
    """A separator's honest refusal: this mixture cannot be taken apart. ``reason`` is a review reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


_SLACK = 0.05


def checked_turns(turns: Sequence[Turn], recording: Audio) -> tuple[Turn, ...]:
    """The turns, if they are sorted and inside the recording; otherwise `BrokenPromise`."""
    if list(turns) != sorted(turns):
        raise BrokenPromise("diarize", "the diarizer's turns are not sorted by start")
    late = next((turn for turn in turns if turn.span.end > recording.span.end + _SLACK), None)
    if late is not None:
        raise BrokenPromise(
            "diarize",
            f"the diarizer's turn at {late.span.start:.2f} s ends after the recording, at {late.span.end:.2f} s",
        )
    return tuple(turns)


def checked_words(heard: ClipTranscript, clip: Span) -> ClipTranscript:
    """The answer, if its words are in order and inside the clip; otherwise `BrokenPromise`."""
    starts = [word.span.start for word in heard.words]
    if starts != sorted(starts):
        raise BrokenPromise("transcribe", f"the words heard in the clip at {clip.start:.2f} s are not in order")
    for word in heard.words:
        if not word.text.strip() or word.span.start < clip.start - _SLACK or word.span.end > clip.end + _SLACK:
            raise BrokenPromise(
                "transcribe", f"the word {word.text!r} at {word.span.start:.2f} s is empty or outside its clip"
            )
    return heard


def as_separator(candidate: Any) -> Separator:
    """The candidate, if it has what a separator has; otherwise `BrokenPromise`."""
    if not isinstance(candidate, Separator):
        raise BrokenPromise("separate", f"{type(candidate).__name__} is no separator: it lacks rate or separate()")
    return candidate
