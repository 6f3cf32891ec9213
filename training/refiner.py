"""Trains the network that `adapted` starts from: a refiner of dictionary masks, for voices it was not trained on.

    python -m meetsplit.training.refiner --data DIR --minutes 30 [--lessons 2000] [--steps 6000] [--cache DIR] [-o FILE]
    python -m meetsplit.training.refiner --data DIR --kind meeting --short 0.7 --start FILE …
    python -m meetsplit.training.refiner --data DIR --network unet …

``DIR`` is any folder of single-speaker audio (see `meetsplit.training.speech.find_utterances` for layouts;
LibriSpeech's own is one). One speaker in sixteen is held out for validation. First the training mixtures are made
(with their dictionaries, about a quarter of a second each), then the network is trained for ``--minutes``, at most
``--steps`` in all. Both are kept in ``--cache`` and resumed. A moving average of the weights (``--average``) is
validated, and the one with the best score is written. ``--kind`` says how mixtures are drawn
(`refiner_mixtures.LESSON_KINDS`), ``--short`` the share of steps that learn from short parts of them. ``--network
unet`` trains a U-Net in the refiner's place (`meetsplit.training.unet`), to be compared with it by
`meetsplit.training.refiner_exam`; `adapted` cannot run it.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from meetsplit.pipeline.data import Samples, Speaker
from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch, SpectralBatch, refiner_loss
from meetsplit.pipeline.separators.averaging import moving_average
from meetsplit.pipeline.separators.dictionary import HOP
from meetsplit.pipeline.separators.mask_refiner import Config
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.refiner_mixtures import LESSON_KINDS, RATE, load, make_shards, read_speakers
from meetsplit.training.refiner_networks import NETWORK_KINDS, Network, NetworkKind, kind_of_file
from meetsplit.training.trainer import TrainerOptions, TrainState, fit, warmup_cosine

BATCH_SIZE = 8

HELD_OUT_ONE_IN = 16
"""One speaker in so many is held out for validation."""

VALIDATE_EVERY = 300
"""Steps between two validations."""

EQUALIZATION_POINTS = 8
"""Points of the smooth random curve that changes a mixture's spectrum."""

EQUALIZATION_SPREAD = 3.0
"""Standard deviation of these points in dB."""

EQUALIZATION_PROBABILITY = 0.7

SHORT_SECONDS = (0.4, 1.6)
"""Range of the length of short parts of mixtures."""

LIMITATIONS = (
    "Learned from mixtures of two people in one language, most of them clean, with dictionaries of up to a minute of "
    "speech. More voices, rooms, music, and voices of children were not heard. It only corrects what dictionaries say: "
    "where they know nothing, it guesses."
)
"""The card's section on the limits of the weights."""


def split_speakers(
    speakers: Mapping[Speaker, Sequence[Samples]],
) -> tuple[dict[Speaker, Sequence[Samples]], dict[Speaker, Sequence[Samples]]]:
    """Training and held-out speakers, by a hash of each name: the same whatever else is in the folder."""
    training: dict[Speaker, Sequence[Samples]] = {}
    held_out: dict[Speaker, Sequence[Samples]] = {}
    for name, clips in speakers.items():
        is_held_out = hashlib.sha256(name.encode()).digest()[0] % HELD_OUT_ONE_IN == 0
        (held_out if is_held_out else training)[name] = clips
    return training, held_out


def make_batch(mixtures: MixtureBatch, step: int, short_share: float = 0.0) -> SpectralBatch:
    """The batch of a step: it depends on the step's number alone. A share of the steps get short parts of mixtures."""
    rng = np.random.default_rng((7, step))
    chosen = mixtures.select(rng.choice(len(mixtures), BATCH_SIZE, replace=False).tolist())
    if rng.random() < short_share:
        frames = round(rng.uniform(*SHORT_SECONDS) * RATE / HOP) + 1
        chosen = chosen.cut(int(rng.integers(chosen.estimates.shape[3] - frames + 1)), frames)
    return SpectralBatch.from_mixtures(chosen, _random_equalization(chosen, step))


