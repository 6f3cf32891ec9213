"""The state of a conversation while it is generated: placed speech, overlap, and each speaker's utterances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.meeting import PlacedUtterance
from meetsplit.training.speech import FRAME, Utterance, detect_speech, trim_silence

LEAD_IN = 0.3
"""Seconds that a speaker has spoken before an interruption may start; also the silence before the first word."""

MIN_PAUSE = 0.15
"""Least silence in seconds between two utterances of one speaker."""

MAX_BACKCHANNEL = 1.2
"""Seconds up to which an utterance can be a back-channel."""

SEARCH_STEP = 0.05
"""Seconds between the start times that are tried for an interruption."""


@dataclass(frozen=True, slots=True, eq=False)
class TrimmedUtterance:
    """An utterance without the silence around it, and its voice activity per 10 ms frame."""

    utterance: Utterance
    is_speech: npt.NDArray[np.bool_]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.utterance.audio.duration


def trimmed_utterance(utterance: Utterance) -> TrimmedUtterance | None:
    """The utterance ready to be placed; None where it has no speech."""
    trimmed = trim_silence(utterance)
    if trimmed is None:
        return None
    is_speech = np.zeros(round(trimmed.audio.duration / FRAME) + 1, np.bool_)
    for span in detect_speech(trimmed.audio):
        is_speech[round(span.start / FRAME) : round(span.end / FRAME)] = True
    return TrimmedUtterance(trimmed, is_speech)


@dataclass(slots=True, eq=False)
class UtteranceQueue:
    """The utterances of one speaker in the order in which they are said; with ``reuse``, again from the first."""

    speaker: Speaker
    utterances: Sequence[TrimmedUtterance]
    reuse: bool
    remaining: list[TrimmedUtterance] = field(default_factory=list)
    passes: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of all utterances, each once."""
        return sum(item.duration for item in self.utterances)

    @property
    def exhausted(self) -> bool:
        """Whether no utterance is left."""
        return not self.utterances or not (self.remaining or self._may_refill)

    @property
    def _may_refill(self) -> bool:
        return self.reuse or self.passes == 0

    def pop(self) -> TrimmedUtterance:
        """The next utterance. Raises `SettingsError` where the queue is exhausted."""
        self._refill()
        return self.remaining.pop(0)

    def pop_short(self, max_seconds: float) -> TrimmedUtterance | None:
        """The next utterance of at most ``max_seconds``, or None. Raises `SettingsError` as `pop` does."""
        self._refill()
        for index, item in enumerate(self.remaining):
            if item.duration <= max_seconds:
                return self.remaining.pop(index)
        return None

    def pop_best(self, cost: Callable[[TrimmedUtterance], float]) -> TrimmedUtterance:
        """The remaining utterance of the lowest cost. Raises `SettingsError` as `pop` does."""
        self._refill()
        return self.remaining.pop(min(range(len(self.remaining)), key=lambda index: cost(self.remaining[index])))

    def _refill(self) -> None:
        if not self.remaining and self._may_refill:
            self.remaining = list(self.utterances)
            self.passes += 1
        if not self.remaining:
            raise SettingsError(
                f"speaker {self.speaker} has only {self.seconds:.0f} s to say: "
                "give more utterances, ask for fewer minutes, or reuse them"
            )


@dataclass(frozen=True, slots=True)
class Interruption:
    """A start time of an interruption, and the distance of the resulting share of overlap from its target."""

    start: float
    error: float


@dataclass(slots=True, eq=False)
class ConversationState:
    """The conversation so far.

    ``active_speakers`` counts the speakers in each 10 ms frame; ``available_from`` is when each speaker may speak
    again, ``talk_time`` the seconds each has spoken; ``latest`` is the utterance that ends last.
    """

    active_speakers: npt.NDArray[np.int16]
    placed: list[PlacedUtterance] = field(default_factory=list)
    available_from: dict[Speaker, float] = field(default_factory=dict)
    talk_time: dict[Speaker, float] = field(default_factory=dict)
    latest: PlacedUtterance | None = None

    @property
    def end(self) -> float:
        """The end of the last utterance in seconds."""
        return LEAD_IN if self.latest is None else self.latest.end

    @property
    def last_speaker(self) -> Speaker | None:
        """The speaker of the utterance that ends last."""
        return None if self.latest is None else self.latest.utterance.speaker

    def overlap_share(self) -> float:
        """The share of overlapped speech so far."""
        speech = np.count_nonzero(self.active_speakers)
        return float(np.count_nonzero(self.active_speakers > 1) / speech) if speech else 0.0

    def place(self, item: TrimmedUtterance, start: float) -> None:
        """Place ``item`` at ``start`` seconds, rounded to a frame."""
        frame = round(start / FRAME)
        end_frame = frame + len(item.is_speech)
        speaker = item.utterance.speaker
        placed = PlacedUtterance(item.utterance, frame * FRAME)
        missing = end_frame - len(self.active_speakers)
        if missing > 0:
            more = np.zeros(missing + len(self.active_speakers), np.int16)
            self.active_speakers = np.concatenate([self.active_speakers, more])
        self.active_speakers[frame:end_frame] += item.is_speech
        self.placed.append(placed)
        self.available_from[speaker] = max(self.available_from.get(speaker, 0.0), placed.end + MIN_PAUSE)
        self.talk_time[speaker] = self.talk_time.get(speaker, 0.0) + item.duration
        if self.latest is None or placed.end > self.latest.end:
            self.latest = placed

    def best_interruption(self, item: TrimmedUtterance, target: float, latest_start: float) -> Interruption:
        """The start of ``item``, not after ``latest_start``, that brings the share of overlap closest to ``target``."""
        if self.latest is None:
            return Interruption(latest_start, abs(self.overlap_share() - target))
        earliest = max(
            self.available_from.get(item.utterance.speaker, 0.0),
            self.latest.start + LEAD_IN,
            self.end - item.duration,
        )
        starts = np.array([latest_start])
        if earliest < latest_start:
            starts = np.append(np.arange(latest_start, earliest, -SEARCH_STEP), max(earliest, 0.0))
        speech = np.count_nonzero(self.active_speakers)
        overlapped = np.count_nonzero(self.active_speakers > 1)
        speech_frames = np.flatnonzero(item.is_speech)
        frames = np.rint(starts / FRAME).astype(np.int64)[:, None] + speech_frames
        active = self.active_speakers[np.minimum(frames, len(self.active_speakers) - 1)]
        overlapped_then = overlapped + np.count_nonzero(active == 1, axis=1)
        speech_then = speech + np.count_nonzero(active == 0, axis=1)
        errors = np.abs(overlapped_then / speech_then - target)
        best = int(np.argmin(errors))
        return Interruption(float(starts[best]), float(errors[best]))
