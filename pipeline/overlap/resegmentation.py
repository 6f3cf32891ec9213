"""Who speaks when? A diarizer's guess around overlaps and changes of speaker, corrected by the voices of the recording itself.

Two voices at once resemble neither, and a turn's first and last word is short: there a diarizer takes one person for another
far more often than elsewhere. What each person's own speech from elsewhere explains of the sound tells them apart.

found    A |=========|        C alone elsewhere
         B      |============|
shares A    .9 .8 .4 .0 .0 .0
       B    .0 .0 .0 .0 .4 .9
       C    .0 .1 .4 .9 .5 .0
->       A |======|
         C      |========|
         B           |=======|
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn, timeline
from meetsplit.pipeline.overlap.regions import Piece
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.protocols import SpeakerActivity, Unseparated

ENOUGH = 8.0
"""Seconds of clean speech from elsewhere from which a person's shares are believed; with less, a short call came out worse."""

KNOWN_AT_MOST = 60.0
"""Seconds of clean speech of one person that are listened for."""

REACH = 1.0
"""Seconds before and after a change of speaker, or an overlap, in which the diarizer's word is doubted."""

WINDOW = 5.0
"""Seconds listened to at once, at most."""

CONTEXT = 0.3
"""Seconds heard beyond a window on both sides."""

BLOCK = 0.1
"""Seconds that get their own shares."""

CLEARLY = 2.7
"""How many times the share of the person who was named another one must have."""

FLOOR = 0.01
"""Shares below are as good as none: how far below tells nothing."""

SWITCH = 3.0
"""What a person's beginning or end costs, as a fall in the log of a share that lasts for a block."""

CANDIDATES = 4
"""People besides those named who are listened for: those who speak nearest in time."""

Enrollment: TypeAlias = Mapping[Speaker, Sequence[Audio]]


@dataclass(frozen=True, slots=True)
class _Step:
    """A moment, and how well each set of people fits who may be speaking in it; where nothing is in doubt, those named alone."""

    span: Span
    fits: Mapping[tuple[Speaker, ...], float]


def resegment(recording: Audio, turns: Sequence[Turn], listener: SpeakerActivity) -> tuple[Turn, ...]:
    """The turns, sorted, with one person in place of another where the sound clearly says so.

    Only in overlaps and within `REACH` of an edge of a turn. At no moment do more or fewer people speak than before, and
    whoever has hardly any clean speech elsewhere neither loses nor wins a word.
    """
    held = timeline.inside(turns, recording.span)
    speech, pieces = timeline.by_speaker(held), timeline.activity(held)
    clean = {speaker: clean_speech(recording, turns, speaker, KNOWN_AT_MOST) for speaker in speech}
    enrollment = {speaker: tuple(resample(clip, listener.rate) for clip in clips) for speaker, clips in clean.items()}
    doubted = _doubted(pieces)
    steps = [
        _Step(span, {people: 0.0})
        for piece, people in pieces
        for span in timeline.gaps(timeline.during(doubted, piece), piece)
    ]
    for window in doubted:
        first = bisect_right(pieces, window.start, key=lambda piece: piece[0].end)
        near = pieces[first : bisect_left(pieces, window.end, lo=first, key=lambda piece: piece[0].start)]
        inside = tuple((span, people) for piece, people in near for span in timeline.crop([piece], window))
        steps += _listened(recording, inside, speech, enrollment, listener)
    steps.sort(key=lambda step: step.span)
    heard = [
        Turn(step.span, speaker)
        for run in _runs(steps)
        for step, people in zip(run, _likeliest(run), strict=True)
        for speaker in people
    ]
    return tuple(sorted(Turn(span, speaker) for speaker, own in timeline.by_speaker(heard).items() for span in own))


def _doubted(pieces: Sequence[Piece]) -> tuple[Span, ...]:
    """Overlaps and what is near an edge of a turn, in windows."""
    edges = [Span(max(edge - REACH, 0.0), edge + REACH) for span, _ in pieces for edge in (span.start, span.end)]
    near = timeline.support([*edges, *(span for span, people in pieces if len(people) > 1)])
    return tuple(part for span in near for part in _cut(span, WINDOW))


def _cut(span: Span, longest: float) -> list[Span]:
    """The span in as few parts of one length as keep to the longest."""
    count = max(math.ceil(span.duration / longest - 1e-6), 1)
    edges = [span.start, *(span.start + span.duration * number / count for number in range(1, count)), span.end]
    return [Span(first, last) for first, last in itertools.pairwise(edges) if first < last]


