"""Speech is private: permissions of all files but results, and nothing left of processes that were ended or killed."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from meetsplit import cli
from meetsplit.jobs import database
from meetsplit.jobs.job_store import JobStore
from meetsplit.pipeline import files
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.files import scratch
from meetsplit.pipeline.files.locks import try_lock
from meetsplit.pipeline.models import wheels
from meetsplit.pipeline.run import Pipeline, RecordingRun

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions and signals of POSIX")


def open_to_others(folder: Path) -> list[tuple[str, str]]:
    """What others than its owner may see or list below a folder, itself included."""
    paths = [folder, *folder.rglob("*")]
    return [(str(path), oct(path.stat().st_mode & 0o777)) for path in paths if path.stat().st_mode & 0o077]


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_stage_cache_is_private(call: Any) -> None:
    call.run()
    assert open_to_others(call.cache / "runs") == []
    assert {path.stat().st_mode & 0o777 for path in call.out.glob("call.*")} == {0o644}, "results are as the umask says"


def test_a_stage_cache_of_an_earlier_version_is_made_private(call: Any) -> None:
    call.run()
    for path in [call.cache / "runs", *(call.cache / "runs").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    call.run()
    assert open_to_others(call.cache / "runs") == []


def test_a_cache_is_made_private_and_other_folders_are_left_alone(call: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    call.run()
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o755


def test_the_folder_of_jobs_is_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    store = JobStore(state).ready()
    (state / "seen.json").write_text("{}")
    (state / "log.txt").write_text("")
    base = database.database(None, store)
    database.prepare(base, store)
    store.write("key", "job", {"webhook": "https://user:secret@host"})
    store.write_failure("key", "why")
    handler = database._PrivateLog(state / "other.txt", delay=True)
    handler.emit(handler_record())
    handler.close()
    JobStore(state).ready()
    assert [row for row in open_to_others(state) if row[0] != str(state)] == []
    assert state.stat().st_mode & 0o777 == 0o755, "it is the user's own"


def handler_record() -> Any:
    import logging

    return logging.LogRecord("dbos", logging.WARNING, "", 0, "call.wav", None, None)


@pytest.mark.parametrize(("before", "after"), [(None, 0o644), (0o600, 0o600), (0o664, 0o664)])
def test_a_result_in_the_making_is_private(tmp_path: Path, before: int | None, after: int) -> None:
    target = tmp_path / "call.txt"
    if before is not None:
        target.write_text("old")
        target.chmod(before)
    with files.replacing(target) as file:
        file.write(b"Good morning")
        (part,) = tmp_path.glob(".*.part")
        assert part.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_mode & 0o777 == after


class _Crossing(files.Disk):
    """Renames fail as they do between two disks.

    ``modes`` are those of files under their temporary names, once synced.
    """

    def __init__(self) -> None:
        self.modes: list[int] = []

    def link(self, source: Path, target: Path) -> None:
        if not source.name.startswith(".meetsplit-"):
            raise OSError(18, "Invalid cross-device link")
        super().link(source, target)

    def fsync(self, file: IO[bytes]) -> None:
        self.modes.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        super().fsync(file)


def test_a_recording_on_its_way_to_another_disk_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _Crossing()
    monkeypatch.setattr(files, "disk", disk)
    (tmp_path / "call.wav").write_bytes(b"speech")
    (tmp_path / "call.wav").chmod(0o640)
    files.move(tmp_path / "call.wav", tmp_path / "done" / "call.wav")
    assert disk.modes == [0o600]
    assert (tmp_path / "done" / "call.wav").stat().st_mode & 0o777 == 0o640


# ended by a signal


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of our own."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def terminate(*args: Any, number: int = signal.SIGTERM, **more: Any) -> None:
    """A stage that is ended by a signal: the handler raises at one of the next instructions."""
    os.kill(os.getpid(), number)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
    raise AssertionError("the signal did not come through")


def arguments(call: Any, *more: str) -> list[str]:
    options = ("--rttm", call.rttm, "--script", call.script, "--separator", "none", "--device", "cpu")
    return ["run", str(call.path), *map(str, options), "--cache-dir", str(call.cache), "-o", str(call.out), *more]


@pytest.mark.parametrize(
    "stage",
    ["MixedRecording.read", "RecordingRun._write_tracks", "RecordingRun._transcribe", "RecordingRun.transcript"],
)
@pytest.mark.parametrize("more", [["--no-cache"], []])
def test_a_terminated_run_leaves_nothing(
    call: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch, stage: str, more: list[str]
) -> None:
    monkeypatch.setattr(f"meetsplit.pipeline.run.{stage}", terminate)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments(call, *more))
    assert ended.value.code == 143
    assert list(temporary.iterdir()) == []
    assert call.results() == {}
    assert not list(call.cache.rglob("*.part"))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handler goes with the command"


@pytest.fixture
def default_hang_up() -> Iterator[None]:
    """Hang-ups as in a terminal, also where the suite itself runs under nohup, which ignores them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("default_hang_up")
