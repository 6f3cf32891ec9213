"""Tracks in the stage cache: exact length, the recording's own samples, silence, fades, and nothing left behind."""

from __future__ import annotations

import itertools
import os
import tempfile
import tracemalloc
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meetsplit.pipeline import files
from meetsplit.pipeline.data import Audio, Span, Stream, Turn, timeline
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.overlap.regions import RegionOptions
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.separators.passthrough import PassthroughSeparator
from meetsplit.speakers.tracks import FADE, TrackWriter

RATE = 8000
EDGE = round(FADE * RATE)
turn = st.builds(
    lambda who, at, ticks: Turn(Span(at / 20, (at + ticks) / 20), who),
    st.sampled_from("ABCDE"),
    st.integers(0, 125),
    st.integers(1, 130),
)
Pcm = npt.NDArray[np.int16]


def sixteen_bit(seconds: float = 6.0) -> tuple[Audio, Pcm]:
    """Noise that falls and rises slowly, as float and as the 16-bit samples that it came from."""
    count = round(seconds * RATE)
    noise = np.random.default_rng(7).normal(0.0, 4000.0, count) * (1.2 + np.sin(np.arange(count) / RATE))
    whole = np.clip(np.rint(noise), -32768, 32767).astype(np.int16)
    return Audio((whole / 32768).astype(np.float32), RATE), whole


def streams_of(recording: Audio, turns: Sequence[Turn], options: RegionOptions | None = None) -> list[Stream]:
    return list(speaker_streams(recording, turns, PassthroughSeparator(), options=options or RegionOptions()))


def pcm_of(path: Path) -> Pcm:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert path.stat().st_size == 44 + 2 * file.getnframes()
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def tracks_of(folder: Path, recording: Audio, streams: Sequence[Stream]) -> dict[str, Pcm]:
    with TrackWriter(folder, recording) as tracks:
        for stream in streams:
            tracks.write(stream)
        return {speaker: pcm_of(path) for speaker, path in tracks.finish().items()}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(turn, max_size=12),
    st.sampled_from([RegionOptions(), RegionOptions(longest=1.5), RegionOptions(padding=0.0, shortest=0.0)]),
)
def test_any_meeting(turns: list[Turn], options: RegionOptions) -> None:
    recording, whole = sixteen_bit()
    streams = streams_of(recording, turns, options)
    with tempfile.TemporaryDirectory() as folder:
        tracks = tracks_of(Path(folder), recording, streams)
        assert sorted(os.listdir(folder)) == [f"{speaker}.wav" for speaker in sorted(tracks)]
    assert set(tracks) == {stream.speaker for stream in streams}
    for speaker, pcm in tracks.items():
        assert len(pcm) == len(whole)
        inside, edges = np.zeros(len(whole), bool), np.zeros(len(whole), bool)
        for stretch in timeline.support(stream.span for stream in streams if stream.speaker == speaker):
            first, last = recording.index(stretch.start), recording.index(stretch.end)
            inside[first:last] = True
            edges[first : first + (EDGE if first else 0)] = True
            edges[last - (EDGE if last < len(whole) else 0) : last] = True
        assert not pcm[~inside].any()
        # Without a separator every stream is the recording: between the edges every track must be, bit by bit.
        assert np.array_equal(pcm[inside & ~edges], whole[inside & ~edges])
        assert (np.abs(pcm[edges].astype(int)) <= np.abs(whole[edges].astype(int)) + 1).all()
        padded = [
            own
            for s in streams
            if s.speaker == speaker
            for own in s.turns
            if s.span.start <= own.start - FADE and own.end + FADE <= s.span.end
        ]
        for own in padded:
            clean = slice(recording.index(own.start), recording.index(own.end))
            assert np.array_equal(pcm[clean], whole[clean])


def test_edges_do_not_click(tmp_path: Path) -> None:
    recording = Audio(np.full(6 * RATE, 0.5, np.float32), RATE)
    turns = [Turn(Span(1, 2), "A"), Turn(Span(2, 3), "B"), Turn(Span(2.5, 4), "A")]
    for pcm in tracks_of(tmp_path, recording, streams_of(recording, turns)).values():
        assert np.abs(np.diff(pcm.astype(int))).max() <= 0.5 * 32768 / EDGE + 1


def test_a_turn_that_was_cut_continues_without_a_fade(tmp_path: Path) -> None:
    recording, whole = sixteen_bit(60.0)
    streams = streams_of(recording, [Turn(Span(1, 59), "A")])
    assert len(streams) > 1
    pcm = tracks_of(tmp_path, recording, streams)["A"]
    assert np.array_equal(pcm[RATE : 59 * RATE], whole[RATE : 59 * RATE])


