"""Simulates meetings with their exact reference, for training, tests and benchmarks."""

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
from meetsplit.training.acoustics import (
    apply_codec,
    impulse_responses,
    pink_noise,
    random_room,
    reverberate,
    telephone_band,
)
from meetsplit.training.conversation import TurnTaking, generate_conversation
from meetsplit.training.meeting import PlacedUtterance, SimulatedMeeting, overlap_share, reference, save, stems
from meetsplit.training.sources import from_dialogue, from_flite, from_folder
from meetsplit.training.speech import Utterance

SPEECH_RMS = 10 ** (-26 / 20)
"""RMS of active speech before levels differ between speakers: the usual level under full scale (ITU-T P.56)."""

PEAK = 0.9
"""The highest peak of the recording: louder ones are scaled down, so that nothing clips."""

TAIL = 0.7
"""Seconds of silence after the last word."""

OVERLAP_TOLERANCE = 0.02
"""Greatest distance of the share of overlap from its target."""

ATTEMPTS = 8
"""Conversations with random interruptions that are tried for a share of overlap, then as many steered ones."""


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What is simulated. Random numbers are drawn from the seed in this order: conversation, levels, room, noise.

    ``seconds`` is the approximate length of the conversation. ``levels`` is the standard deviation in dB between
    speakers. ``room`` adds reverberation of a random room with speakers at ``distance`` metres (least, most) from the
    microphone. ``snr`` is the level of the voices over the noise in dB, None for no noise. ``telephone`` keeps 300 to
    3400 Hz; ``codec`` (aac, mp3, opus, g711) is applied to the recording alone.
    """

    turn_taking: TurnTaking = field(default_factory=TurnTaking)
    seconds: float = 120.0
    levels: float = 2.0
    room: bool = False
    distance: tuple[float, float] = (0.5, 3.0)
    snr: float | None = 30.0
    telephone: bool = False
    codec: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.turn_taking.overlap <= 0.5:
            raise SettingsError(f"--overlap {self.turn_taking.overlap}: a share of speech time between 0 and 0.5")
        if not self.seconds > 0:
            raise SettingsError(f"--minutes {self.seconds / 60:g}: a meeting lasts longer than that")


def simulate(utterances: Sequence[Utterance], options: SimulationOptions, seed: int) -> SimulatedMeeting:
    """A meeting of all speakers of the utterances; the same arguments give the same samples.

    All utterances have one sample rate, which is the meeting's. Raises `SettingsError` where a speaker has too few
    utterances, or the share of overlap cannot be reached with these utterances.
    """
    rate = _common_rate(utterances)
    rng = np.random.default_rng(seed)
    placed = _conversation_with_overlap(utterances, options, rng)
    return render(placed, options, rate, rng)


def render(
    placed: Sequence[PlacedUtterance], options: SimulationOptions, rate: int, rng: np.random.Generator
) -> SimulatedMeeting:
    """The sound and the reference of placed utterances."""
    length = round((max(item.end for item in placed) + TAIL) * rate)
    voices = stems(_with_levels(placed, options.levels, rng), length, rate)
    if options.room:
        voices = _in_random_room(voices, options, rate, rng)
    noise = np.zeros(length, np.float32)
    if options.snr is not None:
        speech_rms = _active_rms(np.asarray(sum(voices.values(), noise), np.float32))
        noise = pink_noise(length, rate, rng) * np.float32(speech_rms * 10 ** (-options.snr / 20))
    if options.telephone:
        voices = {speaker: telephone_band(stem, rate) for speaker, stem in voices.items()}
        noise = telephone_band(noise, rate)
    mixture = np.asarray(sum(voices.values(), noise), np.float32)
    scale = np.float32(min(1.0, PEAK / max(float(np.abs(mixture).max()), 1e-9)))
    turns, texts = reference(placed)
    recording = Audio(mixture * scale, rate)
    return SimulatedMeeting(
        mixture=apply_codec(recording, options.codec) if options.codec else recording,
        stems={speaker: Audio(stem * scale, rate) for speaker, stem in voices.items()},
        noise=Audio(noise * scale, rate),
        turns=turns,
        texts=texts,
    )


def _conversation_with_overlap(
    utterances: Sequence[Utterance], options: SimulationOptions, rng: np.random.Generator
) -> tuple[PlacedUtterance, ...]:
    """The first of several conversations whose share of overlap is within `OVERLAP_TOLERANCE` of its target."""
    target = options.turn_taking.overlap
    if target > 0 and len({utterance.speaker for utterance in utterances}) < 2:
        raise SettingsError(
            f"--overlap {target}: nobody can talk over the only speaker; ask for 0 or for more speakers"
        )
    shares = []
    for attempt in range(2 * ATTEMPTS):
        steered = attempt >= ATTEMPTS
        placed = generate_conversation(utterances, options.turn_taking, options.seconds, rng, steered=steered)
        turns, _ = reference(placed)
        shares.append(overlap_share(turns))
        if abs(shares[-1] - target) <= OVERLAP_TOLERANCE:
            return placed
    nearest = min(shares, key=lambda share: abs(share - target))
    message = f"--overlap {target}: these utterances came no closer than {nearest:.2f} in {2 * ATTEMPTS} tries"
    raise SettingsError(f"{message}; ask for a longer meeting or a shorter warm-up")


def _common_rate(utterances: Sequence[Utterance]) -> int:
    rates = {utterance.audio.rate for utterance in utterances}
    if len(rates) != 1:
        raise SettingsError(f"a meeting needs utterances of one sample rate, not of {sorted(rates) or 'none at all'}")
    return rates.pop()


def _with_levels(
    placed: Sequence[PlacedUtterance], spread: float, rng: np.random.Generator
) -> tuple[PlacedUtterance, ...]:
    """Each speaker at the usual level with a random deviation; differences between a speaker's utterances are kept."""
    gains: dict[Speaker, float] = {}
    for speaker in sorted({item.utterance.speaker for item in placed}):
        clips = [item.utterance.audio.samples for item in placed if item.utterance.speaker == speaker]
        decibels = float(rng.normal(0, spread))
        gains[speaker] = SPEECH_RMS / _active_rms(np.concatenate(clips)) * 10 ** (decibels / 20)
    return tuple(dataclasses.replace(item, gain=gains[item.utterance.speaker]) for item in placed)


