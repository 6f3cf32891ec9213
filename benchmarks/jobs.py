"""What does the queue cost? Fifty recordings with and without it, and a list of ten thousand jobs.

    python -m meetsplit.benchmarks.jobs overhead [--recordings 50] [--seconds 600] [--separator dictionary] [--repeats 3]
    python -m meetsplit.benchmarks.jobs list [--jobs 10000]

The recordings are noise with given turns and words, so that no model takes part: what is left of the pipeline
(decoding, cutting, tracks, writing) is the least processing a recording can have, and the queue's share of it the most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from meetsplit.jobs.database import client, database
from meetsplit.jobs.desk import Desk
from meetsplit.jobs.listing import rows
from meetsplit.jobs.order import Order
from meetsplit.jobs.store import Store
from meetsplit.pipeline.settings import Outputs, Settings

REPEATS = 3
"""Times are medians of so many."""


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


def known(folder: Path, seconds: int, separator: str) -> list[str]:
    """Turns and words for recordings of that length: two people, a tenth of the time at once, two words a second."""
    turns, words = folder / "turns.rttm", folder / "words.ctm"
    starts = range(0, seconds, 10)
    turns.write_text(
        "".join(f"SPEAKER x 1 {at + o} {d} <NA> <NA> {s} <NA> <NA>\n" for at in starts for s, o, d in (("A", 0, 5.5), ("B", 4.5, 5)))
    )
    words.write_text("".join(f"x 1 {at / 2} 0.4 word\n" for at in range(2 * seconds - 1)))
    return ["--rttm", str(turns), "--script", str(words), "--separator", separator, "--device", "cpu", "--quiet"]


def timed(*arguments: str | Path, env: dict[str, str]) -> float:
    """Seconds that the command line takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "meetsplit.cli", *map(str, arguments)], env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def overhead(count: int, seconds: int, separator: str, repeats: int) -> None:
    """Time `meetsplit run` and `meetsplit batch` on the same recordings, and on none that are new: that is starting up."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        calls = recordings(place / "calls", count, seconds)
        options = known(place, seconds, separator)
        env = {**os.environ, "MEETSPLIT_CACHE": str(place / "cache"), "MEETSPLIT_STATE": str(place / "state")}
        plain, queued, start_plain, start_queued = [], [], [], []
        for turn in range(repeats):
            one = ["-f", "txt", "--no-tracks", *options]
            start_plain.append(timed("run", calls[0], *one, "-o", place / "x", env=env))
            start_plain[-1] = timed("run", calls[0], *one, "-o", place / "x", env=env)
            plain.append(timed("run", *calls, *options, "-o", place / f"plain{turn}", "--no-cache", env=env))
            queued.append(timed("batch", place / "calls", *options, "-o", place / f"queued{turn}", env=env))
            start_queued.append(timed("batch", place / "calls", *options, "-o", place / f"queued{turn}", env=env))
        report(count, seconds, [statistics.median(values) for values in (plain, queued, start_plain, start_queued)])


def report(count: int, seconds: int, medians: list[float]) -> None:
    """Print the numbers; medians of several runs."""
    plain, queued, start_plain, start_queued = medians
    work, with_queue = plain - start_plain, queued - start_queued
    print(f"{count} recordings of {seconds} s")
    print(f"run:   {plain:7.2f} s, starting up {start_plain:.2f} s")
    print(f"batch: {queued:7.2f} s, starting up and seeing that all is done {start_queued:.2f} s")
    print(f"overhead with starting up    {100 * (queued / plain - 1):+.1f} %, {1000 * (queued - plain) / count:+.0f} ms a recording")
    print(f"overhead without starting up {100 * (with_queue / work - 1):+.1f} %, {1000 * (with_queue - work) / count:+.0f} ms a recording")


def listing(count: int) -> None:
    """Time a list of so many waiting jobs."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch)).ready()
        base = database(None, store)
        with client(base, store, make=True) as opened:
            desk = Desk(opened, store)
            for number in range(count):
                out = Path("/calls/transcripts")
                desk.put(Order(Path(f"/calls/call{number:05d}.m4a"), f"{number:064x}", Settings(), Outputs(out), out, f"call{number:05d}"))
        taken = []
        for _ in range(REPEATS):
            with client(base, store) as opened:
                began = time.perf_counter()
                found = rows(opened, store)
                taken.append(time.perf_counter() - began)
        env = {**os.environ, "MEETSPLIT_STATE": scratch}
        process = [timed("jobs", "list", "--json", env=env) for _ in range(REPEATS)]
        print(f"{len(found)} jobs, median of {REPEATS}: {statistics.median(taken):.2f} s to list")
        print(f"as a process, JSON included: {statistics.median(process):.2f} s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("overhead")
    first.add_argument("--recordings", type=int, default=50)
    first.add_argument("--seconds", type=int, default=600)
    commands.add_parser("list").add_argument("--jobs", type=int, default=10000)
    first.add_argument("--separator", default="dictionary")
    first.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    if asked.command == "overhead":
        overhead(asked.recordings, asked.seconds, asked.separator, asked.repeats)
    else:
        listing(asked.jobs)


if __name__ == "__main__":
    main()
