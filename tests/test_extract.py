"""Extraction of one voice: who is meant, what the file holds, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import write_pcm
from test_voices import ENCODER, RATE, encoder, run_command, sample, speech, voice

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Audio, Samples, Voice
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.enrolled import EnrolledSeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.extraction import find_voice
from meetsplit.speakers.voice_store import VoiceStore
from meetsplit.speakers.voiceprints import VoiceScorer

__all__ = ["encoder"]  # a fixture


@pytest.fixture
def meeting(tmp_path: Path, encoder: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A low voice for six seconds, a high one for six, and both at once for two between them."""
    low, high = speech((1, 0), (8, 150), (5, 0)), speech((7, 0), (6, 300), (1, 0))
    write_pcm(tmp_path / "talk.wav", [low // 2 + high // 2])
    turns = ("1 8 <NA> <NA> SPEAKER_00", "7 6 <NA> <NA> SPEAKER_01")
    (tmp_path / "talk.rttm").write_text("".join(f"SPEAKER x 1 {turn} <NA> <NA>\n" for turn in turns))
    write_pcm(tmp_path / "anna.wav", [speech((0.5, 0), (6, 300), (0.5, 0))])
    write_pcm(tmp_path / "carl.wav", [speech((0.5, 0), (6, 500), (0.5, 0))])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "talk.wav"


OPTIONS = ("--rttm", "talk.rttm", "--separator", "dictionary", "--overlap-checks", "none", "--cache-dir", "cache")


def pitches(path: str, start: float, end: float) -> dict[int, float]:
    """How strong each of the two voices is in a stretch, relative to the recording's."""
    part = read(Path(path), RATE).samples[round(start * RATE) : round(end * RATE)]
    whole = read(Path("talk.wav"), RATE).samples[round(start * RATE) : round(end * RATE)]
    spectrum, all_of_it = (np.abs(np.fft.rfft(samples)) for samples in (part, whole))
    at = {pitch: round(pitch * (end - start)) for pitch in (150, 300)}
    return {pitch: round(float(spectrum[bin] / all_of_it.max()), 1) for pitch, bin in at.items()}


def test_a_clip_finds_its_voice_and_overlaps_are_taken_apart(meeting: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = meeting.read_bytes()
    assert run_command(["extract", "talk.wav", "--voice", "anna.wav", *OPTIONS]) == 0
    out, err = capfd.readouterr()
    assert out.strip() == "talk-anna.wav"
    assert "anna is SPEAKER_01 (score 13.0), speaks 6.0 s, 2.0 s of it while others speak; hardly alone" in one_line(
        err
    )
    assert pitches("talk-anna.wav", 2.0, 5.0) == {150: 0.0, 300: 0.0}
    assert pitches("talk-anna.wav", 7.5, 8.5) == {150: 0.0, 300: 1.0}
    assert pitches("talk-anna.wav", 10.0, 12.0) == {150: 0.0, 300: 1.0}
    assert len(read(Path("talk-anna.wav"), RATE).samples) == 14 * RATE
    assert meeting.read_bytes() == before


def test_two_labels_of_one_person_are_not_taken_apart(meeting: Path, capfd: pytest.CaptureFixture[str]) -> None:
    low, high = speech((1, 0), (14, 150), (5, 0)), speech((13, 0), (6, 300), (1, 0))
    write_pcm(meeting, [low // 2 + high // 2])
    turns = ("1 7 <NA> <NA> SPEAKER_00", "6 9 <NA> <NA> SPEAKER_02", "13 6 <NA> <NA> SPEAKER_01")
    Path("talk.rttm").write_text("".join(f"SPEAKER x 1 {turn} <NA> <NA>\n" for turn in turns))
    write_pcm(Path("bert.wav"), [speech((0.5, 0), (6, 150), (0.5, 0))])
    assert run_command(["extract", "talk.wav", "--voice", "bert.wav", *OPTIONS]) == 0
    shown = one_line(capfd.readouterr().err)
    assert re.search(r"bert is SPEAKER_0[02] and SPEAKER_0[02] .* speaks 14 s, 2.0 s of it while others", shown)
    bert, everybody = (read(Path(name), RATE).samples for name in ("talk-bert.wav", "talk.wav"))
    alone = slice(2 * RATE, 12 * RATE)
    assert np.array_equal(bert[alone], everybody[alone])
    assert pitches("talk-bert.wav", 13.5, 14.5) == {150: 1.0, 300: 0.0}
    # The labels apart are kept as well: the next voice, or a run, has them.
    assert run_command(["extract", "talk.wav", "--voice", "SPEAKER_02", "-o", "two.wav", *OPTIONS]) == 0
    assert not read(Path("two.wav"), RATE).samples[: 5 * RATE].any()


def test_without_the_voice_the_rest_adds_up_to_the_recording(meeting: Path) -> None:
    assert run_command(["extract", "talk.wav", "--voice", "anna.wav", "-o", "anna_only.wav", *OPTIONS]) == 0
    assert run_command(["extract", "talk.wav", "--voice", "anna.wav", "--without", *OPTIONS]) == 0
    anna, others, everybody = (
        read(Path(name), RATE).samples for name in ("anna_only.wav", "talk-without-anna.wav", "talk.wav")
    )
    assert np.abs(anna + others - everybody).max() < 1.1 / 32768
    assert pitches("talk-without-anna.wav", 7.5, 8.5) == {150: 1.0, 300: 0.0}
    assert not others[10 * RATE : 12 * RATE].any()
    assert np.array_equal(others[: 6 * RATE], everybody[: 6 * RATE])


def test_somebody_who_is_not_there_gives_silence_and_says_so(meeting: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["extract", "talk.wav", "--voice", "carl.wav", *OPTIONS]) == 0
    out, err = capfd.readouterr()
    assert "carl was not found in talk.wav: the nearest voice is SPEAKER_0" in one_line(err)
    assert "talk-carl.wav is silent" in one_line(err)
    silence = read(Path(out.strip()), RATE).samples
    assert len(silence) == 14 * RATE
    assert not silence.any()
    assert run_command(["extract", "talk.wav", "--voice", "carl.wav", "--without", *OPTIONS]) == 0
    everybody = read(Path("talk-without-carl.wav"), RATE).samples
    assert np.array_equal(everybody, read(meeting, RATE).samples)


def test_enrolled_people_and_labels_are_voices_too(meeting: Path, capfd: pytest.CaptureFixture[str]) -> None:
    VoiceStore().add("Anna", [sample(voice(6))])  # 300 Hz of the planted encoder
    assert run_command(["extract", "talk.wav", "--voice", "anna", "-o", "a.flac", *OPTIONS]) == 0
    assert "Anna is SPEAKER_01" in one_line(capfd.readouterr().err)
    assert run_command(["extract", "talk.wav", "--voice", "SPEAKER_00", "-o", "b.wav", *OPTIONS]) == 0
    assert pitches("b.wav", 2.0, 5.0) == {150: 1.0, 300: 0.0}
    assert run_command(["extract", "talk.wav", "--voice", "SPEAKER_07", "-o", "c.wav", *OPTIONS]) == 2
    assert run_command(["extract", "talk.wav", "--voice", "Bert", "-o", "c.wav", *OPTIONS]) == 2
    assert "no such file, and no enrolled voice of that name" in one_line(capfd.readouterr().err)


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ([(6, 0)], "no speech in it"),
        ([(0.5, 0), (1, 300), (0.5, 0)], "s of clear speech of one person alone, 5 s are needed"),
        ([(0.5, 0), (5, 300), (0.3, 0), (5, 500), (0.5, 0)], "two people seem to speak in it"),
    ],
)
def test_clips_that_tell_nothing_are_refused(
    meeting: Path, capfd: pytest.CaptureFixture[str], pieces: Sequence[tuple[float, int]], sentence: str
) -> None:
    write_pcm(Path("clip.wav"), [speech(*pieces)])
    assert run_command(["extract", "talk.wav", "--voice", "clip.wav", *OPTIONS]) != 0
    shown = one_line(capfd.readouterr().err)
    assert sentence in shown
    assert "diarize" not in shown  # which may take long
    assert not Path("talk-clip.wav").exists()


def test_no_file_is_written_over(meeting: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = meeting.read_bytes()
    for target, sentence in (
        ("talk.wav", "is a file that is read"),
        ("anna.wav", "is a file that is read"),
        ("carl.wav", "is there already"),
        ("anna.ogg", "the ending says the format"),
    ):
        assert run_command(["extract", "talk.wav", "--voice", "anna.wav", "-o", target, *OPTIONS]) == 2
        assert sentence in one_line(capfd.readouterr().err)
    assert meeting.read_bytes() == before
    assert run_command(["extract", "talk.wav", "--voice", "anna.wav", "-o", "carl.wav", "--overwrite", *OPTIONS]) == 0


def test_a_clip_makes_another_key_only_where_it_is_used(meeting: Path) -> None:
    settings = Settings(rttm=Path("talk.rttm"), separator="dictionary", device="cpu")
    run = Pipeline(settings, on_event=ignore_events, transcribes=False).open(meeting, StageCache(Path("stages")))
    clip = read(Path("anna.wav"), RATE)
    run.separate()
    run.with_known_voices({"SPEAKER_01": (clip,)}).separate()
    run.with_known_voices({"SPEAKER_01": (clip,)}).separate()
    assert len(list(Path("stages").glob("diarize-*.json"))) == 1
    assert len(list(Path("stages").glob("separate-*.json"))) == 2


def test_of_two_labels_with_one_voice_both_are_taken() -> None:
    people = {"SPEAKER_00": voice(0), "SPEAKER_01": voice(4), "SPEAKER_02": voice(0, away=0.3)}
    search = find_voice(people, voice(0), VoiceScorer(ENCODER))
    assert search.speakers == ("SPEAKER_00", "SPEAKER_02")
    assert search.is_sure
    absent = find_voice(people, voice(8), VoiceScorer(ENCODER))
    assert (absent.speakers, absent.is_sure) == ((), False)
    assert find_voice({}, voice(0), VoiceScorer(ENCODER)).nearest is None


class _Enrolled:
    """A separator that remembers how loud and long each speaker's enrollment was."""

    rate = 8000

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[int, float]]] = {}

    def separate(self, mixture: Audio, enrollment: dict[str, Sequence[Audio]]) -> dict[str, Voice]:
        self.heard = {
            who: [(len(clip.samples), round(float(np.abs(clip.samples).max()), 2)) for clip in clips]
            for who, clips in enrollment.items()
        }
        return {who: Voice(mixture) for who in enrollment}


def test_known_clips_are_as_loud_as_the_meeting() -> None:
    def flat(level: float, count: int, rate: int = 8000) -> Audio:
        samples: Samples = np.full(count, level, np.float32)
        return Audio(samples, rate)

    separator = _Enrolled()
    knowing = EnrolledSeparator(separator, {"A": (flat(0.9, 1600, 16000),), "B": (flat(0.9, 800),)})
    knowing.separate(flat(0.1, 100), {"A": (flat(0.2, 400),), "B": (), "C": (flat(0.2, 400),)})
    assert separator.heard["A"][0] == (400, 0.2)
    assert separator.heard["A"][1][0] == 800
    assert separator.heard["A"][1][1] == pytest.approx(0.2, abs=0.03)
    assert separator.heard["B"] == [(800, 0.2)]
    assert separator.heard["C"] == [(400, 0.2)]


def one_line(text: str) -> str:
    """What a terminal shows, without line breaks."""
    return re.sub(r"\s+", " ", text)
