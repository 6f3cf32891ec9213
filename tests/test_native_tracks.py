"""Tracks at the recording's own rate and channels: the recording itself where one speaks alone, and voices in step."""

from __future__ import annotations

import functools
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from meetsplit import to_audio_segment
from meetsplit.pipeline.audio.native import open_native
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.cache import run_cache
from meetsplit.pipeline.cache.content import hash_recording
from meetsplit.pipeline.channels.crosstalk import crosstalk_spans
from meetsplit.pipeline.channels.recording import MultiFileRecording, together
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Stream, Turn, Voice, timeline
from meetsplit.pipeline.errors import AudioError, OutputError
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.overlap.regions import RegionOptions
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.overlap.verification import VerificationOptions
from meetsplit.pipeline.results.disk_space import check_disks
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.rendering import TrackOptions, TrackSource, render_tracks
from meetsplit.speakers.track_files import TrackFile, track_file
from meetsplit.speakers.tracks import FADE, TrackWriter

CACHED = 16000
TURNS = (Turn(Span(0.5, 3.0), "A"), Turn(Span(2.2, 4.5), "B"), Turn(Span(5.0, 6.5), "A"), Turn(Span(7.0, 9.9), "B"))
TURNS_AT_END = (*TURNS, Turn(Span(8.8, 9.7), "A"))
PLACES: Mapping[Speaker, Sequence[float]] = {"A": (1.6, 0.4, 1.0, 1.0, 1.0, 1.0), "B": (0.5, 1.5, 1.0, 1.0, 1.0, 1.0)}
SEAM = 0.03
Pcm = npt.NDArray[np.int16]


@functools.cache
def voice(speaker: Speaker, rate: int) -> Samples:
    """Ten seconds of the speaker's own sound, the same at every rate: 12 tones up to 3 kHz, in the turns."""
    rng = np.random.default_rng(ord(speaker))
    times = np.arange(10 * rate) / rate
    sound = np.zeros(len(times))
    for pitch, phase in zip(rng.uniform(80, 3000, 12), rng.uniform(0, 6.28, 12), strict=True):
        sound += np.sin(2 * np.pi * pitch * times + phase)
    speaks = np.zeros(len(times))
    for turn in TURNS_AT_END:
        if turn.speaker == speaker:
            inside = (times >= turn.span.start) & (times < turn.span.end)
            # Soft edges, so that the sound stays within its band.
            speaks[inside] = np.clip(np.minimum(times - turn.span.start, turn.span.end - times)[inside] / 0.01, 0, 1)
    return (0.04 * sound * speaks).astype(np.float32)


@functools.cache
def channels_of(rate: int, channels: int) -> npt.NDArray[np.float32]:
    """Both voices, each at its place between the channels, and a little noise of each channel's own."""
    noise = 1e-3 * np.random.default_rng(0).standard_normal((channels, 10 * rate))
    sound = sum(
        np.array(PLACES[who][:channels] if channels > 1 else [1.0])[:, None] * voice(who, rate) for who in PLACES
    )
    return np.asarray(sound + noise, np.float32)


def write(
    path: Path, samples: npt.NDArray[np.float32], rate: int, codec: str = "pcm_s16le", start: float = 0.0
) -> Path:
    """A file by PyAV's encoders, whose timestamps begin at ``start``."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        converter = av.AudioResampler(format=stream.codec_context.codec.audio_formats[0].name, layout=layout, rate=rate)
        for at in range(0, samples.shape[1], rate // 10):
            part = np.ascontiguousarray(samples[:, at : at + rate // 10])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at + round(start * rate), Fraction(1, rate)
            for converted in converter.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


class Oracle:
    """A separator that knows the voices, and leaves a hundredth of the mixture in each."""

    rate = CACHED

    def __init__(self) -> None:
        self._voices = {who: Audio(voice(who, CACHED), CACHED) for who in PLACES}

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        return {who: Voice(mixture.replaced(self._separate(who, mixture)), 1.0) for who in enrollment}

    def _separate(self, speaker: Speaker, mixture: Audio) -> Samples:
        return self._voices[speaker].crop(mixture.span).samples + np.float32(0.01) * mixture.samples


@dataclass(frozen=True)
class Finished:
    """Finished tracks, the recording as 16-bit samples, and what was cached of it."""

    tracks: Mapping[Speaker, Path]
    recording: Pcm
    rate: int
    streams: Sequence[Stream]
    cached: Mapping[Speaker, Path]

    def pcm(self, speaker: Speaker) -> Pcm:
        return pcm_of(self.tracks[speaker])


def pcm_of(path: Path) -> Pcm:
    """Samples of shape ``(n, channels)``; other decoders than ours: FFmpeg's."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        parts = [frame.to_ndarray().reshape(-1, stream.channels) for frame in container.decode(stream)]
    return np.concatenate(parts)


