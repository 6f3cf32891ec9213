"""Merging: words in order, none lost, none twice, each under its speaker and inside the recording."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio, ClipTranscript, OverlapResult, Segment, Span, Stream, StreamInfo, Turn, Word
from meetsplit.pipeline.merge import LEAST_CONFIDENCE, UNCERTAIN, SegmentOptions, merge
from meetsplit.pipeline.overlap.regions import RegionOptions
from meetsplit.pipeline.overlap.streams import speaker_streams

RATE = 1000
WHOLE = Span(0.0, 30.0)


def word(text: str, start: float, end: float) -> Word:
    return Word(Span(start, end), text)


def info(
    start: float, end: float, *patches: OverlapResult, speaker: str = "A", turns: tuple[Span, ...] | None = None
) -> StreamInfo:
    return StreamInfo(speaker, Span(start, end), turns or (Span(start, end),), patches)


def texts(segments: Sequence[Segment]) -> list[str]:
    return [segment.text for segment in segments]


turn = st.builds(
    lambda who, at, ticks: Turn(Span(at / 20, (at + ticks) / 20), who),
    st.sampled_from("ABC"),
    st.integers(0, 500),
    st.integers(1, 300),
)


@st.composite
def scripts(draw: st.DrawFn) -> tuple[list[Turn], dict[str, list[Word]]]:
    """Turns, and words that fill some of each speaker's speaking time, every one with its own text."""
    turns = draw(st.lists(turn, max_size=8))
    words: dict[str, list[Word]] = {}
    for speaker in sorted({turn.speaker for turn in turns}):
        free = 0.0
        for span in sorted(turn.span for turn in turns if turn.speaker == speaker):
            at = max(free, span.start)
            while at + 0.1 <= min(span.end, WHOLE.end):
                length = draw(st.sampled_from([0.1, 0.25, 0.4, 0.9]))
                if at + length > min(span.end, WHOLE.end):
                    break
                words.setdefault(speaker, []).append(word(f"{speaker}{len(words.get(speaker, []))}", at, at + length))
                at += length + draw(st.sampled_from([0.0, 0.05, 0.3, 2.0]))
            free = max(at, span.end)
    return turns, words


def transcribe(stream: Stream, words: Sequence[Word], jitter: float) -> ClipTranscript:
    """A faithful transcript: every word that sounds in the clip, as far as it does, not quite on time."""
    transcribed = []
    for spoken in words:
        start, end = max(spoken.span.start + jitter, stream.span.start), min(spoken.span.end + jitter, stream.span.end)
        if end - start > 0.04:
            transcribed.append(word(spoken.text, start, end))
    return ClipTranscript(tuple(transcribed), "en")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    scripts(),
    st.sampled_from([RegionOptions(), RegionOptions(longest=2.0), RegionOptions(longest=5.0, join=0.0)]),
    st.sampled_from([0.0, 0.01, -0.015]),
)
def test_every_word_once_under_its_speaker(
    script: tuple[list[Turn], dict[str, list[Word]]], options: RegionOptions, jitter: float
) -> None:
    turns, words = script
    streams = speaker_streams(Audio(np.zeros(round(WHOLE.end * RATE), np.float32), RATE), turns, None, options=options)
    # Every second clip is transcribed a little late or early, so that the two sides of a cut disagree.
    transcripts = [
        (stream, transcribe(stream, words.get(stream.speaker, []), jitter * (n % 2)))
        for n, stream in enumerate(streams)
    ]
    segments = merge(transcripts, turns, WHOLE)
    for speaker in sorted(set(words)):
        merged = [w.text for segment in segments if segment.speaker == speaker for w in segment.words]
        assert sorted(merged) == sorted(w.text for w in words[speaker])
    assert list(segments) == sorted(segments, key=lambda segment: segment.span)
    for segment in segments:
        assert segment.span.start >= 0.0
        assert segment.span.end <= WHOLE.end
        assert list(segment.words) == sorted(segment.words, key=lambda w: w.span)
        others = [t for t in turns if t.speaker != segment.speaker]
        assert segment.overlap == any(
            t.span.start < segment.span.end and segment.span.start < t.span.end for t in others
        )


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(4)))
def test_the_order_of_clips_does_not_matter(order: list[int]) -> None:
    transcripts = [
        (info(at * 2, at * 2 + 1, speaker="AB"[at % 2]), ClipTranscript((word(f"w{at}", at * 2, at * 2 + 0.5),)))
        for at in range(4)
    ]
    assert merge([transcripts[n] for n in order], [], WHOLE) == merge(transcripts, [], WHOLE)


