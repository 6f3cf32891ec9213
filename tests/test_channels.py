"""Recordings with a channel per speaker: voice activity, crosstalk cancellation, and meetings of several files."""

from __future__ import annotations

import difflib
import importlib.util
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.pipeline.audio.memmap import release_pages, to_memmap
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.cache.keys import cache_keys
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels import reading
from meetsplit.pipeline.channels.activity import diarize_channels, streams, timebase
from meetsplit.pipeline.channels.crosstalk import apply_fir, cancel_crosstalk, fit_fir
from meetsplit.pipeline.channels.recording import MultiFileRecording, SpeakerFile, together
from meetsplit.pipeline.data import Audio, Samples, Span, timeline
from meetsplit.pipeline.errors import AudioError, OutputError, SettingsError
from meetsplit.pipeline.events import Event, Finished, Notice, ignore_events
from meetsplit.pipeline.formats import read_transcript
from meetsplit.pipeline.models.selection import preflight
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Settings, from_toml

RATE, LENGTH = 16000, 18.0
SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"
UTTERANCES = (
    (
        0.5,
        (0.85, 6.43),
        0,
        "good morning everyone let us start with our plan for this week and then we can talk about the money",
    ),
    (6.8, (19.78, 23.38), 1, "i still need the numbers from the other office before i can finish it"),
    (
        11.0,
        (6.93, 11.99),
        0,
        "the most important thing is the report we have to send it to the customers before friday",
    ),
    (15.2, (61.13, 63.36), 1, "so how much money do we have left for this year"),
)
"""Utterances: start in the call, span in the sample meeting, channel, words. The last two overlap."""


def clean_channels(length: float = LENGTH) -> tuple[Samples, Samples]:
    """Each channel's own speech without crosstalk or noise."""
    sample = read(SAMPLE)
    clean = np.zeros((2, round(length * RATE)), np.float32)
    for at, (start, end), number, _ in UTTERANCES:
        speech = sample.crop(Span(start, end)).samples
        clean[number, round(at * RATE) :][: len(speech)] += speech
    return clean[0], clean[1]


def call(
    gain: float = 0.1,
    delay: int = 90,
    mics: Sequence[float] = (1.0, 1.0),
    noise: float = 5e-4,
    silent: int | None = None,
) -> list[Audio]:
    """Both channels: own speech, crosstalk from the other, noise, and a microphone that may be set too low."""
    rng, own = np.random.default_rng(3), list(clean_channels())
    if silent is not None:
        own[silent] = np.zeros_like(own[silent])
    channels = []
    for number in (0, 1):
        crosstalk = np.concatenate([np.zeros(delay, np.float32), own[1 - number]])[: len(own[number])]
        mixed = own[number] + gain * crosstalk + noise * rng.standard_normal(len(crosstalk))
        channels.append(Audio((mics[number] * mixed).astype(np.float32), RATE))
    return channels


def true_turns(number: int) -> tuple[Span, ...]:
    return tuple(Span(at, at + end - start) for at, (start, end), channel, _ in UTTERANCES if channel == number)


def write_channels(path: Path, channels: Sequence[Audio]) -> Path:
    samples = np.stack([audio.samples for audio in channels], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


# Voice activity


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gain": 0.0},
        {"gain": 0.32},
        {"delay": 2400},
        {"mics": (1.0, 0.15)},
        {"mics": (0.3, 3.0)},
        {"noise": 3e-3},
        {"noise": 0.0},
        {"silent": 1},
        {"silent": 1, "mics": (1.0, 4.0)},
    ],
    ids=str,
)
def test_crosstalk_makes_no_turn_and_speech_does(options: dict[str, object]) -> None:
    diarization = diarize_channels(tuple(call(**options)))  # type: ignore[arg-type]
    turns = timeline.by_speaker(diarization.turns)
    owners = dict(diarization.channels)
    silent = options.get("silent")
    assert sorted(owners.values()) == ([0] if silent == 1 else [0, 1])
    assert list(owners) == sorted(owners)
    for label, number in owners.items():
        truth = true_turns(number)
        assert timeline.total(timeline.subtract(turns[label], timeline.widened(truth, 0.1))) == 0.0
        # A sentence has pauses, which are no speech either.
        assert timeline.total(timeline.subtract(truth, turns[label])) < 0.2 * timeline.total(truth)


