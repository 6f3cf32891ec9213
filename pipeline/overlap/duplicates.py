"""Is it one utterance in two streams? Words that somebody's stream only lets through, told by sound and time, never by their text.

What a separator leaves of A in B's voice is A's sound, filtered: a few numbers per frequency make the one from the other.
Two people who say the same thing at once do not: no filter makes one voice from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Span, Speaker, StreamInfo, Word, timeline

FRAME = 0.032
"""Seconds of a short-time spectrum: longer than the delay between two streams, shorter than a sound of speech."""

SHORTEST = 0.15
"""Seconds of a word below which nothing is decided."""

MIN_COHERENCE = 0.6
"""Share of a voice that another one, filtered, explains, from which it is that other one's."""

BELOW = -6.0
"""dB that a copy is quieter than its original: of two equally loud ones nobody knows which is which."""

Sound = Callable[[Speaker, Span], Audio]
"""A stretch of somebody's track."""


def coherence(original: Samples, copy: Samples, rate: int) -> float:
    """Share of the energy of ``copy`` that ``original`` explains after the best gain and delay per frequency, 0 to 1.

    Both have one length, at ``rate`` Hz. The best complex gain of each bin over all frames; frames overlap by three
    quarters, so that independent sound of n windows explains about 1 / n by chance.
    """
    a, b = _spectra(original, rate), _spectra(copy, rate)
    total = float(np.sum(np.abs(b) ** 2))
    if total == 0.0 or not len(a):
        return 0.0
    power = np.sum(np.abs(a) ** 2, axis=0)
    shared = np.abs(np.sum(a.conj() * b, axis=0)) ** 2
    return float(np.sum(np.divide(shared, power, out=np.zeros_like(shared), where=power > 0.0)) / total)


def _spectra(samples: Samples, rate: int) -> npt.NDArray[np.complex128]:
    size = round(FRAME * rate)
    if len(samples) < size:
        return np.zeros((0, size // 2 + 1), np.complex128)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[:: size // 4]
    return np.asarray(np.fft.rfft(frames * np.hanning(size), axis=1))


def drop_duplicate_words(
    heard: Sequence[tuple[StreamInfo, ClipTranscript]], sound: Sound
) -> tuple[ClipTranscript, ...]:
    """The answers, in order, without the words that only repeat what another stream says louder at that very moment.

    A word is looked at where its own patch says that others speak too, and somebody else's stream has words at half of
    its time or more. It goes if the other's sound explains its own (`MIN_COHERENCE`) and is louder (`BELOW`), both over the
    word's time. So of two copies one stays, and words stay that nobody else is heard to say anything beside.
    """
    spans: dict[Speaker, list[Span]] = {}
    for outline, answer in heard:
        spans.setdefault(outline.speaker, []).extend(word.span for word in answer.words)
    said = {speaker: timeline.support(own) for speaker, own in spans.items()}
    return tuple(
        replace(answer, words=tuple(word for word in answer.words if not _doubled(outline, word, said, sound)))
        for outline, answer in heard
    )


def _doubled(outline: StreamInfo, word: Word, said: Mapping[Speaker, Sequence[Span]], sound: Sound) -> bool:
    span = word.span
    if span.duration < SHORTEST:
        return False
    company = {
        speaker for patch in outline.patches if timeline.intersection(patch.span, span) for speaker in patch.speakers
    }
    rivals = [
        speaker
        for speaker in sorted(company - {outline.speaker})
        if timeline.total(timeline.crop(timeline.during(said.get(speaker, ()), span), span)) >= span.duration / 2
    ]
    if not rivals:
        return False
    own = sound(outline.speaker, span)
    return any(_copies(sound(rival, span), own) for rival in rivals)


def _copies(original: Audio, copy: Audio) -> bool:
    loud, soft = (float(np.sum(np.square(audio.samples, dtype=np.float64))) for audio in (original, copy))
    quieter = soft <= loud * 10 ** (BELOW / 10)
    return quieter and soft > 0.0 and coherence(original.samples, copy.samples, copy.rate) >= MIN_COHERENCE
