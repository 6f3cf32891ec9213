"""The utterances of a simulated meeting: drawn from a folder, spoken by flite, or of a written dialogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.conversation import place_dialogue
from meetsplit.training.grammar import random_remark
from meetsplit.training.meeting import PlacedUtterance
from meetsplit.training.script import read_dialogue
from meetsplit.training.speech import FLITE_VOICES, Utterance, split_at_pauses, synthesize, utterances_by_speaker

SURPLUS = 1.8
"""Speech drawn for each speaker, as a multiple of an equal share of the meeting."""


def from_folder(
    folder: Path, speakers: int, seconds: float, *, rate: int, rng: np.random.Generator
) -> tuple[Utterance, ...]:
    """Utterances of ``speakers`` random speakers of a folder, enough for a meeting of ``seconds`` if there are as many.

    Only files that are needed are read. Speech without text is cut at its pauses. Raises `SettingsError`, `AudioError`.
    """
    files = utterances_by_speaker(folder)
    _check_speaker_count(speakers, len(files), f"{folder} has utterances of {len(files)}")
    utterances: list[Utterance] = []
    for index in rng.choice(len(files), speakers, replace=False):
        speaker_files = files[sorted(files)[index]]
        missing = SURPLUS * seconds / speakers
        for number in rng.permutation(len(speaker_files)):
            if missing <= 0:
                break
            utterance = speaker_files[number].read(rate)
            missing -= utterance.audio.duration
            utterances += split_at_pauses(utterance)
    return tuple(utterances)


def from_flite(
    speakers: int, seconds: float, cache: Path, *, rate: int, rng: np.random.Generator
) -> tuple[Utterance, ...]:
    """Random remarks in the first ``speakers`` of flite's voices, enough for a meeting of ``seconds``."""
    _check_speaker_count(speakers, len(FLITE_VOICES), f"flite has {len(FLITE_VOICES)} voices at 16 kHz")
    utterances: list[Utterance] = []
    for voice in FLITE_VOICES[:speakers]:
        missing = SURPLUS * seconds / speakers + 20
        while missing > 0:
            text = random_remark(rng)
            audio = resample(synthesize(voice, text, cache), rate)
            missing -= audio.duration
            utterances.append(Utterance(voice, audio, text))
    return tuple(utterances)


def from_dialogue(path: Path, cache: Path, rate: int) -> tuple[PlacedUtterance, ...]:
    """A written dialogue, spoken by flite, each utterance at the time that its line gives."""
    lines = read_dialogue(path)
    if not lines:
        raise SettingsError(f"{path}: nobody says anything in it; a line is 'speaker gap text'")
    utterances = (
        Utterance(line.speaker, resample(synthesize(line.speaker, line.text, cache), rate), line.text) for line in lines
    )
    return tuple(place_dialogue(lines, utterances))


def _check_speaker_count(speakers: int, available: int, source: str) -> None:
    if not 1 <= speakers <= available:
        raise SettingsError(f"--speakers {speakers}: {source}; ask for 1 to {available}")
