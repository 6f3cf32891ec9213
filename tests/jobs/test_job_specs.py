"""Orders, names, limits, patterns: the parts of a job that need no process."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counted_calls import calls
from hooked_disk import HookedDisk
from meetsplit.jobs.database import client, database
from meetsplit.jobs.discovery import FoundRecording, Patterns, StabilityTracker, search
from meetsplit.jobs.file_index import FileIndex
from meetsplit.jobs.job import CompletionActions, JobSpec, with_absolute_paths
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.moving import move_recording
from meetsplit.jobs.requests import Request, build_jobs
from meetsplit.jobs.resources import MemoryLimit, resident_memory
from meetsplit.jobs.status import job_statuses
from meetsplit.jobs.submission import enqueue_options
from meetsplit.pipeline import files
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.data.units import size
from meetsplit.pipeline.errors import AudioError, JobError, SettingsError
from meetsplit.pipeline.files.locks import hold_lock, try_lock
from meetsplit.pipeline.settings import Outputs, Settings


def job_spec(**changes: object) -> JobSpec:
    plain = JobSpec(
        Path("/in/call.wav"),
        "c0ffee",
        Settings(hf_token="hf_secret", cache_dir=Path("/cache")),
        Outputs(Path("/out")),
        Path("/out"),
        "call",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.builds(
        CompletionActions,
        st.lists(st.text(), max_size=3).map(tuple),
        st.floats(1, 100),
        st.none() | st.text(),
        st.none() | st.just(Path("/done")),
        st.integers(0, 5),
        st.floats(0, 1000),
    ),
    st.integers(1, 100),
    st.tuples(st.tuples(st.just("SPEAKER_00"), st.text(min_size=1))) | st.just(()),
)
def test_orders_travel_whole(
    on_completion: CompletionActions, priority: int, names: tuple[tuple[str, str], ...]
) -> None:
    made = job_spec(
        on_completion=on_completion,
        priority=priority,
        outputs=Outputs(Path("/out/x"), names=names),
        settings=Settings(language="de", num_speakers=3),
    )
    assert JobSpec.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_orders_hold_no_secrets() -> None:
    text = json.dumps(job_spec().to_json())
    assert "hf_secret" not in text
    assert "/cache" not in text


def test_orders_of_other_versions() -> None:
    row = job_spec().to_json()
    row["settings"]["a_setting_of_the_future"] = 7
    del row["settings"]["seed"]
    assert JobSpec.from_json(row).settings.seed == 0
    with pytest.raises(JobError, match="queue its recording again"):
        JobSpec.from_json({"recording": "x"})


def test_what_makes_two_orders_the_same(tmp_path: Path) -> None:
    plain = job_spec().key
    assert job_spec(recording=Path("/elsewhere/copy.wav"), stem="copy").key == plain
    assert job_spec(settings=Settings(device="cpu", hf_token="other", offline=True)).key == plain
    assert job_spec(priority=1, on_completion=CompletionActions(("true",))).key == plain
    others = {
        job_spec(content="beef").key,
        job_spec(settings=Settings(num_speakers=2)).key,
        job_spec(outputs=Outputs(Path("/out"), max_line_width=30)).key,
        job_spec(root=Path("/other")).key,
    }
    assert len({plain, *others}) == 5
    script = tmp_path / "words.ctm"
    script.write_text("a 1 0 1 one\n")
    first = job_spec(settings=Settings(script=script)).key
    script.write_text("a 1 0 1 two\n")
    assert job_spec(settings=Settings(script=script)).key != first


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.pt").touch()
    made = with_absolute_paths(Settings(model="small.pt", rttm=Path("a.rttm"), diarizer_model="pyannote/some-pipeline"))
    assert (made.model, made.rttm, made.diarizer_model) == (
        str(tmp_path / "small.pt"),
        tmp_path / "a.rttm",
        "pyannote/some-pipeline",
    )


def test_requests_travel_whole() -> None:
    made = Request(
        Settings(language="de"),
        Outputs(Path("/out"), formats=("srt",)),
        1,
        CompletionActions(retries=2),
        Patterns(("*.wav",), ("x*",), (Path("/out"),)),
    )
    assert Request.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_settling_minds_no_clock(tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    file.write_bytes(b"one")
    tracker = StabilityTracker(3)
    for _ in range(2):
        tracker = tracker.poll([file])
        assert not tracker.stable()
    os.utime(file, (0, 0))  # an old time, as copies that keep times have
    for _ in range(3):
        assert not tracker.stable()
        tracker = tracker.poll([file])
    assert list(tracker.stable()) == [file]
    file.write_bytes(b"")
    assert not tracker.poll([file]).stable()
    file.unlink()
    assert not tracker.poll([file]).files


def test_search(tmp_path: Path) -> None:
    for name in ("a.wav", "b/c.M4A", "b/notes.txt", "b/SPEAKER_01.wav", ".x.wav", "out/d.wav", "e.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    patterns = Patterns(apart=(tmp_path / "out",))
    assert search([tmp_path], patterns).recordings == (
        FoundRecording(tmp_path / "a.wav"),
        FoundRecording(tmp_path / "b/c.M4A", Path("b")),
    )
    assert [found.path.name for found in search([f"{tmp_path}/**/*.txt"], patterns).recordings] == ["notes.txt"]
    assert [found.path.name for found in search([tmp_path], Patterns(("b/*",), ("*.txt",))).recordings] == ["c.M4A"]
    with pytest.raises(AudioError, match="no such file or folder"):
        search([tmp_path / "nothing"], patterns)


def test_index_reads_a_file_once_and_survives_damage(tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    call.write_bytes(b"sound")
    file_index = FileIndex.load(tmp_path)
    content = file_index.checksum(call)
    file_index.save()
    again = FileIndex.load(tmp_path)
    again.contents[str(call)] = (again.contents[str(call)][0], "from the index")
    assert again.checksum(call) == "from the index"
    call.write_bytes(b"other sound")
    assert again.checksum(call) not in ("from the index", content)
    (tmp_path / "seen.json").write_text("{ damaged")
    assert FileIndex.load(tmp_path).checksum(call) == again.checksum(call)


def test_what_a_crash_left_beside_the_index_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".meetsplit-0123456789ab.part").write_text("{")
    FileIndex.load(tmp_path).save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen.json", "seen.lock"]
    assert (tmp_path / "seen.json").stat().st_mode & 0o777 == 0o600


def test_take_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "call.wav").write_bytes(b"sound")
    found = search([tmp_path], Patterns()).recordings
    built = build_jobs(found, Request(Settings(), Outputs(tmp_path / "out")), FileIndex.load(tmp_path))
    assert [made.stem for made in built.jobs] == ["call"]
    assert [(path.name, "is empty" in str(error)) for path, error in built.refused] == [("empty.wav", True)]


@pytest.mark.parametrize(
    ("text", "expected"), [("8GB", 8 * 10**9), ("1GiB", 2**30), ("512 M", 512 * 10**6), ("2K", 2000), ("77", 77)]
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


def test_limits() -> None:
    with pytest.raises(SettingsError, match="--max-memory lots"):
        size("lots")
    assert resident_memory() > 10**6
    assert MemoryLimit(1).exceeded()
    assert not MemoryLimit(10**15).exceeded()
    assert not MemoryLimit().exceeded()


def test_finished_recordings_never_replace_others(tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    for content in (b"one", b"two"):
        call.write_bytes(content)
        move_recording(job_spec(recording=call, content=recording_sha256(call)), tmp_path / "done" / "sub")
    assert {path.name: path.read_bytes() for path in (tmp_path / "done" / "sub").iterdir()} == {
        "call.wav": b"one",
        "call-2.wav": b"two",
    }


def test_another_recording_at_the_path_of_a_finished_one_is_not_moved(tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    call.write_bytes(b"one")
    finished = job_spec(recording=call, content=recording_sha256(call))
    call.write_bytes(b"two")
    assert move_recording(finished, tmp_path / "done") is None
    assert call.read_bytes() == b"two"
    assert not (tmp_path / "done").exists()


def once(number: int, action: Callable[[], None]) -> Callable[[], None]:
    """A function that does the action when it is called for the ``number``-th time."""
    calls = itertools.count(1)

    def hook() -> None:
        if next(calls) == number:
            action()

    return hook


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Died(BaseException):
    """The process ended."""


def die() -> None:
    raise Died


@pytest.mark.parametrize("refused", [None, errno.EXDEV, errno.EPERM], ids=["links", "another disk", "no links"])
def test_a_move_that_dies_ends_with_one_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    """The process dies at each of the calls in turn, and the move is repeated."""
    calls, done = tmp_path / "calls", tmp_path / "done"
    call, content = calls / "call.wav", b"sound" * 1000
    calls.mkdir()
    for number in range(1, 20):
        shutil.rmtree(done, ignore_errors=True)
        call.write_bytes(content)
        moved = job_spec(recording=call, content=recording_sha256(call))
        monkeypatch.setattr(files, "disk", HookedDisk(once(number, die), refused_links=refused))
        with suppress(Died):
            move_recording(moved, done)
        assert tree(tmp_path).get("done/call.wav", content) in (content, b"")
        assert content in tree(tmp_path).values()
        monkeypatch.setattr(files, "disk", HookedDisk(lambda: None, refused_links=refused))
        move_recording(moved, done)
        assert content in tree(done).values()
        assert set(tree(tmp_path).values()) <= {content, b""}
        assert tree(calls) == {}


@pytest.mark.parametrize("refused", [None, errno.EXDEV, errno.EPERM], ids=["links", "another disk", "no links"])
def test_a_recording_that_takes_the_path_of_one_being_moved_is_never_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    """A recorder renames its next recording over the finished one before each of the calls in turn."""
    calls, done = tmp_path / "calls", tmp_path / "done"
    call = calls / "call.wav"

    def record_next() -> None:
        (tmp_path / "next").write_bytes(b"second")
        os.replace(tmp_path / "next", call)

    for number in range(1, 14):
        for place in (calls, done):
            shutil.rmtree(place, ignore_errors=True)
        calls.mkdir()
        call.write_bytes(b"first")
        job = job_spec(recording=call, content=recording_sha256(call))
        monkeypatch.setattr(files, "disk", HookedDisk(once(number, record_next), refused_links=refused))
        target = move_recording(job, done)
        assert tree(done) == ({} if target is None else {"call.wav": b"first"})
        assert tree(calls) in ({"call.wav": b"second"}, {}), number
        assert tree(calls) or tree(done)


def test_a_recording_is_hashed_and_moved_as_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next recording comes right after the last block of the finished one was hashed."""
    call = tmp_path / "call.wav"
    call.write_bytes(b"first")
    job = job_spec(recording=call, content=recording_sha256(call))

    def hashed_and_replaced(path: Path) -> str:
        sha256 = recording_sha256(path)
        (tmp_path / "next").write_bytes(b"other")
        os.replace(tmp_path / "next", path)
        return sha256

    monkeypatch.setattr("meetsplit.jobs.moving.recording_sha256", hashed_and_replaced)
    assert move_recording(job, tmp_path / "done") is None
    assert call.read_bytes() == b"other"
    assert list((tmp_path / "done").iterdir()) == []


