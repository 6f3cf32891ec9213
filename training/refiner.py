"""Train the network that `adapted` starts from: a refiner of dictionary masks, for voices it has never heard.

    python -m meetsplit.training.refiner --data DIR --minutes 30 [--lessons 2000] [--cache DIR] [-o FILE]

``DIR`` is any folder of single-speaker audio (see `meetsplit.training.speech.recorded` for layouts; LibriSpeech's own does). One
person in sixteen is held out; what is printed of them are voices that the network never heard. First lessons are made
(mixtures with what dictionaries say of them, about a quarter of a second each), then the network learns for ``--minutes``. Both
are kept in ``--cache`` and go on where they stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.separators.adapted_refiner import Refiner, Shape, kept
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.training.cards import Card, command
from meetsplit.training.refiner_lessons import SECONDS, Lessons, missed, opened, people, shards

BATCH = 8
HELD_OUT = 16
"""One speaker in so many is only examined."""

SAVE_EVERY = 60.0
"""Seconds between two states on disk."""

EXAM_EVERY = 300
"""Steps between two exams."""

LIMITS = (
    "Learned from mixtures of two people in one language, most of them clean, with dictionaries of some ten seconds of speech. More "
    "voices, rooms, music, and voices of children were not heard. It only corrects what dictionaries say: where they know nothing, it "
    "guesses."
)
"""What the card says of the weights' limits."""


def split(speakers: Mapping[str, Sequence[Samples]]) -> tuple[dict[str, Sequence[Samples]], dict[str, Sequence[Samples]]]:
    """Speakers to learn from and held-out ones, by a digest of their names: the same whatever else is in the folder."""

    def held(name: str) -> bool:
        return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0

    return {n: u for n, u in speakers.items() if not held(n)}, {n: u for n, u in speakers.items() if held(n)}


