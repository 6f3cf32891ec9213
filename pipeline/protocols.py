"""Protocols of the stages, and checks of what a backend returns. Backends inherit nothing.

`tests/contracts/` holds one suite per protocol and runs every backend through it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Span, Speaker, Turn, Voice
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.events import EventListener


@runtime_checkable
class Cleaner(Protocol):
    """Takes music or noise out of a sound (enhancement)."""

    rate: int
    """Sample rate in Hz at which it takes the sound."""

    removes: frozenset[str]
    """The kinds of sound that it can take out: ``music``, ``noise``."""

    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        """The sound without these kinds: same span, rate and level scale as ``audio``, finite.

        Silence stays silence. ``audio`` is a window of a recording, see `cleaners.windowed`, and is not changed.
        """


@runtime_checkable
class Diarizer(Protocol):
    """Finds who speaks when."""

    rate: int
    """Sample rate in Hz at which it takes the recording."""

    def diarize(self, audio: Audio, on_event: EventListener) -> Sequence[Turn]:
        """Turns sorted by start, inside the audio, at ``audio``'s clock; turns of different speakers may overlap.

        Speakers are ``SPEAKER_00``… in order of first speech, unless the diarizer is given labels of this kind: those
        keep their numbers. Silence gives an empty sequence. The audio is not changed.
        """


@runtime_checkable
class FileDiarizer(Protocol):
    """A diarizer that looks turns up by the recording's name instead of finding them; its speakers may have names."""

    names: tuple[tuple[Speaker, str], ...]
    """People's names by label, once it has diarized."""

    def for_recording(self, recording: str) -> Diarizer:
        """The diarizer for the recording of that name (the file's, without folder and extension)."""


@runtime_checkable
class FromFile(Protocol):
    """A backend that answers from a file of turns or words instead of from the sound."""

    sha256: str | None
    """Checksum of the bytes that its answers come from, once it has read them."""


@runtime_checkable
class Separator(Protocol):
    """Separates a mixture into the voices of enrolled speakers (target-speaker extraction)."""

    rate: int

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per enrolled speaker: same span, rate and level scale as ``mixture``, finite.

        ``enrollment`` holds clean single-speaker speech of every speaker active in the mixture, at the mixture's rate;
        it may be empty for a speaker who never speaks alone. Raises `Unseparated` where it cannot separate a voice.
        """


@runtime_checkable
class Adaptable(Separator, Protocol):
    """A separator that can adapt to the voices of one recording before it separates; unadapted it works as well."""

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
        *,
        recording_seconds: float = math.inf,
    ) -> Separator:
        """The separator for this recording, which is ``recording_seconds`` long.

        ``overlap_seconds`` says how many seconds of each group of speakers (sorted) are to be separated;
        ``enrollment`` holds the clean speech of all of them, the very values that `Separator.separate` is given later.
        """


@runtime_checkable
class BlindSeparator(Protocol):
    """Separates a mixture into anonymous voices (blind source separation)."""

    rate: int
    counts: frozenset[int]
    """How many voices it can split a mixture into."""

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        """Exactly ``count`` voices: same span, rate and level scale as ``mixture``, finite, in no particular order."""


@runtime_checkable
class Resampling(Protocol):
    """A backend whose models want other sample rates than it takes: it resamples for them, and back."""

    network_rates: frozenset[int]
    """Sample rates in Hz of its models."""


@runtime_checkable
class Embedder(Protocol):
    """Turns clips of speech into speaker embeddings."""

    rate: int

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """One unit-length row per clip, shape ``(len(clips), d)``; NaN for a clip too short or silent."""


@runtime_checkable
class Matcher(Protocol):
    """Assigns anonymous voices to enrolled speakers."""

    def match(self, voices: Sequence[Audio], enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One distinct voice per enrolled speaker, the best joint assignment, with each name's margin."""


