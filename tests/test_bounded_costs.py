"""Small files that declare much: memory, disk and work stay in proportion to the audio that is really there."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from meetsplit.benchmarks.bounds import HOUR, claim, mostly_silence, silence
from meetsplit.cli import main
from meetsplit.pipeline.audio import memmap
from meetsplit.pipeline.audio.containers import MAX_CHANNELS, MAX_RATE, MIN_RATE, open_container
from meetsplit.pipeline.audio.decoding import LONGEST_RECORDING, StreamDecoder
from meetsplit.pipeline.audio.reading import probe, read
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.channels.loudness import SILENCE, loudness
from meetsplit.pipeline.channels.recording import LONGEST_MEETING, SpeakerFile, together
from meetsplit.pipeline.data import Audio, Span, StreamInfo
from meetsplit.pipeline.diarizers import low_memory
from meetsplit.pipeline.diarizers.embedded import EmbeddedDiarizer
from meetsplit.pipeline.errors import AudioError, OutputError, SettingsError
from meetsplit.pipeline.events import Event, Notice, ignore_events
from meetsplit.pipeline.results import disk_space
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.rendering import TrackOptions, TrackSource, render_tracks

RATE = 16000


@pytest.fixture
def memmap_handles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Handles of the nameless files that audio is memory-mapped in."""
    handles: list[int] = []
    temporary_file = tempfile.TemporaryFile

    def recorded(**options: Any) -> Any:
        file = temporary_file(**options)
        handles.append(os.dup(file.fileno()))
        return file

    monkeypatch.setattr(memmap.tempfile, "TemporaryFile", recorded)
    yield handles
    for handle in handles:
        os.close(handle)


def on_disk(handle: int | Path) -> int:
    return os.stat(handle).st_blocks * 512


def wav(path: Path, rate: int, channels: int = 1, samples: int = 1600) -> Path:
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, min(2 * rate * channels, 2**32 - 1), 2 * channels, 16)
    data = b"\1\1" * samples * channels
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", len(data) + 36)
        + b"WAVEfmt "
        + layout
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    return path


# decoding


