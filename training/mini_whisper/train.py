"""Trains the miniature Whisper of the test suite: ``python -m meetsplit.training.mini_whisper.train --minutes 60``.

The speech is synthesized first (flite and espeak-ng, a few minutes), then a small model learns from it on whatever
processor there is. Every few minutes the state is saved; the same command goes on where it was stopped. What is learned
in a step depends on the seed and the step's number alone.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meetsplit.training.mini_whisper.clips import Studio, noises
from meetsplit.training.mini_whisper.corpus import Corpus, Place, held_out, opened, synthesized
from meetsplit.training.mini_whisper.evaluation import examine
from meetsplit.training.mini_whisper.model import LISTEN_WEIGHT, PHONE_WEIGHT, WORD_WEIGHT, Pupil, full, kept
from meetsplit.training.mini_whisper.sentences import Phrasebook, phrasebook
from meetsplit.training.mini_whisper.targets import FRAMES, WINDOW, Batch, Codebook, batch, codebook
from meetsplit.training.model_card import Card, command
from meetsplit.training.trainer import Course, Terms, attend, slope

SECONDS_AT_ONCE = 66
"""Seconds of sound in a step with short windows."""

FULL_AT_ONCE = 4
"""Clips in a step with full windows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: ``steps`` in all, the learning rate's peak, and the seed of everything random."""

    steps: int
    peak: float
    seed: int

    def rate(self, step: int) -> float:
        """The learning rate: up in 120 steps, then down along a cosine."""
        return self.peak * slope(step, self.steps)

    def full_share(self, step: int) -> float:
        """How often a step has full windows: seldom at first, since they cost three times as much, mostly at the end."""
        done = step / self.steps
        return 0.03 if done < 0.5 else 0.2 if done < 0.85 else 0.5

    def rough_share(self, step: int) -> float:
        """How often a clip has a room, noise or other voices: half of the time at first, mostly at the end."""
        return 0.5 + 0.4 * min(step / self.steps / 0.6, 1.0)

    def longest(self, step: int) -> float:
        """Seconds of the longest short window: one sentence at first, and a whole turn at the end."""
        return 4.0 + 6.0 * min(step / self.steps / 0.5, 1.0)


def studios(corpus: Corpus, book: Phrasebook) -> tuple[Studio, Studio]:
    """Where training clips and where held-out clips are made."""
    kinds: tuple[dict[str, list[Place]], dict[str, list[Place]]] = ({}, {})
    for place in corpus.places:
        kinds[held_out(book, place)].setdefault(place.voice, []).append(place)
    train, held = ({voice: tuple(places) for voice, places in sorted(kind.items())} for kind in kinds)
    heard = noises()
    return Studio(corpus, train, heard), Studio(corpus, held, heard)


def lesson(studio: Studio, book: Codebook, plan: Plan, step: int) -> Batch:
    """The clips of one step, alike in length; short windows lie anywhere in the full one half of the time."""
    rng = np.random.default_rng((plan.seed, step))
    if rng.random() < plan.full_share(step):
        lengths = [float(rng.choice((rng.uniform(1, 12), rng.uniform(10, 28)))) for _ in range(FULL_AT_ONCE)]
        clips = [studio.clip(rng, seconds, bool(rng.random() < plan.rough_share(step))) for seconds in lengths]
        return batch(book, clips, rng, WINDOW, 0)
    seconds = float(rng.uniform(1.0, plan.longest(step)))
    lengths = [seconds * float(rng.uniform(0.85, 1.1)) for _ in range(min(round(SECONDS_AT_ONCE / seconds), 40))]
    clips = [studio.clip(rng, length, bool(rng.random() < plan.rough_share(step))) for length in lengths]
    frames = min(math.ceil(max(clip.duration for clip in clips) * FRAMES) + int(rng.integers(0, 40)), WINDOW)
    return batch(book, clips, rng, frames, int(rng.integers(0, WINDOW - frames + 1)) if rng.random() < 0.5 else 0)


