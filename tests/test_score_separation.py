"""How clean the tracks are: SI-SDR equal to torchmetrics, gain, leakage, and the silent and the perfect track."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio, Span, Turn
from meetsplit.pipeline.errors import ScoreError
from meetsplit.scoring.pairing import Pairing, pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.report import as_data, as_table
from meetsplit.scoring.scores import score
from meetsplit.scoring.separation import score_separation, si_sdr
from meetsplit.scoring.separation_files import score_stems

RATE = 8000
TURNS = (Turn(Span(0.0, 3.0), "A"), Turn(Span(2.0, 5.0), "B"))


def noise(seed: int, *stretches: tuple[float, float]) -> Audio:
    samples = np.zeros(5 * RATE, np.float32)
    dice = np.random.default_rng(seed)
    for start, end in stretches:
        part = slice(round(start * RATE), round(end * RATE))
        samples[part] = 0.1 * dice.standard_normal(part.stop - part.start).astype(np.float32)
    return Audio(samples, RATE)


A, B = noise(1, (0.0, 3.0)), noise(2, (2.0, 5.0))


def mixed(*parts: tuple[float, Audio]) -> Audio:
    return Audio(np.sum([gain * audio.samples for gain, audio in parts], axis=0).astype(np.float32), RATE)


def test_si_sdr_equals_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    for seed in range(5):
        target, other = noise(seed, (0, 5)).samples, noise(seed + 50, (0, 5)).samples
        estimate = (0.3 * target + 0.02 * seed * other).astype(np.float32) + 0.01 * other
        theirs = scale_invariant_signal_distortion_ratio(
            torch.from_numpy(estimate.copy()), torch.from_numpy(target.copy())
        ).item()
        assert si_sdr(estimate, target) == pytest.approx(theirs, abs=1e-3)


def test_gain_is_over_the_mixture_and_each_track_finds_its_voice() -> None:
    scores = score_separation({"A": A, "B": B}, {"x": mixed((1.0, B), (0.1, A)), "y": mixed((0.5, A))}, TURNS)
    voices = {voice.speaker: voice for voice in scores.voices}
    assert {name: voice.track for name, voice in voices.items()} == {"A": "y", "B": "x"}
    perfect, leaky = voices["A"].overlaps[0], voices["B"].overlaps[0]
    assert perfect[0] == leaky[0] == Span(2.0, 3.0)
    assert perfect[1].si_sdr == 60.0
    assert leaky[1].si_sdr == pytest.approx(20.0, abs=0.5)  # A at a tenth of its amplitude
    assert leaky[1].gain == pytest.approx(20.0, abs=0.5)  # the two voices are equally loud
    assert scores.overlap is not None
    assert scores.overlap.si_sdr == pytest.approx((60.0 + leaky[1].si_sdr) / 2)


def test_leakage_is_the_energy_in_the_wrong_track_while_one_person_speaks_alone() -> None:
    clean = score_separation({"A": A, "B": B}, {"A": A, "B": B}, TURNS)
    assert clean.leakage == -100.0
    leaky = score_separation({"A": A, "B": B}, {"A": mixed((1.0, A), (0.1, B)), "B": mixed((1.0, B), (0.1, A))}, TURNS)
    assert leaky.leakage == pytest.approx(-20.0, abs=1e-3)
    alone = score_separation({"A": A}, {"A": A}, TURNS[:1])
    assert alone.leakage is None


def test_a_silent_or_missing_track_counts_as_the_worst() -> None:
    silent = Audio(np.zeros(5 * RATE, np.float32), RATE)
    scores = score_separation({"A": A, "B": B}, {"A": A, "B": silent}, TURNS)
    assert [voice.track for voice in scores.voices] == ["A", None]
    assert scores.voices[1].total is not None
    assert scores.voices[1].total.si_sdr == -30.0
    assert score_separation({"A": A, "B": B}, {"A": A}, TURNS).voices[1].total == scores.voices[1].total


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Pairing]:
    for name, audio in {
        "stems/call/A.wav": A,
        "stems/call/B.wav": B,
        "out/call/SPEAKER_00.wav": A,
        "out/call/SPEAKER_01.wav": B,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / name, audio)
    stm = "call 1 {} 0.0 3.0 hello there\ncall 1 {} 2.0 5.0 good morning\n"
    (tmp_path / "call.stm").write_text(stm.format("A", "B"))
    (tmp_path / "out" / "call.stm").write_text(stm.format("SPEAKER_00", "SPEAKER_01"))
    return tmp_path, pair_up([tmp_path / "out" / "call.stm"], [tmp_path / "call.stm"])


def test_stems_and_tracks_are_found_beside_their_files(recorded: tuple[Path, Pairing]) -> None:
    folder, paired = recorded
    separation, notices = score_stems(paired.pairs, folder / "stems")
    assert notices == ()
    scores = score(paired.pairs, Protocol(), separation=separation)
    data = as_data(scores)
    assert data["pooled"]["si_sdr"] > 50
    assert data["recordings"]["call"]["overlap"]["si_sdr_gain"] > 50
    assert data["recordings"]["call"]["leakage"] == -100.0
    assert data["recordings"]["call"]["voices"][0]["overlaps"][0]["start"] == 2.0
    assert "A (SPEAKER_00)" in as_table(scores)
    write_wav(folder / "stems" / "call" / "mixture.wav", mixed((1.0, A), (1.0, B), (1.0, noise(9, (0, 5)))))
    noisy, _ = score_stems(paired.pairs, folder / "stems")
    assert noisy["call"].total is not None
    assert separation["call"].total is not None
    assert noisy["call"].total.gain > separation["call"].total.gain + 1  # there was more to gain


def test_stems_that_are_not_there_get_a_sentence(recorded: tuple[Path, Pairing]) -> None:
    folder, paired = recorded
    with pytest.raises(ScoreError, match="is not a folder: --stems is a folder with one WAV file per speaker"):
        score_stems(paired.pairs, folder / "nowhere")
    (folder / "stems" / "call" / "B.wav").unlink()
    with pytest.raises(
        ScoreError, match=r"has no sound of B, who speak in .*call\.stm: name the files after the speakers"
    ):
        score_stems(paired.pairs, folder / "stems")
    (folder / "out" / "call").rename(folder / "out" / "elsewhere")
    with pytest.raises(ScoreError, match=r"no folder .*call with one track per speaker"):
        score_stems(paired.pairs, folder / "stems")
