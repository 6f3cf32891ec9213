"""Trains the network of the cleaner `embedded`, which tells speech, music and noise apart.

    python -m meetsplit.training.cleaner --data DIR --minutes 30 [--steps 4000] [--cache DIR] [-o FILE]

``DIR`` is any folder of single-speaker audio (see `meetsplit.training.speech.find_utterances`); one speaker in sixteen
is held out for validation. Music and noise are made by `meetsplit.training.interference`, other pieces for validation.
First these are made and kept in ``--cache``, where the state of the training is kept as well, then mixtures are drawn
anew in every step. The weights with the best validation score are written.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from meetsplit.pipeline.cleaners import sound_masks
from meetsplit.pipeline.cleaners.sound_masks import FRAME, HOP, Config, SoundMasks
from meetsplit.pipeline.data import Samples, Speaker
from meetsplit.training.interference import convolved, decaying_response, random_music, random_noise
from meetsplit.training.model_card import ModelCard, command_line
from meetsplit.training.refiner import split_speakers
from meetsplit.training.speech import utterances_by_speaker
from meetsplit.training.trainer import TrainerOptions, TrainState, fit, warmup_cosine

RATE = 16000
SECONDS = 4.0
"""Length of a mixture."""

BATCH_SIZE = 12
PIECE_SECONDS = 12.0
"""Length of a piece of music or noise, out of which mixtures take stretches."""

VALIDATE_EVERY = 250
VALIDATION_MIXTURES = 60

POWER = 0.5
"""Exponent of magnitudes in the loss: quiet sound counts, too."""

WEIGHTS = (1.0, 0.4, 0.4)
"""Weights of speech, music and noise in the loss."""

LIMITATIONS = (
    "Learned from read English speech and from music and noise that a program made: real instruments, singing, "
    "applause, traffic and babble were not heard. Singing is speech to it."
)


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """What mixtures are drawn from: the recordings of each speaker, pieces of music, pieces of noise."""

    speakers: Sequence[Sequence[Samples]]
    music: npt.NDArray[np.float16]
    noise: npt.NDArray[np.float16]


def pieces(
    make: Callable[[float, int, np.random.Generator], Samples], count: int, seed: int, path: Path
) -> npt.NDArray[np.float16]:
    """``count`` pieces of music or noise, kept in a file."""
    if not path.is_file():
        made = [make(PIECE_SECONDS, RATE, np.random.default_rng((seed, number))) for number in range(count)]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(made).astype(np.float16))
    loaded: npt.NDArray[np.float16] = np.load(path)
    return loaded


def read_speakers(folder: Path) -> dict[Speaker, list[Samples]]:
    """The utterances of every speaker, pauses included."""
    return {
        name: [file.read(RATE).audio.samples for file in files] for name, files in utterances_by_speaker(folder).items()
    }


def _stretch(samples: npt.NDArray[np.floating], length: int, rng: np.random.Generator) -> Samples:
    """A random stretch; what is shorter lies somewhere in silence."""
    if len(samples) < length:
        padded = np.zeros(length, np.float32)
        first = int(rng.integers(length - len(samples) + 1))
        padded[first : first + len(samples)] = samples
        return padded
    first = int(rng.integers(len(samples) - length + 1))
    return np.asarray(samples[first : first + length], np.float32)


def _speech(sounds: Sounds, length: int, rng: np.random.Generator) -> Samples:
    """One or two people, each in a room of their own or none; sometimes only for a part of the time."""
    wave = np.zeros(length)
    for _ in range(1 + (rng.random() < 0.3)):
        own = sounds.speakers[int(rng.integers(len(sounds.speakers)))]
        voice = _stretch(own[int(rng.integers(len(own)))], length, rng).astype(np.float64)
        if rng.random() < 0.5:
            response = decaying_response(rng.uniform(0.15, 0.7), RATE, rng, direct=rng.uniform(0.5, 3.0))
            voice = convolved(voice, response)
        voice = _coloured(voice, rng)
        if rng.random() < 0.3:
            cut = int(rng.integers(length))
            voice[slice(0, cut) if rng.random() < 0.5 else slice(cut, None)] = 0.0
        level = max(float(np.sqrt(np.mean(voice**2))), 1e-6)
        wave += voice / level * 10 ** (rng.uniform(-6, 3) / 20)
    return np.asarray(wave, np.float32)


def _coloured(wave: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The wave as another microphone hears it."""
    if rng.random() < 0.3:
        return wave
    points = np.concatenate([[0.0], np.geomspace(80, RATE / 2, 7)])
    gains = 10 ** (rng.normal(0.0, 3.0, 8) / 20)
    if rng.random() < 0.15:
        gains[[0, 1, -1, -2]] *= 0.05  # like a telephone
    gain = np.interp(np.fft.rfftfreq(len(wave), 1 / RATE), points, gains)
    return np.asarray(np.fft.irfft(np.fft.rfft(wave) * gain, len(wave)), np.float64)


