"""The queue's database: a fresh machine, a damaged file, addresses with passwords."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs.database import database, log_to_file, translated_errors, without_password
from meetsplit.jobs.job_store import JobStore
from meetsplit.pipeline.errors import JobError, SettingsError


@pytest.mark.parametrize(
    "output",
    [
        "database disk image is malformed",
        "*** in database main ***\nPage 5: btreeInitPage() returns error code 11",
        "TREE 3 page 4",
    ],
)
def test_damage_is_said_with_advice(tmp_path: Path, output: str) -> None:
    store = JobStore(tmp_path)
    with (
        pytest.raises(JobError, match=r"is damaged .* move the database away"),
        translated_errors(database(None, store), store),
    ):
        raise sqlite3.DatabaseError(output)


def test_lists_on_a_fresh_machine_are_empty(workspace: Any) -> None:
    listed = workspace.run("jobs", "list")
    assert "there are no jobs yet" in "\n".join(listed.lines)
    assert workspace.run("jobs", "list", "--json").lines == ["[]"]
    scheduled = workspace.run("schedule", "list")
    assert scheduled.lines == ["there are no schedules; `meetsplit schedule add` makes one"]
    assert workspace.run("schedule", "list", "--json").lines == ["[]"]
    assert not workspace.state.exists(), "looking makes nothing"
    assert "there are no jobs yet" in "\n".join(workspace.run("jobs", "show", "c0ffee", code=1).lines)


@pytest.fixture
def dbos_log() -> Iterator[logging.Logger]:
    """The logger as a new process has it."""
    logger = logging.getLogger("dbos")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers.clear()
    logger.propagate = True  # pytest gives handlers of its own to loggers that do not propagate
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_log_without_its_folder_or_on_a_full_disk_prints_nothing(
    tmp_path: Path, dbos_log: logging.Logger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path / "not" / "yet")
    log_to_file(store)
    dbos_log.warning("it works")
    assert "it works" in (store.state / "log.txt").read_text()

    def full(record: logging.LogRecord) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dbos_log.handlers[0], "format", full)
    dbos_log.warning("lost")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:hun@ter2@host/name",
        "postgresql://user:hun/ter2@host/name",
        "postgresql://user:hun?ter2@host/name",
        "postgresql://user:hun#ter2@host/name",
        "postgresql://user:hunter2@host:99999/name",
        "postgresql://user:hunter2@host:port/name",
        "postgresql://user:hunter2@[::1/name",
    ],
)
def test_no_part_of_a_password_is_in_a_refusal(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match="--database") as refused:
        database(address, JobStore(tmp_path))
    assert "hun" not in str(refused.value)
    assert "ter2" not in str(refused.value)


def test_what_a_server_says_is_shown_without_the_password(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    base = database("postgresql://user:p%40ss%2Fword@127.0.0.1:9/name?options=-c%20a=b@c", store)
    with pytest.raises(JobError) as failed, translated_errors(base, store):
        raise sqlite3.OperationalError("cannot connect with p@ss/word or p%40ss%2Fword")
    assert (
        str(failed.value) == "the queue at postgresql://127.0.0.1:9/name cannot be used: cannot connect with *** or ***"
    )
    assert without_password("plain", "postgresql://host/name") == "plain"


def test_an_unencoded_at_sign_in_the_password_is_asked_wrongly(workspace: Any) -> None:
    output = workspace.run("jobs", "list", "--database", "postgresql://user:hun@ter2@127.0.0.1:9/queue", code=2)
    text = "\n".join(output.lines)
    assert "@ is written as %40" in text
    assert "ter2" not in text
