"""What pyannote's answers mean here: annotations as turns, and what is too quiet to be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Span, Turn
from meetsplit.pipeline.data.timeline import relabelled, support
from meetsplit.pipeline.events import EventListener, Notice

SILENCE = 1e-5
"""Root mean square, -100 dBFS, below which there is nothing to hear."""

_PIECES_PER_SECOND, _BLOCK = 10, 600


def turns_of(annotation: Any, audio: Audio) -> tuple[Turn, ...]:
    """The annotation as turns on the clock of ``audio``, inside it; each speaker's own turns are disjoint."""
    spans: dict[str, list[Span]] = {}
    for segment, _, label in annotation.itertracks(yield_label=True):
        start, end = max(audio.clock(segment.start), audio.span.start), min(audio.clock(segment.end), audio.span.end)
        if start < end:
            spans.setdefault(str(label), []).append(Span(start, end))
    return relabelled(Turn(span, label) for label, own in spans.items() for span in support(own))


def loudness(samples: Samples, rate: int = 16000) -> float:
    """Root mean square of the louder half of the 0.1 s pieces, so that pauses do not count; 0 without samples."""
    if len(samples) == 0:
        return 0.0
    step = rate // _PIECES_PER_SECOND
    power = np.sort(
        np.concatenate([_power(samples[at : at + _BLOCK * step], step) for at in range(0, len(samples), _BLOCK * step)])
    )
    return float(np.sqrt(np.mean(power[len(power) // 2 :])))


def _power(samples: Samples, step: int) -> npt.NDArray[np.float64]:
    pieces = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step)
    release_pages(samples)
    return np.asarray(np.mean(np.square(pieces), axis=1, dtype=np.float64))


def audible(samples: Samples) -> bool:
    """Whether there is anything to hear; not for NaN.

    >>> audible(np.zeros(16000, np.float32))
    False
    """
    return loudness(samples) > SILENCE


def too_few(turns: Sequence[Turn], asked: int | None, on_event: EventListener) -> None:
    """EventListener when fewer people were found than were asked for."""
    count = len({turn.speaker for turn in turns})
    if asked is not None and 0 < count < asked:
        on_event(
            Notice(
                f"heard only {count} of the {asked} speakers asked for: the others speak too little to be told apart",
                "diarize",
            )
        )
