"""The separation benchmark: no leakage into enrollment, the same mixtures for all separators, the table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from meetsplit.benchmarks import mask_power, pairs, separation
from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.scoring.separation import si_sdr

RATE = 16_000


def utterance(speaker: int, number: int) -> Audio:
    """Noise that differs by speaker and number, so that any piece of it can be identified."""
    noise = np.random.default_rng((speaker, number)).standard_normal(3 * RATE)
    return Audio(
        (0.1 * np.convolve(noise, np.ones(2 + 3 * speaker) / (2 + 3 * speaker), "same")).astype(np.float32), RATE
    )


@pytest.fixture(scope="module")
def utterances() -> dict[str, list[Audio]]:
    return {f"s{speaker}": [utterance(speaker, number) for number in range(4)] for speaker in range(3)}


def is_part_of(piece: Audio, whole: Audio) -> bool:
    """Whether a stretch of ``piece`` is part of ``whole``, at any level."""
    part = piece.samples[RATE // 2 : RATE // 2 + 2000]
    likeness = np.correlate(whole.samples, part, "valid")
    powers = np.convolve(whole.samples.astype(np.float64) ** 2, np.ones(len(part)), "valid")
    return bool((np.abs(likeness) / np.sqrt(powers * np.sum(part.astype(np.float64) ** 2))).max() > 0.99)


def test_enrollment_holds_nothing_of_a_mixture(utterances: dict[str, list[Audio]]) -> None:
    made = list(pairs.make_mixtures(utterances, {}, seconds=100.0, each=1, seed=1))
    assert len(made) == 3
    for mixture in made:
        np.testing.assert_allclose(mixture.mixture.samples, mixture.voices[0] + mixture.voices[1], atol=1e-6)
        for samples, (speaker, clips) in zip(mixture.voices, mixture.enrollment.items(), strict=True):
            voice = Audio(samples, RATE)
            assert any(is_part_of(voice, clip) for clip in utterances[speaker])
            assert not any(is_part_of(voice, clip) for clip in clips)


def test_mixtures_do_not_depend_on_the_length_of_enrollment(utterances: dict[str, list[Audio]]) -> None:
    short, long = (list(pairs.make_mixtures(utterances, {}, seconds=seconds, each=2, seed=5)) for seconds in (1.5, 8.0))
    assert all(np.array_equal(a.mixture.samples, b.mixture.samples) for a, b in zip(short, long, strict=True))
    lengths = {
        round(sum(clip.duration for clip in clips), 3) for mixture in short for clips in mixture.enrollment.values()
    }
    assert lengths == {1.5}


def test_spare_mixtures_are_of_utterances_that_no_enrollment_reaches(utterances: dict[str, list[Audio]]) -> None:
    short, long = (
        list(pairs.spare_mixtures(utterances, {}, seconds=seconds, each=2, seed=5, longest=4.0))
        for seconds in (2.0, 4.0)
    )
    assert len(short) == 6
    assert all(np.array_equal(a.mixture.samples, b.mixture.samples) for a, b in zip(short, long, strict=True))
    for mixture in pairs.make_mixtures(utterances, {}, seconds=4.0, each=1, seed=5):
        for spare in (spare for spare in long if spare.speakers == mixture.speakers):
            for samples, known, (speaker, clips) in zip(
                spare.voices, mixture.voices, spare.enrollment.items(), strict=True
            ):
                voice = Audio(samples, RATE)
                (source,) = (clip for clip in utterances[speaker] if is_part_of(voice, clip))
                assert not is_part_of(Audio(known, RATE), source)
                assert not any(is_part_of(voice, clip) for clip in clips)
    assert not list(pairs.spare_mixtures(utterances, {}, seconds=2.0, each=2, seed=5, longest=9.0))


def test_mixtures_of_given_lengths_have_their_own_columns(utterances: dict[str, list[Audio]]) -> None:
    mixtures = list(pairs.make_mixtures(utterances, {}, seconds=1.0, each=2, seed=1, lengths=(0.5, 2.0)))
    assert [mixture.mixture.duration for mixture in mixtures[:4]] == [0.5, 0.5, 2.0, 2.0]
    result = separation.SeparationResult("both", pairs=1, mixtures=2, training_seconds=3.0, separation_seconds=5.0)
    result.gains, result.same_sex, result.seconds = [1.0, 3.0, 6.0], [True, True, False], [0.5, 0.5, 2.0]
    head, row = separation.head_by_length((0.5, 2.0)).splitlines()[0], result.row_by_length((0.5, 2.0))
    assert row == "| both | 2.0 (1.2) | 6.0 (6.0) | 3.3 (1.4) | 2.0 (1.2) | 3 | 2.50 |"
    assert row.count("|") == head.count("|")


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
    for speaker, clips in utterances.items():
        (tmp_path / speaker / "chapter").mkdir(parents=True)
        for number, audio in enumerate(clips[:3]):
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
    head, _, refused, separated, _, environment = capsys.readouterr().out.splitlines()
    assert head.count("|") == refused.count("|") == separated.count("|") == 11
    assert refused.startswith("| dictionary, 0.5 s (had 0) | – |")
    assert refused.endswith("| 3 |")
    assert float(separated.split("|")[2]) > 0.0
    assert separated.endswith("| 0 |")
    assert environment.startswith("`python -m meetsplit.benchmarks.separation --data ")


def test_the_higher_the_power_of_masks_the_more_they_decide(
    utterances: dict[str, list[Audio]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for speaker in ("s0", "s2"):
        (tmp_path / speaker).mkdir()
        for number, audio in enumerate(utterances[speaker]):
            write_wav(tmp_path / speaker / f"{number}.wav", audio)
    options = ["--enrol", "6", "--each", "1", "--budgets", "0", "--powers", "0.01", "1.3"]
    monkeypatch.setattr(sys, "argv", ["mask_power", "--data", str(tmp_path), *options])
    mask_power.main()
    head, _, flat, sharp, *_ = capsys.readouterr().out.splitlines()
    assert head.count("|") == flat.count("|") == sharp.count("|") == 7
    assert flat.startswith("| 0 s, 0.01 |")
    (flat_gain, flat_others), (sharp_gain, sharp_others) = (
        (float(row.split("|")[2]), float(row.split("|")[6])) for row in (flat, sharp)
    )
    assert sharp_gain > flat_gain + 1.0
    assert sharp_others < 0.8 * flat_others


class Swapped:
    """A blind separator that returns the true voices in the other order."""

    def __init__(self, mixture: pairs.TwoSpeakerMixture) -> None:
        self.rate: int = RATE
        self.counts: frozenset[int] = frozenset({2})
        self._mixture = mixture

    def split(self, mixture: Audio, count: int) -> list[Audio]:
        return [mixture.replaced(truth) for truth in reversed(self._mixture.voices)]


def test_anonymous_voices_are_measured_in_their_best_order(utterances: dict[str, list[Audio]]) -> None:
    mixture = next(iter(pairs.make_mixtures(utterances, {}, seconds=8.0, each=1, seed=2)))
    estimates = separation.separate_in_true_order(Swapped(mixture), mixture)
    assert all(np.array_equal(one, voice) for one, voice in zip(estimates, mixture.voices, strict=True))
    result = separation.measure("blind", Swapped(mixture), [mixture])
    assert min(result.gains) > 50.0


def test_a_mean_is_half_of_each(utterances: dict[str, list[Audio]]) -> None:
    mixture = next(iter(pairs.make_mixtures(utterances, {}, seconds=8.0, each=1, seed=3)))
    first, second = separation.DictionarySeparator(), separation.adapted(None, 0.0)
    rows = [
        separation.separate_in_true_order(one, mixture)
        for one in (first, second, separation.MeanSeparator(first, second))
    ]
    for one, other, mean in zip(*rows, strict=True):
        np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)
