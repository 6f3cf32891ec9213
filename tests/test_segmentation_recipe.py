"""The recipe that fine-tunes a segmentation: its data, its start from the checkpoint, resuming, and its use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio, Span, Turn
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote
from meetsplit.pipeline.errors import SettingsError, StageError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import registry, weights
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings
from meetsplit.training import segmentation, trainer
from meetsplit.training.meeting import rttm
from meetsplit.training.segmentation_data import RATE, TAIL, TrainingRecording, prepare, read_annotated, simulated
from meetsplit.training.segmentation_task import (
    MAX_SIMULTANEOUS,
    loss_function,
    make_batch,
    prepare_task,
    save,
    to_powerset,
)
from meetsplit.training.trainer import TrainState


def recording(folder: Path, name: str, seed: int, seconds: float = 7.0) -> Path:
    """Two buzzing voices that take turns and overlap, with their RTTM."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    turns = (Turn(Span(0.5, 3.0), "ann"), Turn(Span(2.5, 5.0), "bob"), Turn(Span(5.5, 6.5), "ann"))
    sound = 0.002 * rng.standard_normal(len(t))
    for turn in turns:
        pitch = 120 if turn.speaker == "ann" else 210
        inside = (t >= turn.span.start) & (t < turn.span.end)
        sound += inside * sum(0.05 / k * np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) for k in range(1, 9))
    folder.mkdir(parents=True, exist_ok=True)
    write_wav(folder / f"{name}.wav", Audio(sound.astype(np.float32), RATE))
    (folder / f"{name}.rttm").write_text(rttm(name, turns), "utf-8")
    return folder


@pytest.fixture(scope="module")
def meetings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data`` with two recordings and ``dev`` with another."""
    folder = tmp_path_factory.mktemp("meetings")
    for name, seed in (("one", 1), ("two", 2)):
        recording(folder / "data", name, seed)
    recording(folder / "dev", "three", 3)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small multi-label PyanNet of three speakers, as pyannote.audio itself saves it."""
    with quiet_pyannote():
        import lightning
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.segmentation import PyanNet

    with quiet_pyannote(), torch.random.fork_rng():
        torch.manual_seed(0)
        network = PyanNet(
            lstm={"hidden_size": 8, "num_layers": 2, "dropout": 0.5}, linear={"hidden_size": 8, "num_layers": 1}
        )
        network.specifications = Specifications(
            problem=Problem.MULTI_LABEL_CLASSIFICATION,
            resolution=Resolution.FRAME,
            duration=5.0,
            classes=["speaker#1", "speaker#2", "speaker#3"],
            permutation_invariant=True,
        )
        network.build()
        with torch.no_grad():
            network.classifier.weight.mul_(30.0)
    content: dict[str, Any] = {"state_dict": network.state_dict(), "hyper_parameters": dict(network.hparams)}
    content["pytorch-lightning_version"] = lightning.__version__
    network.on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    torch.save(content, path)
    return path


def training_recordings(meetings: Path, cache: Path) -> list[TrainingRecording]:
    return list(prepare(read_annotated(meetings / "data"), cache, 5.0))


