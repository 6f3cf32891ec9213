"""Jobs that end their worker: how often a stage of a job was begun and neither ended nor stopped, kept in the job's folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from meetsplit.jobs.job_store import Store
from meetsplit.pipeline import files
from meetsplit.pipeline.errors import JobError, OutputError

LIMIT = 5
"""How often one stage of a job may end its worker before the job is set aside. A stage that ends begins the count anew."""

DEMOTED_FROM = 2
"""From how many of these on the job waits until the others in the queue are done."""

_NAME = "stage"


class WorkerKilled(JobError):
    """A stage ended its worker `LIMIT` times; its name is stored with the job, so it never changes."""


class Crashes:
    """The file ``stage.json`` of each job: written before a stage begins, removed when it ends or when the worker is stopped.

    What finds it there later knows that a worker died in that stage: killed, out of memory, without power.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: str | None = None
        self._stopping = False
        self._lock = threading.RLock()  # `stop` may be called by a signal handler that interrupts `stop`

    def count(self, job: str) -> int:
        """How often the stage that ``job`` was in last has ended its worker."""
        return self._kept(job)[1]

    def guarded(self, job: str, stage: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do ``work``, a stage of ``job``, and count it while it runs.

        Raises `WorkerKilled` instead where it ended its worker too often, and what ``work`` raises.
        """
        before, crashes = self._kept(job)
        crashes = crashes if before == stage else 0
        if crashes >= LIMIT:
            self._remove(job)
            raise WorkerKilled(
                f"the stage {stage} ended its worker {crashes} times in a row, perhaps for lack of memory: see how much is free, "
                "use a smaller model or split the recording"
            )
        with self._lock:
            self._running = job
            if not self._stopping:
                self._keep(job, stage, crashes + 1)
        try:
            return work()
        finally:
            with self._lock:
                self._running = None
                self._remove(job)

    def stop(self) -> None:
        """The worker is being stopped: however the process ends now, the running stage is not the reason."""
        with self._lock, suppress(OutputError, OSError):  # on a full disk, the stop counts as a crash
            self._stopping, running = True, self._running
            if running is not None:
                stage, crashes = self._kept(running)
                if crashes > 1:
                    self._keep(running, stage, crashes - 1)
                else:
                    self._remove(running)

    def _keep(self, job: str, stage: str, crashes: int) -> None:
        """Write the file, whole but without ``fsync``: it has to outlive the process, not the machine. Raises `OutputError`."""
        path = self._path(job)
        part = path.with_name(f".stage.{os.getpid()}.part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"job": job, "stage": stage, "crashes": crashes}), "utf-8")
            part.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {files.advice(error)}") from error

    def _path(self, job: str) -> Path:
        return self._store.folder(_key(job)) / f"{_NAME}.json"

    def _kept(self, job: str) -> tuple[str, int]:
        row = self._store.kept(_key(job), _NAME) or {}
        if row.get("job") != job or not isinstance(row.get("crashes"), int):
            return "", 0
        return str(row.get("stage")), row["crashes"]

    def _remove(self, job: str) -> None:
        self._path(job).unlink(missing_ok=True)


def _key(job: str) -> str:
    return job.partition(".")[0]
