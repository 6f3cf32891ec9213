"""How long does a run take, and how much memory? Real-time factor per stage and peak memory, by length of the recording.

    python -m meetsplit.benchmarks.speed [--minutes 1 10 60] [--recording FILE] [--plain] [--write]

The recording (the sample meeting, unless named) is looped to each length and run by a process of its own, whose peak resident
memory the kernel reports. ``--plain`` runs the stack that one would glue from the same parts beside it, see `benchmarks/baseline.py`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.baseline import seconds_by_stage
from meetsplit.benchmarks.report_page import command, options, publish
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.events import Event, Finished
from meetsplit.pipeline.files import write
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import RATE, Pipeline
from meetsplit.pipeline.settings import Outputs, Settings

PLAIN = "plain stack"
STAGES = ("decode", "diarize", "separate", "transcribe", "write")
SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"


def looped(recording: Path, minutes: float, target: Path) -> Path:
    """The recording again and again until it lasts ``minutes``, as 16-bit WAV."""
    once = read(recording, RATE)
    write_wav(target, Audio(np.resize(once.samples, round(60 * minutes * RATE)), RATE))
    return target


def worker(recording: Path, separate: str, *, words: bool) -> None:
    """Run one recording in this process and print what it took as JSON. Peak memory is this process's."""
    seconds: dict[str, float] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Finished):
            seconds[event.stage] = event.seconds

    settings = Settings(diarizer="embedded", separator="adapted", transcriber="sphinx", offline=True)
    if separate == PLAIN:
        _answer(seconds_by_stage(recording, replace(settings, separator="dictionary", separate="everywhere")))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if not words:
            script = Path(scratch) / "no-words.stm"
            write(script, "")
            settings = replace(settings, transcriber="script", script=script)
        outputs = Outputs(folder=Path(scratch) / "out")
        run_and_write(
            Pipeline(settings, on_event=listen),
            recording,
            outputs,
            open_cache=StageCache(Path(scratch) / "bench"),
            on_event=listen,
        )
    _answer(seconds)


def _answer(seconds: Mapping[str, float]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak": peak}))


def measured(recording: Path, separate: str, *, words: bool) -> Mapping[str, object]:
    """What `worker` prints from a process of its own."""
    call = [sys.executable, "-m", "meetsplit.benchmarks.speed", "--worker", str(recording), "--separate", separate]
    call += [] if words else ["--no-words"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    found: Mapping[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(recording: Path, lengths: list[float], modes: list[str], *, words: bool) -> Iterator[str]:
    """One line per length and mode."""
    yield f"| minutes | how | {' | '.join(STAGES)} | total | of it learning, s | peak memory, GiB |"
    yield "|---|---|" + "---|" * (len(STAGES) + 3)
    with tempfile.TemporaryDirectory() as scratch:
        for minutes in lengths:
            path = looped(recording, minutes, Path(scratch) / f"{minutes:g}.wav")
            for mode in modes:
                found = measured(path, mode, words=words)
                seconds, peak = found["seconds"], found["peak"]
                if not isinstance(seconds, dict) or not isinstance(peak, float):
                    raise SystemExit(f"the worker answered {found}")
                factors = [seconds.get(stage, 0.0) / (60 * minutes) for stage in STAGES]
                cells = " | ".join(f"{factor:.3f}" for factor in (*factors, sum(factors)))
                yield f"| {minutes:g} | {mode} | {cells} | {seconds.get('learn', 0.0):.0f} | {peak:.2f} |"
                print(f"{minutes:g} min, {mode}: done", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, and put into the page if asked."""
    asked = options(__doc__)
    asked.add_argument("--minutes", nargs="+", type=float, default=[1.0, 10.0, 60.0])
    asked.add_argument("--recording", type=Path, default=SAMPLE)
    asked.add_argument("--plain", action="store_true", help="also the stack that one would glue from the same parts")
    asked.add_argument("--worker", type=Path, help="run this recording here and print JSON")
    asked.add_argument("--separate", default="overlaps", help="what the worker takes apart")
    asked.add_argument(
        "--no-words",
        dest="words",
        action="store_false",
        help="transcribe nothing: time and memory of the rest, on long recordings",
    )
    asked.add_argument("--section", default="speed", help="of the page")
    chosen = asked.parse_args()
    if chosen.worker is not None:
        worker(chosen.worker, chosen.separate, words=chosen.words)
        return
    modes = ["overlaps", *([PLAIN] if chosen.plain else [])]
    lines = list(table(chosen.recording, chosen.minutes, modes, words=chosen.words))
    note = (
        "Real-time factors per stage (seconds of work per second of recording); each run in a process of its own, models loaded in it. "
        f"Learning the recording's voices takes at most {Settings().adapt_budget:g} s."
    )
    publish(chosen.section, "\n".join([*lines, "", note]), command("speed"), into_page=chosen.write)


if __name__ == "__main__":
    main()
