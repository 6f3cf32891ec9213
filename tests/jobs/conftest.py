"""A workspace for real processes: recordings that need no model, a state folder, the command line in its own
process.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forkserver import INTERPRETER, ForkedProcess, ForkServer

TURNS = (("A", 0.5, 2.0), ("B", 2.0, 4.0), ("A", 3.5, 4.8))
"""Who speaks when in five seconds; longer recordings repeat it."""


LOG_PREFIX = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:[^:]+: (?=(?:decode|diarize|separate|transcribe|write) ))?")
"""What stands before a line in a log: the time of day, and the recording's name where the line is about a stage."""


class Running:
    """A process whose standard error is read line by line; ``lines`` are without `LOG_PREFIX`."""

    def __init__(self, process: subprocess.Popen[str] | ForkedProcess) -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, text: str, seconds: float = 600.0) -> str:
        """Read until a line holds ``text``."""
        assert self.process.stderr is not None
        end = time.monotonic() + seconds
        for line in self.process.stderr:
            self.lines.append(LOG_PREFIX.sub("", line.rstrip("\n"), count=1))
            if text in line:
                return self.lines[-1]
            assert time.monotonic() < end, f"{text!r} did not come: {self.lines}"
        raise AssertionError(f"{text!r} did not come, the process ended: {self.lines}")

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self, seconds: float = 600.0) -> int:
        out, err = self.process.communicate(timeout=seconds)
        self.lines += [LOG_PREFIX.sub("", line, count=1) for line in err.splitlines()]
        self.lines += out.splitlines()
        return self.process.returncode

    def signal(self, number: int) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.end()


@dataclass
class Workspace:
    """Recordings in ``calls``, everything that a user could have in ``home``.

    ``short_pauses`` is what a process does ``first`` that waits 4 s, not 40, for its five attempts at a webhook.
    """

    short_pauses = "from meetsplit.jobs import deliveries\ndeliveries.FIRST_PAUSE = 0.1"

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)
    forks: ForkServer | None = None

    def __post_init__(self) -> None:
        self.calls = self.root / "calls"
        self.out = self.root / "out"
        self.state = self.root / "state"
        self.calls.mkdir(exist_ok=True)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MEETSPLIT", "HF_", "DBOS"))},
            "MEETSPLIT_STATE": str(self.state),
            "MEETSPLIT_CACHE": str(self.root / "cache"),
            "HOME": str(self.root),
            "COLUMNS": "300",
            **self.env,
        }

    def recording(self, name: str, *, seconds: float = 5.0, seed: int = 0) -> Path:
        """A tone that comes and goes, with noise of its own."""
        noise = np.random.default_rng(seed)
        path = self.calls / name
        path.parent.mkdir(parents=True, exist_ok=True)
        second = (
            0.3 * np.sin(2 * np.pi * (140 + seed % 40) * np.arange(16000) / 16000) + 0.02 * noise.standard_normal(16000)
        ) * 32767
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(second.astype("<i2").tobytes() * int(seconds))
        return path

    def model_free_options(self, seconds: float = 5.0) -> list[str]:
        """Options that bring turns and words for recordings of this length, so that no model is needed."""
        rttm, script = self.root / f"turns-{seconds}.rttm", self.root / f"words-{seconds}.ctm"
        if not rttm.exists():
            turns, words = [], []
            for at in range(0, int(seconds), 5):
                for speaker, start, end in TURNS:
                    turns.append(f"SPEAKER all 1 {at + start} {end - start} <NA> <NA> {speaker} <NA> <NA>\n")
                    words.append(f"all 1 {at + start + 0.2} 0.3 word{len(words)} 0.9\n")
            rttm.write_text("".join(turns))
            script.write_text("".join(words))
        return ["--rttm", str(rttm), "--script", str(script), "--separator", "none", "--device", "cpu"]

    def start(self, *arguments: str | Path, **more: Any) -> Running:
        """The command line in a process of its own, which executes the code ``first`` before anything else."""
        changes, first = more.pop("env", {}), more.pop("first", "")
        env = {**self.env, **changes}
        if self.forks is not None and not more and not any(name.startswith(INTERPRETER) for name in changes):
            process: subprocess.Popen[str] | ForkedProcess = self.forks.start(
                [*map(str, arguments)], env, self.root, first=first
            )
        else:
            code = f"{first}\nfrom meetsplit.cli import main\nmain()"
            command = [*more.pop("before", []), sys.executable, "-c", code, *map(str, arguments)]
            process = subprocess.Popen(
                command, env=env, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
            )
        running = Running(process)
        self.started.append(running)
        return running

    def run(self, *arguments: str | Path, code: int | None = 0, **more: Any) -> Running:
        """The same, run to its end; checks the exit code."""
        running = self.start(*arguments, **more)
        ended = running.end(600.0)
        assert code is None or ended == code, "\n".join(running.lines)
        return running

    def batch(self, *options: str | Path, seconds: float = 5.0, **more: Any) -> Running:
        """`meetsplit batch` on ``calls`` into ``out``, with the model-free options for recordings of this length."""
        return self.run("batch", self.calls, *self.model_free_options(seconds), "-o", self.out, *options, **more)

    def freeze(self, running: Running) -> None:
        """Stop a process in its tracks, at a moment when it holds no lock of the database."""
        while True:
            running.process.send_signal(signal.SIGSTOP)
            with closing(sqlite3.connect(self.state / "jobs.sqlite", timeout=0.05, isolation_level=None)) as database:
                try:
                    database.execute("BEGIN IMMEDIATE")
                    database.execute("ROLLBACK")
                    return
                except sqlite3.OperationalError:
                    running.process.send_signal(signal.SIGCONT)

    def jobs(self) -> list[dict[str, Any]]:
        """What `meetsplit jobs list --json` says, without a process for it."""
        from meetsplit.jobs.database import client, database
        from meetsplit.jobs.job_store import JobStore
        from meetsplit.jobs.liveness import worker_lock
        from meetsplit.jobs.status import job_statuses

        store = JobStore(self.state).ready()
        base = database(self.env.get("MEETSPLIT_DATABASE"), store)
        with client(base, store) as connection, closing(worker_lock(base, store)) as lock:
            return [row.to_json() for row in job_statuses(connection, store, is_dead=lock.is_free)]

    def files(self, folder: Path | None = None) -> dict[str, bytes]:
        """Every file below a folder, hidden ones included, but for the lock and the manifests of results folders."""
        place = folder or self.out
        found = {
            path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
        }
        return {
            name: content
            for name, content in found.items()
            if not re.search(r"(^|/)\.meetsplit/([^/]+\.json|lock)$", name)
        }

    def job_folder(self) -> Path:
        """The folder of the only job."""
        (folder,) = (self.state / "jobs").iterdir()
        return folder


@pytest.fixture(scope="session")
def make_workspace(forks: ForkServer | None) -> Callable[[Path], Workspace]:
    """The maker of workspaces, for tests that share one."""
    return functools.partial(Workspace, forks=forks)


@pytest.fixture
def workspace(tmp_path: Path, forks: ForkServer | None) -> Iterator[Workspace]:
    made = Workspace(tmp_path, forks=forks)
    yield made
    for running in made.started:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
        for stream in (running.process.stdout, running.process.stderr):
            if stream is not None:
                stream.close()
