"""`meetsplit review`: the page of a transcript is opened, and corrections that it saved are taken without any loss."""

from __future__ import annotations

import json
import os
import time
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from meetsplit.cli import main
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.results.page_sound import tracks_beside
from meetsplit.pipeline.results.rediarize import find_pair

GOLDEN = Path(__file__).parent / "golden" / "meeting.json"


class Folder:
    """A folder with a transcript, in which commands are run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.json = folder / "meeting.json"
        self.original = GOLDEN.read_text("utf-8")
        self.json.write_text(self.original, "utf-8")

    def run(self, *arguments: str | Path) -> tuple[int, list[str], str]:
        """Exit code, lines on stdout, and stderr on one line."""
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out.splitlines(), " ".join(printed.err.split())

    def correct(self, name: str = "meeting.corrected.json", *, age: int = 10, **words: str) -> Path:
        """Corrections as the page saves them: each word by another one; ``age`` seconds younger than the transcript."""
        path = self.folder / name
        past = time.time_ns() - 1000 * 10**9
        os.utime(self.json, ns=(past, past))
        text = self.json.read_text("utf-8")
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
        self.set_age(path, age)
        return path

    def set_age(self, path: Path, seconds: int) -> None:
        now = self.json.stat().st_mtime_ns + seconds * 10**9
        os.utime(path, ns=(now, now))

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.name != ".meetsplit"}

    def said(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, capsys)


def test_the_page_is_made_once_and_again_when_the_transcript_has_changed(folder: Folder) -> None:
    assert folder.run("review", "meeting.json", "--no-open", "--html-audio", "none") == (0, ["meeting.html"], "")
    page = folder.folder / "meeting.html"
    made = page.stat().st_ino
    assert folder.run("review", "meeting.html", "--no-open", "--html-audio", "none") == (0, ["meeting.html"], "")
    assert page.stat().st_ino == made
    folder.json.write_text(folder.original.replace("Good", "Fine"), "utf-8")
    folder.set_age(page, 100)  # a page that is younger can still be one of another state
    assert folder.run("review", "meeting.json", "--no-open", "--html-audio", "none")[:2] == (0, ["meeting.html"])
    assert "Fine" in page.read_text("utf-8")


def test_the_browser_is_opened_where_there_is_one(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setenv("BROWSER", "a browser")
    code, out, err = folder.run("review", "meeting.json", "--html-audio", "none")
    assert (code, out, err) == (0, [], "opened meeting.html in the browser")
    assert opened == [(folder.folder / "meeting.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    code, out, err = folder.run("review", "meeting.json", "--html-audio", "none")
    assert (code, out, err) == (0, ["meeting.html"], "no browser was found here; open this page in one:")


def test_corrections_are_taken_into_every_file_and_nothing_is_lost(folder: Folder) -> None:
    folder.run("export", "meeting.json", "-f", "srt,txt,srt-per-speaker")
    corrected = folder.correct("meeting.corrected (1).json", Good="Fine")
    newer = folder.correct("meeting.corrected (2).json", age=20, Good="Lovely")
    code, out, err = folder.run("review", "meeting.json", "--no-open")
    assert code == 0
    assert out[-1] == "meeting.html"
    assert {"meeting.json", "meeting.srt", "meeting.txt"} < set(out)
    assert "corrections taken from meeting.corrected (2).json" in err
    assert folder.said("meeting.original.json") == folder.original
    assert read_transcript_file(folder.json) == read_transcript_file(newer)
    alone = next(name for name in out if name.startswith("meeting/") and "Lovely" in folder.said(name))
    assert all("Lovely" in folder.said(name) for name in ("meeting.srt", "meeting.txt", "meeting.html", alone))
    # Taken once is taken; and a second round keeps the state before it, too.
    assert folder.run("review", "meeting.json", "--no-open") == (0, ["meeting.html"], "")
    first = folder.said("meeting.json")
    folder.correct(Lovely="Dear")
    folder.run("review", "meeting.json", "--no-open")
    assert folder.said("meeting.original.json") == folder.original
    assert folder.said("meeting.original-2.json") == first
    assert corrected.name in folder.files()
    assert newer.name in folder.files()


def test_a_transcript_that_was_edited_by_hand_is_kept_and_replaced(folder: Folder) -> None:
    folder.run("export", "meeting.json", "-f", "srt")
    edited = folder.original.replace("printer", "painter")
    folder.json.write_text(edited, "utf-8")
    folder.correct(Good="Fine")
    folder.run("review", "meeting.json", "--no-open")
    assert folder.said("meeting.original.json") == edited
    assert "Fine" in folder.said("meeting.json")
    # Subtitles that were edited are not written over: the corrections get another name.
    (folder.folder / "meeting.srt").write_text("mine", "utf-8")
    folder.correct(Fine="Lovely")
    code, _, err = folder.run("review", "meeting.json", "--no-open")
    assert code == 0
    assert "is written as meeting-2.*" in err
    assert folder.said("meeting.srt") == "mine"
    assert "Lovely" in folder.said("meeting-2.json")
    assert "Fine" in folder.said("meeting.json")


def test_export_says_that_there_are_newer_corrections(folder: Folder) -> None:
    folder.correct(Good="Fine")
    code, out, err = folder.run("export", "meeting.json", "-f", "txt")
    assert (code, out) == (0, ["meeting.txt"])
    assert "meeting.corrected.json holds newer corrections" in err
    assert "`meetsplit review meeting.json` takes them" in err
    assert "Good" in folder.said("meeting.txt")


@pytest.mark.parametrize("name", ["meeting.corrected.json", "notes.json"])
def test_corrections_of_another_recording_are_one_sentence(folder: Folder, name: str) -> None:
    row = json.loads(folder.original)
    row["duration"] += 0.5
    path = folder.folder / name
    path.write_text(json.dumps(row), "utf-8")
    code, out, err = folder.run("review", "meeting.json", "--take", path, "--no-open")
    assert (code, out) == (2, [])
    assert "corrects another recording than meeting.json, or another run of it" in err
    assert folder.files() == {"meeting.json", name}
    folder.set_age(path, 10)
    code, out, err = folder.run("review", "meeting.json", "--no-open")
    assert (code, out) == (0, ["meeting.html"])
    assert ("corrects another recording" in err) == (name == "meeting.corrected.json")


def test_a_download_that_broke_off_is_told_and_left_alone(folder: Folder) -> None:
    path = folder.correct(Good="Fine")
    path.write_text(path.read_text("utf-8")[:500], "utf-8")
    folder.set_age(path, 10)
    code, out, err = folder.run("review", "meeting.json", "--no-open")
    assert (code, out) == (0, ["meeting.html"])
    assert "not valid JSON" in err
    assert "these corrections are not taken" in err
    assert folder.said("meeting.json") == folder.original


def test_corrections_from_elsewhere_and_older_ones_are_taken_when_they_are_named(folder: Folder) -> None:
    downloads = folder.folder / "downloads"
    downloads.mkdir()
    path = folder.correct("downloads/meeting.corrected.json", age=-100, Good="Fine")
    code, _, err = folder.run("review", "meeting.json", "--take", path, "--no-open")
    assert code == 0
    assert "Fine" in folder.said("meeting.json")
    code, out, err = folder.run("review", "meeting.json", "--take", path, "--no-open")
    assert (code, out) == (0, ["meeting.html"])
    assert "are in meeting.json already" in err
    beside = folder.correct(age=-100, Fine="Lovely")
    assert folder.run("review", beside, "--no-open")[0] == 0
    assert "Lovely" in folder.said("meeting.json")


def test_tracks_are_renamed_with_the_people_who_are_corrected(folder: Folder) -> None:
    (folder.folder / "meeting").mkdir()
    for name in ("Alice.wav", "Boris & Co.wav", "SPEAKER_02.wav"):
        (folder.folder / "meeting" / name).write_text(name)
    before = tracks_beside(folder.json, read_transcript_file(folder.json))
    assert [path.name for path in before.values()] == ["Alice.wav", "Boris & Co.wav", "SPEAKER_02.wav"]
    sound = {label: path.read_text() for label, path in before.items()}
    for names in ({"Alice": "Boris & Co", "Boris & Co": "Alice"}, {"Alice": "Eve"}):
        row = json.loads(folder.said("meeting.json"))
        row["speakers"] = {label: names.get(name, name) for label, name in row["speakers"].items()}
        folder.correct().write_text(json.dumps(row), "utf-8")
        folder.run("review", "meeting.json", "--no-open", "--html-audio", "none")
        transcript = read_transcript_file(folder.json)
        assert dict(transcript.names)["SPEAKER_01"] == names["Alice"].replace("Boris & Co", "Alice")
        tracks = tracks_beside(folder.json, transcript)
        assert {label: path.read_text() for label, path in tracks.items()} == sound
        assert {label: path.stem for label, path in tracks.items()} == {who: transcript.name_of(who) for who in tracks}
        assert len(list((folder.folder / "meeting").iterdir())) == 3


def test_corrected_files_are_transcripts_for_other_commands(folder: Folder) -> None:
    (folder.folder / "meeting.wav").write_bytes(b"")
    corrected = folder.correct("meeting.corrected (1).json", Good="Fine")
    assert find_pair(corrected) == (corrected, folder.folder / "meeting.wav")
    assert folder.run("export", corrected, "-f", "txt")[:2] == (0, [str(folder.folder / "meeting.corrected (1).txt")])
    with pytest.raises(SettingsError):
        find_pair(folder.folder / "other.corrected.json")


def test_a_checked_segment_stays_checked(folder: Folder) -> None:
    row: dict[str, Any] = json.loads(folder.original)
    at = next(number for number, segment in enumerate(row["segments"]) if segment["review"])
    row["segments"][at] |= {"checked": row["segments"][at]["review"], "review": []}
    path = folder.folder / "meeting.corrected.json"
    path.write_text(json.dumps(row), "utf-8")
    folder.set_age(path, 10)
    folder.run("review", "meeting.json", "--no-open")
    assert json.loads(folder.said("meeting.json"))["segments"][at] == row["segments"][at]
