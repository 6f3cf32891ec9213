"""Commands that are killed again and again: `python -m fuzz.kills --help`, with tests/ on the path.

The real command line works on a folder of recordings, is ended with SIGKILL at random moments over all stages, and is
started again. In the end everything must be byte for byte what an undisturbed run makes, and nothing else may be there:
no temporary files in the results, the cache, the jobs' folders or the folder for scratch.

    run       one process, recordings one after another, kept stages
    batch     one process with the queue
    watch     one process with the queue and a folder that is looked at
    workers   two workers that share a queue; either is killed
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import power, recordings

KINDS = ("run", "batch", "watch", "workers")
SECONDS = 60
"""Length of a recording."""

HANGING = 600.0
"""Seconds after which a command that is not killed counts as hanging."""

STAGES = ("start", "decode", "diarize", "separate", "transcribe", "write", "after")


@dataclass(slots=True)
class Tally:
    """Kills by kind of command and stage, and what was wrong in the end."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    stages: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[str] = field(default_factory=list)
    rounds: int = 0
    seconds: float = 0.0


class Site:
    """A folder with recordings in ``in``, and a command that works on them. Results go to ``out``."""

    def __init__(self, root: Path, kind: str, count: int) -> None:
        self.root, self.kind, self.count = root, kind, count
        for number in range(count):
            recordings.tone(root / "in" / f"call{number}.wav", SECONDS, seed=number)
        recordings.turns_and_words(root / "all.rttm", root / "all.ctm", SECONDS)
        (root / "tmp").mkdir()
        self.env = recordings.clean_environment(root)
        self.outputs_of: dict[int, Path] = {}

    def command(self) -> list[str]:
        """The arguments of the command that is killed."""
        known = ["--rttm", "all.rttm", "--script", "all.ctm", "--separator", "none", "--device", "cpu", "--offline"]
        wanted = [*known, "-o", "out", "-f", "json,srt"]
        files = [f"in/call{number}.wav" for number in range(self.count)]
        return {
            "run": ["run", *files, *wanted],
            "batch": ["batch", "in", *wanted],
            "watch": ["watch", "in", *wanted, "--once", "--poll", "0.05"],
            "workers": ["worker"],
        }[self.kind]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The real command line in a process group of its own; what it says goes to a file."""
        said = self.root / f"said-{len(self.outputs_of)}"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "meetsplit.cli", *arguments],
                cwd=self.root,
                env=self.env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.outputs_of[process.pid] = said
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has said so far."""
        return self.outputs_of[process.pid].read_text("utf-8", "replace")

    def queue(self) -> None:
        """For workers: put all recordings into the queue."""
        known = ["--rttm", "all.rttm", "--script", "all.ctm", "--separator", "none", "--device", "cpu", "--offline"]
        process = self.start("batch", "in", *known, "-o", "out", "-f", "json,srt", "--queue-only")
        if process.wait(HANGING):
            raise RuntimeError(f"the recordings cannot be queued: {self.said(process)}")

    def outputs(self) -> dict[str, str]:
        """A digest of every file of the results."""
        found = power.files_below(self.root / "out") if (self.root / "out").is_dir() else {}
        return {
            name: hashlib.sha256(content).hexdigest()
            for name, content in found.items()
            if not name.startswith(".meetsplit/")
        }

    def leftovers(self) -> list[str]:
        """Temporary files wherever they may be."""
        return power.leftovers(self.root)

    def unfinished(self) -> list[str]:
        """Jobs that are not done, by their folder."""
        jobs = self.root / "state" / "jobs"
        return sorted(job.name for job in jobs.iterdir() if not (job / "done.json").exists()) if jobs.is_dir() else []


LOG_PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d )?(?:[^:]+: (?=(?:decode|diarize|separate|transcribe|write) ))?"
)
"""What stands before a line in a log: the time of day, and the recording's name where the line is about a stage."""


def stage_in(said: str) -> str:
    """The stage that a process was in, by what it said last."""
    for logged in reversed(said.splitlines()):
        line = LOG_PREFIX.sub("", logged, count=1)
        if line.startswith("done"):
            return "after"
        for stage in STAGES[1:-1]:
            if line.startswith(f"{stage} …"):
                return stage
            if line.startswith(stage):
                return "after" if stage == "write" else stage
    return "start"


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait so long; whether the process ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def moment(site: Site, process: subprocess.Popen[bytes], length: float, rng: random.Random) -> bool:
    """Wait for a random moment: of the time that a run takes, or shortly after a random stage has begun; False where
    it ends before.
    """
    if rng.random() < 0.4:
        return not ended(process, rng.uniform(0.0, 1.1) * length)
    stage, occasion = rng.choice(STAGES[1:-1]), rng.randrange(1, 3)
    deadline = time.monotonic() + 3 * length
    while site.said(process).count(f"{stage} …") < occasion and time.monotonic() < deadline:
        if ended(process, 0.003):
            return False
    return not ended(process, rng.choice((0.0, 0.01, rng.uniform(0.0, 0.3))))


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def counted(site: Site, process: subprocess.Popen[bytes], tally: Tally) -> None:
    """Kill a process and count it."""
    kill(process)
    tally.kills[site.kind] += 1
    tally.stages[stage_in(site.said(process))] += 1


