"""`Transcript` as a person holds it: shown, saved, read, renamed, merged, as tables."""

from __future__ import annotations

import dataclasses
import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest

import meetsplit
from meetsplit import Outputs, Segment, Span, Transcript, Turn, Word, read_transcript, talk_time, to_annotation
from meetsplit.pipeline.data import Provenance
from meetsplit.pipeline.data.notebook import ROWS
from meetsplit.pipeline.errors import AudioError, SettingsError


def segment(speaker: str, start: float, *words: str, overlap: bool = False, margin: float | None = None) -> Segment:
    spans = (Span(start + at, start + at + 0.5) for at in range(len(words)))
    timed = tuple(Word(span, text, 0.5) for span, text in zip(spans, words, strict=True))
    return Segment(speaker, timed, "en", "separated" if margin else "mixture", overlap, margin, ())


@pytest.fixture
def meeting() -> Transcript:
    segments = (
        segment("SPEAKER_00", 0.0, "good", "morning"),
        segment("SPEAKER_01", 1.2, "hi", overlap=True, margin=0.25),
        segment("SPEAKER_02", 3.0, "shall", "we", "start?"),
    )
    turns = (
        Turn(Span(0, 2), "SPEAKER_00"),
        Turn(Span(1, 1.9), "SPEAKER_01"),
        Turn(Span(3, 6), "SPEAKER_02"),
    )
    return Transcript("call", 3725.0, segments, turns, Provenance("test"), (("SPEAKER_00", "Anna"),))


def test_it_is_shown_in_one_line(meeting: Transcript) -> None:
    assert repr(meeting) == "<Transcript 'call': 1:02:05, 3 speakers, 3 segments, 6 words>"
    assert repr(meeting.segments[0]) == "<Segment 0.00–1.50 s, SPEAKER_00: 'good morning'>"
    assert max(len(repr(segment("SPEAKER_00", 0.0, *["word"] * 99))), 0) < 120


def test_it_is_a_table_in_a_notebook(meeting: Transcript) -> None:
    hostile = "<script>alert('x')</script>"
    renamed = meeting.rename({"SPEAKER_01": hostile})
    html = renamed._repr_html_()
    assert "<script" not in html
    assert escape(hostile) in html
    assert html.count("<tr>") == 1 + 3
    assert "1:02:05, 3 speakers, 3 segments, 6 words" in html
    assert len(set(re.findall(r"solid (#\w+)", html))) == 3, "a colour per person"
    assert ">overlap<" in html
    many = dataclasses.replace(meeting, segments=meeting.segments * 100)
    assert many._repr_html_().count("<tr>") == 1 + ROWS
    assert f"… and {300 - ROWS} more segments" in many._repr_html_()
    assert len(many._repr_html_()) < 20_000


def test_times_are_at_hand(meeting: Transcript) -> None:
    for value in (meeting.segments[0], meeting.segments[0].words[0], meeting.turns[0]):
        assert (value.start, value.end, value.duration) == (value.span.start, value.span.end, value.span.duration)


def test_people_are_renamed_by_label_and_by_name(meeting: Transcript) -> None:
    renamed = meeting.rename({"Anna": "Susan", "SPEAKER_02": " Raj  Patel "})
    assert dict(renamed.names) == {"SPEAKER_00": "Susan", "SPEAKER_02": "Raj Patel"}
    assert renamed.segments == meeting.segments
    assert dict(renamed.rename({"Susan": "SPEAKER_00"}).names) == {"SPEAKER_02": "Raj Patel"}, "its label: no name"
    for wrong, message in (
        ({"SPEAKER_07": "Bob"}, "has no speaker 'SPEAKER_07'"),
        ({"Ana": "Bob"}, "did you mean 'Anna'"),
        ({"SPEAKER_00": " "}, "a name is needed"),
        ({"SPEAKER_00": "SPEAKER_01"}, "not the label of a speaker"),
    ):
        with pytest.raises(SettingsError, match=message):
            meeting.rename(wrong)
    twins = meeting.rename({"SPEAKER_01": "Anna"})
    with pytest.raises(SettingsError, match="the name of SPEAKER_00 and SPEAKER_01"):
        twins.rename({"Anna": "Bob"})


def test_speakers_that_are_one_person_are_merged(meeting: Transcript) -> None:
    merged = meeting.merge("Anna", "SPEAKER_02")
    assert merged.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert [turn.speaker for turn in merged.turns] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
    words = [[word for s in one.segments for word in s.words] for one in (merged, meeting)]
    assert sorted(words[0]) == sorted(words[1])
    assert dict(merged.names) == {"SPEAKER_00": "Anna"}
    everybody = meeting.merge("SPEAKER_01", "SPEAKER_00", "SPEAKER_02")
    assert [s.text for s in everybody.segments] == ["good morning hi", "shall we start?"]
    assert not any(s.overlap for s in everybody.segments), "nobody else speaks"
    assert everybody.segments[0].margin == 0.25
    with pytest.raises(SettingsError, match="did you mean 'SPEAKER_02'"):
        meeting.merge("SPEAKER_01", "SPEAKER02")


