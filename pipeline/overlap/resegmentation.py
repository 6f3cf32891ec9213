"""Resegmentation: turns around overlaps and speaker changes corrected by how much each frame sounds like each speaker.

Two voices at once resemble neither, and a turn's first and last word is short: there a diarizer takes one speaker for
another far more often than elsewhere. What each speaker's own speech from elsewhere explains of the sound tells them
apart. A hidden Markov model over sets of speakers, decoded with Viterbi's algorithm (Viterbi, 1967):

state        a set of speakers, as many as the diarizer has at that moment
emission     the log of each of its speakers' activity (`SpeakerActivity`), more for those whom the diarizer has
transition   `TRANSITION_COST` for every speaker who begins or ends

turns       A |=========|        C alone elsewhere
            B      |============|
activity    A .9 .8 .4 .0 .0 .0
            B .0 .0 .0 .0 .4 .9
            C .0 .1 .4 .9 .5 .0
->          A |======|
            C      |========|
            B           |=======|
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn, timeline
from meetsplit.pipeline.overlap.regions import Piece, Speakers, split_evenly
from meetsplit.pipeline.overlap.streams import clean_speech
from meetsplit.pipeline.protocols import SpeakerActivity, Unseparated

MIN_ENROLLMENT = 8.0
"""Seconds of clean speech from elsewhere from which a speaker's activity is believed; with less, a short call came out
worse."""

MAX_ENROLLMENT = 60.0
"""Seconds of clean speech of one speaker that activity is estimated from."""

BOUNDARY_CONTEXT = 1.0
"""Seconds before and after a boundary of a turn, and around an overlap, in which turns are corrected."""

WINDOW = 5.0
"""Seconds of sound whose activity is estimated at once, at most."""

CONTEXT = 0.3
"""Seconds of sound beyond a window on both sides."""

FRAME = 0.1
"""Seconds of one frame of the decoder."""

DIARIZER_WEIGHT, DIARIZER_WEIGHT_ALONE = 2.7, 5.0
"""Factor on the activity of speakers whom the diarizer has: another one's must be that many times greater. The second
one is for more than `BOUNDARY_CONTEXT` away from overlaps, where the diarizer hears the change between two voices well.
"""

ACTIVITY_FLOOR = 0.01
"""Activity below is as good as none: how far below tells nothing."""

TRANSITION_COST = 3.0
"""What a speaker's beginning or end costs, as a fall in the log of an activity that lasts for a frame."""

MAX_CANDIDATES = 4
"""Speakers besides those whom the diarizer has in a window: those who speak nearest in time."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A stretch with its states, the sets of speakers who may be active in it, and their emission scores."""

    span: Span
    scores: Mapping[Speakers, float]

    @classmethod
    def fixed(cls, span: Span, speakers: Speakers) -> _Frame:
        """A frame that is not corrected: one state, the diarizer's."""
        return cls(span, {speakers: 0.0})


@dataclass(frozen=True, slots=True)
class _Speech:
    """What is known of each speaker: all ``turns``, and the ``enrollment``, clean speech at the estimator's rate."""

    turns: Mapping[Speaker, Sequence[Span]]
    enrollment: Mapping[Speaker, Sequence[Audio]]

    def enrolled(self, mixture: Span) -> set[Speaker]:
        """The speakers with enough enrollment outside of the mixture."""
        return {
            speaker for speaker, clips in self.enrollment.items() if _seconds_outside(clips, mixture) >= MIN_ENROLLMENT
        }


def resegment(recording: Audio, turns: Sequence[Turn], estimator: SpeakerActivity) -> tuple[Turn, ...]:
    """The turns, sorted, with one speaker in place of another where the sound clearly says so.

    Only in overlaps and within `BOUNDARY_CONTEXT` of a boundary of a turn. At every moment as many speakers are active
    as before, and a speaker with hardly any clean speech elsewhere neither loses nor gains any.
    """
    inside = timeline.inside(turns, recording.span)
    own_turns = timeline.by_speaker(inside)
    clean = {speaker: clean_speech(recording, turns, speaker, MAX_ENROLLMENT) for speaker in own_turns}
    enrollment = {speaker: tuple(resample(clip, estimator.rate) for clip in clips) for speaker, clips in clean.items()}
    speech = _Speech(own_turns, enrollment)
    pieces = [Piece(span, speakers) for span, speakers in timeline.activity(inside)]
    windows = _windows(pieces)
    overlaps = [piece.span for piece in pieces if len(piece.speakers) > 1]
    near_overlaps = timeline.widened(overlaps, BOUNDARY_CONTEXT)
    frames = _fixed_frames(pieces, windows)
    for window in windows:
        frames += _frames_of_window(recording, _pieces_inside(pieces, window), speech, near_overlaps, estimator)
    frames.sort(key=lambda frame: frame.span)
    decoded = [
        Turn(frame.span, speaker)
        for run in _contiguous(frames)
        for frame, speakers in zip(run, _viterbi(run), strict=True)
        for speaker in speakers
    ]
    return timeline.merge_turns(decoded)


# Windows


def _windows(pieces: Sequence[Piece]) -> tuple[Span, ...]:
    """Overlaps and what is near a boundary of a turn, in windows of at most `WINDOW` seconds."""
    edges = [edge for piece in pieces for edge in (piece.span.start, piece.span.end)]
    near_edges = [Span(max(edge - BOUNDARY_CONTEXT, 0.0), edge + BOUNDARY_CONTEXT) for edge in edges]
    overlaps = [piece.span for piece in pieces if len(piece.speakers) > 1]
    return tuple(part for span in timeline.support([*near_edges, *overlaps]) for part in _split(span, WINDOW))