def test_silence_and_noise_make_no_turns() -> None:
    rng = np.random.default_rng(0)
    hiss = [Audio((0.01 * rng.standard_normal(20 * RATE)).astype(np.float32), RATE) for _ in range(2)]
    assert diarize_channels(tuple(hiss)).turns == ()
    assert (
        diarize_channels((Audio(np.zeros(RATE, np.float32), RATE), Audio(np.zeros(RATE, np.float32), RATE))).turns == ()
    )
    assert diarize_channels((Audio(np.zeros(0, np.float32), RATE), Audio(np.zeros(0, np.float32), RATE))).turns == ()


def test_three_channels() -> None:
    first, second = clean_channels()
    third = read(SAMPLE).crop(Span(41.73, 48.28)).samples
    length = len(first) + 8 * RATE
    clean = np.zeros((3, length), np.float32)
    clean[0, : len(first)], clean[1, : len(second)] = first, second
    clean[2, len(first) :][: len(third)] = third
    noise = np.random.default_rng(0).standard_normal((3, length)) * 5e-4
    channels = tuple(
        Audio((row + 0.1 * (clean.sum(axis=0) - row) + hiss).astype(np.float32), RATE)
        for row, hiss in zip(clean, noise, strict=True)
    )
    diarization = diarize_channels(channels)
    assert dict(diarization.channels) == {"SPEAKER_00": 0, "SPEAKER_01": 1, "SPEAKER_02": 2}
    assert timeline.total(timeline.by_speaker(diarization.turns)["SPEAKER_02"]) == pytest.approx(6.5, abs=1.0)


# Crosstalk


def test_a_filter_is_fitted_and_predicts() -> None:
    rng = np.random.default_rng(1)
    margin = 5000
    source = rng.standard_normal(4 * RATE + 2 * margin).astype(np.float32)
    taps = np.array([0.0, 0.1, -0.05, 0.02])
    target = np.convolve(source, taps)[margin - 800 :][: 4 * RATE].astype(np.float32)
    mask = np.ones(len(target), np.float32)
    fitted = fit_fir(source, target, mask, margin)
    assert fitted is not None
    assert decibels(target - apply_fir(fitted, source, margin, len(target))) < decibels(target) - 30
    unrelated = rng.standard_normal(len(target)).astype(np.float32)
    assert fit_fir(source, unrelated, mask, margin) is None


@pytest.mark.parametrize("delay", [0, 90, 2400])
def test_crosstalk_is_cancelled_and_own_speech_stays(delay: int, tmp_path: Path) -> None:
    channels, own = call(delay=delay), clean_channels()
    cancelled = cancel_crosstalk(channels, (true_turns(0), true_turns(1)), tmp_path)
    for number, audio in enumerate(cancelled):
        assert audio.span == channels[number].span
        for span in timeline.subtract(true_turns(1 - number), true_turns(number)):
            before, after = channels[number].crop(span).samples, audio.crop(span).samples
            assert decibels(after) < decibels(before) - 10
        far = timeline.gaps(timeline.widened(true_turns(1 - number), 0.3), audio.span)
        assert far
        for span in far:
            assert np.array_equal(audio.crop(span).samples, channels[number].crop(span).samples)
        overlap = Span(15.3, 16.0)
        error = audio.crop(overlap).samples - Audio(own[number], RATE).crop(overlap).samples
        assert decibels(error) < decibels(Audio(own[number], RATE).crop(overlap).samples) - 20


