"""--start and --end: only that stretch is processed, on the recording's own clock."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from meetsplit.jobs.job import JobSpec
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.cache.keys import cache_keys
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels.recording import together
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import Notice
from meetsplit.pipeline.models.selection import BackendSelection
from meetsplit.pipeline.run import Pipeline, RecordingRun
from meetsplit.pipeline.settings import Outputs, Settings


def processed(call: Any, source: Any = None, **options: Any) -> tuple[Transcript, RecordingRun, list[str]]:
    notices: list[str] = []
    settings = Settings(script=call.script, device="cpu", **options)

    def on_event(event: Any) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    run = Pipeline(settings, on_event=on_event).open(source or call.path, StageCache(call.cache))
    return run.transcript(), run, notices


def test_turns_words_and_tracks_of_the_stretch_in_the_place_that_they_have_in_the_recording(call: Any) -> None:
    transcript, run, notices = processed(call, rttm=call.rttm, separate="off", start="0:01.5", end=4)
    assert [(turn.speaker, turn.span.start, turn.span.end) for turn in transcript.turns] == [
        ("SPEAKER_00", 1.5, 2.5),
        ("SPEAKER_01", 2.0, 4.0),
    ]
    assert [(word.text, word.span.start) for segment in transcript.segments for word in segment.words] == [
        ("morning", 3.0)
    ]
    assert (transcript.duration, dict(transcript.made_by.settings)["start"]) == (6.0, 1.5)
    assert notices == [], "turns outside are cut because that was requested"
    recording = read(call.path)
    for track, (first, last) in zip(run.tracks.values(), ((24000, 40000), (32000, 64000)), strict=True):
        sound = read(track).samples
        assert len(sound) == len(recording.samples)
        assert np.array_equal(sound[first + 100 : last - 100], recording.samples[first + 100 : last - 100])
        assert not sound[: first - 4100].any()
        assert not sound[last + 4100 :].any()


def test_a_stretch_beyond_the_end_is_refused_and_one_over_it_ends_there(call: Any) -> None:
    with pytest.raises(SettingsError, match=r"--start 7: .*call\.wav ends at 6\.0 s"):
        processed(call, rttm=call.rttm, start=7)
    transcript, _, notices = processed(call, rttm=call.rttm, separator="none", start=2.2, end="1:00")
    assert transcript.turns[-1].span.end == 5.0
    assert any("--end 60" in notice and "6.0 s already" in notice for notice in notices)


@pytest.mark.parametrize(("start", "end"), [("2", "1"), (3, 3), (None, 0), ("x", None), ("1:75", None)])
def test_a_stretch_without_length_is_refused(start: Any, end: Any) -> None:
    with pytest.raises(SettingsError, match=r"--start|--end"):
        Settings(start=start, end=end)


def test_only_keys_of_a_run_with_a_stretch_or_other_numbers_of_whisper_are_others() -> None:
    def keys(**options: Any) -> tuple[str, str, str]:
        cached = cache_keys("0" * 64, Settings(**options), BackendSelection(()))
        return cached.diarize, cached.separate, cached.transcribe

    plain, stretch, search = keys(), keys(start=1), keys(beam_size=2)
    assert keys(beam_size=5, start=None, threads=3, batch_size=2) == plain
    assert all(one != other for one, other in zip(plain, stretch, strict=True))
    assert stretch != keys(end=1) != plain
    assert search[:2] == plain[:2]
    assert search[2] != plain[2] != keys(hotwords="Acme")[2]


def test_a_job_keeps_its_stretch_and_is_another_job_than_one_of_the_whole(call: Any) -> None:
    def job(**options: Any) -> JobSpec:
        settings = Settings(script=call.script, **options)
        return JobSpec(call.path, "0" * 64, settings, Outputs(call.out), call.out, "call")

    stretch = job(start="0:01", end=2.5, beam_size=None, model_dir="models", threads=2, batch_size=1)
    row = json.loads(json.dumps(stretch.to_json()))
    assert (row["settings"]["start"], row["settings"]["beam_size"]) == (1.0, None)
    assert not {"model_dir", "threads", "batch_size", "hotwords"} & set(row["settings"]), (
        "a worker's own, and what is not set"
    )
    assert JobSpec.from_json(row).key == stretch.key != job().key
    assert job(threads=2, batch_size=3).key == job().key


def test_a_channel_per_person(call: Any) -> None:
    """The second person speaks in the stretch only, and a file that begins behind it has no part in it."""
    second = 16000
    for name, spoken in (("anna", (0.5, 1.5)), ("ben", (2.0, 4.5)), ("cleo", (0.0, 1.0))):
        sound = 1e-4 * np.random.default_rng(0).standard_normal(6 * second)
        first, last = (round(time * second) for time in spoken)
        sound[first:last] += 0.3 * np.sin(np.arange(last - first) / 7) * (np.arange(last - first) % 8000 < 7000)
        call.write_pcm(call.path.with_name(f"{name}.wav"), [(sound * 32767).astype("<i2")])
    names = [str(call.path.with_name(name)) for name in ("anna.wav", "ben.wav", "cleo.wav@5")]
    transcript, run, _ = processed(call, together("meeting", names), channels="split", start=2.5, end=4.8)
    assert {transcript.name_of(turn.speaker) for turn in transcript.turns} == {"ben"}
    assert transcript.turns[0].span.start == pytest.approx(2.5, abs=0.1)
    assert transcript.turns[-1].span.end == pytest.approx(4.5, abs=0.15)
    assert transcript.duration == 11.0
    (track,) = run.tracks.values()
    assert len(read(track).samples) == 11 * second
