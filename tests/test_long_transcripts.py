"""Long transcripts: equal to the plain definitions, in work that grows no faster than the transcript."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from counted_calls import calls
from meetsplit.pipeline.data import (
    Audio,
    ClipTranscript,
    Provenance,
    Samples,
    Segment,
    Span,
    Speaker,
    StreamInfo,
    Transcript,
    Turn,
    Word,
    join_words,
    timeline,
)
from meetsplit.pipeline.formats import format_named, names, talk_time
from meetsplit.pipeline.formats.cue_places import _shown_together
from meetsplit.pipeline.formats.cue_timing import CHAIN, TOUCH, side_by_side
from meetsplit.pipeline.formats.cues import LONGEST, MOST_WORDS, Cue, CueWord, Timing, cue_words, cues
from meetsplit.pipeline.formats.line_breaking import Layout, _bonus, lines
from meetsplit.pipeline.formats.text import width
from meetsplit.pipeline.merge import merge
from meetsplit.pipeline.overlap.regions import RegionOptions, plan
from meetsplit.pipeline.overlap.resegmentation import resegment
from meetsplit.pipeline.settings import Outputs, Separate

TEXTS = ("yes", "well,", "no.", "perhaps", "今日", "は", "Donaudampfschifffahrt", "(so", "it", "is).")


def transcript(seed: int, count: int, people: int, *, step: float = 0.3, length: float = 0.8) -> Transcript:
    """Turns of people who interrupt, repeat and ignore one another; some at the same moment, some without length."""
    rng = np.random.default_rng(seed)
    turns, segments = [], []
    at = 0.0
    for number in range(count):
        at += float(rng.choice([0.0, step / 2, step, 3 * step, 1.0 * (rng.random() < 0.1)]))
        speaker = f"SPEAKER_{int(rng.integers(people)):02d}"
        end = round(at + float(rng.choice([0.0, length / 4, length, 2 * length])), 3)
        start = round(at, 3)
        turns.append(Turn(Span(start, max(start, end)), speaker))
        edges = np.linspace(start, max(start, end), int(rng.integers(1, 5)) + 1).tolist()
        words = [Word(Span(a, b), str(rng.choice(TEXTS)), 0.5) for a, b in itertools.pairwise(edges)]
        segments.append(Segment(speaker, tuple(words), "en", review=("overlap-unresolved",) if number % 7 == 0 else ()))
    segments.sort(key=lambda segment: (segment.span, segment.speaker))
    return Transcript(
        "call", at + 10, tuple(segments), tuple(sorted(turns)), Provenance("0"), (("SPEAKER_01", "Bo Li"),)
    )


drawn = st.builds(
    transcript,
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.integers(1, 5),
    step=st.sampled_from([0.05, 0.3, 2.0]),
    length=st.sampled_from([0.2, 1.0]),
)
layouts = st.builds(
    Layout,
    st.sampled_from([12, 20, 42]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([lambda speaker, shared: "", lambda speaker, shared: f"- {speaker}:" if shared else f"{speaker}:"]),
    st.sampled_from([2, 99]),
    st.sampled_from(["change", "every"]),
)
timings = st.builds(Timing, st.sampled_from([0, 83, 400]), st.sampled_from([0, 1000]), st.sampled_from([25.0, 100.0]))


# the plain definitions


class PlainCue:
    """What a cue of some words costs, from the definition; ``before`` are the speakers of the cue before."""

    def __init__(self, layout: Layout, words: Sequence[CueWord], before: set[Speaker], room: int) -> None:
        self.start, self.end, self.pauses, self.changes = words[0].start, 0, 0.0, 0
        self.latest: dict[Speaker, CueWord] = {}
        self.layout, self.room = layout, room
        self.letters = 0
        filled: dict[tuple[Speaker, bool], tuple[int, int, int]] = {}
        for word in words:
            if self.latest:
                gap = (word.start - self.end) / 1000
                self.pauses += 2.0 * gap if gap > 0.6 else 0.0
                previous = max(self.latest.values(), key=lambda other: other.start)
                self.changes += previous.speaker != word.speaker and gap >= 0
            self.letters += word.columns + (word.glue if word.speaker in self.latest else 0)
            for shared in (False, True):
                count, used, in_line = filled.get((word.speaker, shared), (0, 0, 0))
                if not count:
                    head = layout.head(word.speaker, shared)
                    if not shared and layout.naming == "change" and before == {word.speaker}:
                        head = ""
                    count, used = (1, width(head)) if head else (1, -1)
                glue = word.glue if word.speaker in self.latest else 1
                grown = word.columns + (used + glue if used >= 0 else 0)
                filled[word.speaker, shared] = (
                    (count, grown, in_line + 1)
                    if used < 0 or (grown <= room and in_line < layout.words)
                    else (count + 1, word.columns, 1)
                )
            self.latest[word.speaker] = word
            self.end = max(self.end, word.end)
        several = len(self.latest) > 1
        self.excess = sum(count for (_, kind), (count, _, _) in filled.items() if kind is several) - max(
            layout.count, len(self.latest)
        )
        self.used = sum(used + (count - 1) * room for (_, kind), (count, used, _) in filled.items() if not kind)
        self.full = self.excess > 1 or self.end - self.start > LONGEST or self.pauses > 12

    def price(self, shown: float, timing: Timing) -> float:
        length = self.end - self.start
        price = 1.0 + self.pauses + 3.0 * self.changes + 100.0 * max(self.excess, 0)
        price += sum(word.breaks for word in self.latest.values())
        price += 6.0 * max(length - shown - timing.gap, 0) / 1000
        price += 8.0 * max(timing.shortest - shown, 0) / max(timing.shortest, 1)
        price += 5.0 * max(self.letters * timing.per_column - min(shown, length + 1000, LONGEST), 0) / 1000
        return price + 0.5 * max(1 - self.used / (self.room * self.layout.count), 0) ** 2


def plain_cues(
    words: Sequence[CueWord], layout: Layout, timing: Timing, rooms: Sequence[int] | None = None
) -> tuple[Cue, ...]:
    best, back = [0.0] + [float("inf")] * len(words), [0] * (len(words) + 1)
    for first in range(len(words)):
        reached = best[first] == float("inf")
        if reached:
            continue
        before = {word.speaker for word in words[back[first] : first]}
        for last in range(first, len(words)):
            room = layout.width if rooms is None else min(rooms[first : last + 1])
            cue = PlainCue(layout, words[first : last + 1], before, room)
            if reached and cue.full:
                break
            until_next = words[last + 1].start - words[first].start if last + 1 < len(words) else float("inf")
            if until_next - timing.gap < 100:
                continue
            reached = True
            price = best[first] + cue.price(until_next - timing.gap, timing)
            if price < best[last + 1]:
                best[last + 1], back[last + 1] = price, first
    edges = [len(words)]
    while edges[-1] > 0:
        edges.append(back[edges[-1]])
    pairs = list(zip(edges[:0:-1], edges[-2::-1], strict=True))
    return tuple(Cue(words[a].start, max(w.end for w in words[a:b]), tuple(words[a:b])) for a, b in pairs)


def plain_lines(texts: Sequence[str], layout: Layout, head: str) -> tuple[str, ...]:
    tokens = [head, *texts] if head else list(texts)
    fewest = [(0, 0.0, 0)]
    for last in range(1, len(tokens) + 1):
        options = []
        for first in range(last - 1, -1, -1):
            used = width(join_words(tokens[first:last]))
            in_line = last - first - (1 if head and first == 0 else 0)
            if (used > layout.width or in_line > layout.words) and last - first > 1:
                break
            count, price, _ = fewest[first]
            options.append(
                (count + 1, price + ((layout.width - used) / layout.width) ** 2 - _bonus(tokens, first, head), first)
            )
        fewest.append(min(options))
    broken, last = [], len(tokens)
    while last > 0:
        broken.append(join_words(tokens[fewest[last][2] : last]))
        last = fewest[last][2]
    return tuple(reversed(broken))


def plain_beside(shown: Sequence[Cue], timing: Timing, duration: int) -> tuple[Cue, ...]:
    """When the cues of several people end, from the definition."""
    timed = []
    for at, cue in enumerate(shown):
        own = [other.start for other in shown[at + 1 :] if other.words[0].speaker == cue.words[0].speaker]
        latest = min([cue.start + LONGEST, *(start - timing.gap for start in own)])
        speech = min(cue.end, latest)
        reading = max(timing.shortest, round(cue.columns * timing.per_column))
        end = max(min(max(speech, min(cue.start + reading, speech + 1000, duration)), latest), cue.start + 100)
        others = sorted({other.start for other in shown if other.start > cue.start})
        for start in others:
            if start - timing.gap >= end or start < speech - TOUCH:
                continue
            if start - timing.gap - cue.start >= max(0.8 * timing.shortest, 100):
                end = start - timing.gap
                break
            end = min(end, max(speech, cue.start + timing.shortest, cue.start + 100))
        else:
            following = min((start for start in others if start - timing.gap >= end), default=None)
            if following is not None and following - timing.gap < end + CHAIN:
                end = min(following - timing.gap, cue.start + LONGEST)
        timed.append(replace(cue, end=end))
    return tuple(timed)


def plain_talk_time(transcript: Transcript) -> list[tuple[float, int, int, float, int]]:
    """Seconds, turns, words, overlapped seconds and interruptions of every speaker."""
    spans = timeline.by_speaker(transcript.turns)
    rows = []
    for speaker in transcript.speakers:
        own = spans.get(speaker, ())
        others = [span for other, theirs in spans.items() if other != speaker for span in theirs]
        words = sum(len(segment.words) for segment in transcript.segments if segment.speaker == speaker)
        overlapped = timeline.total(o.span for o in timeline.overlaps(transcript.turns) if speaker in o.speakers)
        interruptions = sum(any(other.start < span.start < other.end for other in others) for span in own)
        rows.append((round(timeline.total(own), 3), len(own), words, round(overlapped, 3), interruptions))
    return rows


# the same answers


@given(drawn, layouts, timings)
@hypothesis_settings(deadline=None, max_examples=60)
def test_cues_are_those_of_the_plain_definition(drawn_transcript: Transcript, layout: Layout, timing: Timing) -> None:
    words = cue_words(drawn_transcript)
    assert cues(words, layout, timing) == plain_cues(words, layout, timing)


@given(drawn, layouts, st.randoms(use_true_random=False))
@hypothesis_settings(deadline=None, max_examples=30)
def test_cues_with_rooms_are_those_of_the_plain_definition(
    drawn_transcript: Transcript, layout: Layout, random: Random
) -> None:
    words = [word for word in cue_words(drawn_transcript) if word.speaker == "SPEAKER_00"]
    rooms = [random.choice([layout.width, layout.width // 2]) for _ in words]
    every = replace(layout, naming="every")
    assert cues(words, every, Timing(), rooms) == plain_cues(words, every, Timing(), rooms)


@given(st.lists(st.sampled_from(TEXTS), max_size=25), layouts, st.sampled_from(["", "Ann:", "- Somebody Else:"]))
@hypothesis_settings(deadline=None)
def test_lines_are_those_of_the_plain_definition(texts: list[str], layout: Layout, head: str) -> None:
    assert lines(texts, layout, head) == plain_lines(texts, layout, head)


@given(drawn, timings)
@hypothesis_settings(deadline=None)
def test_cues_side_by_side_are_those_of_the_plain_definition(drawn_transcript: Transcript, timing: Timing) -> None:
    layout = Layout(42, 2, lambda speaker, shared: "")
    words = cue_words(drawn_transcript)
    each = [cues([word for word in words if word.speaker == who], layout, timing) for who in drawn_transcript.speakers]
    alone = sorted((cue for own in each for cue in own), key=lambda cue: (cue.start, cue.end))
    timed = side_by_side(alone, timing, 5_000)
    assert timed == plain_beside(alone, timing, 5_000)
    assert _shown_together(timed, timing.gap) == [
        min(
            max(
                sum(other.start <= at.start < other.end + timing.gap for other in timed)
                for at in timed
                if cue.start <= at.start < cue.end + timing.gap
            ),
            4,
        )
        for cue in timed
    ]


@given(drawn)
@hypothesis_settings(deadline=None)
def test_talk_time_is_that_of_the_plain_definition(drawn_transcript: Transcript) -> None:
    table = talk_time(drawn_transcript)
    columns = ("seconds", "turns", "words", "overlapped_seconds", "interruptions")
    assert [tuple(row) for row in zip(*(table[column] for column in columns), strict=True)] == plain_talk_time(
        drawn_transcript
    )


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5), max_size=5))
def test_shared_time_is_where_two_or_more_count(drawn_transcript: list[list[tuple[int, int]]]) -> None:
    people = [timeline.support(Span(min(pair), max(pair)) for pair in own) for own in drawn_transcript]
    shared_ticks = {tick for tick in range(30) if sum(any(s.start <= tick < s.end for s in own) for own in people) > 1}
    spans = timeline.shared(people)
    assert {tick for span in spans for tick in range(int(span.start), int(span.end))} == shared_ticks
    assert spans == timeline.support(spans)


# the work


def grows(work: Callable[[Transcript], object], make: Callable[[int], Transcript], count: int) -> float:
    """By which factor the work grows while a transcript of ``count`` turns becomes four times as long."""
    work(make(20))  # imports and caches
    small, large = make(count), make(4 * count)
    return calls(lambda: work(large)) / calls(lambda: work(small))


SHAPES: dict[str, Callable[[int], Transcript]] = {
    "in turn": lambda count: transcript(1, count, 4),
    "at once": lambda count: transcript(2, count, 12, length=5.0),
    "one person": lambda count: transcript(5, count, 1, step=1.0),
    "in one moment": lambda count: transcript(3, count, 6, step=0.0),
    "many people": lambda count: transcript(4, count, count // 3 + 1),
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in names() for shape in (SHAPES if name in ("srt", "vtt", "csv") else ("many people",))],
)
def test_the_work_of_writing_grows_with_the_transcript(name: str, shape: str) -> None:
    write = format_named(name).write
    count = {"srt": 60, "vtt": 60, "docx": 100}.get(name, 500)
    most = 4.4 if name == "docx" else 6  # a paragraph is thousands of calls, beside which others' work counts little
    assert grows(lambda long: write(long, Outputs()), SHAPES[shape], count) < most


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("separate", ["off", "everywhere"])
def test_the_work_between_turns_and_segments_grows_with_the_transcript(separate: Separate, shape: str) -> None:
    def planned(long: Transcript) -> object:
        within = Span(0.0, long.duration)
        cut = plan(long.turns, within, options=RegionOptions(separate))
        transcripts = [
            (StreamInfo(clip.speaker, clip.span, clip.turns), ClipTranscript((Word(clip.span, "yes"),)))
            for clip in cut.clips
        ]
        return merge(transcripts, long.turns, within)

    assert grows(planned, SHAPES[shape], 120) < 6


class NeverCalled:
    """An estimator for speakers with too little enrollment to use it."""

    rate = 8000

    def estimate(
        self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]], block: float
    ) -> Mapping[Speaker, Samples]:
        raise AssertionError(f"called for {mixture.span}")


@pytest.mark.parametrize("shape", ["in turn", "one person"])
def test_the_work_of_correcting_turns_grows_with_the_transcript(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meetsplit.pipeline.overlap.resegmentation.MIN_ENROLLMENT", 1e9)

    def corrected(long: Transcript) -> object:
        return resegment(Audio(np.zeros(round(long.duration * 8000), np.float32), 8000), long.turns, NeverCalled())

    assert grows(corrected, SHAPES[shape], 100) < 6


def test_no_cue_holds_a_wall_of_words() -> None:
    turns = [(f"SPEAKER_{number:02d}", number / 1000) for number in range(3 * MOST_WORDS)]
    segments = tuple(Segment(speaker, (Word(Span(start, start + 1), "yes"),)) for speaker, start in turns)
    crowd = Transcript("call", 10.0, segments, (), Provenance("0"))
    found = cues(cue_words(crowd), Layout(42, 2, lambda speaker, shared: ""), Timing())
    assert sum(len(cue.words) for cue in found) == len(turns)
    assert max(len(cue.words) for cue in found) <= MOST_WORDS + 1
