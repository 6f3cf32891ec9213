"""Crash counts: how often a stage of a job was begun and neither ended nor stopped, kept in the job's folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.submission import key_of
from meetsplit.pipeline import files
from meetsplit.pipeline.errors import JobError, OutputError

MAX_CRASHES = 5
"""How often one stage of a job may end its worker before the job is marked as failed.

A stage that ends resets the count.
"""

DEMOTE_AFTER = 2
"""The number of crashes after which the job waits until the others in the queue are done."""

_NAME = "stage"


class WorkerKilled(JobError):
    """A stage ended its worker `MAX_CRASHES` times. The class's name is stored with the job, so it never changes."""


class CrashCounter:
    """Counter of crashes, in the file ``stage.json`` of each job: written before a stage begins, removed when it ends
    or when the worker is stopped.

    A file that is still there means that a worker died in that stage: killed, out of memory, without power.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._running: str | None = None
        self._stopping = False
        self._lock = threading.RLock()  # `stop` may be called by a signal handler that interrupts `stop`

    def count(self, job: str) -> int:
        """The number of times that the last stage of ``job`` has ended its worker."""
        return self._read(job)[1]

    def run_counted(self, job: str, stage: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run ``work``, a stage of ``job``, which counts as a crash until it ends.

        Raises `WorkerKilled` instead where the stage ended its worker too often, and what ``work`` raises.
        """
        last_stage, crashes = self._read(job)
        if last_stage != stage:
            crashes = 0
        if crashes >= MAX_CRASHES:
            self._remove(job)
            raise WorkerKilled(
                f"the stage {stage} ended its worker {crashes} times in a row, perhaps for lack of memory: "
                "see how much is free, "
                "use a smaller model or split the recording"
            )
        with self._lock:
            self._running = job
            if not self._stopping:
                self._write(job, stage, crashes + 1)
        try:
            return work()
        finally:
            with self._lock:
                self._running = None
                self._remove(job)

    def stop(self) -> None:
        """Note that the worker is being stopped: however the process ends now, the running stage has not crashed."""
        with self._lock, suppress(OutputError, OSError):  # on a full disk, the stop counts as a crash
            self._stopping, running = True, self._running
            if running is not None:
                stage, crashes = self._read(running)
                if crashes > 1:
                    self._write(running, stage, crashes - 1)
                else:
                    self._remove(running)

    def _write(self, job: str, stage: str, crashes: int) -> None:
        """Write the file, whole but without ``fsync``: it has to outlive the process, not the machine.

        Raises `OutputError`.
        """
        path = self._path(job)
        part = path.with_name(f".stage.{os.getpid()}.part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"job": job, "stage": stage, "crashes": crashes}), "utf-8")
            part.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {files.advice(error)}") from error

    def _path(self, job: str) -> Path:
        return self._store.folder(key_of(job)) / f"{_NAME}.json"

    def _read(self, job: str) -> tuple[str, int]:
        """The stage that was begun last and its crashes; an empty name and 0 where the file is missing or damaged."""
        row = self._store.read(key_of(job), _NAME) or {}
        if row.get("job") != job or not isinstance(row.get("crashes"), int):
            return "", 0
        return str(row.get("stage")), row["crashes"]

    def _remove(self, job: str) -> None:
        self._path(job).unlink(missing_ok=True)
