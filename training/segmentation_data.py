"""Training data for segmentation: a folder of recordings with an RTTM beside each, and simulated meetings.

A recording ``call.flac`` has its turns in ``call.rttm``; ``call.uem``, where there is one, gives the annotated
stretches.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, Span, Turn, timeline
from meetsplit.pipeline.diarizers.embedded import SEGMENTATION_LEVEL, normalize_loudness
from meetsplit.pipeline.diarizers.pyannote_turns import has_sound
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files import replacing, write
from meetsplit.scoring.session_files import read_uem
from meetsplit.training.conversation import TurnTaking
from meetsplit.training.meeting import SimulatedMeeting
from meetsplit.training.simulate import SimulationOptions, simulate
from meetsplit.training.sources import from_folder
from meetsplit.training.speech import audio_files

RATE = 16_000
TAIL = 0.1
"""Seconds of silence after the sound, so that a window may end with it."""

SIMULATED_SECONDS = 40.0
ATTEMPTS = 5
"""Conversations that are tried before a simulated meeting is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedRecording:
    """A recording, its reference turns, and the stretches in which they are complete."""

    name: str
    audio: Audio
    turns: tuple[Turn, ...]
    annotated: tuple[Span, ...]

    @property
    def digest(self) -> str:
        """A checksum of the samples: equal for the same sound under another name."""
        return f"{zlib.crc32(self.audio.samples.tobytes()):08x}"


@dataclass(frozen=True, slots=True)
class TrainingRecording:
    """An annotated recording in a ``.npy`` file: float32 at 16 kHz, at the diarizer's level."""

    name: str
    path: Path
    turns: tuple[Turn, ...]
    annotated: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        """Annotated seconds."""
        return timeline.total(self.annotated)


def read_annotated(folder: Path) -> Iterator[AnnotatedRecording]:
    """Every recording in the folder that has an RTTM beside it. Raises `SettingsError` where there is none."""
    paths = [path for path in audio_files(folder) if path.with_suffix(".rttm").is_file()]
    if not paths:
        raise SettingsError(
            f"{folder}: no recording with its turns beside it; put call.rttm next to call.flac (or .wav, .m4a…)"
        )
    for path in paths:
        audio = read(path, RATE)
        turns = timeline.merge_turns(read_rttm(path.with_suffix(".rttm"), path.stem))
        uem = path.with_suffix(".uem")
        stretches = read_uem(uem).get(path.stem, ()) if uem.is_file() else (audio.span,)
        yield AnnotatedRecording(
            path.stem, audio, timeline.inside(turns, audio.span), timeline.crop(stretches, audio.span)
        )


def sample_call_folder() -> Path:
    """The folder of pyannote.audio's own sample: a telephone call of 30 s with its RTTM. Raises `SettingsError`."""
    package = importlib.util.find_spec("pyannote.audio")
    if package is None or package.origin is None:
        raise SettingsError("--call needs pyannote.audio")
    return Path(package.origin).parent / "sample"


def prepare(recordings: Iterable[AnnotatedRecording], cache: Path, min_seconds: float) -> Iterator[TrainingRecording]:
    """The recordings with at least ``min_seconds`` of annotation on end, their samples written to ``cache``."""
    for recording in recordings:
        longest = max((span.duration for span in recording.annotated), default=0.0)
        if has_sound(recording.audio.samples) and longest >= min_seconds:
            path = cache / f"{recording.name}-{recording.digest}.npy"
            _write_samples(path, recording.audio)
            yield TrainingRecording(recording.name, path, recording.turns, recording.annotated)


def simulated(speech: Path, cache: Path, *, count: int, seed: int) -> Iterator[TrainingRecording]:
    """Meetings of two to four speakers of the folder ``speech``, in rooms, with noise; kept in ``cache``."""
    source = f"{zlib.crc32(str(speech.resolve()).encode()):08x}"
    for number in range(count):
        path = cache / f"simulated-{source}-{seed}-{number}.npy"
        turns_path = path.with_suffix(".json")
        if not (path.exists() and turns_path.exists()):
            meeting = _simulate(speech, np.random.default_rng((seed, number)))
            _write_samples(path, meeting.mixture)
            rows = [(turn.span.start, turn.span.end, turn.speaker) for turn in meeting.turns]
            write(turns_path, json.dumps(rows))
        turns = tuple(
            Turn(Span(start, end), speaker) for start, end, speaker in json.loads(turns_path.read_text("utf-8"))
        )
        seconds = len(np.load(path, mmap_mode="r")) / RATE - TAIL
        yield TrainingRecording(path.stem, path, turns, (Span(0.0, seconds),))


def _simulate(speech: Path, rng: np.random.Generator) -> SimulatedMeeting:
    """A meeting with random options; others are drawn where the options cannot be met. Raises `SettingsError`."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _simulate_once(speech, rng)
        except SettingsError:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _simulate_once(speech: Path, rng: np.random.Generator) -> SimulatedMeeting:
    overlap = float(rng.uniform(0.1, 0.35))
    speakers = int(rng.integers(2, 5))
    options = SimulationOptions(
        turn_taking=TurnTaking(overlap, reuse=True),
        seconds=SIMULATED_SECONDS,
        levels=float(rng.uniform(1, 5)),
        room=True,
        snr=float(rng.uniform(10, 35)),
    )
    utterances = from_folder(speech, speakers, SIMULATED_SECONDS * (1 + overlap), rate=RATE, rng=rng)
    return simulate(utterances, options, int(rng.integers(1 << 30)))


def _write_samples(path: Path, audio: Audio) -> None:
    if path.exists():
        return
    samples = np.append(normalize_loudness(audio.samples, SEGMENTATION_LEVEL), np.zeros(round(TAIL * RATE), np.float32))
    with replacing(path) as file:
        np.save(file, samples)