@pytest.mark.parametrize("folder", ["decoded", None])
def test_a_small_file_that_declares_hours_costs_what_its_audio_costs(
    tmp_path: Path, memmap_handles: list[int], folder: str | None
) -> None:
    path = claim(tmp_path, hours=5.0)
    assert path.stat().st_size < 60_000
    events: list[Event] = []
    tracemalloc.start()
    audio = read(path, RATE, folder=tmp_path / folder if folder else None, on_event=events.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert audio.duration == pytest.approx(5 * HOUR + 6, abs=0.2)
    assert peak < 60e6
    assert sum(on_disk(handle) for handle in memmap_handles) < 2e6
    assert audio.crop(Span(0, 3)).samples.any()
    assert audio.crop(Span(5 * HOUR + 4, 5 * HOUR + 6)).samples.any(), (
        "the sound after the pause is where a player plays it"
    )
    assert not audio.crop(Span(HOUR, HOUR + 60)).samples.any()
    assert any("300 of its 300 min are pauses" in event.text for event in events if isinstance(event, Notice))


def test_a_timestamp_beyond_the_longest_recording_is_a_fault(tmp_path: Path) -> None:
    audio = read(claim(tmp_path, hours=LONGEST_RECORDING / HOUR + 1), RATE, folder=tmp_path)
    assert audio.duration == pytest.approx(6.0, abs=0.2)


def test_silence_takes_no_disk_space(tmp_path: Path, memmap_handles: list[int]) -> None:
    audio = read(mostly_silence(tmp_path, hours=0.2), RATE, folder=tmp_path / "decoded")
    assert audio.duration == 0.2 * HOUR
    assert sum(on_disk(handle) for handle in memmap_handles) < 4 * RATE * 180, (
        "about as much as the two minutes of speech"
    )
    assert read(silence(tmp_path, hours=0.1), 8000, folder=tmp_path / "decoded").duration == 0.1 * HOUR


def test_audio_longer_than_declared_is_memory_mapped(
    tmp_path: Path, memmap_handles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meetsplit.pipeline.audio.reading.IN_MEMORY", 2.0)
    noise = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    in_memory = memmap.to_memmap((noise for _ in range(3)), tmp_path, 4 * RATE)
    assert not memmap_handles
    mapped = memmap.to_memmap((noise for _ in range(9)), tmp_path, 4 * RATE)
    assert len(memmap_handles) == 1
    assert np.array_equal(np.tile(noise, 3), in_memory)
    assert np.array_equal(np.tile(noise, 9), mapped)


def test_silence_resampled_is_silence_of_the_right_length() -> None:
    assert not resample(Audio(np.zeros(44100 * 20 + 7, np.float32), 44100), RATE).samples.any()
    assert len(resample(Audio(np.zeros(44100 * 20 + 7, np.float32), 44100), RATE).samples) == round(
        (44100 * 20 + 7) * RATE / 44100
    )


@pytest.mark.parametrize("rate", [1, 100, MIN_RATE - 1, MAX_RATE + 1, 2**31 - 1])
def test_implausible_rates_are_refused(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "odd.wav", rate)
    for function in (probe, read):
        with pytest.raises(AudioError, match=f"odd.wav says it has {rate} Hz; 1000 to 768000 Hz can be read"):
            function(path)


@pytest.mark.parametrize("rate", [MIN_RATE, 8000, 11025, 384_000, MAX_RATE])
def test_plausible_rates_are_read(tmp_path: Path, rate: int) -> None:
    assert read(wav(tmp_path / "fine.wav", rate)).duration == pytest.approx(1600 / rate, abs=1 / RATE)


def test_implausibly_many_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=f"says it has {MAX_CHANNELS + 1} channels; up to {MAX_CHANNELS} can be read"):
        read(wav(tmp_path / "many.wav", RATE, MAX_CHANNELS + 1))
    assert read(wav(tmp_path / "array.wav", RATE, MAX_CHANNELS)).duration == 0.1


def test_a_change_to_an_odd_rate_is_refused(tmp_path: Path) -> None:
    def frame(rate: int) -> av.AudioFrame:
        new = av.AudioFrame.from_ndarray(np.ones((1, 480), np.float32), format="fltp", layout="mono")
        new.sample_rate = rate
        return new

    with open_container(wav(tmp_path / "odd.wav", 48000)) as (container, stream):
        doubled = list(StreamDecoder(container, stream, None).samples([frame(48000), frame(24000)]))
        assert [len(part) for part in doubled] == [480, 960]
        with pytest.raises(AudioError, match="its sound has 47999 Hz, after 48000 Hz"):
            list(StreamDecoder(container, stream, None).samples([frame(48000), frame(47999)]))


def test_sound_after_a_change_of_rate_has_no_edges(tmp_path: Path) -> None:
    def tone(rate: int, first: int) -> av.AudioFrame:
        times = (first + np.arange(rate // 50)) / rate
        samples = np.sin(2 * np.pi * 3000 * times).astype(np.float32)[None]
        new = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        new.sample_rate, new.pts, new.time_base = rate, first, Fraction(1, rate)
        return new

    frames = [tone(16000, n * 320) for n in range(50)] + [tone(22050, n * 441) for n in range(50, 150)]
    with open_container(wav(tmp_path / "a.wav", 16000)) as (container, stream):
        samples = np.concatenate(list(StreamDecoder(container, stream, None).samples(frames)))
    assert len(samples) == 3 * 16000
    expected = np.sin(2 * np.pi * 3000 * np.arange(len(samples)) / 16000)
    inside = slice(16000 + 1600, -1600)
    assert np.abs(samples - expected)[inside].max() < 1e-3


# meetings of several files


def test_a_speaker_file_begins_within_a_day(tmp_path: Path) -> None:
    assert SpeakerFile.parse(f"ben.wav@{LONGEST_MEETING}").offset == LONGEST_MEETING
    for late in ("1e5", "1e6", "1e300"):
        with pytest.raises(SettingsError, match="a meeting lasts 24 h at most"):
            SpeakerFile.parse(f"ben.wav@{late}")


def test_silence_is_not_transformed_for_its_loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    early = Audio((0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32), RATE)
    transformed: list[int] = []
    transform = np.fft.rfft
    monkeypatch.setattr(
        np.fft, "rfft", lambda frames, **options: transformed.append(len(frames)) or transform(frames, **options)
    )
    level = loudness(early, Span(0.0, HOUR))
    assert sum(transformed) < 3000, "of 180 000 frames"
    assert np.abs(level[100:] - SILENCE).max() < 1e-3
    assert (level[:40] > SILENCE).all()


# diarization


def test_windows_of_silence_are_not_segmented(
    embedded_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    diarizer = EmbeddedDiarizer.load(Settings(), embedded_weights, "cpu")
    speech = read(Path(__file__).parents[1] / "sample_data" / "standup.m4a").crop(Span(55.0, 60.0)).samples
    audio = Audio(np.concatenate([speech, np.zeros(16 * RATE, np.float32)]), RATE)
    segmented: list[int] = []
    segmentation = diarizer._pipeline._segmentation
    infer = segmentation.infer
    monkeypatch.setattr(segmentation, "infer", lambda batch: segmented.append(len(batch)) or infer(batch))
    turns = diarizer.diarize(audio, ignore_events)
    windows = sum(segmented)
    monkeypatch.setattr(low_memory, "SILENCE", -1.0)
    assert diarizer.diarize(audio, ignore_events) == turns
    assert windows <= (sum(segmented) - windows) / 2
    assert turns


# tracks


@pytest.mark.parametrize("gate", ["off", "hard"])
def test_silence_in_tracks_takes_no_disk_space(tmp_path: Path, gate: str) -> None:
    track, target = silence(tmp_path, hours=0.5), tmp_path / "out" / "SPEAKER_00.wav"
    with track.open("r+b") as file:
        file.seek(44)
        file.write(b"\1\1" * RATE)
    turn = Span(0.0, 1.0)
    sources = [TrackSource(track, None, ("SPEAKER_00",))]
    clips = [StreamInfo("SPEAKER_00", turn, (turn,))]
    render_tracks({"SPEAKER_00": track}, clips, sources, {"SPEAKER_00": target}, TrackOptions(gate=gate))
    assert target.stat().st_size == track.stat().st_size
    assert on_disk(target) < 3e6
    if gate == "off":
        assert target.read_bytes() == track.read_bytes()


# room on the disk


def set_free_space(monkeypatch: pytest.MonkeyPatch, megabytes: float) -> None:
    real = shutil.disk_usage

    def limited(path: Any) -> Any:
        return real(path)._replace(free=int(megabytes * 1e6))

    monkeypatch.setattr(shutil, "disk_usage", limited)


def test_a_run_checks_the_disk_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_free_space(monkeypatch, 500)
    (tmp_path / "none.rttm").write_text("")
    (tmp_path / "none.stm").write_text("")
    options = [
        "--rttm",
        str(tmp_path / "none.rttm"),
        "--script",
        str(tmp_path / "none.stm"),
        "-o",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", str(silence(tmp_path, hours=2.0)), *options, "--separate", "off", "--offline", "--no-cache"])
    message = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1
    sentence = (
        "silence.wav needs about 1471 MB there (tracks of 2 people, 120 min), 500 MB are free: "
        "make room, or choose another"
    )
    assert sentence in message
    assert "decode …" not in message
    assert not list((tmp_path / "out").glob("[!.]*")), "no result, whole or in part"


def test_disk_space_is_needed_for_what_a_file_can_hold_not_for_what_it_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = claim(tmp_path, hours=5.0), silence(tmp_path, hours=5.0)
    assert disk_space.seconds_of_sound(small) < 0.4 * HOUR
    assert disk_space.seconds_of_sound(large) == 5 * HOUR
    set_free_space(monkeypatch, 300)
    outputs = Outputs(tmp_path / "out")
    disk_space.check_disks(small, Settings(), outputs, tmp_path, elsewhere="-o")
    encoded = Outputs(tmp_path / "out", track_format="mp3")  # in which silence takes as much room as speech
    with pytest.raises(OutputError, match=r"needs about 801 MB there \(tracks of 2 people, 300 min\)"):
        disk_space.check_disks(small, Settings(), encoded, tmp_path, elsewhere="-o")
    with pytest.raises(OutputError, match=r"silence.wav needs about .* MB there"):
        disk_space.check_disks(large, Settings(), outputs, tmp_path, elsewhere="-o")
    disk_space.check_disks(large, Settings(), Outputs(tracks=False), tmp_path, elsewhere="-o", stages=("transcribe",))
    with pytest.raises(OutputError, match=r"needs about 1273 MB there"):  # tracks, and the page
        disk_space.check_disks(large, Settings(), outputs, tmp_path, elsewhere="-o", stages=())
    with pytest.raises(OutputError, match=r"talk needs about .* MB there \(tracks of 2 people, 300 min\)"):
        disk_space.check_disks(
            together("talk", [large, small]), Settings(channels="split"), outputs, tmp_path, elsewhere="-o"
        )