def test_a_file_that_appears_at_the_target_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, done = tmp_path / "call.wav", tmp_path / "done"
    call.write_bytes(b"first")
    job = job_spec(recording=call, content=recording_sha256(call))

    class Disk(files.Disk):
        def link(self, source: Path, target: Path) -> None:
            if target.name == "call.wav" and not target.exists():
                target.write_bytes(b"somebody's")
            super().link(source, target)

    monkeypatch.setattr(files, "disk", Disk())
    assert move_recording(job, done) == done / "call-2.wav"
    assert {path.name: path.read_bytes() for path in done.iterdir()} == {
        "call.wav": b"somebody's",
        "call-2.wav": b"first",
    }


def test_locks_die_with_their_process(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    code = (
        "import sys, time; from pathlib import Path; from meetsplit.pipeline.files.locks import try_lock; "
        "held = try_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert try_lock(path) is None
    process.kill()
    process.wait()
    process.stdout.close()
    with hold_lock(path):
        assert try_lock(path) is None


def test_listing_ten_thousand_jobs_costs_ten_times_a_thousand(tmp_path: Path) -> None:
    store = JobStore(tmp_path).ready()
    base = database(None, store)
    with client(base, store, make=True) as connection:
        connection.enqueue(enqueue_options("aaaa.1", 10), job_spec().to_json(), 0)
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as direct, direct:
            columns = [column[1] for column in direct.execute("PRAGMA table_info(workflow_status)")]
            row = direct.execute("SELECT * FROM workflow_status").fetchone()
            at = columns.index("workflow_uuid")
            copies = [(*row[:at], f"{number:016x}.1", *row[at + 1 :]) for number in range(9999)]

        def cost(added: list[tuple[Any, ...]]) -> int:
            with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as direct, direct:
                direct.executemany(f"INSERT INTO workflow_status VALUES ({','.join('?' * len(row))})", added)
            return calls(lambda: job_statuses(connection, store))

        assert job_statuses(connection, store)[0].state == "waiting"  # imports and caches
        few = cost(copies[:999])
        assert cost(copies[999:]) < 11 * few
        assert len(job_statuses(connection, store)) == 10000


def test_where_the_queue_is(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    assert database(None, store).file == tmp_path / "jobs.sqlite"
    remote = database("postgres://me:secret@db.example.org:5433/calls", store)
    assert remote.url == "postgresql://me:secret@db.example.org:5433/calls"
    assert remote.place == "postgresql://db.example.org:5433/calls"
    with pytest.raises(SettingsError, match="question mark"):
        database(None, JobStore(tmp_path / "why?"))
    for wrong in ("mysql://x/y", "jobs.db", "postgresql://host:port/x"):
        with pytest.raises(SettingsError, match="--database"):
            database(wrong, store)