def _random_equalization(mixtures: MixtureBatch, step: int) -> Tensor:
    """A smooth random frequency response for each mixture, as of another microphone, that keeps its level."""
    rng = np.random.default_rng((11, step))
    count, bins = len(mixtures), mixtures.estimates.shape[2]
    decibels = rng.normal(0.0, EQUALIZATION_SPREAD, (count, EQUALIZATION_POINTS))
    points = np.linspace(0.0, 1.0, EQUALIZATION_POINTS) ** 2 * (bins - 1)
    curves = np.stack([np.interp(np.arange(bins), points, row) for row in decibels])
    curves = curves * (rng.random((count, 1)) < EQUALIZATION_PROBABILITY)
    gains = torch.from_numpy(10 ** (curves / 20)).float()
    power = mixtures.estimates.float().sum(dim=1).square().mean(dim=2)
    level = torch.sqrt(power.sum(dim=1) / (power * gains.square()).sum(dim=1))
    return gains * level.unsqueeze(1)


def new_state(refiner: Network, *, average: float = 0.0) -> TrainState[SpectralBatch]:
    """The state of a new training, in bfloat16 where that is faster; the printed loss is the mean SNR in dB.

    ``average`` is the decay of the moving average of the weights; 0 keeps none.
    """
    in_bfloat16 = has_fast_bfloat16(next(refiner.parameters()).device.type)

    def loss_fn(batch: SpectralBatch) -> tuple[Tensor, Sequence[Tensor]]:
        loss = batch.loss(refiner, bfloat16=in_bfloat16).mean()
        return loss, (-loss.detach(),)

    optimizer = torch.optim.AdamW(refiner.parameters(), lr=0.0, weight_decay=0.01, fused=True)
    return TrainState(refiner, optimizer, loss_fn, moving_average(refiner, average) if average else None)


