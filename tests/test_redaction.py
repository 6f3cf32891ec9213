"""`meetsplit redact`: people who can be neither heard nor read in a new set of results; the others stay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_pcm as write_samples
from scipy.signal import butter, sosfilt

from meetsplit.cli import main
from meetsplit.pipeline.audio.native import open_native
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.data.transcript import VoiceMatch
from meetsplit.pipeline.formats import FORMATS, read_transcript_file
from meetsplit.pipeline.results.redacting import BLANK
from meetsplit.pipeline.settings import Outputs

RATE, SECONDS = 8000, 12
ALICE, BEN, CLEO = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"
TURNS = (
    Turn(Span(0.5, 4.0), ALICE), Turn(Span(3.0, 6.0), BEN), Turn(Span(7.0, 8.0), BEN),
    Turn(Span(8.0, 10.0), CLEO), Turn(Span(9.5, 11.0), ALICE),
)  # fmt: skip
SECRETS = ("Bartholomew", "zanzibar", "quixotic", "xylophone", "Ben's own words")


def write_pcm(path: Path, channels: list[Any], rate: int) -> None:
    write_samples(path, [np.rint(32767 * channel).astype(np.int16) for channel in channels], rate)


def _voice(seed: int, low: float, high: float) -> Any:
    noise = np.random.default_rng(seed).standard_normal(RATE * SECONDS)
    return 0.2 * sosfilt(butter(6, (low, high), "bandpass", fs=RATE, output="sos"), noise)


def _during(speaker: str) -> Any:
    mask = np.zeros(RATE * SECONDS)
    for turn in TURNS:
        if turn.speaker == speaker:
            mask[round(turn.start * RATE) : round(turn.end * RATE)] = 1
    return mask


class Meeting:
    """A meeting of three with its recording and tracks; Ben is told apart but for what is given as ``leak``."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], leak: float = 0.05) -> None:
        self.folder, self._capsys = folder, capsys
        self.json, self.audio = folder / "meeting.json", folder / "meeting.wav"
        bands = {ALICE: (200, 900), BEN: (1000, 2000), CLEO: (2200, 3500)}
        self.voices = {who: _voice(n, *band) * _during(who) for n, (who, band) in enumerate(bands.items())}
        self.mixture = sum(self.voices.values()) + 1e-3 * np.random.default_rng(9).standard_normal(RATE * SECONDS)
        (folder / "meeting").mkdir()
        self.tracks = {}
        for who, name in ((ALICE, ALICE), (BEN, "Bartholomew"), (CLEO, CLEO)):
            others = sum(voice for other, voice in self.voices.items() if other != who)
            self.tracks[who] = folder / "meeting" / f"{name}.wav"
            write_pcm(self.tracks[who], [self.voices[who] + leak * others * _during(who)], RATE)
        write_pcm(self.audio, [self.mixture], RATE)
        segments = (
            _segment(ALICE, "good", 0.5, 3.8), _segment(BEN, "zanzibar quixotic", 3.1, 5.9),
            _segment(BEN, "xylophone", 7.1, 7.9), _segment(CLEO, "indeed", 8.1, 9.4), _segment(ALICE, "bye", 9.6, 11.0),
        )  # fmt: skip
        settings = (("initial_prompt", "Ben's own words"), ("hotwords", "Bartholomew"), ("script", "Bartholomew.stm"))
        made_by = Provenance("0.1.0", settings=settings)
        matches = ((BEN, VoiceMatch("confirmed", "Bartholomew")), (CLEO, VoiceMatch("suggested", "Bartholomew")))
        self.transcript = Transcript(
            "meeting", float(SECONDS), segments, TURNS, made_by, names=((BEN, "Bartholomew"),), voices=matches
        )
        self.save(self.transcript)

    def save(self, transcript: Transcript) -> None:
        text = FORMATS["json"].write(transcript, Outputs())
        self.json.write_bytes(text if isinstance(text, bytes) else text.encode())

    def run(self, *arguments: str | Path) -> tuple[int, str]:
        """Exit code, and stderr on one line."""
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return int(ended.value.code or 0), " ".join(self._capsys.readouterr().err.split())

    def do(self, *arguments: str) -> None:
        """Run a command that ends well."""
        code, err = self.run(*arguments)
        assert code == 0, err

    def redact(self, *arguments: str) -> None:
        """Redact the meeting."""
        self.do("redact", "meeting.json", *arguments)

    def sound(self, name: str) -> Any:
        """The samples of a file of the redacted set, float."""
        with open_native(self.folder / name) as native:
            return np.concatenate(list(native.seconds()), axis=1)[0].astype(np.float64)


