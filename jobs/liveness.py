"""Liveness of workers: each holds a lock that the system releases when it dies; no clock, no heartbeat to miss.

With SQLite, all workers are on one machine, and the lock is on a file. With PostgreSQL, it is an advisory lock of the
worker's own connection: a killed process loses it at once, a vanished machine when the server gives up its connection.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from pathlib import Path
from typing import BinaryIO, Protocol

import psycopg

from meetsplit.jobs.database import Database, without_password
from meetsplit.jobs.job_store import JobStore
from meetsplit.pipeline.errors import JobError
from meetsplit.pipeline.files.locks import try_lock


class WorkerLock(Protocol):
    """The lock of one worker, and checks of the other workers' locks."""

    worker: str

    def refresh(self) -> None:
        """Make sure that this worker's lock is still held; raises `JobError` where it cannot be."""

    def is_free(self, worker: str) -> bool:
        """Whether another worker's lock is free, so that the worker is dead."""

    def close(self) -> None:
        """Release this worker's lock."""


def worker_lock(base: Database, store: JobStore) -> WorkerLock:
    """The lock of this process, under a name of its own. Raises `JobError`."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    return FileWorkerLock(store, name) if base.file is not None else PostgresWorkerLock(base, name)


class FileWorkerLock:
    """Locks in ``workers/`` of the state folder. Files of workers that were killed are removed by the next one."""

    def __init__(self, store: JobStore, worker: str) -> None:
        self.worker = worker
        self._folder = store.state / "workers"
        self._file = self._locked_file()
        for path in self._folder.glob("*.lock"):
            if path != self._path(worker):
                self.is_free(path.stem)

    def _locked_file(self) -> BinaryIO:
        """The locked file under this worker's name.

        Between its creation and its locking, another worker that checks for dead ones may take it for one and remove
        it.
        """
        path = self._path(self.worker)
        for _ in range(_TRIES):
            file = try_lock(path)
            if file is not None:
                return file
            time.sleep(0.01)
        raise JobError(f"{path}: is held by another process")

    def refresh(self) -> None:
        """Do nothing: the system keeps the lock for as long as this process lives."""

    def is_free(self, worker: str) -> bool:
        """Whether no process holds the worker's lock; its file is removed then."""
        lock = try_lock(self._path(worker))
        if lock is None:
            return False
        with lock:
            self._path(worker).unlink(missing_ok=True)  # a worker's name is never used again
        return True

    def close(self) -> None:
        """Release the lock and remove its file."""
        self._path(self.worker).unlink(missing_ok=True)
        self._file.close()

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"


_TRIES = 100
"""How often a worker tries to lock its own file.

One loss is already rare: two others would have to check at that moment.
"""


class PostgresWorkerLock:
    """Advisory locks; the server probes a silent machine every few seconds (TCP keepalive)."""

    def __init__(self, base: Database, worker: str) -> None:
        self.worker = worker
        self._base = base
        self._connection = self._connect()

    def refresh(self) -> None:
        """Connect again where the connection was lost."""
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            self._connection.close()
            self._connection = self._connect()

    def is_free(self, worker: str) -> bool:
        """Whether the worker's lock can be taken; it is released at once."""
        try:
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_number(worker),)).fetchone()
            if row is None or not row[0]:
                return False
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (_number(worker),))
        except psycopg.Error as error:
            raise JobError(
                f"the queue at {self._base.place} cannot be reached: {without_password(str(error), self._base.url)}"
            ) from error
        return True

    def close(self) -> None:
        """End the connection, and with it the lock."""
        self._connection.close()

    def _connect(self) -> psycopg.Connection[tuple[bool]]:
        try:
            connection = psycopg.connect(self._base.url, autocommit=True, connect_timeout=10)
            for setting, value in (
                ("tcp_keepalives_idle", 5),
                ("tcp_keepalives_interval", 5),
                ("tcp_keepalives_count", 3),
            ):
                connection.execute(f"SELECT set_config('{setting}', '{value}', false)")
            for _ in range(50):  # another worker that checks this one holds the lock for a moment
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_number(self.worker),)).fetchone()
                if row is not None and row[0]:
                    return connection
                time.sleep(0.1)
        except psycopg.Error as error:
            message = without_password(" ".join(str(error).split()), self._base.url)
            raise JobError(f"the queue at {self._base.place} cannot be reached: {message}") from error
        raise JobError(f"the queue at {self._base.place}: the lock of worker {self.worker} is held by another process")


def _number(worker: str) -> int:
    """The worker's name as PostgreSQL's key of an advisory lock: a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(f"meetsplit worker {worker}".encode()).digest()[:8], "big", signed=True)
