"""Where single voices come from: folders of utterances, and the flite synthesizer.

An utterance is one person saying one thing, with a little silence around it; where its voice is, is told by energy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker
from meetsplit.pipeline.errors import AudioError, MissingDependency, SettingsError, blame
from meetsplit.pipeline.timeline import support

SOUND = frozenset({".flac", ".wav", ".mp3", ".m4a", ".ogg", ".opus"})
"""File names that count as utterances."""

VOICES = ("awb", "rms", "slt", "kal16")
"""Flite's built-in voices at 16 kHz: a Scot, an American, an American woman, and an older diphone voice."""

FRAME = 0.01
"""Seconds per frame of the energy criterion."""


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


def trimmed(utterance: Utterance, margin: float = 0.05) -> Utterance | None:
    """The utterance from its first to its last voiced frame with ``margin`` seconds around it, at clock 0; None if silent."""
    spans = voiced(utterance.audio)
    if not spans:
        return None
    around = Span(max(spans[0].start - margin, 0.0), spans[-1].end + margin)
    return Utterance(utterance.speaker, Audio(utterance.audio.crop(around).samples, utterance.audio.rate), utterance.text)


def decoded(path: Path, rate: int) -> Audio:
    """A sound file as mono at ``rate``. Raises `AudioError` for a file without sound."""
    with blame("simulate", f"reading {path}"), av.open(str(path)) as container:
        if not container.streams.audio:
            raise AudioError(f"{path}: no sound in this file; give a folder of recordings of single speakers")
        resampler = av.AudioResampler("flt", "mono", rate)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
        parts = [frame.to_ndarray()[0] for frame in frames]
    if not parts:
        raise AudioError(f"{path}: no sound in this file; give a folder of recordings of single speakers")
    return Audio(np.ascontiguousarray(np.concatenate(parts), np.float32), rate)


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
            raise MissingDependency("simulate", "the program flite speaks the dialogue and is not installed: apt install flite")
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.part")
        with blame("simulate", f"speaking {text!r} with flite"):
            subprocess.run([program, "-voice", voice, "-t", f" {text}", "-o", str(fresh)], check=True, capture_output=True)
            os.replace(fresh, path)
    with blame("simulate", f"reading {path}"), av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
    return decoded(path, rate)
