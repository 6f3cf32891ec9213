"""Inputs that change during a run: nothing is cached under the checksum of their former content."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.jobs.job import JobSpec
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.steps import StepRunner
from meetsplit.pipeline.audio import reading
from meetsplit.pipeline.audio.content import BLOCK, VerifiedFile, hash_content
from meetsplit.pipeline.cache.content import hash_recording, recording_sha256
from meetsplit.pipeline.channels.recording import MultiFileRecording, SpeakerFile
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.events import Event, Finished, Notice, Started
from meetsplit.pipeline.run import STAGES, Pipeline
from meetsplit.pipeline.settings import Outputs

SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"
CHANGED = "has changed while it was being read; run again"


def overwrite(path: Path) -> None:
    """The second half becomes zeros, in place, with the times that the file had."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        file.write(bytes(status.st_size - status.st_size // 2))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes())
    overwrite(other)
    other.replace(path)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change_at(moment: Callable[[Event], bool], path: Path, change: Callable[[Path], None]) -> Callable[[Event], None]:
    """A listener that changes the file once, at that moment."""
    pending = [change]

    def listen(event: Event) -> None:
        if pending and moment(event):
            pending.pop()(path)

    return listen


def starting(stage: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Started) and event.stage == stage


def nothing_cached(call: Any) -> bool:
    return not [*call.cache.rglob("*.json"), *call.cache.rglob("*.wav"), *call.results()]


@pytest.mark.parametrize("change", [overwrite, replace, truncate])
def test_a_recording_that_changes_at_decode_and_is_put_back(call: Any, change: Callable[[Path], None]) -> None:
    whole = call.path.read_bytes()
    call.hear = change_at(starting("decode"), call.path, change)
    with pytest.raises(AudioError, match=CHANGED):
        call.run()
    assert nothing_cached(call)
    call.path.write_bytes(whole)
    assert call.run()[0][0] == "decode"
    first_results, call.out, call.cache = call.results(), call.out / "again", call.cache / "again"
    call.run()
    assert call.results() == first_results


def test_a_recording_that_is_put_back_before_decoding_ends(tmp_path: Path) -> None:
    """What a checksum before and one after cannot see."""
    path = tmp_path / "long.bin"
    path.write_bytes(np.random.default_rng(0).bytes(3 * BLOCK))
    whole = path.read_bytes()
    with path.open("rb", buffering=0) as file:
        content = hash_content(file)
        reader = VerifiedFile(file, path, content)
        assert reader.read() == whole[:BLOCK]
        path.write_bytes(whole[:BLOCK] + bytes(BLOCK) + whole[2 * BLOCK :])
        assert reader.read() == b""
        path.write_bytes(whole)
        assert reader.read() == b"", "nothing more comes after a failure"
        with pytest.raises(AudioError, match=CHANGED):
            reader.check()


def test_a_recording_that_grows_is_read_as_far_as_it_was_hashed(call: Any) -> None:
    expected = reading.read(call.path)
    content = hash_recording(call.path).files[call.path]
    with call.path.open("ab") as file:
        file.write(bytes(5 * BLOCK))
    found = reading.read(call.path, content=content)
    assert np.array_equal(found.samples, expected.samples)


def test_a_changing_file_is_not_noticed_as_incomplete(call: Any) -> None:
    notices: list[Event] = []
    content = hash_recording(call.path).files[call.path]
    truncate(call.path)
    with pytest.raises(AudioError, match=CHANGED):
        reading.read(call.path, content=content, on_event=notices.append)
    assert [event for event in notices if isinstance(event, Notice)] == []


def test_a_verified_file_reads_the_same(call: Any) -> None:
    for path in (SAMPLE, call.path):
        with path.open("rb", buffering=0) as file:
            content = hash_content(file)
        assert reading.probe(path, content) == reading.probe(path)
        assert np.array_equal(reading.read(path, content=content).samples, reading.read(path).samples)
        assert content.sha256 == recording_sha256(path)


