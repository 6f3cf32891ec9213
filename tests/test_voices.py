"""Enrolled voices: the store, samples and their checks, identification, and runs in which people are recognised."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit import cli
from meetsplit.pipeline.data import Audio, Diarization, Span, Turn, Voice, VoiceMatch, timeline
from meetsplit.pipeline.errors import SettingsError, VoicesError
from meetsplit.pipeline.formats import export, read_transcript
from meetsplit.pipeline.results.voices import suggestions
from meetsplit.pipeline.results.writing import given_names
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.identification import chosen_encoder, identify
from meetsplit.speakers.kept_speech import KnownPeople, seconds_wanted
from meetsplit.speakers.voice_samples import sample_of_file
from meetsplit.speakers.voice_store import VoiceSample, VoiceStore, check_name
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer, clean_spans

ENCODER = "ecapa-planted"
RATE = 16000


class PitchEmbedder:
    """An embedder to which a voice is its pitch: a unit vector for every 50 Hz."""

    rate = RATE

    def embed(self, clips: Sequence[Audio]) -> Any:
        rows = np.full((len(clips), 16), np.nan, np.float32)
        for number, clip in enumerate(clips):
            if len(clip.samples) > 1000:
                peak = np.abs(np.fft.rfft(clip.samples)).argmax() * RATE / len(clip.samples)
                rows[number] = np.eye(16)[round(peak / 50) % 16]
        return rows


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> VoiceEncoder:
    """The planted encoder, everywhere; no one's own voices."""
    planted = VoiceEncoder(ENCODER, PitchEmbedder())
    monkeypatch.setattr(VoiceEncoder, "load", lambda settings, backend="ge2e": planted)
    monkeypatch.setenv("MEETSPLIT_VOICES", str(tmp_path / "data" / "voices.json"))
    return planted


def run_command(arguments: Sequence[str]) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code or 0)


def voice(direction: int, seconds: float = 10.0, encoder: str = ENCODER, away: float = 0.0) -> VoiceEmbeddings:
    """A voice in a direction, ``away`` towards the next one."""
    row = np.eye(16)[direction] + away * np.eye(16)[direction + 1]
    return VoiceEmbeddings(encoder, np.array([row / np.linalg.norm(row)], np.float32), np.array([seconds], np.float32))


def sample(of: VoiceEmbeddings, source: str = "alice.wav") -> VoiceSample:
    return VoiceSample(source, "2026-11-28T09:00:00+00:00", of)


def speech(*pieces: tuple[float, int]) -> Any:
    """Pieces of seconds and pitch (0: silence) with a little noise, as PCM."""
    noise = np.random.default_rng(0)
    parts = []
    for seconds, pitch in pieces:
        time = np.arange(round(seconds * RATE)) / RATE
        parts.append(0.3 * np.sin(2 * np.pi * pitch * time) * (pitch > 0) + 1e-4 * noise.standard_normal(len(time)))
    return (np.concatenate(parts) * 32767).astype("<i2")


@pytest.fixture
def meeting(tmp_path: Path, encoder: VoiceEncoder) -> Any:
    """A recording of a low and a high voice with known turns and words."""
    from conftest import KnownCall, write_pcm

    call = KnownCall(tmp_path)
    write_pcm(call.path, [speech((0.5, 0), (5, 150), (0.5, 0), (5, 300), (1, 0))])
    call.rttm.write_text("SPEAKER x 1 0.5 5 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 6 5 <NA> <NA> B <NA> <NA>\n")
    call.rttm.write_text(call.rttm.read_text().replace(" A ", " SPEAKER_00 ").replace(" B ", " SPEAKER_01 "))
    call.script.write_text("x 1 1.0 0.5 good\nx 1 7.0 0.5 morning\n")
    return call


def test_clean_speech_is_away_from_others_and_from_its_own_ends() -> None:
    turns = [Turn(Span(1.0, 5.0), "A"), Turn(Span(4.0, 8.0), "B"), Turn(Span(20.0, 20.5), "A")]
    assert clean_spans(turns, "A") == (Span(1.1, 3.75),)
    assert clean_spans(turns, "B") == (Span(5.25, 7.9),)
    assert clean_spans(turns, "C") == ()
    assert clean_spans([Turn(Span(0.0, 300.0), "A")], "A", max_seconds=60.0) == (Span(0.1, 60.1),)


