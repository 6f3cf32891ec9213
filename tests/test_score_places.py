"""Every error has one place: alignments, and the errors of the overlapped stretches and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.data import Span, Turn, timeline
from meetsplit.pipeline.data.timeline import merge_turns
from meetsplit.scoring import align as aligning
from meetsplit.scoring.align import Match, align
from meetsplit.scoring.diarization import turn_errors
from meetsplit.scoring.normalize import Token, tokens_by_letters
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import RecordingScores, score
from meetsplit.scoring.sessions import Utterance, make_session
from meetsplit.scoring.word_errors import distance, locate_errors

words = st.lists(st.sampled_from("abcd"), max_size=12)


def tokens(texts: Sequence[str], step: float = 1.0) -> tuple[Token, ...]:
    return tuple(Token(text, Decimal(str(n * step)), Decimal(str((n + 1) * step))) for n, text in enumerate(texts))


def errors(matches: Sequence[Match], reference: Sequence[Token], hypothesis: Sequence[Token]) -> int:
    return sum(1 for i, j in matches if i is None or j is None or reference[i].text != hypothesis[j].text)


@settings(deadline=None, max_examples=150)
@given(words, words, st.sampled_from([None, 0.5, 2.0]), st.sampled_from([0.3, 1.0]))
def test_alignment_has_the_fewest_errors_and_keeps_both_orders(
    a: list[str], b: list[str], collar: float | None, step: float
) -> None:
    reference, hypothesis = tokens(a), tokens(b, step)
    matches = align(reference, hypothesis, collar)
    assert [i for i, _ in matches if i is not None] == list(range(len(a)))
    assert [j for _, j in matches if j is not None] == list(range(len(b)))
    assert errors(matches, reference, hypothesis) == distance(reference, hypothesis, collar)
    for i, j in matches:
        if collar is not None and i is not None and j is not None:
            assert hypothesis[j].middle - Decimal(str(collar)) < reference[i].end
            assert reference[i].start < hypothesis[j].middle + Decimal(str(collar))


@settings(deadline=None, max_examples=60)
@given(words, words, st.sampled_from([None, 2.0]))
def test_halving_finds_as_few_errors_as_the_whole_matrix(a: list[str], b: list[str], collar: float | None) -> None:
    reference, hypothesis = tokens(a * 2), tokens(b * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligning, "SMALL", 4)
        halved = align(reference, hypothesis, collar)
    assert errors(halved, reference, hypothesis) == distance(reference, hypothesis, collar)


def test_equally_few_errors_prefer_correct_words_then_the_nearest() -> None:
    reference = tokens_by_letters(["hello", "my", "friend"], Decimal(0), Decimal(3))
    hypothesis = tokens_by_letters(["hello", "friend", "good"], Decimal(0), Decimal(3))
    assert align(reference, hypothesis) == ((0, 0), (1, None), (2, 1), (None, 2))
    twice = tokens(["yes", "yes"], 10)
    assert align(twice, (Token("yes", Decimal(11), Decimal(12)),)) == ((0, None), (1, 0))


def test_words_lie_where_their_middle_lies() -> None:
    reference = tokens_by_letters(["aa", "bb", "cc"], Decimal(0), Decimal(3))
    late = (Token("zz", Decimal("2.9"), Decimal("3.5")), Token("zz", Decimal(4), Decimal(5)))
    hypothesis = (*tokens_by_letters(["aa", "xx"], Decimal(0), Decimal(2)), *late)
    located = locate_errors(((reference, hypothesis),), None, [Span(1.0, 2.0), Span(3.0, 3.3)])
    assert (located.overlap.substitutions, located.overlap.insertions, located.overlap.length) == (1, 0, 1)
    assert (located.total.errors, located.total.length) == (3, 3)


speakers = st.sampled_from("ABC")
utterances = st.lists(
    st.builds(
        lambda speaker, start, length, text: Utterance(
            Span(start / 10, (start + length) / 10), speaker, " ".join(text)
        ),
        speakers,
        st.integers(0, 200),
        st.integers(1, 60),
        st.lists(st.sampled_from(["yes", "no", "maybe", "so"]), max_size=6),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.tuples(utterances, utterances), min_size=6, max_size=8))
def test_overlap_and_rest_add_up_and_pooling_sums(meetings: list[tuple[list[Utterance], list[Utterance]]]) -> None:
    pairs = [
        Pair(f"m{n}", make_session(f"m{n}", "ref", a), make_session(f"m{n}", "hyp", b))
        for n, (a, b) in enumerate(meetings)
    ]
    scores = score(pairs, Protocol(normalizer="none"))
    for row in (*scores.recordings, scores.pooled):
        assert set(row.total.words) == {"cpwer", "tcpwer"}
        for metric, total in row.total.words.items():
            assert row.overlap.words[metric] + row.clean.words[metric] == total
        both = turns(row, "overlap") + turns(row, "clean")
        for kind in ("miss", "false_alarm", "confusion", "total"):
            assert getattr(both, kind) == pytest.approx(getattr(turns(row, "total"), kind), abs=1e-6)
    for metric, total in scores.pooled.total.words.items():
        assert total.errors == sum(row.total.words[metric].errors for row in scores.recordings)
    assert scores.pooled.total.words["cpwer"].length == sum(len(u.text.split()) for a, _ in meetings for u in a)


def turns(row: RecordingScores, part: str):  # type: ignore[no-untyped-def]
    return getattr(row, part).turns


def test_a_perfect_hypothesis_has_no_errors_anywhere() -> None:
    spoken = [Utterance(Span(0, 4), "A", "one two three four"), Utterance(Span(3, 6), "B", "five six seven")]
    [row] = score(
        [Pair("m", make_session("m", "ref", spoken), make_session("m", "hyp", spoken))], Protocol(normalizer="none")
    ).recordings
    for part in (row.total, row.overlap, row.clean):
        assert {errors.rate for errors in part.words.values()} == {0.0}
        assert part.turns is not None
        assert (part.turns.der, part.turns.jer, part.turns.count_error) == (0.0, pytest.approx(0.0), 0)
    assert row.overlap.words["cpwer"].length == 2  # "four" and "five"


def test_twenty_five_speakers_are_paired() -> None:
    spoken = [
        Utterance(Span(n * 0.5, n * 0.5 + 2.0), f"speaker {n % 25}", f"word{n} and word{n + 1}") for n in range(100)
    ]
    [row] = score(
        [Pair("crowd", make_session("crowd", "ref", spoken), make_session("crowd", "hyp", spoken))],
        Protocol(normalizer="none"),
    ).recordings
    assert {errors.rate for errors in row.total.words.values()} == {0.0}


def test_the_collar_is_cut_on_each_side_and_speakers_are_paired_once() -> None:
    reference = [Turn(Span(0, 10), "A"), Turn(Span(8, 15), "B")]
    hypothesis = [Turn(Span(0.2, 10), "x"), Turn(Span(8.3, 15), "y")]
    assert turn_errors(reference, hypothesis).total.miss == pytest.approx(0.5)
    assert turn_errors(reference, hypothesis, collar=0.25).total.miss == pytest.approx(0.05)
    assert turn_errors(reference, hypothesis, collar=0.25).total.total == pytest.approx(
        (10 - 0.5 - 0.5) + (7 - 0.5 - 0.5)
    )
    # x is A in the whole meeting: it stays A in the overlap, where pairing anew would call it B and find no error
    crossed = [Turn(Span(0, 8), "x"), Turn(Span(10, 15), "y"), Turn(Span(8, 10), "x")]
    alone = turn_errors(
        [Turn(Span(0, 8), "A"), Turn(Span(8, 10), "B"), Turn(Span(8, 10), "C"), Turn(Span(10, 15), "C")], crossed
    )
    assert alone.overlap.confusion == pytest.approx(2.0)


def test_one_speakers_turns_are_joined_before_scoring() -> None:
    assert merge_turns([Turn(Span(0, 2), "A"), Turn(Span(1, 3), "A"), Turn(Span(3, 4), "A")]) == (
        Turn(Span(0, 4), "A"),
    )
    assert timeline.overlaps(merge_turns([Turn(Span(0, 2), "A"), Turn(Span(1, 3), "A")])) == ()
