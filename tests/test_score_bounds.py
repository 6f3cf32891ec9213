"""No metric can take the machine down: what may blow up ends within its bounds and says why."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from meetsplit.pipeline.data import Span
from meetsplit.scoring.bounded import Answer, Bounded, Limits
from meetsplit.scoring.normalize import Spoken, shared
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.report import as_data, as_table
from meetsplit.scoring.scores import score
from meetsplit.scoring.sessions import Session, Utterance, make_session


def crowd(people: int, seconds: float, side: str) -> Session:
    dice = random.Random(people)
    lines, at = [], 0.0
    while at < seconds:
        words = [f"word{dice.randrange(200)}" for _ in range(dice.randint(2, 12))]
        lines.append(Utterance(Span(at, at + 0.35 * len(words)), f"{side}{len(lines) % people}", " ".join(words)))
        at = max(0.0, at + 0.35 * len(words) + dice.uniform(-2.0, 0.5))
    return make_session("crowd", side, lines)


def everybody_at_once(people: int, words: int) -> list[Spoken]:
    texts = [f"w{n % 7}" for n in range(words)]
    return [Spoken(f"s{n}", Decimal(0), Decimal(60), shared(texts, Decimal(0), Decimal(60))) for n in range(people)]


def test_twenty_five_speakers_get_an_answer_or_a_reason() -> None:
    scores = score([Pair("crowd", crowd(25, 300, "ref"), crowd(25, 300, "hyp"))], Protocol(normalizer="none"))
    total = scores.rows[0].total
    assert total.words["cpwer"].rate == total.words["tcpwer"].rate == 0.0
    assert "25 speakers in the hypothesis" in total.reasons["tcorcwer"]
    assert "25 speakers in the reference" in total.reasons["dicpwer"]
    assert as_data(scores)["pooled"]["tcorcwer"] is None
    assert "note: crowd: tcorcwer: 25 speakers" in as_table(scores)


def test_the_time_is_held_and_the_next_question_gets_its_answer() -> None:
    hard, easy = everybody_at_once(4, 100), everybody_at_once(1, 5)
    with Bounded(Limits(seconds=2.0, gibibytes=4.0)) as bounded:
        late = bounded.tcorcwer(hard, hard, timed=False, collar=5.0)
    assert late == Answer(reason="it takes longer than 2 s")
    with Bounded(Limits(seconds=30.0, gibibytes=1.0)) as bounded:
        assert bounded.tcorcwer(hard, hard, timed=False, collar=5.0).assignment is None
        after = bounded.tcorcwer(easy, easy, timed=False, collar=5.0)
    assert (after.errors, after.length, after.assignment) == (0, 5, ("s0",))


def test_the_memory_is_held() -> None:
    pytest.importorskip("resource", reason="this system cannot limit the memory of a process")
    hard = everybody_at_once(5, 100)
    with Bounded(Limits(seconds=60.0, gibibytes=1.5)) as bounded:
        answer = bounded.tcorcwer(hard, hard, timed=False, collar=5.0)
    assert answer == Answer(reason="it needs more memory than 1.5 GiB")


def test_more_combinations_than_can_be_counted_are_a_reason_too() -> None:
    hard = everybody_at_once(9, 200)
    with Bounded(Limits(seconds=60.0, gibibytes=1.5)) as bounded:
        assert (
            "more combinations than meeteval can count" in bounded.tcorcwer(hard, hard, timed=False, collar=5.0).reason
        )


def test_what_has_no_answer_leaves_the_pooled_row_without_one_and_says_where() -> None:
    limits = Limits(seconds=60.0)
    pairs = [Pair("crowd", crowd(12, 60, "ref"), crowd(12, 60, "hyp"))]
    few = Pair("few", *(Session(**{**fields(crowd(2, 30, side)), "recording": "few"}) for side in ("ref", "hyp")))
    scores = score([few, *pairs], Protocol(normalizer="none", limits=limits))
    assert scores.rows[0].total.words["tcorcwer"].rate == 0.0
    assert "tcorcwer" not in scores.pooled.total.words
    assert scores.pooled.total.reasons["tcorcwer"].startswith("no answer for 1 of 2 recordings: crowd: 12 speakers")
    assert scores.pooled.total.words["cpwer"].rate == 0.0


def fields(given: Session) -> dict[str, object]:
    return {name: getattr(given, name) for name in Session.__slots__}