def test_everybody_is_one_speaker_at_most() -> None:
    people = {"Alice": voice(0), "Ben": voice(4)}
    speakers = {
        "SPEAKER_00": voice(0, away=0.4),  # Alice, but less so than the next one
        "SPEAKER_01": voice(0),
        "SPEAKER_02": voice(8),
        "SPEAKER_03": voice(4, seconds=1.5),
        "SPEAKER_04": VoiceEmbeddings(ENCODER, np.zeros((0, 16), np.float32), np.zeros(0, np.float32)),
    }
    matches = identify(speakers, people, VoiceScorer(ENCODER))
    assert {label: (match.decision, match.name) for label, match in matches.items()} == {
        "SPEAKER_00": ("suggested", "Alice"),
        "SPEAKER_01": ("confirmed", "Alice"),
        "SPEAKER_02": ("unknown", None),
        "SPEAKER_03": ("suggested", "Ben"),
        "SPEAKER_04": ("unknown", None),
    }
    assert matches["SPEAKER_01"].score == pytest.approx(13.0)
    assert matches["SPEAKER_01"].margin == pytest.approx(20.0)
    assert matches["SPEAKER_04"].score is None
    assert identify(speakers, {}, VoiceScorer(ENCODER)) == {}


def test_a_lower_score_confirms_where_nobody_else_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = VoiceScorer("ge2e-x")
    assert (scorer.calibration.confirmed, scorer.calibration.confirmed_apart) == (7.5, 6.5)

    def decisions(*rows: tuple[float, ...]) -> list[tuple[str, str | None]]:
        monkeypatch.setattr(VoiceScorer, "matrix", lambda self, first, second: np.array(rows))
        speakers = {f"SPEAKER_0{number}": voice(number) for number in range(len(rows))}
        people = dict(zip(("Alice", "Ben"), (voice(0), voice(1)), strict=False))
        matches = identify(speakers, {name: people[name] for name in list(people)[: len(rows[0])]}, scorer)
        return [(match.decision, match.name) for match in matches.values()]

    nobody = ("unknown", None)
    assert decisions((6.6, 1.0), (0.0, -3.0)) == [("confirmed", "Alice"), nobody]
    assert decisions((6.4, 1.0), (0.0, -3.0)) == [("suggested", "Alice"), nobody]
    assert decisions((6.6, 2.0), (0.0, -3.0)) == [("suggested", "Alice"), nobody]  # Ben is near
    assert decisions((6.6, 1.0), (2.0, -3.0)) == [("suggested", "Alice"), nobody]  # another speaker is
    assert decisions((6.6,), (0.0,)) == [("suggested", "Alice"), nobody]  # no one else is enrolled: nothing is apart
    assert decisions((6.6, 1.0)) == [("suggested", "Alice")]
    assert decisions((7.6, 7.0), (3.6, -3.0)) == [("confirmed", "Alice"), ("suggested", "Alice")]


def test_the_score_of_the_voice_model_knows_how_much_was_said() -> None:
    scorer = VoiceScorer("ge2e-x")
    model = scorer.model
    assert model is not None
    rng = np.random.default_rng(0)
    inverse = np.linalg.pinv(model.projection)

    def person(point: Any, rows: int) -> VoiceEmbeddings:
        features = point + rng.standard_normal((rows, len(model.between)))
        embeddings = features @ inverse + model.center + model.mean
        return VoiceEmbeddings("ge2e-x", np.asarray(embeddings, np.float32), np.full(rows, 3.0, np.float32))

    first, second = rng.standard_normal((2, len(model.between))) * np.sqrt(model.between)
    alike = scorer.matrix([person(first, 8), person(first, 1)], [person(first, 8), person(second, 8)])
    assert alike[0, 0] > 0 > alike[0, 1]
    assert alike[0, 0] > alike[1, 0]
    assert scorer.score(person(first, 3), voice(0, encoder="ge2e-x").select(np.zeros(1, bool))) != 0
    with pytest.raises(ValueError, match="ecapa"):
        scorer.score(person(first, 3), voice(0))


