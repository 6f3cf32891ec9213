"""Meetings whose truth is known, for training, tests and benchmarks: ``python -m meetsplit.training.simulate --help``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.errors import MeetsplitError, SettingsError
from meetsplit.training.acoustics import coded, drawn, pink, responses, reverberated, telephoned
from meetsplit.training.conversation import Manners, conversation
from meetsplit.training.meeting import Cue, Meeting, overlap, save, stems, truth
from meetsplit.training.sources import from_dialogue, from_flite, from_folder
from meetsplit.training.speech import Utterance

LEVEL = 10 ** (-26 / 20)
"""RMS of a voice while it speaks, before people differ: speech's usual level under full scale (ITU-T P.56)."""

PEAK = 0.9
"""Where everything together is turned down so that nothing clips."""

TAIL = 0.7
"""Seconds of silence after the last word."""

CLOSE = 0.02
"""How near the overlap comes to what was asked for."""

TRIES = 8
"""Conversations that are made up with interruptions by chance, and then as many with chosen ones, before giving up on an overlap."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is simulated. Everything random is drawn from the seed, in this order: conversation, levels, room, noise.

    ``seconds`` is about how long people talk. ``levels`` is the spread in dB between people. ``room`` puts everybody into a random room at
    ``distance`` metres (least, most) from the microphone. ``snr`` is the noise's distance in dB below the voices, None for no noise.
    ``telephone`` keeps 300 to 3400 Hz; ``codec`` (aac, mp3, opus, g711) is applied to the recording alone.
    """

    manners: Manners = field(default_factory=Manners)
    seconds: float = 120.0
    levels: float = 2.0
    room: bool = False
    distance: tuple[float, float] = (0.5, 3.0)
    snr: float | None = 30.0
    telephone: bool = False
    codec: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.manners.overlap <= 0.5:
            raise SettingsError(f"--overlap {self.manners.overlap}: a share of speech time between 0 and 0.5")
        if not self.seconds > 0:
            raise SettingsError(f"--minutes {self.seconds / 60:g}: a meeting lasts longer than that")


def simulate(utterances: Sequence[Utterance], recipe: Recipe, seed: int) -> Meeting:
    """A meeting of everybody who has utterances; the same arguments give the same samples.

    All utterances have one sample rate, which is the meeting's. Raises `SettingsError` where a speaker has too little to
    say, or the overlap asked for cannot be had from these utterances.
    """
    rate = _one_rate(utterances)
    rng = np.random.default_rng(seed)
    cues = _talk(utterances, recipe, rng)
    return perform(cues, recipe, rate, rng)


def perform(cues: Sequence[Cue], recipe: Recipe, rate: int, rng: np.random.Generator) -> Meeting:
    """The sound and the truth of utterances at their places."""
    length = round((max(cue.end for cue in cues) + TAIL) * rate)
    dry = stems(_levelled(cues, recipe.levels, rng), length, rate)
    wet = _in_a_room(dry, recipe, rate, rng) if recipe.room else dry
    noise = np.zeros(length, np.float32)
    if recipe.snr is not None:
        voices = _active_rms(np.asarray(sum(wet.values(), noise), np.float32))
        noise = pink(length, rate, rng) * np.float32(voices * 10 ** (-recipe.snr / 20))
    if recipe.telephone:
        wet, noise = {speaker: telephoned(stem, rate) for speaker, stem in wet.items()}, telephoned(noise, rate)
    mixture = np.asarray(sum(wet.values(), noise), np.float32)
    scale = np.float32(min(1.0, PEAK / max(float(np.abs(mixture).max()), 1e-9)))
    turns, said = truth(cues)
    recording = Audio(mixture * scale, rate)
    return Meeting(
        mixture=coded(recording, recipe.codec) if recipe.codec else recording,
        stems={speaker: Audio(stem * scale, rate) for speaker, stem in wet.items()},
        noise=Audio(noise * scale, rate),
        turns=turns,
        said=said,
    )


def _talk(utterances: Sequence[Utterance], recipe: Recipe, rng: np.random.Generator) -> tuple[Cue, ...]:
    """Conversations until one has the overlap that was asked for."""
    wanted = recipe.manners.overlap
    if wanted > 0 and len({utterance.speaker for utterance in utterances}) < 2:
        raise SettingsError(
            f"--overlap {wanted}: nobody can talk over the only speaker; ask for 0 or for more speakers"
        )
    shares = []
    for attempt in range(2 * TRIES):
        cues = conversation(utterances, recipe.manners, recipe.seconds, rng, steered=attempt >= TRIES)
        shares.append(overlap(truth(cues)[0]))
        if abs(shares[-1] - wanted) <= CLOSE:
            return cues
    nearest = min(shares, key=lambda share: abs(share - wanted))
    message = f"--overlap {wanted}: these utterances came no closer than {nearest:.2f} in {2 * TRIES} tries"
    raise SettingsError(f"{message}; ask for a longer meeting or a shorter warm-up")