def _active_rms(samples: Samples) -> float:
    """RMS of the samples' frames of 256 that are less than 40 dB below the loudest."""
    frames = samples[: len(samples) // 256 * 256].reshape(-1, 256)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return float(np.sqrt(np.mean(power[power >= power.max() * 1e-4])))


def _in_random_room(
    dry: Mapping[Speaker, Samples], options: SimulationOptions, rate: int, rng: np.random.Generator
) -> dict[Speaker, Samples]:
    responses = impulse_responses(random_room(rng, options.distance), tuple(dry), rate, rng)
    return {speaker: reverberate(stem, responses[speaker]) for speaker, stem in dry.items()}


def _argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m meetsplit.training.simulate", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
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
    parser.add_argument("--speakers", type=int, default=3)
    parser.add_argument(
        "--overlap", type=float, default=0.15, help="share of speech time with two or more voices, 0 to 0.5"
    )
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument(
        "--backchannels",
        type=float,
        default=0.15,
        help="share of interruptions that are short and inside somebody's turn",
    )
    parser.add_argument(
        "--warmup", type=float, default=0.0, metavar="SECONDS", help="everybody first speaks this long alone"
    )
    parser.add_argument("--reuse", action="store_true", help="say utterances again when there are no more")
    parser.add_argument("--levels", type=float, default=2.0, metavar="DB", help="spread of loudness between people")
    parser.add_argument("--snr", type=float, default=30.0, metavar="DB", help="voices over noise; inf for none")
    parser.add_argument("--room", action="store_true", help="echo and distance (needs pyroomacoustics)")
    parser.add_argument(
        "--distance",
        type=float,
        nargs=2,
        default=(0.5, 3.0),
        metavar=("LEAST", "MOST"),
        help="metres from the microphone",
    )
    parser.add_argument("--telephone", action="store_true", help="300 to 3400 Hz")
    parser.add_argument("--codec", help="aac, mp3, opus or g711: the recording once encoded and decoded")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "meetsplit" / "flite",
        metavar="DIR",
        help="where flite's sentences are kept",
    )
    parser.add_argument("--name", help="of the files; made of speakers, overlap and seed where it is not given")
    parser.add_argument("-o", "--output-dir", type=Path, required=True)
    return parser


def _meeting(args: argparse.Namespace) -> SimulatedMeeting:
    options = SimulationOptions(
        turn_taking=TurnTaking(args.overlap, args.backchannels, args.warmup, args.reuse),
        seconds=60 * args.minutes,
        levels=args.levels,
        room=args.room,
        distance=tuple(args.distance),
        snr=None if np.isinf(args.snr) else args.snr,
        telephone=args.telephone,
        codec=args.codec,
    )
    rng = np.random.default_rng(args.seed)
    if args.dialogue is not None:
        return render(from_dialogue(args.dialogue, args.cache, args.rate), options, args.rate, rng)
    speech_seconds = options.seconds * (1 + options.turn_taking.overlap)
    if args.flite:
        utterances = from_flite(args.speakers, speech_seconds, args.cache, rate=args.rate, rng=rng)
    else:
        utterances = from_folder(args.data, args.speakers, speech_seconds, rate=args.rate, rng=rng)
    return simulate(utterances, options, args.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate one meeting, write its files and print a summary; the exit code."""
    args = _argument_parser().parse_args(arguments)
    name = args.name or f"{args.speakers}spk-{round(100 * args.overlap):02d}ov-{args.seed}"
    try:
        meeting = _meeting(args)
        paths = save(meeting, args.output_dir, name)
    except MeetsplitError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return error.exit_code
    overlapped = f"{100 * overlap_share(meeting.turns):.1f} % overlapped"
    print(f"{paths[0]}: {meeting.mixture.duration:.1f} s, {len(meeting.stems)} speakers, {overlapped}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