def test_the_store_is_private_and_forgets(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path / "data" / "voices.json")
    assert store.read() == ()
    store.add("Alice", [sample(voice(0)), sample(voice(1), "call.m4a")])
    store.add("  ben  ", [sample(voice(4))])
    store.add("ALICE", [sample(voice(2))])  # the same source again: it takes the earlier one's place
    alice, ben = store.read()
    assert (alice.name, ben.name) == ("Alice", "ben")
    assert [one.source for one in alice.samples] == ["call.m4a", "alice.wav"]
    assert np.array_equal(alice.samples[1].embeddings.rows, voice(2).rows)
    if os.name != "nt":
        for path in (store.path.parent, *store.path.parent.iterdir()):
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path
    store.remove("Ben")
    assert "ben" not in store.path.read_text().casefold()
    with pytest.raises(SettingsError, match="did you mean 'Alice'"):
        store.remove("Alicia")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "cut short or damaged"),
        (lambda text: text.replace("voices/1", "voices/2"), "install the version"),
        (lambda text: text.replace('"seconds": [10.0]', '"seconds": [10.0, 3.0, 2.0]'), "damaged"),
        (lambda text: text.replace('"source"', '"sauce"'), "damaged"),
        (lambda text: "[]", "schema None"),
    ],
)
def test_a_damaged_store_stays_as_it_is(tmp_path: Path, damage: Any, sentence: str) -> None:
    store = VoiceStore(tmp_path / "voices.json")
    store.add("Alice", [sample(voice(0))])
    store.path.write_text(damage(store.path.read_text()))
    before = store.path.read_bytes()
    for change in (store.read, lambda: store.add("Ben", [sample(voice(1))]), lambda: store.remove("Alice")):
        with pytest.raises(VoicesError, match=sentence):
            change()
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("name", ["A/B", "A\\B", "A\nB", "A" * 300, " ", "..", "SPEAKER_00"])
def test_names_that_no_person_has_here(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        check_name(name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ([(6, 0)], "no speech in it"),
        ([(0.5, 0), (1, 150), (0.5, 0)], "are needed"),
        ([(0.7, 0), (1.6, 150)] * 4 + [(0.7, 0), (1.6, 300)] * 4, "two people seem to speak"),
    ],
)
def test_samples_that_are_none(tmp_path: Path, encoder: VoiceEncoder, pieces: Any, sentence: str) -> None:
    from conftest import write_pcm

    path = tmp_path / "sample.wav"
    write_pcm(path, [speech(*pieces)])
    with pytest.raises(VoicesError, match=sentence) as error:
        sample_of_file(encoder, path)
    assert str(path) in str(error.value)