def course(pupil: Pupil) -> Course[Batch]:
    """A training that begins; its losses are those of tokens, phones, words and looking."""

    def mistakes(given: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        with torch.autocast("cpu", torch.bfloat16):
            tokens, phones, words, looks = pupil(given)
        loss = tokens + PHONE_WEIGHT * phones + WORD_WEIGHT * words + LISTEN_WEIGHT * looks
        return loss, (tokens, phones, words, looks)

    return Course(pupil, torch.optim.AdamW(pupil.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01), mistakes)


def card(path: Path, sentences: int, metrics: str) -> None:
    """Writes the card beside the weights."""
    data = path.read_bytes()
    Card(
        title="A miniature Whisper",
        what="A model in openai-whisper's own format, small enough for a test suite, that understands the sample meeting's "
        "synthetic voices over a closed vocabulary. It is no speech recogniser: no human voice was heard.\n\n"
        f"`{path.name}`, {len(data) / 1e6:.1f} MB, SHA-256 `{hashlib.sha256(data).hexdigest()}`.",
        data=f"{sentences} sentences spoken by flite (awb, rms, slt, kal16) and espeak-ng; no recordings. Sentences of the sample "
        "meeting were heard in other voices than those that speak them there.",
        licence="flite and its voices: BSD-like (Carnegie Mellon University); espeak-ng: GPL 3.0 or later, for the program only.",
        command=command("meetsplit.training.mini_whisper.train"),
        metrics=metrics,
        limits="English, a few hundred words, synthetic voices, no music.",
    ).write(path.with_suffix(".md"))


def main() -> None:
    """Speak, train, examine, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dialogue", type=Path, default=Path("sample_data/standup.txt"))
    options.add_argument("--vocabulary", type=Path, default=None, help="further words, one on each line")
    options.add_argument(
        "--cache", type=Path, default=Path("out/mini-whisper"), help="synthesized speech and the state of the training"
    )
    options.add_argument("-o", "--output", type=Path, default=Path("tests/models/mini-whisper.safetensors"))
    options.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    options.add_argument("--steps", type=int, default=12000, help="length of the learning rate's way down")
    options.add_argument("--sentences", type=int, default=8000)
    options.add_argument("--peak", type=float, default=1.2e-3, help="highest learning rate")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--clips", type=int, default=60, help="held-out clips in the last exam")
    chosen = options.parse_args()
    book = phrasebook(chosen.dialogue, chosen.vocabulary)
    for count in synthesized(chosen.cache / "speech", book, sentences=chosen.sentences, seed=chosen.seed):
        print(f"{count} of {chosen.sentences} sentences spoken", flush=True)
    rooms = studios(opened(chosen.cache / "speech", chosen.sentences), book)
    torch.manual_seed(chosen.seed)
    pupil = Pupil(codebook(book.vocabulary))
    under_way = course(pupil)
    under_way.resume(chosen.cache / "state.pt")
    plan = Plan(chosen.steps, chosen.peak, chosen.seed)
    terms = Terms(chosen.minutes, plan.steps, chosen.cache / "state.pt", losses="tokens, phones, words, looks")
    attend(
        under_way,
        lambda step: lesson(rooms[0], pupil.book, plan, step),
        terms,
        rate=plan.rate,
        exam=lambda: examine(full(pupil.whisper, pupil.book), rooms[1], clips=16),
    )
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    kept(chosen.output, pupil.whisper, pupil.book)
    after = f"after {under_way.step} steps, {under_way.seconds / 60:.0f} minutes"
    print(f"{chosen.output}: {chosen.output.stat().st_size / 1e6:.1f} MB {after}", flush=True)
    marks = f"{examine(full(pupil.whisper, pupil.book), rooms[1], clips=chosen.clips)}, {after}"
    print(marks)
    card(chosen.output, chosen.sentences, marks)


if __name__ == "__main__":
    main()
