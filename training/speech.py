"""Single-speaker utterances: folders of files, and the flite synthesizer; speech in them is detected by energy."""

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

FLITE_VOICES = ("awb", "rms", "slt", "kal16")
"""Flite's built-in voices at 16 kHz: a Scot, an American, an American woman, and an older diphone voice."""

FRAME = 0.01
"""Seconds per frame of the energy criterion."""

MIN_FRAMES = 3
"""Shorter runs of speech frames are dropped."""

MARGIN = 0.05
"""Seconds kept around speech when silence is trimmed."""

MIN_PHRASE = 0.2
"""Seconds; shorter pieces between two pauses are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A single-speaker utterance. ``audio`` starts at clock 0; ``text`` is None where no transcript exists."""

    speaker: Speaker
    audio: Audio
    text: str | None = None


def frame_levels(audio: Audio) -> Samples:
    """RMS level in dB of each 10 ms frame, shape ``(frames,)``; digital silence is -120 dB."""
    size = round(FRAME * audio.rate)
    frames = audio.samples[: len(audio.samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames), axis=1, dtype=np.float64)
    return np.asarray(10 * np.log10(power + 1e-12), np.float32)


def detect_speech(audio: Audio, pause: float = 0.5) -> tuple[Span, ...]:
    """Energy-based voice activity of a single-speaker recording; pauses of at most ``pause`` seconds are bridged.

    A frame is speech if it is less than 35 dB below the loud frames (95th percentile of the speech level) and 6 dB
    above the quietest ones; blips under 30 ms are dropped. Made for clean utterances: noise counts as speech.
    """
    level = frame_levels(audio)
    if len(level) == 0 or level.max() < -70:
        return ()
    loud = float(np.percentile(level[level > level.max() - 40], 95))
    floor = float(np.percentile(level, 2))
    threshold = min(max(loud - 35, floor + 6), loud - 15)
    is_speech = level > threshold
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]])))
    runs = [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if last - first >= MIN_FRAMES]
    return support((Span(audio.clock(first * FRAME), audio.clock(last * FRAME)) for first, last in runs), gap=pause)


def without_pauses(audio: Audio, pause: float) -> Samples:
    """The speech of a single-speaker recording (`detect_speech`) in one piece; without any, no samples."""
    spans = detect_speech(audio, pause)
    return np.concatenate([np.zeros(0, np.float32), *(audio.crop(span).samples for span in spans)])


def trim_silence(utterance: Utterance) -> Utterance | None:
    """The utterance from its first to its last speech frame with `MARGIN` around it, at clock 0; None if silent."""
    spans = detect_speech(utterance.audio)
    if not spans:
        return None
    return Utterance(utterance.speaker, _crop(utterance.audio, spans[0].start, spans[-1].end), utterance.text)


def split_at_pauses(utterance: Utterance, pause: float = 0.3) -> tuple[Utterance, ...]:
    """The utterance cut at pauses longer than ``pause``, so that read speech gets turns of conversational length.

    An utterance with a text stays whole, as its words have no times.
    """
    if utterance.text is not None:
        return (utterance,)
    return tuple(
        Utterance(utterance.speaker, _crop(utterance.audio, span.start, span.end))
        for span in detect_speech(utterance.audio, pause)
        if span.duration >= MIN_PHRASE
    )


def _crop(audio: Audio, start: float, end: float) -> Audio:
    """The stretch with `MARGIN` around it, at clock 0."""
    span = Span(max(start - MARGIN, 0.0), end + MARGIN)
    return Audio(audio.crop(span).samples, audio.rate)


@dataclass(frozen=True, slots=True)
class UtteranceFile:
    """An utterance on disk, not read yet."""

    speaker: Speaker
    path: Path
    text: str | None = None

    def read(self, rate: int) -> Utterance:
        """The utterance at ``rate`` Hz. Raises `AudioError`."""
        return Utterance(self.speaker, read(self.path, rate), self.text)


def find_utterances(folder: Path) -> tuple[UtteranceFile, ...]:
    """Every utterance below a folder, sorted by path, with its text where there is one.

    Layouts: LibriSpeech (``1688/142285/1688-142285-0000.flac`` with ``1688-142285.trans.txt``), one folder per speaker,
    or flat with the speaker before the first ``-`` or ``_`` of the file name. A text may also lie beside its sound as
    ``.txt``. Raises `SettingsError` where nothing is found.
    """
    paths = audio_files(folder)
    if not paths:
        raise SettingsError(
            f"{folder}: no utterances in it; give a folder with {', '.join(sorted(AUDIO_SUFFIXES))} "
            "files of single speakers"
        )
    transcripts: dict[str, str] = {}
    for transcript_file in sorted(folder.rglob("*.trans.txt")):
        rows = (row.partition(" ") for row in transcript_file.read_text("utf-8").splitlines())
        transcripts |= {name: text.strip() for name, _, text in rows}
    return tuple(
        UtteranceFile(_speaker(path, folder), path, transcripts.get(path.stem) or _text_beside(path)) for path in paths
    )


def utterances_by_speaker(folder: Path) -> dict[Speaker, list[UtteranceFile]]:
    """The utterances of `find_utterances`, grouped by speaker. Raises `SettingsError` where nothing is found."""
    speakers: dict[Speaker, list[UtteranceFile]] = {}
    for utterance in find_utterances(folder):
        speakers.setdefault(utterance.speaker, []).append(utterance)
    return speakers


def audio_files(folder: Path) -> list[Path]:
    """The audio files anywhere below a folder, sorted; none if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)


def _speaker(path: Path, folder: Path) -> Speaker:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else re.split("[-_]", path.stem, maxsplit=1)[0]


def _text_beside(path: Path) -> str | None:
    text_file = path.with_suffix(".txt")
    if not text_file.exists():
        return None
    return text_file.read_text("utf-8").strip() or None


def synthesize(voice: str, text: str, cache: Path) -> Audio:
    """``text`` in a flite voice at the voice's own rate; cached in the folder ``cache`` under a name made of both.

    Raises `MissingDependency` where flite is not installed, `SettingsError` for an unknown voice.
    """
    if voice not in FLITE_VOICES:
        raise SettingsError(f"flite voice {voice!r}: there are {', '.join(FLITE_VOICES)}")
    path = cache / f"{voice}-{hashlib.sha256(text.encode()).hexdigest()[:20]}.wav"
    if not path.exists():
        program = shutil.which("flite")
        if program is None:
            raise MissingDependency(
                "simulate", "the program flite speaks the dialogue and is not installed: apt install flite"
            )
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        with blame("simulate", f"speaking {text!r} with flite"):
            subprocess.run(
                [program, "-voice", voice, "-t", f" {text}", "-o", str(part)], check=True, capture_output=True
            )
            os.replace(part, path)
    return read(path, probe(path).rate)
