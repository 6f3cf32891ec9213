"""Who comes to a simulated meeting, and with how much to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.conversation import performed
from meetsplit.training.grammar import remark
from meetsplit.training.meeting import Cue
from meetsplit.training.script import written
from meetsplit.training.speech import VOICES, Recorded, Utterance, phrases, recorded, said_by_flite

SPARE = 1.8
"""How much more each speaker has to say than an equal share of the meeting."""


def from_folder(
    folder: Path, speakers: int, seconds: float, *, rate: int, rng: np.random.Generator
) -> tuple[Utterance, ...]:
    """Utterances of ``speakers`` people drawn from a folder, enough for a meeting of ``seconds`` if they have as much.

    Only files that are needed are read. Speech without text is cut at its pauses. Raises `SettingsError`, `AudioError`.
    """
    people: dict[Speaker, list[Recorded]] = {}
    for one in recorded(folder):
        people.setdefault(one.speaker, []).append(one)
    _enough(speakers, len(people), f"{folder} has utterances of {len(people)}")
    found: list[Utterance] = []
    for index in rng.choice(len(people), speakers, replace=False):
        own = people[sorted(people)[index]]
        left = SPARE * seconds / speakers
        for number in rng.permutation(len(own)):
            if left <= 0:
                break
            utterance = own[number].utterance(rate)
            left -= utterance.audio.duration
            found += phrases(utterance)
    return tuple(found)


def from_flite(
    speakers: int, seconds: float, cache: Path, *, rate: int, rng: np.random.Generator
) -> tuple[Utterance, ...]:
    """Made-up remarks in the first ``speakers`` of flite's voices, enough for a meeting of ``seconds``."""
    _enough(speakers, len(VOICES), f"flite has {len(VOICES)} voices at 16 kHz")
    found: list[Utterance] = []
    for voice in VOICES[:speakers]:
        left = SPARE * seconds / speakers + 20
        while left > 0:
            text = remark(rng)
            audio = resample(said_by_flite(voice, text, cache), rate)
            left -= audio.duration
            found.append(Utterance(voice, audio, text))
    return tuple(found)


def from_dialogue(path: Path, cache: Path, rate: int) -> tuple[Cue, ...]:
    """A written dialogue, spoken by flite, at the places that it gives."""
    lines = written(path)
    if not lines:
        raise SettingsError(f"{path}: nobody says anything in it; a line is 'speaker gap text'")
    spoken = (
        Utterance(line.speaker, resample(said_by_flite(line.speaker, line.text, cache), rate), line.text)
        for line in lines
    )
    return tuple(performed(lines, spoken))


def _enough(speakers: int, there: int, what: str) -> None:
    if not 1 <= speakers <= there:
        raise SettingsError(f"--speakers {speakers}: {what}; ask for 1 to {there}")
