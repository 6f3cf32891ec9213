"""Words, segments and the transcript of a recording, with its provenance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meetsplit.pipeline.data.audio import Span
from meetsplit.pipeline.data.diarization import Source, Speaker, Turn

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, order=True)
class Word:
    """One word (no surrounding blanks) and its transcriber's confidence, 0 to 1 or None."""

    span: Span
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ClipTranscript:
    """The words of one clip in order, and its language (``en``…), or None where the transcriber does not say."""

    words: tuple[Word, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive words of one speaker.

    ``source`` is ``separated`` when some word comes from a separated voice; ``overlap`` when another speaker is active
    during it; ``margin`` is the least margin of its voices; ``review`` holds reasons to listen again.
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
    """The backend, weights and device of one stage; ``why`` it was selected is a sentence for people."""

    stage: str
    backend: str
    weights: tuple[str, ...]
    device: str
    why: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Software, settings and models that made a transcript: enough to repeat it."""

    version: str
    stages: tuple[StageRecord, ...] = ()
    settings: tuple[tuple[str, str | int | float | bool | None], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Who said what in one recording.

    ``recording`` is the file's name without folder or extension; ``duration`` is in seconds; ``segments`` are sorted by
    start and may overlap in time; ``turns`` are the diarizer's; ``names`` maps labels to people's names.
    """

    recording: str
    duration: float
    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...]
    made_by: Provenance
    names: tuple[tuple[Speaker, str], ...] = field(default=())

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Every speaker with a turn or a segment, sorted."""
        return tuple(sorted({turn.speaker for turn in self.turns} | {s.speaker for s in self.segments}))

    @property
    def language(self) -> str | None:
        """The language of most words; None where no segment has one."""
        counts: dict[str, int] = {}
        for segment in self.segments:
            if segment.language is not None:
                counts[segment.language] = counts.get(segment.language, 0) + len(segment.words)
        return max(sorted(counts), key=lambda language: counts[language]) if counts else None

    def name_of(self, speaker: Speaker) -> str:
        """The person's name, or the label where there is none."""
        return dict(self.names).get(speaker, speaker)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per segment, in the transcript's order.

        ``start`` and ``end`` in seconds, ``speaker``, ``name``, ``text``, ``language``, ``source``, ``overlap``,
        ``margin`` and ``review``: the reasons joined by commas, empty where there are none.
        """
        import pandas

        columns = ["start", "end", "speaker", "name", "text", "language", "source", "overlap", "margin", "review"]
        rows = [
            (
                s.span.start,
                s.span.end,
                s.speaker,
                self.name_of(s.speaker),
                s.text,
                s.language,
                s.source,
                s.overlap,
                s.margin,
                ",".join(s.review),
            )
            for s in self.segments
        ]
        return pandas.DataFrame(rows, columns=columns)


_NO_BLANK_BETWEEN = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uff00", "\uffef"), ("\u0e00", "\u0e7f"))


def join_words(words: Iterable[str]) -> str:
    """Words as running text, with blanks between them except in scripts that are written without.

    >>> join_words(["Good", "morning,", "everyone."])
    'Good morning, everyone.'
    >>> join_words(["今日", "は"])
    '今日は'
    """
    texts = list(words)
    blanks_everywhere = " ".join(texts)
    if blanks_everywhere.isascii() and (not texts or texts[0]):  # the usual case, and the quick one
        return blanks_everywhere
    text = ""
    for word in texts:
        glue = "" if not text or (_unspaced(text[-1]) and _unspaced(word[:1])) else " "
        text += glue + word
    return text


def _unspaced(letter: str) -> bool:
    return bool(letter) and any(first <= letter <= last for first, last in _NO_BLANK_BETWEEN)