def test_a_powerset_begins_with_the_answers_of_the_network_that_it_was_made_of(checkpoint: Path) -> None:
    before, after = load_segmentation(checkpoint), load_segmentation(checkpoint)
    to_powerset(after)
    sound = 0.1 * torch.randn(2, 1, 5 * RATE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        by_speaker = before(sound).double()
        sets = after(sound).double().exp()
    torch.testing.assert_close(sets.sum(dim=-1), torch.ones_like(sets[..., 0]))
    members = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    independent = torch.stack(
        [
            torch.stack([by_speaker[..., k] if k in group else 1 - by_speaker[..., k] for k in range(3)]).prod(dim=0)
            for group in members
        ],
        dim=-1,
    )
    torch.testing.assert_close(sets, independent / independent.sum(dim=-1, keepdim=True), atol=1e-4, rtol=1e-3)


def test_a_checkpoint_of_pyannote_is_read_without_running_it(checkpoint: Path, tmp_path: Path) -> None:
    network = load_segmentation(checkpoint)
    with quiet_pyannote():
        from pyannote.audio import Model

        theirs = Model.from_pretrained(checkpoint)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor)
    assert network.specifications.classes == theirs.specifications.classes
    for name, content in (("text.ckpt", b"no checkpoint"), ("empty.ckpt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StageError, match=name):
            load_segmentation(tmp_path / name)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(StageError, match=r"no model of pyannote\.audio"):
        load_segmentation(tmp_path / "other.ckpt")


def test_recordings_are_prepared_as_the_diarizer_reads_them(meetings: Path, tmp_path: Path) -> None:
    recording(tmp_path / "short", "short", 4, seconds=3.0)
    (meetings / "data" / "one.uem").write_text("one 1 1.000 6.500\n", "utf-8")
    recordings = training_recordings(meetings, tmp_path)
    (meetings / "data" / "one.uem").unlink()
    assert [recording.name for recording in recordings] == ["one", "two"]
    assert [recording.seconds for recording in recordings] == [5.5, 7.0]
    assert len(np.load(recordings[0].path)) == round((7.0 + TAIL) * RATE)
    assert {turn.speaker for turn in recordings[0].turns} == {"ann", "bob"}
    assert list(prepare(read_annotated(tmp_path / "short"), tmp_path, 5.0)) == []


def test_windows_of_a_step_depend_on_seed_and_number_alone(meetings: Path, checkpoint: Path, tmp_path: Path) -> None:
    _, task = prepare_task(checkpoint, training_recordings(meetings, tmp_path), tmp_path, 3)
    with quiet_pyannote():
        one, two, other = (make_batch(task, 1, step) for step in (5, 5, 6))
        loss, _ = loss_function(task, "cpu")(one)
    assert one["X"].shape == (3, 1, 5 * RATE)
    assert one["y"].shape[0] == 3
    assert one["y"].shape[2] == 3
    assert one["y"].sum(dim=2).max() == MAX_SIMULTANEOUS
    assert torch.equal(one["X"], two["X"])
    assert torch.equal(one["y"], two["y"])
    assert not torch.equal(one["X"], other["X"])
    assert torch.isfinite(loss)


def test_windows_hear_what_their_labels_say(meetings: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Frames without a speaker hold only hiss."""
    network, task = prepare_task(checkpoint, training_recordings(meetings, tmp_path), tmp_path, 8)
    with quiet_pyannote():
        batch = make_batch(task, 2, 0)
    frames = batch["y"].bool().any(dim=2).numpy()
    centres = (np.arange(frames.shape[1]) * network.receptive_field.step + network.receptive_field.duration / 2) * RATE
    level = np.array(
        [[np.abs(row[max(int(c) - 80, 0) : int(c) + 80]).mean() for c in centres] for row in batch["X"][:, 0].numpy()]
    )
    assert np.median(level[frames]) > 5 * np.median(level[~frames])


def test_simulated_meetings_are_made_once(tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics")
    for person in range(4):
        rng = np.random.default_rng(person)
        t = np.arange(9 * RATE) / RATE
        loud = np.repeat(rng.uniform(0.0, 1.0, 36) > 0.3, RATE // 4)
        write_wav(
            tmp_path / f"{person}-a.wav",
            Audio((0.2 * loud * np.sin(2 * np.pi * (150 + 60 * person) * t)).astype(np.float32), RATE),
        )
    made = list(simulated(tmp_path, tmp_path / "cache", count=1, seed=3))
    before = made[0].path.stat().st_mtime_ns
    assert list(simulated(tmp_path, tmp_path / "cache", count=1, seed=3)) == made
    assert made[0].path.stat().st_mtime_ns == before
    assert made[0].seconds > 20
    assert 2 <= len({turn.speaker for turn in made[0].turns}) <= 4


@pytest.fixture
def no_fetching(embedded_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    roles = {
        weights.EMBEDDED_SEGMENTATION: "segmentation",
        weights.EMBEDDED_ENCODER: "encoder",
        weights.EMBEDDED_VAD: "vad",
    }
    monkeypatch.setattr(segmentation, "_fetch", lambda source: embedded_weights[roles[source]])


def arguments(meetings: Path, checkpoint: Path, folder: Path, **others: object) -> list[str]:
    options = {
        "steps": 6,
        "batch": 2,
        "exam-every": 3,
        "minutes": 5,
        "peak": 1e-2,
        "device": "cpu",
        "checkpoint": checkpoint,
    } | others
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    places = ["--cache", str(folder), "-o", str(folder / "made.safetensors")]
    return ["--data", str(meetings / "data"), "--dev", str(meetings / "dev"), *places, *words]


@pytest.mark.usefixtures("no_fetching")
def test_killed_and_called_again_it_ends_as_if_undisturbed(
    meetings: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert segmentation.main(arguments(meetings, checkpoint, tmp_path / "whole")) == 0
    train_step = TrainState.train_step

    def killed(self: TrainState[Any], batch: Any, learning_rate: float) -> Any:
        if self.step == 4:
            raise KeyboardInterrupt
        return train_step(self, batch, learning_rate)

    monkeypatch.setattr(trainer, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(TrainState, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        segmentation.main(arguments(meetings, checkpoint, tmp_path / "killed"))
    monkeypatch.setattr(TrainState, "train_step", train_step)
    assert segmentation.main(arguments(meetings, checkpoint, tmp_path / "killed")) == 0
    output = capsys.readouterr().out
    assert "going on at step 4" in output
    assert "dev, before: DER" in output
    assert "dev, after: DER" in output
    one, two = (torch.load(tmp_path / run / "state.pt", weights_only=True) for run in ("whole", "killed"))
    assert one["step"] == two["step"] == 6
    assert [row[::2] for row in one["evaluations"]] == [row[::2] for row in two["evaluations"]]
    for name in one["model"]:
        torch.testing.assert_close(one["model"][name], two["model"][name])
    start = load_segmentation(checkpoint).state_dict()["lstm.weight_hh_l0"]
    assert not torch.allclose(one["model"]["lstm.weight_hh_l0"], start)


def test_the_embedded_diarizer_takes_what_was_written(
    meetings: Path, checkpoint: Path, embedded_weights: dict[str, Path], tmp_path: Path
) -> None:
    network, task = prepare_task(checkpoint, training_recordings(meetings, tmp_path), tmp_path, 2)
    made = tmp_path / "made.safetensors"
    save(made, network.state_dict(), task, checkpoint)
    settings = Settings(diarizer_model=str(made))
    assert settings.diarizer == "embedded"
    sources = weight_sources("diarizer", "embedded", settings)
    assert sources["segmentation"] == weights.Local(made)
    diarizer = registry.load("diarizer", "embedded", settings, {**embedded_weights, "segmentation": made}, "cpu")
    case = next(read_annotated(meetings / "dev"))
    turns = diarizer.diarize(case.audio, ignore_events)
    assert turns
    assert all(0 <= turn.span.start < turn.span.end <= case.audio.duration for turn in turns)
    again = load_segmentation(made)
    assert again.specifications.powerset_max_classes == MAX_SIMULTANEOUS
    torch.testing.assert_close(again.classifier.weight, network.classifier.weight)


def test_another_segmentation_is_asked_for_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file; with --diarizer embedded it is a segmentation"):
        weight_sources(
            "diarizer", "embedded", Settings(diarizer="embedded", diarizer_model="pyannote/segmentation-3.0")
        )
    plain = weight_sources("diarizer", "embedded", Settings(diarizer_model="pyannote/some-pipeline"))
    assert plain["segmentation"] == weights.EMBEDDED_SEGMENTATION, (
        "auto came here because that pipeline is not to be had"
    )


@pytest.mark.usefixtures("no_fetching")
def test_what_is_better_is_written_with_a_card_and_what_is_not_is_not(
    meetings: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = segmentation.DiarizationEvaluator.errors
    seconds = iter([5.0, 4.0, 3.0, 6.0, 6.0, 3.0])

    def errors(self: segmentation.DiarizationEvaluator, path: Path, cases: Any) -> Any:
        """Evaluates, so that all code runs, and returns given errors."""
        evaluate(self, path, cases)
        return segmentation.TurnErrors(miss=next(seconds), total=10.0, speakers=(2, 2))

    monkeypatch.setattr(segmentation.DiarizationEvaluator, "errors", errors)
    assert (
        segmentation.main(
            [*arguments(meetings, checkpoint, tmp_path, steps=3, **{"exam-every": 1}), "--about", "made up, CC0"]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert "dev, before: DER 60.0 %" in output
    assert "dev, after: DER 30.0 %" in output
    card = (tmp_path / "made.md").read_text("utf-8")
    for part in ("after 2 further steps", "made up, CC0", "| 2 |", "DER 30.0 %", "## Limits"):
        assert part in card
    (tmp_path / "made.safetensors").unlink()
    seconds = iter([6.0, 7.0])
    assert segmentation.main(arguments(meetings, checkpoint, tmp_path, steps=3)) == 0
    assert "nothing is written" in capsys.readouterr().out
    assert not (tmp_path / "made.safetensors").exists()


@pytest.mark.usefixtures("no_fetching")
def test_bad_folders_are_one_sentence(
    meetings: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / "short" / "data", "short", 4, seconds=3.0)
    (tmp_path / "short" / "dev").symlink_to(meetings / "dev")
    (tmp_path / "same" / "data").mkdir(parents=True)
    for name in ("three.wav", "three.rttm"):
        (tmp_path / "same" / "data" / name).write_bytes((meetings / "dev" / name).read_bytes())
    (tmp_path / "same" / "dev").symlink_to(meetings / "dev")
    expected = {
        tmp_path / "nothing": "no recording with its turns beside it",
        tmp_path / "short": "5 annotated seconds on end",
        tmp_path / "same": "is also in --dev",
    }
    for folder, sentence in expected.items():
        assert segmentation.main(arguments(folder, checkpoint, tmp_path)) == 2
        output = capsys.readouterr().err
        assert sentence in output
        assert output.count("\n") == 1
    broken = tmp_path / "broken.ckpt"
    broken.write_text(json.dumps({}))
    assert segmentation.main(arguments(meetings, broken, tmp_path)) == 1
    assert "no checkpoint of pyannote.audio" in capsys.readouterr().err