def _one_rate(utterances: Sequence[Utterance]) -> int:
    rates = {utterance.audio.rate for utterance in utterances}
    if len(rates) != 1:
        raise SettingsError(f"a meeting needs utterances of one sample rate, not of {sorted(rates) or 'none at all'}")
    return rates.pop()


def _levelled(cues: Sequence[Cue], spread: float, rng: np.random.Generator) -> tuple[Cue, ...]:
    """Everybody at the usual level, more or less; what one person says louder stays louder."""
    gains: dict[Speaker, float] = {}
    for speaker in sorted({cue.utterance.speaker for cue in cues}):
        own = np.concatenate([cue.utterance.audio.samples for cue in cues if cue.utterance.speaker == speaker])
        gains[speaker] = LEVEL / _active_rms(own) * 10 ** (float(rng.normal(0, spread)) / 20)
    return tuple(dataclasses.replace(cue, gain=gains[cue.utterance.speaker]) for cue in cues)


def _active_rms(samples: Samples) -> float:
    """RMS of the samples' frames of 256 that are less than 40 dB below the loudest."""
    frames = samples[: len(samples) // 256 * 256].reshape(-1, 256)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return float(np.sqrt(np.mean(power[power >= power.max() * 1e-4])))


def _in_a_room(
    dry: Mapping[Speaker, Samples], recipe: Recipe, rate: int, rng: np.random.Generator
) -> dict[Speaker, Samples]:
    heard = responses(drawn(rng, recipe.distance), tuple(dry), rate, rng)
    return {speaker: reverberated(stem, heard[speaker]) for speaker, stem in dry.items()}


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m meetsplit.training.simulate", description=__doc__)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder of single-speaker utterances: LibriSpeech's layout, a folder each, or speaker-….wav",
    )
    source.add_argument("--flite", action="store_true", help="made-up sentences in flite's voices")
    source.add_argument(
        "--dialogue", type=Path, metavar="FILE", help="a written dialogue, 'voice gap text' a line, in flite's voices"
    )
    options.add_argument("--speakers", type=int, default=3)
    options.add_argument(
        "--overlap", type=float, default=0.15, help="share of speech time with two or more voices, 0 to 0.5"
    )
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument(
        "--backchannels",
        type=float,
        default=0.15,
        help="share of interruptions that are short and inside somebody's turn",
    )
    options.add_argument(
        "--warmup", type=float, default=0.0, metavar="SECONDS", help="everybody first speaks this long alone"
    )
    options.add_argument("--reuse", action="store_true", help="say utterances again when there are no more")
    options.add_argument("--levels", type=float, default=2.0, metavar="DB", help="spread of loudness between people")
    options.add_argument("--snr", type=float, default=30.0, metavar="DB", help="voices over noise; inf for none")
    options.add_argument("--room", action="store_true", help="echo and distance (needs pyroomacoustics)")
    options.add_argument(
        "--distance",
        type=float,
        nargs=2,
        default=(0.5, 3.0),
        metavar=("LEAST", "MOST"),
        help="metres from the microphone",
    )
    options.add_argument("--telephone", action="store_true", help="300 to 3400 Hz")
    options.add_argument("--codec", help="aac, mp3, opus or g711: the recording once encoded and decoded")
    options.add_argument("--rate", type=int, default=16000, metavar="HZ")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "meetsplit" / "flite",
        metavar="DIR",
        help="where flite's sentences are kept",
    )
    options.add_argument("--name", help="of the files; made of speakers, overlap and seed where it is not given")
    options.add_argument("-o", "--output-dir", type=Path, required=True)
    return options


def _meeting(chosen: argparse.Namespace) -> Meeting:
    manners = Manners(chosen.overlap, chosen.backchannels, chosen.warmup, chosen.reuse)
    recipe = Recipe(
        manners=manners,
        seconds=60 * chosen.minutes,
        levels=chosen.levels,
        room=chosen.room,
        distance=tuple(chosen.distance),
        snr=None if np.isinf(chosen.snr) else chosen.snr,
        telephone=chosen.telephone,
        codec=chosen.codec,
    )
    rng = np.random.default_rng(chosen.seed)
    if chosen.dialogue is not None:
        return perform(from_dialogue(chosen.dialogue, chosen.cache, chosen.rate), recipe, chosen.rate, rng)
    wanted = recipe.seconds * (1 + recipe.manners.overlap)
    if chosen.flite:
        utterances = from_flite(chosen.speakers, wanted, chosen.cache, rate=chosen.rate, rng=rng)
    else:
        utterances = from_folder(chosen.data, chosen.speakers, wanted, rate=chosen.rate, rng=rng)
    return simulate(utterances, recipe, chosen.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate one meeting, write it, and say what it is like; the exit code."""
    chosen = _options().parse_args(arguments)
    name = chosen.name or f"{chosen.speakers}spk-{round(100 * chosen.overlap):02d}ov-{chosen.seed}"
    try:
        meeting = _meeting(chosen)
        paths = save(meeting, chosen.output_dir, name)
    except MeetsplitError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return error.exit_code
    print(
        f"{paths[0]}: {meeting.mixture.duration:.1f} s, {len(meeting.stems)} speakers, {100 * overlap(meeting.turns):.1f} % overlapped"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