@pytest.fixture
def meeting(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Meeting:
    monkeypatch.chdir(tmp_path)
    return Meeting(tmp_path, capsys)


def _segment(speaker: str, text: str, start: float, end: float) -> Segment:
    words, edges = text.split(), np.linspace(start, end, len(text.split()) + 1)
    overlap = any(t.speaker != speaker and t.start < end and start < t.end for t in TURNS)
    timed = tuple(Word(Span(float(a), float(b)), w, 0.9) for w, a, b in zip(words, edges, edges[1:], strict=False))
    return Segment(speaker, timed, "en", "separated" if overlap else "mixture", overlap)


def _part(samples: Any, start: float, end: float) -> Any:
    return samples[round(start * RATE) : round(end * RATE)]


def _decibel(part: Any, whole: Any) -> float:
    return float(10 * np.log10(np.sum(part**2) / np.sum(whole**2)))


def _left(sound: Any, voice: Any, others: Any) -> float:
    """What is left of a voice in a sound, in dB of the voice: its part by least squares, beside the others."""
    (share, _), *_ = np.linalg.lstsq(np.stack([voice, others], axis=1), sound, rcond=None)
    return _decibel(share * voice, voice)


def test_a_redacted_voice_is_silent_where_it_was_alone_and_others_stay_in_overlaps(meeting: Meeting) -> None:
    before = {path: path.read_bytes() for path in meeting.folder.rglob("*") if path.is_file()}
    code, err = meeting.run("redact", "meeting.json", "Bartholomew", "-f", "json")
    assert code == 0, err
    assert "SPEAKER_01: neither heard nor read in meeting-redacted.wav" in err
    copy, original = meeting.sound("meeting-redacted.wav"), meeting.sound("meeting.wav")
    assert len(copy) == len(original)
    for start, end in ((4.0, 6.3), (6.7, 8.0)):
        assert not _part(copy, start, end).any()
        assert not any(_part(meeting.sound(f"meeting-redacted/{who}.wav"), start, end).any() for who in (ALICE, CLEO))
    assert np.array_equal(_part(copy, 0, 2.6), _part(original, 0, 2.6))
    assert np.array_equal(_part(copy, 8.4, 12), _part(original, 8.4, 12))
    alice, ben = (_part(meeting.voices[who], 3.0, 4.0) for who in (ALICE, BEN))
    overlap = _part(copy, 3.0, 4.0)
    assert _left(overlap, ben, alice) < -30
    assert _left(_part(meeting.sound(f"meeting-redacted/{ALICE}.wav"), 3.0, 4.0), ben, alice) < -30
    assert abs(_left(overlap, alice, ben)) < 1.0
    assert {path.name for path in (meeting.folder / "meeting-redacted").iterdir()} == {f"{ALICE}.wav", f"{CLEO}.wav"}
    assert before == {path: path.read_bytes() for path in before}


def test_nothing_of_a_redacted_person_is_in_any_format(meeting: Meeting) -> None:
    formats = ",".join(name for name in FORMATS if name != "docx") + ",srt-per-speaker"
    meeting.do("redact", "meeting.json", BEN, "-f", formats, "--html-audio", "none", "-o", "out")
    written = [path for path in (meeting.folder / "out").rglob("*") if path.is_file()]
    assert len(written) > len(FORMATS)
    for path in written:
        content = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in content], path
        assert not any(secret in path.name for secret in SECRETS)
    redacted = read_transcript_file(meeting.folder / "out" / "meeting-redacted.json")
    assert redacted.turns == meeting.transcript.turns
    assert not redacted.names
    assert [(one.speaker, one.text) for one in redacted.segments] == [
        (ALICE, "good"), (BEN, BLANK), (BEN, BLANK), (CLEO, "indeed"), (ALICE, "bye"),
    ]  # fmt: skip
    assert [one.span for one in redacted.segments] == [one.span for one in meeting.transcript.segments]


def test_the_page_of_a_redacted_set_holds_the_redacted_sound(meeting: Meeting) -> None:
    meeting.redact(BEN, "-f", "json,html", "--html-audio", "link")
    heard = read(meeting.folder / "meeting-redacted" / "recording.webm", RATE).samples
    assert np.abs(_part(heard, 4.2, 5.8)).max() < 1e-3 < np.abs(_part(heard, 1.0, 2.5)).max()
    # A page that is made later finds the copy, not the recording that the first transcript was made of.
    (meeting.folder / "meeting-redacted" / "recording.webm").unlink()
    meeting.do("export", "meeting-redacted.json", "-f", "html", "--html-audio", "link", "--overwrite")
    heard = read(meeting.folder / "meeting-redacted" / "recording.webm", RATE).samples
    assert np.abs(_part(heard, 4.2, 5.8)).max() < 1e-3 < np.abs(_part(heard, 1.0, 2.5)).max()