def separated(path: Path, folder: Path, turns: Sequence[Turn] = TURNS_AT_END) -> tuple[list[Stream], dict[str, Path]]:
    """The streams of a recording, and their tracks as the stage cache has them."""
    recording = read(path)
    verification = VerificationOptions(leakage=True)
    streams = list(speaker_streams(recording, turns, Oracle(), options=RegionOptions(), verification=verification))
    with TrackWriter(folder / "cached", recording) as tracks:
        for stream in streams:
            tracks.write(stream)
        return streams, tracks.finish()


def finished(path: Path, options: TrackOptions | None = None) -> Finished:
    options = options or TrackOptions()
    streams, cached = separated(path, path.parent)
    targets = {who: path.parent / "out" / f"{who}.{options.track_format}" for who in cached}
    source = TrackSource(path, None, tuple(cached))
    render_tracks(cached, [stream.info for stream in streams], [source], targets, options)
    with open_native(path) as native:
        samples = np.concatenate(list(native.seconds()), axis=1)
    recording = np.clip(np.rint(samples.T * 32768), -32768, 32767).astype(np.int16)
    return Finished(targets, recording, native.rate, streams, cached)


def masks(made: Finished, speaker: Speaker) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where the speaker is heard alone, and where a separated voice is, both without their edges."""
    alone, overlapped = np.zeros(len(made.recording), bool), np.zeros(len(made.recording), bool)

    def fill(mask: npt.NDArray[np.bool_], span: Span, edge: float, value: bool) -> None:
        mask[round((span.start + edge) * made.rate) : max(round((span.end - edge) * made.rate), 0)] = value

    own = [stream for stream in made.streams if stream.speaker == speaker]
    for stream in own:
        fill(alone, stream.span, FADE, True)
    for patch in (patch for stream in own for patch in stream.patches if patch.source != "mixture"):
        fill(alone, patch.span, 0.0, False)
        fill(overlapped, patch.span, SEAM, True)
    return alone, overlapped


@pytest.mark.parametrize(
    ("rate", "channels", "codec", "name"),
    [
        (48000, 2, "pcm_s16le", "a.wav"),
        (44100, 1, "flac", "a.flac"),
        (8000, 1, "pcm_mulaw", "a.wav"),
        (22050, 6, "pcm_s16le", "a.wav"),
        (96000, 1, "pcm_s24le", "a.wav"),
        (16000, 2, "pcm_f32le", "a.wav"),
        (48000, 2, "aac", "a.m4a"),
    ],
)
def test_a_track_is_the_recording_where_one_speaks_alone_and_the_voice_in_overlaps(
    tmp_path: Path, rate: int, channels: int, codec: str, name: str
) -> None:
    made = finished(write(tmp_path / name, channels_of(rate, channels), rate, codec))
    assert made.rate == rate
    for speaker in "AB":
        pcm = made.pcm(speaker)
        assert pcm.shape == made.recording.shape, "as long as the recording, with as many channels"
        alone, overlapped = masks(made, speaker)
        assert alone.sum() > 2.5 * rate
        assert np.array_equal(pcm[alone], made.recording[alone]), "bit by bit"
        heard = timeline.support(stream.span for stream in made.streams if stream.speaker == speaker)
        for gap in timeline.gaps(heard, Span(0.0, 10.0)):
            assert not pcm[round(gap.start * rate) + 1 : round(gap.end * rate) - 1].any()
        truth = voice(speaker, rate)[: len(pcm)]
        for number in range(channels):
            place = PLACES[speaker][number] if channels > 1 else 1.0
            error = pcm[overlapped, number] / 32768 - place * truth[overlapped]
            assert np.sqrt(np.mean(error**2)) < 0.06 * np.sqrt(np.mean(truth[overlapped] ** 2)) + 2e-3


def lag(one: Samples, other: Samples) -> int:
    """The number of samples by which ``other`` comes after ``one``, by their correlation."""
    size = 2 * len(one)
    correlation = np.fft.irfft(np.conj(np.fft.rfft(one, size)) * np.fft.rfft(other, size), size)
    return int((int(correlation.argmax()) + len(one)) % size - len(one))


@pytest.mark.parametrize("rate", [44100, 48000, 8000])
def test_voices_are_in_step_to_the_sample_up_to_the_end(tmp_path: Path, rate: int) -> None:
    made = finished(write(tmp_path / "a.wav", channels_of(rate, 1), rate))
    for span, speaker in ((Span(2.3, 2.9), "A"), (Span(2.3, 2.9), "B"), (Span(8.9, 9.6), "A"), (Span(8.9, 9.6), "B")):
        part = slice(round(span.start * rate), round(span.end * rate))
        assert lag(voice(speaker, rate)[part], made.pcm(speaker)[part, 0] / np.float32(32768)) == 0


def test_at_the_rate_of_the_cache_the_track_is_the_cached_one(tmp_path: Path) -> None:
    """In mono its very bytes; between two equal channels, each the same sound: whatever was decided holds in both."""
    mono = channels_of(CACHED, 1)
    made = finished(write(tmp_path / "a.wav", mono, CACHED))
    twice = finished(write(tmp_path / "b.wav", np.concatenate([mono, mono]), CACHED))
    down = finished(write(tmp_path / "c.wav", channels_of(48000, 2), 48000), TrackOptions(rate=CACHED, channels="mono"))
    for speaker in "AB":
        assert made.tracks[speaker].read_bytes() == made.cached[speaker].read_bytes()
        assert down.tracks[speaker].read_bytes() == down.cached[speaker].read_bytes()
        cached = pcm_of(made.cached[speaker]).astype(int)
        assert np.abs(twice.pcm(speaker) - cached).max() <= 1


def test_another_rate_and_mono_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", channels_of(44100, 2), 44100)
    stereo = finished(path, TrackOptions(rate=48000)).pcm("A")
    assert stereo.shape == (480000, 2)
    made = finished(path, TrackOptions(channels="mono"))
    alone, mono = masks(made, "A")[0], made.pcm("A")
    assert mono.shape == (441000, 1)
    assert np.abs(mono[alone, 0] - made.recording[alone].mean(axis=1)).max() <= 0.5
    resampled = resample(Audio(mono[:, 0] / np.float32(32768), 44100), 48000).samples
    inner = slice(48000, 96000)
    assert np.abs(resampled[inner] - stereo[inner].mean(axis=1) / 32768).max() < 1e-3


def test_seams_do_not_click(tmp_path: Path) -> None:
    """A steady tone stays as smooth at the seams as the recording is between them."""
    made = finished(write(tmp_path / "a.wav", channels_of(48000, 2), 48000))
    for speaker in "AB":
        pcm, alone = made.pcm(speaker).astype(int), masks(made, speaker)[0]
        steps = np.abs(np.diff(pcm, axis=0))
        assert steps.max() <= 1.2 * np.abs(np.diff(made.recording.astype(int), axis=0))[alone[1:]].max()


def test_what_is_muted_is_muted_at_every_rate(tmp_path: Path) -> None:
    """A has a turn in the middle of one of B's and says nothing in it: the voice is mere leakage, and is silenced."""
    turns = (*TURNS, Turn(Span(7.5, 8.4), "A"))
    path = write(tmp_path / "a.wav", channels_of(48000, 2), 48000)
    streams, cached = separated(path, tmp_path, turns)
    silenced = [patch.span for stream in streams for patch in stream.patches if patch.source == "silent"]
    assert [stream.speaker for stream in streams if stream.info.silent] == ["A"]
    targets = {who: tmp_path / f"{who}.wav" for who in cached}
    source = TrackSource(path, None, tuple(cached))
    render_tracks(cached, [stream.info for stream in streams], [source], targets)
    pcm = pcm_of(targets["A"])
    for span in silenced:
        assert not pcm[round((span.start + SEAM) * 48000) : round((span.end - SEAM) * 48000)].any()


