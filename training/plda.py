"""Makes the voice model of the `embedded` diarizer: how much voices differ within a person and between people.

    python -m meetsplit.training.plda --data DIR [--about TEXT] [-o FILE]

``DIR`` is a folder of single-speaker audio of many people (see `meetsplit.training.speech.find_utterances` for
layouts; LibriSpeech's own is one), at least a hundred; one utterance of each is enough. Each utterance is embedded as
the diarizer embeds a recording, and once more in a random room with noise (needs pyroomacoustics); the model is
estimated from these in a second. File and model card go to ``pipeline/diarizers/weights`` to be shipped.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.diarizers.clustering import normalize_rows
from meetsplit.pipeline.diarizers.embedded import ENCODER_LEVEL, normalize_loudness
from meetsplit.pipeline.diarizers.voice_model import VoiceModel, estimate_voice_model
from meetsplit.pipeline.embedders.ge2e import PARTIAL_FRAMES, RATE, GE2EEmbedder, load_encoder, mel_frames
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import weights
from meetsplit.training.acoustics import impulse_responses, pink_noise, random_room, reverberate
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.speech import Utterance, utterances_by_speaker

ENCODER = "ge2e"

CLEAN_STRIDE, ROOM_STRIDE, SHORT_STRIDE = 64, 128, 200
"""Mel frames (10 ms) between windows of an utterance, of it in a room, and of pieces of half a window."""

JOINED = 3
"""Windows whose mean is an embedding, too: about three seconds."""

NOISE = (12.0, 35.0)
"""The least and greatest level in dB of speech in a room over the noise."""

DISTANCE = (0.5, 3.0)
"""The least and greatest distance in metres from the microphone."""

HELD_OUT_ONE_IN = 3
"""One person in so many, by a hash of the name, is left out: the diarizer's parameters are chosen on their meetings."""

LEAST_PEOPLE = 3
"""Fewer people say nothing about how people differ."""

LIMITATIONS = (
    "Learned from one utterance a person, so what a voice does from one day to the next is not in it, in one language, "
    "read aloud. It only judges embeddings of the encoder it was made with."
)
"""The card's section on the limits of the model."""


def windows(frames: torch.Tensor, length: int, stride: int) -> torch.Tensor:
    """Pieces of ``length`` mel frames every ``stride``, ``(pieces, PARTIAL_FRAMES, bands)``; short ones repeated."""
    starts = range(0, max(1, len(frames) - length), stride)
    repeats = -(-PARTIAL_FRAMES // length)
    pieces = [frames[start : start + length].repeat(repeats, 1)[:PARTIAL_FRAMES] for start in starts]
    return torch.stack([piece for piece in pieces if len(piece) == PARTIAL_FRAMES])


def in_a_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """The samples as a microphone some metres away picks them up, with pink noise."""
    response = impulse_responses(random_room(rng, DISTANCE), ("voice",), RATE, rng)["voice"]
    wet = reverberate(samples, response)[: len(samples)]
    noise = pink_noise(len(wet), RATE, rng)
    level = float(np.sqrt(np.mean(np.square(wet)))) * 10 ** (-rng.uniform(*NOISE) / 20)
    return np.asarray(wet + noise * np.float32(level), np.float32)


def embeddings_of(samples: Samples, encoder: GE2EEmbedder, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Embeddings of one utterance, clean and in a room: ``(n, dimension)``."""
    clean = mel_frames(normalize_loudness(samples, ENCODER_LEVEL))
    room = mel_frames(normalize_loudness(in_a_room(samples, rng), ENCODER_LEVEL))
    whole = encoder.encode(windows(clean, PARTIAL_FRAMES, CLEAN_STRIDE))
    short = encoder.encode(windows(clean, PARTIAL_FRAMES // 2, SHORT_STRIDE))
    reverberant = encoder.encode(windows(room, PARTIAL_FRAMES, ROOM_STRIDE))
    joined = [whole[at : at + JOINED].mean(axis=0) for at in range(0, len(whole) - JOINED + 1, 2)]
    means = normalize_rows(np.stack(joined)) if joined else whole[:0]
    return np.concatenate([whole, short, reverberant, np.asarray(means, np.float32)])


def make_voice_model(
    utterances: Mapping[str, Sequence[Utterance]], encoder: GE2EEmbedder, seed: int = 0
) -> tuple[VoiceModel, int]:
    """The model of these people's utterances, and how many embeddings it was estimated from."""
    rng = np.random.default_rng(seed)

    def rows() -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        for number, (person, theirs) in enumerate(sorted(utterances.items())):
            if number % 25 == 0:
                print(f"{number} of {len(utterances)} people, {person}", flush=True)
            for utterance in theirs:
                if utterance.audio.duration >= 2 * PARTIAL_FRAMES / 100:
                    yield number, embeddings_of(utterance.audio.samples, encoder, rng)

    pairs = list(rows())
    if len({number for number, _ in pairs}) < LEAST_PEOPLE:
        raise SettingsError(f"--data: {len(pairs)} utterances that are long enough; give those of many people")
    people = np.concatenate([np.full(len(block), number) for number, block in pairs])
    embeddings = np.concatenate([block for _, block in pairs])
    return estimate_voice_model(ENCODER, embeddings, people), len(embeddings)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio of many people")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    parser.add_argument("-o", "--output", type=Path, default=Path(f"out/voices/voices-{ENCODER}.safetensors"))
    return parser.parse_args(arguments)


def is_held_out(person: str) -> bool:
    """Whether the model is made without this person."""
    return hashlib.sha256(person.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed, estimate, write the model and its card."""
    args = parse_arguments(arguments)
    source = weights.fetch(
        weights.EMBEDDED_ENCODER,
        stage="diarize",
        cache=weights.default_cache(),
        offline=False,
        token=None,
        on_event=ignore_events,
    )
    files = utterances_by_speaker(args.data)
    chosen = {person: theirs for person, theirs in files.items() if not is_held_out(person)}
    utterances = {person: [file.read(RATE) for file in theirs] for person, theirs in chosen.items()}
    model, count = make_voice_model(utterances, GE2EEmbedder(load_encoder(source, "diarize"), "cpu"), args.seed)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    model.save(args.output)
    about = f"{len(utterances)} people, {len(files) - len(utterances)} more held out, {count} embeddings"
    print(f"{args.output}: {args.output.stat().st_size / 1e3:.0f} kB; {about}")
    digest = hashlib.sha256(args.output.read_bytes()).hexdigest()
    ModelCard(
        title="The voice model of GE2E",
        description="How embeddings of the GE2E encoder vary within a person and between people (a two-covariance "
        f"PLDA); the `embedded` diarizer counts and tells people apart by it.\n\n`{args.output.name}`, SHA-256 "
        f"`{digest}`.",
        data=f"{args.about or 'Not told'}; {about}: utterances as they are and in one random room each.",
        licence=args.about,
        command=command_line("meetsplit.training.plda"),
        metrics="See the table of `benchmarks.diarization` in docs/benchmarks.md: the whole diarizer with it.",
        limitations=LIMITATIONS,
    ).write(args.output.with_suffix(".md"))


if __name__ == "__main__":
    main()
