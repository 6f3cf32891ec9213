"""Which stretches of whose stream are cut, and which of them have to be taken apart: pure arithmetic on turns.

A        |--------------|      |----|                 own turns
B                    |-----|               |----|
clip A  |---------------|~~~~~~                       ~ no padding: B speaks
                           clip A |------|            padding only where nobody else speaks
region               |--|                             both speak: separated once, for A and for B
heard               |----|                            what the separator hears: context on both sides
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meetsplit.pipeline.data import Span, Speaker, Turn, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings import Separate

Piece: TypeAlias = tuple[Span, tuple[Speaker, ...]]
"""A stretch in which exactly these people speak."""

Quiet: TypeAlias = Callable[[Span], float]
"""A good moment for a cut inside a span."""


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """How streams are cut; all lengths in seconds.

    ``separate`` says where voices are taken apart ("auto": where "overlaps" does; short voices are verified as well).
    A speaker's turns are joined over silences of at most ``join``; a clip is at most ``longest`` without its padding
    (Whisper's window is 30 s) and gets ``padding`` on both sides, or more until it lasts ``shortest``, where nobody else
    speaks. Overlaps of the same people at most ``near`` apart are separated together, at most ``window`` at a time, with
    ``context`` on both sides.
    """

    separate: Separate = "overlaps"
    join: float = 0.6
    longest: float = 28.0
    shortest: float = 1.0
    padding: float = 0.25
    near: float = 0.3
    window: float = 15.0
    context: float = 0.25
    reach: float = 0.0

    def __post_init__(self) -> None:
        if min(self.join, self.shortest, self.padding, self.near, self.context, self.reach) < 0:
            raise SettingsError("lengths for cutting streams are not negative")
        if self.longest < 1 or self.window < 1:
            raise SettingsError("clips and separation windows last at least 1 s")


@dataclass(frozen=True, slots=True)
class Clip:
    """One stretch of one speaker's stream: ``span`` with its padding, and the speaker's own ``turns`` in it."""

    span: Span
    speaker: Speaker
    turns: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch to take apart in one go into the voices of ``speakers`` (sorted).

    ``heard`` is ``span`` with its context. ``pieces`` are the stretches in which voices are wanted, sorted, each with
    the speakers whose voices they are.
    """

    span: Span
    speakers: tuple[Speaker, ...]
    heard: Span
    pieces: tuple[Piece, ...]

    def wanted(self, speaker: Speaker) -> tuple[Piece, ...]:
        """The pieces in which ``speaker``'s voice is wanted."""
        return tuple(piece for piece in self.pieces if speaker in piece[1])


@dataclass(frozen=True, slots=True)
class Plan:
    """``clips`` sorted by start, then speaker; ``regions`` sorted, without shared time."""

    clips: tuple[Clip, ...]
    regions: tuple[Region, ...]


def middle(span: Span) -> float:
    """The moment for a cut where nothing is known about the sound."""
    return (span.start + span.end) / 2


def plan(turns: Sequence[Turn], within: Span, *, cutting: RegionOptions, quiet: Quiet = middle) -> Plan:
    """Clips that cover every speaker's turns exactly once, and the regions to take apart.

    Only the parts of the turns inside ``within`` count. ``quiet`` is asked for a moment to cut where a speaker has no
    pause for ``longest`` seconds.
    """
    turns = timeline.inside(turns, within)
    spans = timeline.by_speaker(turns)
    edges = _reached(timeline.activity(turns), cutting) if cutting.separate in ("overlaps", "auto") else {}
    clips: list[Clip] = []
    everybody = timeline.support(turn.span for turn in turns)
    for speaker, own in spans.items():
        groups = [_capped(group, cutting.longest, quiet) for group in _joined(own, everybody, cutting.join)]
        for number, parts in enumerate(groups):
            free = Span(
                middle(Span(groups[number - 1][-1][-1].end, parts[0][0].start)) if number else within.start,
                middle(Span(parts[-1][-1].end, groups[number + 1][0][0].start))
                if number + 1 < len(groups)
                else within.end,
            )
            for part in parts:
                span = _padded(part, everybody, own, free, cutting)
                first, last = edges.get((speaker, part[0].start), span), edges.get((speaker, part[-1].end), span)
                clips.append(Clip(Span(min(span.start, first.start), max(span.end, last.end)), speaker, part))
    return Plan(
        tuple(sorted(clips, key=lambda clip: (clip.span.start, clip.speaker))), _regions(turns, within, cutting, edges)
    )


def _reached(
    activity: Sequence[tuple[Span, tuple[Speaker, ...]]], cutting: RegionOptions
) -> dict[tuple[Speaker, float], Span]:
    """For edges of turns inside one other person's turn: how far the voice is wanted beyond, by speaker and moment of the edge.

    At most half of the time until the next change, so that nothing is wanted twice.
    """
    found: dict[tuple[Speaker, float], Span] = {}
    for before, after in itertools.pairwise(activity):
        if before[0].end != after[0].start or {len(before[1]) == 1, len(after[1]) == 1} != {True, False}:
            continue
        edge = after[0].start
        (alone, one), (_, several) = (before, after) if len(before[1]) == 1 else (after, before)
        half = middle(alone)
        span = (
            Span(max(edge - cutting.reach, half), edge)
            if alone is before[0]
            else Span(edge, min(edge + cutting.reach, half))
        )
        if span.duration > 0 and set(one) < set(several):
            found |= {(speaker, edge): span for speaker in several if speaker not in one}
    return found


def _joined(own: Sequence[Span], everybody: Sequence[Span], gap: float) -> list[tuple[Span, ...]]:
    """A speaker's turns in groups: over gaps of at most ``gap`` in which nobody else speaks; ``everybody`` is all speech."""
    groups: list[list[Span]] = []
    for span in own:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and span.start - last.end <= gap
            and not timeline.during(everybody, Span(last.end, span.start))
        ):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [tuple(group) for group in groups]


