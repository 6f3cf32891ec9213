"""Fine-tunes the segmentation of the ``embedded`` diarizer.

    python -m meetsplit.training.segmentation --data DIR --dev DIR

Training data are recordings with an RTTM beside each and meetings simulated with ``--speech``; the training is
pyannote.audio's own task. At each validation the whole diarizer runs on the recordings of ``--dev``; the weights with
the lowest diarization error rate are written, if it is lower than the checkpoint's. Every two minutes the state is
saved; the same command resumes it. ``meetsplit run --diarizer embedded --diarizer-model FILE`` uses the written
weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from meetsplit.pipeline.diarizers.embedded import EmbeddedDiarizer
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote
from meetsplit.pipeline.errors import MeetsplitError, SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import weights
from meetsplit.pipeline.models.device import choose as choose_device
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.segmentation_data import (
    AnnotatedRecording,
    TrainingRecording,
    prepare,
    read_annotated,
    sample_call_folder,
    simulated,
)
from meetsplit.training.segmentation_task import SegmentationTask, loss_function, make_batch, prepare_task, save
from meetsplit.training.trainer import TrainerOptions, TrainState, fit, warmup_cosine

WARMUP_STEPS = 50


@dataclass(frozen=True, slots=True)
class DiarizationEvaluator:
    """Diarization errors of the whole `embedded` diarizer with some segmentation."""

    encoder: Path
    vad: Path
    device: str

    def errors(self, segmentation: Path, recordings: Sequence[AnnotatedRecording]) -> TurnErrors:
        """Errors pooled over the recordings; no collar, overlap scored, all annotated stretches."""
        models = {"segmentation": segmentation, "encoder": self.encoder, "vad": self.vad}
        diarizer = EmbeddedDiarizer.load(Settings(), models, self.device)
        total = TurnErrors()
        for recording in recordings:
            turns = diarizer.diarize(recording.audio, ignore_events)
            total += turn_errors(recording.turns, turns, uem=recording.annotated).total
        return total


@dataclass(frozen=True, slots=True)
class Training:
    """A segmentation in training: its task, state and evaluator, and the recordings that it is evaluated on."""

    task: SegmentationTask
    state: TrainState[Mapping[str, torch.Tensor]]
    evaluator: DiarizationEvaluator
    evaluation_sets: Mapping[str, Sequence[AnnotatedRecording]]
    """By name: ``dev`` chooses the weights, the others are only measured."""

    checkpoint: Path


def error_rate(errors: TurnErrors) -> float:
    """The diarization error rate in percent."""
    return 100 * errors.errors / errors.total


def summary(name: str, errors: TurnErrors) -> str:
    """One line about the errors."""
    missed, false_alarm, confused = (
        100 * seconds / errors.total for seconds in (errors.miss, errors.false_alarm, errors.confusion)
    )
    speakers = f"speakers found / true {errors.speakers[1]} / {errors.speakers[0]}"
    parts = f"missed {missed:.1f}, false alarm {false_alarm:.1f}, confused {confused:.1f}; {speakers}"
    return f"{name}: DER {error_rate(errors):.1f} % ({parts})"


def balance(
    real: Sequence[TrainingRecording], simulated_meetings: Sequence[TrainingRecording]
) -> tuple[TrainingRecording, ...]:
    """All recordings, the real ones repeated until they are about as long as the simulated ones together."""
    simulated_seconds = sum(recording.seconds for recording in simulated_meetings)
    real_seconds = sum(recording.seconds for recording in real)
    repetitions = max(round(simulated_seconds / real_seconds), 1)
    return (*(tuple(real) * repetitions), *simulated_meetings)


def train(training: Training, options: TrainerOptions, args: argparse.Namespace) -> None:
    """Train until the steps or the minutes are used up, with a validation before the first and after the last step."""
    state, task = training.state, training.task
    candidate = args.cache / "candidate.safetensors"

    def validate() -> str:
        save(candidate, state.model.state_dict(), task, training.checkpoint)
        errors = training.evaluator.errors(candidate, training.evaluation_sets["dev"])
        state.add_evaluation(-error_rate(errors))
        return summary(f"step {state.step}, {state.seconds / 60:.1f} min, dev", errors)

    def learning_rate(step: int) -> float:
        return float(args.peak) * warmup_cosine(step, options.steps, WARMUP_STEPS)

    if not state.evaluations:
        print(validate(), flush=True)
    fit(
        state,
        lambda step: make_batch(task, args.seed, step),
        options,
        learning_rate=learning_rate,
        validate=validate,
    )
    if state.evaluations[-1].step != state.step:
        print(validate(), flush=True)
        state.save(options.state)


def write_results(training: Training, args: argparse.Namespace) -> str:
    """Write the best weights and their card if they beat the checkpoint on dev; the errors before and after."""
    best = args.cache / "best.safetensors"
    best_weights = training.state.best_weights()
    save(best, best_weights, training.task, training.checkpoint)
    rows = []
    is_better = True
    for name, recordings in training.evaluation_sets.items():
        before = training.evaluator.errors(training.checkpoint, recordings)
        after = training.evaluator.errors(best, recordings)
        rows += [summary(f"{name}, before", before), summary(f"{name}, after", after)]
        if name == "dev":
            is_better = after.errors < before.errors
    if not is_better:
        sentence = (
            "no step was better than the checkpoint on dev: nothing is written; more or other recordings may help"
        )
        return "\n".join((*rows, sentence))
    save(args.output, best_weights, training.task, training.checkpoint)
    _model_card(training, rows, args).write(args.output.with_suffix(".md"))
    return "\n".join((*rows, f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB"))


def _model_card(training: Training, rows: Sequence[str], args: argparse.Namespace) -> ModelCard:
    evaluations = training.state.evaluations
    best_step = max(evaluations, key=lambda evaluation: evaluation.score).step
    curve = "\n".join(
        f"| {evaluation.step} | {evaluation.seconds / 60:.1f} | {-evaluation.score:.1f} |" for evaluation in evaluations
    )
    meetings = f", meetings simulated with `{args.speech.name}`." if args.speech else "."
    return ModelCard(
        title="A fine-tuned PyanNet segmentation",
        description=f"`{training.checkpoint.name}` after {best_step} further steps, as a powerset.",
        data=f"Recordings of `{args.data.name}`{meetings}",
        licence=args.about,
        command=command_line("meetsplit.training.segmentation"),
        metrics="Collar 0, overlap scored, pooled over seconds. `dev` chose the step and is therefore flattering.\n\n"
        + "\n".join(f"- {row}" for row in rows)
        + f"\n\n| step | minutes | DER on dev, % |\n|---|---|---|\n{curve}",
        limitations="At most three people within a window, two at once. Chosen on the recordings of `dev` alone.",
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m meetsplit.training.segmentation", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="recordings to learn from, an RTTM (and UEM) beside each"
    )
    parser.add_argument("--dev", type=Path, required=True, help="other recordings, to choose by")
    parser.add_argument("--test", type=Path, default=None, help="still other ones, measured before and after")
    parser.add_argument("--call", action="store_true", help="also measure on the call that comes with pyannote.audio")
    parser.add_argument("--speech", type=Path, default=None, help="folder of single speakers to simulate meetings with")
    parser.add_argument("--simulated", type=int, default=60, help="how many meetings of 40 s are simulated")
    parser.add_argument(
        "--checkpoint", type=Path, default=None, help="a PyanNet: .safetensors, .bin or .ckpt; default: embedded's"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    parser.add_argument("--steps", type=int, default=1000, help="length of the learning rate's way down")
    parser.add_argument("--batch", type=int, default=16, help="windows in a step")
    parser.add_argument("--peak", type=float, default=1e-4, help="highest learning rate")
    parser.add_argument("--exam-every", dest="validate_every", type=int, default=50, metavar="STEPS")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("out/segmentation"),
        help="where sound and the state of the training are kept",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/segmentation/segmentation.safetensors"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    return parser.parse_args(arguments)


def _fetch(source: weights.WeightSource) -> Path:
    return weights.fetch(
        source, stage="diarize", cache=weights.default_cache(), offline=False, token=None, on_event=ignore_events
    )


def _evaluation_sets(args: argparse.Namespace) -> dict[str, Sequence[AnnotatedRecording]]:
    """The recordings of each evaluation set, ``dev`` first. Raises `SettingsError` for a set without speech."""
    sets: dict[str, Sequence[AnnotatedRecording]] = {"dev": tuple(read_annotated(args.dev))}
    if args.test is not None:
        sets["test"] = tuple(read_annotated(args.test))
    if args.call:
        sets["call"] = tuple(read_annotated(sample_call_folder()))
    for name, recordings in sets.items():
        if not any(recording.turns for recording in recordings):
            raise SettingsError(f"--{name}: nobody speaks in its recordings; there is nothing to measure")
    return sets


def _training_recordings(
    args: argparse.Namespace, checkpoint: Path, evaluation_sets: Mapping[str, Sequence[AnnotatedRecording]]
) -> tuple[TrainingRecording, ...]:
    """The real and simulated training recordings. Raises `SettingsError` for one that is also in an evaluation set."""
    recordings = tuple(read_annotated(args.data))
    window = load_segmentation(checkpoint).specifications.duration
    set_by_digest = {recording.digest: name for name, evaluated in evaluation_sets.items() for recording in evaluated}
    for recording in recordings:
        if recording.digest in set_by_digest:
            raise SettingsError(
                f"{recording.name} of {args.data} is also in --{set_by_digest[recording.digest]}: "
                "nobody is examined on what they learned by heart"
            )
    real = tuple(prepare(recordings, args.cache, window))
    if not any(recording.turns for recording in real):
        raise SettingsError(f"{args.data}: no recording with speech and {window:g} annotated seconds on end")
    meetings: tuple[TrainingRecording, ...] = ()
    if args.speech:
        meetings = tuple(simulated(args.speech, args.cache, count=args.simulated, seed=args.seed))
    minutes = sum(recording.seconds for recording in real) / 60
    print(f"{len(real)} recordings of {minutes:.1f} min, {len(meetings)} simulated meetings", flush=True)
    return balance(real, meetings)


def _run(args: argparse.Namespace) -> None:
    device = choose_device(args.device)
    checkpoint = args.checkpoint or _fetch(weights.EMBEDDED_SEGMENTATION)
    evaluation_sets = _evaluation_sets(args)
    evaluator = DiarizationEvaluator(_fetch(weights.EMBEDDED_ENCODER), _fetch(weights.EMBEDDED_VAD), device)
    torch.manual_seed(args.seed)
    recordings = _training_recordings(args, checkpoint, evaluation_sets)
    model, task = prepare_task(checkpoint, recordings, args.cache, args.batch)
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.01)
    state: TrainState[Any] = TrainState(model, optimizer, loss_function(task, device))
    state_path = args.cache / "state.pt"
    state.resume(state_path)
    options = TrainerOptions(args.minutes, args.steps, state_path, log_every=10, validate_every=args.validate_every)
    training = Training(task, state, evaluator, evaluation_sets, checkpoint)
    with quiet_pyannote():
        train(training, options, args)
        print(write_results(training, args))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, train, validate and write a segmentation; the exit code."""
    args = parse_arguments(arguments)
    try:
        _run(args)
    except MeetsplitError as error:
        print(f"train-segmentation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
