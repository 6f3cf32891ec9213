"""Files that are no recording, or only part of one: an `AudioError` of one sentence, or what can be decoded."""

from __future__ import annotations

import contextlib
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import probe, read, write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import Event, Notice


def noise(seconds: float, rate: int = 16000) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


def encode(path: Path, codec: str, seconds: float = 12.0, options: dict[str, str] | None = None) -> bytes:
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        converter = av.AudioResampler(
            format=stream.codec_context.codec.audio_formats[0].name, layout="mono", rate=48000
        )
        frame = av.AudioFrame.from_ndarray(noise(seconds, 48000)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        for converted in [*converter.resample(frame), *converter.resample(None)]:
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path.read_bytes()


def refusal(path: Path) -> str:
    with pytest.raises(AudioError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message.replace(str(path), "")
    assert caught.value.exit_code == 1
    return message.removeprefix(str(path)).strip()


def notices(path: Path) -> tuple[Audio, list[str]]:
    events: list[Event] = []
    audio = read(path, on_event=events.append)
    return audio, [event.text.removeprefix(str(path)).strip() for event in events if isinstance(event, Notice)]


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.m4a") == "does not exist: check the name and the folder"


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a folder: name the recording inside it, or `meetsplit batch` for all of them"


def test_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    assert refusal(path) == "is empty (0 bytes): copy or record it again"


@pytest.mark.parametrize(
    "text", ["Dear all,\nplease find the minutes attached.\n", "1\n00:00:01,000 --> 00:00:02,000\nHello\n", "ä" * 5000]
)
@pytest.mark.parametrize("name", ["talk.mp3", "talk.wav", "talk.m4a"])
def test_text_under_another_name(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    assert refusal(path) == "holds text, not sound: choose a recording"


def test_bytes_of_no_format(tmp_path: Path) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(np.random.default_rng(3).bytes(300))
    assert refusal(path).startswith("is in no sound or video format that FFmpeg knows")


def test_a_picture_has_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert refusal(path) == "has no audio track: choose a file with sound"


def test_a_recording_whose_index_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "cut.m4a"
    whole = encode(path, "aac")
    path.write_bytes(whole[: len(whole) // 2])
    assert refusal(path) == "is incomplete, the index at its end (moov) is missing: copy or record it again"


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("cut.m4a", "aac", {"movflags": "faststart"}), ("cut.flac", "flac", {}), ("cut.webm", "libopus", {})],
)
def test_half_a_file_is_used_as_far_as_it_goes(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = tmp_path / name
    whole = encode(path, codec, options=options)
    path.write_bytes(whole[: len(whole) * 7 // 10])
    audio, texts = notices(path)
    assert 5.0 < audio.duration < 10.0
    assert np.sqrt(np.mean(audio.samples**2)) > 0.02
    assert any(
        text.startswith(f"is incomplete: its sound ends at {audio.duration:.1f} s instead of 12.0 s") for text in texts
    )


@pytest.mark.parametrize(
    ("name", "codec"),
    [("bad.mp3", "libmp3lame"), ("bad.flac", "flac"), ("bad.m4a", "aac"), ("bad.webm", "libopus"), ("bad.ts", "aac")],
)
@pytest.mark.parametrize("seed", range(3))
def test_damage_in_the_middle_ends_nothing(tmp_path: Path, name: str, codec: str, seed: int) -> None:
    path = tmp_path / name
    whole = bytearray(encode(path, codec, options={"movflags": "faststart"} if name.endswith("m4a") else None))
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(whole) // 2, len(whole) * 9 // 10))
    whole[at : at + 300] = rng.bytes(300)
    path.write_bytes(whole)
    audio, _ = notices(path)
    assert 5.0 < audio.duration < 12.5
    assert np.isfinite(audio.samples).all()


def test_all_samples_nan(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    path.write_bytes(float_wav(np.full(8000, np.nan, np.float32)))
    assert "none of its samples is a number" in refusal(path)


def test_some_samples_nan(tmp_path: Path) -> None:
    samples = noise(1.0)
    samples[4000:4004] = [np.nan, np.inf, -np.inf, np.nan]
    path = tmp_path / "nan.wav"
    path.write_bytes(float_wav(samples))
    audio, texts = notices(path)
    assert texts == ["has 4 sample(s) that are not numbers, the first at 0.25 s: silence is put in their place"]
    assert not audio.samples[4000:4004].any()
    assert np.isfinite(audio.samples).all()


def test_an_audio_track_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    path.write_bytes(float_wav(np.zeros(0, np.float32)))
    assert refusal(path).startswith("has an audio track, but nothing in it can be decoded")


@pytest.mark.parametrize("seconds", [0.0001, 0.2])
def test_very_short_is_only_short(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "short.wav"
    write_wav(path, Audio(noise(seconds), 16000))
    assert read(path).duration == pytest.approx(seconds, abs=1 / 16000)


def test_silence_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    write_wav(path, Audio(np.zeros(48000, np.float32), 48000))
    audio, texts = notices(path)
    assert audio.duration == 1.0
    assert not audio.samples.any()
    assert texts == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    assert refusal(path) == "is not an ordinary file: save the recording to a file first"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    write_wav(path, Audio(noise(0.2), 16000))
    path.chmod(0)
    assert refusal(path) == "may not be read by this user: change its permissions"


def test_permission_denied_by_the_system_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.wav"
    write_wav(path, Audio(noise(0.2), 16000))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(path) == "may not be read by this user: change its permissions"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.wav\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.wav\n",
    ],
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str) -> None:
    write_wav(tmp_path / "other.wav", Audio(noise(1.0), 16000))
    path = tmp_path / "list.m3u8"
    path.write_text(text)
    refusal(path)


def test_a_name_that_no_system_allows() -> None:
    with pytest.raises(AudioError, match="cannot be opened"):
        probe(Path("a\0b.wav"))


@pytest.mark.parametrize("keep", [13, 40, 60, 100, 500])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.flac", "flac"), ("a.webm", "libopus")],
)
def test_the_first_bytes_of_a_file(tmp_path: Path, name: str, codec: str, keep: int) -> None:
    path = tmp_path / name
    path.write_bytes(encode(path, codec, 1.0)[:keep])
    with contextlib.suppress(AudioError):
        assert read(path).duration < 0.2


def float_wav(samples: np.ndarray) -> bytes:
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