def one_command(site: Site, wanted: int, length: float, rng: random.Random, tally: Tally) -> int:
    """Start the command, kill it at a random moment, up to ``wanted`` times, and let it end at last; the number of
    kills.
    """
    killed = 0
    while True:
        process = site.start(*site.command())
        if killed < wanted and moment(site, process, length, rng):
            counted(site, process, tally)
            killed += 1
            continue
        if not ended(process, HANGING):
            kill(process)
            tally.findings.append(f"{site.kind}: did not end within {HANGING:g} s after {killed} kills")
        elif process.returncode:
            tally.findings.append(
                f"{site.kind}: ended with {process.returncode} after {killed} kills: {site.said(process)[-500:]}"
            )
        return killed


def two_workers(site: Site, wanted: int, length: float, rng: random.Random, tally: Tally) -> int:
    """The same with two workers on one queue, of which one at a time is killed and started anew."""
    site.queue()
    workers, killed, deadline = [site.start("worker"), site.start("worker")], 0, time.monotonic() + HANGING
    while site.unfinished() and time.monotonic() < deadline:
        chosen = rng.randrange(2)
        if killed < wanted and moment(site, workers[chosen], length, rng) and site.unfinished():
            counted(site, workers[chosen], tally)
            killed += 1
            workers[chosen] = site.start("worker")
            deadline = time.monotonic() + HANGING
        else:
            time.sleep(0.2)
    if left := site.unfinished():
        tally.findings.append(f"workers: {left} were not done within {HANGING:g} s: {site.said(workers[0])[-500:]}")
    for process in workers:
        process.send_signal(signal.SIGTERM)
        if not ended(process, 60.0):
            kill(process)
            tally.findings.append("workers: a worker did not stop")
    return killed


def round_of(kind: str, place: Path, wanted: int, rng: random.Random, tally: Tally, count: int = 3) -> int:
    """One folder from its first recording to its last result, with up to ``wanted`` kills; how many there were."""
    # Workers never end by themselves: what they make is what a batch makes.
    undisturbed, site = (
        Site(place / "undisturbed", "batch" if kind == "workers" else kind, count),
        Site(place / "killed", kind, count),
    )
    began = time.monotonic()
    process = undisturbed.start(*undisturbed.command())
    code = process.wait(HANGING)
    length = time.monotonic() - began
    if code:
        raise RuntimeError(f"{kind}: the undisturbed command ended with {code}: {undisturbed.said(process)[-2000:]}")
    killed = (two_workers if kind == "workers" else one_command)(site, wanted, length, rng, tally)
    tally.rounds += 1
    expected, found = undisturbed.outputs(), site.outputs()
    if found != expected:
        missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        other = sorted(name for name in found.keys() & expected.keys() if found[name] != expected[name])
        tally.findings.append(f"{kind} after {killed} kills: missing {missing}, too much {more}, different {other}")
    if left := site.leftovers():
        tally.findings.append(f"{kind} after {killed} kills: left over {left}")
    return killed


def run(kinds: Sequence[str], kills: int, seed: int, *, most: int = 4) -> Tally:
    """Kill each kind of command its share of ``kills`` times, at most ``most`` times in a folder: five in one stage
    set a job aside.
    """
    tally, began = Tally(), time.monotonic()
    for kind in kinds:
        rng, wanted, empty = (
            random.Random(f"{seed} {kind}"),
            kills // len(kinds) + (kind in kinds[: kills % len(kinds)]),
            0,
        )
        while wanted > 0 and empty < 20:
            with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
                killed = round_of(kind, Path(scratch).resolve(), min(wanted, most), rng, tally)
            wanted -= killed
            empty = 0 if killed else empty + 1
    tally.seconds = time.monotonic() - began
    return tally


def summary(tally: Tally) -> str:
    """The numbers in a line."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in tally.kills.items())
    stages = ", ".join(f"{stage} {tally.stages[stage]}" for stage in STAGES if tally.stages[stage])
    total = sum(tally.kills.values())
    return (
        f"kills: {total} ({kinds}; {stages}), {tally.rounds} folders compared byte for byte with undisturbed ones, "
        f"{len(tally.findings)} findings, {tally.seconds / 60:.0f} min"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where there are findings."""
    options = argparse.ArgumentParser(prog="python -m fuzz.kills", description=__doc__.splitlines()[0])
    options.add_argument("kinds", nargs="*", help=f"the default is all: {', '.join(KINDS)}")
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=int(time.time()), help="the default is another one each time")
    options.add_argument("--json", type=Path, help="write the numbers here")
    chosen = options.parse_args(arguments)
    if unknown := set(chosen.kinds) - set(KINDS):
        options.error(f"no command {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    tally = run(chosen.kinds or KINDS, chosen.kills, chosen.seed)
    if chosen.json is not None:
        row: dict[str, Any] = {
            "kills": dict(tally.kills),
            "stages": dict(tally.stages),
            "rounds": tally.rounds,
            "findings": tally.findings,
        }
        chosen.json.write_text(json.dumps(row, indent=1), "utf-8")
    for finding in tally.findings:
        print(f"FOUND {finding}")
    print(f"{summary(tally)}, seed {chosen.seed}", flush=True)
    return int(bool(tally.findings))


if __name__ == "__main__":
    sys.exit(main())
