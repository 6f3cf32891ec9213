"""Duplicate words: an utterance transcribed in two streams is kept once, decided by sound and time, never by its text.

What a separator leaves of A in B's voice is A's sound, filtered: a few numbers per frequency make the one from the
other. Two people who say the same thing at once do not: no filter makes one voice from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, ClipTranscript, Samples, Span, Speaker, StreamInfo, Word, timeline

FRAME = 0.032
"""Seconds of a short-time spectrum: longer than the delay between two streams, shorter than a sound of speech."""

MIN_WORD = 0.15
"""Seconds of a word below which nothing is decided."""

MIN_COHERENCE = 0.6
"""Coherence of two streams over a word from which the fainter one is a copy of the other."""

MAX_COPY_LEVEL = -6.0
"""dB of a copy relative to its original: of two equally loud ones it is not known which is the copy."""

ReadTrack = Callable[[Speaker, Span], Audio]
"""Reads a stretch of a speaker's track."""


def coherence(original: Samples, copy: Samples, rate: int) -> float:
    """Share of the energy of ``copy`` that ``original`` explains after the best gain and delay per frequency, 0 to 1.

    Magnitude-squared coherence, weighted by the power of ``copy``. Both have one length, at ``rate`` Hz. The best
    complex gain of each bin over all frames; frames overlap by three quarters, so that independent sound of n windows
    explains about 1 / n by chance.
    """
    a, b = _spectra(original, rate), _spectra(copy, rate)
    total = float(np.sum(np.abs(b) ** 2))
    if total == 0.0 or not len(a):
        return 0.0
    power = np.sum(np.abs(a) ** 2, axis=0)
    cross_power = np.abs(np.sum(a.conj() * b, axis=0)) ** 2
    explained = np.divide(cross_power, power, out=np.zeros_like(cross_power), where=power > 0.0)
    return float(np.sum(explained) / total)


def drop_duplicate_words(
    transcripts: Sequence[tuple[StreamInfo, ClipTranscript]], read_track: ReadTrack
) -> tuple[ClipTranscript, ...]:
    """The clips' transcripts, in order, without the words that only repeat what another stream has louder.

    A word is looked at where its own patch says that others speak too, and another speaker's stream has words at half
    of its time or more. It goes if the other's sound explains its own (`MIN_COHERENCE`) and is louder
    (`MAX_COPY_LEVEL`), both over the word's time. So of two copies one stays, and words stay that no other stream has
    words beside.
    """
    word_spans: dict[Speaker, list[Span]] = {}
    for info, transcript in transcripts:
        word_spans.setdefault(info.speaker, []).extend(word.span for word in transcript.words)
    spoken = {speaker: timeline.support(spans) for speaker, spans in word_spans.items()}
    deduplicated: list[ClipTranscript] = []
    for info, transcript in transcripts:
        words = tuple(word for word in transcript.words if not _is_duplicate(info, word, spoken, read_track))
        deduplicated.append(replace(transcript, words=words))
    return tuple(deduplicated)


def _is_duplicate(
    info: StreamInfo, word: Word, spoken: Mapping[Speaker, Sequence[Span]], read_track: ReadTrack
) -> bool:
    """Whether the word's sound is a copy of another stream's; ``spoken`` is where each speaker's stream has words."""
    span = word.span
    if span.duration < MIN_WORD:
        return False
    active: set[Speaker] = set()
    for patch in info.patches:
        if timeline.intersection(patch.span, span):
            active.update(patch.speakers)
    rivals: list[Speaker] = []
    for speaker in sorted(active - {info.speaker}):
        beside = timeline.crop(timeline.during(spoken.get(speaker, ()), span), span)
        if timeline.total(beside) >= span.duration / 2:
            rivals.append(speaker)
    if not rivals:
        return False
    own = read_track(info.speaker, span)
    return any(_is_copy(read_track(rival, span), own) for rival in rivals)


def _is_copy(original: Audio, copy: Audio) -> bool:
    """Whether ``copy`` is ``original``, filtered and fainter."""
    original_energy, copy_energy = _energy(original.samples), _energy(copy.samples)
    fainter = 0.0 < copy_energy <= original_energy * 10 ** (MAX_COPY_LEVEL / 10)
    return fainter and coherence(original.samples, copy.samples, copy.rate) >= MIN_COHERENCE


def _energy(samples: Samples) -> float:
    return float(np.sum(np.square(samples, dtype=np.float64)))


def _spectra(samples: Samples, rate: int) -> npt.NDArray[np.complex128]:
    """Short-time spectra, shape ``(frames, bins)``; none where the sound is shorter than a frame."""
    size = round(FRAME * rate)
    if len(samples) < size:
        return np.zeros((0, size // 2 + 1), np.complex128)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[:: size // 4]
    return np.asarray(np.fft.rfft(frames * np.hanning(size), axis=1))
