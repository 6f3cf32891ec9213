"""Recordings to learn segmentation from: a folder of them with their true turns beside, and simulated meetings.

A recording ``call.flac`` has its turns in ``call.rttm``; ``call.uem``, where there is one, says which stretches are annotated.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
from meetsplit.scoring.pairing import read_stretches
from meetsplit.training.conversation import Manners
from meetsplit.training.simulate import Recipe, simulate
from meetsplit.training.sources import from_folder
from meetsplit.training.speech import SOUND

RATE = 16_000
TAIL = 0.1
"""Seconds of silence behind the sound, so that a window may end with it."""

SIMULATED_SECONDS = 40.0
TRIES = 5
"""Conversations that are tried before a simulated meeting is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A recording, its true turns and the stretches in which they are complete."""

    name: str
    audio: Audio
    turns: tuple[Turn, ...]
    annotated: tuple[Span, ...]

    @property
    def digest(self) -> str:
        """The same for the same sound under whatever name."""
        return f"{zlib.crc32(self.audio.samples.tobytes()):08x}"


@dataclass(frozen=True, slots=True)
class Filed:
    """The same with its sound in a ``.npy`` file: float32 at 16 kHz, as loud as the diarizer hears every recording."""

    name: str
    path: Path
    turns: tuple[Turn, ...]
    annotated: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        """How much of it is annotated."""
        return timeline.total(self.annotated)


def annotated(folder: Path) -> Iterator[Case]:
    """Every recording in the folder that has an RTTM beside it. Raises `SettingsError` where there is none."""
    sounds = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUND) if folder.is_dir() else []
    paths = [path for path in sounds if path.with_suffix(".rttm").is_file()]
    if not paths:
        raise SettingsError(
            f"{folder}: no recording with its turns beside it; put call.rttm next to call.flac (or .wav, .m4a…)"
        )
    for path in paths:
        audio = read(path, RATE)
        speech = timeline.by_speaker(read_rttm(path.with_suffix(".rttm"), path.stem))
        inside = sorted(Turn(part, who) for who, spans in speech.items() for part in timeline.crop(spans, audio.span))
        uem = path.with_suffix(".uem")
        stretches = read_stretches(uem).get(path.stem, ()) if uem.is_file() else (audio.span,)
        yield Case(path.stem, audio, tuple(inside), timeline.crop(stretches, audio.span))


def sample_call_folder() -> Path:
    """The folder of pyannote.audio's own sample: a telephone call of 30 s with its RTTM. Raises `SettingsError`."""
    package = importlib.util.find_spec("pyannote.audio")
    if package is None or package.origin is None:
        raise SettingsError("--call needs pyannote.audio")
    return Path(package.origin).parent / "sample"


def filed(cases: Iterable[Case], cache: Path, shortest: float) -> Iterator[Filed]:
    """The recordings that have at least ``shortest`` seconds on end annotated, as the training reads them."""
    for case in cases:
        if has_sound(case.audio.samples) and max((span.duration for span in case.annotated), default=0.0) >= shortest:
            yield Filed(
                case.name, _kept(cache / f"{case.name}-{case.digest}.npy", case.audio), case.turns, case.annotated
            )


def simulated(speech: Path, cache: Path, *, count: int, seed: int) -> Iterator[Filed]:
    """Meetings of two to four people of the folder ``speech``, in rooms, with noise; made once and then kept in ``cache``."""
    source = f"{zlib.crc32(str(speech.resolve()).encode()):08x}"
    for number in range(count):
        path = cache / f"simulated-{source}-{seed}-{number}.npy"
        truth = path.with_suffix(".json")
        if not (path.exists() and truth.exists()):
            audio, turns = _meeting(speech, np.random.default_rng((seed, number)))
            _kept(path, audio)
            write(truth, json.dumps([(turn.span.start, turn.span.end, turn.speaker) for turn in turns]))
        told = tuple(Turn(Span(start, end), who) for start, end, who in json.loads(truth.read_text("utf-8")))
        length = len(np.load(path, mmap_mode="r")) / RATE - TAIL
        yield Filed(path.stem, path, told, (Span(0.0, length),))


def _meeting(speech: Path, rng: np.random.Generator) -> tuple[Audio, Sequence[Turn]]:
    for left in range(TRIES - 1, -1, -1):
        overlap, speakers = float(rng.uniform(0.1, 0.35)), int(rng.integers(2, 5))
        recipe = Recipe(
            manners=Manners(overlap, reuse=True),
            seconds=SIMULATED_SECONDS,
            levels=float(rng.uniform(1, 5)),
            room=True,
            snr=float(rng.uniform(10, 35)),
        )
        try:
            voices = from_folder(speech, speakers, SIMULATED_SECONDS * (1 + overlap), rate=RATE, rng=rng)
            made = simulate(voices, recipe, int(rng.integers(1 << 30)))
        except SettingsError:
            if not left:
                raise
            continue
        return made.mixture, made.turns
    raise AssertionError("unreachable")


def _kept(path: Path, audio: Audio) -> Path:
    if not path.exists():
        samples = np.append(
            normalize_loudness(audio.samples, SEGMENTATION_LEVEL), np.zeros(round(TAIL * RATE), np.float32)
        )
        with replacing(path) as file:
            np.save(file, samples)
    return path
