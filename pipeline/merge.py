"""Who said what, in order: what was heard in everybody's streams becomes segments of one speaker each. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meetsplit.pipeline.data import (
    ClipTranscript,
    OverlapResult,
    Segment,
    Span,
    Speaker,
    Stream,
    StreamInfo,
    Turn,
    Word,
    timeline,
)

SENTENCE_ENDS = frozenset(".!?…。！？؟।")
"""Last characters of a sentence."""

SAME_MOMENT = 0.5
"""Share of the shorter of two words that both must cover to be one spoken moment."""

SLIVER = 0.02
"""Seconds by which two words that follow each other may overlap because their times are not exact."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one segment ends and the next begins, in seconds.

    After a silence longer than ``pause``; after the end of a sentence and a silence of at least ``breath``; and at the
    longest silence in its middle half where a segment would be longer than ``longest``.
    """

    pause: float = 1.0
    breath: float = 0.25
    longest: float = 20.0


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A word with what is known about the place where it was heard."""

    word: Word
    language: str | None
    patches: tuple[OverlapResult, ...]


_Stretch: TypeAlias = tuple[StreamInfo, tuple[_Spoken, ...]]


def merge(
    heard: Sequence[tuple[Stream | StreamInfo, ClipTranscript]],
    turns: Sequence[Turn],
    within: Span,
    *,
    reading: Reading = Reading(),
) -> tuple[Segment, ...]:
    """Segments sorted by start, from what was heard in each stretch of a stream, in any order of stretches.

    Every word is kept once. Its times are held inside its stretch, that is its turns with their padding, and inside
    ``within``; a word that lies outside of them altogether is nobody's and is left out. Where a long turn was cut,
    two stretches share a moment and may both have heard the words in it: nobody says two words at once, so of words
    that cover each other one set is kept, that of the stretch the moment belongs to.

    ``overlap`` is whether somebody else has a turn during the segment; ``source``, ``margin`` and ``review`` come from
    the patches that its words touch.
    """
    by_speaker: dict[Speaker, list[_Stretch]] = {}
    for stream, answer in heard:
        outline = stream.info if isinstance(stream, Stream) else stream
        by_speaker.setdefault(outline.speaker, []).append((outline, tuple(_held(outline, answer, within))))
    spans = timeline.by_speaker(turns)
    everybody = timeline.Counter(span for own in spans.values() for span in own)
    segments: list[Segment] = []
    for speaker, stretches in by_speaker.items():
        own = timeline.Counter(spans.get(speaker, ()))
        said = _once(sorted(stretches, key=lambda stretch: stretch[0].span))
        segments += [_segment(speaker, part, everybody, own) for part in _parts(said, reading)]
    return tuple(sorted(segments, key=lambda segment: (segment.span, segment.speaker)))


def _held(outline: StreamInfo, answer: ClipTranscript, within: Span) -> Iterable[_Spoken]:
    """The words with their times inside the stretch and the recording."""
    first, last = max(outline.span.start, within.start), min(outline.span.end, within.end)
    for word in answer.words:
        if word.span.end < first or word.span.start > last or not word.text:
            continue
        span = Span(max(word.span.start, first), min(word.span.end, last))
        patches = tuple(patch for patch in outline.patches if _touch(span, patch.span))
        yield _Spoken(Word(span, word.text, word.confidence), answer.language, patches)


def _touch(word: Span, other: Span) -> bool:
    """Whether they share time, or a word without length lies inside."""
    return (word.start < other.end and other.start < word.end) or (
        word.start == word.end and other.start <= word.start < other.end
    )


def _once(stretches: Sequence[_Stretch]) -> list[_Spoken]:
    """All words of one speaker, those at cuts once, sorted by start."""
    said: list[_Spoken] = []
    before: StreamInfo | None = None
    recent: list[_Spoken] = []
    for outline, words in stretches:
        kept = list(words)
        if before is not None and before.span.end > outline.span.start:
            shared = Span(outline.span.start, min(before.span.end, outline.span.end))
            cut = (
                (before.turns[-1].end + outline.turns[0].start) / 2 if before.turns and outline.turns else shared.start
            )
            recent, kept = _settled(recent, kept, shared, cut)
        said += recent
        before, recent = outline, kept
    return sorted(said + recent, key=lambda spoken: spoken.word.span)


