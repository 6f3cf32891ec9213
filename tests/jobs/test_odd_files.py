"""Odd names and files beside good recordings: each is refused by itself with a sentence, and the good ones are done."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from meetsplit.jobs import hooks
from meetsplit.jobs.database import client, database
from meetsplit.jobs.discovery import FoundRecording, Patterns, search
from meetsplit.jobs.file_index import FileIndex
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.requests import Request, build_jobs
from meetsplit.jobs.submission import JobQueue
from meetsplit.jobs.watch import STABLE_POLLS, FolderWatch
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.settings import Outputs, Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes, links and pipes")

SMALL = ("-f", "json", "--no-tracks")
SENTENCES = {
    "caf\\xe9.wav": "its name is not UTF-8: rename it",
    "loop.wav": "Too many levels of symbolic links",
    "broken.wav": "does not exist",
    "pipe.wav": "is not an ordinary file",
    "caf\\xe9/inside.wav": "its name is not UTF-8: rename it",
}


def make_odd_files(workspace: Any) -> None:
    """One good recording, and one of each kind that is none or cannot be queued."""
    good = workspace.recording("good.wav").read_bytes()
    calls = os.fsencode(workspace.calls)
    (Path(os.fsdecode(calls + b"/caf\xe9.wav"))).write_bytes(good)
    Path(os.fsdecode(calls + b"/caf\xe9")).mkdir()
    (Path(os.fsdecode(calls + b"/caf\xe9/inside.wav"))).write_bytes(good)
    (workspace.calls / "loop.wav").symlink_to("loop.wav")
    (workspace.calls / "circle").symlink_to(".")
    (workspace.calls / "broken.wav").symlink_to("nowhere.wav")
    os.mkfifo(workspace.calls / "pipe.wav")


def request(workspace: Any) -> Request:
    return Request(Settings(), Outputs(workspace.out))


def test_batch_refuses_each_odd_file_and_does_the_rest(workspace: Any) -> None:
    make_odd_files(workspace)
    batch = workspace.batch(*SMALL, code=1, env={"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"})
    text = "\n".join(batch.lines)
    assert f"1 done, {len(SENTENCES)} failed" in text
    for name, sentence in SENTENCES.items():
        assert any(name in line and sentence in line for line in batch.lines), name
    assert "fault of meetsplit" not in text
    assert list(workspace.files()) == ["good.json"]


def test_watch_and_schedule_say_each_odd_file_and_do_the_rest(workspace: Any) -> None:
    make_odd_files(workspace)
    watched = workspace.run(
        "watch",
        workspace.calls,
        *workspace.model_free_options(),
        "-o",
        workspace.out,
        *SMALL,
        "--once",
        "--poll",
        "0.05",
    )
    for name, sentence in SENTENCES.items():
        assert sum(name in line and sentence in line for line in watched.lines) == 1, name
    assert list(workspace.files()) == ["good.json"]
    workspace.recording("second.wav", seed=2)
    add = (
        "schedule",
        "add",
        "calls",
        "--cron",
        "0 0 1 1 *",
        "--folder",
        workspace.calls,
        *workspace.model_free_options(),
        "-o",
        workspace.out,
        *SMALL,
    )
    workspace.run(*add)
    workspace.run("schedule", "run-now", "calls")
    worker = workspace.start("worker")
    assert "second.wav" in worker.until("done: ")
    worker.signal(signal.SIGTERM)
    for name, sentence in SENTENCES.items():
        assert any(name in line and sentence in line for line in worker.lines), name


def test_a_scheduled_look_that_fails_is_said_by_the_worker(workspace: Any) -> None:
    gone = workspace.root / "gone"
    gone.mkdir()
    workspace.run("schedule", "add", "calls", "--cron", "0 0 1 1 *", "--folder", gone, *workspace.model_free_options())
    gone.rmdir()
    workspace.run("schedule", "run-now", "calls")
    worker = workspace.start("worker", "--quiet")
    assert "no such folder" in worker.until(f"failed: the scan of {gone}")
    worker.signal(signal.SIGTERM)


def test_a_complaint_lasts_as_long_as_its_file(workspace: Any) -> None:
    """Made at every scan, so that the watch can tell when it is over; an empty file may still be written to."""
    loop = workspace.calls / "loop.wav"
    loop.symlink_to("loop.wav")
    (workspace.calls / "empty.wav").touch()
    store = JobStore(workspace.state).ready()
    with client(database(None, store), store, make=True) as connection:
        watch = FolderWatch(
            workspace.calls, request(workspace), JobQueue(connection, store), FileIndex.load(store.state)
        )
        for _ in range(STABLE_POLLS + 1):
            (complaint,) = watch.scan().complaints
            assert "loop.wav" in complaint
        loop.unlink()
        assert watch.scan().complaints == ()


def test_a_file_whose_checksum_fails_refuses_only_itself(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reading one file raises."""
    good, bad = workspace.recording("good.wav"), workspace.recording("bad.wav", seed=2)
    checksum = FileIndex.checksum

    def failing(self: FileIndex, path: Path) -> str:
        if path == bad:
            raise RuntimeError("Symlink loop")
        return checksum(self, path)

    monkeypatch.setattr(FileIndex, "checksum", failing)
    built = build_jobs([FoundRecording(bad), FoundRecording(good)], request(workspace), FileIndex.load(workspace.root))
    assert [job.recording for job in built.jobs] == [good]
    ((path, error),) = built.refused
    assert (path, str(error)) == (bad, f"{bad}: cannot be queued: Symlink loop")