def test_a_word_at_a_cut_is_kept_from_the_clip_that_the_moment_belongs_to() -> None:
    left, right = info(0, 10.25, turns=(Span(0, 10),)), info(9.75, 20, turns=(Span(10, 20),))
    transcripts = [
        (left, ClipTranscript((word("the", 9.3, 9.6), word("budget", 9.6, 10.02), word("ne", 10.05, 10.25)))),
        (right, ClipTranscript((word("get", 9.75, 10.0), word("next", 10.04, 10.4), word("year", 10.5, 10.9)))),
    ]
    assert texts(merge(transcripts, [], WHOLE)) == ["the budget next year"]


def test_a_word_that_only_one_side_heard_stays() -> None:
    left, right = info(0, 10.25, turns=(Span(0, 10),)), info(9.75, 20, turns=(Span(10, 20),))
    transcripts = [
        (left, ClipTranscript((word("late", 10.05, 10.2),))),
        (right, ClipTranscript((word("early", 9.8, 9.95),))),
    ]
    assert texts(merge(transcripts, [], WHOLE)) == ["early late"]


def test_one_word_against_two_is_one_moment() -> None:
    left, right = info(0, 10.5, turns=(Span(0, 10),)), info(9.5, 20, turns=(Span(10, 20),))
    transcripts = [
        (left, ClipTranscript((word("gonna", 9.6, 9.98),))),
        (right, ClipTranscript((word("going", 9.6, 9.8), word("to", 9.8, 9.98), word("be", 10.1, 10.3)))),
    ]
    assert texts(merge(transcripts, [], WHOLE)) == ["gonna be"]


def test_the_same_word_said_twice_stays_twice() -> None:
    left, right = info(0, 10.25, turns=(Span(0, 10),)), info(9.75, 20, turns=(Span(10, 20),))
    transcripts = [(left, ClipTranscript((word("yes", 9.5, 9.8),))), (right, ClipTranscript((word("yes", 9.9, 10.2),)))]
    assert texts(merge(transcripts, [], WHOLE)) == ["yes yes"]
    echo = [
        (info(0, 2), ClipTranscript((word("yes", 1, 1.5),))),
        (info(0, 2, speaker="B"), ClipTranscript((word("yes", 1, 1.5),))),
    ]
    assert texts(merge(echo, [], WHOLE)) == ["yes", "yes"]


def test_word_times_are_clamped_to_their_clip_and_the_recording() -> None:
    transcripts = [
        (
            info(1, 2),
            ClipTranscript(
                (word("early", 0.5, 1.2), word("late", 1.8, 2.6), word("elsewhere", 5, 6), word("", 1.2, 1.3))
            ),
        )
    ]
    (segment,) = merge(transcripts, [], Span(0, 1.9))
    assert segment.words == (word("early", 1, 1.2), word("late", 1.8, 1.9))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([("so", 0, 1), ("then", 1.9, 2.5)], ["so then"]),
        ([("so", 0, 1), ("then", 2.1, 2.5)], ["so", "then"]),
        ([("Yes.", 0, 1), ("Then", 1.3, 2)], ["Yes.", "Then"]),
        ([("“Yes.”", 0, 1), ("Then", 1.3, 2)], ["“Yes.”", "Then"]),
        ([("3.", 0, 1), ("5", 1.1, 2)], ["3. 5"]),
        ([("はい。", 0, 1), ("次", 1.4, 2)], ["はい。", "次"]),
    ],
)
def test_segments_end_at_pauses_and_sentences(words: list[tuple[str, float, float]], expected: list[str]) -> None:
    assert texts(merge([(info(0, 10), ClipTranscript(tuple(word(*w) for w in words)))], [], WHOLE)) == expected


