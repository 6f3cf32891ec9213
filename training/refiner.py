"""Train the network that `adapted` starts from: a refiner of dictionary masks, for voices it has never heard.

    python -m meetsplit.training.refiner --data DIR --minutes 30 [--lessons 2000] [--steps 6000] [--cache DIR] [-o FILE]

``DIR`` is any folder of single-speaker audio (see `meetsplit.training.speech.recorded` for layouts; LibriSpeech's own does). One
person in sixteen is held out; what is printed of them are voices that the network never heard. First lessons are made
(mixtures with what dictionaries say of them, about a quarter of a second each), then the network learns for ``--minutes``, at most
``--steps`` in all. Both are kept in ``--cache`` and go on where they stopped. What is written did best on the people held out.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch, refiner_loss
from meetsplit.pipeline.separators.mask_refiner import Config, Refiner
from meetsplit.training.model_card import Card, command
from meetsplit.training.refiner_mixtures import SECONDS, opened, people, shards
from meetsplit.training.trainer import Course, Terms, attend, slope

BATCH = 8
HELD_OUT = 16
"""One speaker in so many is only examined."""

EXAM_EVERY = 300
"""Steps between two exams."""

LIMITS = (
    "Learned from mixtures of two people in one language, most of them clean, with dictionaries of up to a minute of speech. More "
    "voices, rooms, music, and voices of children were not heard. It only corrects what dictionaries say: where they know nothing, it "
    "guesses."
)
"""What the card says of the weights' limits."""


def split(
    speakers: Mapping[str, Sequence[Samples]],
) -> tuple[dict[str, Sequence[Samples]], dict[str, Sequence[Samples]]]:
    """Speakers to learn from and held-out ones, by a digest of their names: the same whatever else is in the folder."""

    def held(name: str) -> bool:
        return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0

    return {n: u for n, u in speakers.items() if not held(n)}, {n: u for n, u in speakers.items() if held(n)}


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """The lessons of one step, and another microphone's gains for each, ``(lessons, bins)``."""

    given: MixtureBatch
    colour: Tensor


def task(lessons: MixtureBatch, step: int) -> Task:
    """What is learned in a step: that depends on its number alone."""
    rng = np.random.default_rng((7, step))
    given = lessons.select(rng.choice(len(lessons), BATCH, replace=False).tolist())
    return Task(given, _colours(given, step))


def course(refiner: Refiner) -> Course[Task]:
    """A training that begins; what is printed is the mean SNR in dB."""

    def mistakes(task: Task) -> tuple[Tensor, Sequence[Tensor]]:
        loss = refiner_loss(refiner, task.given, bfloat16=True, equalizer=task.colour).mean()
        return loss, (-loss.detach(),)

    return Course(refiner, torch.optim.AdamW(refiner.parameters(), lr=0.0, weight_decay=0.01), mistakes)


def _colours(given: MixtureBatch, step: int) -> Tensor:
    """For every lesson another microphone: a smooth random curve over the bins, of a few decibels, at the same loudness."""
    rng = np.random.default_rng((11, step))
    lessons, bins = len(given), given.estimates.shape[2]
    bends = rng.normal(0.0, 3.0, (lessons, 8))
    places = np.linspace(0.0, 1.0, 8) ** 2 * (bins - 1)
    curves = np.stack([np.interp(np.arange(bins), places, row) for row in bends]) * (rng.random((lessons, 1)) < 0.7)
    gains = torch.from_numpy(10 ** (curves / 20)).float()
    power = given.estimates.float().sum(dim=1).square().mean(dim=2)
    return gains * torch.sqrt(power.sum(dim=1) / (power * gains.square()).sum(dim=1)).unsqueeze(1)


@torch.inference_mode()
def examined(refiner: Refiner, given: MixtureBatch) -> float:
    """SNR in dB of held-out voices."""
    scores = [
        refiner_loss(refiner, given.select(range(k, min(k + BATCH, len(given))))) for k in range(0, len(given), BATCH)
    ]
    return -float(torch.cat(scores).mean())


