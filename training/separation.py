"""Trains a small SepFormer on any folder of single speakers: ``python -m meetsplit.training.separation --data DIR --minutes 60``.

Two people of the folder are mixed anew in every step. Every two minutes the state is saved; the same command goes on where
it was stopped. At the end the weights that were best on held-out people lie in a folder that
``meetsplit run --separator sepformer --separator-model FOLDER`` reads, with a card beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import MeetsplitError
from meetsplit.pipeline.models import device
from meetsplit.pipeline.separators.sepformer import SepformerSeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.training.model_card import Card, command
from meetsplit.training.separation_mixtures import Stems, Studio, parted
from meetsplit.training.separation_model import RATE, SIZES, Sepformer, Shape, best_order, kept, si_sdr
from meetsplit.training.trainer import Course, Terms, attend, slope

Gains = npt.NDArray[np.float64]
Case = tuple[Samples, Stems]

EXAM_SECONDS = 4.0
ENOUGH = 30.0
"""dB beyond which a mixture has nothing left to teach."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: ``steps`` in all of ``batch`` mixtures of ``seconds``, the learning rate's peak, the seed of everything random."""

    steps: int
    peak: float
    batch: int
    seconds: float
    seed: int

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.peak * slope(step, self.steps)


def lesson(studio: Studio, plan: Plan, step: int) -> tuple[Tensor, Tensor]:
    """The mixtures ``(batch, samples)`` of one step and their voices ``(batch, voices, samples)``."""
    rng = np.random.default_rng((plan.seed, step))
    mixtures, stems = zip(*(studio.rough(rng, plan.seconds) for _ in range(plan.batch)), strict=True)
    return torch.from_numpy(np.stack(mixtures)), torch.from_numpy(np.stack(stems))