def test_a_hang_up_leaves_nothing(call: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGHUP, which is sent when a terminal is closed."""
    monkeypatch.setattr(RecordingRun, "_write_tracks", functools.partial(terminate, number=signal.SIGHUP))
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments(call, "--no-cache"))
    assert ended.value.code == 129
    assert list(temporary.iterdir()) == []
    assert call.results() == {}
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL, "the handler goes with the command"


def test_a_hang_up_that_is_ignored_stays_ignored(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    real = RecordingRun.transcript

    def hang_up(run: RecordingRun) -> Any:
        os.kill(os.getpid(), signal.SIGHUP)
        return real(run)

    monkeypatch.setattr(RecordingRun, "transcript", hang_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments(call))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended.value.code == 0
    assert "call.json" in call.results()


def test_a_terminated_delivery_leaves_nothing(call: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meetsplit.speakers.rendering.track_file", terminate)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments(call))
    assert ended.value.code == 143
    assert call.results() == {}
    assert [path for path in below(call.out) if ".part" in path] == []


def below(folder: Path) -> list[str]:
    """Everything below a folder."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


def test_a_second_signal_does_not_end_the_cleaning(call: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingRun, "_transcribe", terminate)
    real = scratch.remove_locked

    def remove_slowly(folder: Path, lock: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        real(folder, lock)

    monkeypatch.setattr(scratch, "remove_locked", remove_slowly)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments(call, "--no-cache"))
    assert ended.value.code == 143
    assert list(temporary.iterdir()) == []


def test_a_terminated_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_download", terminate)
    with pytest.raises(SystemExit) as ended:
        cli.main(["models", "fetch", "embedded", "--cache-dir", str(tmp_path / "cache")])
    assert ended.value.code == 143
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_a_handler_of_the_callers_own_stays(call: Any) -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: calls.append(number))
    try:
        with pytest.raises(SystemExit):
            cli.main(["--version"])
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


# killed


KILLED = """
import os, signal, sys, tempfile
from pathlib import Path
from meetsplit.pipeline.files.scratch import scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder() as folder:
    (folder / "separate-0").mkdir()
    (folder / "separate-0" / "SPEAKER_00.wav").write_text("speech")
    if len(sys.argv) > 2:
        print("living", flush=True)
        sys.stdin.read()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_one(temporary: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(temporary)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("command", ["run", "run without cache", "any other scratch"])
def test_leftovers_of_a_killed_process_go_at_the_next_start(call: Any, temporary: Path, command: str) -> None:
    kill_one(temporary)
    (folder,) = temporary.iterdir()
    assert (folder / "separate-0" / "SPEAKER_00.wav").is_file()
    assert folder.stat().st_mode & 0o777 == 0o700
    if command == "run":
        call.run()
    elif command == "run without cache":
        Pipeline(call.settings).run(call.path)
    else:
        with scratch.scratch_folder():
            pass
    assert list(temporary.iterdir()) == []


def test_the_scratch_of_a_living_process_stays(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(temporary), "live"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "living\n"
        scratch.sweep()
        (folder,) = temporary.iterdir()
        assert (folder / "separate-0" / "SPEAKER_00.wav").is_file()
        living.communicate("")
    assert living.returncode == 0
    assert list(temporary.iterdir()) == []


def test_what_only_looks_like_ours_stays(temporary: Path) -> None:
    for name in ("meetsplit-abcdefgh", "meetsplit-notes", "other-abcdefgh"):
        (temporary / name).mkdir()
        (temporary / name / "mine.txt").write_text("mine")
    (temporary / "meetsplit-notes" / scratch.LOCK).write_text("")
    (temporary / "meetsplit-filefile").write_text("mine")
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / scratch.LOCK).write_text("")
    (temporary / "meetsplit-linklink").symlink_to(temporary / "elsewhere")
    before = below(temporary)
    scratch.sweep()
    assert below(temporary) == before


def test_an_empty_folder_of_a_killed_process_goes(temporary: Path) -> None:
    """It was killed between the folder and its lock file."""
    (temporary / "meetsplit-abcdefgh").mkdir(mode=0o700)
    with scratch.scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_a_new_folder_that_is_swept_before_it_is_locked(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in its place then may be anybody's: another folder is made."""
    swept: list[Path] = []

    def swept_first(path: Path) -> Any:
        if not swept:
            swept.append(path.parent)
            path.parent.rmdir()
            path.parent.mkdir(mode=0o777)
        return try_lock(path)

    monkeypatch.setattr(scratch, "try_lock", swept_first)
    with scratch.scratch_folder() as folder:
        assert folder != swept[0]
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not swept[0].exists()


