"""Samples of a voice: taken from a recording, checked for enough speech of one person alone, and embedded."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.channels.activity import diarize_channels
from meetsplit.pipeline.data import Audio, Speaker, Turn
from meetsplit.pipeline.data.timeline import total
from meetsplit.pipeline.errors import VoicesError
from meetsplit.speakers.voice_split import two_groups
from meetsplit.speakers.voice_store import VoiceSample
from meetsplit.speakers.voiceprints import (
    VoiceEmbeddings,
    VoiceEncoder,
    VoiceScorer,
    clean_clips,
    clean_spans,
    embed_voice,
)

LEAST_SECONDS = 5.0
"""Seconds of clean speech that a sample has, at least."""

RATE = 16000
"""Hz at which samples are read."""

WINDOW = 1.6
"""Seconds of speech that are told apart in a sample."""

LEAST_OTHER = 3.0
"""Seconds of a second voice from which a sample has two people: less is a laugh, or a cough."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSample:
    """A sample that can be enrolled, and the clips of clean speech that it was made of, longest first."""

    sample: VoiceSample
    clips: tuple[Audio, ...]


def sample_of_file(encoder: VoiceEncoder, path: Path) -> CheckedSample:
    """The sample of a recording in which one person speaks.

    Raises `AudioError`, and `VoicesError` for silence, less than `LEAST_SECONDS` of speech, and two people.
    """
    return _checked(encoder, str(path), path.name, clips_of_file(path))


def clips_of_file(path: Path) -> tuple[Audio, ...]:
    """The clean speech of a recording in which one person speaks.

    Raises `AudioError`, and `VoicesError` for silence.
    """
    audio = read(path, RATE)
    turns = diarize_channels((audio,)).turns
    if not turns:
        raise VoicesError(f"{path}: no speech in it; give a recording of the person speaking alone")
    return clean_clips(audio, turns, turns[0].speaker)


def sample_of_person(
    encoder: VoiceEncoder, recording: Path, turns: Sequence[Turn], speaker: Speaker, name: str
) -> CheckedSample:
    """The sample of a person in a meeting, of where they speak alone; ``name`` is what messages call them.

    Raises as `sample_of_file`.
    """
    where = f"{recording}: {name}"
    if total(clean_spans(turns, speaker)) < LEAST_SECONDS:
        raise _too_little(where, total(clean_spans(turns, speaker)))
    return _checked(encoder, where, recording.name, clean_clips(read(recording, RATE), turns, speaker))


def other_voice(encoder: VoiceEncoder, clips: Sequence[Audio]) -> tuple[float, float] | None:
    """How alike the two most different parts of the clips are (a score), and the seconds of the smaller one.

    None where there is too little speech for two people.
    """
    voice = embed_voice(encoder, clips, piece=WINDOW)
    scorer = VoiceScorer(encoder.name)
    if voice.total < 2 * LEAST_OTHER:
        return None
    is_second = two_groups(voice)
    first, second = voice.select(~is_second), voice.select(is_second)
    return scorer.score(first, second), min(first.total, second.total)


def _checked(encoder: VoiceEncoder, where: str, source: str, clips: tuple[Audio, ...]) -> CheckedSample:
    seconds = sum(clip.duration for clip in clips)
    voice: VoiceEmbeddings = embed_voice(encoder, clips)
    if seconds < LEAST_SECONDS or voice.total < LEAST_SECONDS:
        raise _too_little(where, min(seconds, voice.total))
    parts = other_voice(encoder, clips)
    if parts is not None and parts[0] < VoiceScorer(encoder.name).calibration.two_people and parts[1] >= LEAST_OTHER:
        raise VoicesError(
            f"{where}: two people seem to speak in it, one of them {parts[1]:.0f} s; give recordings of one person, "
            "or --from a meeting with the label of the person"
        )
    added = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return CheckedSample(VoiceSample(source, added, voice), clips)


def _too_little(where: str, seconds: float) -> VoicesError:
    return VoicesError(
        f"{where}: {math.floor(10 * seconds) / 10:.1f} s of clear speech of one person alone, {LEAST_SECONDS:.0f} s "
        "are needed; give a longer recording"
    )