def test_streams_are_the_speakers_own_channels(tmp_path: Path) -> None:
    channels = tuple(call())
    diarization = diarize_channels(channels)
    all_streams = list(streams(channels, diarization, tmp_path))
    order = [(stream.audio.start, stream.speaker) for stream in all_streams]
    assert order == sorted(order)
    for label, number in diarization.channels:
        own = [stream for stream in all_streams if stream.speaker == label]
        turns = timeline.by_speaker(diarization.turns)[label]
        assert tuple(span for stream in own for span in stream.turns) == turns
        first = own[0]
        if number == 0:  # before the other speaker has spoken
            assert np.array_equal(first.audio.samples, channels[0].crop(first.span).samples)


# Long audio


def test_memory_mapped_audio_is_the_same(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(100_001).astype(np.float32)
    mapped = to_memmap((samples[at : at + 7000] for at in range(0, len(samples), 7000)), tmp_path / "new")
    audio = Audio(mapped, RATE)
    assert np.array_equal(audio.samples, samples)
    part = audio.crop(Span(1.0, 2.0))
    release_pages(part)
    assert np.array_equal(part.samples, samples[RATE : 2 * RATE])
    assert not list((tmp_path / "new").iterdir())
    release_pages(Audio(samples, RATE))
    assert len(to_memmap([], tmp_path)) == 0


def test_no_room_for_a_memory_map_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be put down there"):
        to_memmap([np.zeros(10, np.float32)], tmp_path / "file")


def test_long_recordings_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_channels(tmp_path / "call.wav", call())
    plain = read(path, 8000)
    monkeypatch.setattr("meetsplit.pipeline.audio.reading.IN_MEMORY", 1.0)
    assert np.array_equal(read(path, 8000, folder=tmp_path).samples, plain.samples)


# Settings and suggestions


def test_recordings_and_settings_that_cannot_be_split_are_refused(tmp_path: Path) -> None:
    mono = tmp_path / "mono.wav"
    write_wav(mono, call()[0])
    with pytest.raises(AudioError, match="has one channel"):
        reading.read_channels(mono, RATE, tmp_path, ignore_events)
    with pytest.raises(AudioError, match="hold the same sound"):
        reading.read_channels(write_channels(tmp_path / "twice.wav", [call()[0]] * 2), RATE, tmp_path, ignore_events)
    with pytest.raises(SettingsError, match="channels are the number of speakers"):
        Settings(channels="split", num_speakers=2)
    with pytest.raises(SettingsError, match="who speaks: drop"):
        Settings(channels="split", diarizer="embedded")
    with pytest.raises(SettingsError, match="--channels both"):
        Settings(channels="both")  # type: ignore[arg-type]


def test_channels_that_share_most_speech_are_noticed(tmp_path: Path) -> None:
    mixture = sum(clean_channels())
    rng, events = np.random.default_rng(0), list[Event]()
    room = [
        np.asarray(np.roll(mixture, shift) + 0.01 * rng.standard_normal(len(mixture)), np.float32) for shift in (0, 900)
    ]
    reading.read_channels(
        write_channels(tmp_path / "room.wav", [Audio(samples, RATE) for samples in room]), RATE, tmp_path, events.append
    )
    assert [
        event.text
        for event in events
        if isinstance(event, Notice) and "most speech is in several channels" in event.text
    ]


def test_channels_in_a_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "meetsplit.toml"
    file.write_text('channels = "split"\n')
    assert from_toml(file) == {"channels": "split"}


def test_splitting_needs_no_diarization_model(tmp_path: Path) -> None:
    script = tmp_path / "words.stm"
    script.write_text("")
    asked = Settings(channels="split", script=script, cache_dir=tmp_path)
    plan = preflight(asked)
    assert [(choice.stage, choice.backend) for choice in plan.backends] == [
        ("diarizer", "channels"),
        ("transcriber", "script"),
    ]
    mixed = Settings(rttm=script, script=script, separator="none", cache_dir=tmp_path)
    assert cache_keys("c0ffee", asked, plan).diarize != cache_keys("c0ffee", mixed, preflight(mixed)).diarize


def test_calls_are_suggested_to_be_split_and_rooms_are_not(tmp_path: Path) -> None:
    suggestion = reading.suggest_split(write_channels(tmp_path / "call.wav", call()))
    assert suggestion is not None
    assert "--channels split" in suggestion
    mixture = sum(clean_channels())
    room = [
        Audio(np.asarray(gain * np.roll(mixture, shift), np.float32), RATE) for gain, shift in ((1.0, 0), (0.8, 12))
    ]
    one_silent = [call()[0], Audio(np.zeros(len(mixture), np.float32), RATE)]
    for name, channels in (("room", room), ("silent", one_silent), ("crosstalk", call(silent=1)), ("mono", call()[:1])):
        assert reading.suggest_split(write_channels(tmp_path / f"{name}.wav", channels)) is None
    (tmp_path / "text.wav").write_text("no sound")
    assert reading.suggest_split(tmp_path / "text.wav") is None


# Several files


def test_offsets_of_files() -> None:
    assert SpeakerFile.parse("ben.wav@1.5") == SpeakerFile(Path("ben.wav"), 1.5)
    assert SpeakerFile.parse("ben.wav") == SpeakerFile(Path("ben.wav"))
    for text, message in (
        ("ben.wav@soon", "no number of seconds"),
        ("ben.wav@-1", "begins first has 0"),
        ("ben.wav@nan", "begins first"),
    ):
        with pytest.raises(SettingsError, match=message):
            SpeakerFile.parse(text)
    with pytest.raises(SettingsError, match="one file is nobody's meeting"):
        together("standup", ["anna.wav"])
    with pytest.raises(SettingsError, match="without a folder"):
        together("out/standup", ["anna.wav", "ben.wav"])


def test_an_existing_file_with_an_at_sign_has_no_offset(tmp_path: Path) -> None:
    odd = tmp_path / "ben@2.wav"
    odd.write_bytes(b"x")
    assert SpeakerFile.parse(str(odd)) == SpeakerFile(odd)


def test_files_lie_on_one_clock(tmp_path: Path) -> None:
    both = call()
    write_wav(tmp_path / "anna.wav", both[0])
    write_wav(tmp_path / "ben.wav", both[1].crop(Span(2.0, LENGTH)))
    meeting = together("standup", [tmp_path / "anna.wav", f"{tmp_path / 'ben.wav'}@2"])
    channels = reading.read_channels(meeting, RATE, tmp_path, ignore_events)
    assert [audio.start for audio in channels] == [0.0, 2.0]
    assert timebase(channels).span == Span(0.0, LENGTH)
    diarization = diarize_channels(channels, meeting.speaker_names)
    assert diarization.names == (("SPEAKER_00", "anna"), ("SPEAKER_01", "ben"))
    unshifted = diarize_channels(tuple(both))
    pairs = list(zip(diarization.turns, unshifted.turns, strict=True))
    assert all(a.speaker == b.speaker and abs(a.span.start - b.span.start) < 0.05 for a, b in pairs)
    later = MultiFileRecording("standup", (meeting.microphones[0], SpeakerFile(tmp_path / "ben.wav", 2.5)))
    assert len({recording_sha256(meeting), recording_sha256(later), recording_sha256(tmp_path / "anna.wav")}) == 3
    with pytest.raises(SettingsError, match="choose --channels split"):
        Pipeline(Settings()).open(meeting, StageCache(tmp_path / "bench"))


# Whole runs


def word_similarity(reference: str, hypothesis: str) -> float:
    return difflib.SequenceMatcher(None, reference.split(), hypothesis.split(), autojunk=False).ratio()


@pytest.mark.skipif(importlib.util.find_spec("pocketsphinx") is None, reason="the extra [offline] is not installed")
def test_a_call_with_crosstalk_has_each_word_once_under_the_right_speaker(tmp_path: Path) -> None:
    """10 % of each voice is in the other channel, part of it in overlaps. No words come twice."""
    path, out = write_channels(tmp_path / "call.wav", call(gain=0.1)), tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "run",
                str(path),
                "--channels",
                "split",
                "--transcriber",
                "sphinx",
                "-o",
                str(out),
                "-f",
                "json",
                "--no-cache",
                "-q",
            ]
        )
    assert ended.value.code == 0
    transcript = read_transcript((out / "call.json").read_text("utf-8"))
    assert transcript.speakers == ("SPEAKER_00", "SPEAKER_01")
    for number, label in enumerate(transcript.speakers):
        reference = " ".join(text for *_, channel, text in UTTERANCES if channel == number)
        hypothesis = " ".join(segment.text for segment in transcript.segments if segment.speaker == label)
        assert word_similarity(reference, hypothesis) >= 0.7, hypothesis
        assert abs(len(hypothesis.split()) - len(reference.split())) <= 5
        with wave.open(str(out / "call" / f"{label}.wav")) as track:
            assert track.getnframes() == LENGTH * RATE
            pcm = np.frombuffer(track.readframes(track.getnframes()), np.int16)
        other_speaks = Span(1.0, 6.0) if number else Span(7.2, 10.0)
        assert not pcm[round(other_speaks.start * RATE) : round(other_speaks.end * RATE)].any()
    assert any(segment.overlap for segment in transcript.segments)
    record = next(record for record in transcript.made_by.stages if record.stage == "diarizer")
    assert record.why == "one channel per person: SPEAKER_00 on channel 1, SPEAKER_01 on channel 2"
    assert transcript.names == ()


