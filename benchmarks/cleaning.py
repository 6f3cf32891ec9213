"""Benchmark of --clean: meetings under music and noise, and clean ones, with and without it.

    python -m meetsplit.benchmarks.cleaning MEETING.wav… [--seconds 60] [--levels 0 5 10] [--diarizer NAME]
        [--section cleaning] [--write]

A meeting has its .rttm beside it, and its .stm where its words are known; the first ``--seconds`` of it count. Music
and noise are made by `benchmarks.interference`, another piece for each meeting; the level is how many dB the meeting is
louder. SI-SDR is that of the whole sound against the meeting without music and noise. Words are those of the miniature
Whisper of ``tests/models``, which knows flite's voices, in one greedy attempt, or of ``--transcriber``. Without
``--diarizer``, turns are true ones, and the diarization error rate is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from meetsplit.benchmarks.interference import random_music, random_noise
from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.cleaners.recording import kinds_of
from meetsplit.pipeline.cleaners.windowed import RemovedPower, cleaned_blocks
from meetsplit.pipeline.data import Audio, Samples, Span, rms
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Clean, Outputs, Settings
from meetsplit.scoring.pairing import pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.separation import si_sdr
from meetsplit.training.mini_whisper.model import to_openai_checkpoint

RATE = 16_000
TEST_MODEL = Path(__file__).parents[1] / "tests" / "models" / "mini-whisper.safetensors"
PEAK = 0.9
"""The loudest sample of a recording that is written."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What lies over a meeting: ``kind`` is music, noise or nothing, ``level`` how many dB the meeting is louder."""

    kind: str
    level: float | None
    clean: Clean

    def __str__(self) -> str:
        return "nothing" if self.level is None else f"{self.kind}, {self.level:g} dB"


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """The beginning of a meeting, and references of it in a folder."""

    name: str
    sound: Samples
    references: tuple[Path, ...]
    rttm: Path


@dataclass(frozen=True, slots=True)
class Result:
    """SI-SDR in dB, word and diarization errors as shares, None where they are not known."""

    si_sdr: float | None
    words: float | None
    turns: float | None


def beginning(path: Path, seconds: float, folder: Path) -> Meeting:
    """The first ``seconds`` of a meeting, up to the end of the last utterance that ends there."""
    lines = [line.split(maxsplit=5) for line in _lines(path.with_suffix(".stm"))]
    whole = [line for line in lines if float(line[4]) <= seconds]
    end = max((float(line[4]) for line in whole), default=seconds) + 0.1
    sound = read(path, RATE).crop(Span(0.0, end)).samples.copy()
    turns = []
    for line in _lines(path.with_suffix(".rttm")):
        fields = line.split()
        start = float(fields[3])
        if start < end:
            fields[4] = f"{min(float(fields[4]), end - start):.3f}"
            turns.append(" ".join(fields))
    rttm, stm = folder / f"{path.stem}.rttm", folder / f"{path.stem}.stm"
    rttm.write_text("\n".join(turns) + "\n", "utf-8")
    if not whole:
        return Meeting(path.stem, sound, (rttm,), rttm)
    stm.write_text("".join(" ".join(line).strip() + "\n" for line in whole), "utf-8")
    return Meeting(path.stem, sound, (rttm, stm), rttm)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line.strip()] if path.is_file() else []


def mixed(meeting: Meeting, condition: Condition, seed: int) -> tuple[Samples, Samples]:
    """The meeting under music or noise, and the meeting itself at the same scale."""
    sound = meeting.sound
    over = np.zeros_like(sound)
    if condition.level is not None:
        make = random_music if condition.kind == "music" else random_noise
        piece = make(len(sound) / RATE, RATE, np.random.default_rng((seed, condition.kind == "music")))[: len(sound)]
        over[: len(piece)] = piece * np.float32(rms(sound) * 10 ** (-condition.level / 20))
    scale = np.float32(min(PEAK / max(float(np.abs(sound + over).max()), 1e-9), 1.0))
    return (sound + over) * scale, sound * scale


