"""Decoding, resampling and writing audio: every container on the player's clock, exact lengths, one buffer."""

from __future__ import annotations

import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.reading import SoundInfo, probe, read, resample, write_wav
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import AudioError, OutputError
from meetsplit.pipeline.events import Event, Notice, Progressed

BURST = (2.0, 2.5)


def burst(rate: int, seconds: float = 4.0) -> Samples:
    """A 440 Hz tone from 2.0 to 2.5 s, silence around it."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * t) * ((t >= BURST[0]) & (t < BURST[1]))).astype(np.float32)


def encode(
    path: Path,
    codec: str,
    rate: int = 48000,
    *,
    start: float = 0.0,
    layout: str = "mono",
    channels: tuple[Samples, ...] = (),
) -> Path:
    """A container written by PyAV's own encoders; timestamps begin at ``start``; ``channels`` default to the burst."""
    samples = np.stack(channels or (burst(rate),))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        converter = av.AudioResampler(format=stream.codec_context.codec.audio_formats[0].name, layout=layout, rate=rate)
        for at in range(0, samples.shape[1], rate // 50):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, at : at + rate // 50]), format="fltp", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, at + round(start * rate), Fraction(1, rate)
            for converted in converter.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


def decoded_burst(audio: Audio) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(audio.samples) > 0.03)
    return loud[0] / audio.rate, loud[-1] / audio.rate


@pytest.mark.parametrize(
    ("name", "codec", "rate", "late"),
    [
        ("a.wav", "pcm_s16le", 8000, 0.001),
        ("a.wav", "pcm_s16le", 44100, 0.001),
        ("a.wav", "pcm_s24le", 48000, 0.001),
        ("a.wav", "pcm_u8", 16000, 0.001),
        ("a.wav", "pcm_f64le", 16000, 0.001),
        ("a.wav", "pcm_s64le", 16000, 0.001),
        ("a.flac", "flac", 44100, 0.001),
        ("a.aiff", "pcm_s16be", 44100, 0.001),
        ("a.mp3", "libmp3lame", 44100, 0.001),
        ("a.m4a", "aac", 44100, 0.001),
        ("a.mp4", "aac", 48000, 0.001),
        ("a.mov", "pcm_s16le", 48000, 0.001),
        ("a.mkv", "aac", 48000, 0.001),
        ("a.ogg", "libopus", 48000, 0.001),
        ("a.webm", "libopus", 48000, 0.001),
        ("a.ts", "aac", 48000, 0.03),  # MPEG-TS has no place for the encoder's delay of 21 ms: players hear it too
    ],
)
def test_every_container_lands_on_the_same_clock(tmp_path: Path, name: str, codec: str, rate: int, late: float) -> None:
    audio = read(encode(tmp_path / name, codec, rate))
    assert audio.rate == 16000
    assert audio.start == 0.0
    assert decoded_burst(audio) == pytest.approx(BURST, abs=late)
    assert audio.duration == pytest.approx(4.0, abs=late + 0.02)
    assert np.abs(audio.samples).max() == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")]
)
def test_length_is_exact_where_the_container_knows_it(tmp_path: Path, name: str, codec: str) -> None:
    assert len(read(encode(tmp_path / name, codec, 44100)).samples) == 64000


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mov", "pcm_s16le"), ("a.mkv", "aac"), ("a.webm", "libopus")]
)
def test_audio_that_starts_late_is_padded(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, codec, start=1.2)
    audio = read(path)
    assert decoded_burst(audio) == pytest.approx((BURST[0] + 1.2, BURST[1] + 1.2), abs=0.003)
    assert probe(path).start == pytest.approx(1.2, abs=0.03)
    assert np.abs(audio.samples[: round(1.1 * 16000)]).max() < 1e-6


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "aac"), ("a.flv", "aac"), ("a.opus", "libopus")])
def test_a_clock_that_players_rebase_is_rebased(tmp_path: Path, name: str, codec: str) -> None:
    assert decoded_burst(read(encode(tmp_path / name, codec, start=1.2))) == pytest.approx(BURST, abs=0.03)