@pytest.mark.parametrize("gate", ["soft", "hard"])
def test_the_noise_gate_does_the_same_at_every_rate(tmp_path: Path, gate: str) -> None:
    path = write(tmp_path / "a.wav", channels_of(48000, 2), 48000)
    plain, gated = finished(path), finished(path, TrackOptions(gate=gate))
    small = finished(path, TrackOptions(gate=gate, rate=CACHED, channels="mono"))
    for speaker in "AB":
        loud = np.abs(plain.pcm(speaker)[:, 0]) > 100
        gain = gated.pcm(speaker)[loud, 0] / plain.pcm(speaker)[loud, 0]
        times = np.flatnonzero(loud) * CACHED // 48000
        cached = pcm_of(plain.cached[speaker])[times, 0].astype(float)
        certain = np.abs(cached) > 100
        assert np.median(np.abs(gain[certain] - small.pcm(speaker)[times[certain], 0] / cached[certain])) < 0.02


# Files and their clocks


def test_sound_that_starts_late_in_its_container_starts_late_in_the_track(tmp_path: Path) -> None:
    sound = channels_of(48000, 2)
    made = finished(write(tmp_path / "a.mkv", sound[:, 48000:], 48000, start=1.0))
    assert len(made.recording) == 480000
    alone, _ = masks(made, "A")
    assert np.array_equal(made.pcm("A")[alone], made.recording[alone])
    part = slice(240000, 300000)
    assert lag(sound[0, part], made.pcm("A")[part, 0] / np.float32(32768)) == 0


