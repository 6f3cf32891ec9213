"""One subtitle file per speaker: in the folder of the tracks, called like them, part of the recording's result set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import KnownCall

from meetsplit.console.options import resolve_settings
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Word
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.formats import export, names, speaker_formats, suffixes_of
from meetsplit.pipeline.results.writing import export_transcript, run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import DEFAULT_FORMATS, PER_SPEAKER_FORMATS, Outputs

PEOPLE = ("Ann/Ben", "..", "ann_ben", "CON", "Dr. Ø (chair)")


def meeting(*people: str) -> Transcript:
    labels = [f"SPEAKER_{number:02d}" for number in range(len(people))]
    segments = tuple(
        Segment(label, (Word(Span(number, number + 0.9), f"word{number}"),)) for number, label in enumerate(labels)
    )
    return Transcript("call", 20.0, segments, (), Provenance("0"), tuple(zip(labels, people, strict=True)))


def exported(folder: Path, transcript: Transcript, *formats: str) -> set[str]:
    (folder / "call.json").write_text(export(transcript, "json", Outputs()), "utf-8")
    written = export_transcript(folder / "call.json", folder, Outputs(folder, formats=formats)).files
    return {path.relative_to(folder).as_posix() for path in written}


def test_files_are_called_like_people_whatever_their_names(tmp_path: Path) -> None:
    written = exported(tmp_path, meeting(*PEOPLE), "srt-per-speaker", "srt")
    own = sorted(written - {"call.srt"})
    assert own == [
        "call/Ann_Ben.srt",
        "call/Dr. Ø (chair).srt",
        "call/SPEAKER_01.srt",
        "call/_CON.srt",
        "call/ann_ben-2.srt",
    ]
    assert (tmp_path / "call/Ann_Ben.srt").read_text() == "1\n00:00:00,000 --> 00:00:01,000\nword0\n"
    assert (tmp_path / "call/ann_ben-2.srt").read_text() == "1\n00:00:02,000 --> 00:00:03,000\nword2\n"
    manifest = json.loads((tmp_path / ".meetsplit/call.json").read_text())
    assert manifest["files"].keys() == written


def test_new_names_take_the_place_of_old_ones_and_foreign_files_stay(tmp_path: Path) -> None:
    exported(tmp_path, meeting("Ann", "Bo"), "srt-per-speaker")
    assert exported(tmp_path, meeting("Ann", "Chloé"), "srt-per-speaker") == {"call/Ann.srt", "call/Chloé.srt"}
    assert sorted(path.name for path in (tmp_path / "call").iterdir()) == ["Ann.srt", "Chloé.srt"]
    (tmp_path / "call/Ann.srt").write_text("corrected by hand")
    assert exported(tmp_path, meeting("Ann", "Chloé"), "srt-per-speaker") == {"call-2/Ann.srt", "call-2/Chloé.srt"}
    assert (tmp_path / "call/Ann.srt").read_text() == "corrected by hand"
    saved = meeting("Ann", "Bo").save(tmp_path / "saved", "srt-per-speaker")
    assert [path.name for path in saved] == ["Ann.srt", "Bo.srt"]


def test_tracks_and_subtitles_of_one_recording_stay_together(call: KnownCall) -> None:
    """Each keeps its place where only the other is written anew."""

    def run(**outputs: object) -> set[str]:
        with run_cache.open_cache(call.path, call.settings) as cache:
            wanted = Outputs(call.out, **outputs)  # type: ignore[arg-type]
            pipeline = Pipeline(call.settings)
            run_and_write(pipeline, call.path, wanted, cache=cache, on_event=lambda event: None)
        return set(call.results())

    formats = ("json", "srt-per-speaker")
    everything = run(formats=formats)
    folder = {name.rpartition(".")[2] for name in everything if "/" in name}
    assert folder == {"wav", "srt"}
    assert {f"call/{name}{suffix}" for name in "AB" for suffix in (".srt", ".wav")} < everything
    assert run(formats=formats, tracks=False) == everything
    assert run(formats=("json",)) == everything


def test_the_format_is_asked_for_by_name() -> None:
    assert [one.suffix for one in speaker_formats(PER_SPEAKER_FORMATS)] == [".srt"]
    assert resolve_settings({"output_format": "all"}, names())[1].formats == DEFAULT_FORMATS
    assert resolve_settings({"output_format": "srt-per-speaker,all"}, names())[1].formats == (
        "srt-per-speaker", *DEFAULT_FORMATS,
    )  # fmt: skip
    with pytest.raises(SettingsError, match="did you mean 'srt-per-speaker'"):
        resolve_settings({"output_format": "srt-per-speakers"}, names())
    with pytest.raises(SettingsError, match="a file per speaker"):
        export(meeting("Ann"), "srt-per-speaker", Outputs())
    assert suffixes_of(("srt-per-speaker", "vtt")) == (".vtt",)
    assert dataclasses.replace(Outputs(), formats=PER_SPEAKER_FORMATS).formats == PER_SPEAKER_FORMATS