def test_a_cut_of_a_broadcast_does_not_begin_with_hours_of_silence(tmp_path: Path) -> None:
    audio = read(encode(tmp_path / "a.mkv", "pcm_s16le", start=7200.0))
    assert decoded_burst(audio) == pytest.approx(BURST, abs=0.003)


def test_a_pause_without_packets_is_silence(tmp_path: Path) -> None:
    path, rate = tmp_path / "a.mkv", 48000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for second in (0, 1, 4):
            frame = av.AudioFrame.from_ndarray(np.full((1, rate), 8000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, second * rate, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = read(path)
    assert audio.duration == pytest.approx(5.0, abs=0.002)
    assert np.abs(audio.samples[round(2.05 * 16000) : round(3.95 * 16000)]).max() < 1e-6
    assert audio.samples[round(4.1 * 16000) : round(4.9 * 16000)].min() > 0.2


def test_stereo_is_averaged_and_a_channel_can_be_picked(tmp_path: Path) -> None:
    left = np.full(16000, 0.5, np.float32)
    path = encode(tmp_path / "a.wav", "pcm_f32le", 16000, layout="stereo", channels=(left, np.zeros_like(left)))
    assert read(path).samples == pytest.approx(0.25)
    assert read(path, channel=0).samples == pytest.approx(0.5)
    assert read(path, channel=1).samples == pytest.approx(0.0)
    assert probe(path) == SoundInfo(duration=1.0, channels=2, rate=16000, codec="pcm_f32le", start=0.0, streams=1)
    with pytest.raises(AudioError, match="no channel 2"):
        read(path, channel=2)


def test_the_default_audio_track_is_used_and_others_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        for stream, level in zip(streams, (3000, 9000), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16000), level, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    events: list[Event] = []
    assert read(path, on_event=events.append).samples.mean() == pytest.approx(9000 / 32768, abs=1e-3)
    assert [event.text for event in events if isinstance(event, Notice)] == [
        f"{path} has 2 audio tracks: only the default one is used"
    ]


def test_samples_that_are_not_finite_become_silence_and_are_noticed(tmp_path: Path) -> None:
    sound = np.full(32000, 0.25, np.float32)
    sound[16000:16010] = np.nan
    sound[20000] = np.inf
    events: list[Event] = []
    audio = read(encode(tmp_path / "a.wav", "pcm_f32le", 16000, channels=(sound,)), on_event=events.append)
    assert np.isfinite(audio.samples).all()
    assert (audio.samples == 0).sum() == 11
    assert isinstance(events[0], Notice)
    assert "11 sample(s)" in events[0].text
    assert "first at 1.00 s" in events[0].text


def test_frames_of_more_planes_than_pyav_finds_the_end_of(tmp_path: Path) -> None:
    """FFmpeg keeps sixteen planes in a list without an end mark, behind which PyAV read on."""
    path, rate, levels = tmp_path / "a.mkv", 16000, np.arange(1, 17, dtype=np.float32) / 32
    with av.open(str(path), "w") as container:
        stream = container.add_stream("wavpack", rate=rate, layout="hexadecagonal", format="fltp")
        planes = av.AudioResampler(format="fltp", layout="hexadecagonal", rate=rate)
        interleaved = np.tile(levels, rate // 10)[None]
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="hexadecagonal")
            frame.sample_rate, frame.pts, frame.time_base = rate, number * rate // 10, Fraction(1, rate)
            for planar in planes.resample(frame):
                container.mux(stream.encode(planar))
        container.mux(stream.encode(None))
    assert probe(path).channels == 16
    for channel in (0, 8, 15):
        samples = read(path, rate, channel=channel).samples
        assert len(samples) == rate
        np.testing.assert_allclose(samples, levels[channel], atol=1e-4)
    np.testing.assert_allclose(read(path, rate).samples, levels.mean(), atol=1e-4)


def test_progress_events_on_long_files(tmp_path: Path) -> None:
    events: list[Event] = []
    path = tmp_path / "long.wav"
    write_wav(path, Audio(np.zeros(100 * 8000, np.float32), 8000))
    read(path, 8000, on_event=events.append)
    done = [event.done for event in events if isinstance(event, Progressed)]
    assert len(done) >= 2
    assert done == sorted(done)
    assert all(isinstance(event, Progressed) and event.total == pytest.approx(100.0) for event in events)


@pytest.mark.parametrize(
    "name", ["%d 100% [x] ' \" ;&.wav", "pipe:0", "-i", "http:", "日本 \U0001f399.wav", "line\nbreak.wav"]
)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_wav(path, Audio(np.full(1600, 0.5, np.float32), 16000))
    before = path.read_bytes()
    assert len(read(path).samples) == 1600
    assert path.read_bytes() == before


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 60_000),
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 12345]),
    st.sampled_from([8000, 16000, 44100]),
)
def test_resampling_gives_exactly_the_rounded_length(n: int, old: int, new: int) -> None:
    result = resample(Audio(np.ones(n, np.float32), old, 3.25), new)
    assert len(result.samples) == (2 * n * new + old) // (2 * old)
    assert (result.rate, result.start) == (new, 3.25)


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (48000, 16000), (16000, 8000), (8000, 16000), (12345, 16000)])
def test_resampling_keeps_what_fits_and_removes_what_does_not(old: int, new: int) -> None:
    n, edge = round(10.37 * old), new // 2
    for share in (0.1, 0.9, 1.02):
        f = share * min(old, new) / 2
        if f > old / 2:
            continue
        resampled = resample(Audio(np.sin(2 * np.pi * f * np.arange(n) / old).astype(np.float32), old), new).samples
        expected = np.sin(2 * np.pi * f * np.arange(len(resampled)) / new) if share < 1 else np.zeros(len(resampled))
        assert 10 * np.log10(np.mean((resampled - expected)[edge:-edge] ** 2)) < -100, f"{share} of Nyquist"