@dataclass(slots=True, eq=False)
class Course:
    """The state of a training: where it is, and what it has cost so far."""

    refiner: Refiner
    optimizer: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0

    def learn(self, given: Lessons, teacher: DictionarySeparator, rate: float) -> float:
        """One step; the mean SNR in dB."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = missed(self.refiner, teacher, given, half=True, colour=_colours(given, self.step)).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.refiner.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        return -loss.item()

    def save(self, path: Path) -> None:
        """Writes the state so that a kill at any moment leaves the old or the new one."""
        fresh = path.with_suffix(".part")
        state = {"refiner": self.refiner.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds}
        torch.save(state, fresh)
        os.replace(fresh, path)

    def resume(self, path: Path) -> None:
        """Goes on from a saved state, if there is one."""
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.refiner.load_state_dict(state["refiner"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
            print(f"going on at step {self.step}, {self.seconds / 60:.0f} minutes in", flush=True)


def _colours(given: Lessons, step: int) -> torch.Tensor:
    """For every lesson another microphone: a smooth random curve over the bins, of a few decibels, at the same loudness."""
    rng = np.random.default_rng((11, step))
    lessons, bins = len(given), given.parts.shape[2]
    bends = rng.normal(0.0, 3.0, (lessons, 8))
    places = np.linspace(0.0, 1.0, 8) ** 2 * (bins - 1)
    curves = np.stack([np.interp(np.arange(bins), places, row) for row in bends]) * (rng.random((lessons, 1)) < 0.7)
    gains = torch.from_numpy(10 ** (curves / 20)).float()
    power = given.parts.float().sum(dim=1).square().mean(dim=2)
    return gains * torch.sqrt(power.sum(dim=1) / (power * gains.square()).sum(dim=1)).unsqueeze(1)


@torch.inference_mode()
def examined(refiner: Refiner, given: Lessons) -> str:
    """SNR in dB of held-out voices by the refiner, and by the dictionaries alone."""
    teacher = DictionarySeparator()

    def mean(judge: Refiner) -> float:
        scores = [missed(judge, teacher, given.of(range(k, min(k + BATCH, len(given))))) for k in range(0, len(given), BATCH)]
        return -float(torch.cat(scores).mean())

    return f"{mean(refiner):.2f} dB, dictionaries alone {mean(Refiner(refiner.shape).to(refiner.trust.device)):.2f} dB"


def train(course: Course, given: Lessons, exam: Lessons, *, minutes: float, peak: float, save: Callable[[], None]) -> None:
    """Learns until the minutes are over, all calls together; the rate rises, then falls to nothing on half a cosine."""
    teacher = DictionarySeparator()
    recent: list[float] = []
    saved = began = time.monotonic()
    before = course.seconds
    while course.seconds < minutes * 60:
        rng = np.random.default_rng((7, course.step))
        done = course.seconds / (minutes * 60)
        rate = peak * min(1.0, (course.step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
        recent.append(course.learn(given.of(rng.choice(len(given), BATCH, replace=False).tolist()), teacher, rate))
        now = time.monotonic()
        course.seconds = before + now - began
        if course.step % 50 == 0:
            print(f"step {course.step}, {course.seconds / 60:.1f} of {minutes:g} min: {np.mean(recent):.2f} dB", flush=True)
            recent = []
        if course.step % EXAM_EVERY == 0:
            print(f"held-out voices: {examined(course.refiner, exam)}", flush=True)
        if now - saved > SAVE_EVERY:
            save()
            saved = now
    save()


def card(weights: Path, *, data: str, licence: str, metrics: str) -> None:
    """Lay a card beside the weights."""
    size = f"`{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB, SHA-256 `{hashlib.sha256(weights.read_bytes()).hexdigest()}`."
    what = f"A network that corrects the masks of the `dictionary` separator; the `adapted` separator starts from it.\n\n{size}"
    Card("The refiner", what, data, licence, command("meetsplit.training.refiner"), metrics, LIMITS).write(weights.with_suffix(".md"))


def main() -> None:
    """Make lessons, learn, examine, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    options.add_argument("--minutes", type=float, default=30.0, help="training time, all calls together; making lessons comes on top")
    options.add_argument("--lessons", type=int, default=2000)
    options.add_argument("--exam", type=int, default=100, help="held-out lessons")
    options.add_argument("--peak", type=float, default=1e-3, help="highest learning rate")
    options.add_argument("--width", type=int, default=Shape().width)
    options.add_argument("--blocks", type=int, default=Shape().blocks)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    options.add_argument("--cache", type=Path, default=Path("out/refiner"), help="lessons and the state of the training")
    options.add_argument("-o", "--output", type=Path, default=Path("out/refiner/refiner.safetensors"))
    chosen = options.parse_args()
    learned, held = split(people(chosen.data))
    print(f"{len(learned)} people to learn from, {len(held)} held out", flush=True)
    made: list[list[Path]] = []
    for speakers, name, count in ((held, "exam", chosen.exam), (learned, "lessons", chosen.lessons)):
        made.append([])
        for path in shards(speakers, chosen.cache / name, count, chosen.seed):
            made[-1].append(path)
            print(f"{path}", flush=True)
    torch.manual_seed(chosen.seed)
    refiner = Refiner(Shape(width=chosen.width, blocks=chosen.blocks))
    course = Course(refiner, torch.optim.AdamW(refiner.parameters(), lr=0.0, weight_decay=0.01))
    state = chosen.cache / "state.pt"
    course.resume(state)
    exam = opened(made[0])
    train(course, opened(made[1]), exam, minutes=chosen.minutes, peak=chosen.peak, save=lambda: course.save(state))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    kept(chosen.output, refiner)
    score = f"{examined(refiner, exam)}, after {course.step} steps of {BATCH} mixtures, {course.seconds / 60:.0f} minutes"
    print(f"{chosen.output}: {chosen.output.stat().st_size / 1e6:.1f} MB; held-out voices: {score}")
    data = f"{chosen.about or 'Not told'}; {len(learned)} people, {len(held)} more held out, {chosen.lessons} mixtures of {SECONDS:g} s."
    card(chosen.output, data=data, licence=chosen.about, metrics=f"SNR on {len(exam)} mixtures of held-out people: {score}.")


if __name__ == "__main__":
    main()
