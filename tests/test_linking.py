"""`meetsplit link`: the same people in several meetings, by planted voices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_pcm

from meetsplit.cli import main
from meetsplit.pipeline.data import Audio, Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.formats.meetsplit_json import write
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.linking import MeetingVoice, link_voices
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer

ENCODER = "ecapa-planted"


def _at(degrees: float, meeting: int, name: str | None = None, rows: int = 1) -> MeetingVoice:
    """A voice in a plane of voices: alike by the cosine of the angle between."""
    angle = np.radians(degrees)
    row = np.array([[np.cos(angle), np.sin(angle)]], np.float32).repeat(rows, axis=0)
    return MeetingVoice(meeting, ("SPEAKER_00",), name, VoiceEmbeddings(ENCODER, row, np.full(rows, 3.0, np.float32)))


@pytest.mark.parametrize(
    ("voices", "groups"),
    [
        ((_at(0, 0), _at(80, 0), _at(5, 1), _at(75, 1)), ((0, 2), (1, 3))),
        ((_at(0, 0), _at(50, 1), _at(100, 2)), ((0, 1), (2,))),  # each like the next, the ends unlike
        ((_at(0, 0), _at(1, 0)), ((0,), (1,))),  # two people of one meeting
        ((_at(0, 0, "Ann"), _at(1, 1, "Ben"), _at(2, 2)), ((0,), (1, 2))),  # people with two names
        ((_at(0, 0), _at(0, 1, rows=0), _at(0, 2)), ((0, 2), (1,))),  # a voice that was not heard alone
    ],
)
def test_voices_are_linked_where_all_of_a_group_are_alike(
    voices: tuple[MeetingVoice, ...], groups: tuple[tuple[int, ...], ...]
) -> None:
    assert link_voices(voices, VoiceScorer(ENCODER)).groups == groups


class Planted:
    """An embedder by loudness: each person of these recordings has a constant level of their own."""

    rate = 16000

    def embed(self, clips: list[Audio]) -> Any:
        angles = [np.radians(1000 * float(np.abs(clip.samples).mean())) for clip in clips]
        return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32)


class Meetings:
    """Meetings of people with planted voices, with recordings, in which commands are run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def add(self, name: str, *degrees: float, names: tuple[tuple[str, str], ...] = ()) -> None:
        """A meeting in which people with these voices speak for 3 s each, one after the other."""
        turns = tuple(Turn(Span(3.0 * n, 3.0 * n + 3.0), f"SPEAKER_{n:02d}") for n in range(len(degrees)))
        sound = [np.full(48000, round(32.768 * angle), np.int16) for angle in degrees]
        write_pcm(self.folder / f"{name}.wav", [np.concatenate(sound)])
        words = [Segment(one.speaker, (Word(Span(one.start + 0.1 * len(name), one.end), "yes"),)) for one in turns]
        transcript = Transcript(name, 3.0 * len(degrees), tuple(words), turns, Provenance("0"), names=names)
        (self.folder / f"{name}.json").write_text(write(transcript, Outputs()), "utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, and stderr on one line."""
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, " ".join(printed.err.split())

    def names(self, name: str) -> dict[str, str]:
        return dict(read_transcript_file(self.folder / f"{name}.json").names)


@pytest.fixture
def meetings(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Meetings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VoiceEncoder, "load", lambda *_: VoiceEncoder(ENCODER, Planted()))
    made = Meetings(tmp_path, capsys)
    made.add("monday", 20, 200, 130)
    made.add("tuesday", 203, 22, names=(("SPEAKER_00", "Ann"),))
    made.add("friday", 300, 19, 198, 60)
    return made


def test_people_are_shown_with_the_evidence_and_nothing_is_written(meetings: Meetings) -> None:
    before = {path: path.read_bytes() for path in meetings.folder.rglob("*") if path.is_file()}
    code, out, err = meetings.run("link", "monday.json", "tuesday.json", "friday.json", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    linked = {
        one["id"]: [tuple(member["speakers"]) for member in one["members"]] for one in data["people"] if one["id"]
    }
    assert linked == {
        "PERSON_01": [("SPEAKER_00",), ("SPEAKER_01",), ("SPEAKER_01",)],
        "PERSON_02": [("SPEAKER_01",), ("SPEAKER_00",), ("SPEAKER_02",)],
    }
    assert "Ann" in [one["name"] for one in data["people"]]
    assert len(data["scores"]) == 3 * 2 + 3 * 4 + 2 * 4
    code, out, _ = meetings.run("link", "monday.json", "tuesday.json", "friday.json")
    assert code == 0
    assert "2 people are in more than one of 3 meetings" in out
    assert max(map(len, out.splitlines())) <= 80
    assert before == {path: path.read_bytes() for path in meetings.folder.rglob("*") if path.is_file()}


def test_linked_people_are_named_alike_and_keep_their_ids(meetings: Meetings) -> None:
    original = (meetings.folder / "friday.json").read_bytes()
    code, _, err = meetings.run("link", "monday.json", "tuesday.json", "friday.json", "--apply")
    assert code == 0, err
    assert "`meetsplit undo friday.json` takes that back" in err
    assert meetings.names("monday") == {"SPEAKER_00": "PERSON_01", "SPEAKER_01": "Ann"}
    assert meetings.names("tuesday") == {"SPEAKER_00": "Ann", "SPEAKER_01": "PERSON_01"}
    assert meetings.names("friday") == {"SPEAKER_01": "PERSON_01", "SPEAKER_02": "Ann"}
    # A meeting that comes later, with somebody whom the first ones have once.
    meetings.add("sunday", 61, 21)
    assert meetings.run("link", "sunday.json", "friday.json", "monday.json", "--apply")[0] == 0
    assert meetings.names("sunday") == {"SPEAKER_00": "PERSON_02", "SPEAKER_01": "PERSON_01"}
    assert meetings.names("friday")["SPEAKER_03"] == "PERSON_02"
    assert meetings.run("undo", "friday.json")[0] == meetings.run("undo", "friday.json")[0] == 0
    assert (meetings.folder / "friday.json").read_bytes() == original


def test_what_cannot_be_linked_is_said_in_a_sentence(meetings: Meetings) -> None:
    code, _, err = meetings.run("link", "monday.json", "monday.json")
    assert (code, err) == (
        2, "error: people are linked over two meetings or more, not 1: name more transcripts"
    )  # fmt: skip
    (meetings.folder / "copy.json").write_bytes((meetings.folder / "monday.json").read_bytes())
    code, _, err = meetings.run("link", "monday.json", "copy.json", "tuesday.json", "--json")
    assert code == 0
    assert "copy.json: is the same recording as monday.json: it is left out" in err
    (meetings.folder / "monday.wav").unlink()
    code, _, err = meetings.run("link", "monday.json", "tuesday.json")
    assert code == 2
    assert "monday.json: neither the recording nor everybody's track lies beside it: add --audio-dir FOLDER" in err
