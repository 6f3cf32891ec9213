"""Trains the miniature Whisper of the test suite: ``python -m meetsplit.training.mini_whisper.train --minutes 60``.

The speech is synthesized first (flite and espeak-ng, a few minutes), then a small model is trained on it; a processor
is enough. Every two minutes the state is saved; the same command resumes it. A batch depends on the seed and the
step's number alone.
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

from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.training.mini_whisper.clips import Clip, ClipGenerator, make_noises
from meetsplit.training.mini_whisper.corpus import Corpus, CorpusEntry, is_held_out, load_corpus, synthesize
from meetsplit.training.mini_whisper.evaluation import EvaluationResult, evaluate
from meetsplit.training.mini_whisper.model import (
    ATTENTION_WEIGHT,
    TrainableWhisper,
    load,
    save,
    with_full_vocabulary,
)
from meetsplit.training.mini_whisper.sentences import SentenceGenerator, sentence_generator
from meetsplit.training.mini_whisper.targets import (
    FRAMES,
    WINDOW,
    Batch,
    ReducedVocabulary,
    collate,
    reduced_vocabulary,
)
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.trainer import TrainerOptions, TrainState, fit, warmup_cosine

SECONDS_PER_BATCH = 66
"""Seconds of sound in a batch of short windows."""

MAX_BATCH_SIZE = 40
"""Clips in a batch of short windows at most."""

FULL_WINDOWS_PER_BATCH = 4
"""Clips in a batch of full windows."""

PACKED_SHARE = 0.6
"""The share of full windows with several clips in them."""

VALIDATION_CLIPS = 16
"""Clean clips in a validation during the training, and as many augmented ones."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Steps in all, the learning rate's peak, the seed of all random numbers, and the curriculum over the steps.

    ``is_continued``: the weights are those of a finished training.
    """

    steps: int
    peak_rate: float
    seed: int
    is_continued: bool = False

    def learning_rate(self, step: int) -> float:
        """The learning rate: linear warm-up in 120 steps, then cosine decay."""
        return self.peak_rate * warmup_cosine(step, self.steps)

    def full_window_share(self, step: int) -> float:
        """The probability of full windows: low at first, as they cost three times as much, a half at the end."""
        if self.is_continued:
            return 1.0
        progress = step / self.steps
        if progress < 0.5:
            return 0.03
        return 0.2 if progress < 0.85 else 0.5

    def augmented_share(self, step: int) -> float:
        """The probability of augmentation of a clip: a half at first, nine tenths at the end."""
        if self.is_continued:
            return 0.8
        return 0.5 + 0.4 * min(step / self.steps / 0.6, 1.0)

    def max_seconds(self, step: int) -> float:
        """Seconds of the longest short window: one sentence at first, a whole turn at the end."""
        return 4.0 + 6.0 * min(step / self.steps / 0.5, 1.0)


def clip_generators(corpus: Corpus, sentences: SentenceGenerator) -> tuple[ClipGenerator, ClipGenerator]:
    """The generators of training clips and of held-out clips."""
    training: dict[str, list[CorpusEntry]] = {}
    held_out: dict[str, list[CorpusEntry]] = {}
    for entry in corpus.entries:
        part = held_out if is_held_out(sentences, entry) else training
        part.setdefault(entry.voice, []).append(entry)
    noises = make_noises()

    def generator(entries: dict[str, list[CorpusEntry]]) -> ClipGenerator:
        by_voice = {voice: tuple(entries[voice]) for voice in sorted(entries)}
        return ClipGenerator(corpus, by_voice, noises)

    return generator(training), generator(held_out)


def make_batch(
    generator: ClipGenerator, vocabulary: ReducedVocabulary, hyperparameters: Hyperparameters, step: int
) -> Batch:
    """The clips of one step, alike in length; half of the short windows lie anywhere in the full one."""
    rng = np.random.default_rng((hyperparameters.seed, step))
    augmented_share = hyperparameters.augmented_share(step)
    if rng.random() < hyperparameters.full_window_share(step):
        windows = [_full_window(generator, rng, augmented_share) for _ in range(FULL_WINDOWS_PER_BATCH)]
        return collate(vocabulary, windows, rng, WINDOW, 0)
    seconds = float(rng.uniform(1.0, hyperparameters.max_seconds(step)))
    count = min(round(SECONDS_PER_BATCH / seconds), MAX_BATCH_SIZE)
    lengths = [seconds * float(rng.uniform(0.85, 1.1)) for _ in range(count)]
    clips = [generator.clip(rng, length, bool(rng.random() < augmented_share)) for length in lengths]
    longest = max(clip.duration for clip in clips)
    frames = min(math.ceil(longest * FRAMES) + int(rng.integers(0, 40)), WINDOW)
    offset = int(rng.integers(0, WINDOW - frames + 1)) if rng.random() < 0.5 else 0
    return collate(vocabulary, clips, rng, frames, offset)


def _full_window(generator: ClipGenerator, rng: np.random.Generator, augmented_share: float) -> Clip:
    """What lies in a full window: a clip, or several packed ones."""
    seconds = float(rng.choice((rng.uniform(1, 12), rng.uniform(10, 28))))
    if rng.random() < PACKED_SHARE:
        return generator.packed_clip(rng, seconds, augmented_share)
    return generator.clip(rng, seconds, bool(rng.random() < augmented_share))


def new_state(model: TrainableWhisper, *, with_frame_labels: bool = True) -> TrainState[Batch]:
    """The state of a new training; the printed losses are those of tokens, phones, words and attention.

    Without frame labels, phones and words of the frames count nothing: a finished model has no heads for them.
    """
    computes_in_half = has_fast_bfloat16("cpu")

    def loss_fn(batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_half):
            losses = model(batch)
        total = losses.total if with_frame_labels else losses.tokens + ATTENTION_WEIGHT * losses.attention
        return total, (losses.tokens, losses.phones, losses.words, losses.attention)

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    return TrainState(model, optimizer, loss_fn)


def write_card(weights: Path, sentences: int, metrics: str) -> None:
    """Write the model card beside the weights."""
    data = weights.read_bytes()
    size = f"`{weights.name}`, {len(data) / 1e6:.1f} MB, SHA-256 `{hashlib.sha256(data).hexdigest()}`."
    ModelCard(
        title="A miniature Whisper",
        description="A model in openai-whisper's own format, small enough for a test suite, that understands the "
        "sample meeting's synthetic voices over a closed vocabulary. It is no speech recogniser: no human voice was "
        "heard.\n\n"
        f"{size}",
        data=f"{sentences} sentences spoken by flite (awb, rms, slt, kal16) and espeak-ng; no recordings. Sentences of "
        "the sample meeting were heard in other voices than those that speak them there.",
        licence="flite and its voices: BSD-like (Carnegie Mellon University); "
        "espeak-ng: GPL 3.0 or later, for the program only.",
        command=command_line("meetsplit.training.mini_whisper.train"),
        metrics=metrics,
        limitations="English, a few hundred words, synthetic voices, no music.",
    ).write(weights.with_suffix(".md"))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogue", type=Path, default=Path("sample_data/standup.txt"))
    parser.add_argument("--vocabulary", type=Path, default=None, help="further words, one on each line")
    parser.add_argument(
        "--cache", type=Path, default=Path("out/mini-whisper"), help="synthesized speech and the state of the training"
    )
    parser.add_argument(
        "--continue-from", type=Path, default=None, help="a finished model to train further, on full windows only"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/models/mini-whisper.safetensors"))
    parser.add_argument("--minutes", type=float, default=60.0, help="training time of this call")
    parser.add_argument("--steps", type=int, default=12000, help="length of the learning rate's way down")
    parser.add_argument("--sentences", type=int, default=8000)
    parser.add_argument("--peak", type=float, default=1.2e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clips", type=int, default=60, help="held-out clips in the last exam")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Synthesize the corpus, train, evaluate, write model and card."""
    args = parse_arguments(arguments)
    sentences = sentence_generator(args.dialogue, args.vocabulary)
    corpus_folder = args.cache / "speech"
    for count in synthesize(corpus_folder, sentences, sentences=args.sentences, seed=args.seed):
        print(f"{count} of {args.sentences} sentences spoken", flush=True)
    training_clips, held_out_clips = clip_generators(load_corpus(corpus_folder, args.sentences), sentences)
    torch.manual_seed(args.seed)
    model = TrainableWhisper(reduced_vocabulary(sentences.vocabulary))
    if args.continue_from is not None:
        load(args.continue_from, model.whisper, model.vocabulary)
    state = new_state(model, with_frame_labels=args.continue_from is None)
    state_path = args.cache / "state.pt"
    state.resume(state_path)
    hyperparameters = Hyperparameters(args.steps, args.peak, args.seed, args.continue_from is not None)

    def evaluation(clips: int) -> EvaluationResult:
        return evaluate(with_full_vocabulary(model.whisper, model.vocabulary), held_out_clips, clips)

    fit(
        state,
        lambda step: make_batch(training_clips, model.vocabulary, hyperparameters, step),
        TrainerOptions(args.minutes, args.steps, state_path, losses="tokens, phones, words, looks"),
        learning_rate=hyperparameters.learning_rate,
        validate=lambda: evaluation(VALIDATION_CLIPS),
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save(args.output, model.whisper, model.vocabulary)
    progress = f"after {state.step} steps, {state.seconds / 60:.0f} minutes"
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB {progress}", flush=True)
    metrics = f"{evaluation(args.clips)}, {progress}"
    print(metrics)
    write_card(args.output, args.sentences, metrics)


if __name__ == "__main__":
    main()
