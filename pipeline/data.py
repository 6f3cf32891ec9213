"""What travels between the stages: immutable values on one clock.

Every time in these values is in seconds on the recording's clock, unless a docstring says otherwise.
Every value holds only what its maker knows, and nothing is filled in later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas

Speaker: TypeAlias = str
"""A stable label, ``SPEAKER_00``, ``SPEAKER_01``… in order of first speech; never a person's name."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono samples, shape ``(n,)``, nominally between -1 and 1."""

Source: TypeAlias = Literal["mixture", "separated"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time ``[start, end)`` in seconds, ``0 <= start <= end``.

    >>> Span(1.0, 2.5).duration
    1.5
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0.0 <= self.start <= self.end):
            raise ValueError(f"a span needs 0 <= start <= end in seconds, not {self.start}–{self.end}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound that knows its own place on the recording's clock.

    ``samples`` is float32 of shape ``(n,)`` and is made read-only; ``rate`` is in Hz; ``start`` is the recording
    time of the first sample. Cropping gives views, never copies.

    >>> clip = Audio(np.zeros(16000, np.float32), 16000).crop(Span(0.25, 0.75))
    >>> clip.start, clip.duration, clip.clock(0.1)
    (0.25, 0.5, 0.35)
    """

    samples: Samples
    rate: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"audio is float32 of shape (n,), not {self.samples.dtype} {self.samples.shape}")
        if self.rate <= 0:
            raise ValueError(f"a sample rate is positive, not {self.rate}")
        view = self.samples.view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    @property
    def span(self) -> Span:
        """Where this sound lies on the recording's clock."""
        return Span(self.start, self.start + self.duration)

    def clock(self, t: float) -> float:
        """Recording time of ``t`` seconds into this clip. The only place where an offset is added."""
        return self.start + t

    def index(self, t: float) -> int:
        """Index of the sample at recording time ``t``, clamped to ``0..n``."""
        return min(max(round(t * self.rate) - round(self.start * self.rate), 0), len(self.samples))

    def crop(self, span: Span) -> Audio:
        """The part inside ``span`` as a view; parts of ``span`` outside this clip are left out."""
        first, last = self.index(span.start), self.index(span.end)
        return Audio(self.samples[first:last], self.rate, (round(self.start * self.rate) + first) / self.rate)

    def replaced(self, samples: Samples) -> Audio:
        """The same place and rate with other samples of the same length."""
        if samples.shape != self.samples.shape:
            raise ValueError(f"replacing {self.samples.shape} samples by {samples.shape}")
        return Audio(np.asarray(samples, np.float32), self.rate, self.start)


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One speaker speaks during ``span``. Turns of different speakers may overlap."""

    span: Span
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class Diarized:
    """Who speaks when in a recording of ``duration`` seconds; ``names`` are people's names by label, where known."""

    duration: float
    turns: tuple[Turn, ...]
    names: tuple[tuple[Speaker, str], ...] = ()

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
class Patch:
    """What a stream plays during ``span``, where separation was asked for.

    ``speakers`` are those who speak during it, sorted. ``source`` says whether a separated voice is played or, because
    it could not be had or was not believed, the recording itself; the ``review`` reasons then say why. ``margin`` is
    the voice's (see `Voice`), kept for refused voices as well.
    """

    span: Span
    speakers: tuple[Speaker, ...]
    source: Source
    margin: float | None = None
    review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A stretch of a speaker's stream without its sound: everything that outlives the sound."""

    speaker: Speaker
    span: Span
    turns: tuple[Span, ...]
    patches: tuple[Patch, ...] = ()


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
    patches: tuple[Patch, ...] = ()

    @property
    def span(self) -> Span:
        """Where it lies, padding included."""
        return self.audio.span

    @property
    def outline(self) -> Outline:
        """The same without the sound."""
        return Outline(self.speaker, self.audio.span, self.turns, self.patches)


@dataclass(frozen=True, slots=True, order=True)
class Word:
    """One spoken word (no surrounding blanks) and how sure its transcriber is, 0 to 1 or None."""

    span: Span
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transcriber heard in one clip: words in order, and the clip's language (``en``…) if it knows."""

    words: tuple[Word, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive words of one speaker.

    ``source`` is ``separated`` when some word was heard in a separated voice; ``overlap`` when somebody else speaks
    during it; ``margin`` is the least margin of the voices it was heard in; ``review`` holds reasons to listen again.
    """

    speaker: Speaker
    words: tuple[Word, ...]
    language: str | None = None
    source: Source = "mixture"
    overlap: bool = False
    margin: float | None = None
    review: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("a segment has at least one word")

    @property
    def span(self) -> Span:
        """From the first word's start to the latest word's end."""
        return Span(self.words[0].span.start, max(word.span.end for word in self.words))

    @property
    def text(self) -> str:
        """The words joined by blanks."""
        return join_words(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """How one stage came to its result: ``why`` is a sentence for people."""

    stage: str
    backend: str
    weights: tuple[str, ...]
    device: str
    why: str


@dataclass(frozen=True, slots=True)
class MadeBy:
    """How a transcript came to be: enough to repeat it."""

    version: str
    stages: tuple[StageRecord, ...] = ()
    settings: tuple[tuple[str, str | int | float | bool | None], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Who said what in one recording.

    ``recording`` is the file's name without folder or extension; ``duration`` is in seconds; ``segments`` are sorted by start and
    may overlap in time; ``turns`` are what the diarizer found; ``names`` maps labels to people's names.
    """

    recording: str
    duration: float
    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...]
    made_by: MadeBy
    names: tuple[tuple[Speaker, str], ...] = field(default=())

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Every speaker with a turn or a segment, sorted."""
        return tuple(sorted({turn.speaker for turn in self.turns} | {s.speaker for s in self.segments}))

    @property
    def language(self) -> str | None:
        """The language in which most words were spoken; None where no segment knows its own."""
        counts: dict[str, int] = {}
        for segment in self.segments:
            if segment.language is not None:
                counts[segment.language] = counts.get(segment.language, 0) + len(segment.words)
        return max(sorted(counts), key=lambda language: counts[language]) if counts else None

    def name_of(self, speaker: Speaker) -> str:
        """The person's name, or the label where nobody gave one."""
        return dict(self.names).get(speaker, speaker)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per segment, see `conversions.to_dataframe`."""
        from meetsplit.pipeline.conversions import to_dataframe

        return to_dataframe(self)


_NO_BLANK_BETWEEN = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uff00", "\uffef"), ("\u0e00", "\u0e7f"))


def join_words(words: Iterable[str]) -> str:
    """Words as running text: blanks between them, none between letters of scripts that are written without.

    >>> join_words(["Good", "morning,", "everyone."])
    'Good morning, everyone.'
    >>> join_words(["今日", "は"])
    '今日は'
    """
    text = ""
    for word in words:
        glue = "" if not text or (_unspaced(text[-1]) and _unspaced(word[:1])) else " "
        text += glue + word
    return text


def _unspaced(letter: str) -> bool:
    return bool(letter) and any(first <= letter <= last for first, last in _NO_BLANK_BETWEEN)