def test_voices_are_added_from_the_command_line(
    tmp_path: Path, meeting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from conftest import write_pcm

    people = tmp_path / "people"
    for name, pitch in (("Alice", 150), ("Ben", 450)):
        (people / name).mkdir(parents=True)
        write_pcm(people / name / "one.wav", [speech(*[(0.7, 0), (1.6, pitch)] * 5)])
    assert run_command(["voices", "add", "--folder", str(people)]) == 0
    out, err = capsys.readouterr()
    assert "biometric data" in err
    assert re.search(r"Alice: 7.[0-9] s of speech from 1 recording", " ".join(out.split()))
    transcript = (
        Pipeline(meeting.settings).run(meeting.path, folder=tmp_path / "out", outputs=Outputs(voices="off")).transcript
    )
    assert transcript.voices == ()
    from_meeting = [
        "voices",
        "add",
        "Chris",
        "--from",
        str(tmp_path / "out" / "call.json"),
        "--audio",
        str(meeting.path),
    ]
    assert run_command([*from_meeting, "SPEAKER_01"]) == 1
    assert "5 s are needed" in " ".join(capsys.readouterr().err.split())
    assert run_command([*from_meeting, "SPEAKER_07"]) == 2
    assert "has no speaker 'SPEAKER_07'" in " ".join(capsys.readouterr().err.split())
    assert run_command(["voices", "list"]) == 0
    assert [person.name for person in VoiceStore().read()] == ["Alice", "Ben"]


def test_people_are_recognised(tmp_path: Path, meeting: Any) -> None:
    store = VoiceStore()
    store.add("Alice", [sample(voice(3))])
    store.add("Ben", [sample(voice(9))])

    def run(**outputs: Any) -> Any:
        heard: list[Any] = []
        pipeline = Pipeline(meeting.settings, on_event=heard.append)
        transcript = pipeline.run(
            meeting.path, folder=tmp_path / "out", outputs=Outputs(**outputs), cache=True
        ).transcript
        return transcript, [event.text for event in heard if type(event).__name__ == "Notice"]

    first, _ = run()
    assert first.names == (("SPEAKER_00", "Alice"),)
    assert [(label, match.decision) for label, match in first.voices] == [
        ("SPEAKER_00", "confirmed"),
        ("SPEAKER_01", "unknown"),
    ]
    assert (tmp_path / "out" / "call" / "Alice.wav").is_file()
    text = (tmp_path / "out" / "call.json").read_text()
    assert set(json.loads(text)["voices"]["SPEAKER_00"]) == {"decision", "name", "score", "margin"}
    assert read_transcript(text) == first
    assert run(names={"SPEAKER_00": "Zoe"})[0].names == (("SPEAKER_00", "Zoe"),)
    given, _ = run(names={"SPEAKER_01": "Alice"})
    assert given.names == (("SPEAKER_01", "Alice"),)
    assert suggestions(given) == ["SPEAKER_00 may be Alice (score 13.0)"]
    assert run(voices="off")[0].names == ()
    store.remove("Alice")  # and no stage that was kept remembers her
    assert run()[0].names == ()
    store.path.write_text("{")
    transcript, notices = run()
    assert transcript.names == transcript.voices == ()
    assert any("no one is recognised by voice" in notice and "cut short" in notice for notice in notices)


def test_voiceprints_are_written_on_request_only(
    tmp_path: Path, meeting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    Pipeline(meeting.settings).run(meeting.path, folder=out, outputs=Outputs(formats=("json", "embeddings.npz")))
    with np.load(out / "call.embeddings.npz") as file:
        arrays = dict(file)
    assert str(arrays.pop("encoder")) == ENCODER
    assert sorted(arrays) == ["SPEAKER_00", "SPEAKER_00.seconds", "SPEAKER_01", "SPEAKER_01.seconds"]
    assert arrays["SPEAKER_00"].shape == (len(arrays["SPEAKER_00.seconds"]), 16)
    np.testing.assert_array_equal(arrays["SPEAKER_00"].argmax(axis=1), 3)
    assert run_command(["export", str(out / "call.json"), "-f", "embeddings.npz"]) == 2
    assert "only a run writes it" in " ".join(capsys.readouterr().err.split())
    Pipeline(meeting.settings).run(meeting.path, folder=tmp_path / "all", outputs=Outputs())
    assert not list((tmp_path / "all").glob("*.npz"))


def test_voices_of_another_encoder_are_kept_and_not_compared(tmp_path: Path, meeting: Any) -> None:
    store = VoiceStore()
    store.add("Alice", [sample(voice(3, encoder="ecapa-other"))])
    heard: list[Any] = []
    transcript = Pipeline(meeting.settings, on_event=heard.append).run(meeting.path, folder=tmp_path).transcript
    assert transcript.names == transcript.voices == ()
    assert any("another encoder" in getattr(event, "text", "") for event in heard)
    assert store.read()[0].of_encoder(ENCODER) is None
    store.add("Alice", [sample(voice(3))])
    (alice,) = store.read()
    assert alice.encoders == ("ecapa-other", ENCODER)
    assert chosen_encoder([alice]) == "ecapa-planted"


def test_speech_is_kept_on_request_in_private_and_deleted_with_the_person(
    tmp_path: Path, encoder: VoiceEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    from conftest import write_pcm

    for name, pitch in (("alice", 150), ("ben", 450)):
        write_pcm(tmp_path / f"{name}.wav", [speech(*[(0.7, 0), (1.6, pitch)] * 5)])
    assert run_command(["voices", "add", "Alice", str(tmp_path / "alice.wav"), "--keep-audio"]) == 0
    assert "speech itself is kept" in " ".join(capsys.readouterr().err.split())
    assert run_command(["voices", "add", "Ben", str(tmp_path / "ben.wav")]) == 0
    assert "--keep-audio" not in capsys.readouterr().err
    store = VoiceStore()
    alice, ben = store.read()
    (kept,) = store.speech_files(alice)
    assert store.speech_files(ben) == ()
    assert 7.0 < store.seconds_kept(alice.samples[0]) < 8.0
    assert run_command(["voices", "show", "Alice"]) == 0
    assert "7.0 s" in capsys.readouterr().out.split("kept speech")[1] or store.seconds_kept(alice.samples[0]) > 7.0
    if os.name != "nt":
        for path in (store.sounds, kept):
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path
    own = store.sounds / "notes.txt"  # no file of meetsplit's
    own.write_text("mine")
    (store.sounds / ".meetsplit-0.part").write_bytes(b"half")  # of a command that was killed
    assert run_command(["voices", "remove", "Alice"]) == 0
    assert list(store.sounds.iterdir()) == [own]
    store.add("Alice", [sample(voice(0))], [[Audio(np.full(70 * RATE, 0.5, np.float32), RATE)]])
    assert store.seconds_kept(store.find("Alice").samples[0]) == 60.0
    store.add("Alice", [sample(voice(0))])  # the same recording again, of which nothing is to be kept
    assert list(store.sounds.iterdir()) == [own]
    store.path.write_text(store.path.read_text().replace('"encoder"', '"sound": "../../x.wav", "encoder"'))
    with pytest.raises(VoicesError, match="damaged"):
        store.read()


def test_kept_speech_fills_up_to_what_is_known_of_the_others() -> None:
    overlaps = timeline.overlaps(
        [Turn(Span(0, 4), "A"), Turn(Span(1, 4), "B"), Turn(Span(10, 11), "C"), Turn(Span(10, 11), "A")]
    )
    alone = {"A": 3.0, "B": 20.0, "C": 8.0}
    assert seconds_wanted(overlaps, alone, {"A": 30.0}) == {"A": 14.0}  # three seconds with 20, one with 8
    assert seconds_wanted(overlaps, alone, {"A": 5.0}) == {"A": 5.0}
    assert seconds_wanted(overlaps, alone, {"A": 30.0, "C": 9.0}) == {"A": 16.25, "C": 9.0}
    assert seconds_wanted(overlaps, {"A": 3.0, "B": 3.5, "C": 3.5}, {"A": 30.0}) == {}


class EnrollmentSeparator:
    """A separator that notes what it is given; its voices are halves of the mixture, the first one's turned over."""

    rate = RATE

    def __init__(self) -> None:
        self.enrollments: list[dict[str, tuple[Audio, ...]]] = []

    def separate(self, mixture: Audio, enrollment: Any) -> Any:
        self.enrollments.append(dict(enrollment))
        first = min(enrollment)
        return {who: Voice(mixture.replaced(mixture.samples * (-0.5 if who == first else 0.5))) for who in enrollment}


def test_kept_speech_takes_overlaps_apart(tmp_path: Path, encoder: VoiceEncoder) -> None:
    from conftest import KnownCall, write_pcm

    call = KnownCall(tmp_path)
    write_pcm(call.path, [speech((0.5, 0), (4, 150), (1, 150), (12, 300), (1, 0))])
    call.rttm.write_text(
        "SPEAKER x 1 0.5 5 <NA> <NA> SPEAKER_00 <NA> <NA>\nSPEAKER x 1 4.5 13 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )
    call.options = {"rttm": call.rttm, "separator": "dictionary", "overlap_checks": "none"}
    store = VoiceStore()

    def run(**outputs: Any) -> tuple[list[dict[str, tuple[Audio, ...]]], list[str]]:
        heard: list[Any] = []
        separator = EnrollmentSeparator()
        pipeline = Pipeline(call.settings, on_event=heard.append, loaded={"separator": separator})
        pipeline.run(call.path, folder=tmp_path / "out", outputs=Outputs(**outputs), cache=True)
        return separator.enrollments, [event.text for event in heard if type(event).__name__ == "Notice"]

    (plain,), _ = run()
    assert sum(clip.duration for clip in plain["SPEAKER_00"]) == pytest.approx(4.0, abs=0.3)
    elsewhere = Audio(np.float32(0.01) * np.sin(np.arange(30 * RATE, dtype=np.float32)), RATE)
    store.add("Alice", [sample(voice(3))])  # without her speech, all stays as it was
    assert run()[0] == []
    store.add("Alice", [sample(voice(3))], [[elsewhere]])
    (longer,), notices = run()
    assert longer["SPEAKER_01"][0].duration == plain["SPEAKER_01"][0].duration
    own, kept = longer["SPEAKER_00"]
    assert np.array_equal(own.samples, plain["SPEAKER_00"][0].samples)
    assert 5.0 < kept.duration < 9.0  # as much as is known of the other one
    assert float(np.std(kept.samples)) == pytest.approx(float(np.std(own.samples)), rel=0.1)
    assert any("of kept speech of Alice" in notice.replace("the kept", "kept") for notice in notices)
    again, told = run()
    assert again == []  # kept under a key of its own
    assert not any("kept speech" in notice for notice in told)
    assert run(voices="off")[0] == []  # and so is what was separated without it
    assert run(names=(("SPEAKER_00", "alice"),)) == ([], [])  # called so: the same as without a name
    for named in (("SPEAKER_00", "Bob"), ("SPEAKER_01", "Alice")):  # then nothing of hers, as without her speech
        assert run(names=(named,))[0] == []
    (sound,) = store.speech_files(store.find("Alice"))
    sound.write_bytes(b"RIFF")
    assert not any("kept speech of Alice is not used" in notice for notice in run()[1])  # that result is kept, too
    store.remove("Alice")
    assert run()[0] == []


def test_names_that_were_given_win_over_voices() -> None:
    store = VoiceStore()
    assert KnownPeople((), store).refuses("SPEAKER_00", "Alice") is None
    named = KnownPeople((), store, {"SPEAKER_00": "Bob", "SPEAKER_01": "ALICE", "SPEAKER_02": "Alice"})
    assert named.refuses("SPEAKER_00", "Alice") == "SPEAKER_00 is called Bob"
    assert named.refuses("SPEAKER_01", "Alice") is None
    assert named.refuses("SPEAKER_02", "Alice") is None
    assert named.refuses("SPEAKER_03", "Alice") == "SPEAKER_01 is called so"
    assert named.refuses("SPEAKER_03", "Cem") is None


def test_given_names_are_those_of_the_outputs_alone() -> None:
    turns = (Turn(Span(0, 2), "SPEAKER_00"), Turn(Span(1, 3), "SPEAKER_01"))
    diarization = Diarization(3.0, turns, (("SPEAKER_00", "spk1"), ("SPEAKER_01", "spk2")))
    assert given_names(diarization, Outputs()) == {}
    assert given_names(diarization, Outputs(names=(("spk2", "Alice"),))) == {"SPEAKER_01": "Alice"}
    assert given_names(diarization, Outputs(names_in_order=("Zoe",))) == {"SPEAKER_00": "Zoe"}


def test_a_match_is_in_the_json_and_back(tmp_path: Path, meeting: Any) -> None:
    from dataclasses import replace

    transcript = Pipeline(meeting.settings).run(meeting.path).transcript
    matches = (("SPEAKER_00", VoiceMatch("suggested", "<b>", 1.5, None)), ("SPEAKER_01", VoiceMatch("unknown")))
    written = replace(transcript, voices=matches)
    assert read_transcript(export(written, "json", Outputs())) == written
    assert written.merge("SPEAKER_00", "SPEAKER_01").voices == ()
    assert written.split("SPEAKER_00", at=3.0).voices == matches[1:]
