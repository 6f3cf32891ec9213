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
from meetsplit.jobs.requests import Request, take
from meetsplit.jobs.submission import JobQueue
from meetsplit.jobs.watch import LOOKS, Watch
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


def odd(house: Any) -> None:
    """One good recording, and one of each kind that is none or cannot be queued."""
    good = house.recording("good.wav").read_bytes()
    calls = os.fsencode(house.calls)
    (Path(os.fsdecode(calls + b"/caf\xe9.wav"))).write_bytes(good)
    Path(os.fsdecode(calls + b"/caf\xe9")).mkdir()
    (Path(os.fsdecode(calls + b"/caf\xe9/inside.wav"))).write_bytes(good)
    (house.calls / "loop.wav").symlink_to("loop.wav")
    (house.calls / "circle").symlink_to(".")
    (house.calls / "broken.wav").symlink_to("nowhere.wav")
    os.mkfifo(house.calls / "pipe.wav")


def request(house: Any) -> Request:
    return Request(Settings(), Outputs(house.out))


def test_batch_refuses_each_odd_file_and_does_the_rest(house: Any) -> None:
    odd(house)
    batch = house.run(
        "batch",
        house.calls,
        *house.known(),
        "-o",
        house.out,
        *SMALL,
        code=1,
        env={"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"},
    )
    text = "\n".join(batch.lines)
    assert f"1 done, {len(SENTENCES)} failed" in text
    for name, sentence in SENTENCES.items():
        assert any(name in line and sentence in line for line in batch.lines), name
    assert "fault of meetsplit" not in text
    assert list(house.files()) == ["good.json"]


def test_watch_and_schedule_say_each_odd_file_and_do_the_rest(house: Any) -> None:
    odd(house)
    watched = house.run("watch", house.calls, *house.known(), "-o", house.out, *SMALL, "--once", "--poll", "0.05")
    for name, sentence in SENTENCES.items():
        assert sum(name in line and sentence in line for line in watched.lines) == 1, name
    assert list(house.files()) == ["good.json"]
    house.recording("second.wav", seed=2)
    add = (
        "schedule",
        "add",
        "calls",
        "--cron",
        "0 0 1 1 *",
        "--folder",
        house.calls,
        *house.known(),
        "-o",
        house.out,
        *SMALL,
    )
    house.run(*add)
    house.run("schedule", "run-now", "calls")
    worker = house.start("worker")
    assert "second.wav" in worker.until("done: ")
    worker.signal(signal.SIGTERM)
    for name, sentence in SENTENCES.items():
        assert any(name in line and sentence in line for line in worker.lines), name


def test_a_scheduled_look_that_fails_is_said_by_the_worker(house: Any) -> None:
    gone = house.root / "gone"
    gone.mkdir()
    house.run("schedule", "add", "calls", "--cron", "0 0 1 1 *", "--folder", gone, *house.known())
    gone.rmdir()
    house.run("schedule", "run-now", "calls")
    worker = house.start("worker", "--quiet")
    assert "no such folder" in worker.until(f"failed: the look into {gone}")
    worker.signal(signal.SIGTERM)


def test_a_complaint_lasts_as_long_as_its_file(house: Any) -> None:
    """Said again at every look, so that the watch can tell when it is over; an empty file may still be written to."""
    loop = house.calls / "loop.wav"
    loop.symlink_to("loop.wav")
    (house.calls / "empty.wav").touch()
    store = JobStore(house.state).ready()
    with client(database(None, store), store, make=True) as opened:
        watch = Watch(house.calls, request(house), JobQueue(opened, store), FileIndex.at(store.state))
        for _ in range(LOOKS + 1):
            (complaint,) = watch.look().complaints
            assert "loop.wav" in complaint
        loop.unlink()
        assert watch.look().complaints == ()


def test_a_file_whose_checksum_fails_refuses_only_itself(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reading one file raises."""
    good, bad = house.recording("good.wav"), house.recording("bad.wav", seed=2)
    content = FileIndex.content

    def checked(self: FileIndex, path: Path) -> str:
        if path == bad:
            raise RuntimeError("Symlink loop")
        return content(self, path)

    monkeypatch.setattr(FileIndex, "content", checked)
    taken = take([FoundRecording(bad), FoundRecording(good)], request(house), FileIndex.at(house.root))
    assert [order.recording for order in taken.orders] == [good]
    ((path, error),) = taken.refused
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
    found = search([tmp_path], Patterns())
    assert [one.path.name for one in found.found] == ["a.wav"]
    assert found.complaints == (
        f"{tmp_path / 'secret'}: cannot be looked into: Permission denied; what lies there is left out",
    )


def test_a_file_that_may_not_be_looked_at_is_said_and_one_that_is_gone_is_not(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be listed but not entered; the test may run as root, so the system's answer is simulated."""
    secret, gone = house.recording("secret.wav"), house.recording("gone.wav", seed=2)
    look = Path.stat

    def refusing(self: Path, **more: Any) -> os.stat_result:
        if self.name == "secret.wav":
            raise PermissionError(13, "Permission denied", str(self))
        if self.name == "gone.wav":
            raise FileNotFoundError(2, "No such file or directory", str(self))
        return look(self, **more)

    store = JobStore(house.state).ready()
    with client(database(None, store), store, make=True) as opened:
        watch = Watch(house.calls, request(house), JobQueue(opened, store), FileIndex.at(store.state))
        monkeypatch.setattr(Path, "stat", refusing)
        monkeypatch.setattr(Path, "is_symlink", lambda self: False)
        seen = watch.look()
        monkeypatch.undo()
    assert seen.complaints == (f"{secret} may not be read by this user: change its permissions",)
    assert gone.exists()


def test_a_place_that_cannot_be_looked_at_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be looked at: File name too long"):
        search([tmp_path / ("x" * 300)], Patterns())


def test_a_glob_that_goes_in_circles_finds_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "circle").symlink_to(".")
    assert [one.path for one in search([f"{tmp_path}/**/*.wav"], Patterns()).found] == [tmp_path / "a.wav"]


def test_a_results_folder_that_is_not_utf8_is_asked_wrongly(house: Any) -> None:
    house.recording("call.wav")
    said = house.run(
        "batch", house.calls, *house.known(), "-o", os.fsdecode(os.fsencode(house.root) + b"/caf\xe9"), code=2
    )
    assert "caf\\xe9: its name is not UTF-8" in "\n".join(said.lines)


def test_names_are_shown_escaped() -> None:
    assert shown(os.fsdecode(b"/in/caf\xe9 \xc3\xa9.wav")) == "/in/caf\\xe9 é.wav"
    with pytest.raises(SettingsError, match="not UTF-8"):
        hooks.parse(os.fsdecode(b"notify caf\xe9"))