@pytest.mark.parametrize("name", ["trimmed.m4a", "damaged.mp3", "rates.mp3", "channels.aac"])
def test_every_file_is_as_long_at_its_own_rate_as_it_was_analysed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    codec = {"m4a": "aac", "mp3": "libmp3lame", "aac": "aac"}[name.rpartition(".")[2]]
    whole = bytearray(write(path, channels_of(44100, 2), 44100, codec).read_bytes())
    match path.stem:
        case "damaged":
            whole[len(whole) // 2 : len(whole) // 2 + 400] = np.random.default_rng(1).bytes(400)
        case "rates":
            short = channels_of(22050, 2)[:, : 3 * 22050]  # each of its frames is resampled, which takes its time
            whole += write(tmp_path / "b.mp3", short, 22050, codec).read_bytes()
        case "channels":
            whole += write(tmp_path / "b.aac", channels_of(44100, 1), 44100, codec).read_bytes()
        case _:
            pass
    path.write_bytes(whole)
    analysed = read(path)
    with open_native(path) as native:
        blocks = list(native.seconds())
    assert {block.shape for block in blocks[:-1]} == {(2, native.rate)}
    length = sum(block.shape[1] for block in blocks)
    assert abs(length / native.rate - analysed.duration) <= 1 / CACHED
    mono = np.concatenate(blocks, axis=1).mean(axis=0)
    again = resample(Audio(mono, native.rate), CACHED).samples[: len(analysed.samples)]
    assert np.abs(again - analysed.samples[: len(again)]).max() < 1e-3


def test_a_recording_that_has_changed_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", channels_of(48000, 2), 48000)
    streams, cached = separated(path, tmp_path)
    source = TrackSource(path, hash_recording(path).files[path], tuple(cached))
    with path.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"other sound")
    targets = {who: tmp_path / "out" / f"{who}.wav" for who in cached}
    with pytest.raises(AudioError, match="has changed while it was being read"):
        render_tracks(cached, [stream.info for stream in streams], [source], targets)
    assert not (tmp_path / "out").exists()


# A channel or a file per person


def own_channels(
    folder: Path, rates: Mapping[Speaker, int], offset: float
) -> tuple[list[TrackSource], dict[str, Path]]:
    """A stereo microphone file per person with a tenth of the other in it, B's beginning ``offset`` seconds later; and
    the tracks in the stage cache, from which the other is taken.
    """
    streams: list[Stream] = []
    sources: list[TrackSource] = []
    for speaker, other, start in (("A", "B", 0.0), ("B", "A", offset)):
        rate = rates[speaker]
        sound = (voice(speaker, rate) + 0.1 * voice(other, rate))[round(start * rate) :]
        path = write(folder / f"{speaker}.wav", np.stack([sound, sound]), rate)
        clean = Audio(read(path).samples - 0.1 * voice(other, CACHED)[round(start * CACHED) :], CACHED, start)
        turns = timeline.by_speaker(TURNS_AT_END)
        for turn in turns[speaker]:
            streams.append(Stream(speaker, clean.crop(Span(turn.start - 0.1, turn.end + 0.1)), (turn,)))
        crosstalk = crosstalk_spans(turns[other])
        sources.append(TrackSource(path, None, (speaker,), start=start, crosstalk=crosstalk))
    streams.sort(key=lambda stream: stream.span.start)
    with TrackWriter(folder / "cached", Audio(np.zeros(10 * CACHED, np.float32), CACHED)) as tracks:
        for stream in streams:
            tracks.write(stream)
        cached = tracks.finish()
    targets = {speaker: folder / "out" / f"{speaker}.wav" for speaker in rates}
    render_tracks(cached, [stream.info for stream in streams], sources, targets)
    return sources, targets


