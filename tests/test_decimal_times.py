"""Times in files are decimal numbers: turns that touch in RTTM or CTM touch here, and do not overlap."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio, Span, Turn, decimal_sum, timeline
from meetsplit.pipeline.diarizers.rttm import RttmDiarizer, read_rttm
from meetsplit.pipeline.errors import ScoreError, SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.overlap.regions import RegionOptions, plan
from meetsplit.pipeline.transcribers.given_words import read_entries
from meetsplit.scoring.session_files import read_sessions

PAIRS = 2000


def pairs() -> list[tuple[Decimal, Decimal]]:
    """Starts and lengths with two decimals, each drawn at random from all there are up to an hour."""
    random = np.random.default_rng(7).integers([0, 1], [360_000, 3_000], (PAIRS, 2))
    return [(Decimal(0), Decimal("0.01")), (Decimal("0.1"), Decimal("0.2"))] + [
        (Decimal(int(start)) / 100, Decimal(int(length)) / 100) for start, length in random
    ]


def line(recording: str, start: Decimal, length: Decimal, speaker: str) -> str:
    return f"SPEAKER {recording} 1 {start} {length} <NA> <NA> {speaker} <NA> <NA>\n"


def test_touching_turns_of_an_rttm_do_not_overlap(tmp_path: Path) -> None:
    path = tmp_path / "many.rttm"
    path.write_text(
        "".join(line(f"r{n}", a, d, "A") + line(f"r{n}", a + d, Decimal(1), "B") for n, (a, d) in enumerate(pairs())),
        "utf-8",
    )
    scored = read_sessions(path)
    for number, (start, length) in list(enumerate(pairs()))[:: PAIRS // 100]:
        turns = read_rttm(path, f"r{number}")
        assert turns == (Turn(Span(float(start), float(start + length)), "A"), Turn(turns[1].span, "B"))
    assert len(scored) == len(pairs())
    assert not any(timeline.overlaps(session.turns) for session in scored)


@given(st.integers(0, 360_000), st.integers(0, 100_000), st.integers(0, 4))
def test_a_sum_of_decimals_is_the_decimal_of_the_sum(start: int, length: int, places: int) -> None:
    a, d = Decimal(start) / 10**places, Decimal(length) / 10**places
    assert decimal_sum(float(a), float(d)) == float(a + d)


def test_touching_turns_give_no_overlap_region(tmp_path: Path) -> None:
    path = tmp_path / "call.rttm"
    path.write_text(
        line("call", Decimal("0.1"), Decimal("0.2"), "A") + line("call", Decimal("0.3"), Decimal(1), "B"), "utf-8"
    )
    audio = Audio(np.zeros(32000, np.float32), 16000)
    turns = RttmDiarizer(path).diarize(audio, ignore_events)
    assert timeline.overlaps(turns) == ()
    assert plan(turns, audio.span, options=RegionOptions("overlaps")).regions == ()


def test_touching_words_of_a_ctm_touch(tmp_path: Path) -> None:
    path = tmp_path / "call.ctm"
    path.write_text("".join(f"call 1 {a} {d} one\ncall 1 {a + d} 0.5 two\n" for a, d in pairs()), "utf-8")
    lines = read_entries(path)
    assert [first.span.end for first in lines[::2]] == [second.span.start for second in lines[1::2]]


def test_times_whose_sum_is_not_finite_are_refused(tmp_path: Path) -> None:
    text = line("x", Decimal("1e308"), Decimal("1e308"), "A")
    (tmp_path / "x.rttm").write_text(text)
    with pytest.raises(SettingsError, match="line 1: a turn cannot start"):
        read_rttm(tmp_path / "x.rttm")
    with pytest.raises(ScoreError, match="line 1: ends at inf s"):
        read_sessions(tmp_path / "x.rttm")
    (tmp_path / "x.ctm").write_text("x 1 1e308 1e308 word\n")
    with pytest.raises(SettingsError, match="line 1"):
        read_entries(tmp_path / "x.ctm")
