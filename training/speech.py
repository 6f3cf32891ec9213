"""Where single voices come from: folders of utterances, and the flite synthesizer.

An utterance is one person saying one thing, with a little silence around it; where its voice is, is told by energy.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.media_types import AUDIO_SUFFIXES
from meetsplit.pipeline.audio.reading import probe, read
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker
from meetsplit.pipeline.data.timeline import support
from meetsplit.pipeline.errors import MissingDependency, SettingsError, blame

VOICES = ("awb", "rms", "slt", "kal16")
"""Flite's built-in voices at 16 kHz: a Scot, an American, an American woman, and an older diphone voice."""

FRAME = 0.01
"""Seconds per frame of the energy criterion."""

MARGIN = 0.05
"""Seconds kept around a voice when silence is cut away."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One person says one thing. ``audio`` is on its own clock, from 0; ``text`` is None where nobody wrote it down."""

    speaker: Speaker
    audio: Audio
    text: str | None = None


def loudness(audio: Audio) -> Samples:
    """RMS level in dB of each 10 ms frame, shape ``(frames,)``; digital silence is -120 dB."""
    size = round(FRAME * audio.rate)
    frames = audio.samples[: len(audio.samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames), axis=1, dtype=np.float64)
    return np.asarray(10 * np.log10(power + 1e-12), np.float32)


def voiced(audio: Audio, pause: float = 0.5) -> tuple[Span, ...]:
    """Where somebody is heard in a single-speaker recording; pauses of at most ``pause`` seconds belong to the speech.

    A frame is speech if it is less than 35 dB below the loud frames (95th percentile of the speech level) and 6 dB
    above the quietest ones; blips under 30 ms are dropped. Made for clean utterances: it knows no speech from noise.
    """
    level = loudness(audio)
    if len(level) == 0 or level.max() < -70:
        return ()
    loud = float(np.percentile(level[level > level.max() - 40], 95))
    floor = float(np.percentile(level, 2))
    heard = level > min(max(loud - 35, floor + 6), loud - 15)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]])))
    runs = [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if last - first >= 3]
    return support((Span(audio.clock(first * FRAME), audio.clock(last * FRAME)) for first, last in runs), gap=pause)


def trimmed(utterance: Utterance) -> Utterance | None:
    """The utterance from its first to its last voiced frame with `MARGIN` around it, at clock 0; None if silent."""
    spans = voiced(utterance.audio)
    if not spans:
        return None
    around = Span(max(spans[0].start - MARGIN, 0.0), spans[-1].end + MARGIN)
    return Utterance(
        utterance.speaker, Audio(utterance.audio.crop(around).samples, utterance.audio.rate), utterance.text
    )


def phrases(utterance: Utterance, pause: float = 0.3) -> tuple[Utterance, ...]:
    """The utterance cut at its pauses, so that read speech gets turns of spoken length; texts are lost, a text stays whole."""
    if utterance.text is not None:
        return (utterance,)
    cut: list[Utterance] = []
    for span in voiced(utterance.audio, pause):
        if span.duration >= 0.2:
            around = Span(max(span.start - MARGIN, 0.0), span.end + MARGIN)
            cut.append(Utterance(utterance.speaker, Audio(utterance.audio.crop(around).samples, utterance.audio.rate)))
    return tuple(cut)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An utterance in a file that has not been read yet."""

    speaker: Speaker
    path: Path
    text: str | None = None

    def utterance(self, rate: int) -> Utterance:
        """The sound, at ``rate``. Raises `AudioError`."""
        return Utterance(self.speaker, read(self.path, rate), self.text)


def recorded(folder: Path) -> tuple[Recorded, ...]:
    """Every utterance below a folder, sorted by path, with its text where there is one.

    Layouts: LibriSpeech (``1688/142285/1688-142285-0000.flac`` with ``1688-142285.trans.txt``), one folder per speaker,
    or flat with the speaker before the first ``-`` or ``_`` of the file name. A text may also lie beside its sound as
    ``.txt``. Raises `SettingsError` where nothing is found.
    """
    paths = (
        sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES) if folder.is_dir() else []
    )
    if not paths:
        raise SettingsError(
            f"{folder}: no utterances in it; give a folder with {', '.join(sorted(AUDIO_SUFFIXES))} files of single speakers"
        )
    transcripts: dict[str, str] = {}
    for book in sorted(folder.rglob("*.trans.txt")):
        rows = (row.partition(" ") for row in book.read_text("utf-8").splitlines())
        transcripts |= {name: text.strip() for name, _, text in rows}
    return tuple(Recorded(_speaker(path, folder), path, transcripts.get(path.stem) or _beside(path)) for path in paths)


def _speaker(path: Path, folder: Path) -> Speaker:
    inside = path.relative_to(folder).parts
    return inside[0] if len(inside) > 1 else re.split("[-_]", path.stem, maxsplit=1)[0]


def _beside(path: Path) -> str | None:
    text = path.with_suffix(".txt")
    return text.read_text("utf-8").strip() or None if text.exists() else None


def said_by_flite(voice: str, text: str, cache: Path) -> Audio:
    """``text`` in a flite voice at the voice's own rate, kept in the folder ``cache`` under a name made of both.

    Raises `MissingDependency` where flite is not installed, `SettingsError` for an unknown voice.
    """
    if voice not in VOICES:
        raise SettingsError(f"flite voice {voice!r}: there are {', '.join(VOICES)}")
    path = cache / f"{voice}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.wav"
    if not path.exists():
        program = shutil.which("flite")
        if program is None:
            raise MissingDependency(
                "simulate", "the program flite speaks the dialogue and is not installed: apt install flite"
            )
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.part")
        with blame("simulate", f"speaking {text!r} with flite"):
            subprocess.run(
                [program, "-voice", voice, "-t", f" {text}", "-o", str(fresh)], check=True, capture_output=True
            )
            os.replace(fresh, path)
    return read(path, probe(path).rate)