def test_a_persons_own_microphone_keeps_its_rate_and_loses_only_the_others(tmp_path: Path) -> None:
    rates, offset = {"A": 48000, "B": 44100}, 1.2345
    sources, targets = own_channels(tmp_path, rates, offset)
    for speaker, source in zip("AB", sources, strict=True):
        rate, pcm = rates[speaker], pcm_of(targets[speaker])
        assert pcm.shape == (10 * rate, 2), "as long as the meeting"
        first = round(source.start * rate)
        recording = np.concatenate([np.zeros((first, 2), np.int16), pcm_of(source.path)])
        turns = [turn.span for turn in TURNS_AT_END if turn.speaker == speaker]
        for span in timeline.subtract(turns, source.crosstalk):
            part = slice(round(span.start * rate) + 1, round(span.end * rate) - 1)
            assert np.array_equal(pcm[part], recording[part])
        truth = voice(speaker, rate)
        for span in timeline.shared([turns, source.crosstalk]):
            part = slice(round(span.start * rate), round(span.end * rate))
            before, after = (np.std(sound[part, 0] / 32768 - truth[part]) for sound in (recording, pcm))
            assert after < max(0.1 * before, 1e-3)


# Formats, limits, memory


@pytest.mark.parametrize("track_format", ["flac", "mp3", "m4a"])
def test_compressed_tracks(tmp_path: Path, track_format: str) -> None:
    path = write(tmp_path / "a.wav", channels_of(44100, 2), 44100)
    plain, made = finished(path).pcm("A"), finished(path, TrackOptions(track_format)).tracks["A"]
    assert [found.name for found in sorted(made.parent.iterdir()) if found.suffix != ".wav"] == [
        f"{speaker}.{track_format}" for speaker in "AB"
    ]
    segment = to_audio_segment(made)
    assert (segment.frame_rate, segment.channels, segment.sample_width) == (44100, 2, 2)
    decoded = np.array(segment.get_array_of_samples()).reshape(-1, 2)
    if track_format == "flac":
        assert np.array_equal(decoded, plain)
    assert abs(len(decoded) - len(plain)) < 0.1 * 44100
    part = slice(44100, 88200)
    assert np.corrcoef(decoded[part, 0], plain[part, 0])[0, 1] > 0.98
    assert len(to_audio_segment(made, 1.0, 2.5)) == 1500


def test_formats_that_cannot_hold_the_recording(tmp_path: Path) -> None:
    """Too many channels are refused before any work; a rate that a format does not know becomes the next one."""
    many = write(tmp_path / "many.wav", channels_of(8000, 6), 8000)
    for outputs in (Outputs(tmp_path, track_format="mp3"), Outputs(tmp_path, track_format="mp3", track_rate=16000)):
        with pytest.raises(OutputError, match="has 6 channels, mp3 tracks hold 2 at most: use --track-channels mono"):
            check_disks(many, Settings(), outputs, tmp_path, elsewhere="-o")
    for outputs in (
        Outputs(tmp_path, track_format="flac"),
        Outputs(tmp_path, track_format="mp3", track_channels="mono"),
    ):
        check_disks(many, Settings(), outputs, tmp_path, elsewhere="-o")
    with pytest.raises(OutputError, match="has 6 channels"):
        finished(many, TrackOptions("mp3"))
    made = finished(write(tmp_path / "high.wav", channels_of(96000, 1), 96000), TrackOptions("mp3"))
    assert to_audio_segment(made.tracks["A"]).frame_rate == 48000