def measure(meeting: Meeting, condition: Condition, seed: int, settings: Settings, folder: Path) -> Result:
    """One meeting in one condition, through the whole pipeline."""
    recording, clean = mixed(meeting, condition, seed)
    path = folder / f"{meeting.name}.wav"
    write_wav(path, Audio(recording, RATE))
    if settings.diarizer == "rttm":
        settings = replace(settings, rttm=meeting.rttm)
    if not any(file.suffix == ".stm" for file in meeting.references):
        (folder / "no-words.stm").write_text("", "utf-8")
        settings = replace(settings, transcriber="script", script=folder / "no-words.stm", model=None)
    pipeline = Pipeline(replace(settings, clean=condition.clean), on_event=ignore_events)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        outputs = Outputs(folder=Path(work) / "out", formats=("json",), tracks=False, voices="off")
        cache = StageCache(Path(work) / "cache")
        run_and_write(pipeline, path, outputs, cache=cache, on_event=ignore_events)
        pairs = pair_up([outputs.folder / f"{meeting.name}.json"], meeting.references).pairs
        pooled = score(list(pairs), Protocol()).pooled
    heard = _heard(recording, condition, pipeline)
    has_words = pooled.has_words and "cpwer" in pooled.total.words
    turns = pooled.total.turns
    return Result(
        si_sdr(clean.astype(np.float64), heard.astype(np.float64)) if condition.level is not None else None,
        pooled.total.words["cpwer"].rate if has_words else None,
        turns.der if turns is not None and settings.diarizer != "rttm" else None,
    )


def _heard(recording: Samples, condition: Condition, pipeline: Pipeline) -> Samples:
    """What the diarizer and the transcriber heard."""
    if condition.clean == "off":
        return recording
    blocks = list(cleaned_blocks(Audio(recording, RATE), pipeline.backend("cleaner"), kinds_of(condition.clean)))
    power = RemovedPower()
    power.add(recording, np.concatenate(blocks))
    return recording if power.is_next_to_nothing else np.concatenate(blocks)


def conditions(levels: Sequence[float]) -> Iterator[Condition]:
    """Nothing, music and noise at every level; each without --clean, and with it."""
    for clean in ("off", "music", "noise", "all"):
        yield Condition("", None, clean)
    for kind in ("music", "noise"):
        for level in levels:
            yield Condition(kind, level, "off")
            yield Condition(kind, level, "music" if kind == "music" else "noise")


def table(meetings: Sequence[Meeting], levels: Sequence[float], settings: Settings, folder: Path) -> Iterator[str]:
    """One line per condition, the mean over the meetings."""
    yield "| over the meeting | `--clean` | SI-SDR, dB | cpWER % | DER % |"
    yield "|---|---|--:|--:|--:|"
    for condition in conditions(levels):
        results = [measure(meeting, condition, 900 + n, settings, folder) for n, meeting in enumerate(meetings)]
        columns = ([r.si_sdr for r in results], [r.words for r in results], [r.turns for r in results])
        cells = [_mean(values, 1.0 if number == 0 else 100.0) for number, values in enumerate(columns)]
        line = f"| {condition} | {condition.clean} | {' | '.join(cells)} |"
        print(line, file=sys.stderr, flush=True)
        yield line


def _mean(values: Sequence[float | None], factor: float) -> str:
    known = [value for value in values if value is not None]
    return f"{factor * sum(known) / len(known):.1f}" if known else "–"


def _settings(args: argparse.Namespace, folder: Path) -> Settings:
    settings = Settings(
        diarizer=args.diarizer, separator="dictionary", language="en", offline=True, cleaner=args.cleaner
    )
    if args.transcriber is not None:
        return replace(settings, transcriber=args.transcriber, model=args.model)
    path = folder / "mini.pt"
    torch.save(to_openai_checkpoint(TEST_MODEL), path)
    greedy = replace(settings, beam_size=None, best_of=None, temperature_increment_on_fallback=None)
    return replace(greedy, transcriber="whisper", model=str(path))


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("meetings", nargs="+", type=Path, help="recordings with .rttm beside them, and .stm")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each meeting, from its beginning")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.0, 5.0, 10.0], metavar="DB")
    parser.add_argument("--cleaner", default="embedded")
    parser.add_argument("--diarizer", help="whose turns; true ones if left out")
    parser.add_argument("--transcriber", help="instead of the miniature Whisper")
    parser.add_argument("--model", help="of that transcriber")
    parser.add_argument("--section", default="cleaning", help="of the page")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        meetings = [beginning(path, args.seconds, folder) for path in args.meetings]
        if args.diarizer is None:
            args.diarizer = "rttm"
        settings = _settings(args, folder) if args.diarizer != "rttm" else _with_true_turns(args, folder, meetings[0])
        lines = list(table(meetings, args.levels, settings, folder))
    protocol = "Protocol: " + "; ".join(Protocol().lines()) + "."
    publish(args.section, "\n".join([*lines, "", protocol]), command_line("cleaning"), into_page=args.write)


def _with_true_turns(args: argparse.Namespace, folder: Path, meeting: Meeting) -> Settings:
    args.diarizer = "auto"
    return replace(_settings(args, folder), diarizer="rttm", rttm=meeting.rttm)


if __name__ == "__main__":
    main()