def test_with_keep_only_those_who_stay_are_heard(meeting: Meeting) -> None:
    meeting.do("redact", "meeting.json", "--keep", CLEO, "-f", "json", "--track-format", "flac")
    copy = meeting.sound("meeting-redacted.flac")
    assert not _part(copy, 0, 7.9).any()
    assert not _part(copy, 10.4, 12).any()
    assert np.array_equal(_part(copy, 8.4, 9.1), _part(meeting.sound("meeting.wav"), 8.4, 9.1))
    texts = {one.text for one in read_transcript_file(meeting.folder / "meeting-redacted.json").segments}
    assert texts == {"indeed", BLANK}


def test_another_redaction_takes_the_place_of_the_first_as_a_whole(meeting: Meeting) -> None:
    meeting.redact(CLEO, "-f", "json,srt,txt")
    assert "zanzibar" in (meeting.folder / "meeting-redacted.txt").read_text("utf-8")
    meeting.redact(BEN, CLEO, ALICE, "-f", "json")
    left = {path.name for path in meeting.folder.rglob("meeting-redacted*") if ".meetsplit" not in path.parts}
    assert left == {"meeting-redacted.json", "meeting-redacted.wav"}
    assert not meeting.sound("meeting-redacted.wav")[round(0.5 * RATE) : round(11.0 * RATE)].all()
    assert not _part(meeting.sound("meeting-redacted.wav"), 0.5, 6.3).any()


def test_voices_that_were_not_taken_apart_are_silent_and_their_words_blank(meeting: Meeting) -> None:
    mixed = np.where(_during(ALICE) > 0, meeting.mixture, 0.0)
    write_pcm(meeting.tracks[ALICE], [mixed], RATE)  # the recording itself, where Ben speaks as well
    words = (Word(Span(0.6, 1.0), "good"), Word(Span(3.2, 3.5), "zanzibar"), Word(Span(3.5, 3.9), "quixotic"))
    first = Segment(ALICE, words, "en", "mixture", True, review=("overlap-unresolved",))
    meeting.save(replace(meeting.transcript, segments=(first, *meeting.transcript.segments[1:])))
    code, err = meeting.run("redact", "meeting.json", BEN, "-f", "json")
    assert code == 0, err
    assert "2 words of others that may be theirs are blanked" in err
    assert "overlaps are silent for 1.0 s" in err
    assert not _part(meeting.sound("meeting-redacted.wav"), 3.0, 4.0).any()
    assert b"zanzibar" not in (meeting.folder / "meeting-redacted.json").read_bytes()


def test_without_tracks_overlaps_are_silent_and_that_is_said(meeting: Meeting) -> None:
    meeting.tracks[ALICE].unlink()
    write_pcm(meeting.tracks[CLEO], [np.zeros(RATE)], RATE)
    code, err = meeting.run("redact", "meeting.json", BEN, "-f", "json")
    assert code == 0, err
    assert "without a track of SPEAKER_00, SPEAKER_02 beside the transcript" in err
    assert "meeting/SPEAKER_02.wav: has 1.0 s, the recording 12.0 s; it is not used" in err
    assert not _part(meeting.sound("meeting-redacted.wav"), 3.0, 6.3).any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Zoe",), "meeting has no speaker 'Zoe': There are: Bartholomew, SPEAKER_00, SPEAKER_01, SPEAKER_02"),
        ((), "redact needs either the people who are redacted, or --keep with those who are not"),
        ((BEN, "--keep", ALICE), "redact needs either the people who are redacted, or --keep"),
        (("--keep", ALICE, "--keep", BEN, "--keep", CLEO), "nobody else speaks in meeting"),
        ((BEN, "--audio", "short.wav"), "short.wav: has 1.0 s, the recording of meeting.json 12.0 s"),
    ],
)
def test_what_cannot_be_redacted_is_said_in_a_sentence(
    meeting: Meeting, arguments: tuple[str, ...], sentence: str
) -> None:
    write_pcm(meeting.folder / "short.wav", [np.zeros(RATE)], RATE)
    before = {path for path in meeting.folder.rglob("*") if ".meetsplit" not in path.parts}
    code, err = meeting.run("redact", "meeting.json", *arguments)
    assert (code, sentence in err) == (2, True), err
    assert before == {path for path in meeting.folder.rglob("*") if ".meetsplit" not in path.parts}


def test_without_its_recording_nothing_is_redacted(meeting: Meeting) -> None:
    meeting.audio.unlink()
    code, err = meeting.run("redact", "meeting.json", BEN)
    assert code == 2
    assert "its recording does not lie beside it, nor where it was; add --audio RECORDING" in err


def test_everybody_with_the_name_of_a_redacted_label_is_that_person(meeting: Meeting) -> None:
    meeting.save(replace(meeting.transcript, names=((ALICE, "bartholomew"), (BEN, "Bartholomew"))))
    meeting.redact(BEN, "-f", "json", "-q")
    document = json.loads((meeting.folder / "meeting-redacted.json").read_text("utf-8"))
    assert {one["speaker"]: one["text"] for one in document["segments"]} == {ALICE: BLANK, BEN: BLANK, CLEO: "indeed"}
