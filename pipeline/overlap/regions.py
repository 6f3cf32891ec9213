"""Clips and overlap regions: how each speaker's stream is cut, and what is separated. Pure arithmetic on turns.

A        |--------------|      |----|                 own turns
B                    |-----|               |----|
clip A  |---------------|~~~~~~                       ~ no padding: B speaks
                           clip A |------|            padding only where no other speaker is active
region               |--|                             both speak: separated once, for A and for B
input               |----|                            the separator's input: context on both sides
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meetsplit.pipeline.data import Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings import Separate

Speakers: TypeAlias = tuple[Speaker, ...]
"""A set of speakers, as a sorted tuple."""

CutPoint: TypeAlias = Callable[[Span], float]
"""Chooses the moment for a cut inside a span."""


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """How streams are cut; all lengths in seconds.

    ``separate`` says where voices are separated ("auto": where "overlaps" does; short voices are verified as well).
    A speaker's turns are joined over silences of at most ``join``; a clip is at most ``longest`` without its padding
    (Whisper's window is 30 s) and gets ``padding`` on both sides, or more until it lasts ``shortest``, where no other
    speaker is active. Overlaps of the same speakers at most ``merge_gap`` apart are separated together, at most
    ``window`` at a time, with ``context`` on both sides. A voice is separated up to ``boundary_extension`` beyond a
    boundary of its turn that lies inside another speaker's turn.
    """

    separate: Separate = "overlaps"
    join: float = 0.6
    longest: float = 28.0
    shortest: float = 1.0
    padding: float = 0.25
    merge_gap: float = 0.3
    window: float = 15.0
    context: float = 0.25
    boundary_extension: float = 0.0

    def __post_init__(self) -> None:
        lengths = (self.join, self.shortest, self.padding, self.merge_gap, self.context, self.boundary_extension)
        if min(lengths) < 0:
            raise SettingsError("lengths for cutting streams are not negative")
        if self.longest < 1 or self.window < 1:
            raise SettingsError("clips and separation windows last at least 1 s")


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """A stretch in which exactly these ``speakers`` are active."""

    span: Span
    speakers: Speakers


@dataclass(frozen=True, slots=True)
class Clip:
    """One stretch of one speaker's stream: ``span`` with its padding, and the speaker's own ``turns`` in it."""

    span: Span
    speaker: Speaker
    turns: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch to separate in one go into the voices of ``speakers`` (sorted).

    ``input_span`` is ``span`` with its context, the separator's input. ``pieces`` are the stretches whose voices are
    used, sorted, each with the speakers whose voices they are.
    """

    span: Span
    speakers: Speakers
    input_span: Span
    pieces: tuple[Piece, ...]

    def pieces_of(self, speaker: Speaker) -> tuple[Piece, ...]:
        """The pieces in which ``speaker``'s voice is used."""
        return tuple(piece for piece in self.pieces if speaker in piece.speakers)


@dataclass(frozen=True, slots=True)
class Plan:
    """``clips`` sorted by start, then speaker; ``regions`` sorted, without shared time."""

    clips: tuple[Clip, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class _Boundary:
    """The moment at which a turn of ``speaker`` begins or ends."""

    speaker: Speaker
    time: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A piece with the speaker ``group`` whose voices would be separated in it; empty where nothing is separated."""

    piece: Piece
    group: Speakers


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive ``pieces`` to separate into the voices of the same speaker ``group``."""

    group: Speakers
    pieces: list[Piece]

    @property
    def end(self) -> float:
        return self.pieces[-1].span.end


_Extensions: TypeAlias = Mapping[_Boundary, Span]
"""The stretch beyond a turn's boundary in which its voice is separated as well."""


def midpoint(span: Span) -> float:
    """The middle of a span: the cut point where the sound is not looked at."""
    return (span.start + span.end) / 2


def split_evenly(span: Span, count: int) -> list[Span]:
    """The span in ``count`` parts of equal length.

    >>> split_evenly(Span(1.0, 2.0), 2)
    [Span(start=1.0, end=1.5), Span(start=1.5, end=2.0)]
    """
    inner = [span.start + (span.end - span.start) * number / count for number in range(1, count)]
    return [Span(start, end) for start, end in itertools.pairwise([span.start, *inner, span.end])]


def plan(turns: Sequence[Turn], within: Span, *, options: RegionOptions, cut_point: CutPoint = midpoint) -> Plan:
    """Clips that cover every speaker's turns exactly once, and the regions to separate.

    Only the parts of the turns inside ``within`` count. ``cut_point`` chooses the moment of a cut where a speaker has
    no pause for ``longest`` seconds.
    """
    turns = timeline.inside(turns, within)
    pieces = [Piece(span, speakers) for span, speakers in timeline.activity(turns)]
    extensions: _Extensions = {}
    if options.separate in ("overlaps", "auto"):
        extensions = _extensions(pieces, options.boundary_extension)
    speech = timeline.support(turn.span for turn in turns)
    clips: list[Clip] = []
    for speaker, own in timeline.by_speaker(turns).items():
        groups = _groups(own, speech, options.join)
        for group, room in zip(groups, _rooms(groups, within), strict=True):
            for part in _split_at_pauses(group, options.longest, cut_point):
                padded = _padded(part, room, own, speech, options)
                clips.append(Clip(_extended(padded, speaker, part, extensions), speaker, part))
    clips.sort(key=lambda clip: (clip.span.start, clip.speaker))
    return Plan(tuple(clips), _regions(pieces, within, options, extensions))


# Clips


def _groups(own: Sequence[Span], speech: Sequence[Span], gap: float) -> list[tuple[Span, ...]]:
    """A speaker's turns in groups, joined over gaps of at most ``gap`` without speech; ``speech`` is all speakers'."""
    groups: list[list[Span]] = []
    for span in own:
        if groups:
            silence = Span(groups[-1][-1].end, span.start)
            if silence.duration <= gap and not timeline.during(speech, silence):
                groups[-1].append(span)
                continue
        groups.append([span])
    return [tuple(group) for group in groups]


def _rooms(groups: Sequence[tuple[Span, ...]], within: Span) -> Iterator[Span]:
    """The stretch that each group's clips may take up: to the midpoints of the gaps between groups."""
    gaps = [Span(before[-1].end, after[0].start) for before, after in itertools.pairwise(groups)]
    edges = [within.start, *(midpoint(gap) for gap in gaps), within.end]
    for start, end in itertools.pairwise(edges):
        yield Span(start, end)


def _split_at_pauses(group: tuple[Span, ...], longest: float, cut_point: CutPoint) -> list[tuple[Span, ...]]:
    """The group in parts of at most ``longest``, cut at the longest pause in range, else inside a turn at a cut point.

    The range of a cut is the second half of what a part may last, and leaves at least a second for the last part.
    """
    parts: list[tuple[Span, ...]] = []
    # Still to be split: ``head``, which may be the rest of a turn, and the turns after index ``first``. An index, since
    # a group may have very many turns, and copying the rest for each part would take quadratic time.
    first, head, end = 0, group[0], group[-1].end
    while end - head.start > longest:
        half = head.start + longest / 2
        cut_range = Span(half, min(head.start + longest, max(end - 1.0, half)))
        last = bisect_right(group, cut_range.end, lo=first + 1, key=lambda span: span.start)
        cut = _cut_in((head, *group[first + 1 : last]), cut_range, cut_point)
        at = bisect_right(group, cut, lo=first, key=lambda span: span.end)
        if at > first:
            whole: tuple[Span, ...] = (head, *group[first + 1 : at])
            divided = group[at]
        else:
            whole, divided = (), head
        parts.append((*whole, *timeline.crop([divided], Span(head.start, cut))))
        first, head = at, Span(max(divided.start, cut), divided.end)
    return [*parts, (head, *group[first + 1 :])]


def _cut_in(turns: Sequence[Span], cut_range: Span, cut_point: CutPoint) -> float:
    """The moment of a cut: where the longest pause between the turns begins, else the cut point inside the range."""
    pauses = [
        Span(before.end, after.start)
        for before, after in itertools.pairwise(turns)
        if cut_range.start <= before.end and after.start <= cut_range.end
    ]
    if pauses:
        return max(pauses, key=lambda pause: (pause.duration, pause.start)).start
    return min(max(cut_point(cut_range), cut_range.start), cut_range.end)


def _padded(
    part: tuple[Span, ...], room: Span, own: Sequence[Span], speech: Sequence[Span], options: RegionOptions
) -> Span:
    """The part with its padding: inside ``room`` and never into where only other speakers are active."""
    start, end = part[0].start, part[-1].end
    padding = max(options.padding, (options.shortest - (end - start)) / 2)
    before, after = Span(max(start - padding, room.start), start), Span(end, min(end + padding, room.end))
    others_before, others_after = _others_speech(before, own, speech), _others_speech(after, own, speech)
    first = others_before[-1].end if others_before else before.start
    last = others_after[0].start if others_after else after.end
    return Span(first, last)


def _others_speech(within: Span, own: Sequence[Span], speech: Sequence[Span]) -> tuple[Span, ...]:
    """Where others than the speaker of the spans ``own`` are active."""
    return timeline.subtract(timeline.crop(timeline.during(speech, within), within), timeline.during(own, within))


def _extended(span: Span, speaker: Speaker, turns: tuple[Span, ...], extensions: _Extensions) -> Span:
    """The clip's span, as far as the extensions of its first and last boundary."""
    before = extensions.get(_Boundary(speaker, turns[0].start), span)
    after = extensions.get(_Boundary(speaker, turns[-1].end), span)
    return Span(min(span.start, before.start), max(span.end, after.end))


# Regions


def _extensions(pieces: Sequence[Piece], length: float) -> dict[_Boundary, Span]:
    """For boundaries inside one other speaker's turn: the stretch beyond, of at most ``length`` seconds.

    At most half of the time until the next change, so that no stretch is used twice.
    """
    extensions: dict[_Boundary, Span] = {}
    for before, after in itertools.pairwise(pieces):
        alone_first = len(before.speakers) == 1
        touching = before.span.end == after.span.start
        if not touching or alone_first == (len(after.speakers) == 1):
            continue
        edge = after.span.start
        if alone_first:
            single, several = before, after
            span = Span(max(edge - length, midpoint(single.span)), edge)
        else:
            single, several = after, before
            span = Span(edge, min(edge + length, midpoint(single.span)))
        if span.duration > 0 and set(single.speakers) < set(several.speakers):
            for speaker in several.speakers:
                if speaker not in single.speakers:
                    extensions[_Boundary(speaker, edge)] = span
    return extensions


def _regions(
    pieces: Sequence[Piece], within: Span, options: RegionOptions, extensions: _Extensions
) -> tuple[Region, ...]:
    """Runs of pieces as regions: the same speaker group, near one another, with no other speaker between.

    A piece with a constant set of speakers is a region of its own, because a separator for two voices can then do its
    two-voice pieces, and no voice is looked for where its speaker is silent.
    """
    if options.separate == "off":
        return ()
    if options.separate == "everywhere":
        candidates = _with_nearest_speaker(pieces)
    else:
        candidates = [_Candidate(piece, piece.speakers if len(piece.speakers) > 1 else ()) for piece in pieces]
    regions: list[Region] = []
    for run in _runs(candidates, options.merge_gap):
        regions += _windows(run.group, _with_extensions(run.pieces, extensions), within, options)
    return tuple(regions)


def _runs(candidates: Sequence[_Candidate], merge_gap: float) -> list[_Run]:
    """Candidates of the same group at most ``merge_gap`` seconds apart, unless another speaker is active between."""
    runs: list[_Run] = []
    interrupted = False
    for candidate in candidates:
        piece, last = candidate.piece, runs[-1] if runs else None
        if not candidate.group:
            interrupted = interrupted or last is None or not set(piece.speakers) <= set(last.group)
            continue
        same_group = last is not None and not interrupted and last.group == candidate.group
        if last is not None and same_group and piece.span.start - last.end <= merge_gap:
            last.pieces.append(piece)
        else:
            runs.append(_Run(candidate.group, [piece]))
            interrupted = False
    return runs


def _with_extensions(pieces: Sequence[Piece], extensions: _Extensions) -> list[Piece]:
    """The pieces, and beyond their boundaries the stretches in which a voice is used outside its turn."""
    beyond: dict[Span, Speakers] = {}
    for piece in pieces:
        if len(piece.speakers) == 1:
            continue
        for speaker in piece.speakers:
            for edge in (piece.span.start, piece.span.end):
                span = extensions.get(_Boundary(speaker, edge))
                if span is not None:
                    beyond[span] = tuple(sorted({*beyond.get(span, ()), speaker}))
    return sorted([*pieces, *(Piece(span, speakers) for span, speakers in beyond.items())])


def _with_nearest_speaker(pieces: Sequence[Piece]) -> list[_Candidate]:
    """Every piece of speech; where one speaker is active, grouped with the other one who is nearest in time, if any."""
    earlier, later = _nearest_others(pieces)
    candidates: list[_Candidate] = []
    for number, piece in enumerate(pieces):
        group = piece.speakers
        if len(group) == 1:
            distances: list[tuple[float, Speaker]] = []
            if earlier[number] >= 0:
                other = pieces[earlier[number]]
                distances += [(piece.span.start - other.span.end, who) for who in other.speakers if who not in group]
            if later[number] < len(pieces):
                other = pieces[later[number]]
                distances += [(other.span.start - piece.span.end, who) for who in other.speakers if who not in group]
            if distances:
                _, nearest = min(distances)
                group = tuple(sorted((*group, nearest)))
            else:
                group = ()
        candidates.append(_Candidate(piece, group))
    return candidates


def _nearest_others(pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
    """For every piece the index of the nearest before and after it with other speakers; -1 and the count for none."""
    count = len(pieces)
    before, after = list(range(-1, count - 1)), list(range(1, count + 1))
    for number in range(1, count):
        if pieces[number - 1].speakers == pieces[number].speakers:
            before[number] = before[number - 1]
    for number in range(count - 2, -1, -1):
        if pieces[number + 1].speakers == pieces[number].speakers:
            after[number] = after[number + 1]
    return before, after


def _windows(group: Speakers, pieces: Sequence[Piece], within: Span, options: RegionOptions) -> list[Region]:
    """The pieces as one region, or as several of equal length where they are longer than the window."""
    whole = Span(pieces[0].span.start, pieces[-1].span.end)
    regions: list[Region] = []
    for window in split_evenly(whole, math.ceil(whole.duration / options.window)):
        first = bisect_right(pieces, window.start, key=lambda piece: piece.span.end)
        last = bisect_left(pieces, window.end, lo=first, key=lambda piece: piece.span.start)
        parts = [(timeline.intersection(piece.span, window), piece.speakers) for piece in pieces[first:last]]
        inside = tuple(Piece(part, speakers) for part, speakers in parts if part is not None)
        if inside:
            span = Span(inside[0].span.start, inside[-1].span.end)
            start, end = span.start - options.context, span.end + options.context
            input_span = Span(max(start, within.start), min(end, within.end))
            regions.append(Region(span, group, input_span, inside))
    return regions