def mistakes(network: Sepformer, on: str) -> Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Sequence[Tensor]]]:
    """The negative SI-SDR under the best order of voices; to print, the gain over the mixture. bfloat16 where a GPU computes with it."""
    mixed = on.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)

    def wrong(given: tuple[Tensor, Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        mixtures, truth = (part.to(on) for part in given)
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            found = network(mixtures)
        ratio = best_order(found.float(), truth)
        gain = (ratio - si_sdr(mixtures[:, None], truth)).mean()
        return -ratio.mean(dim=1).clamp(max=ENOUGH).mean(), (gain,)

    return wrong


def course(shape: Shape, plan: Plan, on: str) -> Course[tuple[Tensor, Tensor]]:
    """A training that begins."""
    torch.manual_seed(plan.seed)
    network = Sepformer(shape).to(on)
    return Course(network, torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.01), mistakes(network, on))


def cases(studio: Studio, count: int, *, clean: bool) -> tuple[Case, ...]:
    """The same mixtures of held-out people in every exam."""
    rng = np.random.default_rng(7)
    return tuple(studio.clean(rng, EXAM_SECONDS) if clean else studio.rough(rng, EXAM_SECONDS) for _ in range(count))


@torch.no_grad()
def gains(found: Sequence[Stems], given: Sequence[Case]) -> Gains:
    """dB that each voice gained over its mixture."""
    voices, truth = torch.from_numpy(np.stack(found)), torch.from_numpy(np.stack([stems for _, stems in given]))
    mixtures = torch.from_numpy(np.stack([mixture for mixture, _ in given]))
    return np.asarray(best_order(voices, truth) - si_sdr(mixtures[:, None], truth), np.float64).ravel()


@torch.no_grad()
def taken_apart(network: Sepformer, given: Sequence[Case], on: str) -> Iterator[Stems]:
    """What the network makes of the mixtures."""
    network.eval()
    for mixture, _ in given:
        yield network(torch.from_numpy(mixture)[None].to(on))[0].float().cpu().numpy()
    network.train()


def by_backend(folder: Path, given: Sequence[Case], on: str) -> Iterator[Stems]:
    """What meetsplit's own separator makes of the mixtures with the weights in the folder."""
    separator = SepformerSeparator.load(Settings(), {"separator": folder}, on)
    for mixture, stems in given:
        yield np.stack([voice.samples for voice in separator.split(Audio(mixture, RATE), len(stems))])


def told(name: str, measured: Gains) -> str:
    """One line about gains."""
    low, middle = np.percentile(measured, [10, 50])
    return f"{name}: gain {measured.mean():.2f} dB (median {middle:.2f}, 10th percentile {low:.2f}, {len(measured)} voices)"


def train(
    under_way: Course[Any], studios: tuple[Studio, Studio], plan: Plan, terms: Terms, *, count: int, on: str
) -> None:
    """Learns until the plan or the minutes are at an end; every exam enters the curve."""
    held, network = cases(studios[1], count, clean=True), under_way.pupil

    def exam() -> str:
        measured = gains(list(taken_apart(network, held, on)), held)  # type: ignore[arg-type]
        under_way.examined(float(measured.mean()))
        return f"step {under_way.step}, {under_way.seconds / 60:.1f} min: {told('held-out people', measured)}"

    if not under_way.marks:
        print(exam(), flush=True)
    attend(under_way, lambda step: lesson(studios[0], plan, step), terms, rate=plan.rate, exam=exam)
    if under_way.marks[-1].step != under_way.step:
        print(exam(), flush=True)
        under_way.save(terms.state)


def finish(under_way: Course[Any], folder: Path, held: Studio, chosen: argparse.Namespace, on: str) -> str:
    """Writes the best weights with their card; what they achieve through meetsplit's own separator."""
    network = under_way.pupil
    network.load_state_dict(under_way.best or network.state_dict())
    kept(folder, network)  # type: ignore[arg-type]
    results = []
    for clean, name in (
        (True, "clean mixtures at 0 and ±3 dB"),
        (False, "as trained on: rooms, noise, any level and speed"),
    ):
        given = cases(held, chosen.mixtures, clean=clean)
        results.append(told(f"held-out people, {name}", gains(list(by_backend(folder, given, on)), given)))
    curve = "\n".join(f"| {mark.step} | {mark.seconds / 60:.1f} | {mark.value:.2f} |" for mark in under_way.marks)
    held_out = f"{len(held.cast.people)} people were held out and are heard in no step."
    size = sum(file.stat().st_size for file in folder.glob("*.ckpt")) / 1e6
    Card(
        title="A small SepFormer",
        what=f"SpeechBrain SepFormer for {chosen.voices} voices at 16 kHz, {size:.1f} MB: {network.shape}.",
        data=f"Mixtures made on the fly from `{chosen.data.name}`. {held_out}",
        licence=chosen.about,
        command=command("meetsplit.training.separation"),
        metrics="\n".join(f"- {result}" for result in results)
        + f"\n\n| step | minutes | gain on clean mixtures of held-out people, dB |\n|---|---|---|\n{curve}",
        limits=f"Hears {chosen.voices} voices, no more and no fewer; languages and rooms as in the data. "
        "Compare with `--separator dictionary` on your own meetings before you rely on it.",
    ).write(folder / "card.md")
    return "\n".join(
        (*results, f"{folder}: {size:.1f} MB after {under_way.step} steps, {under_way.seconds / 60:.0f} minutes")
    )


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m meetsplit.training.separation", description=__doc__)
    options.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of single speakers: LibriSpeech's layout, a folder each, speaker-….flac",
    )
    options.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    options.add_argument(
        "--cache", type=Path, default=Path("out/separation"), help="where the state of the training is kept"
    )
    options.add_argument(
        "-o", "--output", type=Path, default=Path("out/separation/sepformer"), help="folder of the finished weights"
    )
    options.add_argument("--size", choices=sorted(SIZES), default=None, help="medium on a GPU, small elsewhere")
    options.add_argument("--voices", type=int, default=2)
    options.add_argument("--steps", type=int, default=100_000, help="length of the learning rate's way down")
    options.add_argument("--batch", type=int, default=8, help="mixtures in a step")
    options.add_argument("--seconds", type=float, default=3.0, help="length of a mixture")
    options.add_argument("--rooms", type=int, default=200, help="different rooms (needs pyroomacoustics); 0 for none")
    options.add_argument("--held", type=float, default=0.1, help="share of the people who are held out")
    options.add_argument("--peak", type=float, default=1e-3, help="highest learning rate")
    options.add_argument("--exam-every", type=int, default=500, metavar="STEPS")
    options.add_argument("--mixtures", type=int, default=50, help="held-out mixtures in an exam")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--device", default="auto")
    options.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    return options.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Mix, train, examine, write; the exit code."""
    chosen = _asked(arguments)
    try:
        on = device.choose(chosen.device)
        shape = replace(SIZES[chosen.size or ("medium" if on.startswith("cuda") else "small")], voices=chosen.voices)
        casts = parted(chosen.data, chosen.held, chosen.voices)
        for cast, name in zip(casts, ("trained on", "held out"), strict=True):
            print(f"{name}: {len(cast.people)} people, {cast.files} utterances", flush=True)
        train_, held = (
            Studio(cast, chosen.voices, rooms=chosen.rooms, seed=chosen.seed + n) for n, cast in enumerate(casts)
        )
        plan = Plan(chosen.steps, chosen.peak, chosen.batch, chosen.seconds, chosen.seed)
        under_way = course(shape, plan, on)
        under_way.resume(chosen.cache / "state.pt")
        terms = Terms(
            chosen.minutes, plan.steps, chosen.cache / "state.pt", exam_every=chosen.exam_every, losses="gain in dB"
        )
        train(under_way, (train_, held), plan, terms, count=chosen.mixtures, on=on)
        print(finish(under_way, chosen.output, held, chosen, on))
    except MeetsplitError as error:
        print(f"train-separation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
