"""Names of tracks: like the people's, safe on every disk, never twice, never over the user's files."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.jobs.discovery import Patterns, search
from meetsplit.jobs.job import JobSpec
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.channels.recording import together
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.results.ownership import result_request
from meetsplit.pipeline.results.stems import fold_name
from meetsplit.pipeline.results.track_names import TRACK_SUFFIXES, track_stems
from meetsplit.pipeline.results.writing import WrittenResults, export_transcript, run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Alice", "Alice"),
        (" Dr. Jürgen Groß ", "Dr. Jürgen Groß"),
        ("Anna/Ben", "Anna_Ben"),
        ("..\\..\\windows", "_.._windows"),
        ('a: b? <c> | "d" *', "a_ b_ _c_ _ _d_ _"),
        ("..", "SPEAKER_00"),
        ("   ", "SPEAKER_00"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("a\tb\x1b[2J\u202ec\ud800", "a_b_[2J_c_"),
        ("", "SPEAKER_00"),
        ("n" * 250, "n" * 250),
        ("山田 太郎", "山田 太郎"),
    ],
)
def test_a_name_is_safe_on_every_disk(name: str, stem: str) -> None:
    assert track_stems(["SPEAKER_00"], {"SPEAKER_00": name}) == {"SPEAKER_00": stem}


@pytest.mark.parametrize("name", ["n" * 251, "ü" * 200, "😀" * 90])
def test_a_long_name_leaves_room_for_every_suffix(name: str) -> None:
    stems = track_stems(["SPEAKER_00", "SPEAKER_01"], {"SPEAKER_00": name, "SPEAKER_01": name + "!"}, 255)
    assert len(set(stems.values())) == 2
    for stem in stems.values():
        assert max(len(f"{stem}{suffix}".encode()) for suffix in TRACK_SUFFIXES) <= 255
        assert stem.startswith(name[:40])


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        ({"SPEAKER_00": "Alice", "SPEAKER_01": "Alice"}, ["Alice", "Alice-2", "SPEAKER_02"]),
        ({"SPEAKER_01": "ALICE", "SPEAKER_02": "alice"}, ["SPEAKER_00", "ALICE", "alice-2"]),
        ({"SPEAKER_00": "Zoé", "SPEAKER_01": unicodedata.normalize("NFD", "Zoé")}, ["Zoé", "Zoé-2", "SPEAKER_02"]),
        ({"SPEAKER_00": "a/b", "SPEAKER_01": "a:b", "SPEAKER_02": "a_b-2"}, ["a_b", "a_b-2", "a_b-2-2"]),
        ({"SPEAKER_00": "SPEAKER_02"}, ["SPEAKER_02-2", "SPEAKER_01", "SPEAKER_02"]),
    ],
)
def test_no_two_tracks_have_one_name(names: Mapping[str, str], stems: list[str]) -> None:
    found = track_stems(["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"], names)
    assert [unicodedata.normalize("NFC", found[f"SPEAKER_0{number}"]) for number in range(3)] == stems


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=8) | st.sampled_from(["Al", "al", "Al-2", "con", ".", "a/b"]), max_size=8))
def test_any_names(names: list[str]) -> None:
    by_label = {f"SPEAKER_{number:02d}": name for number, name in enumerate(names)}
    stems = track_stems(by_label, by_label)
    assert stems.keys() == by_label.keys()
    assert len({fold_name(stem) for stem in stems.values()}) == len(names)
    for stem in stems.values():
        assert stem.strip(". ")
        assert not stem.startswith(".")
        assert not set(stem) & set('/\\<>:"|?*\0')


def write(call: Any, **changes: Any) -> tuple[WrittenResults, list[str]]:
    """Run the call and write its results; also the stages that were done."""
    stages: list[str] = []

    def on_event(event: Any) -> None:
        if type(event).__name__ == "Started":
            stages.append(event.stage)

    with run_cache.open_cache(call.path, call.settings) as stage_cache:
        outputs = Outputs(call.out, formats=("json", "txt"), **changes)
        pipeline = Pipeline(call.settings, on_event=on_event)
        return run_and_write(pipeline, call.path, outputs, cache=stage_cache, on_event=ignore_events), stages


def test_tracks_are_called_like_the_people_and_renamed_by_running_again(call: Any) -> None:
    written, _ = write(call, names=(("SPEAKER_00", "Alice"),))
    assert {who: path.name for who, path in written.tracks.items()} == {
        "SPEAKER_00": "Alice.wav",
        "SPEAKER_01": "B.wav",
    }
    assert call.results().keys() == {"call.json", "call.txt", "call/Alice.wav", "call/B.wav"}
    sound = call.results()["call/Alice.wav"]
    _, stages = write(call, names=(("SPEAKER_00", "Al/ice"), ("SPEAKER_01", "al_ice")))
    assert stages == [], "every stage is in the cache"
    assert call.results().keys() == {"call.json", "call.txt", "call/Al_ice.wav", "call/al_ice-2.wav"}
    assert call.results()["call/Al_ice.wav"] == sound
    export_transcript(call.out / "call.json", call.out, Outputs(formats=("srt",), names=(("SPEAKER_00", "Eve"),)))
    assert call.results().keys() == {"call.json", "call.txt", "call.srt", "call/Al_ice.wav", "call/al_ice-2.wav"}


@pytest.mark.parametrize("name", ["call/Alice.wav", "call/B.wav"])
def test_a_track_never_replaces_a_file_of_the_same_name(call: Any, name: str) -> None:
    """Not where the name is known before the work, nor where it comes with the turns."""
    (call.out / name).parent.mkdir(parents=True)
    (call.out / name).write_text("my own recording")
    written, _ = write(call, names=(("SPEAKER_00", "Alice"),))
    assert call.results()[name] == b"my own recording"
    assert call.results().keys() == {name, "call-2.json", "call-2.txt", "call-2/Alice.wav", "call-2/B.wav"}
    assert written.placement.stem == "call-2"
    assert f"{call.out / name} is there" in str(written.placement.reason)
    assert written.tracks["SPEAKER_01"] == call.out / "call-2" / "B.wav"


def test_a_track_corrected_by_hand_stays(call: Any) -> None:
    write(call)
    (call.out / "call" / "A.wav").write_bytes(b"denoised")
    written, _ = write(call)
    assert call.results()["call/A.wav"] == b"denoised"
    assert written.placement.stem == "call-2"


def test_names_of_tracks_that_are_known_before_the_work(call: Any) -> None:
    outputs = Outputs(call.out, names=(("SPEAKER_00", "Al:ice"),), track_format="flac")
    assert result_request(call.path, outputs).track_names == ("Al_ice.flac",)
    meeting = together("talk", [call.path, f"{call.path}@1"])
    assert set(result_request(meeting, outputs).track_names) == {"call.flac", "Al_ice.flac"}


def test_tracks_are_no_recordings(call: Any) -> None:
    """A folder that is searched for recordings gives none of them back, wherever results lie; but the user's own."""
    write(call, names=(("SPEAKER_00", "Alice"),))
    (call.out / "call" / "Carol.wav").write_bytes(call.path.read_bytes())
    found = [
        path.path.relative_to(call.out.parent).as_posix() for path in search([call.out.parent], Patterns()).recordings
    ]
    assert found == ["call.wav", "out/call/Carol.wav"]


def test_options_of_tracks() -> None:
    assert Outputs().track_rate == "source"
    assert Outputs(track_rate="48000").track_rate == Outputs(track_rate=48000).track_rate == 48000
    for wrong in ("48k", "0", "-1", "1e4", "1000000", "²"):
        with pytest.raises(SettingsError, match=r"--track-rate .*: source, or a number of Hz from 8000 to 192000"):
            Outputs(track_rate=wrong)
    with pytest.raises(SettingsError, match="--track-channels stereo"):
        Outputs(track_channels="stereo")  # type: ignore[arg-type]


def test_a_jobs_key_is_what_it_was_unless_new_options_are_set() -> None:
    def key(**options: Any) -> str:
        outputs = Outputs(Path("/out"), **options)
        return JobSpec(Path("/in/call.wav"), "c0ffee", Settings(), outputs, Path("/out"), "call").key

    assert key() == "d79c29956a53478f", "as before there were such options"
    assert key(track_rate=48000) != key(track_channels="mono") != key()
