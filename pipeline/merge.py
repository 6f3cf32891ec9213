"""Merging: the words of all speakers' streams become segments of one speaker each, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from meetsplit.pipeline.data import (
    ClipTranscript,
    DroppedText,
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

MIN_COMMON_SHARE = 0.5
"""Share of the shorter of two words that both must cover to be the same moment."""

TIMING_SLACK = 0.02
"""Seconds by which two words that follow each other may overlap because their times are not exact."""

UNCERTAIN = "uncertain-speaker"
"""The review reason of a segment whose speaker's turns are less certain than `LEAST_CONFIDENCE`."""

LEAST_CONFIDENCE = 0.6
"""Least confidence of turns at which a segment is believed to be its speaker's (docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Where one segment ends and the next begins, in seconds.

    After a silence longer than ``pause``; after the end of a sentence and a silence of at least ``breath``; and at the
    longest silence in its middle half where a segment would be longer than ``longest``.
    """

    pause: float = 1.0
    breath: float = 0.25
    longest: float = 20.0


@dataclass(frozen=True, slots=True)
class _StreamWord:
    """A word with the language and review reasons of its clip and the patches of the stream that it touches."""

    word: Word
    language: str | None
    patches: tuple[OverlapResult, ...]
    review: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        return self.word.span


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip of a stream and its words, in order."""

    info: StreamInfo
    words: list[_StreamWord]


@dataclass(frozen=True, slots=True)
class _SharedStretch:
    """Time that two neighbouring clips of one speaker share; words centred before ``cut`` are the earlier clip's."""

    span: Span
    cut: float


def merge(
    transcripts: Sequence[tuple[Stream | StreamInfo, ClipTranscript]],
    turns: Sequence[Turn],
    within: Span,
    *,
    options: SegmentOptions = SegmentOptions(),
) -> tuple[Segment, ...]:
    """Segments sorted by start, from the words of each clip of a stream; clips in any order.

    Every word is kept once. Its times are held inside its clip, that is its turns with their padding, and inside
    ``within``; a word that lies outside of them altogether is left out. Where a long turn was cut, two clips share a
    moment and the words in it may have been transcribed in both: one speaker does not say two words at once, so of
    words that cover each other one set is kept, that of the clip which the moment belongs to.

    ``overlap`` is whether another speaker has a turn during the segment; ``source``, ``margin`` and ``review`` come
    from the patches that its words touch, ``review`` from its clips and from uncertain turns (`UNCERTAIN`) as well.
    """
    clips: dict[Speaker, list[_Clip]] = {}
    for stream, transcript in transcripts:
        info = stream.info if isinstance(stream, Stream) else stream
        clips.setdefault(info.speaker, []).append(_Clip(info, list(_words_inside(info, transcript, within))))
    spans = timeline.by_speaker(turns)
    all_turns = timeline.Counter(span for own in spans.values() for span in own)
    segments: list[Segment] = []
    for speaker, own_clips in clips.items():
        own_turns = timeline.Counter(spans.get(speaker, ()))
        words = _join_clips(sorted(own_clips, key=lambda clip: clip.info.span))
        parts = [_segment(speaker, part, all_turns, own_turns) for part in _split_into_segments(words, options)]
        segments += _with_uncertain(parts, sorted(turn for turn in turns if turn.speaker == speaker))
    return tuple(sorted(segments, key=lambda segment: (segment.span, segment.speaker)))


def with_dropped(
    segments: Sequence[Segment], transcripts: Sequence[tuple[Stream | StreamInfo, ClipTranscript]]
) -> tuple[tuple[Segment, ...], tuple[tuple[Speaker, DroppedText], ...]]:
    """The segments with the reasons for which text near them was dropped, and the dropped texts that none is near to.

    A dropped text is near to the closest segment of its speaker that shares time with its clip.
    """
    reasons: dict[int, list[str]] = {}
    alone: list[tuple[Speaker, DroppedText]] = []
    for stream, transcript in transcripts:
        for text in transcript.dropped:
            near = [
                (max(segment.start - text.end, text.start - segment.end, 0.0), number)
                for number, segment in enumerate(segments)
                if segment.speaker == stream.speaker and _touches(segment.span, stream.span)
            ]
            if near:
                reasons.setdefault(min(near)[1], []).append(text.reason)
            else:
                alone.append((stream.speaker, text))
    reviewed = tuple(
        replace(segment, review=tuple(dict.fromkeys((*segment.review, *reasons.get(number, ())))))
        if number in reasons
        else segment
        for number, segment in enumerate(segments)
    )
    return reviewed, tuple(alone)


