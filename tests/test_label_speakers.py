"""Labels for recordings without names: who is told apart, who is left out, and what is written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder
from meetsplit.training import label_speakers
from meetsplit.training.label_speakers import Label, agreement, label_recordings, write_people
from meetsplit.training.speech import find_utterances, utterances_by_speaker

RATE = 16_000


def scores_of(people: list[int], *, within: float = 9.0, between: float = -8.0) -> np.ndarray:
    """Scores of recordings of these people, a little uneven."""
    who = np.array(people)
    noise = np.random.default_rng(0).normal(0.0, 0.3, (len(who), len(who)))
    return np.where(who[:, None] == who[None, :], within, between) + (noise + noise.T) / 2


def test_people_are_told_apart_and_the_unsure_left_out() -> None:
    people = [0] * 6 + [1] * 4 + [2]
    scores = scores_of(people)
    scores[3, :] = scores[:, 3] = 3.0  # recording 3 is as near to everybody
    labels = label_recordings(scores)
    assert [label.person for label in labels] == [0, 0, 0, None, 0, 0, 1, 1, 1, 1, None]
    assert np.isnan(labels[-1].own)
    assert labels[0].margin > label_speakers.SURE_MARGIN


def test_a_recording_without_a_voice_and_a_person_left_with_one() -> None:
    scores = scores_of([0, 0, 0, 1, 1, 2])
    scores[5, :] = scores[:, 5] = np.nan  # nothing was heard
    scores[3, :3] = scores[:3, 3] = 8.0  # one of the second person's is as near to the first
    assert [label.person for label in label_recordings(scores)] == [0, 0, 0, None, None, None]
    assert label_recordings(np.zeros((0, 0))) == []


def test_agreement_counts_pairs() -> None:
    labels = [Label(person, 9.0, 9.0) for person in (0, 0, 0, 1, 1)] + [Label(None, 1.0, 0.0)]
    found = agreement(labels, ["a", "a", "b", "a", "c", "d"])
    assert (found.found, found.people) == (2, 4)
    assert found.wrong_pairs == pytest.approx(3 / 4)
    assert found.split_pairs == pytest.approx(2 / 3)


def test_the_folder_is_read_as_people(tmp_path: Path) -> None:
    for number in range(4):
        write_wav(tmp_path / "data" / f"{number}.wav", Audio(np.full(RATE, 0.1, np.float32), RATE))
    files = find_utterances(tmp_path / "data")
    labels = [Label(0, 9.0, 5.0), Label(0, 9.0, 5.0), Label(1, 8.0, 4.0), Label(None, 1.0, 0.5)]
    write_people(files, labels, tmp_path / "people")
    people = utterances_by_speaker(tmp_path / "people")
    assert {name: len(theirs) for name, theirs in people.items()} == {"voice000": 2, "voice001": 1}
    with (tmp_path / "people" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["person"] for row in rows] == ["voice000", "voice000", "voice001", ""]
    assert rows[3]["score"] == "1.00"
    with pytest.raises(SettingsError, match="not empty"):
        write_people(files, labels, tmp_path / "people")


def test_the_command_checks_folders_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an encoder and a scorer that hear how loud a recording is: two people of three recordings each."""

    class Loudness:
        rate = RATE

        def embed(self, clips: list[Audio]) -> np.ndarray:
            return np.array([[float(np.abs(clip.samples).max()), 1.0] for clip in clips], np.float32)

    class Scorer:
        def __init__(self, encoder: str) -> None:
            assert encoder == "loudness"

        def matrix(self, first: list[VoiceEmbeddings], second: list[VoiceEmbeddings]) -> np.ndarray:
            levels = np.array([voice.rows[:, 0].mean() for voice in first])
            return 10.0 - 100.0 * np.abs(levels[:, None] - levels[None, :])

    def load(settings: Settings) -> VoiceEncoder:
        return VoiceEncoder("loudness", Loudness())

    monkeypatch.setattr(VoiceEncoder, "load", load)
    monkeypatch.setattr(label_speakers, "VoiceScorer", Scorer)
    for name, level in (("anna", 0.1), ("ben", 0.5)):
        for number in range(3):
            tone = level * np.sin(np.arange(2 * RATE) * 0.2, dtype=np.float32)
            write_wav(tmp_path / "named" / name / f"{number}.wav", Audio(tone, RATE))
    label_speakers.main(["--data", str(tmp_path / "named"), "--check"])
    output = capsys.readouterr().out
    assert "2 people with 6 of 6 recordings, 3, 3 each" in output
    assert "2 people found of 2" in output
    assert "0.0% are not" in output