def test_a_track_of_more_than_4_gb_is_rf64(tmp_path: Path) -> None:
    """Ten hours at 48 kHz in stereo, nearly all of it silence, so that it takes no room."""
    length, path = 10 * 3600 * 48000, tmp_path / "long.wav"
    tone = np.full((4800, 2), 1000, np.int16)

    def fill(file: TrackFile) -> None:
        file.write(tone)
        file.silence(length - 9600)
        file.write(tone)

    with track_file(path, 48000, 2, length) as file:
        fill(file)
    assert path.stat().st_size == 80 + 4 * length > 2**32
    assert path.stat().st_blocks * 512 < 1e6
    with path.open("rb") as written:
        assert written.read(4) == b"RF64"
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        assert (stream.rate, stream.channels, stream.duration) == (48000, 2, length)
        container.seek(length - 4800, stream=stream)
        frame = next(container.decode(stream))
        assert frame.to_ndarray().reshape(-1, 2)[-1].tolist() == [1000, 1000]


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak(repeats: int) -> int:
        path = write(tmp_path / f"{repeats}.wav", np.tile(channels_of(48000, 2), (1, repeats)), 48000)
        turns = [
            Turn(Span(turn.span.start + 10 * number, turn.span.end + 10 * number), turn.speaker)
            for number in range(repeats)
            for turn in TURNS
        ]
        recording = read(path)
        streams = list(speaker_streams(recording, turns, PassthroughVoices()))
        with TrackWriter(tmp_path / "cached", recording) as tracks:
            for stream in streams:
                tracks.write(stream)
            cached = tracks.finish()
        clips = [stream.info for stream in streams]
        targets = {who: tmp_path / "out" / f"{who}.wav" for who in cached}
        del recording, streams
        tracemalloc.start()
        render_tracks(cached, clips, [TrackSource(path, None, tuple(cached))], targets)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(4) <= 1.05 * peak(2) + 100_000


class PassthroughVoices:
    """A separator whose voices are the mixture, quieter: different from it, so that they are played."""

    rate = CACHED

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        return {who: Voice(mixture.replaced(mixture.samples * np.float32(0.5)), 1.0) for who in enrollment}


# Runs through the command's own way


def burst(at: float, rate: int) -> Samples:
    """Six seconds of faint noise with speech-like loud noise from ``at`` on, for 1.5 s."""
    times = np.arange(6 * rate) / rate
    noise = np.random.default_rng(round(at * 10)).standard_normal(len(times))
    loud = (times >= at) & (times < at + 1.5)
    return (np.where(loud, 0.1 * (1.2 + np.sin(2 * np.pi * 4 * times)), 2e-4) * noise).astype(np.float32)


def results_of(recording: Path | MultiFileRecording, folder: Path, **outputs: object) -> Mapping[Speaker, Path]:
    """The published tracks of a recording with a microphone per person, called like the people or the labels."""
    (folder / "words.ctm").write_text("x 1 1.0 0.5 good\n")
    settings = Settings(channels="split", script=folder / "words.ctm", device="cpu")
    with run_cache.open_cache(recording, settings, keep=False) as stage_cache:
        written = run_and_write(
            Pipeline(settings),
            recording,  # type: ignore[arg-type]
            Outputs(folder / "out", formats=("json",), **outputs),  # type: ignore[arg-type]
            cache=stage_cache,
            on_event=ignore_events,
        )
    return {path.stem: path for path in written.tracks.values()}


def test_each_channel_of_a_call_is_a_mono_track_at_its_own_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "call.wav", np.stack([burst(0.5, 8000), burst(3.5, 8000)]), 8000)
    tracks, recording = results_of(path, tmp_path), pcm_of(path)
    for number, (label, at) in enumerate((("SPEAKER_00", 0.5), ("SPEAKER_01", 3.5))):
        pcm = pcm_of(tracks[label])
        assert pcm.shape == (48000, 1)
        speech = slice(round(at * 8000), round((at + 1.5) * 8000))
        assert np.array_equal(pcm[speech, 0], recording[speech, number])
        assert not pcm[round((3.0 - at) * 8000) :][:4000].any()


def test_files_of_one_meeting_become_tracks_of_one_length_each_at_its_own_rate(tmp_path: Path) -> None:
    anna = write(tmp_path / "Anna.wav", np.stack([burst(0.5, 48000), 0.5 * burst(0.5, 48000)]), 48000)
    ben = write(tmp_path / "Ben.flac", burst(2.0, 44100)[None], 44100, "flac")
    tracks = results_of(together("talk", [anna, f"{ben}@1.25"]), tmp_path)
    assert tracks.keys() == {"Anna", "Ben"}
    first, second = pcm_of(tracks["Anna"]), pcm_of(tracks["Ben"])
    assert (first.shape, second.shape) == ((348000, 2), (319725, 1)), "7.25 s each"
    assert np.array_equal(first[24000:96000], pcm_of(anna)[24000:96000])
    at, own = round(1.25 * 44100), slice(2 * 44100, round(3.5 * 44100))
    assert np.array_equal(second[at:][own], pcm_of(ben).reshape(-1, 1)[own])