def draw(sounds: Sounds, rng: np.random.Generator) -> Samples:
    """Speech, music and noise of one mixture, ``(3, samples)``; each may be silent, the mixture has RMS 1."""
    length = round(SECONDS * RATE)
    parts = np.zeros((3, length), np.float32)
    has_speech, has_music, has_noise = rng.random(3) < (0.92, 0.6, 0.6)
    if has_speech:
        parts[0] = _speech(sounds, length, rng)
    if has_music:
        piece = sounds.music[int(rng.integers(len(sounds.music)))]
        parts[1] = _stretch(piece, length, rng) * 10 ** (-rng.uniform(-4, 22) / 20)
    if has_noise:
        piece = sounds.noise[int(rng.integers(len(sounds.noise)))]
        parts[2] = _stretch(piece, length, rng) * 10 ** (-rng.uniform(-4, 28) / 20)
    if (has_music or has_noise) and rng.random() < 0.15:  # begins or ends within the mixture
        cut = int(rng.integers(length))
        parts[1:, slice(0, cut) if rng.random() < 0.5 else slice(cut, None)] = 0.0
    level = float(np.sqrt(np.mean(parts.sum(axis=0) ** 2)))
    return parts / np.float32(max(level, 1e-6))


def make_batch(sounds: Sounds, seed: int, step: int) -> Tensor:
    """The mixtures of a step, ``(batch, 3, samples)``: they depend on the seed and the step's number alone."""
    rng = np.random.default_rng((seed, step))
    return torch.from_numpy(np.stack([draw(sounds, rng) for _ in range(BATCH_SIZE)]))


def spectra(waves: Tensor) -> Tensor:
    """Complex short-time spectra, ``(..., bins, frames)``."""
    flat = waves.reshape(-1, waves.shape[-1])
    window = torch.hann_window(FRAME)
    found = torch.stft(flat, FRAME, HOP, window=window, pad_mode="constant", return_complex=True)
    return found.unflatten(0, waves.shape[:-1])


def loss_of(network: SoundMasks, batch: Tensor) -> Tensor:
    """How far masked magnitudes are from those of speech, music and noise, both raised to `POWER`."""
    mixture, targets = spectra(batch.sum(dim=1)).abs(), spectra(batch).abs()
    estimates = network(mixture) * mixture.unsqueeze(1)
    error = ((estimates + 1e-4).pow(POWER) - (targets + 1e-4).pow(POWER)).square().mean(dim=(0, 2, 3))
    return (error * torch.tensor(WEIGHTS)).sum()


@torch.inference_mode()
def evaluate(network: SoundMasks, mixtures: Sequence[Tensor]) -> float:
    """Mean SNR in dB of the speech in mixtures with some of it, at most 30 dB each."""
    scores = []
    for batch in mixtures:
        mixture = spectra(batch.sum(dim=1))
        masks = network(mixture.abs())[:, 0]
        window = torch.hann_window(FRAME)
        speech = torch.istft(mixture * masks, FRAME, HOP, window=window, length=batch.shape[-1])
        power, error = batch[:, 0].square().sum(dim=1), (speech - batch[:, 0]).square().sum(dim=1)
        ratios = 10 * torch.log10(power.clamp_min(1e-9) / error.clamp_min(1e-9)).clamp(max=1e3)
        scores.append(ratios[power > 1.0].clamp(max=30.0))
    return float(torch.cat(scores).mean())


