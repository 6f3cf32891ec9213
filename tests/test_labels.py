"""Labels keep their meaning: an RTTM's SPEAKER_01 is SPEAKER_01 in the text, in the tracks and for --name."""

from __future__ import annotations

import unicodedata
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.channels.activity import diarize_channels
from meetsplit.pipeline.data import Audio, Span, Turn, labels
from meetsplit.pipeline.diarizers.rttm import RttmDiarizer, read_rttm
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import Event, Notice, Progressed, ignore_events
from meetsplit.pipeline.formats import read_transcript
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings

RATE = 16000
SILENCE = Audio(np.zeros(RATE * 10, np.float32), RATE)
NAMES = st.one_of(
    st.sampled_from(["Ann", "Bob", "speaker_01", "SPEAKER_1", "SPEAKER_x", "SPEAKER_" + "9" * 300]),
    st.integers(0, 12).map(labels.label),
    st.sampled_from(["SPEAKER_001", "SPEAKER_100"]),
)


def rttm(path: Path, *turns: tuple[float, float, str], recording: str = "call") -> Path:
    path.write_text(
        "".join(
            f"SPEAKER {recording} 1 {start} {length} <NA> <NA> {speaker} <NA> <NA>\n"
            for start, length, speaker in turns
        ),
        "utf-8",
    )
    return path


@given(st.lists(NAMES, max_size=12))
def test_labels_are_unique_and_names_that_are_labels_keep_theirs(names: list[str]) -> None:
    assigned = labels.assign_labels(names)
    assert len(set(assigned)) == len(assigned) == len(names)
    assert all(labels.is_label(label) for label in assigned)
    assert {name for name in names if labels.is_label(name)} <= set(assigned)
    assert all(assigned[names.index(name)] == name for name in names if labels.is_label(name))
    shown = dict(labels.person_names(dict(zip(assigned, names, strict=True))))
    assert not any(labels.is_label(name) for name in shown.values())


def test_names_without_numbers_are_numbered_in_order() -> None:
    assert labels.assign_labels(["Bob", "Ann", "Cy"]) == ("SPEAKER_00", "SPEAKER_01", "SPEAKER_02")
    assert labels.assign_labels(["Bob", "SPEAKER_01", "Ann"]) == ("SPEAKER_00", "SPEAKER_01", "SPEAKER_02")


def test_labels_of_an_rttm_keep_their_numbers(tmp_path: Path) -> None:
    path = rttm(tmp_path / "call.rttm", (0, 1, "SPEAKER_01"), (1, 1, "SPEAKER_00"), (2, 1, "Ann"), (3, 1, "SPEAKER_07"))
    diarizer = RttmDiarizer(path)
    turns = diarizer.diarize(SILENCE, ignore_events)
    assert [turn.speaker for turn in turns] == ["SPEAKER_01", "SPEAKER_00", "SPEAKER_02", "SPEAKER_07"]
    assert diarizer.names == (("SPEAKER_02", "Ann"),)


