"""The separation benchmark measures what it says: no leak into enrolment, the same mixtures for everybody, a readable table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from meetsplit.benchmarks import pairs, separation
from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.scoring.separation import si_sdr

RATE = 16_000


def utterance(speaker: int, number: int) -> Audio:
    """Noise with a number of its own in it: wherever a piece turns up, its origin can be told."""
    noise = np.random.default_rng((speaker, number)).standard_normal(3 * RATE)
    return Audio(
        (0.1 * np.convolve(noise, np.ones(2 + 3 * speaker) / (2 + 3 * speaker), "same")).astype(np.float32), RATE
    )


@pytest.fixture(scope="module")
def utterances() -> dict[str, list[Audio]]:
    return {f"s{speaker}": [utterance(speaker, number) for number in range(4)] for speaker in range(3)}


def found_in(piece: Audio, whole: Audio) -> bool:
    """Whether a stretch of ``piece`` is part of ``whole``, at any level."""
    part = piece.samples[RATE // 2 : RATE // 2 + 2000]
    likeness = np.correlate(whole.samples, part, "valid")
    powers = np.convolve(whole.samples.astype(np.float64) ** 2, np.ones(len(part)), "valid")
    return bool((np.abs(likeness) / np.sqrt(powers * np.sum(part.astype(np.float64) ** 2))).max() > 0.99)


def test_nothing_of_a_mixture_is_known_beforehand(utterances: dict[str, list[Audio]]) -> None:
    made = list(pairs.cases(utterances, {}, enrol=100.0, each=1, seed=1))
    assert len(made) == 3
    for case in made:
        np.testing.assert_allclose(case.mixture.samples, case.truth[0] + case.truth[1], atol=1e-6)
        for truth, clips, own in zip(case.truth, case.known.values(), case.known, strict=True):
            voice = Audio(truth, RATE)
            assert any(found_in(voice, clip) for clip in utterances[own])
            assert not any(found_in(voice, clip) for clip in clips)


def test_every_enrolment_hears_the_same_mixtures(utterances: dict[str, list[Audio]]) -> None:
    short, long = (list(pairs.cases(utterances, {}, enrol=enrol, each=2, seed=5)) for enrol in (1.5, 8.0))
    assert all(np.array_equal(a.mixture.samples, b.mixture.samples) for a, b in zip(short, long, strict=True))
    assert {round(sum(clip.duration for clip in clips), 3) for case in short for clips in case.known.values()} == {1.5}


def test_si_sdr_ignores_level_and_counts_noise() -> None:
    noise = np.random.default_rng(0)
    truth, error = (noise.standard_normal(RATE).astype(np.float32) for _ in range(2))
    error -= (error @ truth) / (truth @ truth) * truth
    error *= 0.1 * np.linalg.norm(truth) / np.linalg.norm(error)
    assert si_sdr(7.0 * (truth + error), truth) == pytest.approx(20.0, abs=0.05)


def test_what_is_measured_is_what_the_score_command_measures() -> None:
    assert separation.si_sdr is si_sdr  # type: ignore[attr-defined]


def test_the_table(
    utterances: dict[str, list[Audio]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for speaker, said in utterances.items():
        (tmp_path / speaker / "chapter").mkdir(parents=True)
        for number, audio in enumerate(said[:3]):
            write_wav(tmp_path / speaker / "chapter" / f"{number}.wav", audio)
    sexes = tmp_path / "speakers.csv"
    sexes.write_text("speaker,sex\ns0,F\ns1,F\ns2,M\n", "utf-8")
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "separation",
            "--data",
            str(tmp_path),
            "--sexes",
            str(sexes),
            "--enrol",
            "0.5",
            "5",
            "--each",
            "1",
            "--budgets",
        ],
    )
    separation.main()
    head, _, refused, taken, _, circumstances = capsys.readouterr().out.splitlines()
    assert head.count("|") == refused.count("|") == taken.count("|") == 11
    assert refused.startswith("| dictionary, 0.5 s (had 0) | – |")
    assert refused.endswith("| 3 |")
    assert float(taken.split("|")[2]) > 0.0
    assert taken.endswith("| 0 |")
    assert circumstances.startswith("`python -m meetsplit.benchmarks.separation --data ")


class Swapped:
    """A blind separator that finds the very voices, in the other order."""

    def __init__(self, case: pairs.Case) -> None:
        self.rate: int = RATE
        self.counts: frozenset[int] = frozenset({2})
        self._case = case

    def split(self, mixture: Audio, count: int) -> list[Audio]:
        return [mixture.replaced(truth) for truth in reversed(self._case.truth)]


def test_voices_without_names_are_judged_in_their_best_order(utterances: dict[str, list[Audio]]) -> None:
    case = next(iter(pairs.cases(utterances, {}, enrol=8.0, each=1, seed=2)))
    found = separation.taken(Swapped(case), case)
    assert all(np.array_equal(voice, truth) for voice, truth in zip(found, case.truth, strict=True))
    row = separation.measured("blind", Swapped(case), [case])
    assert min(row.gains) > 50.0


def test_a_mean_is_half_of_each(utterances: dict[str, list[Audio]]) -> None:
    case = next(iter(pairs.cases(utterances, {}, enrol=8.0, each=1, seed=3)))
    first, second = separation.DictionarySeparator(), separation.adapted(None, 0.0)
    rows = [separation.taken(one, case) for one in (first, second, separation.Mean(first, second))]
    for one, other, mean in zip(*rows, strict=True):
        np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)