def test_tables_have_the_same_types_whatever_is_in_them(meeting: Transcript) -> None:
    empty = dataclasses.replace(meeting, segments=())
    tables = ((t.to_dataframe(), t.words_dataframe()) for t in (meeting, empty))
    for table, none in zip(*tables, strict=True):
        assert table.dtypes.equals(none.dtypes)
        assert not any(kind == object for kind in table.dtypes)  # noqa: E721 - NumPy's type of anything
    table = meeting.to_dataframe()
    assert np.isnan(table.margin[0])
    assert table.margin[1] == 0.25
    unknown = dataclasses.replace(meeting, segments=(dataclasses.replace(meeting.segments[0], language=None),))
    assert unknown.to_dataframe().language.isna().all()
    words = meeting.words_dataframe()
    assert list(words.word) == ["good", "morning", "hi", "shall", "we", "start?"]
    assert list(words.segment) == [0, 0, 1, 2, 2, 2]
    assert list(words.name)[:3] == ["Anna", "Anna", "SPEAKER_01"]


def test_turns_go_to_pyannote_under_the_recordings_name(meeting: Transcript) -> None:
    assert to_annotation(meeting).uri == "call"
    assert (to_annotation(meeting.turns).uri, to_annotation(meeting, "x").uri) == ("recording", "x")
    assert to_annotation(meeting) == to_annotation(meeting.turns)
    assert list(talk_time(meeting).seconds) == [2.0, 0.9, 3.0]


def test_what_is_saved_is_read_back(meeting: Transcript, tmp_path: Path) -> None:
    written = meeting.save(tmp_path / "out", ["json", "srt"])
    assert written == (tmp_path / "out" / "call.json", tmp_path / "out" / "call.srt")
    assert Transcript.read(written[0]) == Transcript.read(str(written[0])) == meeting
    assert len(meeting.save(tmp_path / "all")) == len(Outputs().formats)
    narrow = meeting.save(tmp_path / "out", "srt", outputs=Outputs(names=(("SPEAKER_01", "Bo"),), max_line_width=10))
    assert "Bo" in narrow[0].read_text()


def test_a_corrected_transcript_replaces_itself_and_nothing_else(
    meeting: Transcript, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meeting.save(tmp_path, "json,srt")
    corrected = Transcript.read(tmp_path / "call.json").rename({"Anna": "Susan"}).merge("SPEAKER_01", "SPEAKER_02")
    assert corrected.save(tmp_path, "srt,json") == (tmp_path / "call.srt", tmp_path / "call.json")
    assert Transcript.read(tmp_path / "call.json") == corrected
    assert not caplog.records
    other = dataclasses.replace(meeting, turns=meeting.turns[:2])
    assert other.save(tmp_path, "srt") == (tmp_path / "call-2.srt",)
    assert "call is saved as call-2.*: call.* are the results of an earlier recording" in caplog.text
    (tmp_path / "call.srt").write_text("by hand")
    assert corrected.save(tmp_path, "srt") != (tmp_path / "call.srt",)
    assert (tmp_path / "call.srt").read_text() == "by hand"
    assert corrected.save(tmp_path, "srt", outputs=Outputs(overwrite=True)) == (tmp_path / "call.srt",)


def test_it_keeps_its_name_inside_where_its_files_get_another(meeting: Transcript, tmp_path: Path) -> None:
    (tmp_path / "call.json").write_text("{}")
    (written,) = meeting.save(tmp_path, "json")
    assert (written.name, json.loads(written.read_text())["recording"]) == ("call-2.json", "call")


def test_mistakes_are_said_before_anything_is_written(meeting: Transcript, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'srt'"):
        meeting.save(tmp_path / "out", "srr")
    assert not (tmp_path / "out").exists()
    (path,) = meeting.save(tmp_path, "json")
    with pytest.raises(SettingsError, match=r"takes the path of a file, not its text: use read_transcript"):
        Transcript.read(path.read_text())
    with pytest.raises(AudioError, match=r"missing\.json: cannot be read as a transcript: No such file"):
        Transcript.read(tmp_path / "missing.json")
    for wrong in (str(path), path):
        with pytest.raises(SettingsError, match=r"takes the text of a file; Transcript\.read"):
            read_transcript(wrong)  # type: ignore[arg-type]


def test_every_public_name_is_there() -> None:
    assert all(getattr(meetsplit, name) is not None for name in meetsplit.__all__)
    assert meetsplit.events.Notice.__module__ == "meetsplit.pipeline.events"