def _capped(group: tuple[Span, ...], longest: float, quiet: Quiet) -> list[tuple[Span, ...]]:
    """The group in parts of at most ``longest``, cut at the longest pause in reach, else at a quiet moment.

    The reach is the second half of what is allowed, and leaves at least a second for the last part.
    """
    parts: list[tuple[Span, ...]] = []
    # What is left is ``head``, which may be the rest of a turn, and the turns behind the ``first``. A group may have very many.
    first, head, end = 0, group[0], group[-1].end
    while end - head.start > longest:
        start = head.start
        reach = Span(start + longest / 2, min(start + longest, max(end - 1.0, start + longest / 2)))
        near = (head, *group[first + 1 : bisect_right(group, reach.end, lo=first + 1, key=lambda span: span.start)])
        pauses = [
            Span(a.end, b.start) for a, b in itertools.pairwise(near) if reach.start <= a.end and b.start <= reach.end
        ]
        if pauses:
            cut = max(pauses, key=lambda pause: (pause.duration, pause.start)).start
        else:
            cut = min(max(quiet(reach), reach.start), reach.end)
        at = bisect_right(group, cut, lo=first, key=lambda span: span.end)
        whole = (head, *group[first + 1 : at]) if at > first else ()
        divided = group[at] if at > first else head
        parts.append((*whole, *timeline.crop([divided], Span(start, cut))))
        first, head = at, Span(max(divided.start, cut), divided.end)
    return [*parts, (head, *group[first + 1 :])]


def _padded(
    part: tuple[Span, ...], everybody: Sequence[Span], own: Sequence[Span], free: Span, cutting: RegionOptions
) -> Span:
    """The part with its padding: inside ``free`` and never into where only others speak."""
    start, end = part[0].start, part[-1].end
    padding = max(cutting.padding, (cutting.shortest - (end - start)) / 2)
    first, last = max(start - padding, free.start), min(end + padding, free.end)
    before, after = (
        timeline.subtract(timeline.crop(timeline.during(everybody, beside), beside), timeline.during(own, beside))
        for beside in (Span(first, start), Span(end, last))
    )
    return Span(before[-1].end if before else first, after[0].start if after else last)


