"""The queue's database: DBOS's tables in SQLite or PostgreSQL, their log file, and errors as sentences."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, error
from sqlalchemy.exc import SQLAlchemyError

from meetsplit.jobs.job_store import JobStore
from meetsplit.pipeline import files
from meetsplit.pipeline.errors import JobError, MeetsplitError, SettingsError
from meetsplit.pipeline.formats.control_characters import shown

APPLICATION = "meetsplit"
VERSION = "jobs-1"
"""Our application version for DBOS, which resumes only jobs of its own version. By default it is a hash of the code,
and an upgrade would orphan every job. This one changes only with the steps of a job, and then the old ones must stay
registered."""

RECORDINGS, NOTIFICATIONS, SCANS = "recordings", "news", "scans"
"""The queues: recordings, one at a time per worker; commands and webhooks; scheduled scans of folders. Stored names."""


class NoQueue(JobError):
    """The database has no tables yet."""


@dataclass(frozen=True, slots=True)
class Database:
    """The address of the queue: ``url`` for DBOS; ``file`` is the SQLite file, None for PostgreSQL."""

    url: str
    file: Path | None

    @property
    def place(self) -> str:
        """The database for messages, without a password."""
        if self.file is not None:
            return str(self.file)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or 'localhost'}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def config(self, executor: str) -> DBOSConfig:
        """DBOS's configuration for one worker: no telemetry, no console output, no open port."""
        return {
            "name": APPLICATION,
            "system_database_url": self.url,
            "application_version": VERSION,
            "executor_id": executor,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 2.0,
            # We send no messages, but a worker that ends waits for the thread that listens for them.
            "notification_listener_polling_interval_sec": 0.1,
            "max_executor_threads": 16,
        }


def database(url: str | None, store: JobStore) -> Database:
    """The database at ``url``, by default SQLite in the state folder.

    Raises `SettingsError` for an address that is wrong.
    """
    if url is None:
        if "?" in str(store.database):
            raise SettingsError(
                f"--state-dir {store.state}: SQLite cannot work below a folder with a question mark in its name"
            )
        return Database(f"sqlite:///{store.database.absolute()}", store.database.absolute())
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise SettingsError("--database takes postgresql://user@host/name; leave it out for SQLite in the state folder")
    authority, _, rest = url.split("://", 1)[1].partition("/")
    if authority.count("@") > 1 or "@" in rest.partition("?")[0] or re.search(r"[?#].*@", authority):
        raise SettingsError(
            "--database: in a user name or a password, @ is written as %40, / as %2F, ? as %3F, # as %23, % as %25 "
            "and : as %3A"
        )
    try:
        urlsplit(url).port  # noqa: B018 - raises for a port that is no number
    except ValueError as wrong:
        raise SettingsError("--database: host, port (1-65535) or brackets of the address are wrong") from wrong
    return Database("postgresql://" + url.split("://", 1)[1], None)


def without_password(text: str, url: str) -> str:
    """``text`` without the password of the database's address, as it is written there or as it is meant."""
    password = urlsplit(url).password
    for secret in {password, unquote(password)} if password else ():
        text = text.replace(secret, "***")
    return text


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """Rotating log file with owner-only permissions: it holds names of recordings and addresses of webhooks with their
    secrets.

    Where it cannot be written, the work goes on without it, and nothing of it reaches the terminal.
    """

    def _open(self) -> TextIOWrapper:
        files.create_private(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line: a full disk is reported by whatever else fails there."""


class _PrintableLines(logging.Formatter):
    """Log lines without control characters, safe to read in a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def log_to_file(store: JobStore) -> None:
    """Send what DBOS logs to the state folder instead of the terminal."""
    store.ready()
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        handler = _PrivateLog(store.state / "log.txt", maxBytes=1 << 20, backupCount=1, delay=True)
        handler.setFormatter(_PrintableLines("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False


def prepare(base: Database, store: JobStore) -> None:
    """Create or upgrade the tables. SQLite gets a write-ahead log, so that reading never waits for a worker."""
    log_to_file(store)
    with translated_errors(base, store):
        if base.file is not None:
            files.create_private(base.file)  # its write-ahead log gets the same permissions
            check(base.file)
        DBOS.migrate(base.url)


def check(file: Path) -> None:
    """Run SQLite's quick integrity check. Raises `sqlite3.DatabaseError` for a damaged file."""
    with closing(sqlite3.connect(file, timeout=30.0)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem is not None and problem[0] != "ok":
        raise sqlite3.DatabaseError(problem[0])


@contextmanager
def client(base: Database, store: JobStore, *, make: bool = False) -> Iterator[DBOSClient]:
    """A connection for reading and queueing. ``make`` creates the tables; without it, they have to be there.

    Raises `JobError`, and `NoQueue` where there are no tables yet.
    """
    if not make and base.file is not None and not base.file.is_file():
        raise NoQueue(f"{base.place}: there are no jobs yet; `meetsplit batch` or `meetsplit watch` makes some")
    if make:
        prepare(base, store)
    else:
        log_to_file(store)
    with translated_errors(base, store):
        if base.file is not None and not make:
            check(base.file)
        opened = DBOSClient(
            system_database_url=base.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )
        try:
            if make:  # DBOS asks for it when a schedule is run by hand; otherwise the first worker would register it
                opened._sys_db.create_application_version(VERSION)
            yield opened
        finally:
            opened.destroy()


@contextmanager
def translated_errors(base: Database, store: JobStore) -> Iterator[None]:
    """Context in which errors of the database become `JobError` with a sentence on what to do."""
    try:
        yield
    except MeetsplitError:
        raise
    except (SQLAlchemyError, sqlite3.Error, error.DBOSException) as failure:
        cause = getattr(failure, "orig", None) or failure
        if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
            raise NoQueue(
                f"{base.place}: there are no jobs yet; `meetsplit batch` or `meetsplit watch` makes some"
            ) from failure
        message = " ".join(str(cause).split())
        raise JobError(_sentence(message, base, store)) from failure


def _sentence(message: str, base: Database, store: JobStore) -> str:
    if base.file is None:
        return f"the queue at {base.place} cannot be used: {without_password(message, base.url)}"
    if "locked" in message or "busy" in message:
        return f"{base.file}: another program has held the queue's database for half a minute; close it and try again"
    if any(
        word in message.lower()
        for word in ("malformed", "not a database", "corrupt", "page", "rowid", "index", "freelist", "tree")
    ):
        return (
            f"{base.file}: the queue's database is damaged ({message}). "
            f"The jobs' folders under {store.state / 'jobs'} are readable and "
            "finished stages are kept: move the database away and queue the recordings again"
        )
    return f"{base.file}: the queue's database cannot be used: {message}"
