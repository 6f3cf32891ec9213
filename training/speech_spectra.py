"""Draws the spectra of speech by which the cleaner `embedded` tells music from speech.

    python -m meetsplit.training.speech_spectra --data DIR [--spectra 480] [-o FILE]

``DIR`` is any folder of single-speaker audio (see `meetsplit.training.speech.find_utterances`). As many spectra are
drawn from each person, at random, of the louder frames. Nothing is trained.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.cleaners.music import FRAME, HOP, save_speech
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.speech import utterances_by_speaker

RATE = 16000
LOUDER_THAN = 0.4
"""Quantile of the frames' power below which none is drawn."""

LIMITATIONS = (
    "Read English speech of adults, close to the microphone. Singing is speech to it. Where a window holds no moment "
    "without speech, music that sounds like a voice is not found."
)


def draw_spectra(folder: Path, count: int, seed: int) -> tuple[Tensor, int]:
    """Spectra ``(bins, count)``, and of how many people they are."""
    people = utterances_by_speaker(folder)
    rng = np.random.default_rng(seed)
    columns: list[Tensor] = []
    for number, files in enumerate(people.values()):
        share = (number + 1) * count // len(people) - number * count // len(people)
        if share == 0:
            continue
        samples = torch.tensor(files[0].read(RATE).audio.samples)
        window = torch.hann_window(FRAME)
        spectra = torch.stft(samples, FRAME, HOP, window=window, pad_mode="constant", return_complex=True).abs()
        power = spectra.square().sum(dim=0)
        loud = torch.nonzero(power > torch.quantile(power, LOUDER_THAN))[:, 0]
        columns.append(spectra[:, loud[rng.choice(len(loud), share, replace=False)]])
    return torch.cat(columns, dim=1), len(columns)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    parser.add_argument("--spectra", type=int, default=480)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/speech.safetensors"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the spectra, write them and their card."""
    args = parse_arguments(arguments)
    spectra, people = draw_spectra(args.data, args.spectra, args.seed)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_speech(args.output, spectra)
    digest = hashlib.sha256(args.output.read_bytes()).hexdigest()
    ModelCard(
        title="Spectra of speech",
        description="Short-time spectra of many people, by which `--clean music` tells music from speech.\n\n"
        f"`{args.output.name}`, {args.output.stat().st_size / 1e6:.1f} MB, SHA-256 `{digest}`.",
        data=f"{args.about or 'Not told'}; {args.spectra} spectra of {people} people.",
        licence=args.about,
        command=command_line("meetsplit.training.speech_spectra"),
        metrics="docs/benchmarks.md, music and noise.",
        limitations=LIMITATIONS,
    ).write(args.output.with_suffix(".md"))
    print(f"{args.output}: {spectra.shape[1]} spectra of {people} people")


if __name__ == "__main__":
    main()