@torch.inference_mode()
def evaluate(refiner: nn.Module, exams: Sequence[MixtureBatch]) -> float:
    """SNR of the separated voices in dB: the mean of each exam's mean."""
    scores = []
    for mixtures in exams:
        of_exam = []
        for first in range(0, len(mixtures), BATCH_SIZE):
            batch = mixtures.select(range(first, min(first + BATCH_SIZE, len(mixtures))))
            of_exam.append(refiner_loss(refiner, batch))
        scores.append(-float(torch.cat(of_exam).mean()))
    return float(np.mean(scores))


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A network in training: the model, its state, training mixtures and exams of held-out people."""

    refiner: Network
    state: TrainState[SpectralBatch]
    mixtures: MixtureBatch
    held_out: Sequence[MixtureBatch]


def train(training: Training, options: TrainerOptions, *, peak_rate: float, short_share: float = 0.0) -> None:
    """Train until the steps or the minutes are used up, with a validation after the last step."""
    state = training.state

    def validate() -> str:
        score = evaluate(state.result, training.held_out)
        state.add_evaluation(score)
        return f"held-out voices: {score:.2f} dB"

    fit(
        state,
        lambda step: make_batch(training.mixtures, step, short_share),
        options,
        learning_rate=lambda step: peak_rate * warmup_cosine(step, options.steps),
        validate=validate,
    )
    if not state.evaluations or state.evaluations[-1].step != state.step:
        print(validate(), flush=True)
        state.save(options.state)


def write_card(weights: Path, *, data: str, licence: str, metrics: str) -> None:
    """Write the model card beside the weights."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    kind = kind_of_file(weights)
    file = f"`{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB, SHA-256 `{digest}`."
    ModelCard(
        title=kind.title,
        description=f"A network that corrects the masks of the `dictionary` separator; {kind.use}.\n\n{file}",
        data=data,
        licence=licence,
        command=command_line("meetsplit.training.refiner"),
        metrics=metrics,
        limitations=LIMITATIONS,
    ).write(weights.with_suffix(".md"))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="training time of this call; making lessons comes on top"
    )
    parser.add_argument("--steps", type=int, default=6000, help="length of the learning rate's way down")
    parser.add_argument("--lessons", dest="mixtures", metavar="LESSONS", type=int, default=2000)
    parser.add_argument(
        "--exam", dest="validation_mixtures", metavar="EXAM", type=int, default=100, help="held-out lessons"
    )
    parser.add_argument(
        "--kind", choices=tuple(LESSON_KINDS), default="long", help="how the mixtures to learn from are drawn"
    )
    parser.add_argument(
        "--exam-kinds", nargs="+", choices=tuple(LESSON_KINDS), default=["long"], help="those of the held-out lessons"
    )
    parser.add_argument(
        "--short", type=float, default=0.0, metavar="SHARE", help="share of the steps that see 0.4 to 1.6 s alone"
    )
    parser.add_argument("--validate-every", type=int, default=VALIDATE_EVERY, metavar="STEPS")
    parser.add_argument("--network", choices=tuple(NETWORK_KINDS), default="refiner")
    parser.add_argument("--peak", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument(
        "--average", type=float, default=0.998, metavar="DECAY", help="of the moving average of weights; 0: the last"
    )
    parser.add_argument("--width", type=int, default=Config().width)
    parser.add_argument("--blocks", type=int, default=Config().blocks)
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to go on from instead of from nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    parser.add_argument("--cache", type=Path, default=Path("out/refiner"), help="lessons and the state of the training")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/refiner/refiner.safetensors"))
    args = parser.parse_args(arguments)
    if args.start is not None and not args.start.is_file():
        parser.error(f"--start {args.start}: no such file")
    return args


def prepare_mixtures(
    speakers: Mapping[Speaker, Sequence[Samples]], folder: Path, count: int, seed: int, kind: str
) -> MixtureBatch:
    """The mixtures of a kind in the folder, made first where they are missing; prints each file."""
    paths = []
    place = folder if kind == "long" else folder.with_name(f"{folder.name}-{kind}")
    for path in make_shards(speakers, place, count, seed, LESSON_KINDS[kind]):
        print(f"{path}", flush=True)
        paths.append(path)
    return load(paths)


def _first_network(args: argparse.Namespace) -> tuple[NetworkKind[Any], Network]:
    """What the training begins with, and its kind: a file's goes before the one asked for."""
    torch.manual_seed(args.seed)
    if args.start is not None:
        kind = kind_of_file(args.start)
        return kind, kind.load(args.start)
    kind = NETWORK_KINDS[args.network]
    return kind, kind.new(args.width, args.blocks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the mixtures, train, validate, write weights and card."""
    args = parse_arguments(arguments)
    training_speakers, held_out_speakers = split_speakers(read_speakers(args.data))
    print(f"{len(training_speakers)} people to learn from, {len(held_out_speakers)} held out", flush=True)
    exams = [
        prepare_mixtures(held_out_speakers, args.cache / "exam", args.validation_mixtures, args.seed, kind)
        for kind in args.exam_kinds
    ]
    mixtures = prepare_mixtures(training_speakers, args.cache / "lessons", args.mixtures, args.seed, args.kind)
    kind, refiner = _first_network(args)
    score_before = evaluate(refiner, exams)
    state = new_state(refiner, average=args.average)
    state_path = args.cache / kind.state_file
    state.resume(state_path, kind.current_name)
    if args.start is not None and state.step == 0:
        state.add_evaluation(score_before)
    options = TrainerOptions(args.minutes, args.steps, state_path, validate_every=args.validate_every, losses="dB")
    train(Training(refiner, state, mixtures, exams), options, peak_rate=args.peak, short_share=args.short)
    refiner.load_state_dict(state.best_weights())
    args.output.parent.mkdir(parents=True, exist_ok=True)
    kind.save(args.output, refiner)
    best = max(state.evaluations, key=lambda evaluation: evaluation.score)
    origin = "dictionaries alone" if args.start is None else "what it began with"
    score = f"{best.score:.2f} dB after {best.step} steps of {BATCH_SIZE} mixtures, {origin} {score_before:.2f} dB"
    megabytes = args.output.stat().st_size / 1e6
    print(f"{args.output}: {megabytes:.1f} MB; held-out voices: {score}; {state.seconds / 60:.0f} minutes")
    speakers = f"{len(training_speakers)} people, {len(held_out_speakers)} more held out"
    drawn = f"{args.mixtures} mixtures of {LESSON_KINDS[args.kind].seconds:g} s"
    write_card(
        args.output,
        data=f"{args.about or 'Not told'}; {speakers}, {drawn}.",
        licence=args.about,
        metrics=f"SNR on {sum(map(len, exams))} mixtures of held-out people: {score}.",
    )


if __name__ == "__main__":
    main()