def _words_inside(info: StreamInfo, transcript: ClipTranscript, within: Span) -> Iterator[_StreamWord]:
    """The words with their times held inside the clip and the recording."""
    first, last = max(info.span.start, within.start), min(info.span.end, within.end)
    for word in transcript.words:
        if word.span.end < first or word.span.start > last or not word.text:
            continue
        span = Span(max(word.span.start, first), min(word.span.end, last))
        patches = tuple(patch for patch in info.patches if _touches(span, patch.span))
        yield _StreamWord(Word(span, word.text, word.confidence), transcript.language, patches, transcript.review)


def _touches(word: Span, other: Span) -> bool:
    """Whether they share time, or a word without length lies inside."""
    if word.start == word.end:
        return other.start <= word.start < other.end
    return word.start < other.end and other.start < word.end


def regroup(words: Mapping[Speaker, Sequence[tuple[Word, Segment]]], turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """Segments sorted by start, from words by speaker, each with the segment that it was in before.

    A word brings along what was known of its segment: language, source, margin and review reasons.
    """
    spans = timeline.by_speaker(turns)
    all_turns = timeline.Counter(span for own in spans.values() for span in own)
    segments: list[Segment] = []
    for speaker, own_words in words.items():
        own_turns = timeline.Counter(spans.get(speaker, ()))
        known = [_StreamWord(word, before.language, (_as_result(before),)) for word, before in own_words]
        known.sort(key=lambda word: word.span)
        segments += [_segment(speaker, part, all_turns, own_turns) for part in _split_into_segments(known)]
    return tuple(sorted(segments, key=lambda segment: (segment.span, segment.speaker)))


def _as_result(segment: Segment) -> OverlapResult:
    return OverlapResult(segment.span, (segment.speaker,), segment.source, segment.margin, segment.review)


# Words that two clips share


def _join_clips(clips: Sequence[_Clip]) -> list[_StreamWord]:
    """All words of one speaker's sorted clips, those at cuts once, sorted by start."""
    joined: list[_StreamWord] = []
    earlier: _Clip | None = None
    for clip in clips:
        later = clip
        if earlier is not None:
            shared = _shared_stretch(earlier.info, clip.info)
            earlier_words = earlier.words
            if shared is not None:
                earlier_words, later_words = _resolve_shared_words(earlier.words, clip.words, shared)
                later = _Clip(clip.info, later_words)
            joined += earlier_words
        earlier = later
    if earlier is not None:
        joined += earlier.words
    return sorted(joined, key=lambda word: word.span)


def _shared_stretch(earlier: StreamInfo, later: StreamInfo) -> _SharedStretch | None:
    """The time that two clips share, if any; cut between the turns of the one and of the other."""
    if earlier.span.end <= later.span.start:
        return None
    span = Span(later.span.start, min(earlier.span.end, later.span.end))
    if earlier.turns and later.turns:
        return _SharedStretch(span, (earlier.turns[-1].end + later.turns[0].start) / 2)
    return _SharedStretch(span, span.start)


def _resolve_shared_words(
    earlier: list[_StreamWord], later: list[_StreamWord], shared: _SharedStretch
) -> tuple[list[_StreamWord], list[_StreamWord]]:
    """Both clips' words without those that were transcribed in both.

    Words of the two clips that are the same moment are linked, and linked words form connected components. Of a
    component centred before the cut the earlier clip's words stay, otherwise the later clip's.

    earlier      …|budget| |for| |ne        (its sound ends here)
    later              |get| |for| |next|…
    components     \\1/      \\2/    \\3/
    """
    words = [*earlier, *later]
    left = [at for at, word in enumerate(earlier) if _touches(word.span, shared.span)]
    right = [at for at, word in enumerate(later, len(earlier)) if _touches(word.span, shared.span)]
    components = _DisjointSets(len(words))
    for a in left:
        for b in right:
            if _same_moment(words[a].span, words[b].span, shared.span):
                components.union(a, b)
    dropped: set[int] = set()
    for component in components.of_several():
        spans = [words[at].span for at in component]
        centre = (min(span.start for span in spans) + max(span.end for span in spans)) / 2
        keep_earlier = centre < shared.cut
        dropped.update(at for at in component if (at < len(earlier)) != keep_earlier)
    return (
        [word for at, word in enumerate(earlier) if at not in dropped],
        [word for at, word in enumerate(later, len(earlier)) if at not in dropped],
    )


class _DisjointSets:
    """Union-find over the numbers below ``count`` (Galler and Fischer, 1964), with path halving."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def union(self, a: int, b: int) -> None:
        """Put the sets of two numbers together."""
        self._parents[self._root(a)] = self._root(b)

    def of_several(self) -> list[list[int]]:
        """The sets of two and more numbers."""
        sets: dict[int, list[int]] = {}
        for number in range(len(self._parents)):
            sets.setdefault(self._root(number), []).append(number)
        return [members for members in sets.values() if len(members) > 1]

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _same_moment(a: Span, b: Span, shared: Span) -> bool:
    """Whether two words, as far as both clips hold them, cover each other by `MIN_COMMON_SHARE` of the shorter.

    Neighbours may cover each other by as little as times are wrong; where a cut leaves only a sliver of a word, that
    is more than half of it and still no reason to take two words for one.
    """
    a_start, a_end = max(a.start, shared.start), min(a.end, shared.end)
    b_start, b_end = max(b.start, shared.start), min(b.end, shared.end)
    common = min(a_end, b_end) - max(a_start, b_start)
    least = min(TIMING_SLACK, a.duration, b.duration)
    return common >= least and common >= MIN_COMMON_SHARE * min(a_end - a_start, b_end - b_start)


# Segments


def _split_into_segments(
    words: Sequence[_StreamWord], options: SegmentOptions = SegmentOptions()
) -> list[list[_StreamWord]]:
    """The words of one speaker, one list per segment."""
    segments: list[list[_StreamWord]] = []
    for word in words:
        if segments and not _begins_segment(word, segments[-1], options):
            segments[-1].append(word)
        else:
            segments.append([word])
    return [part for segment in segments for part in _split_long(segment, options.longest)]


def _begins_segment(word: _StreamWord, segment: Sequence[_StreamWord], options: SegmentOptions) -> bool:
    """Whether a segment ends before ``word``."""
    silence = word.span.start - max(earlier.span.end for earlier in segment[-8:])
    sentence_ended = segment[-1].word.text.rstrip("\"'”’»)")[-1:] in SENTENCE_ENDS
    language_changes = segment[-1].language != word.language
    return language_changes or silence > options.pause or (sentence_ended and silence >= options.breath)


def _split_long(segment: list[_StreamWord], longest: float) -> list[list[_StreamWord]]:
    """The segment in parts of at most ``longest``, split at the longest silence in the middle half, recursively."""
    start, end = segment[0].span.start, max(word.span.end for word in segment)
    if end - start <= longest or len(segment) == 1:
        return [segment]
    quarter = (end - start) / 4
    middle = [at for at in range(1, len(segment)) if start + quarter <= segment[at].span.start <= end - quarter]
    if not middle:
        middle = [len(segment) // 2]
    split = max(middle, key=lambda at: segment[at].span.start - segment[at - 1].span.end)
    return [*_split_long(segment[:split], longest), *_split_long(segment[split:], longest)]


def _segment(
    speaker: Speaker, words: Sequence[_StreamWord], all_turns: timeline.Counter, own_turns: timeline.Counter
) -> Segment:
    """The segment of these words, with what is known of the patches that they touch."""
    patches = dict.fromkeys(patch for word in words for patch in word.patches)
    voices = [patch for patch in patches if patch.source == "separated"]
    span = Span(words[0].span.start, max(word.span.end for word in words))
    return Segment(
        speaker,
        tuple(word.word for word in words),
        words[0].language,
        source="separated" if voices else "mixture",
        overlap=all_turns.during(span) > own_turns.during(span),
        margin=min((patch.margin for patch in voices if patch.margin is not None), default=None),
        review=tuple(dict.fromkeys([*_reasons(patches), *_reasons(words)])),
    )


def _with_uncertain(segments: Iterable[Segment], turns: Sequence[Turn]) -> Iterator[Segment]:
    """The segments of one speaker, with the reason `UNCERTAIN` where the speaker's ``turns`` are."""
    for segment in segments:
        confidence = timeline.confidence(turns, segment.span)
        is_uncertain = confidence is not None and confidence < LEAST_CONFIDENCE
        yield replace(segment, review=(*segment.review, UNCERTAIN)) if is_uncertain else segment


def _reasons(parts: Iterable[OverlapResult | _StreamWord]) -> Iterator[str]:
    """The review reasons of patches or words."""
    return (reason for part in parts for reason in part.review)