def test_several_files_are_one_meeting_with_their_names(tmp_path: Path) -> None:
    channels, script = call(gain=0.1), tmp_path / "words.stm"
    script.write_text(
        "".join(f"standup 1 x {at} {at + end - start} {text}\n" for at, (start, end), _, text in UTTERANCES[:2])
    )
    write_wav(tmp_path / "anna.wav", channels[0])
    write_wav(tmp_path / "ben.wav", channels[1].crop(Span(1.5, LENGTH)))
    options = [
        str(tmp_path / "anna.wav"),
        f"{tmp_path / 'ben.wav'}@1.5",
        "--together",
        "standup",
        "--script",
        str(script),
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", *options, "-o", str(tmp_path / "out"), "-f", "json,txt", "--no-cache", "-q"])
    assert ended.value.code == 0
    transcript = read_transcript((tmp_path / "out" / "standup.json").read_text("utf-8"))
    assert transcript.recording == "standup"
    assert transcript.duration == LENGTH
    assert dict(transcript.names) == {"SPEAKER_00": "anna", "SPEAKER_01": "ben"}
    for number, label in enumerate(transcript.speakers):
        words = " ".join(segment.text for segment in transcript.segments if segment.speaker == label)
        assert words == " ".join(text for *_, channel, text in UTTERANCES[:2] if channel == number)
        with wave.open(str(tmp_path / "out" / "standup" / f"{transcript.name_of(label)}.wav")) as track:
            assert track.getnframes() == LENGTH * RATE


def test_finished_stages_are_cached_and_given_turns_make_no_suggestion(tmp_path: Path) -> None:
    path, script = write_channels(tmp_path / "call.wav", call()), tmp_path / "words.stm"
    script.write_text("call 1 x 1.0 2.0 good morning\n")
    events: list[Event] = []
    for _ in range(2):
        events.clear()
        split = Settings(channels="split", script=script)
        transcript = Pipeline(split, on_event=events.append).open(path, StageCache(tmp_path / "bench")).transcript()
        assert transcript.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert not [event for event in events if isinstance(event, Finished)]
    rttm = tmp_path / "empty.rttm"
    rttm.write_text("")
    pipeline = Pipeline(Settings(script=script, rttm=rttm, separator="none"), on_event=events.append)
    pipeline.open(path, StageCache(tmp_path / "bench")).transcript()
    assert not [event for event in events if isinstance(event, Notice) and "--channels" in event.text]
