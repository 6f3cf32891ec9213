"""Which workers live? Each holds a lock that the system takes back when it dies: no clock, no heartbeat to miss.

With SQLite, everybody is on one machine, and the lock is on a file. With PostgreSQL, it is an advisory lock of the
worker's own connection: a killed process loses it at once, a vanished machine when the server finds nobody there.
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
from meetsplit.jobs.job_store import Store
from meetsplit.pipeline.errors import JobError
from meetsplit.pipeline.files.locks import try_lock


class Lease(Protocol):
    """The life of one worker, and a look at the others'."""

    worker: str

    def beat(self) -> None:
        """Make sure that our own lock is still held; raises `JobError` where it cannot be."""

    def dead(self, worker: str) -> bool:
        """Whether another worker's lock is free."""

    def close(self) -> None:
        """Give our own lock back."""


def lease(base: Database, store: Store) -> Lease:
    """A lease for this process under a name of its own. Raises `JobError`."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    return FileLease(store, name) if base.file is not None else PostgresLease(base, name)


class FileLease:
    """Locks in ``workers/`` of the state folder. Files of workers that were killed are removed by the next one."""

    def __init__(self, store: Store, worker: str) -> None:
        self.worker = worker
        self._folder = store.state / "workers"
        self._held = self._taken()
        for path in self._folder.glob("*.lock"):
            if path != self._path(worker):
                self.dead(path.stem)

    def _taken(self) -> BinaryIO:
        """Our own lock, on the file that lies there under our name.

        Another worker that looks for dead ones may take it for one between its creation and its locking, and remove it.
        """
        path = self._path(self.worker)
        for _ in range(_TRIES):
            held = try_lock(path)
            if held is not None:
                return held
            time.sleep(0.01)
        raise JobError(f"{path}: is held by another process")

    def beat(self) -> None:
        """Nothing to do: the system keeps the lock for as long as this process lives."""

    def dead(self, worker: str) -> bool:
        """Whether nobody holds the worker's lock; its file goes then."""
        lock = try_lock(self._path(worker))
        if lock is None:
            return False
        with lock:
            self._path(worker).unlink(missing_ok=True)  # a worker's name is never used again
        return True

    def close(self) -> None:
        """Release the lock and remove its file."""
        self._path(self.worker).unlink(missing_ok=True)
        self._held.close()

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"


_TRIES = 100
"""How often a worker tries to lock its own file. One loss is already rare: two others would have to look at that moment."""


class PostgresLease:
    """Advisory locks; the server looks for a silent machine every few seconds."""

    def __init__(self, base: Database, worker: str) -> None:
        self.worker = worker
        self._base = base
        self._held = self._connected()

    def beat(self) -> None:
        """Connect again where the connection was lost."""
        try:
            self._held.execute("SELECT 1")
        except psycopg.Error:
            self._held.close()
            self._held = self._connected()

    def dead(self, worker: str) -> bool:
        """Whether the worker's lock can be had; it is given back at once."""
        try:
            row = self._held.execute("SELECT pg_try_advisory_lock(%s)", (_number(worker),)).fetchone()
            if row is None or not row[0]:
                return False
            self._held.execute("SELECT pg_advisory_unlock(%s)", (_number(worker),))
        except psycopg.Error as error:
            raise JobError(
                f"the queue at {self._base.place} cannot be reached: {without_password(str(error), self._base.url)}"
            ) from error
        return True

    def close(self) -> None:
        """End the connection, and with it the lock."""
        self._held.close()

    def _connected(self) -> psycopg.Connection[tuple[bool]]:
        try:
            connection = psycopg.connect(self._base.url, autocommit=True, connect_timeout=10)
            for setting, value in (
                ("tcp_keepalives_idle", 5),
                ("tcp_keepalives_interval", 5),
                ("tcp_keepalives_count", 3),
            ):
                connection.execute(f"SELECT set_config('{setting}', '{value}', false)")
            for _ in range(50):  # another worker that asks whether we live holds the lock for a moment
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_number(self.worker),)).fetchone()
                if row is not None and row[0]:
                    return connection
                time.sleep(0.1)
        except psycopg.Error as error:
            said = without_password(" ".join(str(error).split()), self._base.url)
            raise JobError(f"the queue at {self._base.place} cannot be reached: {said}") from error
        raise JobError(f"the queue at {self._base.place}: the lock of worker {self.worker} is held by another process")


def _number(worker: str) -> int:
    """The worker's name as PostgreSQL wants the name of a lock: a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(f"meetsplit worker {worker}".encode()).digest()[:8], "big", signed=True)