def test_resampling_is_linear_and_leaves_its_input_alone() -> None:
    samples: Samples = np.random.default_rng(0).standard_normal(50_000, np.float32)
    audio = Audio(samples, 16000)
    assert resample(Audio(samples * np.float32(0.5), 16000), 8000).samples == pytest.approx(
        resample(audio, 8000).samples / 2, abs=1e-6
    )
    assert (audio.samples == np.random.default_rng(0).standard_normal(50_000, np.float32)).all()
    assert resample(audio, 16000) is audio


def test_wav_round_trip_and_clipping(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    write_wav(path, Audio(np.array([0.0, 0.5, -1.0, 3.0, -3.0], np.float32), 16000))
    assert read(path).samples == pytest.approx([0.0, 0.5, -1.0, 1.0, -1.0], abs=1e-4)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 16000, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["out.wav"]


def test_a_wav_that_cannot_be_written_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_wav(tmp_path / "file" / "out.wav", Audio(np.zeros(10, np.float32), 16000))
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_wav(tmp_path / "taken.wav", Audio(np.zeros(10, np.float32), 16000))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken.wav"]


def test_a_long_recording_is_never_in_memory_twice(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        for _ in range(30):
            out.writeframesraw(bytes(2 * 8000 * 60))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from meetsplit.pipeline.audio.reading import read; import meetsplit.pipeline.audio.reading\n"
        "read(Path(sys.argv[2])); peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); audio = read(Path(sys.argv[1])); unit = 1 if sys.platform == 'darwin' else 1024\n"
        "print(audio.duration, (peak() - before) * unit / audio.samples.nbytes)"
    )
    write_wav(tmp_path / "short.wav", Audio(np.zeros(80_000, np.float32), 8000))
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "short.wav")], capture_output=True, text=True, check=True
    )
    duration, times = map(float, done.stdout.split())
    assert duration == 1800.0
    assert times < 1.25