def _listened(
    recording: Audio,
    pieces: Sequence[Piece],
    speech: Mapping[Speaker, Sequence[Span]],
    enrollment: Enrollment,
    listener: SpeakerActivity,
) -> list[_Step]:
    """The steps of one window, from what the listener makes of it."""
    believed = [_Step(span, {people: 0.0}) for span, people in pieces]
    if not pieces:
        return believed
    window = Span(pieces[0][0].start, pieces[-1][0].end)
    mixture = resample(recording.crop(Span(max(window.start - CONTEXT, 0.0), window.end + CONTEXT)), listener.rate)
    told = {speaker for speaker, clips in enrollment.items() if _elsewhere(clips, mixture.span) >= ENOUGH}
    named = {speaker for _, people in pieces for speaker in people} & told
    others = sorted(told - named, key=lambda speaker: (_distance(speech[speaker], window), speaker))[:CANDIDATES]
    if not named or len(named) + len(others) < 2:
        return believed
    try:
        likelihoods = listener.estimate(
            mixture, {speaker: enrollment[speaker] for speaker in (*sorted(named), *others)}, BLOCK
        )
    except Unseparated:  # somebody's clean speech is silence: nothing is known, and the diarizer is believed
        return believed
    return [
        _step(part, people, likelihoods, int((part.start + part.end - 2 * mixture.start) / 2 / BLOCK))
        if told.issuperset(people)
        else _Step(part, {people: 0.0})
        for span, people in pieces
        for part in _cut(span, BLOCK)
    ]


def _step(span: Span, named: tuple[Speaker, ...], likelihoods: Mapping[Speaker, Samples], block: int) -> _Step:
    """Sets as large as the one named, each with the logs of its shares, and of `CLEARLY` for everybody named."""
    logs = {speaker: math.log(max(float(row[min(block, len(row) - 1)]), FLOOR)) for speaker, row in likelihoods.items()}
    liked = {speaker: log + (math.log(CLEARLY) if speaker in named else 0.0) for speaker, log in logs.items()}
    weight = span.duration / BLOCK
    sets = itertools.combinations(sorted(liked), len(named))
    return _Step(span, {people: weight * sum(liked[speaker] for speaker in people) for people in sets})


def _runs(steps: Sequence[_Step]) -> Iterator[list[_Step]]:
    """The steps in groups without silence between."""
    run: list[_Step] = []
    for step in steps:
        if run and run[-1].span.end < step.span.start:
            yield run
            run = []
        run.append(step)
    if run:
        yield run


def _likeliest(run: Sequence[_Step]) -> list[tuple[Speaker, ...]]:
    """Who speaks in each step, so that fits, less `SWITCH` for every beginning and end, are best in all (Viterbi, 1967)."""
    best = dict(run[0].fits)
    before: list[Mapping[tuple[Speaker, ...], tuple[Speaker, ...]]] = []
    for earlier, step in itertools.pairwise(run):
        came: dict[tuple[Speaker, ...], tuple[Speaker, ...]] = {}
        reached: dict[tuple[Speaker, ...], float] = {}
        for people, fit in step.fits.items():
            came[people] = max(earlier.fits, key=lambda those: best[those] - _switched(those, people))
            reached[people] = fit + best[came[people]] - _switched(came[people], people)
        before.append(came)
        best = reached
    path = [max(best, key=lambda people: best[people])]
    for origin in reversed(before):
        path.append(origin[path[-1]])
    return path[::-1]


def _switched(those: tuple[Speaker, ...], people: tuple[Speaker, ...]) -> float:
    return SWITCH * len(set(those) ^ set(people)) if those != people else 0.0


def _elsewhere(clips: Sequence[Audio], where: Span) -> float:
    """Seconds of the clips outside of a span."""
    return sum(part.duration for clip in clips for part in timeline.subtract([clip.span], [where]))


def _distance(spans: Sequence[Span], where: Span) -> float:
    """Seconds from a stretch to the nearest of a speaker's sorted, disjoint spans."""
    after = bisect_left(spans, where.end, key=lambda span: span.start)
    near = spans[max(after - 1, 0) : after + 1]
    return min((max(span.start - where.end, where.start - span.end, 0.0) for span in near), default=math.inf)
