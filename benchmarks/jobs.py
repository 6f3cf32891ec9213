"""Benchmark of the job queue: its share of a batch's time, its overhead over `meetsplit run`, and listing many jobs.

    python -m meetsplit.benchmarks.jobs [--recordings 50] [--seconds 20] [--jobs 10000] [--repeats 1] [--write]

The table is of whole jobs with the offline models on excerpts of the sample meeting; all time between two stages,
from the first recording's first to the last one's last, counts as the queue's. Below it, turns and words are given
and recordings last two seconds, so that little but the queue's own time is left.
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

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
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
"""Measurements of which the median is reported."""


def write_noise(folder: Path, count: int, seconds: int) -> list[Path]:
    """Recordings of noise that differs from file to file."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        second = (np.random.default_rng(number).standard_normal(16000) * 3000).astype("<i2").tobytes()
        path = folder / f"call{number:03d}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(second * seconds)
        paths.append(path)
    return paths


def write_excerpts(folder: Path, count: int, seconds: int) -> list[Path]:
    """Excerpts of the sample meeting, each starting two seconds after the one before, so that all differ."""
    folder.mkdir(parents=True)
    meeting = read(SAMPLE, RATE).samples
    paths = []
    for number in range(count):
        excerpt = np.roll(meeting, -2 * RATE * number)[: seconds * RATE]
        path = folder / f"call{number:03d}.wav"
        write_wav(path, Audio(excerpt, RATE))
        paths.append(path)
    return paths


def given_turns_and_words(folder: Path, seconds: int) -> list[str]:
    """Options that give turns and words: two speakers, a tenth of the time overlap, two words a second."""
    turns, words = folder / "turns.rttm", folder / "words.ctm"
    rows = []
    for start in range(0, seconds, 10):
        for speaker, offset, duration in (("A", 0, 5.5), ("B", 4.5, 5)):
            rows.append(f"SPEAKER x 1 {start + offset} {duration} <NA> <NA> {speaker} <NA> <NA>\n")
    turns.write_text("".join(rows))
    words.write_text("".join(f"x 1 {number / 2} 0.4 word\n" for number in range(2 * seconds - 1)))
    return ["--rttm", str(turns), "--script", str(words), "--separator", "none", "--device", "cpu", "--quiet"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock seconds, and processor seconds, which other programs do not lengthen."""

    wall: float
    processor: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.processor - other.processor)


def run_cli(*arguments: str | Path, env: Mapping[str, str]) -> Cost:
    """The cost of a command of `meetsplit`."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "meetsplit.cli", *map(str, arguments)], env=env, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, processor)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The medians of both times."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.processor for cost in costs))


def overhead(recordings: Sequence[Path], options: Sequence[str], repeats: int) -> str:
    """A sentence: `meetsplit run` against `meetsplit batch` on the same recordings, start-up time subtracted."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        env = {**os.environ, "MEETSPLIT_STATE": str(folder / "state")}
        run_cli("run", recordings[0], *options, "-o", folder / "x", env=env)
        run_costs, batch_costs = [], []
        for number in range(repeats):
            start_up = run_cli("run", recordings[0], *options, "-o", folder / "x", env=env)
            run_folder, batch_folder = folder / f"plain{number}", folder / f"queued{number}"
            run_cost = run_cli("run", *recordings, *options, "-o", run_folder, "--no-cache", env=env)
            run_costs.append(run_cost - start_up)
            batch_cost = run_cli("batch", *recordings, *options, "-o", batch_folder, env=env)
            nothing_to_do = run_cli("batch", *recordings, *options, "-o", batch_folder, env=env)
            batch_costs.append(batch_cost - nothing_to_do)
    run, batch = median_cost(run_costs), median_cost(batch_costs)
    more = batch - run
    return (
        f"{len(recordings)} recordings of 2 s whose words are given, so that next to nothing but the queue is left, "
        f"starting up taken off both: {run.wall:.1f} s with `run`, {batch.wall:.1f} s with `batch`, "
        f"{1000 * more.wall / len(recordings):.0f} ms more for each recording; "
        f"{1000 * more.processor / len(recordings):.0f} ms of them processor time (medians of {repeats})."
    )


def queue_share(recordings: Sequence[Path], seconds: int, options: Sequence[str]) -> Iterator[str]:
    """Lines of a table: the time of one batch inside the stages of its recordings, and between them."""
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "MEETSPLIT_STATE": scratch}
        run_cli("batch", *recordings, *options, "-o", Path(scratch) / "out", env=env)
        spans = _stage_spans(JobStore(Path(scratch)))
    in_stages = sum(ended - started for started, ended in spans)
    whole = max(spans)[1] - min(spans)[0]
    share = 100 * (whole / in_stages - 1)
    per_recording = 1000 * (whole - in_stages) / len(recordings)
    yield "| | whole time | inside stages | the queue's share | for each recording |"
    yield "|---|--:|--:|--:|--:|"
    yield (
        f"| {len(recordings)} stretches of {seconds} s of the sample, offline models | {whole:.1f} s | "
        f"{in_stages:.1f} s | {share:.2f} % | {per_recording:.0f} ms |"
    )


def _stage_spans(store: JobStore) -> list[tuple[float, float]]:
    """Start and end of every finished step of all jobs, in seconds."""
    spans = []
    with client(database(None, store), store) as connection:
        for row in job_statuses(connection, store):
            for step in connection.list_workflow_steps(row.job):
                started, ended = step["started_at_epoch_ms"], step["completed_at_epoch_ms"]
                if started is not None and ended is not None:
                    spans.append((started / 1000, ended / 1000))
    return spans


def listing(count: int) -> str:
    """A sentence: the time of a list of so many waiting jobs."""
    with tempfile.TemporaryDirectory() as scratch:
        store = JobStore(Path(scratch)).ready()
        url = database(None, store)
        with client(url, store, make=True) as connection:
            queue = JobQueue(connection, store)
            for number in range(count):
                queue.submit(_waiting_job(number))
        seconds = []
        for _ in range(REPEATS):
            with client(url, store) as connection:
                started = time.perf_counter()
                jobs = job_statuses(connection, store)
                seconds.append(time.perf_counter() - started)
        env = {**os.environ, "MEETSPLIT_STATE": scratch}
        command = median_cost([run_cli("jobs", "list", "--json", env=env) for _ in range(REPEATS)])
    return (
        f"{len(jobs)} waiting jobs are listed in {statistics.median(seconds):.2f} s; "
        f"`meetsplit jobs list --json` takes {command.wall:.1f} s for them, "
        f"Python's start included (medians of {REPEATS})."
    )


def _waiting_job(number: int) -> JobSpec:
    folder = Path("/calls/transcripts")
    name = f"call{number:05d}"
    return JobSpec(Path(f"/calls/{name}.m4a"), f"{number:064x}", Settings(), Outputs(folder), folder, name)


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--recordings", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        excerpts = write_excerpts(folder / "real", args.recordings, args.seconds)
        lines = list(queue_share(excerpts, args.seconds, ["--offline", "--device", "cpu", "--quiet"]))
        short = write_noise(folder / "short", args.recordings, 2)
        sentence = overhead(short, given_turns_and_words(folder, 2), max(REPEATS, args.repeats))
    text = "\n".join([*lines, "", sentence, "", listing(args.jobs)])
    publish("jobs", text, command_line("jobs"), into_page=args.write)


if __name__ == "__main__":
    main()