def _regions(
    turns: Sequence[Turn], within: Span, cutting: RegionOptions, edges: Mapping[tuple[Speaker, float], Span]
) -> tuple[Region, ...]:
    """Runs of pieces for the same people, near one another, with nobody else speaking between.

    A piece with a constant set of speakers is a region of its own, because a separator for two voices can then do its
    two-voice pieces, and no voice is looked for where its owner is silent.
    """
    if cutting.separate == "off":
        return ()
    everywhere = cutting.separate == "everywhere"
    wanted = (
        _neighbours(turns) if everywhere else [(*p, p[1] if len(p[1]) > 1 else ()) for p in timeline.activity(turns)]
    )
    runs: list[tuple[tuple[Speaker, ...], list[Piece]]] = []
    interrupted = False
    for span, active, company in wanted:
        if not company:
            interrupted = interrupted or not runs or not set(active) <= set(runs[-1][0])
        elif (
            runs and not interrupted and runs[-1][0] == company and span.start - runs[-1][1][-1][0].end <= cutting.near
        ):
            runs[-1][1].append((span, active))
        else:
            runs.append((company, [(span, active)]))
            interrupted = False
    return tuple(
        region for speakers, pieces in runs for region in _windows(speakers, _reaching(pieces, edges), within, cutting)
    )


def _reaching(pieces: Sequence[Piece], edges: Mapping[tuple[Speaker, float], Span]) -> list[Piece]:
    """The pieces, and beyond their edges those in which a voice is wanted whose turn has not begun yet, or is over."""
    beyond: dict[Span, tuple[Speaker, ...]] = {}
    for span, active in pieces:
        for speaker in active:
            for edge in (span.start, span.end):
                reached = edges.get((speaker, edge))
                if reached is not None and len(active) > 1:
                    beyond[reached] = tuple(sorted({*beyond.get(reached, ()), speaker}))
    return sorted([*pieces, *beyond.items()])


def _neighbours(turns: Sequence[Turn]) -> list[tuple[Span, tuple[Speaker, ...], tuple[Speaker, ...]]]:
    """Every piece of speech with its company: those who speak, or the one who does and the nearest other, if any."""
    pieces = timeline.activity(turns)
    found: list[tuple[Span, tuple[Speaker, ...], tuple[Speaker, ...]]] = []
    before, after = _others([active for _, active in pieces])
    for number, (span, active) in enumerate(pieces):
        company = active
        if len(active) == 1:
            earlier = pieces[before[number]] if before[number] >= 0 else None
            later = pieces[after[number]] if after[number] < len(pieces) else None
            near = (
                [(later[0].start - span.end, speaker) for speaker in later[1] if speaker not in active] if later else []
            )
            near += (
                [(span.start - earlier[0].end, speaker) for speaker in earlier[1] if speaker not in active]
                if earlier
                else []
            )
            company = tuple(sorted((*active, min(near)[1]))) if near else ()
        found.append((span, active, company))
    return found


def _others(active: Sequence[tuple[Speaker, ...]]) -> tuple[list[int], list[int]]:
    """For every piece, the nearest before and the nearest after it in which other people speak; -1 and the count for none."""
    before, after = list(range(-1, len(active) - 1)), list(range(1, len(active) + 1))
    for number in range(1, len(active)):
        if active[number - 1] == active[number]:
            before[number] = before[number - 1]
    for number in range(len(active) - 2, -1, -1):
        if active[number + 1] == active[number]:
            after[number] = after[number + 1]
    return before, after


def _windows(
    speakers: tuple[Speaker, ...], pieces: Sequence[Piece], within: Span, cutting: RegionOptions
) -> list[Region]:
    """The run as one region, or as several of equal length where it is longer than the window."""
    start, end = pieces[0][0].start, pieces[-1][0].end
    count = math.ceil((end - start) / cutting.window)
    edges = [start, *(start + (end - start) * number / count for number in range(1, count)), end]
    regions: list[Region] = []
    for first, last in itertools.pairwise(edges):
        at = bisect_right(pieces, first, key=lambda piece: piece[0].end)
        near = pieces[at : bisect_left(pieces, last, lo=at, key=lambda piece: piece[0].start)]
        inside = [(timeline.intersection(piece, Span(first, last)), active) for piece, active in near]
        kept = tuple((piece, active) for piece, active in inside if piece is not None)
        if kept:
            span = Span(kept[0][0].start, kept[-1][0].end)
            heard = Span(max(span.start - cutting.context, within.start), min(span.end + cutting.context, within.end))
            regions.append(Region(span, speakers, heard, kept))
    return regions
