"""Overhead of the queue: recordings with and without it, and a list of ten thousand jobs.

    python -m meetsplit.benchmarks.jobs [--recordings 50] [--seconds 20] [--jobs 10000] [--repeats 1] [--write]

The table is of the main job as it comes, offline models and all, on stretches of the sample meeting; everything between
one stage and the next, from the first recording's first to the last one's last, counts as the queue's. Below it, turns
and words are given and recordings last two seconds, so that next to nothing but the queue is left.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.report_page import command, options, publish
from meetsplit.benchmarks.speed import SAMPLE
from meetsplit.jobs.database import client, database
from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.status import job_statuses
from meetsplit.jobs.submission import JobQueue
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.settings import Outputs, Settings

RATE = 16000

REPEATS = 3
"""Times are medians of at least this many repetitions."""


def recordings(folder: Path, count: int, seconds: int) -> list[Path]:
    """Noise that differs from file to file."""
    folder.mkdir(parents=True)
    made = []
    for number in range(count):
        second = (np.random.default_rng(number).standard_normal(16000) * 3000).astype("<i2").tobytes()
        path = folder / f"call{number:03d}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(second * seconds)
        made.append(path)
    return made


def stretches(folder: Path, count: int, seconds: int) -> list[Path]:
    """Parts of the sample meeting, as long, each beginning two seconds after the one before: no two are alike."""
    folder.mkdir(parents=True)
    meeting = read(SAMPLE, RATE).samples
    made = []
    for number in range(count):
        part = np.roll(meeting, -2 * RATE * number)[: seconds * RATE]
        path = folder / f"call{number:03d}.wav"
        write_wav(path, Audio(part, RATE))
        made.append(path)
    return made


def model_free_options(folder: Path, seconds: int) -> list[str]:
    """Options with turns and words for recordings of that length: two people, a tenth of the time at once, two words a
    second.
    """
    turns, words = folder / "turns.rttm", folder / "words.ctm"
    starts = range(0, seconds, 10)
    turns.write_text(
        "".join(
            f"SPEAKER x 1 {at + o} {d} <NA> <NA> {s} <NA> <NA>\n"
            for at in starts
            for s, o, d in (("A", 0, 5.5), ("B", 4.5, 5))
        )
    )
    words.write_text("".join(f"x 1 {at / 2} 0.4 word\n" for at in range(2 * seconds - 1)))
    return ["--rttm", str(turns), "--script", str(words), "--separator", "none", "--device", "cpu", "--quiet"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock seconds, and seconds of processor time, which other programs do not lengthen."""

    wall: float
    processor: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.processor - other.processor)


def timed(*arguments: str | Path, env: Mapping[str, str]) -> Cost:
    """The cost of one command line."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "meetsplit.cli", *map(str, arguments)], env=env, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def middle(costs: Sequence[Cost]) -> Cost:
    """The medians."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.processor for cost in costs))


def overhead(calls: Sequence[Path], options: Sequence[str], repeats: int) -> Iterator[str]:
    """`meetsplit run` and `meetsplit batch` on the same recordings, starting up taken off both: a sentence."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        env = {**os.environ, "MEETSPLIT_STATE": str(place / "state")}
        timed("run", calls[0], *options, "-o", place / "x", env=env)
        plain, queued = [], []
        for turn in range(repeats):
            started = timed("run", calls[0], *options, "-o", place / "x", env=env)
            plain.append(timed("run", *calls, *options, "-o", place / f"plain{turn}", "--no-cache", env=env) - started)
            whole = timed("batch", *calls, *options, "-o", place / f"queued{turn}", env=env)
            queued.append(whole - timed("batch", *calls, *options, "-o", place / f"queued{turn}", env=env))
    one, other = middle(plain), middle(queued)
    yield (
        f"{len(calls)} recordings of 2 s whose words are given, so that next to nothing but the queue is left, "
        f"starting up taken off both: {one.wall:.1f} s with `run`, {other.wall:.1f} s with `batch`, "
        f"{1000 * (other.wall - one.wall) / len(calls):.0f} ms more for each recording; "
        f"{1000 * (other.processor - one.processor) / len(calls):.0f} ms of them processor time (medians of {repeats})."
    )


def between(calls: Sequence[Path], seconds: int, options: Sequence[str]) -> Iterator[str]:
    """One batch: how much of its time lies inside the stages of recordings, and how much between them.

    Lines of a table.
    """
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "MEETSPLIT_STATE": scratch}
        timed("batch", *calls, *options, "-o", Path(scratch) / "out", env=env)
        store = JobStore(Path(scratch))
        with client(database(None, store), store) as connection:
            jobs = [connection.list_workflow_steps(job.job) for job in job_statuses(connection, store)]
    times = [
        (began / 1000, ended / 1000)
        for job in jobs
        for began, ended in ((step["started_at_epoch_ms"], step["completed_at_epoch_ms"]) for step in job)
        if began is not None and ended is not None
    ]
    stages, whole = sum(ended - began for began, ended in times), max(times)[1] - min(times)[0]
    yield "| | whole time | inside stages | the queue's share | for each recording |"
    yield "|---|--:|--:|--:|--:|"
    yield (
        f"| {len(calls)} stretches of {seconds} s of the sample, offline models | {whole:.1f} s | {stages:.1f} s | "
        f"{100 * (whole / stages - 1):.2f} % | {1000 * (whole - stages) / len(calls):.0f} ms |"
    )


def listing(count: int) -> str:
    """How long a list of so many waiting jobs takes: a sentence."""
    with tempfile.TemporaryDirectory() as scratch:
        store = JobStore(Path(scratch)).ready()
        base = database(None, store)
        out = Path("/calls/transcripts")
        with client(base, store, make=True) as connection:
            queue = JobQueue(connection, store)
            for number in range(count):
                queue.submit(
                    JobSpec(
                        Path(f"/calls/call{number:05d}.m4a"),
                        f"{number:064x}",
                        Settings(),
                        Outputs(out),
                        out,
                        f"call{number:05d}",
                    )
                )
        times = []
        for _ in range(REPEATS):
            with client(base, store) as connection:
                began = time.perf_counter()
                waiting = job_statuses(connection, store)
                times.append(time.perf_counter() - began)
        env = {**os.environ, "MEETSPLIT_STATE": scratch}
        process = middle([timed("jobs", "list", "--json", env=env) for _ in range(REPEATS)]).wall
    return (
        f"{len(waiting)} waiting jobs are listed in {statistics.median(times):.2f} s; "
        f"`meetsplit jobs list --json` takes "
        f"{process:.1f} s for them, Python's start included (medians of {REPEATS})."
    )


def main() -> None:
    """Measure, print, and put into the page if asked."""
    parser = options(__doc__)
    parser.add_argument("--recordings", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        offline = ["--offline", "--device", "cpu", "--quiet"]
        lines = list(between(stretches(place / "real", chosen.recordings, chosen.seconds), chosen.seconds, offline))
        lines.append("")
        lines += overhead(
            recordings(place / "short", chosen.recordings, 2),
            model_free_options(place, 2),
            max(REPEATS, chosen.repeats),
        )
    publish("jobs", "\n".join([*lines, "", listing(chosen.jobs)]), command("jobs"), into_page=chosen.write)


if __name__ == "__main__":
    main()
