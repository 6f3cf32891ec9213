"""The recipe of our own SepFormer: mixtures, initialisation, resuming, and separation with the written weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.separators.blind import INPUT_RMS
from meetsplit.pipeline.separators.sepformer import SepformerSeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.separation import si_sdr as scoring_si_sdr
from meetsplit.training import trainer
from meetsplit.training.separation import (
    Hyperparameters,
    main,
    make_batch,
    new_training,
    separate,
    si_sdr_gains,
    validation_mixtures,
)
from meetsplit.training.separation_mixtures import MixtureGenerator, split_speakers
from meetsplit.training.separation_model import RATE, SIZES, Sepformer, permutation_invariant_si_sdr, si_sdr
from meetsplit.training.trainer import TrainState

TINY = SIZES["tiny"]


def voice(pitch: float, seconds: float, seed: int) -> Audio:
    """A buzz of one pitch in syllables."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.repeat(rng.uniform(0.3, 1.0, round(seconds * 8)), RATE // 8)[: len(t)]
    return Audio((0.1 * buzz * np.pad(syllables, (0, len(t) - len(syllables)), mode="edge")).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people with two utterances each, a folder per person."""
    folder = tmp_path_factory.mktemp("speech")
    for person in range(8):
        for take in range(2):
            path = folder / f"p{person}" / f"{take}.wav"
            path.parent.mkdir(exist_ok=True)
            write_wav(path, voice(90 + 31 * person, 1.5, 10 * person + take))
    return folder


@pytest.fixture(scope="module")
def generator(speech: Path) -> MixtureGenerator:
    return MixtureGenerator(split_speakers(speech, 0.25, 2)[0], 2)


def arguments(speech: Path, folder: Path, **others: object) -> list[str]:
    options = {
        "size": "tiny",
        "steps": 6,
        "batch": 2,
        "seconds": 0.4,
        "rooms": 0,
        "mixtures": 2,
        "exam-every": 3,
        "minutes": 5,
    } | others
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["--data", str(speech), "--cache", str(folder), "-o", str(folder / "made"), "--device", "cpu", *words]


def test_people_are_held_out_whole_and_always_the_same(speech: Path) -> None:
    train, held = split_speakers(speech, 0.25, 2)
    names = [{file.speaker for files in speaker_set.speakers for file in files} for speaker_set in (train, held)]
    assert len(names[0]) == 6
    assert len(names[1]) == 2
    assert not names[0] & names[1]
    assert split_speakers(speech, 0.25, 2) == (train, held)


def test_mixtures_are_sums_at_the_level_that_the_separator_hears(generator: MixtureGenerator) -> None:
    mixture, stems = generator.clean(np.random.default_rng(0), 1.0)
    assert stems.shape == (2, RATE)
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-6)
    for seed in range(4):
        mixture, stems = generator.augmented(np.random.default_rng(seed), 1.0)
        assert float(np.sqrt(np.mean(mixture**2))) == pytest.approx(INPUT_RMS, rel=1e-3)
        noise = float(np.sqrt(np.mean((mixture - stems.sum(axis=0)) ** 2)))
        assert noise < 0.2 * INPUT_RMS
        assert np.abs(stems).max(axis=1).min() > 0.01


def test_rooms_reach_mixtures(speech: Path) -> None:
    pytest.importorskip("pyroomacoustics")
    dry, wet = (MixtureGenerator(split_speakers(speech, 0.25, 2)[0], 2, rooms=count) for count in (0, 1))
    made = [
        (dry.augmented(np.random.default_rng(s), 0.5), wet.augmented(np.random.default_rng(s), 0.5)) for s in range(6)
    ]
    assert any(not np.allclose(a[1], b[1]) for a, b in made)
    for _, (mixture, stems) in made:
        assert np.isfinite(mixture).all()
        assert np.abs(stems).max() > 0.01


def test_a_step_depends_on_seed_and_number_alone(generator: MixtureGenerator) -> None:
    hyperparameters = Hyperparameters(10, 1e-3, 3, 0.3, 5)
    one, two, other = (make_batch(generator, hyperparameters, step) for step in (3, 3, 4))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_the_loss_is_the_score(generator: MixtureGenerator) -> None:
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((1, 3, 800)).astype(np.float32) + np.float32(0.3)
    estimates = truth[:, [2, 0, 1]] + 0.1 * rng.standard_normal((1, 3, 800)).astype(np.float32)
    ordered = permutation_invariant_si_sdr(torch.from_numpy(estimates), torch.from_numpy(truth))[0]
    expected = [scoring_si_sdr(estimates[0, place], truth[0, voice]) for voice, place in enumerate((1, 2, 0))]
    np.testing.assert_allclose(ordered.numpy(), expected, atol=0.01)


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_before_the_first_step_every_voice_is_nearly_the_mixture(generator: MixtureGenerator, size: str) -> None:
    torch.manual_seed(0)
    model = Sepformer(SIZES[size])
    mixtures = validation_mixtures(generator, 2, clean=True)
    for (mixture, _), estimates in zip(mixtures, separate(model, mixtures, "cpu"), strict=True):
        assert estimates.shape == (2, len(mixture))
        assert si_sdr(torch.from_numpy(estimates), torch.from_numpy(mixture)).min() > 5.0


def test_it_learns(generator: MixtureGenerator) -> None:
    config = dataclasses.replace(TINY, channels=64, kernel=32, width=32, inner=64)
    hyperparameters = Hyperparameters(1000, 4e-3, 4, 0.4, 1)
    training = new_training(config, hyperparameters, "cpu")
    mixtures = validation_mixtures(generator, 6, clean=True)
    before = si_sdr_gains(list(separate(training.model, mixtures, "cpu")), mixtures).mean()
    for step in range(40):
        training.state.train_step(make_batch(generator, hyperparameters, step), 4e-3)
    after = si_sdr_gains(list(separate(training.model, mixtures, "cpu")), mixtures).mean()
    assert after > before + 0.5


def test_killed_and_called_again_it_ends_as_if_undisturbed(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(speech, tmp_path / "whole")) == 0
    train_step = TrainState.train_step

    def killed(self: TrainState[Any], batch: Any, learning_rate: float) -> Any:
        if self.step == 4:
            raise KeyboardInterrupt
        return train_step(self, batch, learning_rate)

    monkeypatch.setattr(trainer, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(TrainState, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        main(arguments(speech, tmp_path / "killed"))
    assert not (tmp_path / "killed" / "made").exists()
    monkeypatch.setattr(TrainState, "train_step", train_step)
    assert main(arguments(speech, tmp_path / "killed")) == 0
    assert "going on at step 4" in capsys.readouterr().out
    for part in ("encoder", "masknet", "decoder"):
        one, two = (
            torch.load(tmp_path / run / "made" / f"{part}.ckpt", weights_only=True) for run in ("whole", "killed")
        )
        for name in one:
            torch.testing.assert_close(one[name], two[name])


def test_meetsplit_separates_with_what_was_written(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(speech, tmp_path, steps=2), "--about", "made up for a test, CC0"]) == 0
    output = capsys.readouterr().out
    assert "trained on: 6 people" in output
    assert output.count("held-out people") >= 3
    separator = SepformerSeparator.load(Settings(), {"separator": tmp_path / "made"}, "cpu")
    mixture = Audio(voice(110, 1.0, 0).samples + voice(190, 1.0, 1).samples, RATE, 3.0)
    voices = separator.split(mixture, 2)
    assert [voice.span for voice in voices] == [mixture.span] * 2
    np.testing.assert_allclose(sum(voice.samples for voice in voices), mixture.samples, atol=1e-5)
    card = (tmp_path / "made" / "card.md").read_text("utf-8")
    for part in (
        "made up for a test, CC0",
        "meetsplit.training.separation",
        "gain on clean mixtures",
        "2 people were held out",
        "## Limits",
    ):
        assert part in card
    assert str(speech) not in card


def test_minutes_end_a_call_and_the_next_goes_on(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(speech, tmp_path, minutes=0)) == 0
    assert main(arguments(speech, tmp_path, minutes=0)) == 0
    output = capsys.readouterr().out
    assert "going on at step 1" in output
    assert "after 2 steps" in output


def test_bad_data_is_one_sentence(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path / "nothing", tmp_path)) == 2
    assert "no utterances in it" in capsys.readouterr().err
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "a-1.wav").write_bytes((speech / "p0" / "0.wav").read_bytes())
    assert main(arguments(lonely, tmp_path)) == 2
    assert "utterances of 1 people; it takes 4" in capsys.readouterr().err
    for name in ("b-1.wav", "c-1.wav", "d-1.wav"):
        (lonely / name).write_bytes(b"this is no sound")
    assert main(arguments(lonely, tmp_path)) == 1
    assert "-1.wav" in capsys.readouterr().err


def test_the_state_of_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    hyperparameters = Hyperparameters(10, 1e-3, 1, 0.3, 1)
    new_training(TINY, hyperparameters, "cpu").state.save(tmp_path / "state.pt")
    with pytest.raises(SettingsError, match="state of another training"):
        new_training(dataclasses.replace(TINY, width=32), hyperparameters, "cpu").state.resume(tmp_path / "state.pt")


def test_a_state_saved_by_the_first_version_is_resumed(tmp_path: Path) -> None:
    hyperparameters = Hyperparameters(10, 1e-3, 1, 0.3, 1)
    state = new_training(TINY, hyperparameters, "cpu").state
    state.add_evaluation(1.5)
    state.save(tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    content["pupil"], content["marks"] = content.pop("model"), content.pop("evaluations")
    content["step"] = 7
    torch.save(content, tmp_path / "old.pt")
    resumed = new_training(TINY, hyperparameters, "cpu").state
    resumed.resume(tmp_path / "old.pt")
    assert resumed.step == 7
    assert [evaluation.score for evaluation in resumed.evaluations] == [1.5]
    for name, tensor in state.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], tensor)