def test_a_signal_inside_the_reader_is_not_lost(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's callback would print it and go on."""

    def interrupted(self: VerifiedFile, block: int) -> bytes:
        raise KeyboardInterrupt

    content = hash_recording(call.path).files[call.path]
    monkeypatch.setattr(VerifiedFile, "_read_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reading.read(call.path, content=content)


@pytest.fixture
def split_call(call: Any, tmp_path: Path) -> Any:
    """The call with a channel per speaker, and as two files."""
    seconds = np.arange(6 * 16000) / 16000
    channels = [
        np.round(9000 * np.sin(2 * np.pi * pitch * seconds) * (seconds % 2 < 1)).astype("<i2") for pitch in (150, 220)
    ]
    channels[1] = np.roll(channels[1], 16000)
    write = call.write_pcm
    write(tmp_path / "both.wav", channels)
    write(tmp_path / "anna.wav", channels[:1])
    write(tmp_path / "ben.wav", channels[1:])
    call.options = {"channels": "split"}
    return call


def test_channels_of_a_recording_that_changes(split_call: Any, tmp_path: Path) -> None:
    """It is read once per channel: it changes before the second."""
    both = tmp_path / "both.wav"
    whole = both.read_bytes()
    openings = itertools.count()

    def change(path: Path, *args: Any, real: Callable[..., Any] = reading.open_container, **more: Any) -> Any:
        if next(openings) == 2:  # the number of channels, the first channel, the second
            overwrite(path)
        return real(path, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "open_container", change)
        with pytest.raises(AudioError, match=CHANGED):
            split_call.run(both)
    assert nothing_cached(split_call)
    both.write_bytes(whole)
    assert split_call.run(both)[0][0] == "decode"


def test_a_file_of_several_that_changes(split_call: Any, tmp_path: Path) -> None:
    ben = tmp_path / "ben.wav"
    meeting = MultiFileRecording("meeting", (SpeakerFile(tmp_path / "anna.wav"), SpeakerFile(ben, 0.5)))
    whole = ben.read_bytes()
    split_call.hear = change_at(starting("decode"), ben, overwrite)
    with pytest.raises(AudioError, match=rf"ben\.wav: {CHANGED}"):
        split_call.run(meeting)
    assert nothing_cached(split_call)
    ben.write_bytes(whole)
    assert split_call.run(meeting)[0][0] == "decode"


def test_turns_that_change_while_they_are_needed(call: Any) -> None:
    before = call.rttm.read_bytes()
    call.hear = change_at(
        starting("diarize"), call.rttm, lambda path: path.write_text("SPEAKER x 1 0 6 <NA> <NA> C <NA> <NA>\n")
    )
    with pytest.raises(SettingsError, match=r"call\.rttm: has changed while it was being used"):
        call.run()
    assert nothing_cached(call)
    call.rttm.write_bytes(before)
    call.run()
    assert sorted(name for name in call.results() if "/" in name) == ["call/A.wav", "call/B.wav"]


def test_words_that_change_while_they_are_needed(call: Any) -> None:
    before = call.script.read_bytes()
    call.hear = change_at(starting("transcribe"), call.script, lambda path: path.write_text("x 1 1.0 0.5 bad\n"))
    with pytest.raises(SettingsError, match=r"call\.ctm: has changed while it was being used"):
        call.run()
    assert not list(call.cache.rglob("transcribe-*"))
    call.script.write_bytes(before)
    call.run()
    assert b"morning" in call.results()["call.txt"]


def test_words_that_changed_since_the_recording_before(call: Any) -> None:
    """A pipeline keeps its transcriber loaded: what it read then is not what the file holds now."""
    pipeline = Pipeline(call.settings)
    call.run(pipeline=pipeline)
    call.script.write_text("x 1 1.0 0.5 good\nx 1 3.0 0.5 evening\n")
    call.run(pipeline=pipeline)
    assert b"evening" in call.results()["call.txt"]


def test_a_job_whose_recording_changes_at_decode_and_is_put_back(call: Any, tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state").ready()
    spec = JobSpec(call.path, recording_sha256(call.path), call.settings, Outputs(call.out), call.out, "call")
    store.write(spec.key, "job", spec.to_json())
    whole = call.path.read_bytes()
    events: list[Event] = []
    change = change_at(starting("decode"), call.path, overwrite)

    def on_event(event: Event) -> None:
        events.append(event)
        change(event)

    step_runner = StepRunner(store, {}, on_event)
    with pytest.raises(AudioError, match=CHANGED):
        step_runner.run("diarize", spec, f"{spec.key}.1")
    step_runner.close(f"{spec.key}.1")
    with pytest.raises(AudioError, match="has changed since it was queued"):
        step_runner.run("diarize", spec, f"{spec.key}.1")
    call.path.write_bytes(whole)
    events.clear()
    for name in STAGES:
        step_runner.run(name, spec, f"{spec.key}.2")
    assert [event.stage for event in events if isinstance(event, Finished)] == [
        "decode",
        "diarize",
        "separate",
        "transcribe",
    ]
    call.run()
    cached = [path.read_bytes() for path in sorted(store.folder(spec.key).rglob("SPEAKER_*.wav"))]
    assert len(cached) == 2
    assert cached == [call.results()[f"call/{name}.wav"] for name in "AB"]
