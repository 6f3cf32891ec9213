"""Benchmark of speed and memory: real-time factor per stage and peak memory, by length of the recording.

    python -m meetsplit.benchmarks.speed [--minutes 1 10 60] [--recording FILE] [--plain] [--write]

The recording (the sample meeting, unless named) is looped to each length and run by a process of its own, whose peak
resident memory the kernel reports. ``--plain`` also runs the baseline of `benchmarks/baseline.py`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.baseline import seconds_by_stage
from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.events import Event, Finished
from meetsplit.pipeline.files import write
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import RATE, Pipeline
from meetsplit.pipeline.settings import Outputs, Settings

BASELINE = "plain stack"
"""The mode, and the name in the table, of the baseline."""

STAGES = ("decode", "diarize", "separate", "transcribe", "write")
SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"


def write_looped(recording: Path, minutes: float, target: Path) -> Path:
    """Write the recording, repeated until it lasts ``minutes``, as 16-bit WAV to ``target``."""
    audio = read(recording, RATE)
    write_wav(target, Audio(np.resize(audio.samples, round(60 * minutes * RATE)), RATE))
    return target


def run_worker(recording: Path, mode: str, *, words: bool) -> None:
    """Run one recording in this process and print its seconds per stage and its peak memory as JSON."""
    settings = Settings(diarizer="embedded", separator="adapted", transcriber="sphinx", offline=True)
    if mode == BASELINE:
        seconds = seconds_by_stage(recording, replace(settings, separator="dictionary", separate="everywhere"))
    else:
        seconds = _run_pipeline(
            recording, replace(settings, separate="off" if mode == "off" else "overlaps"), words=words
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak": peak}))


def _run_pipeline(recording: Path, settings: Settings, *, words: bool) -> dict[str, float]:
    """Seconds of each stage of one run."""
    seconds: dict[str, float] = {}

    def on_event(event: Event) -> None:
        if isinstance(event, Finished):
            seconds[event.stage] = event.seconds

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not words:
            no_words = folder / "no-words.stm"
            write(no_words, "")
            settings = replace(settings, transcriber="script", script=no_words)
        run_and_write(
            Pipeline(settings, on_event=on_event),
            recording,
            Outputs(folder=folder / "out"),
            cache=StageCache(folder / "bench"),
            on_event=on_event,
        )
    return seconds


@dataclass(frozen=True, slots=True)
class RunCost:
    """Seconds per stage, and peak memory in GiB, of one run."""

    seconds: Mapping[str, float]
    peak: float


def measure(recording: Path, mode: str, *, words: bool) -> RunCost:
    """The cost of `run_worker` in a process of its own."""
    command = [sys.executable, "-m", "meetsplit.benchmarks.speed", "--worker", str(recording), "--separate", mode]
    command += [] if words else ["--no-words"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(finished.stdout.splitlines()[-1])
    return RunCost(answer["seconds"], answer["peak"])


def table(recording: Path, lengths: Sequence[float], modes: Sequence[str], *, words: bool) -> Iterator[str]:
    """One line per length and mode."""
    yield f"| minutes | how | {' | '.join(STAGES)} | total | of it learning, s | peak memory, GiB |"
    yield "|---|---|" + "---|" * (len(STAGES) + 3)
    with tempfile.TemporaryDirectory() as scratch:
        for minutes in lengths:
            path = write_looped(recording, minutes, Path(scratch) / f"{minutes:g}.wav")
            for mode in modes:
                cost = measure(path, mode, words=words)
                factors = [cost.seconds.get(stage, 0.0) / (60 * minutes) for stage in STAGES]
                cells = " | ".join(f"{factor:.3f}" for factor in (*factors, sum(factors)))
                learning = cost.seconds.get("learn", 0.0)
                yield f"| {minutes:g} | {mode} | {cells} | {learning:.0f} | {cost.peak:.2f} |"
                print(f"{minutes:g} min, {mode}: done", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0, 10.0, 60.0])
    parser.add_argument("--recording", type=Path, default=SAMPLE)
    parser.add_argument("--plain", action="store_true", help="also the stack that one would glue from the same parts")
    parser.add_argument("--worker", type=Path, help="run this recording here and print JSON")
    parser.add_argument(
        "--separate", default="overlaps", choices=("off", "overlaps", BASELINE), help="what is taken apart"
    )
    parser.add_argument(
        "--no-words",
        dest="words",
        action="store_false",
        help="transcribe nothing: time and memory of the rest, on long recordings",
    )
    parser.add_argument("--section", default="speed", help="of the page")
    args = parser.parse_args()
    if args.worker is not None:
        run_worker(args.worker, args.separate, words=args.words)
        return
    modes = [args.separate, *([BASELINE] if args.plain else [])]
    lines = list(table(args.recording, args.minutes, modes, words=args.words))
    note = (
        "Real-time factors per stage (seconds of work per second of recording); each run in a process of its own, "
        "models loaded in it. "
        f"Learning the recording's voices takes at most {Settings().adapt_budget:g} s."
    )
    publish(args.section, "\n".join([*lines, "", note]), command_line("speed"), into_page=args.write)


if __name__ == "__main__":
    main()
