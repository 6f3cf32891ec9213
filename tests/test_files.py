"""Files arrive whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files import replacing, write


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path) -> None:
    write(tmp_path / "a/b/x.txt", "naïve\n")
    write(tmp_path / "a/b/x.bin", b"\x00\r\n")
    assert (tmp_path / "a/b/x.txt").read_bytes() == "naïve\n".encode()
    assert (tmp_path / "a/b/x.bin").read_bytes() == b"\x00\r\n"
    write(tmp_path / "a/b/x.txt", "new")
    assert (tmp_path / "a/b/x.txt").read_text() == "new"
    assert sorted(p.name for p in (tmp_path / "a/b").iterdir()) == ["x.bin", "x.txt"]


def test_files_have_the_permissions_of_ordinary_files(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file/x.txt", "a file, not a directory"),
        ("file/deeper/x.txt", "a file, not a directory"),
        ("folder", "a directory is in the way"),
        ("n" * 300, "the name is too long"),
        ("made/" + "n" * 300, "the name is too long"),
    ],
)
def test_impossible_places(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=says) as caught:
        write(tmp_path / place, "x")
    assert str(tmp_path / place) in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


def test_devices_and_pipes_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="a device or a pipe"):
        write(tmp_path / "pipe", "x")
    with pytest.raises(OutputError, match="a device or a pipe"):
        write(Path(os.devnull), "x")


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission denied")],
)
def test_failing_disks_leave_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, says: str
) -> None:
    (tmp_path / "x.txt").write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OutputError, match=says):
        write(tmp_path / "x.txt", "new")
    with pytest.raises(OutputError, match=says):
        write(tmp_path / "made/deep/x.txt", "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.txt", "old")]


def test_an_interrupted_block_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with replacing(tmp_path / "made/x.wav") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
