"""Simulated meetings, checked against their own reference, with synthetic voices; tests with flite say so."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.data import Audio, Samples, Span, Turn, rms
from meetsplit.pipeline.data.timeline import activity, by_speaker, intersection, total
from meetsplit.pipeline.errors import MissingDependency, SettingsError
from meetsplit.training import meeting as meeting_module
from meetsplit.training import simulate as command
from meetsplit.training.acoustics import CODECS, Room, apply_codec, impulse_responses, telephone_band
from meetsplit.training.conversation import TurnTaking
from meetsplit.training.grammar import random_remark, rules, vocabulary
from meetsplit.training.meeting import SimulatedMeeting, overlap_share, save
from meetsplit.training.script import DialogueLine, read_dialogue, words
from meetsplit.training.simulate import SimulationOptions, simulate
from meetsplit.training.speech import (
    Utterance,
    UtteranceFile,
    detect_speech,
    find_utterances,
    frame_levels,
    split_at_pauses,
    synthesize,
    trim_silence,
)

RATE = 16000


def syllables(pitch: float, seconds: float, rng: np.random.Generator) -> Samples:
    """A buzzing voice: harmonics of ``pitch`` Hz in syllables of 0.25 s, each of its own pitch and level."""
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    which = (t * 4).astype(int)
    height = pitch * rng.uniform(0.9, 1.1, which.max() + 1)[which]
    level = rng.uniform(0.4, 1.0, which.max() + 1)[which]
    phase = 2 * np.pi * np.cumsum(height) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 9))
    return np.asarray(0.1 * buzz * level * np.sqrt(np.abs(np.sin(4 * np.pi * t))), np.float32)


def sentence(
    speaker: str, pitch: float, seconds: float, rng: np.random.Generator, text: str | None = None
) -> Utterance:
    """A voice with 0.3 s of almost-silence before and after."""
    quiet = rng.normal(0, 1e-4, round((seconds + 0.6) * RATE)).astype(np.float32)
    start = round(0.3 * RATE)
    quiet[start : start + round(seconds * RATE)] += syllables(pitch, seconds, rng)
    return Utterance(speaker, Audio(quiet, RATE), text)


@pytest.fixture(scope="module")
def crowd() -> tuple[Utterance, ...]:
    rng = np.random.default_rng(0)
    pitches = {"anna": 210.0, "ben": 110.0, "cleo": 170.0, "dan": 90.0}
    lengths = [float(x) for x in rng.choice([0.6, 0.8, 1.5, 2.5, 3.5, 5.0], 45)]
    return tuple(
        sentence(name, pitch, s, rng, f"{name} says {i}")
        for name, pitch in pitches.items()
        for i, s in enumerate(lengths)
    )


def people(crowd: tuple[Utterance, ...], count: int) -> tuple[Utterance, ...]:
    names = sorted({utterance.speaker for utterance in crowd})[:count]
    return tuple(utterance for utterance in crowd if utterance.speaker in names)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_overlap_is_within_two_points_of_the_target(crowd: tuple[Utterance, ...], count: int, share: float) -> None:
    for seed in (1, 2):
        meeting = simulate(people(crowd, count), SimulationOptions(TurnTaking(share), seconds=90), seed)
        assert abs(overlap_share(meeting.turns) - share) <= 0.02
        assert len(meeting.stems) == count
        assert 85 < meeting.mixture.duration < 105


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 0.5), seed=st.integers(0, 10_000), backchannels=st.floats(0, 1), count=st.integers(2, 4))
def test_every_meeting_keeps_its_promises(
    crowd: tuple[Utterance, ...], share: float, seed: int, backchannels: float, count: int
) -> None:
    meeting = simulate(people(crowd, count), SimulationOptions(TurnTaking(share, backchannels), seconds=60), seed)
    assert_true(meeting)
    assert abs(overlap_share(meeting.turns) - share) <= 0.02


@pytest.mark.parametrize(
    ("count", "share", "backchannels", "seed"),
    [
        (2, 0.5, 1.0, 2225),
        (2, 0.5, 0.0, 4484),
        (3, 0.426, 1.0, 8399),
        (4, 0.5, 0.0, 320),
        (2, 0.4295234255662696, 0.8469983706337296, 1244),
    ],
)
def test_overlap_that_chance_does_not_reach(
    crowd: tuple[Utterance, ...], count: int, share: float, backchannels: float, seed: int
) -> None:
    meeting = simulate(people(crowd, count), SimulationOptions(TurnTaking(share, backchannels), seconds=60), seed)
    assert_true(meeting)
    assert abs(overlap_share(meeting.turns) - share) <= 0.02
    assert 55 < meeting.mixture.duration < 75


def test_utterances_are_printable(crowd: tuple[Utterance, ...]) -> None:
    """Hypothesis prints the arguments of a failing example, and refuses what is too long."""
    assert repr(crowd[0].audio) == "<Audio: 89600 samples at 16000 Hz from 0.0 s>"
    assert len(repr(crowd)) < 30_000


def assert_true(meeting: SimulatedMeeting) -> None:
    """Stems sum to the recording; turns are where stems have energy; nobody talks over themselves; nothing clips."""
    together = sum((stem.samples for stem in meeting.stems.values()), meeting.noise.samples)
    np.testing.assert_allclose(together, meeting.mixture.samples, atol=1e-5)
    assert np.abs(meeting.mixture.samples).max() <= 0.9001
    assert list(meeting.turns) == sorted(meeting.turns)
    for speaker, stem in meeting.stems.items():
        spans = sorted(turn.span for turn in meeting.turns if turn.speaker == speaker)
        assert all(before.end <= after.start for before, after in itertools.pairwise(spans))
        loud = frame_levels(stem)
        inside = np.zeros(len(loud), np.bool_)
        for span in spans:
            inside[round(span.start * 100) : round(span.end * 100)] = True
        energy = 10 ** (loud / 10)
        assert energy[inside].sum() > 0.999 * energy.sum()
        assert np.mean(loud[inside] > loud.max() - 40) > 0.9
        assert len(stem.samples) == len(meeting.mixture.samples)
    assert {texts.speaker for texts in meeting.texts} == set(meeting.stems)
    for texts in meeting.texts:
        assert any(intersection(texts.span, turn.span) for turn in meeting.turns if turn.speaker == texts.speaker)


def test_the_same_seed_gives_the_same_samples(crowd: tuple[Utterance, ...]) -> None:
    options = SimulationOptions(TurnTaking(0.2), seconds=30)
    one, two, other = (simulate(crowd, options, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.mixture.samples, two.mixture.samples)
    assert (one.turns, one.texts) == (two.turns, two.texts)
    assert one.turns != other.turns


def test_the_inputs_are_not_changed(crowd: tuple[Utterance, ...]) -> None:
    before = [utterance.audio.samples.copy() for utterance in crowd]
    simulate(crowd, SimulationOptions(seconds=20, room=False, telephone=True), 1)
    assert all(np.array_equal(utterance.audio.samples, copy) for utterance, copy in zip(crowd, before, strict=True))


def test_backchannels_lie_inside_somebody_elses_turn(crowd: tuple[Utterance, ...]) -> None:
    def inside(backchannels: float) -> int:
        turns = simulate(crowd, SimulationOptions(TurnTaking(0.3, backchannels), seconds=90), 3).turns
        return sum(
            any(o.speaker != t.speaker and o.span.start < t.span.start and t.span.end < o.span.end for o in turns)
            for t in turns
        )

    assert inside(0.9) > inside(0.0)
    assert inside(0.9) >= 5


def test_a_warm_up_leaves_everybody_alone(crowd: tuple[Utterance, ...]) -> None:
    turns = simulate(crowd, SimulationOptions(TurnTaking(0.2, warmup=10), seconds=90), 2).turns
    first = next(span for span, speakers in activity(turns) if len(speakers) > 1).start
    early = [Turn(turn.span, turn.speaker) for turn in turns if turn.span.end <= first]
    assert all(total(spans) > 8 for spans in by_speaker(early).values())
    assert len(by_speaker(early)) == 4


def test_gaps_between_speakers_are_short_and_positive_without_overlap(crowd: tuple[Utterance, ...]) -> None:
    turns = simulate(crowd, SimulationOptions(TurnTaking(0.0), seconds=120), 2).turns
    gaps = [b.span.start - a.span.end for a, b in itertools.pairwise(turns) if a.speaker != b.speaker]
    assert min(gaps) >= 0
    assert 0.1 < np.median(gaps) < 0.5


def test_noise_has_the_given_snr(crowd: tuple[Utterance, ...]) -> None:
    meeting = simulate(crowd, SimulationOptions(TurnTaking(0.1), seconds=30, snr=20), 1)
    voices = meeting.mixture.samples - meeting.noise.samples
    speech = np.concatenate([voices[round(s.start * RATE) : round(s.end * RATE)] for s, _ in activity(meeting.turns)])
    assert 20 * np.log10(rms(speech) / rms(meeting.noise.samples)) == pytest.approx(20, abs=1.5)
    assert rms(simulate(crowd, SimulationOptions(seconds=20, snr=None), 1).noise.samples) == 0


def test_levels_differ_between_people(crowd: tuple[Utterance, ...]) -> None:
    def spread(levels: float) -> float:
        meeting = simulate(crowd, SimulationOptions(TurnTaking(0.0), seconds=60, levels=levels, snr=None), 4)
        loud = [np.percentile(frame_levels(stem), 95) for stem in meeting.stems.values()]
        return float(np.ptp(loud))

    assert spread(0.0) < 2.5
    assert spread(9.0) > 5


def test_a_room_adds_echo_and_keeps_sums_and_times(crowd: tuple[Utterance, ...]) -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics, an optional package")
    dry = simulate(people(crowd, 2), SimulationOptions(TurnTaking(0.1), seconds=20, levels=0, snr=None), 1)
    wet = simulate(people(crowd, 2), SimulationOptions(TurnTaking(0.1), seconds=20, levels=0, snr=None, room=True), 1)
    np.testing.assert_allclose(sum(stem.samples for stem in wet.stems.values()), wet.mixture.samples, atol=1e-5)
    assert wet.turns == dry.turns
    for speaker, stem in wet.stems.items():
        spans = by_speaker(wet.turns)[speaker]
        ends = next(before.end for before, after in itertools.pairwise(spans) if after.start - before.end > 0.4)
        after = Span(ends + 0.08, ends + 0.3)
        assert rms(stem.crop(after).samples) > 3 * rms(dry.stems[speaker].crop(after).samples)


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.0])
def test_direct_sound_comes_at_once_and_fades_with_distance(distance: float) -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics, an optional package")
    rng = np.random.default_rng(0)
    responses = impulse_responses(Room((6.0, 5.0, 3.0), 0.3, (distance, distance)), ("a", "b"), RATE, rng)
    for response in responses.values():
        far = np.hypot(distance, 0.4)
        assert np.abs(response[:24]).max() == pytest.approx(1 / far, rel=0.1)
        assert int(np.argmax(np.abs(response[:24]))) == pytest.approx(8, abs=1)
        assert rms(response[2000:]) > 0


def test_a_telephone_keeps_only_its_band(crowd: tuple[Utterance, ...]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE * 2).astype(np.float32)
    power = np.abs(np.fft.rfft(telephone_band(noise, RATE))) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    passed = power[(frequency > 400) & (frequency < 3300)].mean()
    assert power[(frequency < 200) | (frequency > 3600)].mean() < 1e-4 * passed
    meeting = simulate(crowd, SimulationOptions(seconds=20, telephone=True), 1)
    together = sum((stem.samples for stem in meeting.stems.values()), meeting.noise.samples)
    np.testing.assert_allclose(together, meeting.mixture.samples, atol=1e-5)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_a_codec_changes_the_sound_but_not_its_time(codec: str) -> None:
    rng = np.random.default_rng(1)
    audio = sentence("anna", 200, 4, rng).audio
    decoded = apply_codec(audio, codec)
    assert decoded.samples.shape == audio.samples.shape
    assert not np.array_equal(decoded.samples, audio.samples)
    n = 2 * len(audio.samples)
    correlation = np.fft.irfft(np.fft.rfft(decoded.samples, n) * np.conj(np.fft.rfft(audio.samples, n)))
    lag = int(np.argmax(correlation))
    assert min(lag, n - lag) <= 0.002 * RATE
    assert rms(decoded.samples) == pytest.approx(rms(audio.samples), rel=0.1)


def test_what_is_written_is_what_was_simulated(crowd: tuple[Utterance, ...], tmp_path: Path) -> None:
    meeting = simulate(people(crowd, 3), SimulationOptions(TurnTaking(0.2), seconds=20), 1)
    paths = save(meeting, tmp_path, "talk")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in paths) == [
        *("talk.rttm", "talk.stems/anna.wav", "talk.stems/ben.wav", "talk.stems/cleo.wav", "talk.stems/noise.wav"),
        *("talk.stm", "talk.uem", "talk.wav"),
    ]
    mixture = read(tmp_path / "talk.wav")
    together = sum(read(path).samples for path in (tmp_path / "talk.stems").iterdir())
    np.testing.assert_allclose(together, mixture.samples, atol=4 / 32768)
    rows = [row.split() for row in (tmp_path / "talk.rttm").read_text("utf-8").splitlines()]
    assert {len(row) for row in rows} == {10}
    read_back: list[object] = [(float(row[3]), float(row[4]), row[7]) for row in rows]
    spans = [(turn.span.start, turn.span.duration, turn.speaker) for turn in meeting.turns]
    assert read_back == [
        (pytest.approx(start, abs=1e-3), pytest.approx(length, abs=1e-3), name) for start, length, name in spans
    ]
    stm = [row.split(maxsplit=5) for row in (tmp_path / "talk.stm").read_text("utf-8").splitlines()]
    assert [row[5] for row in stm] == [texts.text for texts in meeting.texts]
    assert (tmp_path / "talk.uem").read_text("utf-8") == f"talk 1 0.000 {meeting.mixture.duration:.3f}\n"


def test_a_longer_meeting_takes_as_much_more_work(
    crowd: tuple[Utterance, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def analysed_seconds(seconds: float) -> float:
        """Seconds of utterances whose speech is detected while a meeting is simulated."""
        durations = []

        def counting(audio: Audio) -> tuple[Span, ...]:
            durations.append(audio.duration)
            return detect_speech(audio)

        monkeypatch.setattr(meeting_module, "detect_speech", counting)
        simulate(crowd, SimulationOptions(TurnTaking(0.3, reuse=True), seconds=seconds), 1)
        return sum(durations)

    assert analysed_seconds(400) < 20 * analysed_seconds(50), "eight times as long; the square would be sixty-four"


@pytest.mark.parametrize(
    ("options", "count", "says"),
    [
        (SimulationOptions(TurnTaking(0.2), seconds=30), 1, "nobody can talk over the only speaker"),
        (SimulationOptions(TurnTaking(0.2), seconds=3000), 2, "have only 2.. s to say"),
        (SimulationOptions(TurnTaking(0.45, warmup=40), seconds=85), 2, "came no closer than"),
        (SimulationOptions(seconds=20, codec="mp4"), 2, "did you mean 'mp3'"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    crowd: tuple[Utterance, ...], options: SimulationOptions, count: int, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        simulate(people(crowd, count), options, 1)


def test_nonsense_options_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"between 0 and 0\.5"):
        SimulationOptions(TurnTaking(0.7))
    with pytest.raises(SettingsError, match="lasts longer"):
        SimulationOptions(seconds=0)
    with pytest.raises(SettingsError, match="one sample rate"):
        simulate([], SimulationOptions(), 1)


def test_one_person_alone_is_a_meeting_too(crowd: tuple[Utterance, ...]) -> None:
    meeting = simulate(people(crowd, 1), SimulationOptions(TurnTaking(0.0), seconds=20), 1)
    assert_true(meeting)


def test_voiced_finds_the_voice_and_fills_short_pauses() -> None:
    rng = np.random.default_rng(2)
    parts = [sentence("a", 120, s, rng).audio.samples for s in (1.0, 2.0)]
    audio = Audio(np.concatenate([parts[0], np.zeros(RATE, np.float32), parts[1]]), RATE, start=10.0)
    spans = detect_speech(audio)
    edges: list[object] = [(span.start, span.end) for span in spans]
    assert edges == [
        (pytest.approx(10.3, abs=0.03), pytest.approx(11.3, abs=0.03)),
        (pytest.approx(12.9, abs=0.03), pytest.approx(14.9, abs=0.03)),
    ]
    assert len(detect_speech(audio, pause=2.0)) == 1
    assert detect_speech(Audio(np.zeros(RATE, np.float32), RATE)) == ()
    assert trim_silence(Utterance("a", Audio(np.zeros(RATE, np.float32), RATE))) is None


def test_read_speech_is_cut_at_its_pauses_but_known_texts_stay_whole() -> None:
    rng = np.random.default_rng(2)
    both = np.concatenate([sentence("a", 120, s, rng).audio.samples for s in (1.0, 2.0)])
    cut = split_at_pauses(Utterance("a", Audio(both, RATE)))
    assert [piece.audio.duration for piece in cut] == [pytest.approx(1.1, abs=0.05), pytest.approx(2.1, abs=0.05)]
    whole = Utterance("a", Audio(both, RATE), "two sentences")
    assert split_at_pauses(whole) == (whole,)


def test_folders_of_utterances_in_three_layouts(tmp_path: Path) -> None:
    sound = sentence("x", 120, 0.5, np.random.default_rng(0)).audio
    for place in ("libri/19/198/19-198-0000.wav", "people/anna/one.wav", "flat/ben-01.wav", "flat/cleo_01.wav"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_wav(tmp_path / place, sound)
    (tmp_path / "libri/19/198/19-198.trans.txt").write_text("19-198-0000 NORTHANGER ABBEY\n", "utf-8")
    (tmp_path / "people/anna/one.txt").write_text("Hello there.\n", "utf-8")
    assert find_utterances(tmp_path / "libri") == (
        UtteranceFile("19", tmp_path / "libri/19/198/19-198-0000.wav", "NORTHANGER ABBEY"),
    )
    assert [(one.speaker, one.text) for one in find_utterances(tmp_path / "people")] == [("anna", "Hello there.")]
    assert [one.speaker for one in find_utterances(tmp_path / "flat")] == ["ben", "cleo"]
    with pytest.raises(SettingsError, match="no utterances in it"):
        find_utterances(tmp_path / "nothing")


def test_remarks_are_sentences_over_the_closed_vocabulary() -> None:
    allowed = set(vocabulary())
    rng = np.random.default_rng(0)
    texts = [random_remark(rng) for _ in range(2000)]
    assert len(set(texts)) > 1200
    for text in texts:
        assert set(words(text)) <= allowed, text
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert not any(symbol in text for symbol in rules())


def test_a_written_dialogue_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("# a comment\n\nslt +0.5 Good morning.\nawb -0.2 Hello.\n", "utf-8")
    assert read_dialogue(path) == (DialogueLine("slt", 0.5, "Good morning."), DialogueLine("awb", -0.2, "Hello."))
    path.write_text("slt soon Good morning.\n", "utf-8")
    with pytest.raises(SettingsError, match=r"talk\.txt, line 1: .*speaker gap text"):
        read_dialogue(path)
    with pytest.raises(SettingsError, match="cannot read the dialogue"):
        read_dialogue(tmp_path / "none.txt")


def test_the_command_writes_a_meeting_from_a_folder(
    crowd: tuple[Utterance, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number, utterance in enumerate(people(crowd, 3)):
        write_wav(data / f"{utterance.speaker}-{number:03d}.wav", utterance.audio)
    flags = [
        "--data",
        str(data),
        "--speakers",
        "2",
        "--overlap",
        "0.2",
        "--minutes",
        "0.5",
        "--seed",
        "3",
        "-o",
        str(tmp_path / "out"),
    ]
    assert command.main(flags) == 0
    assert "2 speakers" in capsys.readouterr().out
    first = (tmp_path / "out/2spk-20ov-3.wav").read_bytes()
    assert command.main(flags) == 0
    assert (tmp_path / "out/2spk-20ov-3.wav").read_bytes() == first
    assert command.main([*flags, "--speakers", "9"]) == 2
    assert "ask for 1 to 3" in capsys.readouterr().err


def test_flite_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(MissingDependency, match="apt install flite"):
        synthesize("slt", "Good morning.", tmp_path)
    with pytest.raises(SettingsError, match="awb, rms, slt"):
        synthesize("bob", "Good morning.", tmp_path)


@pytest.mark.skipif(
    shutil.which("flite") is None, reason="speaks with the program flite, which is not installed: apt install flite"
)
def test_a_written_dialogue_in_flites_voices(tmp_path: Path) -> None:
    script = tmp_path / "talk.txt"
    script.write_text("slt +0.5 Good morning. How are you?\nrms -0.4 Right.\nawb +0.3 Not yet.\n", "utf-8")
    flags = ["--dialogue", str(script), "--cache", str(tmp_path / "cache"), "-o", str(tmp_path), "--name", "talk"]
    assert command.main(flags) == 0
    rows = [row.split(maxsplit=5) for row in (tmp_path / "talk.stm").read_text("utf-8").splitlines()]
    assert [(row[2], row[5]) for row in rows] == [
        ("slt", "good morning how are you"),
        ("rms", "right"),
        ("awb", "not yet"),
    ]
    assert len(list((tmp_path / "cache").glob("*.wav"))) == 3
    spoken = synthesize("slt", "Good morning. How are you?", tmp_path / "cache")
    assert spoken.rate == RATE