def test_stretches_that_only_touch_continue_as_well(tmp_path: Path) -> None:
    recording, whole = sixteen_bit()
    halves = [Stream("A", recording.crop(Span(at, at + 1)), (Span(at, at + 1),)) for at in (1.0, 2.0)]
    assert np.array_equal(
        tracks_of(tmp_path, recording, halves)["A"][RATE + EDGE : 3 * RATE - EDGE], whole[RATE + EDGE : 3 * RATE - EDGE]
    )


def test_from_the_first_sample_to_the_last_nothing_fades(tmp_path: Path) -> None:
    recording, whole = sixteen_bit()
    assert np.array_equal(tracks_of(tmp_path, recording, streams_of(recording, [Turn(Span(0, 6), "A")]))["A"], whole)


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    recording = Audio(np.tile(np.array([1.7, -1.7], np.float32), RATE), RATE)
    pcm = tracks_of(tmp_path, recording, streams_of(recording, [Turn(Span(0, 2), "A")]))["A"]
    assert (pcm.max(), pcm.min()) == (32767, -32768)


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    recording, _ = sixteen_bit()
    existing = tmp_path / "there before"
    existing.mkdir()
    for folder in (tmp_path / "new" / "deep", existing):
        with pytest.raises(KeyboardInterrupt), TrackWriter(folder, recording) as tracks:  # noqa: PT012
            for stream in streams_of(recording, [Turn(Span(0, 2), "A"), Turn(Span(1, 3), "B")]):
                tracks.write(stream)
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["there before"]


def test_a_track_of_an_earlier_run_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    recording, _ = sixteen_bit()
    old = tmp_path / "A.wav"
    old.write_bytes(b"old")
    with TrackWriter(tmp_path, recording) as tracks:
        tracks.write(streams_of(recording, [Turn(Span(0, 2), "A")])[0])
        assert old.read_bytes() == b"old"
        tracks.finish()
    assert len(pcm_of(old)) == len(recording.samples)


def test_without_speech_no_folder_is_made(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "new", sixteen_bit()[0]) as tracks:
        assert tracks.finish() == {}
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    recording, _ = sixteen_bit()
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(OutputError, match=r"file.A\.wav cannot be written: .*choose another folder"),
        TrackWriter(tmp_path / "file", recording) as tracks,
    ):
        tracks.write(streams_of(recording, [Turn(Span(0, 2), "A")])[0])


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits on the size of files are a thing of POSIX")
    signal = pytest.importorskip("signal")
    recording, _ = sixteen_bit()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written"), TrackWriter(tmp_path / "new", recording) as tracks:
            tracks.write(streams_of(recording, [Turn(Span(0, 2), "A")])[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_recordings_that_no_wav_can_hold_are_refused(tmp_path: Path) -> None:
    endless = Audio(np.broadcast_to(np.zeros(1, np.float32), (2**31,)), RATE)
    with pytest.raises(OutputError, match="75 h"):
        TrackWriter(tmp_path, endless)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def used(seconds: int) -> int:
        recording = Audio(np.zeros(seconds * RATE, np.float32), RATE)
        streams = streams_of(
            recording,
            [Turn(Span(at, at + 0.5), who) for at, who in zip(range(seconds), itertools.cycle("ABC"), strict=False)],
        )
        tracemalloc.start()
        tracks = TrackWriter(tmp_path, recording)
        for stream in streams:
            tracks.write(stream)
        tracks.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert used(300) <= 1.1 * used(60) + 10_000


def test_finished_tracks_are_synced_before_and_after_their_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Recorded(files.Disk):
        def fsync(self, file: IO[bytes]) -> None:
            calls.append("fsync")

        def replace(self, source: Path, target: Path) -> None:
            calls.append(target.name)
            super().replace(source, target)

        def sync_folder(self, folder: Path) -> None:
            calls.append(folder.name)

    recording, _ = sixteen_bit()
    with TrackWriter(tmp_path / "tracks", recording) as tracks:
        for stream in streams_of(recording, [Turn(Span(0, 2), "A"), Turn(Span(3, 5), "B")]):
            tracks.write(stream)
        monkeypatch.setattr(files, "disk", Recorded())
        tracks.finish()
    assert calls == ["fsync", "fsync", "A.wav", "B.wav", "tracks"]


def test_tracks_are_private(tmp_path: Path) -> None:
    recording, _ = sixteen_bit()
    tracks_of(tmp_path / "cache" / "tracks", recording, streams_of(recording, [Turn(Span(0, 2), "A")]))
    assert [(path.name, oct(path.stat().st_mode & 0o777)) for path in sorted((tmp_path / "cache").rglob("*"))] == [
        ("tracks", "0o700"),
        ("A.wav", "0o600"),
    ]