def test_long_speech_is_divided_at_the_longest_silence_in_its_middle() -> None:
    words = [
        word(f"w{n}", n * 0.5 + (0.3 if n > 30 else 0.0), n * 0.5 + 0.5 + (0.3 if n > 30 else 0.0)) for n in range(50)
    ]
    segments = merge([(info(0, 30), ClipTranscript(tuple(words)))], [], WHOLE, options=SegmentOptions(longest=20.0))
    assert [len(segment.words) for segment in segments] == [31, 19]
    endless = [word("aaa", 0, 29)]
    assert len(merge([(info(0, 30), ClipTranscript(tuple(endless)))], [], WHOLE)) == 1


def test_a_change_of_language_ends_a_segment() -> None:
    transcripts = [
        (info(0, 1), ClipTranscript((word("yes", 0, 1),), "en")),
        (info(1.5, 3), ClipTranscript((word("ja", 1.5, 2),), "de")),
    ]
    assert [(s.text, s.language) for s in merge(transcripts, [], WHOLE)] == [("yes", "en"), ("ja", "de")]


def test_segments_have_source_margin_and_review_of_their_patches() -> None:
    patches = (
        OverlapResult(Span(1, 2), ("A", "B"), "separated", 0.4),
        OverlapResult(Span(2, 2.5), ("A", "B"), "separated", 0.2),
        OverlapResult(Span(5, 6), ("A", "B", "C"), "mixture", 0.01, ("overlap-unresolved",)),
    )
    words = (word("plain", 0, 0.9), word("voiced.", 0.95, 2.2), word("doubtful", 5.1, 5.4), word("clean", 8, 9))
    turns = [Turn(Span(0, 10), "A"), Turn(Span(1, 2.5), "B"), Turn(Span(5, 6), "C")]
    segments = merge([(info(0, 10, *patches), ClipTranscript(words))], turns, WHOLE)
    assert [(s.text, s.source, s.overlap, s.margin, s.review) for s in segments] == [
        ("plain voiced.", "separated", True, 0.2, ()),
        ("doubtful", "mixture", True, None, ("overlap-unresolved",)),
        ("clean", "mixture", False, None, ()),
    ]


def test_a_segment_in_turns_that_nobody_is_sure_of_is_to_be_reviewed() -> None:
    words = (word("sure.", 0, 1), word("perhaps.", 3, 4), word("unknown", 6, 7))
    turns = [
        Turn(Span(0, 1), "A", LEAST_CONFIDENCE),
        Turn(Span(3, 3.25), "A", 0.9),
        Turn(Span(3.25, 4), "A", 0.4),
        Turn(Span(3, 4), "B", 0.9),
        Turn(Span(6, 7), "A"),
    ]
    segments = merge([(info(0, 10), ClipTranscript(words))], turns, WHOLE)
    assert [segment.review for segment in segments] == [(), (UNCERTAIN,), ()]


def test_a_stream_and_its_outline_give_the_same() -> None:
    stream = Stream("A", Audio(np.zeros(5 * RATE, np.float32), RATE, 1.0), (Span(1.2, 5.8),))
    answer = ClipTranscript((word("so", 1.5, 2),))
    assert merge([(stream, answer)], [], WHOLE) == merge([(stream.info, answer)], [], WHOLE)


def test_twenty_thousand_words_are_merged() -> None:
    transcripts = [
        (
            info(at, at + 1.2, turns=(Span(at, at + 1),)),
            ClipTranscript(tuple(word(f"{at}.{n}", at + n / 10, at + n / 10 + 0.1) for n in range(10))),
        )
        for at in range(2000)
    ]
    segments = merge(transcripts, [Turn(Span(n, n + 0.5), "B") for n in range(2000)], Span(0, 3000))
    assert sum(len(segment.words) for segment in segments) == 20000
    assert all(a.span.start <= b.span.start for a, b in itertools.pairwise(segments))
