"""`name`, `merge`, `split`, `undo`: every format and track follows, and the last edit is taken back to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.pipeline import formats
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.errors import OutputError, SettingsError
from meetsplit.pipeline.formats import rttm, seglst, stm
from meetsplit.pipeline.formats.people import by_person
from meetsplit.pipeline.results import editing
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.ownership import Owner, ResultRequest
from meetsplit.pipeline.results.writing import render_formats
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers import voice_split
from meetsplit.speakers.track_editing import TrackPart, track_parts
from meetsplit.speakers.voiceprints import VoiceEncoder

RATE = 16000
FORMATS = tuple(name for name in formats.names() if name != "docx")
ANN, BEN, CEM = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"
SPANS = {ANN: ((0.5, 2.0), (6.0, 8.0)), BEN: ((2.5, 4.0), (9.0, 10.0)), CEM: ((4.5, 5.5), (7.5, 8.5))}
TONES = {ANN: 3000, BEN: 5000, CEM: 7000}


def said(speaker: str, start: float, *texts: str, overlap: bool = False) -> Segment:
    words = tuple(Word(Span(start + 0.25 * n, start + 0.25 * (n + 1)), text) for n, text in enumerate(texts))
    return Segment(speaker, words, "en", overlap=overlap)


TRANSCRIPT = Transcript(
    "meeting",
    12.0,
    (
        said(ANN, 0.6, "good", "morning."),
        said(BEN, 2.6, "hello", "all."),
        said(CEM, 4.6, "shall", "we?"),
        said(ANN, 6.1, "yes", "we", "shall", "now."),
        said(CEM, 7.6, "fine.", overlap=True),
        said(BEN, 9.1, "bye."),
    ),
    tuple(sorted(Turn(Span(*span), who) for who, spans in SPANS.items() for span in spans)),
    Provenance("0"),
)


class Set:
    """A result set of three people in every format, each with a track that is a constant where they speak."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.json = folder / "meeting.json"
        outputs = Outputs(formats=(*FORMATS, "srt-per-speaker"), html_audio="none")
        owner = Owner(str(folder / "meeting.m4a"), "0" * 64)
        request = ResultRequest(owner, "meeting", "meeting", formats.suffixes_of(FORMATS), tracks=True)
        with ResultsFolder(folder).reservation(request) as reservation:
            tracks = {who: reservation.staging / f"{who}.wav" for who in SPANS}
            for who, path in tracks.items():
                self.write_track(path, who)
            reservation.publish(
                lambda label: render_formats(TRANSCRIPT, outputs),
                list(tracks.values()),
                labels={path.name: who for who, path in tracks.items()},
            )

    @staticmethod
    def write_track(path: Path, who: str) -> None:
        import wave

        pcm = np.zeros(12 * RATE, "<i2")
        for start, end in SPANS[who]:
            pcm[round(start * RATE) : round(end * RATE)] = TONES[who]
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, len(pcm), "NONE", ""))
            file.writeframes(pcm.tobytes())

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, stdout, and stderr on one line."""
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, " ".join(printed.err.split())

    def files(self) -> dict[str, bytes]:
        """The files of the set: without originals, corrections and what is hidden."""
        paths = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        return {
            name: path.read_bytes()
            for name, path in paths.items()
            if not name.startswith(".") and ".original" not in name and ".corrected" not in name
        }

    def track(self, name: str) -> Any:
        return np.frombuffer((self.folder / "meeting" / name).read_bytes()[44:], "<i2")

    def tracks(self) -> set[str]:
        return {path.name for path in (self.folder / "meeting").glob("*.wav")}

    @property
    def transcript(self) -> Transcript:
        return Transcript.read(self.json)

    def text(self, suffix: str) -> str:
        return (self.folder / f"meeting{suffix}").read_text("utf-8")


@pytest.fixture
def meeting(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Set:
    monkeypatch.chdir(tmp_path)
    return Set(tmp_path, capsys)


def speakers_in(meeting: Set) -> dict[str, set[str]]:
    """The people by format, of those formats that can be read."""
    turns = (line.turn for line in rttm.read(meeting.text(".rttm")))
    rows = json.loads(meeting.text(".seglst.json"))
    return {
        "rttm": {turn.speaker for turn in turns if turn is not None},
        "stm": {line.speaker for line in stm.read(meeting.text(".stm"))},
        "seglst": {str(row.speaker) for row in seglst.read(rows)},
        "tsv": {line.split("\t")[3] for line in meeting.text(".tsv").splitlines()[1:]},
        "csv": {line.split(",")[1] for line in meeting.text(".csv").splitlines()[1:]},
        "vtt": set(re.findall(r"<v ([^>]+)>", meeting.text(".vtt"))),
    }


def test_names_go_into_every_format_and_track_and_are_taken_back(meeting: Set) -> None:
    before = meeting.files()
    code, out, err = meeting.run("name", "meeting.json", "SPEAKER_00=Alice", "SPEAKER_01=Bob Smith")
    assert (code, err) == (
        0,
        "people are Alice, Bob Smith, SPEAKER_02; the transcript before is meeting.original.json, and `meetsplit undo "
        "meeting.json` brings it back",
    )
    assert {"meeting.json", "meeting/Alice.wav", "meeting/Bob Smith.srt"} <= set(out.splitlines())
    assert meeting.tracks() == {"Alice.wav", "Bob Smith.wav", "SPEAKER_02.wav"}
    assert (meeting.folder / "meeting/Alice.wav").read_bytes() == before["meeting/SPEAKER_00.wav"]
    named = meeting.transcript
    assert dict(named.names) == {ANN: "Alice", BEN: "Bob Smith"}
    assert (named.segments, named.turns) == (TRANSCRIPT.segments, TRANSCRIPT.turns)
    plain, underscored = {"Alice", "Bob Smith", CEM}, {"Alice", "Bob_Smith", CEM}
    assert speakers_in(meeting) == {
        "rttm": underscored, "stm": underscored, "seglst": underscored, "tsv": plain, "csv": plain, "vtt": plain,
    }  # fmt: skip
    for suffix in (".srt", ".txt", ".md", ".svg", ".html", ".audacity.txt"):
        assert "Bob Smith" in meeting.text(suffix)
    # By the name so far, a swap, a name away; the other files are then what `export` writes.
    meeting.run("name", "meeting.m4a", "Alice=Bob Smith", "Bob Smith=Alice")
    assert dict(meeting.transcript.names) == {ANN: "Bob Smith", BEN: "Alice"}
    assert (meeting.folder / "meeting/Alice.wav").read_bytes() == before["meeting/SPEAKER_01.wav"]
    meeting.run("name", "meeting.json", "Alice=", "SPEAKER_00=  ")
    assert meeting.files() == before
    for people in ({ANN: "Bob Smith", BEN: "Alice"}, {ANN: "Alice", BEN: "Bob Smith"}, {}):
        assert meeting.run("undo", "meeting.html")[0] == 0
        assert dict(meeting.transcript.names) == people
        assert meeting.track(f"{people.get(ANN, ANN)}.wav")[RATE] == TONES[ANN]
    assert meeting.files() == before
    code, _, err = meeting.run("undo", "meeting.json")
    assert (code, "no edit is left to take back" in err) == (2, True)
    for _ in range(2):
        assert meeting.run("undo", "--redo", "meeting.json")[0] == 0
    assert dict(meeting.transcript.names) == {ANN: "Bob Smith", BEN: "Alice"}


@pytest.mark.parametrize(
    ("name", "shown", "stem"),
    [
        ("Al/Bo\\..", "Al/Bo\\..", "Al_Bo_"),
        ("Al\n\nBo\x1b[2J", "Al Bo[2J", "Al Bo[2J"),
        ("n" * 300, "n" * 300, "n" * 240),
        ("</script><script>alert(1)", "</script><script>alert(1)", "__script__script_alert(1)"),
        ("שלום \u202eabc", "שלום \u202eabc", "שלום _abc"),
        ("👩‍🚀=😀", "👩‍🚀=😀", None),
    ],
)  # fmt: skip
def test_odd_names_harm_nothing(meeting: Set, name: str, shown: str, stem: str | None) -> None:
    before = meeting.files()
    code, _, _ = meeting.run("name", "meeting.json", f"SPEAKER_00={name}")
    assert code == 0
    assert dict(meeting.transcript.names) == {ANN: shown}
    assert len(meeting.tracks()) == 3
    if stem is not None:
        (track,) = meeting.tracks() - {"SPEAKER_01.wav", "SPEAKER_02.wav"}
        assert track.startswith(stem)
    assert len(list((meeting.folder / "meeting").iterdir())) == 6
    assert "<script>alert" not in meeting.text(".html")
    assert len({turn.speaker for line in rttm.read(meeting.text(".rttm")) if (turn := line.turn)}) == 3
    assert meeting.run("undo", "meeting.json")[0] == 0
    assert meeting.files() == before


def test_two_labels_with_one_name_are_one_person_until_they_are_named_otherwise(meeting: Set) -> None:
    before = meeting.files()
    meeting.run("name", "meeting.json", "SPEAKER_00=Alice", "SPEAKER_02= alice ")
    transcript = meeting.transcript
    assert (transcript.segments, transcript.turns) == (TRANSCRIPT.segments, TRANSCRIPT.turns)
    assert all(people == {"Alice", BEN} for people in speakers_in(meeting).values())
    assert meeting.text(".srt").count("Alice:") == 2, "once for each of the two times that she begins to speak"
    assert meeting.text(".md").count("## Alice") == 2
    assert "//" not in meeting.text(".txt"), "nobody speaks over her: she does herself"
    assert [line.split(",")[2] for line in meeting.text(".csv").splitlines()[1:]] == ["5.0", "2.5"]
    assert meeting.text(".svg").count('text-anchor="end"') == 2
    assert meeting.tracks() == {"Alice.wav", "alice-2.wav", "SPEAKER_01.wav"}, "a track is one label's"
    assert {file.name for file in (meeting.folder / "meeting").glob("*.srt")} == {"Alice.srt", "SPEAKER_01.srt"}
    people = json.loads(meeting.run("stats", "meeting.json", "--json")[1])[0]["people"]
    assert [(row["name"], row["seconds"], row["overlapped_seconds"]) for row in people] == [
        ("Alice", 5.0, 0.0), (BEN, 2.5, 0.0)
    ]  # fmt: skip
    # The name stands for both of its labels.
    meeting.run("name", "meeting.json", "Alice=Eve")
    assert dict(meeting.transcript.names) == {ANN: "Eve", CEM: "alice"}
    meeting.run("name", "meeting.json", "SPEAKER_00=", "SPEAKER_02=")
    assert meeting.files() == before
    assert by_person(TRANSCRIPT) is TRANSCRIPT


def test_merged_people_share_words_turns_and_the_sum_of_their_tracks(meeting: Set) -> None:
    meeting.run("name", "meeting.json", "SPEAKER_02=Cem")
    before, sound = meeting.files(), {who: meeting.track(name) for who, name in ((ANN, f"{ANN}.wav"), (CEM, "Cem.wav"))}
    code, _, err = meeting.run("merge", "meeting.json", "SPEAKER_00", "Cem")
    assert (code, err.startswith("Cem and SPEAKER_00 are one person; ")) == (0, True)
    merged = meeting.transcript
    assert merged == TRANSCRIPT.rename({CEM: "Cem"}).merge(ANN, CEM)
    assert dict(merged.names) == {ANN: "Cem"}
    assert sorted(word for s in merged.segments for word in s.words) == sorted(
        word for s in TRANSCRIPT.segments for word in s.words
    )
    assert Turn(Span(6.0, 8.5), ANN) in merged.turns, "turns that overlap are one"
    assert meeting.tracks() == {"Cem.wav", "SPEAKER_01.wav"}
    assert np.array_equal(meeting.track("Cem.wav"), sound[ANN] + sound[CEM])
    assert all(people == {"Cem", BEN} for people in speakers_in(meeting).values())
    assert {path.name for path in (meeting.folder / "meeting.original-2").iterdir()} == {"SPEAKER_00.wav", "Cem.wav"}
    after = meeting.files()
    assert meeting.run("undo", "meeting.json")[0] == 0
    assert meeting.files() == before, "the tracks that were added up, too"
    assert meeting.run("undo", "meeting.json", "--redo")[0] == 0
    assert meeting.files() == after


def test_a_person_is_split_at_a_time_outside_of_words(meeting: Set) -> None:
    before = meeting.files()
    code, _, err = meeting.run("split", "meeting.json", "SPEAKER_00", "--at", "0:00:06.52")
    assert (code, err.startswith("SPEAKER_00 is two people: SPEAKER_00 and SPEAKER_03; ")) == (0, True)
    after = meeting.transcript
    assert [turn for turn in after.turns if turn.speaker in (ANN, "SPEAKER_03")] == [
        Turn(Span(0.5, 2.0), ANN), Turn(Span(6.0, 6.6), ANN), Turn(Span(6.6, 8.0), "SPEAKER_03")
    ]  # fmt: skip
    assert [(s.speaker, s.text) for s in after.segments if s.speaker in (ANN, "SPEAKER_03")] == [
        (ANN, "good morning."), (ANN, "yes we"), ("SPEAKER_03", "shall now.")
    ]  # fmt: skip
    first, second = meeting.track("SPEAKER_00.wav"), meeting.track("SPEAKER_03.wav")
    assert np.array_equal(first + second, np.frombuffer(before["meeting/SPEAKER_00.wav"][44:], "<i2"))
    assert np.flatnonzero(second)[0] == round(6.6 * RATE)
    assert all("SPEAKER_03" in people for people in speakers_in(meeting).values())
    assert meeting.run("undo", "meeting.json")[0] == 0
    assert meeting.files() == before
    for wrong in ("0", "0.4", "11", "8"):
        code, _, err = meeting.run("split", "meeting.json", "SPEAKER_00", "--at", wrong)
        assert (code, "speaks from 0.50 to 8.00 s" in err) == (2, True)
    assert meeting.files() == before


class PlantedVoices:
    """An embedder whose vectors say how loud a clip is: two voices are two levels."""

    rate = RATE

    def embed(self, clips: Any) -> Any:
        rows = np.array([[1.0, 0.1, 0.0] if abs(clip.samples).max() < 0.3 else [0.1, 1.0, 0.0] for clip in clips])
        return (rows / np.linalg.norm(rows, axis=1)[:, None]).astype(np.float32)


def test_a_person_is_split_by_voice(monkeypatch: pytest.MonkeyPatch, meeting: Set) -> None:
    starts = (0.0, 3.0, 6.0, 9.0, 11.6)
    turns = [Turn(Span(start, min(start + 2.5, 11.9)), ANN) for start in starts]
    samples = np.zeros(12 * RATE, np.float32)
    for start, level in zip(starts, (0.2, 0.5, 0.2, 0.2, 0.5), strict=True):
        samples[round(start * RATE) : round((start + 2.5) * RATE)] = level
    encoder = VoiceEncoder("ecapa-planted", PlantedVoices())
    found = voice_split.split_by_voice(encoder, turns, ANN, Audio(samples, RATE).crop)
    assert found.spans == (Span(3.0, 5.5),), "the last turn is too short and goes with the nearest"
    assert (found.seconds[0] > found.seconds[1], found.is_one_person) == (True, False)
    alike = voice_split.split_by_voice(encoder, turns, ANN, Audio(samples * 0 + 0.1, RATE).crop)
    assert alike.is_one_person
    assert 0 < len(alike.spans) < 5, "it is done, but said"
    with pytest.raises(SettingsError, match="too few to tell two voices apart"):
        voice_split.split_by_voice(encoder, turns[:1], ANN, Audio(samples, RATE).crop)
    (meeting.folder / "meeting/SPEAKER_00.wav").unlink()
    code, _, err = meeting.run("split", "meeting.json", "SPEAKER_00")
    assert (code, "neither a track of SPEAKER_00 nor the recording" in err) == (2, True)
    by_voice = voice_split.VoiceSplit((Span(6.0, 8.0),), (1.3, 1.1), 0.31)
    monkeypatch.setattr("meetsplit.console.editing._voices", lambda *_: by_voice)
    code, _, err = meeting.run("split", "meeting.json", "SPEAKER_00")
    assert (code, "alike to 0.31: two people are likelier" in err) == (0, True)
    assert [turn.speaker for turn in meeting.transcript.turns].count("SPEAKER_03") == 1


def test_tracks_that_are_missing_or_changed_by_hand(meeting: Set) -> None:
    (meeting.folder / "meeting/SPEAKER_01.wav").unlink()
    (meeting.folder / "meeting/SPEAKER_02.wav").write_bytes(b"denoised")
    code, _, err = meeting.run("name", "meeting.json", "SPEAKER_01=Bob", "SPEAKER_02=Cem")
    assert (code, "the track of SPEAKER_01 is not beside meeting.json: it is left out" in err) == (0, True)
    assert meeting.tracks() == {"SPEAKER_00.wav", "Cem.wav"}
    assert (meeting.folder / "meeting/Cem.wav").read_bytes() == b"denoised"
    code, _, err = meeting.run("merge", "meeting.json", "SPEAKER_00", "Bob")
    assert (code, "the track of Bob is not beside" in err) == (0, True)
    assert meeting.tracks() == {"Bob.wav", "Cem.wav"}
    before = meeting.files()
    code, _, err = meeting.run("merge", "meeting.json", "Bob", "Cem")
    assert (code, "Cem.wav" in err) == (1, True), "no sound"
    assert meeting.files() == before
    assert not (meeting.folder / "meeting.original-3.json").exists()
    assert not (meeting.folder / "meeting.original-3").exists()


def test_what_was_changed_by_hand_stays_and_what_is_in_the_way_stops_everything(meeting: Set) -> None:
    (meeting.folder / "meeting.txt").write_text("mine")
    (meeting.folder / "meeting" / "Eve.wav").write_bytes(b"another")
    before = meeting.files()
    code, _, err = meeting.run("name", "meeting.json", "SPEAKER_00=Eve")
    assert (code, "nothing was changed" in err, "Eve.wav is there" in err) == (2, True, True)
    assert meeting.files() == before
    assert not list(meeting.folder.glob("*.original*"))
    code, _, err = meeting.run("name", "meeting.json", "SPEAKER_00=Alice")
    assert (code, "meeting.txt was changed by hand and stays as it is" in err) == (0, True)
    assert meeting.text(".txt") == "mine"
    assert "Alice" in meeting.text(".srt")
    assert meeting.run("name", "meeting.json", "SPEAKER_00=Ann", "--overwrite")[0] == 0
    assert "Ann" in meeting.text(".txt")


def test_a_full_disk_changes_nothing(meeting: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    before = meeting.files()

    def fail(*_: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(editing, "compose_track", fail)
    code, _, err = meeting.run("merge", "meeting.json", "SPEAKER_00", "SPEAKER_01")
    assert (code, "the disk is full" in err) == (1, True)
    assert meeting.files() == before
    assert not list(meeting.folder.glob("*.original*"))


def test_a_transcript_alone_is_edited_alone(meeting: Set) -> None:
    alone = meeting.folder / "alone" / "meeting.json"
    alone.parent.mkdir()
    alone.write_bytes(meeting.json.read_bytes())
    assert meeting.run("name", alone, "SPEAKER_00=Alice")[:2] == (0, f"{alone}\n")
    assert meeting.run("undo", alone)[0] == 0
    assert alone.read_bytes() == meeting.json.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("name", "meeting.json", "SPEAKER_07=Bob"), "meeting has no speaker 'SPEAKER_07': "),
        (("name", "meeting.json", "Bob"), "'Bob': write it as SPEAKER_00=Alice"),
        (("name", "meeting.json", "=Bob"), "'=Bob': write it as"),
        (("name", "meeting.json", "SPEAKER_00=SPEAKER_01"), "not the label of a speaker"),
        (("name", "meeting.json", "SPEAKER_00=SPEAKER_09"), "not the label of a speaker"),
        (("name", "meeting.json", "SPEAKER_00=A", "SPEAKER_00=B"), "SPEAKER_00 is given two names, 'A' and 'B'"),
        (("name", "other.wav", "SPEAKER_00=A"), "other.wav: no transcript other.json lies beside it"),
        (("merge", "meeting.json", "SPEAKER_00"), "one speaker cannot be merged with itself"),
        (("merge", "meeting.json", "SPEAKER_00", "Bob"), "has no speaker 'Bob'"),
        (("split", "meeting.json", "Bob", "--at", "3"), "has no speaker 'Bob'"),
        (("split", "meeting.json", "SPEAKER_00", "--at", "soon"), "--at soon: write a time"),
        (("split", "meeting.json", "SPEAKER_00", "--at", "3", "--audio", "a.wav"), "leave it out with --at"),
        (("undo", "meeting.json"), "no edit is left to take back"),
        (("undo", "meeting.json", "--redo"), "no edit was taken back"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(meeting: Set, arguments: tuple[str, ...], sentence: str) -> None:
    before = meeting.files()
    code, out, err = meeting.run(*arguments)
    assert (code, out, sentence in err) == (2, "", True), err
    assert meeting.files() == before


def test_people_are_listed_and_an_edit_without_change_is_none(meeting: Set) -> None:
    _, out, _ = meeting.run("name", "meeting.json")
    assert re.search(r"SPEAKER_02 +– +2\.0 s +meeting/SPEAKER_02\.wav", out)
    code, _, err = meeting.run("name", "meeting.json", "SPEAKER_00=")
    assert (code, "nothing to change" in err) == (0, True)
    assert not list(meeting.folder.glob("*.original*"))


def test_corrections_of_the_page_are_taken_back(meeting: Set) -> None:
    before = meeting.files()
    corrected = TRANSCRIPT.rename({ANN: "Alice"}).merge(ANN, CEM)
    text = formats.export(corrected, "json", Outputs())
    (meeting.folder / "meeting.corrected.json").write_text(text, "utf-8")
    meeting.run("review", "meeting.json", "--no-open", "--take", "meeting.corrected.json", "--html-audio", "none")
    assert meeting.tracks() == {"Alice.wav", "SPEAKER_01.wav"}
    assert meeting.run("undo", "meeting.json")[0] == 0
    assert meeting.files() == before


def test_parts_of_tracks() -> None:
    def parts(old: str, new: str) -> dict[str, list[TrackPart]]:
        def turns(text: str) -> list[Turn]:
            return [Turn(Span(at, at + 1), who) for at, whos in enumerate(text.split()) for who in whos if who != "-"]

        return track_parts(turns(old), turns(new))

    everything = {who: [TrackPart(who)] for who in "AB"}
    assert parts("A AB B", "A AB B") == everything
    assert parts("A AB B", "A A A") == {"A": [TrackPart("A"), TrackPart("B")]}
    assert parts("A - A B", "A - D B") == {
        "A": [TrackPart("A", (Span(0, 1.5),))], "D": [TrackPart("A", (Span(1.5, 1e9),))], "B": [TrackPart("B")]
    }  # fmt: skip
    assert parts("A - - B A", "B - - B A") == {
        "B": [TrackPart("A", (Span(0, 2.5),)), TrackPart("B")], "A": [TrackPart("A", (Span(2.5, 1e9),))]
    }  # fmt: skip


def test_a_track_of_tracks_with_other_rates_and_channels(tmp_path: Path, call: Any) -> None:
    tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(48000) / 48000)).astype("<i2")
    call.write_pcm(tmp_path / "a.wav", [tone, tone], 48000)
    call.write_pcm(tmp_path / "b.wav", [tone[::3]], 16000)
    editing.compose_track(
        [(tmp_path / "a.wav", (Span(0.25, 0.5),)), (tmp_path / "b.wav", None)], tmp_path / "both.flac"
    )
    both = read(tmp_path / "both.flac", 48000).samples
    assert len(both) == 48000
    assert np.abs(both[12000:24000] - 2 * tone[12000:24000] / 32768).max() < 0.01
    assert np.abs(both[26000:46000] - tone[26000:46000] / 32768).max() < 0.01