def new_state(network: SoundMasks) -> TrainState[Tensor]:
    """The state of a new training."""

    def loss_fn(batch: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        loss = loss_of(network, batch)
        return loss, (1000 * loss.detach(),)

    return TrainState(network, torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.01), loss_fn)


def write_card(weights: Path, *, data: str, licence: str, metrics: str) -> None:
    """Write the model card beside the weights."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    ModelCard(
        title="The cleaner",
        description="A network that tells speech, music and noise apart, for `--clean`.\n\n"
        f"`{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB, SHA-256 `{digest}`.",
        data=data,
        licence=licence,
        command=command_line("meetsplit.training.cleaner"),
        metrics=metrics,
        limitations=LIMITATIONS,
    ).write(weights.with_suffix(".md"))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of this call")
    parser.add_argument("--steps", type=int, default=4000, help="length of the learning rate's way down")
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--pieces", type=int, default=300, help="of music, and as many of noise")
    parser.add_argument("--hidden", type=int, default=Config().hidden)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--about", default="", metavar="TEXT", help="what the data is and its licence, for the card")
    parser.add_argument("--cache", type=Path, default=Path("out/cleaner"), help="pieces and the state of the training")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/cleaner/cleaner.safetensors"))
    return parser.parse_args(arguments)


def _sounds(speakers: Sequence[Sequence[Samples]], folder: Path, count: int, seed: int) -> Sounds:
    return Sounds(
        speakers,
        pieces(random_music, count, seed, folder / "music.npy"),
        pieces(random_noise, count, seed + 1, folder / "noise.npy"),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Make music and noise, train, validate, write weights and card."""
    args = parse_arguments(arguments)
    training_speakers, held_out_speakers = split_speakers(read_speakers(args.data))
    print(f"{len(training_speakers)} people to learn from, {len(held_out_speakers)} held out", flush=True)
    held_out = _sounds(list(held_out_speakers.values()), args.cache / "held-out", 40, args.seed + 100)
    sounds = _sounds(list(training_speakers.values()), args.cache / "pieces", args.pieces, args.seed)
    exam = [make_batch(held_out, args.seed + 100, step) for step in range(VALIDATION_MIXTURES // BATCH_SIZE)]
    torch.manual_seed(args.seed)
    network = SoundMasks(Config(hidden=args.hidden))
    before = evaluate(network, exam)
    state = new_state(network)
    state_path = args.cache / "state.pt"
    state.resume(state_path)

    def validate() -> str:
        score = evaluate(network, exam)
        state.add_evaluation(score)
        return f"held-out speech: {score:.2f} dB"

    options = TrainerOptions(args.minutes, args.steps, state_path, validate_every=VALIDATE_EVERY)
    fit(
        state,
        lambda step: make_batch(sounds, args.seed, step),
        options,
        learning_rate=lambda step: args.peak * warmup_cosine(step, options.steps),
        validate=validate,
    )
    print(validate(), flush=True)
    state.save(state_path)
    network.load_state_dict(state.best_weights())
    args.output.parent.mkdir(parents=True, exist_ok=True)
    sound_masks.save(args.output, network)
    best = max(state.evaluations, key=lambda evaluation: evaluation.score)
    score = f"{best.score:.2f} dB after {best.step} steps of {BATCH_SIZE} mixtures, untrained {before:.2f} dB"
    print(f"{args.output}: held-out speech: {score}; {state.seconds / 60:.0f} minutes")
    people = f"{len(training_speakers)} people, {len(held_out_speakers)} more held out"
    write_card(
        args.output,
        data=f"{args.about or 'Not told'}; {people}. Music and noise made by `meetsplit.training.interference`, "
        f"{args.pieces} pieces of {PIECE_SECONDS:g} s each.",
        licence=args.about,
        metrics=f"SNR of speech in {VALIDATION_MIXTURES} mixtures of held-out people, music and noise: {score}.",
    )


if __name__ == "__main__":
    main()
