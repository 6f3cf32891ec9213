"""A channel per person: whose is what is said there, what is bleed, and how several files become one meeting."""

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
from meetsplit.pipeline.cache.stage_cache import StageCache, cache_keys
from meetsplit.pipeline.channels import reading
from meetsplit.pipeline.channels.activity import clock, diarized, streams
from meetsplit.pipeline.channels.crosstalk import cancel_crosstalk, fitted, through
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
SAID = (
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
"""What is said: when, from where in the sample meeting, on which channel. The last two overlap."""


def alone(length: float = LENGTH) -> tuple[Samples, Samples]:
    """Each person's own sound, and nothing else."""
    sample = read(SAMPLE)
    own = np.zeros((2, round(length * RATE)), np.float32)
    for at, (start, end), number, _ in SAID:
        heard = sample.crop(Span(start, end)).samples
        own[number, round(at * RATE) :][: len(heard)] += heard
    return own[0], own[1]


def call(
    gain: float = 0.1,
    delay: int = 90,
    mics: Sequence[float] = (1.0, 1.0),
    noise: float = 5e-4,
    silent: int | None = None,
) -> list[Audio]:
    """Both channels: one's own voice, the other's as bleed, noise, and a microphone that may be set too low."""
    rng, own = np.random.default_rng(3), list(alone())
    if silent is not None:
        own[silent] = np.zeros_like(own[silent])
    sound = []
    for number in (0, 1):
        late = np.concatenate([np.zeros(delay, np.float32), own[1 - number]])[: len(own[number])]
        heard = own[number] + gain * late + noise * rng.standard_normal(len(late))
        sound.append(Audio((mics[number] * heard).astype(np.float32), RATE))
    return sound


def spoken(number: int, silent: int | None = None) -> tuple[Span, ...]:
    return tuple(Span(at, at + end - start) for at, (start, end), who, _ in SAID if who == number != silent)


def stereo(path: Path, sound: Sequence[Audio]) -> Path:
    whole = np.stack([audio.samples for audio in sound], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.rint(whole * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


# Who speaks


@pytest.mark.parametrize(
    "how",
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
def test_bleed_is_nobodys_turn_and_speech_is(how: dict[str, object]) -> None:
    found = diarized(tuple(call(**how)))  # type: ignore[arg-type]
    turns = timeline.by_speaker(found.turns)
    owners = dict(found.channels)
    silent = how.get("silent")
    assert sorted(owners.values()) == ([0] if silent == 1 else [0, 1])
    assert list(owners) == sorted(owners)
    for label, number in owners.items():
        truth = spoken(number)
        assert timeline.total(timeline.subtract(turns[label], timeline.widened(truth, 0.1))) == 0.0
        # A sentence has pauses of its own, which are no speech either.
        assert timeline.total(timeline.subtract(truth, turns[label])) < 0.2 * timeline.total(truth)


def test_silence_and_noise_are_nobody() -> None:
    rng = np.random.default_rng(0)
    hiss = [Audio((0.01 * rng.standard_normal(20 * RATE)).astype(np.float32), RATE) for _ in range(2)]
    assert diarized(tuple(hiss)).turns == ()
    assert diarized((Audio(np.zeros(RATE, np.float32), RATE), Audio(np.zeros(RATE, np.float32), RATE))).turns == ()
    assert diarized((Audio(np.zeros(0, np.float32), RATE), Audio(np.zeros(0, np.float32), RATE))).turns == ()


def test_three_channels() -> None:
    one, two = alone()
    third = np.roll(read(SAMPLE).crop(Span(41.73, 48.28)).samples, 0)
    length = len(one) + 8 * RATE
    own = np.zeros((3, length), np.float32)
    own[0, : len(one)], own[1, : len(two)] = one, two
    own[2, len(one) :][: len(third)] = third
    noise = np.random.default_rng(0).standard_normal((3, length)) * 5e-4
    sound = tuple(
        Audio((row + 0.1 * (own.sum(axis=0) - row) + hiss).astype(np.float32), RATE)
        for row, hiss in zip(own, noise, strict=True)
    )
    found = diarized(sound)
    assert dict(found.channels) == {"SPEAKER_00": 0, "SPEAKER_01": 1, "SPEAKER_02": 2}
    assert timeline.total(timeline.by_speaker(found.turns)["SPEAKER_02"]) == pytest.approx(6.5, abs=1.0)


# What is bleed


def test_a_filter_is_found_and_foresees() -> None:
    rng = np.random.default_rng(1)
    reach = 5000
    said = rng.standard_normal(4 * RATE + 2 * reach).astype(np.float32)
    taps = np.array([0.0, 0.1, -0.05, 0.02])
    heard = np.convolve(said, taps)[reach - 800 :][: 4 * RATE].astype(np.float32)
    found = fitted(said, heard, np.ones(len(heard), np.float32), reach)
    assert found is not None
    assert decibels(heard - through(found, said, reach, len(heard))) < decibels(heard) - 30
    assert (
        fitted(said, rng.standard_normal(len(heard)).astype(np.float32), np.ones(len(heard), np.float32), reach) is None
    )


@pytest.mark.parametrize("delay", [0, 90, 2400])
def test_bleed_goes_and_the_own_voice_stays(delay: int, tmp_path: Path) -> None:
    sound, own = call(delay=delay), alone()
    clean = cancel_crosstalk(sound, (spoken(0), spoken(1)), tmp_path)
    for number, audio in enumerate(clean):
        assert audio.span == sound[number].span
        for span in timeline.subtract(spoken(1 - number), spoken(number)):
            before, after = sound[number].crop(span).samples, audio.crop(span).samples
            assert decibels(after) < decibels(before) - 10
        far = timeline.gaps(timeline.widened(spoken(1 - number), 0.3), audio.span)
        assert far
        for span in far:
            assert np.array_equal(audio.crop(span).samples, sound[number].crop(span).samples)
        both = Span(15.3, 16.0)
        error = audio.crop(both).samples - Audio(own[number], RATE).crop(both).samples
        assert decibels(error) < decibels(Audio(own[number], RATE).crop(both).samples) - 20


def test_streams_are_the_channels_own_sound(tmp_path: Path) -> None:
    sound = tuple(call())
    found = diarized(sound)
    laid = list(streams(sound, found, tmp_path))
    assert [(stream.audio.start, stream.speaker) for stream in laid] == sorted(
        (stream.audio.start, stream.speaker) for stream in laid
    )
    for label, number in found.channels:
        mine = [stream for stream in laid if stream.speaker == label]
        assert tuple(span for stream in mine for span in stream.turns) == timeline.by_speaker(found.turns)[label]
        first = mine[0]
        if number == 0:  # before anybody else has spoken
            assert np.array_equal(first.audio.samples, sound[0].crop(first.span).samples)


# Long sound


def test_long_sound_waits_on_the_disk_and_is_the_same(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(100_001).astype(np.float32)
    kept = to_memmap((samples[at : at + 7000] for at in range(0, len(samples), 7000)), tmp_path / "new")
    audio = Audio(kept, RATE)
    assert np.array_equal(audio.samples, samples)
    part = audio.crop(Span(1.0, 2.0))
    release_pages(part)
    assert np.array_equal(part.samples, samples[RATE : 2 * RATE])
    assert not list((tmp_path / "new").iterdir())
    release_pages(Audio(samples, RATE))
    assert len(to_memmap([], tmp_path)) == 0


def test_no_room_for_long_sound_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be put down there"):
        to_memmap([np.zeros(10, np.float32)], tmp_path / "file")


def test_long_recordings_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stereo(tmp_path / "call.wav", call())
    plain = read(path, 8000)
    monkeypatch.setattr("meetsplit.pipeline.audio.reading.IN_MEMORY", 1.0)
    assert np.array_equal(read(path, 8000, folder=tmp_path).samples, plain.samples)


# What is asked


def test_what_cannot_be_split_is_a_sentence(tmp_path: Path) -> None:
    mono = tmp_path / "mono.wav"
    write_wav(mono, call()[0])
    with pytest.raises(AudioError, match="has one channel"):
        reading.everybody(mono, RATE, tmp_path, ignore_events)
    with pytest.raises(AudioError, match="hold the same sound"):
        reading.everybody(stereo(tmp_path / "twice.wav", [call()[0]] * 2), RATE, tmp_path, ignore_events)
    with pytest.raises(SettingsError, match="channels are the number of speakers"):
        Settings(channels="split", num_speakers=2)
    with pytest.raises(SettingsError, match="who speaks: drop"):
        Settings(channels="split", diarizer="embedded")
    with pytest.raises(SettingsError, match="--channels both"):
        Settings(channels="both")  # type: ignore[arg-type]


def test_channels_that_share_most_speech_are_noticed(tmp_path: Path) -> None:
    both = sum(alone())
    rng, events = np.random.default_rng(0), list[Event]()
    room = [np.asarray(np.roll(both, shift) + 0.01 * rng.standard_normal(len(both)), np.float32) for shift in (0, 900)]
    reading.everybody(
        stereo(tmp_path / "room.wav", [Audio(samples, RATE) for samples in room]), RATE, tmp_path, events.append
    )
    assert [
        event.text
        for event in events
        if isinstance(event, Notice) and "most speech is in several channels" in event.text
    ]


def test_a_settings_file_may_ask(tmp_path: Path) -> None:
    file = tmp_path / "meetsplit.toml"
    file.write_text('channels = "split"\n')
    assert from_toml(file) == {"channels": "split"}


def test_no_model_for_who_speaks_when(tmp_path: Path) -> None:
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
    said = reading.suggestion(stereo(tmp_path / "call.wav", call()))
    assert said is not None
    assert "--channels split" in said
    both = sum(alone())
    room = [Audio(np.asarray(gain * np.roll(both, shift), np.float32), RATE) for gain, shift in ((1.0, 0), (0.8, 12))]
    dead = [call()[0], Audio(np.zeros(len(both), np.float32), RATE)]
    for name, sound in (("room", room), ("dead", dead), ("bleed", call(silent=1)), ("mono", call()[:1])):
        assert reading.suggestion(stereo(tmp_path / f"{name}.wav", sound)) is None
    (tmp_path / "text.wav").write_text("no sound")
    assert reading.suggestion(tmp_path / "text.wav") is None


# Several files


def test_places_of_files() -> None:
    assert SpeakerFile.placed("ben.wav@1.5") == SpeakerFile(Path("ben.wav"), 1.5)
    assert SpeakerFile.placed("ben.wav") == SpeakerFile(Path("ben.wav"))
    for text, says in (
        ("ben.wav@soon", "no number of seconds"),
        ("ben.wav@-1", "begins first has 0"),
        ("ben.wav@nan", "begins first"),
    ):
        with pytest.raises(SettingsError, match=says):
            SpeakerFile.placed(text)
    with pytest.raises(SettingsError, match="one file is nobody's meeting"):
        together("standup", ["anna.wav"])
    with pytest.raises(SettingsError, match="without a folder"):
        together("out/standup", ["anna.wav", "ben.wav"])


def test_a_file_named_like_a_place_is_meant_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "ben@2.wav"
    odd.write_bytes(b"x")
    assert SpeakerFile.placed(str(odd)) == SpeakerFile(odd)


def test_files_lie_on_one_clock(tmp_path: Path) -> None:
    sound = call()
    write_wav(tmp_path / "anna.wav", sound[0])
    write_wav(tmp_path / "ben.wav", sound[1].crop(Span(2.0, LENGTH)))
    meeting = together("standup", [tmp_path / "anna.wav", f"{tmp_path / 'ben.wav'}@2"])
    channels = reading.everybody(meeting, RATE, tmp_path, ignore_events)
    assert [audio.start for audio in channels] == [0.0, 2.0]
    assert clock(channels).span == Span(0.0, LENGTH)
    found = diarized(channels, meeting.people)
    assert found.names == (("SPEAKER_00", "anna"), ("SPEAKER_01", "ben"))
    shifted = diarized(tuple(sound))
    assert [turn.speaker for turn in found.turns] == [turn.speaker for turn in shifted.turns]
    assert all(abs(a.span.start - b.span.start) < 0.05 for a, b in zip(found.turns, shifted.turns, strict=True))
    later = MultiFileRecording("standup", (meeting.microphones[0], SpeakerFile(tmp_path / "ben.wav", 2.5)))
    assert len({recording_sha256(meeting), recording_sha256(later), recording_sha256(tmp_path / "anna.wav")}) == 3
    with pytest.raises(SettingsError, match="choose --channels split"):
        Pipeline(Settings()).open(meeting, StageCache(tmp_path / "bench"))


# The whole way


def by_word(truth: str, heard: str) -> float:
    return difflib.SequenceMatcher(None, truth.split(), heard.split(), autojunk=False).ratio()


@pytest.mark.skipif(importlib.util.find_spec("pocketsphinx") is None, reason="the extra [offline] is not installed")
def test_a_call_with_bleed_has_the_right_words_under_the_right_channel(tmp_path: Path) -> None:
    """10 % of everybody's voice in the other's channel; part of it while both speak. Nobody's words come twice."""
    path, out = stereo(tmp_path / "call.wav", call(gain=0.1)), tmp_path / "out"
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
        truth = " ".join(text for *_, who, text in SAID if who == number)
        heard = " ".join(segment.text for segment in transcript.segments if segment.speaker == label)
        assert by_word(truth, heard) >= 0.7, heard
        assert abs(len(heard.split()) - len(truth.split())) <= 5
        with wave.open(str(out / "call" / f"{label}.wav")) as track:
            assert track.getnframes() == LENGTH * RATE
            pcm = np.frombuffer(track.readframes(track.getnframes()), np.int16)
        other = Span(1.0, 6.0) if number else Span(7.2, 10.0)
        assert not pcm[round(other.start * RATE) : round(other.end * RATE)].any()
    assert any(segment.overlap for segment in transcript.segments)
    record = next(record for record in transcript.made_by.stages if record.stage == "diarizer")
    assert record.why == "one channel per person: SPEAKER_00 on channel 1, SPEAKER_01 on channel 2"
    assert transcript.names == ()


def test_files_together_are_one_meeting_with_their_names(tmp_path: Path) -> None:
    sound, script = call(gain=0.1), tmp_path / "words.stm"
    script.write_text(
        "".join(f"standup 1 x {at} {at + end - start} {text}\n" for at, (start, end), _, text in SAID[:2])
    )
    write_wav(tmp_path / "anna.wav", sound[0])
    write_wav(tmp_path / "ben.wav", sound[1].crop(Span(1.5, LENGTH)))
    given = [
        str(tmp_path / "anna.wav"),
        f"{tmp_path / 'ben.wav'}@1.5",
        "--together",
        "standup",
        "--script",
        str(script),
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", *given, "-o", str(tmp_path / "out"), "-f", "json,txt", "--no-cache", "-q"])
    assert ended.value.code == 0
    transcript = read_transcript((tmp_path / "out" / "standup.json").read_text("utf-8"))
    assert transcript.recording == "standup"
    assert transcript.duration == LENGTH
    assert dict(transcript.names) == {"SPEAKER_00": "anna", "SPEAKER_01": "ben"}
    for number, label in enumerate(transcript.speakers):
        said = " ".join(segment.text for segment in transcript.segments if segment.speaker == label)
        assert said == " ".join(text for *_, who, text in SAID[:2] if who == number)
        with wave.open(str(tmp_path / "out" / "standup" / f"{label}.wav")) as track:
            assert track.getnframes() == LENGTH * RATE


def test_finished_stages_are_kept_and_a_mixed_run_hints(tmp_path: Path) -> None:
    path, script = stereo(tmp_path / "call.wav", call()), tmp_path / "words.stm"
    script.write_text("call 1 x 1.0 2.0 good morning\n")
    heard: list[Event] = []
    for _ in range(2):
        heard.clear()
        asked = Settings(channels="split", script=script)
        transcript = Pipeline(asked, on_event=heard.append).open(path, StageCache(tmp_path / "bench")).transcript()
        assert transcript.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert not [event for event in heard if isinstance(event, Finished)]
    rttm = tmp_path / "empty.rttm"
    rttm.write_text("")
    pipeline = Pipeline(Settings(script=script, rttm=rttm, separator="none"), on_event=heard.append)
    pipeline.open(path, StageCache(tmp_path / "bench")).transcript()
    assert not [event for event in heard if isinstance(event, Notice) and "--channels" in event.text]