def test_a_folder_that_may_not_be_read_is_said_and_the_rest_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test may run as root, who may read everything: the system's answer is simulated."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "a.wav").touch()
    scandir = os.scandir

    def refusing(place: Any) -> Any:
        if str(place).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    result = search([tmp_path], Patterns())
    assert [recording.path.name for recording in result.recordings] == ["a.wav"]
    assert result.complaints == (
        f"{tmp_path / 'secret'}: cannot be looked into: Permission denied; what lies there is left out",
    )


def test_a_file_that_may_not_be_looked_at_is_said_and_one_that_is_gone_is_not(
    workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be listed but not entered; the test may run as root, so the system's answer is simulated."""
    secret, gone = workspace.recording("secret.wav"), workspace.recording("gone.wav", seed=2)
    stat = Path.stat

    def refusing(self: Path, **more: Any) -> os.stat_result:
        if self.name == "secret.wav":
            raise PermissionError(13, "Permission denied", str(self))
        if self.name == "gone.wav":
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return stat(self, **more)

    store = JobStore(workspace.state).ready()
    with client(database(None, store), store, make=True) as connection:
        watch = FolderWatch(
            workspace.calls, request(workspace), JobQueue(connection, store), FileIndex.load(store.state)
        )
        monkeypatch.setattr(Path, "stat", refusing)
        monkeypatch.setattr(Path, "is_symlink", lambda self: False)
        result = watch.scan()
        monkeypatch.undo()
    assert result.complaints == (f"{secret} may not be read by this user: change its permissions",)
    assert gone.exists()


def test_a_place_that_cannot_be_looked_at_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be looked at: File name too long"):
        search([tmp_path / ("x" * 300)], Patterns())


def test_a_glob_that_goes_in_circles_finds_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "circle").symlink_to(".")
    assert [recording.path for recording in search([f"{tmp_path}/**/*.wav"], Patterns()).recordings] == [
        tmp_path / "a.wav"
    ]


def test_a_results_folder_that_is_not_utf8_is_asked_wrongly(workspace: Any) -> None:
    workspace.recording("call.wav")
    refused = workspace.run(
        "batch",
        workspace.calls,
        *workspace.model_free_options(),
        "-o",
        os.fsdecode(os.fsencode(workspace.root) + b"/caf\xe9"),
        code=2,
    )
    assert "caf\\xe9: its name is not UTF-8" in "\n".join(refused.lines)


def test_names_are_shown_escaped() -> None:
    assert shown(os.fsdecode(b"/in/caf\xe9 \xc3\xa9.wav")) == "/in/caf\\xe9 é.wav"
    with pytest.raises(SettingsError, match="not UTF-8"):
        hooks.parse(os.fsdecode(b"notify caf\xe9"))
