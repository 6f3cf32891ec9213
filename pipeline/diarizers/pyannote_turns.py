"""pyannote's annotations as turns, and loudness of a recording: what is too quiet is not diarized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn
from meetsplit.pipeline.data.timeline import relabelled, support
from meetsplit.pipeline.events import EventListener, Notice

SILENCE = 1e-5
"""`loudness` up to which a recording is silence: -100 dBFS."""

_NAMED = 2
"""Pairs of people that a notice names."""

_FRAMES_PER_SECOND = 10
"""Frames in which power is measured."""

_BLOCK_FRAMES = 600
"""Frames read at once: a minute."""


def turns_of(annotation: Any, audio: Audio) -> tuple[Turn, ...]:
    """The annotation as turns on the clock of ``audio``, inside it; each speaker's own turns are disjoint."""
    spans: dict[str, list[Span]] = {}
    for segment, _, label in annotation.itertracks(yield_label=True):
        start, end = max(audio.clock(segment.start), audio.span.start), min(audio.clock(segment.end), audio.span.end)
        if start < end:
            spans.setdefault(str(label), []).append(Span(start, end))
    return relabelled(Turn(span, label) for label, theirs in spans.items() for span in support(theirs))


def loudness(samples: Samples, rate: int = 16000) -> float:
    """Root mean square of the louder half of the frames of 0.1 s, so that pauses do not count; 0 without samples."""
    if len(samples) == 0:
        return 0.0
    frame = rate // _FRAMES_PER_SECOND
    block = _BLOCK_FRAMES * frame
    blocks = [_frame_power(samples[at : at + block], frame) for at in range(0, len(samples), block)]
    power = np.sort(np.concatenate(blocks))
    return float(np.sqrt(np.mean(power[len(power) // 2 :])))


def _frame_power(samples: Samples, frame: int) -> npt.NDArray[np.float64]:
    """Mean square of each ``frame`` samples, the last padded with zeros."""
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    release_pages(samples)
    return np.asarray(np.mean(np.square(frames), axis=1, dtype=np.float64))


def has_sound(samples: Samples) -> bool:
    """Whether the samples are more than silence; not for NaN.

    >>> has_sound(np.zeros(16000, np.float32))
    False
    """
    return loudness(samples) > SILENCE


def notice_missing_speakers(turns: Sequence[Turn], min_speakers: int | None, on_event: EventListener) -> None:
    """Send a notice when fewer speakers were found than ``min_speakers``."""
    count = len({turn.speaker for turn in turns})
    if min_speakers is not None and 0 < count < min_speakers:
        text = f"heard only {count} of the {min_speakers} speakers asked for"
        on_event(Notice(f"{text}: the others speak too little to be told apart", "diarize"))


def notice_alike(pairs: Sequence[tuple[Speaker, Speaker]], on_event: EventListener) -> None:
    """Send a notice that names the people whose voices could be one, the most alike at first, two pairs at most."""
    if pairs:
        named = " as well as ".join(f"{first} and {second}" for first, second in pairs[:_NAMED])
        text = f"{named} sound alike and could be one person: listen, and say --num-speakers if they are"
        on_event(Notice(text, "diarize"))
