"""Words, segments and the transcript of a recording, with its provenance."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from meetsplit.pipeline.data.audio import HasSpan, Span
from meetsplit.pipeline.data.diarization import Source, Speaker, Turn
from meetsplit.pipeline.errors import SettingsError, nearest

if TYPE_CHECKING:
    import pandas

    from meetsplit.pipeline.settings import Outputs


VoiceDecision: TypeAlias = Literal["confirmed", "suggested", "unknown"]
"""How the comparison of a speaker with enrolled voices ended."""


@dataclass(frozen=True, slots=True, order=True)
class Word(HasSpan):
    """One word (no surrounding blanks) and its transcriber's confidence, 0 to 1 or None."""

    span: Span
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class DroppedText(HasSpan):
    """Text that a transcriber left out of ``span`` because nobody can have said it; ``reason`` is a review reason.

    ``text`` is empty where sound without a voice was not transcribed at all.
    """

    span: Span
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ClipTranscript:
    """The words of one clip in order, and its language (``en``…), or None where the transcriber does not say.

    ``dropped`` is what its guards left out, sorted; ``review`` holds reasons to listen again to the whole clip.
    """

    words: tuple[Word, ...]
    language: str | None = None
    dropped: tuple[DroppedText, ...] = ()
    review: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Segment(HasSpan):
    """Consecutive words of one speaker.

    ``source`` is ``separated`` when some word comes from a separated voice; ``overlap`` when another speaker is active
    during it; ``margin`` is the least margin of its voices; ``review`` holds reasons to listen again. ``checked`` is
    None until a person has listened: then it holds the reasons that there were.
    """

    speaker: Speaker
    words: tuple[Word, ...]
    language: str | None = None
    source: Source = "mixture"
    overlap: bool = False
    margin: float | None = None
    review: tuple[str, ...] = ()
    checked: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("a segment has at least one word")

    def __repr__(self) -> str:
        text = textwrap.shorten(self.text, _REPR_WIDTH, placeholder=" …")
        return f"<Segment {self.start:.2f}–{self.end:.2f} s, {self.speaker}: {text!r}>"

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
    """Software, settings and models that made a transcript: enough to repeat it.

    ``guards`` counts the texts that were dropped (`DroppedText`), by reason.
    """

    version: str
    stages: tuple[StageRecord, ...] = ()
    settings: tuple[tuple[str, str | int | float | bool | None], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    guards: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class VoiceMatch:
    """Which enrolled voice a speaker's is.

    ``confirmed``: it is ``name``'s, and the speaker is called so; ``suggested``: it may be; ``unknown``: no one's, and
    ``name`` is None. ``score`` is the natural logarithm of the likelihood ratio, one person over two, ``margin`` how
    much it is above that of the next enrolled person; None where there is nothing to compare.
    """

    decision: VoiceDecision
    name: str | None = None
    score: float | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Dnsmos:
    """Marks from 1 (bad) to 5 (excellent) that listeners would give, by DNSMOS P.835; see `speakers.dnsmos`.

    ``sig`` is for the speech, ``bak`` for how little is heard beside it, ``ovr`` overall.
    """

    sig: float
    bak: float
    ovr: float


@dataclass(frozen=True, slots=True)
class TrackQuality:
    """How well a person's track was taken apart in overlaps, judged by the sound alone; see `speakers.track_quality`.

    ``seconds`` were judged; ``bleed`` is how much of the voice is in the others' tracks as well, in dB: the lower, the
    better; ``margin`` how much more it sounds like the speaker than like the next one, None where nobody has measured;
    ``dnsmos`` how the voices sound, None where the package for it is not installed.
    """

    seconds: float
    bleed: float | None = None
    margin: float | None = None
    dnsmos: Dnsmos | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Transcript:
    """Who said what in one recording.

    ``recording`` is the file's name without folder or extension; ``duration`` is in seconds; ``segments`` are sorted by
    start and may overlap in time; ``turns`` are the diarizer's; ``names`` maps labels to people's names,
    ``voices`` says who was compared with enrolled voices and how that ended, ``quality`` how well tracks were taken
    apart, where that was asked for. In a notebook it is a table.
    """

    recording: str
    duration: float
    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...]
    made_by: Provenance
    names: tuple[tuple[Speaker, str], ...] = field(default=())
    voices: tuple[tuple[Speaker, VoiceMatch], ...] = field(default=())
    quality: tuple[tuple[Speaker, TrackQuality], ...] = field(default=())

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Transcript:
        """The transcript in a JSON file of meetsplit, WhisperX or openai-whisper, see `formats.read_transcript`.

        Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no transcript.
        """
        from meetsplit.pipeline.results.saving import read

        return read(path)

    def save(
        self,
        folder: str | PathLike[str],
        formats: str | Sequence[str] | None = None,
        *,
        outputs: Outputs | None = None,
    ) -> tuple[Path, ...]:
        """Write the transcript into ``folder`` as ``<recording>.srt`` … and return the files.

        ``formats`` are names of formats, in a list or a text with commas; all of ``outputs`` where left out, which also
        says how subtitles look. A file that meetsplit did not write for this recording is never replaced (unless
        ``outputs.overwrite``): the files are then called ``<recording>-2.*``, with a warning in the log. Written whole
        or not at all. Raises `OutputError`, and `SettingsError` for an unknown format.
        """
        from meetsplit.pipeline.results.saving import save

        return save(self, folder, formats, outputs)

    def __repr__(self) -> str:
        from meetsplit.pipeline.data.notebook import counts

        return f"<{type(self).__name__} {self.recording!r}: {counts(self)}>"

    def _repr_html_(self) -> str:
        from meetsplit.pipeline.data.notebook import transcript_html

        return transcript_html(self)

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

    def rename(self, names: Mapping[Speaker, str]) -> Self:
        """The same transcript with people's names by label, or by the name that they have now.

        Labels stay what they are; a speaker's own label takes the name away. Two labels may have one name: they are one
        person in every format but JSON, until they are named otherwise; `merge` makes one speaker of them. Raises
        `SettingsError` for a speaker that there is not, and for a name that is blank or another speaker's label.
        """
        from meetsplit.pipeline.data.labels import is_label

        renamed = dict(self.names)
        for who, name in names.items():
            label, person = self.label_of(who), " ".join(name.split())
            if not person or (person != label and (person in self.speakers or is_label(person))):
                raise SettingsError(f"rename {who!r} to {name!r}: a name is needed, and not the label of a speaker")
            renamed[label] = person
        return replace(self, names=tuple((label, name) for label, name in renamed.items() if name != label))

    def merge(self, into: Speaker, *others: Speaker) -> Self:
        """The same transcript with one person, ``into``, where a diarizer took one for several; by label or name.

        Words and turns of the ``others`` become theirs (turns that overlap become one), segments are cut anew, and the
        name is the first one's that there is. Files and tracks that were
        written before stay as they are. Raises `SettingsError` for a speaker that there is not.
        """
        from meetsplit.pipeline.merge import regroup

        label = self.label_of(into)
        merged = {label, *(self.label_of(other) for other in others)}
        unchanged_turns = [turn for turn in self.turns if turn.speaker not in merged]
        own = _united(sorted(turn.span for turn in self.turns if turn.speaker in merged))
        turns = tuple(sorted((*unchanged_turns, *(Turn(span, label) for span in own))))
        words = [(word, segment) for segment in self.segments if segment.speaker in merged for word in segment.words]
        unchanged = (segment for segment in self.segments if segment.speaker not in merged)
        segments = sorted(
            (*unchanged, *regroup({label: words}, turns)), key=lambda segment: (segment.span, segment.speaker)
        )
        old = dict(self.names)
        name = next((old[one] for one in (label, *map(self.label_of, others)) if one in old), None)
        new = {speaker: other for speaker, other in old.items() if speaker == label or speaker not in merged}
        names = tuple((new if name is None else {**new, label: name}).items())
        voices = tuple((speaker, match) for speaker, match in self.voices if speaker not in merged)
        quality = tuple((speaker, one) for speaker, one in self.quality if speaker not in merged)
        return replace(self, segments=tuple(segments), turns=turns, names=names, voices=voices, quality=quality)

    def split(self, who: Speaker, *, at: float | None = None, spans: Sequence[Span] = ()) -> Self:
        """The same transcript with two people where a diarizer took two for one; by label or name.

        What the speaker says from ``at`` seconds on (not inside a word), or in ``spans``, becomes a new speaker's,
        whose label is the next one; every word goes with the turn that it lies in or is nearest to, and segments are
        cut anew. Raises `SettingsError` for a speaker that there is not, and where one of the two would say nothing.
        """
        from meetsplit.pipeline.data.timeline import by_speaker, subtract
        from meetsplit.pipeline.merge import regroup

        label, new = self.label_of(who), self.next_label()
        words = [(word, segment) for segment in self.segments if segment.speaker == label for word in segment.words]
        own = by_speaker(turn for turn in self.turns if turn.speaker == label).get(label, ())
        if at is not None:
            cut = _outside_of_words(at, [word.span for word, _ in words])
            spans = [Span(max(cut, 0.0), max(self.duration, cut, *(span.end for span in own), 0.0) + 1.0)]
        kept = [Turn(span, label) for span in subtract(own, spans)]
        moved = [Turn(span, new) for span in subtract(own, [turn.span for turn in kept])]
        if not (kept and moved):
            where = f"from {own[0].start:.2f} to {own[-1].end:.2f} s" if own else "nowhere"
            raise SettingsError(f"{label} speaks {where}: it cannot be split {_where(at, spans)}, choose a time within")
        pieces = sorted((*kept, *moved))
        given: dict[Speaker, list[tuple[Word, Segment]]] = {label: [], new: []}
        for word, segment in words:
            given[_turn_of(word, pieces).speaker].append((word, segment))
        others = (turn for turn in self.turns if turn.speaker != label)
        turns = tuple(sorted((*others, *kept, *moved)))
        unchanged = (segment for segment in self.segments if segment.speaker != label)
        regrouped = regroup({speaker: said for speaker, said in given.items() if said}, turns)
        segments = sorted((*unchanged, *regrouped), key=lambda segment: (segment.span, segment.speaker))
        voices = tuple((speaker, match) for speaker, match in self.voices if speaker != label)
        quality = tuple((speaker, one) for speaker, one in self.quality if speaker != label)
        return replace(self, segments=tuple(segments), turns=turns, voices=voices, quality=quality)

    def next_label(self) -> Speaker:
        """The label after the last one that is in use."""
        from meetsplit.pipeline.data.labels import is_label, label

        labels = [*self.speakers, *(speaker for speaker, _ in self.names)]
        return label(1 + max((int(one.removeprefix("SPEAKER_")) for one in labels if is_label(one)), default=-1))

    def label_of(self, who: Speaker) -> Speaker:
        """The label of a speaker by label or name; `SettingsError` with the nearest where there is no such speaker."""
        if who in self.speakers:
            return who
        labels = [label for label, name in self.names if name == who and label in self.speakers]
        if len(labels) == 1:
            return labels[0]
        if labels:
            raise SettingsError(f"{who!r} is the name of {' and '.join(labels)}: say which by the label")
        known = [*self.speakers, *(name for label, name in self.names if label in self.speakers)]
        raise SettingsError(f"{self.recording} has no speaker {who!r}: {nearest(str(who), known)}")

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per segment, in the transcript's order.

        ``start`` and ``end`` in seconds, ``speaker``, ``name``, ``text``, ``language``, ``source``, ``overlap``,
        ``margin`` (NaN where there is none) and ``review``: the reasons joined by commas, empty where there are none.
        """
        rows = [
            (s.start, s.end, s.speaker, self.name_of(s.speaker), s.text, s.language, s.source, s.overlap, s.margin,
             ",".join(s.review))
            for s in self.segments
        ]  # fmt: skip
        return _table(_SEGMENT_COLUMNS, rows)

    def words_dataframe(self) -> pandas.DataFrame:
        """One row per word, by start: ``start`` and ``end`` in seconds, ``word``, ``confidence`` (0 to 1, or NaN),
        ``speaker``, ``name``, ``language``, ``overlap`` and ``segment``, the number of its row in `to_dataframe`.
        """
        rows = [
            (w.start, w.end, w.text, w.confidence, s.speaker, self.name_of(s.speaker), s.language, s.overlap, number)
            for number, s in enumerate(self.segments)
            for w in s.words
        ]
        return _table(_WORD_COLUMNS, sorted(rows, key=itemgetter(0, 1, 8)))


_REPR_WIDTH = 60


def _united(spans: Iterable[Span]) -> list[Span]:
    """Sorted spans, those that overlap as one; those that only touch stay two."""
    united: list[Span] = []
    for span in spans:
        if united and span.start < united[-1].end:
            united[-1] = Span(united[-1].start, max(united[-1].end, span.end))
        else:
            united.append(span)
    return united


def _outside_of_words(at: float, words: Iterable[Span]) -> float:
    """The moment itself, or the nearer edge of the word that it lies in."""
    for word in sorted(words):
        if word.start < at < word.end:
            return word.start if at - word.start <= word.end - at else word.end
    return at


def _turn_of(word: Word, turns: Sequence[Turn]) -> Turn:
    """The turn that the middle of a word lies in or is nearest to."""
    middle = (word.start + word.end) / 2
    return min(turns, key=lambda turn: (max(turn.start - middle, middle - turn.end, 0.0), turn.span))


def _where(at: float | None, spans: Sequence[Span]) -> str:
    return f"at {at:.2f} s" if at is not None else f"by {len(spans)} stretches"


_SEGMENT_COLUMNS = MappingProxyType(
    {"start": "float64", "end": "float64", "speaker": "string", "name": "string", "text": "string",
     "language": "string", "source": "string", "overlap": "bool", "margin": "float64", "review": "string"}
)  # fmt: skip
"""The columns of a table of segments and their types, which do not depend on what is in them."""

_WORD_COLUMNS = MappingProxyType(
    {"start": "float64", "end": "float64", "word": "string", "confidence": "float64", "speaker": "string",
     "name": "string", "language": "string", "overlap": "bool", "segment": "int64"}
)  # fmt: skip


def _table(columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame(rows, columns=list(columns)).astype(dict(columns))


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