def _split(span: Span, longest: float) -> list[Span]:
    """The span in as few parts of equal length as are no longer than ``longest``."""
    count = max(math.ceil(span.duration / longest - 1e-6), 1)
    return [part for part in split_evenly(span, count) if part.start < part.end]


def _pieces_inside(pieces: Sequence[Piece], window: Span) -> list[Piece]:
    """The parts of the sorted pieces inside the window."""
    first = bisect_right(pieces, window.start, key=lambda piece: piece.span.end)
    last = bisect_left(pieces, window.end, lo=first, key=lambda piece: piece.span.start)
    return [Piece(part, piece.speakers) for piece in pieces[first:last] for part in timeline.crop([piece.span], window)]


# Emission


def _fixed_frames(pieces: Sequence[Piece], windows: Sequence[Span]) -> list[_Frame]:
    """The pieces outside of the windows: the diarizer is believed."""
    return [
        _Frame.fixed(span, piece.speakers)
        for piece in pieces
        for span in timeline.gaps(timeline.during(windows, piece.span), piece.span)
    ]


def _frames_of_window(
    recording: Audio,
    pieces: Sequence[Piece],
    speech: _Speech,
    near_overlaps: Sequence[Span],
    estimator: SpeakerActivity,
) -> list[_Frame]:
    """The frames of one window, with the speakers' activity in it; fixed where that tells nothing."""
    fixed = [_Frame.fixed(piece.span, piece.speakers) for piece in pieces]
    if not pieces:
        return fixed
    window = Span(pieces[0].span.start, pieces[-1].span.end)
    context = Span(max(window.start - CONTEXT, 0.0), window.end + CONTEXT)
    mixture = resample(recording.crop(context), estimator.rate)
    enrolled = speech.enrolled(mixture.span)
    active = {speaker for piece in pieces for speaker in piece.speakers} & enrolled
    others = sorted(enrolled - active, key=lambda speaker: (_distance(speech.turns[speaker], window), speaker))
    candidates = [*sorted(active), *others[:MAX_CANDIDATES]]
    if not active or len(candidates) < 2:
        return fixed
    try:
        activity = estimator.estimate(mixture, {speaker: speech.enrollment[speaker] for speaker in candidates}, FRAME)
    except Unseparated:  # a speaker's clean speech is silence: nothing is known, and the diarizer is believed
        return fixed
    frames: list[_Frame] = []
    for piece in pieces:
        for span in _split(piece.span, FRAME):
            if enrolled.issuperset(piece.speakers):
                at = int((span.start + span.end - 2 * mixture.start) / 2 / FRAME)
                trust = DIARIZER_WEIGHT if timeline.during(near_overlaps, span) else DIARIZER_WEIGHT_ALONE
                frames.append(_Frame(span, _emission(span.duration / FRAME, piece.speakers, activity, at, trust)))
            else:
                frames.append(_Frame.fixed(span, piece.speakers))
    return frames


def _emission(
    weight: float, active: Speakers, activity: Mapping[Speaker, Samples], at: int, trust: float
) -> dict[Speakers, float]:
    """The score of every set of as many speakers as the diarizer has ``active``, from their activity in frame ``at``.

    ``weight`` is the length of the stretch in frames, ``trust`` the factor on the activity of ``active``.
    """
    scores: dict[Speaker, float] = {}
    for speaker, row in activity.items():
        score = math.log(max(float(row[min(at, len(row) - 1)]), ACTIVITY_FLOOR))
        scores[speaker] = score + (math.log(trust) if speaker in active else 0.0)
    states = itertools.combinations(sorted(scores), len(active))
    return {state: weight * sum(scores[speaker] for speaker in state) for state in states}


# Decoder


def _contiguous(frames: Sequence[_Frame]) -> Iterator[list[_Frame]]:
    """The sorted frames in runs without silence between."""
    run: list[_Frame] = []
    for frame in frames:
        if run and run[-1].span.end < frame.span.start:
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _viterbi(frames: Sequence[_Frame]) -> list[Speakers]:
    """The state of each frame on the path with the greatest sum of emission scores less transition costs."""
    best: dict[Speakers, float] = dict(frames[0].scores)
    predecessors: list[dict[Speakers, Speakers]] = []
    for frame in frames[1:]:
        predecessor = {state: _best_predecessor(best, state) for state in frame.scores}
        predecessors.append(predecessor)
        best = {
            state: score + best[predecessor[state]] - _transition_cost(predecessor[state], state)
            for state, score in frame.scores.items()
        }
    path = [max(best, key=lambda state: best[state])]
    for predecessor in reversed(predecessors):
        path.append(predecessor[path[-1]])
    return path[::-1]


def _best_predecessor(best: Mapping[Speakers, float], state: Speakers) -> Speakers:
    """The state from which ``state`` is reached with the greatest sum; the first of equal ones."""
    return max(best, key=lambda before: best[before] - _transition_cost(before, state))


def _transition_cost(before: Speakers, after: Speakers) -> float:
    return TRANSITION_COST * len(set(before) ^ set(after)) if before != after else 0.0


# Spans


def _seconds_outside(clips: Sequence[Audio], span: Span) -> float:
    """Seconds of the clips outside of a span."""
    return sum(part.duration for clip in clips for part in timeline.subtract([clip.span], [span]))


def _distance(turns: Sequence[Span], span: Span) -> float:
    """Seconds from a span to the nearest of a speaker's sorted, disjoint turns."""
    after = bisect_left(turns, span.end, key=lambda turn: turn.start)
    nearest = turns[max(after - 1, 0) : after + 1]
    return min((max(turn.start - span.end, span.start - turn.end, 0.0) for turn in nearest), default=math.inf)
