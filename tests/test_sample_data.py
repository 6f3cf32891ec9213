"""The sample meeting: what its README promises, and that its recipe makes it again, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span, Turn
from meetsplit.pipeline.data.timeline import alone, by_speaker, subtract, total
from meetsplit.training.grammar import vocabulary
from meetsplit.training.meeting import overlap_share
from meetsplit.training.script import read_dialogue, words

SAMPLES = Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def recording() -> Audio:
    return read(SAMPLES / "standup.m4a")


@pytest.fixture(scope="module")
def turns() -> tuple[Turn, ...]:
    rows = [row.split() for row in (SAMPLES / "standup.rttm").read_text("utf-8").splitlines()]
    return tuple(Turn(Span(float(row[3]), float(row[3]) + float(row[4])), row[7]) for row in rows)


def rows(ending: str) -> list[list[str]]:
    return [row.split() for row in (SAMPLES / f"standup.{ending}").read_text("utf-8").splitlines()]


def test_it_is_a_small_file_of_two_minutes(recording: Audio) -> None:
    assert (SAMPLES / "standup.m4a").stat().st_size < 2_000_000
    assert recording.duration == pytest.approx(127.6, abs=0.2)
    assert np.abs(recording.samples).max() < 0.9
    [uem] = rows("uem")
    assert float(uem[3]) == pytest.approx(recording.duration, abs=0.1)


def test_three_people_talk_over_each_other_and_each_has_enough_clean_speech(turns: tuple[Turn, ...]) -> None:
    assert sorted(by_speaker(turns)) == ["awb", "rms", "slt"]
    assert 0.15 <= overlap_share(turns) <= 0.20
    for speaker, spans in by_speaker(turns).items():
        assert total(alone(turns, speaker)) >= 20
        own = sorted(turn.span for turn in turns if turn.speaker == speaker)
        assert len(own) == len(spans), "turns of one speaker overlap"
        assert total(span for span in alone(turns, speaker) if span.end < 60) >= 10


def test_the_turns_are_where_the_sound_is(recording: Audio, turns: tuple[Turn, ...]) -> None:
    silence = subtract([recording.span], [Span(max(t.span.start - 0.05, 0), t.span.end + 0.1) for t in turns])
    quiet = np.concatenate([recording.crop(span).samples for span in silence])
    for turn in turns:
        first, last = (
            recording.crop(Span(turn.span.start, turn.span.start + 0.05)),
            recording.crop(Span(turn.span.end - 0.1, turn.span.end)),
        )
        assert np.std(first.samples) > 2 * np.std(quiet)
        assert np.std(last.samples) > 2 * np.std(quiet)


def test_the_truths_agree_with_each_other_and_with_the_script(turns: tuple[Turn, ...]) -> None:
    stm, ctm = rows("stm"), rows("ctm")
    assert [(row[2], float(row[3])) for row in stm] == [
        (turn.speaker, pytest.approx(turn.span.start, abs=1e-3)) for turn in turns
    ]
    script = read_dialogue(SAMPLES / "standup.txt")
    assert sorted((row[2], *row[5:]) for row in stm) == sorted((line.speaker, *words(line.text)) for line in script)
    for row in stm:
        start, end = float(row[3]), float(row[4])
        inside = [
            c for c in ctm if c[1] == row[2] and start - 0.1 <= float(c[2]) and float(c[2]) + float(c[3]) <= end + 0.15
        ]
        assert [c[4] for c in inside] == row[5:]


def test_it_keeps_to_the_closed_vocabulary() -> None:
    spoken = {word for line in read_dialogue(SAMPLES / "standup.txt") for word in words(line.text)}
    assert spoken <= set(vocabulary())


@pytest.mark.skipif(
    shutil.which("flite") is None, reason="speaks with the program flite, which is not installed: apt install flite"
)
def test_its_recipe_makes_it_again(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    recipe = [sys.executable, SAMPLES / "make.py", "--cache", tmp_path / "flite", "-o", tmp_path / "made"]
    subprocess.run(recipe, check=True, capture_output=True)
    for suffix in ("m4a", "rttm", "stm", "uem", "ctm"):
        made = (tmp_path / "made" / f"standup.{suffix}").read_bytes()
        assert made == (SAMPLES / f"standup.{suffix}").read_bytes(), suffix
    excerpt = SAMPLES.parent / "console" / "sample_recording" / "standup-excerpt.m4a"
    assert (tmp_path / "made" / excerpt.name).read_bytes() == excerpt.read_bytes()