def test_scratch_without_locks_still_works(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "try_lock", lambda path: None)
    with scratch.scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_a_sweeper_that_is_faster_than_the_lock(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = itertools.count()

    def swept(path: Path) -> Any:
        if next(tries) == 1:  # the first look is the sweep's of our own decoy
            (path.parent / scratch.LOCK).write_text("")
            return None
        return try_lock(path)

    (temporary / "meetsplit-deaddead").mkdir()
    (temporary / "meetsplit-deaddead" / scratch.LOCK).write_text("")
    monkeypatch.setattr(scratch, "try_lock", swept)
    with scratch.scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


# the shelf, damaged


def damaged_name(folder: Path) -> None:
    (folder / "recording.txt").write_bytes(b"\xff\xfe caf\xe9 \x80")


def folder_as_name(folder: Path) -> None:
    (folder / "recording.txt").unlink()
    (folder / "recording.txt" / "inside").mkdir(parents=True)


def no_name(folder: Path) -> None:
    (folder / "recording.txt").unlink()


def link_beside(folder: Path) -> None:
    (folder.parent / "0123456789abcdef").symlink_to(folder.parent.parent)


def dangling_link(folder: Path) -> None:
    (folder.parent / "0123456789abcdef").symlink_to("nowhere")


def stray_file(folder: Path) -> None:
    (folder.parent / "notes.txt").write_text("x")


def folder_as_lock(folder: Path) -> None:
    (folder.parent / "0123456789abcdef" / "lock").mkdir(parents=True)


NAMES = [damaged_name, folder_as_name, no_name]
DAMAGES = [*NAMES, link_beside, dangling_link, stray_file, folder_as_lock]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_shown_used_and_cleared(
    call: Any, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    call.run()
    runs = call.cache / "runs"
    (folder,) = runs.iterdir()
    (call.cache / "keep.txt").write_text("beside the runs")
    damage(folder)
    with pytest.raises(SystemExit) as ended:
        cli.main(["cache", "show", "--cache-dir", str(call.cache)])
    assert ended.value.code == 0
    count = len(list(runs.iterdir()))
    assert f"{count} recording{'s' if count > 1 else ''}, " in capsys.readouterr().out
    call.run()
    if damage in NAMES:
        damage(folder)
    with pytest.raises(SystemExit) as cleared:
        cli.main(["cache", "clear", "--cache-dir", str(call.cache)])
    assert cleared.value.code == 0
    assert list(runs.iterdir()) == []
    assert (call.cache / "keep.txt").is_file(), "links are not followed"


def test_clear_goes_on_after_what_cannot_be_removed(
    call: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call.run()
    runs = call.cache / "runs"
    for name in ("aaa", "zzz"):
        (runs / name).mkdir()
        (runs / name / "track.wav").write_text("speech")
    real = files.disk.unlink

    def refuse(path: Path) -> None:
        if path.parent.name == "aaa":
            raise PermissionError(1, "Operation not permitted")
        real(path)

    monkeypatch.setattr(files.disk, "unlink", refuse)
    with pytest.raises(SystemExit) as cleared:
        cli.main(["cache", "clear", "--cache-dir", str(call.cache)])
    assert cleared.value.code == 1
    out = capsys.readouterr().out
    assert "2 recordings cleared" in out
    assert "aaa could not be removed: Operation not permitted" in out
    assert [path.name for path in runs.iterdir()] == ["aaa"]
    assert [run.name for run in run_cache.cached_runs(runs)] == ["?"]