@runtime_checkable
class SpeakerActivity(Protocol):
    """Estimates how active each enrolled speaker is in a mixture (target-speaker voice activity detection)."""

    rate: int

    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        """How much of the energy about each ``block`` seconds of the mixture sounds like each enrolled speaker, 0 to 1.

        The rest sounds like several. What ``enrollment`` holds from the mixture's own time says nothing about it and is
        left out. Raises `Unseparated` where nothing is left of a speaker.
        """


@runtime_checkable
class Verifier(Protocol):
    """Verifies that a separated voice sounds like its speaker (speaker verification)."""

    def margins(
        self, voices: Mapping[Speaker, Audio], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> Mapping[Speaker, float | None]:
        """The margin (see `Voice`) of each voice, by its speaker; None where the sound does not tell.

        ``enrollment`` holds clean speech of these speakers and of all who speak with them.
        """


@runtime_checkable
class Transcriber(Protocol):
    """Recognizes the words of clips."""

    rate: int

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One transcript per clip, in order, lazily; the clips are stretches of one speaker's stream.

        Word times are on the recording's clock and inside the clip; silence gives no words.
        """


@runtime_checkable
class BatchTranscriber(Transcriber, Protocol):
    """A transcriber that is quicker on the clips of several people than on one after another."""

    def transcribe_streams(
        self, streams: Sequence[Iterable[Audio]], on_event: EventListener
    ) -> Iterator[ClipTranscript]:
        """One transcript per clip: of all clips of the first stream, in order, then of the next. May read ahead."""


@runtime_checkable
class Aligner(Protocol):
    """Finds the times of words that are known (forced alignment)."""

    rate: int

    def align(self, clip: Audio, transcript: ClipTranscript) -> ClipTranscript:
        """The same words in the same order, each with the time at which it is spoken, inside the clip.

        Words that it cannot align keep their times; where a whole clip fails that it should know, ``review`` says so.
        """


class Unseparated(Exception):
    """Raised by a separator for a mixture that it cannot separate. ``reason`` is a review reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


_TOLERANCE = 0.05
"""Seconds by which turns and words may reach beyond the recording or their clip."""


def validate_turns(turns: Sequence[Turn], recording: Audio) -> tuple[Turn, ...]:
    """The turns, if they are sorted and inside the recording. Raises `BrokenPromise`."""
    if list(turns) != sorted(turns):
        raise BrokenPromise("diarize", "the diarizer's turns are not sorted by start")
    late = next((turn for turn in turns if turn.span.end > recording.span.end + _TOLERANCE), None)
    if late is not None:
        raise BrokenPromise(
            "diarize",
            f"the diarizer's turn at {late.span.start:.2f} s ends after the recording, at {late.span.end:.2f} s",
        )
    return tuple(turns)


def validate_words(transcript: ClipTranscript, clip: Span) -> ClipTranscript:
    """The transcript, if its words are in order and inside the clip. Raises `BrokenPromise`."""
    starts = [word.span.start for word in transcript.words]
    if starts != sorted(starts):
        raise BrokenPromise("transcribe", f"the words heard in the clip at {clip.start:.2f} s are not in order")
    for word in transcript.words:
        outside = word.span.start < clip.start - _TOLERANCE or word.span.end > clip.end + _TOLERANCE
        if outside or not word.text.strip():
            raise BrokenPromise(
                "transcribe", f"the word {word.text!r} at {word.span.start:.2f} s is empty or outside its clip"
            )
    return transcript


def transcribe_all(
    transcriber: Transcriber, streams: Sequence[Iterable[Audio]], on_event: EventListener
) -> Iterator[ClipTranscript]:
    """One transcript per clip of the streams, stream by stream; in batches where the transcriber can."""
    if isinstance(transcriber, BatchTranscriber):
        return transcriber.transcribe_streams(streams, on_event)
    return (answer for clips in streams for answer in transcriber.transcribe(clips, on_event))


def as_separator(candidate: Any) -> Separator:
    """The candidate, if it has what a separator has. Raises `BrokenPromise`."""
    if not isinstance(candidate, Separator):
        raise BrokenPromise("separate", f"{type(candidate).__name__} is no separator: it lacks rate or separate()")
    return candidate
