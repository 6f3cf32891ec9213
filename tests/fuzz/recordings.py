"""Small recordings, their turns and words, and the environment of a command that leaves the user's folders alone."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np

TURNS = (("A", 0.3, 1.2), ("B", 1.0, 1.9), ("A", 2.1, 2.8))
"""Who speaks when in three seconds; longer recordings repeat it."""


def tone(path: Path, seconds: int, seed: int = 0, *, rate: int = 16000, channels: int = 1) -> Path:
    """A tone with a little noise; its content depends on the seed."""
    noise = np.random.default_rng(seed)
    times = np.arange(rate)[:, None] / rate
    second = (
        0.3 * np.sin(2 * np.pi * (140 + seed % 40) * times) + 0.02 * noise.standard_normal((rate, channels))
    ) * 32767
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(second.astype("<i2").tobytes() * seconds)
    return path


def turns_and_words(rttm: Path, ctm: Path, seconds: int, word: str = "word") -> None:
    """Turns and words for recordings of this length, so that no model is needed."""
    turns, words = [], []
    for at in range(0, seconds - 2, 3):
        for speaker, start, end in TURNS:
            turns.append(f"SPEAKER all 1 {at + start:.1f} {end - start:.1f} <NA> <NA> {speaker} <NA> <NA>\n")
            words.append(f"all 1 {at + start + 0.2:.1f} 0.3 {word}{len(words)} 0.9\n")
    rttm.write_text("".join(turns), "utf-8")
    ctm.write_text("".join(words), "utf-8")


def environment(root: Path) -> dict[str, str]:
    """Variables that keep a command inside ``root``: cache, jobs, scratch files, home."""
    return {
        "HOME": str(root),
        "MEETSPLIT_CACHE": str(root / "cache"),
        "MEETSPLIT_STATE": str(root / "state"),
        "TMPDIR": str(root / "tmp"),
        "COLUMNS": "300",
        "OMP_NUM_THREADS": "1",
    }


def clean_environment(root: Path) -> dict[str, str]:
    """The whole environment of such a command: nothing of the user's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEETSPLIT", "HF_", "DBOS"))}
    return {**kept, **environment(root)}
