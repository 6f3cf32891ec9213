"""Kept stages of earlier runs: used only if whole and of the expected shape, otherwise done again with a notice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meetsplit.pipeline import files


def resealed(text: str, change: Callable[[Any], Any]) -> str:
    """A kept result with another content and the checksum that belongs to it."""
    content = change(json.loads(text)["content"])
    return json.dumps({"sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest(), "content": content})


FLIPPED = {
    "one digit": lambda text: text.replace(".5", ".6", 1),
    "another checksum": lambda text: text.replace('": "', '": "0', 1),
}
TORN = {"half": lambda text: text[: len(text) // 2], "zeros": lambda text: "\0" * len(text), "empty": lambda text: ""}
SHAPED = {
    shape: (lambda text, shape=shape: shape) for shape in ("[]", "null", '{"sha256": 1, "content": {}}', "[" * 9999)
}
LACKING = {
    f"no content in a {kind}": (lambda text, empty=empty: resealed(text, lambda _: empty))
    for kind, empty in (("list", []), ("table", {}))
}
DAMAGES = FLIPPED | TORN | SHAPED | LACKING
REPEATED = {
    "diarize": ["decode", "diarize", "write"],
    "separate": ["decode", "separate", "write"],
    "transcribe": ["transcribe", "write"],
}


@pytest.mark.parametrize("stage", REPEATED)
def test_a_damaged_result_is_told_and_its_stage_is_done_again(call: Any, stage: str) -> None:
    call.run()
    expected = call.results()
    path = call.kept(f"{stage}-*.json")
    whole = path.read_text()
    for name, damaged in DAMAGES.items():
        assert damaged(whole) != whole, name
        path.write_text(damaged(whole))
        done, notices = call.run()
        assert done == REPEATED[stage], name
        assert [(str(path) in text, "is damaged" in text) for text in notices] == [(True, True)], name
        assert call.results() == expected, name
        assert path.read_text() == whole, name
    assert call.run() == (["write"], [])


def moved(content: Any) -> Any:
    content["turns"].reverse()
    return content


def changed(*keys: Any, to: Any) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        return content

    return change


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("diarize", moved),
        ("diarize", changed("duration", to="6.0")),
        ("diarize", changed("duration", to=float("nan"))),
        ("diarize", changed("turns", 0, "start", to=None)),
        ("diarize", changed("turns", 0, "start", to=10**400)),
        ("diarize", changed("turns", 0, "end", to=0.1)),
        ("diarize", changed("turns", 0, "speaker", to=0)),
        ("diarize", changed("turns", to={"0": 1})),
        ("diarize", changed("names", to=["AB"])),
        ("diarize", changed("channels", to=[["SPEAKER_00", "0"]])),
        ("separate", changed("stretches", 0, "speaker", to="SPEAKER_07")),
        ("separate", changed("stretches", 0, "span", to=[0.0, 1.0])),
        ("separate", changed("stretches", 0, "patches", to=[{"source": "nothing"}])),
        ("separate", changed("tracks", "SPEAKER_00", to=None)),
        ("separate", changed("tracks", "SPEAKER_00", "size", to=True)),
        ("separate", changed("tracks", to=[])),
        ("transcribe", changed("heard", to=[])),
        ("transcribe", changed("heard", 0, "words", 0, "text", to=None)),
        ("transcribe", changed("heard", 0, "words", 0, "confidence", to="sure")),
        ("transcribe", changed("heard", 0, "words", 0, "span", "end", to=float("inf"))),
        ("transcribe", changed("heard", 0, "language", to=7)),
    ],
)
def test_a_result_of_another_shape_is_told_and_its_stage_is_done_again(
    call: Any, stage: str, change: Callable[[Any], Any]
) -> None:
    call.run()
    expected = call.results()
    path = call.kept(f"{stage}-*.json")
    path.write_text(resealed(path.read_text(), change))
    done, notices = call.run()
    assert done == REPEATED[stage]
    assert ["is damaged" in text for text in notices] == [True]
    assert call.results() == expected


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def zeroed(path: Path) -> None:
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.truncate(size // 8)
        file.truncate(size)


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def joined_by_another(path: Path) -> None:
    path.with_name("SPEAKER_05.wav").write_bytes(path.read_bytes())


@pytest.mark.parametrize("damage", [flipped, zeroed, halved, emptied, removed, a_folder, joined_by_another])
def test_a_damaged_track_is_never_delivered(call: Any, damage: Callable[[Path], None]) -> None:
    call.run()
    expected = call.results()
    damage(call.kept("separate-*/SPEAKER_00.wav"))
    done, notices = call.run()
    assert done == ["decode", "separate", "write"], "the words are still there"
    assert ["is damaged" in text for text in notices] == [True]
    assert call.results() == expected
    assert call.run() == (["write"], [])


def test_a_damaged_track_is_never_listened_to(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call.run()
    expected = call.results()
    call.kept("transcribe-*.json").unlink()
    zeroed(call.kept("separate-*/SPEAKER_01.wav"))
    assert call.run()[0] == ["decode", "separate", "transcribe", "write"]
    assert call.results() == expected


def test_a_folder_in_the_way_of_a_result_goes(call: Any) -> None:
    call.run()
    path = call.kept("transcribe-*.json")
    path.unlink()
    (path / "inside").mkdir(parents=True)
    done, notices = call.run()
    assert (done, len(notices)) == (["transcribe", "write"], 1)
    assert call.run() == (["write"], [])


def test_tracks_are_hashed_once_per_opening(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: hashed.append(path) or real(path))
    for _ in range(2):
        call.run()
        assert sorted(path.name for path in hashed if call.cache in path.parents) == [
            "SPEAKER_00.wav",
            "SPEAKER_01.wav",
        ]
        hashed.clear()