def _settled(
    earlier: list[_Spoken], later: list[_Spoken], shared: Span, cut: float
) -> tuple[list[_Spoken], list[_Spoken]]:
    """Both lists without doubles: words linked by covering the same moment form a knot, and one side of it goes.

    earlier   …|budget| |for| |ne        (its sound ends here)
    later           |get| |for| |next|…
    knots        \\1/      \\2/    \\3/     before the cut the earlier words stay, after it the later
    """
    knots: list[tuple[set[int], set[int]]] = []
    left_at, right_at = (
        [n for n, spoken in enumerate(words) if _touch(spoken.word.span, shared)] for words in (earlier, later)
    )
    for a, b in itertools.product(left_at, right_at):
        if not _same_moment(earlier[a].word.span, later[b].word.span, shared):
            continue
        linked = [knot for knot in knots if a in knot[0] or b in knot[1]]
        knots = [knot for knot in knots if knot not in linked]
        knots.append(({a}.union(*(knot[0] for knot in linked)), {b}.union(*(knot[1] for knot in linked))))
    gone_earlier: set[int] = set()
    gone_later: set[int] = set()
    for left, right in knots:
        spans = [earlier[a].word.span for a in left] + [later[b].word.span for b in right]
        centre = (min(span.start for span in spans) + max(span.end for span in spans)) / 2
        (gone_later.update(right)) if centre < cut else (gone_earlier.update(left))
    return [w for a, w in enumerate(earlier) if a not in gone_earlier], [
        w for b, w in enumerate(later) if b not in gone_later
    ]


def _same_moment(a: Span, b: Span, shared: Span) -> bool:
    """Whether two words, as far as both stretches could hear them, cover each other by half of the shorter.

    Neighbours may cover each other by as little as times are wrong; where a cut leaves only a sliver of a word, that is
    more than half of it and still no reason to take two words for one.
    """
    a_start, a_end = max(a.start, shared.start), min(a.end, shared.end)
    b_start, b_end = max(b.start, shared.start), min(b.end, shared.end)
    common = min(a_end, b_end) - max(a_start, b_start)
    least = min(SLIVER, a.duration, b.duration)
    return common >= least and common >= SAME_MOMENT * min(a_end - a_start, b_end - b_start)


def _parts(said: Sequence[_Spoken], reading: Reading) -> list[list[_Spoken]]:
    """The words of one speaker, one list per segment."""
    parts: list[list[_Spoken]] = []
    for spoken in said:
        if parts and not _breaks(parts[-1], spoken, reading):
            parts[-1].append(spoken)
        else:
            parts.append([spoken])
    return [short for part in parts for short in _shortened(part, reading.longest)]


def _breaks(part: Sequence[_Spoken], following: _Spoken, reading: Reading) -> bool:
    silence = following.word.span.start - max(spoken.word.span.end for spoken in part[-8:])
    ended = part[-1].word.text.rstrip("\"'”’»)")[-1:] in SENTENCE_ENDS
    return silence > reading.pause or (ended and silence >= reading.breath) or part[-1].language != following.language


def _shortened(part: list[_Spoken], longest: float) -> list[list[_Spoken]]:
    """The part in parts of at most ``longest``, divided at the longest silence in the middle half, again and again."""
    start, end = part[0].word.span.start, max(spoken.word.span.end for spoken in part)
    if end - start <= longest or len(part) == 1:
        return [part]
    quarter = (end - start) / 4
    inner = [n for n in range(1, len(part)) if start + quarter <= part[n].word.span.start <= end - quarter] or [
        len(part) // 2
    ]
    at = max(inner, key=lambda n: part[n].word.span.start - part[n - 1].word.span.end)
    return [*_shortened(part[:at], longest), *_shortened(part[at:], longest)]


def _segment(speaker: Speaker, part: Sequence[_Spoken], everybody: timeline.Counter, own: timeline.Counter) -> Segment:
    words = tuple(spoken.word for spoken in part)
    patches = {patch.span: patch for spoken in part for patch in spoken.patches}.values()
    voices = [patch for patch in patches if patch.source == "separated"]
    during = Span(words[0].span.start, max(word.span.end for word in words))
    return Segment(
        speaker,
        words,
        part[0].language,
        source="separated" if voices else "mixture",
        overlap=everybody.during(during) > own.during(during),
        margin=min((patch.margin for patch in voices if patch.margin is not None), default=None),
        review=tuple(dict.fromkeys(reason for patch in patches for reason in patch.review)),
    )
