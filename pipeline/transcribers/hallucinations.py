"""Hallucination filter: drops words made up in silence, beyond the clip's end, or in a loop of the decoder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, Samples, Span, Word

MIN_CLIP_SECONDS = 0.1
"""Seconds of sound below which a clip holds no word and is not decoded."""

SILENCE = 1e-5
"""Samples no louder than this (-100 dB of full scale) are digital silence, give or take rounding."""

MIN_RELATIVE_LEVEL = 10 ** (-50 / 20)
"""A word all of whose sound is this much weaker than the clip's loudest frame was not spoken."""

FRAME = 0.02
"""Seconds over which loudness is measured."""

TIME_TOLERANCE = 0.15
"""Seconds by which a word's times may be off when its sound is looked for."""

MIN_WORD_SECONDS = 0.02
"""The shortest time in seconds that a word takes."""

MIN_LOOP_WORDS = 3
"""So many words in a row without any duration are a loop of the decoder and not speech."""


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word as a model gives it: ``start`` and ``end`` in seconds into the clip, unchecked."""

    start: float
    end: float
    text: str
    confidence: float


def trim_silence(clip: Audio) -> Audio:
    """The clip without the digital silence at its edges; empty where there is nothing else."""
    loud = np.flatnonzero(np.abs(clip.samples) > SILENCE)
    if not len(loud):
        return Audio(clip.samples[:0], clip.rate, clip.start)
    first, last = int(loud[0]), int(loud[-1]) + 1
    return Audio(clip.samples[first:last], clip.rate, clip.clock(first / clip.rate))


def filter_hallucinations(raw_words: Iterable[RawWord], clip: Audio) -> tuple[Word, ...]:
    """The words that can be true, on the recording's clock, sorted, inside the clip and one after another.

    Left out are empty texts, words beyond the clip's end or in its silence, and runs of `MIN_LOOP_WORDS` or more words
    without duration.
    """
    levels = _frame_levels(clip.samples, clip.rate)
    words: list[Word] = []
    previous_end = 0.0
    for raw in _without_loops(raw_words, clip.duration):
        start, end = _clamp(raw, previous_end, clip.duration)
        if start < end and _has_sound(levels, start, end):
            previous_end = end
            span = Span(clip.clock(start), max(min(clip.clock(end), clip.span.end), clip.clock(start)))
            words.append(Word(span, raw.text.strip(), min(max(raw.confidence, 0.0), 1.0)))
    return tuple(words)


def _without_loops(raw_words: Iterable[RawWord], duration: float) -> Iterator[RawWord]:
    """The words with a text that begin inside the clip, without runs of words that take no time."""
    inside = (word for word in raw_words if word.text.strip() and word.start < duration)
    for is_instant, run in itertools.groupby(inside, key=lambda word: word.end <= word.start):
        words = list(run)
        if not is_instant or (len(words) < MIN_LOOP_WORDS and words[0].start < duration - MIN_WORD_SECONDS):
            yield from words


def _clamp(word: RawWord, earliest: float, duration: float) -> tuple[float, float]:
    """The word's time inside the clip, not before ``earliest``, and where there is room `MIN_WORD_SECONDS` long."""
    start = min(max(word.start, earliest), duration)
    end = min(max(word.end, start + MIN_WORD_SECONDS), duration)
    return max(min(start, end - MIN_WORD_SECONDS), earliest), end


def _frame_levels(samples: Samples, rate: int) -> Samples:
    """Root mean square of each frame of `FRAME` seconds."""
    size = max(round(FRAME * rate), 1)
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    levels: Samples = np.sqrt(np.mean(np.square(padded, dtype=np.float32), axis=1))
    return levels


def _has_sound(levels: Samples, start: float, end: float) -> bool:
    """Whether a frame near the word is neither silent nor much weaker than the clip's loudest."""
    first, last = int(max(start - TIME_TOLERANCE, 0.0) / FRAME), int((end + TIME_TOLERANCE) / FRAME) + 1
    nearby = levels[first:last]
    return bool(len(nearby) and nearby.max() > max(SILENCE, MIN_RELATIVE_LEVEL * float(levels.max())))
