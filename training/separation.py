"""Trains a small SepFormer on any folder of single speakers.

    python -m meetsplit.training.separation --data DIR --minutes 60

Mixtures are made anew in every step. Every two minutes the state is saved; the same command resumes it. At the end the
weights with the best validation result on held-out speakers lie in a folder that
``meetsplit run --separator sepformer --separator-model FOLDER`` reads, with a model card beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import MeetsplitError
from meetsplit.pipeline.models.device import choose as choose_device
from meetsplit.pipeline.separators.sepformer import SepformerSeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.separation_mixtures import MixtureGenerator, Stems, split_speakers
from meetsplit.training.separation_model import (
    RATE,
    SIZES,
    Sepformer,
    SepformerConfig,
    permutation_invariant_si_sdr,
    save,
    si_sdr,
)
from meetsplit.training.trainer import TrainerOptions, TrainState, fit, warmup_cosine

Gains: TypeAlias = npt.NDArray[np.float64]
"""SI-SDR gains over the mixture in dB, one per voice."""

Batch: TypeAlias = tuple[Tensor, Tensor]
"""Mixtures ``(batch, samples)`` and their voices ``(batch, voices, samples)``."""

Mixture: TypeAlias = tuple[Samples, Stems]
"""One mixture and its voices."""

VALIDATION_SECONDS = 4.0
"""Length of a validation mixture."""

MAX_SI_SDR = 30.0
"""dB at which the loss of a mixture is clamped."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Training length, learning rate's peak, ``batch_size`` mixtures of ``seconds``, seed of all random numbers."""

    steps: int
    peak_rate: float
    batch_size: int
    seconds: float
    seed: int

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.peak_rate * warmup_cosine(step, self.steps)


def make_batch(generator: MixtureGenerator, hyperparameters: Hyperparameters, step: int) -> Batch:
    """The training mixtures of one step."""
    rng = np.random.default_rng((hyperparameters.seed, step))
    pairs = [generator.augmented(rng, hyperparameters.seconds) for _ in range(hyperparameters.batch_size)]
    mixtures, stems = zip(*pairs, strict=True)
    return torch.from_numpy(np.stack(mixtures)), torch.from_numpy(np.stack(stems))


