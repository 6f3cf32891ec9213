"""The floor of a conversation while it is being made up: who has spoken, how many voices each moment has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.meeting import Cue
from meetsplit.training.speech import FRAME, Utterance, trimmed, voiced

LEAD = 0.3
"""Seconds that somebody has spoken before anybody interrupts; also the silence before the first word."""

APART = 0.15
"""Least silence in seconds between two utterances of one person."""

SHORT = 1.2
"""Seconds up to which an utterance can be a back-channel."""

STEP = 0.05
"""Seconds between the places that are tried for an interruption."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """An utterance without the silence around it, and in which of its 10 ms frames it is heard."""

    utterance: Utterance
    heard: npt.NDArray[np.bool_]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.utterance.audio.duration


def spoken(utterance: Utterance) -> Spoken | None:
    """The utterance ready to be placed; None where nothing is heard."""
    clean = trimmed(utterance)
    if clean is None:
        return None
    heard = np.zeros(round(clean.audio.duration / FRAME) + 1, np.bool_)
    for span in voiced(clean.audio):
        heard[round(span.start / FRAME) : round(span.end / FRAME)] = True
    return Spoken(clean, heard)


@dataclass(slots=True, eq=False)
class Queue:
    """What one speaker still has to say."""

    speaker: Speaker
    everything: Sequence[Spoken]
    reuse: bool
    left: list[Spoken] = field(default_factory=list)
    rounds: int = 0

    @property
    def total(self) -> float:
        """Seconds of everything that this speaker can say once."""
        return sum(item.duration for item in self.everything)

    @property
    def silent(self) -> bool:
        """Whether everything has been said."""
        return not self.everything or not (self.left or self.reuse or self.rounds == 0)

    def take(self, most: float | None = None) -> Spoken | None:
        """The next utterance, or the next of at most ``most`` seconds; None where no such short one is left.

        Raises `SettingsError` where everything has been said.
        """
        self._refill()
        fits = (index for index, item in enumerate(self.left) if most is None or item.duration <= most)
        index = next(fits, None)
        return None if index is None else self.left.pop(index)

    def take_best(self, rating: Callable[[Spoken], float]) -> Spoken:
        """The utterance with the lowest rating among those that are left. Raises `SettingsError` as `take` does."""
        self._refill()
        return self.left.pop(min(range(len(self.left)), key=lambda index: rating(self.left[index])))

    def _refill(self) -> None:
        if not self.left and (self.reuse or self.rounds == 0):
            self.left = list(self.everything)
            self.rounds += 1
        if not self.left:
            raise SettingsError(
                f"speaker {self.speaker} has only {self.total:.0f} s to say: give more utterances, ask for fewer minutes, or reuse them"
            )


@dataclass(slots=True, eq=False)
class Floor:
    """The conversation so far. ``voices`` counts the speakers heard in each 10 ms frame."""

    voices: npt.NDArray[np.int16]
    cues: list[Cue] = field(default_factory=list)
    free: dict[Speaker, float] = field(default_factory=dict)
    talked: dict[Speaker, float] = field(default_factory=dict)
    latest: Cue | None = None

    @property
    def end(self) -> float:
        """When the last voice falls silent."""
        return LEAD if self.latest is None else self.latest.end

    @property
    def last(self) -> Speaker | None:
        """Who speaks longest into the silence."""
        return None if self.latest is None else self.latest.utterance.speaker

    def share(self) -> float:
        """The share of overlapped speech so far."""
        speech = np.count_nonzero(self.voices)
        return float(np.count_nonzero(self.voices > 1) / speech) if speech else 0.0

    def place(self, item: Spoken, start: float) -> None:
        """Let ``item`` begin at ``start``, rounded to a frame."""
        frame = round(start / FRAME)
        speaker = item.utterance.speaker
        cue = Cue(item.utterance, frame * FRAME)
        needed = frame + len(item.heard) - len(self.voices)
        if needed > 0:
            self.voices = np.concatenate([self.voices, np.zeros(needed + len(self.voices), np.int16)])
        self.voices[frame : frame + len(item.heard)] += item.heard
        self.cues.append(cue)
        self.free[speaker] = max(self.free.get(speaker, 0.0), cue.end + APART)
        self.talked[speaker] = self.talked.get(speaker, 0.0) + item.duration
        if self.latest is None or cue.end > self.latest.end:
            self.latest = cue

    def interruption(self, item: Spoken, overlap: float, latest: float) -> float:
        """Where ``item`` may start, not after ``latest``, so that the share of overlap comes closest to ``overlap``."""
        return self._nearest(item, overlap, latest)[0]

    def distance(self, item: Spoken, overlap: float, latest: float) -> float:
        """How far the share of overlap is from ``overlap`` when ``item`` starts at its `interruption`."""
        return self._nearest(item, overlap, latest)[1]

    def _nearest(self, item: Spoken, overlap: float, latest: float) -> tuple[float, float]:
        if self.latest is None:
            return latest, abs(self.share() - overlap)
        earliest = max(self.free.get(item.utterance.speaker, 0.0), self.latest.start + LEAD, self.end - item.duration)
        starts = (
            np.append(np.arange(latest, earliest, -STEP), max(earliest, 0.0))
            if earliest < latest
            else np.array([latest])
        )
        speech, both = np.count_nonzero(self.voices), np.count_nonzero(self.voices > 1)
        frames = np.flatnonzero(item.heard)
        there = np.rint(starts / FRAME).astype(np.int64)[:, None] + frames
        present = self.voices[np.minimum(there, len(self.voices) - 1)]
        shares = (both + np.count_nonzero(present == 1, axis=1)) / (speech + np.count_nonzero(present == 0, axis=1))
        distances = np.abs(shares - overlap)
        best = int(np.argmin(distances))
        return float(starts[best]), float(distances[best])
