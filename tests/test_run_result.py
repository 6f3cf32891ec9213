"""`Pipeline.run` in Python: a transcript with its files and tracks, from a file or from an array."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import logging
import pickle
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from meetsplit import Audio, Outputs, Pipeline, RunResult, Settings, Track, Transcript, read_transcript
from meetsplit.pipeline.audio.arrays import write_array
from meetsplit.pipeline.data.notebook import PLAYER_SECONDS
from meetsplit.pipeline.errors import AudioError, MeetsplitError, SettingsError, StageError
from meetsplit.pipeline.events import Kept, Started

LEAST = Outputs(formats=("json", "srt"))


def samples_of(html: str) -> np.ndarray[Any, Any]:
    """The sound in a player, decoded."""
    (data,) = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html)
    with av.open(io.BytesIO(base64.b64decode(data))) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_a_result_is_its_transcript(call: Any) -> None:
    result = Pipeline(call.settings).run(str(call.path))
    assert isinstance(result, Transcript)
    plain = result.transcript
    assert type(plain) is Transcript
    assert result == plain == result
    assert plain == result == dataclasses.replace(result, files=(Path("x"),))
    assert len({result, plain}) == 1
    assert pickle.loads(pickle.dumps(result)) == result
    assert result != dataclasses.replace(plain, names=())
    assert result != "call"
    assert [segment.text for segment in result.segments] == ["good", "morning"]


def test_without_a_folder_nothing_is_written(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(call.path.parent)
    before = sorted(tmp_path.rglob("*"))
    result = Pipeline(call.settings).run(call.path)
    assert sorted(tmp_path.rglob("*")) == before
    assert (result.files, len(result.tracks)) == ((), 0)
    with pytest.raises(KeyError, match=r"no tracks were written: Pipeline\.run"):
        result.tracks["SPEAKER_00"]


def test_a_folder_gets_what_the_command_line_writes(call: Any) -> None:
    result = Pipeline(call.settings).run(
        call.path, folder=call.path.parent / "api", outputs=Outputs(formats=call.formats)
    )
    call.run()
    written = {str(path.relative_to(call.path.parent / "api")): path.read_bytes() for path in result.files}
    assert written == call.results()
    assert read_transcript((call.out / "call.json").read_text()) == result
    again = Pipeline(call.settings).run(call.path, folder=str(call.path.parent / "api"), outputs=LEAST)
    assert [path.name for path in again.files if path.suffix != ".wav"] == ["call.json", "call.srt"]


def test_tracks_are_found_by_label_and_name_and_play(call: Any) -> None:
    result = Pipeline(call.settings).run(call.path, folder=call.out, outputs=LEAST)
    assert list(result.tracks) == ["SPEAKER_00", "SPEAKER_01"]
    track = result.tracks["B"]
    assert track is result.tracks["SPEAKER_01"]
    assert track.path in result.files
    assert (track.name, track.rate, track.duration) == ("B", 16000, 6.0)
    assert not track.crop(0.0, 1.5).samples.any(), "silence where the person does not speak"
    assert track.crop(3.0, 4.0).samples.any()
    heard = samples_of(track._repr_html_())
    assert 3.0 < len(heard) / 16000 < 5.0, "from a little before the first sound"
    with pytest.raises(KeyError, match="did you mean 'SPEAKER_01'"):
        result.tracks["SPEAKER01"]
    assert result.tracks._repr_html_().count("<audio ") == 2
    track.path.unlink()
    with pytest.raises(AudioError, match=r"B\.wav"):
        assert Track(track.speaker, track.name, track.path).audio


def test_a_player_is_small_however_long_the_sound_is() -> None:
    rate = 8000
    sound = np.zeros(round((PLAYER_SECONDS + 60) * rate), np.float32)
    sound[40 * rate :] = 0.1
    html = Audio(sound, rate)._repr_html_()
    assert len(html) < 1_000_000
    assert "plays 0:39–2:39" in html
    assert abs(len(samples_of(html)) / rate - PLAYER_SECONDS) < 1.0
    assert "audio/wav" in Audio(np.zeros(0, np.float32), rate)._repr_html_()


@pytest.mark.parametrize("kind", ["float64", "int16", "two channels", "torch", "pyannote"])
def test_an_array_gives_what_its_file_gives(call: Any, kind: str) -> None:
    expected = Pipeline(call.settings).run(call.path, folder=call.out, outputs=LEAST)
    with av.open(str(call.path)) as container:
        whole = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    floats = (whole / 32768).astype(np.float32)
    waveform = torch.from_numpy(floats)[None].requires_grad_()
    recording: Any = {
        "float64": floats.astype(np.float64),
        "int16": whole,
        "two channels": np.stack([floats, floats]),
        "torch": waveform,
        "pyannote": {"waveform": waveform, "sample_rate": 16000, "uri": "call"},
    }[kind]
    rate = None if kind == "pyannote" else 16000
    name = None if kind == "pyannote" else "call"
    result = Pipeline(call.settings).run(
        recording, sample_rate=rate, name=name, folder=call.path.parent / kind, outputs=LEAST
    )
    assert result == expected
    for who, track in result.tracks.items():
        np.testing.assert_array_equal(track.samples, expected.tracks[who].samples)


@pytest.mark.parametrize(
    ("values", "rate", "message"),
    [
        (np.zeros(100), None, "does not say its sample rate"),
        (np.zeros(100), 0, "from 1000 to 768000"),
        (np.zeros(100), 16000.5, "a whole number of Hz"),
        (np.zeros(0), 16000, "not float64 of shape"),
        (np.zeros((2, 2, 2)), 16000, "numbers of shape"),
        (np.array(["a"]), 16000, "numbers of shape"),
        (np.zeros((100, 2)), 16000, "channels come first"),
        ({"waveform": np.zeros(10)}, None, "'waveform' and 'sample_rate'"),
        ({"waveform": np.zeros(10), "sample_rate": 8000}, 16000, "drop one"),
    ],
)
def test_an_array_that_is_no_recording_is_refused(values: Any, rate: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(MeetsplitError, match=message):
        write_array(values, tmp_path, sample_rate=rate, name="x")
    assert not list(tmp_path.iterdir())


def test_what_is_no_recording_is_refused(call: Any) -> None:
    with pytest.raises(SettingsError, match=r"takes a path, an array .* not int"):
        Pipeline(call.settings).run(3)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="for arrays"):
        Pipeline(call.settings).run(call.path, sample_rate=16000)
    assert Pipeline(call.settings).run({"audio": call.path}) == Pipeline(call.settings).run(call.path)


def test_integers_are_full_scale(tmp_path: Path) -> None:
    from meetsplit.pipeline.audio.reading import read

    for values in (np.array([0, 255, 128], np.uint8), np.array([-(2**31), 2**31 - 1, 0], np.int32)):
        path = write_array(np.repeat(values, 10), tmp_path, sample_rate=8000, name="x")
        np.testing.assert_allclose(read(path, 8000).samples[::10], [-1.0, 1.0, 0.0], atol=0.01)


def test_nothing_is_half_written(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise OSError("no")

    monkeypatch.setattr("meetsplit.pipeline.transcribers.given_words.GivenWordsTranscriber.transcribe", fail)
    with pytest.raises(StageError):
        Pipeline(call.settings).run(call.path, folder=call.out)
    assert call.results() == {}
    assert not list((call.out / ".meetsplit").glob("*.json"))


def test_foreign_files_and_inputs_stay(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    given = call.rttm.read_bytes()
    (call.path.parent / "call.srt").write_text("mine")
    result = Pipeline(call.settings).run(call.path, folder=call.path.parent, outputs=Outputs(tracks=False))
    assert result.files[0].name == "call-2.srt"
    assert ((call.path.parent / "call.srt").read_text(), call.rttm.read_bytes()) == ("mine", given)
    assert "call is written as call-2.*" in caplog.text
    assert result.recording == "call"


def test_stages_are_kept_where_asked_for(call: Any) -> None:
    events: list[Any] = []
    pipeline = Pipeline(call.settings, on_event=events.append)
    first = pipeline.run(call.path, cache=True)
    done = [event.stage for event in events if isinstance(event, Started)]
    assert len(done) >= 3
    assert pipeline.run(call.path, cache=True) == first
    assert [event.stage for event in events if isinstance(event, Started)] == done
    assert {event.stage for event in events if isinstance(event, Kept)} >= {"diarize", "transcribe"}
    assert list((call.cache / "runs").iterdir())


def test_a_later_run_of_a_recording_replaces_what_was_saved(call: Any) -> None:
    folder = call.path.parent / "saved"
    first = Pipeline(call.settings).run(call.path)
    first.save(folder, ["srt", "json"])
    (call.path.parent / "other.rttm").write_text("SPEAKER x 1 0.5 5 <NA> <NA> C <NA> <NA>\n")
    other = Pipeline(dataclasses.replace(call.settings, rttm=call.path.parent / "other.rttm")).run(call.path)
    assert other.rename({"C": "Carla"}).save(folder, "srt") == (folder / "call.srt",)
    assert "Carla" in (folder / "call.srt").read_text()
    assert [path.name for path in call.path.parent.joinpath("saved").glob("call*")].count("call-2.srt") == 0
    assert json.loads((folder / ".meetsplit" / "call.json").read_text())["recording"] == str(call.path)


def test_notices_reach_the_log_unless_somebody_listens(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    call.rttm.write_text("SPEAKER x 1 0.5 200 <NA> <NA> A <NA> <NA>\n")
    with caplog.at_level(logging.INFO, "meetsplit"):
        Pipeline(call.settings).run(call.path)
    levels = {record.levelname: record.getMessage() for record in caplog.records}
    assert "reach beyond the recording's" in levels["WARNING"]
    assert "transcribe done in" in levels["INFO"]
    caplog.clear()
    Pipeline(call.settings, on_event=lambda event: None).run(call.path)
    assert not caplog.records, "the command line listens itself, and nothing is said twice"


def test_a_pipeline_says_what_is_not_default(call: Any) -> None:
    text = repr(Pipeline(dataclasses.replace(call.settings, hf_token="hf_secret")))
    assert text.startswith("<Pipeline: diarizer='rttm', rttm='")
    assert "hf_secret" not in text
    assert repr(Pipeline(Settings())) == "<Pipeline: default settings>"


def test_a_result_in_a_notebook_is_a_table(call: Any) -> None:
    result: RunResult = Pipeline(call.settings).run(call.path)
    assert repr(result) == "<RunResult 'call': 0:06, 2 speakers, 2 segments, 2 words>"
    assert result._repr_html_() == result.transcript._repr_html_()
