"""Faults at every operation on the disk: the disk of these trials itself, and a sparse round of them over `run`,
`batch` and `export`.

A round over every operation is `make fuzz`, and the tests marked slow.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz import faulty
from fuzz.power import SCENARIOS, grid
from meetsplit.pipeline import files
from meetsplit.pipeline.errors import OutputError

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for every fault")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> faulty.FaultyDisk:
    (tmp_path / "old.txt").write_text("old")
    made = faulty.FaultyDisk(tmp_path)
    monkeypatch.setattr(files, "disk", made)
    return made


def contents(left: dict[str, faulty.Entry]) -> dict[str, bytes]:
    return {name: entry.content for name, entry in left.items() if entry.kind == "file"}


def test_what_is_written_whole_survives_in_every_way(disk: faulty.FaultyDisk, tmp_path: Path) -> None:
    files.write(tmp_path / "new" / "a.txt", "first")
    files.write(tmp_path / "old.txt", "replaced")
    for how in (*faulty.POWER, "killed"):
        assert contents(disk.image(how)) == {"new/a.txt": b"first", "old.txt": b"replaced"}


def test_content_that_was_not_synced_is_lost(disk: faulty.FaultyDisk, tmp_path: Path) -> None:
    with disk.create(tmp_path / "part", 0o644) as file:
        file.write(b"abcdef")
    disk.replace(tmp_path / "part", tmp_path / "old.txt")
    assert contents(disk.image("lost")) == {"old.txt": b"old"}
    assert contents(disk.image("kept")) == {"old.txt": b"abc\0\0\0"}
    disk.sync_folder(tmp_path)
    assert contents(disk.image("lost")) == {"old.txt": b""}
    assert contents(disk.image("killed")) == {"old.txt": b"abcdef"}


def test_entries_that_were_not_synced_are_lost_or_kept(disk: faulty.FaultyDisk, tmp_path: Path) -> None:
    with disk.create(tmp_path / "part", 0o644) as file:
        file.write(b"whole")
        disk.fsync(file)
    disk.mkdir(tmp_path / "folder", 0o755)
    disk.replace(tmp_path / "part", tmp_path / "folder" / "new.txt")
    disk.unlink(tmp_path / "old.txt")
    assert contents(disk.image("lost")) == {"old.txt": b"old"}
    assert contents(disk.image("kept")) == {"folder/new.txt": b"whole"}
    disk.sync_folder(tmp_path)
    assert contents(disk.image("lost")) == {}, "the folder's own entries were never synced"
    disk.sync_folder(tmp_path / "folder")
    assert contents(disk.image("lost")) == {"folder/new.txt": b"whole"}


def test_files_that_pass_by_the_layer_count_as_never_synced(disk: faulty.FaultyDisk, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("abcd")
    assert "other.txt" not in contents(disk.image("lost"))
    assert contents(disk.image("kept"))["other.txt"] == b"ab\0\0"


def test_relative_paths_count_as_well(disk: faulty.FaultyDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    disk.mkdir(Path("made"), 0o755)
    assert disk.operations == ["mkdir made"]


def test_what_is_left_can_be_put_back(disk: faulty.FaultyDisk, tmp_path: Path) -> None:
    files.write(tmp_path / "a" / "b.txt", "deep", private=True)
    left = disk.image("lost")
    (tmp_path / "a" / "b.txt").write_text("changed")
    (tmp_path / "more").mkdir()
    faulty.restore(tmp_path, left)
    assert contents(faulty.FaultyDisk(tmp_path).image("lost")) == {"old.txt": b"old", "a/b.txt": b"deep"}
    assert (tmp_path / "a" / "b.txt").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "more").exists()


def test_errors_come_once_or_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = faulty.FaultyDisk(tmp_path)
    monkeypatch.setattr(files, "disk", operations)
    files.write(tmp_path / "a.txt", "x")
    names = [operation.split()[0] for operation in operations.operations]
    assert names == ["create", "write", "fsync", "replace", "sync_folder"]
    for at, operation in enumerate(names):
        monkeypatch.setattr(files, "disk", faulty.FaultyDisk(tmp_path, fault="EIO", at=at))
        with pytest.raises(OutputError, match="the disk reports an error") as caught:
            files.write(tmp_path / "a.txt", "y")
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EIO
        assert (tmp_path / "a.txt").read_text() == ("y" if operation == "sync_folder" else "x")
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
        (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(files, "disk", faulty.FaultyDisk(tmp_path, fault="full", at=1))
    for _ in range(2):
        with pytest.raises(OutputError, match="the disk is full"):
            files.write(tmp_path / "a.txt", "y")


def test_a_grid_is_evenly_spread() -> None:
    assert grid(5, 0) == [0, 1, 2, 3, 4]
    assert grid(100, 4, offset=3) == [3, 28, 53, 78]
    assert grid(3, 9) == [0, 1, 2]


def findings(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """What a round of trials found, in a process that has no threads."""
    answer = tmp_path / "found.json"
    command = [sys.executable, "-m", "fuzz.power", *arguments, "--work", str(tmp_path / "work"), "--json", str(answer)]
    done = subprocess.run(
        command, cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=False
    )
    assert answer.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("scenario", "points", "faults"),
    [
        ("run", 3, ("lost", "kept", "killed", "full")),
        ("run-again", 3, ("mixed", "EIO")),
        ("batch", 1, ("lost", "kept", "full")),
        ("export-again", 1, ("lost", "kept", "ENOSPC")),
    ],
)
def test_faults_here_and_there(tmp_path: Path, scenario: str, points: int, faults: tuple[str, ...]) -> None:
    found = findings(tmp_path, scenario, "--points", str(points), "--offset", "1", "--faults", *faults)
    assert found["findings"] == []
    assert sum(found["tried"].values()) == points * len(faults)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_faults_everywhere(tmp_path: Path, scenario: str) -> None:
    found = findings(tmp_path, scenario)
    assert found["findings"] == []
    assert sum(found["tried"].values()) >= found["operations"][scenario] * len(faulty.FAULTS)