def test_a_label_means_one_person_in_text_tracks_and_names(tmp_path: Path) -> None:
    tones = [0.3 * np.sin(2 * np.pi * pitch * np.arange(3 * RATE) / RATE) for pitch in (150, 400)]
    call = tmp_path / "call.wav"
    with wave.open(str(call), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.concatenate(tones) * 32767).astype("<i2").tobytes())
    rttm(tmp_path / "call.rttm", (0, 3, "SPEAKER_01"), (3, 3, "SPEAKER_00"))
    (tmp_path / "call.ctm").write_text("call 1 1 0.5 first\ncall 1 4 0.5 second\n")
    settings = Settings(
        rttm=tmp_path / "call.rttm",
        script=tmp_path / "call.ctm",
        separate="off",
        device="cpu",
        cache_dir=tmp_path / "cache",
    )
    outputs = Outputs(
        tmp_path / "out", formats=("json", "txt", "csv"), names=(("SPEAKER_01", "Alice"), ("SPEAKER_09", "Bob"))
    )
    events: list[Event] = []
    with run_cache.open_cache(call, settings, keep=False) as stage_cache:
        run_and_write(
            Pipeline(settings, on_event=events.append), call, outputs, cache=stage_cache, on_event=events.append
        )
    transcript = read_transcript((tmp_path / "out" / "call.json").read_text("utf-8"))
    assert [(segment.speaker, segment.text) for segment in transcript.segments] == [
        ("SPEAKER_01", "first"),
        ("SPEAKER_00", "second"),
    ]
    assert transcript.names == (("SPEAKER_01", "Alice"),)
    assert (tmp_path / "out" / "call.txt").read_text(
        "utf-8"
    ) == "[00:00:01] Alice: first\n\n[00:00:04] SPEAKER_00: second\n"
    with wave.open(str(tmp_path / "out" / "call" / "Alice.wav")) as track:
        samples = np.frombuffer(track.readframes(track.getnframes()), "<i2")
    assert np.abs(samples[: 2 * RATE]).max() > 5000, "Alice speaks first"
    assert not samples[4 * RATE :].any()
    done = [event.done for event in events if isinstance(event, Progressed) and event.stage == "write"]
    assert done == sorted(done)
    assert done[-4:] == [2, 3, 4, 5], "two tracks, three formats"
    assert any(
        "SPEAKER_09=Bob is not used: call has no SPEAKER_09" in event.text
        for event in events
        if isinstance(event, Notice)
    )


def test_channels_named_like_labels_keep_them() -> None:
    silence, speech = (
        np.zeros(2 * RATE, np.float32),
        0.3 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32),
    )
    quiet = 1e-5 * np.random.default_rng(1).standard_normal(8 * RATE).astype(np.float32)
    first = Audio(quiet + np.concatenate([silence, speech, silence, silence]), RATE)
    second = Audio(quiet + np.concatenate([silence, silence, silence, speech]), RATE)
    diarization = diarize_channels((first, second), ("SPEAKER_01", "SPEAKER_00"))
    assert diarization.channels == (("SPEAKER_01", 0), ("SPEAKER_00", 1))
    assert diarization.names == ()
    assert diarization.turns[0].speaker == "SPEAKER_01"
    assert diarize_channels((first, second), ("ann", "SPEAKER_00")).names == (("SPEAKER_01", "ann"),)
    assert diarize_channels((first, second)).channels == (("SPEAKER_00", 0), ("SPEAKER_01", 1))


@pytest.mark.parametrize(
    ("inside", "recording"),
    [
        (unicodedata.normalize("NFC", "Büro"), unicodedata.normalize("NFD", "Büro")),
        (unicodedata.normalize("NFD", "Büro"), unicodedata.normalize("NFC", "Büro")),
        ("Weekly_call", "Weekly call"),
        ("call", "call"),
    ],
)
def test_a_recording_is_found_however_its_name_is_written(tmp_path: Path, inside: str, recording: str) -> None:
    path = tmp_path / "two.rttm"
    path.write_text(
        f"SPEAKER {inside} 1 0 2 <NA> <NA> A <NA> <NA>\nSPEAKER other 1 0 1 <NA> <NA> B <NA> <NA>\n",
        "utf-8",
    )
    assert read_rttm(path, recording) == (Turn(Span(0.0, 2.0), "A"),)


def test_a_name_that_could_be_two_recordings_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "two.rttm"
    lines = [f"SPEAKER {unicodedata.normalize(form, 'Büro')} 1 0 1 <NA> <NA> A <NA> <NA>\n" for form in ("NFC", "NFD")]
    path.write_text("".join(lines) + "SPEAKER ;Büro 1 0 1 <NA> <NA> A <NA> <NA>\n", "utf-8")
    assert read_rttm(path, unicodedata.normalize("NFC", "Büro")), "the very same letters"
    with pytest.raises(SettingsError, match="is about 3 recordings"):
        read_rttm(path, ";;Büro")