def loss_function(model: Sepformer, device: str) -> Callable[[Batch], tuple[Tensor, Sequence[Tensor]]]:
    """The negative permutation-invariant SI-SDR, computed in bfloat16 on GPUs that have it; printed is the gain."""
    use_bfloat16 = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)

    def loss_fn(batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        mixtures, targets = (tensor.to(device) for tensor in batch)
        with torch.autocast("cuda", torch.bfloat16) if use_bfloat16 else nullcontext():
            estimates = model(mixtures)
        ratio = permutation_invariant_si_sdr(estimates.float(), targets)
        gain = (ratio - si_sdr(mixtures[:, None], targets)).mean()
        return -ratio.mean(dim=1).clamp(max=MAX_SI_SDR).mean(), (gain,)

    return loss_fn


@dataclass(frozen=True, slots=True)
class Training:
    """A SepFormer in training: the model, the state of its training, and its device."""

    model: Sepformer
    state: TrainState[Batch]
    device: str


def new_training(config: SepformerConfig, hyperparameters: Hyperparameters, device: str) -> Training:
    """A newly initialised model and its training state."""
    torch.manual_seed(hyperparameters.seed)
    model = Sepformer(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.01)
    return Training(model, TrainState(model, optimizer, loss_function(model, device)), device)


def validation_mixtures(generator: MixtureGenerator, count: int, *, clean: bool) -> tuple[Mixture, ...]:
    """Mixtures of held-out speakers, the same ones in every validation."""
    rng = np.random.default_rng(7)
    draw = generator.clean if clean else generator.augmented
    return tuple(draw(rng, VALIDATION_SECONDS) for _ in range(count))


@torch.no_grad()
def si_sdr_gains(estimates: Sequence[Stems], mixtures: Sequence[Mixture]) -> Gains:
    """The SI-SDR gain of each voice over its mixture in dB."""
    targets = torch.from_numpy(np.stack([stems for _, stems in mixtures]))
    inputs = torch.from_numpy(np.stack([mixture for mixture, _ in mixtures]))
    ratio = permutation_invariant_si_sdr(torch.from_numpy(np.stack(estimates)), targets)
    return np.asarray(ratio - si_sdr(inputs[:, None], targets), np.float64).ravel()


@torch.no_grad()
def separate(model: Sepformer, mixtures: Sequence[Mixture], device: str) -> Iterator[Stems]:
    """The model's estimates of the voices of each mixture."""
    model.eval()
    for mixture, _ in mixtures:
        yield model(torch.from_numpy(mixture)[None].to(device))[0].float().cpu().numpy()
    model.train()


def separate_with_backend(folder: Path, mixtures: Sequence[Mixture], device: str) -> Iterator[Stems]:
    """The estimates of meetsplit's `sepformer` separator with the weights in the folder."""
    separator = SepformerSeparator.load(Settings(), {"separator": folder}, device)
    for mixture, stems in mixtures:
        yield np.stack([voice.samples for voice in separator.split(Audio(mixture, RATE), len(stems))])


def summary(name: str, gains: Gains) -> str:
    """One line about the distribution of the gains."""
    low, median = np.percentile(gains, [10, 50])
    return f"{name}: gain {gains.mean():.2f} dB (median {median:.2f}, 10th percentile {low:.2f}, {len(gains)} voices)"


def train(
    training: Training,
    generator: MixtureGenerator,
    held_out: Sequence[Mixture],
    hyperparameters: Hyperparameters,
    options: TrainerOptions,
) -> None:
    """Train until the steps or the minutes are used up, with a validation before the first and after the last step."""
    state = training.state

    def validate() -> str:
        gains = si_sdr_gains(list(separate(training.model, held_out, training.device)), held_out)
        state.add_evaluation(float(gains.mean()))
        return f"step {state.step}, {state.seconds / 60:.1f} min: {summary('held-out people', gains)}"

    if not state.evaluations:
        print(validate(), flush=True)
    fit(
        state,
        lambda step: make_batch(generator, hyperparameters, step),
        options,
        learning_rate=hyperparameters.learning_rate,
        validate=validate,
    )
    if state.evaluations[-1].step != state.step:
        print(validate(), flush=True)
        state.save(options.state)


def write_results(training: Training, held_out: MixtureGenerator, args: argparse.Namespace) -> str:
    """Write the best weights and their card; the gains measured through meetsplit's own separator."""
    folder: Path = args.output
    model, state = training.model, training.state
    model.load_state_dict(state.best_weights())
    save(folder, model)
    results = []
    for clean, name in (
        (True, "clean mixtures at 0 and ±3 dB"),
        (False, "as trained on: rooms, noise, any level and speed"),
    ):
        mixtures = validation_mixtures(held_out, args.mixtures, clean=clean)
        gains = si_sdr_gains(list(separate_with_backend(folder, mixtures, training.device)), mixtures)
        results.append(summary(f"held-out people, {name}", gains))
    megabytes = sum(file.stat().st_size for file in folder.glob("*.ckpt")) / 1e6
    card = _model_card(training, held_out, args, results, megabytes)
    card.write(folder / "card.md")
    last = f"{folder}: {megabytes:.1f} MB after {state.step} steps, {state.seconds / 60:.0f} minutes"
    return "\n".join((*results, last))


def _model_card(
    training: Training,
    held_out: MixtureGenerator,
    args: argparse.Namespace,
    results: Sequence[str],
    megabytes: float,
) -> ModelCard:
    curve = "\n".join(
        f"| {evaluation.step} | {evaluation.seconds / 60:.1f} | {evaluation.score:.2f} |"
        for evaluation in training.state.evaluations
    )
    speakers = f"{len(held_out.speaker_set.speakers)} people were held out and are heard in no step."
    return ModelCard(
        title="A small SepFormer",
        description=f"SpeechBrain SepFormer for {args.voices} voices at 16 kHz, {megabytes:.1f} MB: "
        f"{training.model.config}.",
        data=f"Mixtures made on the fly from `{args.data.name}`. {speakers}",
        licence=args.about,
        command=command_line("meetsplit.training.separation"),
        metrics="\n".join(f"- {result}" for result in results)
        + f"\n\n| step | minutes | gain on clean mixtures of held-out people, dB |\n|---|---|---|\n{curve}",
        limitations=f"Hears {args.voices} voices, no more and no fewer; languages and rooms as in the data. "
        "Compare with `--separator dictionary` on your own meetings before you rely on it.",
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m meetsplit.training.separation", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of single speakers: LibriSpeech's layout, a folder each, speaker-….flac",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    parser.add_argument(
        "--cache", type=Path, default=Path("out/separation"), help="where the state of the training is kept"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("out/separation/sepformer"), help="folder of the finished weights"
    )
    parser.add_argument("--size", choices=sorted(SIZES), default=None, help="medium on a GPU, small elsewhere")
    parser.add_argument("--voices", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100_000, help="length of the learning rate's way down")
    parser.add_argument("--batch", type=int, default=8, help="mixtures in a step")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a mixture")
    parser.add_argument("--rooms", type=int, default=200, help="different rooms (needs pyroomacoustics); 0 for none")
    parser.add_argument("--held", type=float, default=0.1, help="share of the people who are held out")
    parser.add_argument("--peak", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--exam-every", dest="validate_every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--mixtures", type=int, default=50, help="held-out mixtures in an exam")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    return parser.parse_args(arguments)


def _run(args: argparse.Namespace) -> None:
    device = choose_device(args.device)
    size = args.size or ("medium" if device.startswith("cuda") else "small")
    config = replace(SIZES[size], voices=args.voices)
    speaker_sets = split_speakers(args.data, args.held, args.voices)
    generators = []
    for number, (speaker_set, name) in enumerate(zip(speaker_sets, ("trained on", "held out"), strict=True)):
        print(f"{name}: {len(speaker_set.speakers)} people, {speaker_set.file_count} utterances", flush=True)
        generators.append(MixtureGenerator(speaker_set, args.voices, rooms=args.rooms, seed=args.seed + number))
    training_generator, held_out = generators
    hyperparameters = Hyperparameters(args.steps, args.peak, args.batch, args.seconds, args.seed)
    training = new_training(config, hyperparameters, device)
    state_path = args.cache / "state.pt"
    training.state.resume(state_path)
    options = TrainerOptions(
        args.minutes, args.steps, state_path, validate_every=args.validate_every, losses="gain in dB"
    )
    held_out_mixtures = validation_mixtures(held_out, args.mixtures, clean=True)
    train(training, training_generator, held_out_mixtures, hyperparameters, options)
    print(write_results(training, held_out, args))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, validate and write a SepFormer; the exit code."""
    args = parse_arguments(arguments)
    try:
        _run(args)
    except MeetsplitError as error:
        print(f"train-separation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