def train(under_way: Course[Task], lessons: MixtureBatch, held: MixtureBatch, terms: Terms, *, peak: float) -> None:
    """Learns until the steps or the minutes are at an end; the rate rises, then falls along a cosine."""
    refiner = under_way.pupil

    def exam() -> str:
        under_way.examined(examined(refiner, held))  # type: ignore[arg-type]
        return f"held-out voices: {under_way.marks[-1].value:.2f} dB"

    attend(
        under_way, lambda step: task(lessons, step), terms, rate=lambda step: peak * slope(step, terms.steps), exam=exam
    )
    if not under_way.marks or under_way.marks[-1].step != under_way.step:
        print(exam(), flush=True)
        under_way.save(terms.state)


def card(file: Path, *, data: str, licence: str, metrics: str) -> None:
    """Lay a card beside the weights."""
    size = (
        f"`{file.name}`, {file.stat().st_size / 1e6:.1f} MB, SHA-256 `{hashlib.sha256(file.read_bytes()).hexdigest()}`."
    )
    what = f"A network that corrects the masks of the `dictionary` separator; the `adapted` separator starts from it.\n\n{size}"
    Card("The refiner", what, data, licence, command("meetsplit.training.refiner"), metrics, LIMITS).write(
        file.with_suffix(".md")
    )


def _asked() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    options.add_argument(
        "--minutes", type=float, default=30.0, help="training time of this call; making lessons comes on top"
    )
    options.add_argument("--steps", type=int, default=6000, help="length of the learning rate's way down")
    options.add_argument("--lessons", type=int, default=2000)
    options.add_argument("--exam", type=int, default=100, help="held-out lessons")
    options.add_argument("--peak", type=float, default=1e-3, help="highest learning rate")
    options.add_argument("--width", type=int, default=Config().width)
    options.add_argument("--blocks", type=int, default=Config().blocks)
    options.add_argument("--start", type=Path, metavar="FILE", help="weights to go on from instead of from nothing")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    options.add_argument(
        "--cache", type=Path, default=Path("out/refiner"), help="lessons and the state of the training"
    )
    options.add_argument("-o", "--output", type=Path, default=Path("out/refiner/refiner.safetensors"))
    chosen = options.parse_args()
    if chosen.start is not None and not chosen.start.is_file():
        options.error(f"--start {chosen.start}: no such file")
    return chosen


def main() -> None:
    """Make lessons, learn, examine, write."""
    chosen = _asked()
    learned, held = split(people(chosen.data))
    print(f"{len(learned)} people to learn from, {len(held)} held out", flush=True)
    made: list[list[Path]] = []
    for speakers, name, count in ((held, "exam", chosen.exam), (learned, "lessons", chosen.lessons)):
        made.append([])
        for path in shards(speakers, chosen.cache / name, count, chosen.seed):
            made[-1].append(path)
            print(f"{path}", flush=True)
    torch.manual_seed(chosen.seed)
    refiner = (
        Refiner(Config(width=chosen.width, blocks=chosen.blocks))
        if chosen.start is None
        else mask_refiner.load(chosen.start)
    )
    under_way, exam = course(refiner), opened(made[0])
    before = examined(refiner, exam)
    under_way.resume(chosen.cache / "state.pt")
    terms = Terms(chosen.minutes, chosen.steps, chosen.cache / "state.pt", exam_every=EXAM_EVERY, losses="dB")
    train(under_way, opened(made[1]), exam, terms, peak=chosen.peak)
    refiner.load_state_dict(under_way.best or refiner.state_dict())
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    mask_refiner.save(chosen.output, refiner)
    best = max(under_way.marks, key=lambda mark: mark.value)
    origin = "dictionaries alone" if chosen.start is None else "what it began with"
    score = f"{best.value:.2f} dB after {best.step} steps of {BATCH} mixtures, {origin} {before:.2f} dB"
    print(
        f"{chosen.output}: {chosen.output.stat().st_size / 1e6:.1f} MB; held-out voices: {score}; {under_way.seconds / 60:.0f} minutes"
    )
    data = f"{chosen.about or 'Not told'}; {len(learned)} people, {len(held)} more held out, {chosen.lessons} mixtures of {SECONDS:g} s."
    card(
        chosen.output,
        data=data,
        licence=chosen.about,
        metrics=f"SNR on {len(exam)} mixtures of held-out people: {score}.",
    )


if __name__ == "__main__":
    main()
