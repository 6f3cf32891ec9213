"""Guards against words that nobody said: in silence or sound without a voice, beyond the clip's end, in loops.

What a guard drops it drops with a reason, which people see: a review reason of the nearest segment, or a notice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Audio, DroppedText, Samples, Span, Word, join_words
from meetsplit.pipeline.transcribers.voicing import VoiceEvidence, is_audible

NO_SPEECH = "dropped-no-speech"
"""The reason where a model thinks it likely that nobody speaks, and is not sure of its words."""

IMPROBABLE = "dropped-improbable"
"""The reason where a model is not sure of its words at any temperature."""

REPETITION = "dropped-repetition"
"""The reason where the same words come again and again."""

PACE = "dropped-pace"
"""The reason where there are more letters, or fewer, than anybody says in the time."""

NO_VOICE = "dropped-no-voice"
"""The reason where the sound cannot be a voice, or there is none."""

REASONS = (NO_SPEECH, IMPROBABLE, REPETITION, PACE, NO_VOICE)
"""The review reasons of dropped text."""

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

LONGEST_PHRASE = 6
"""Words of the longest phrase that is looked for in a loop."""

MOST_REPEATS = (7, 3)
"""So often in a row a single word, or a longer phrase, is believed: people say "no" five times, seldom a sentence."""

PACES = (0.5, 40.0)
"""Fewest and most letters per second. Fast English has 25; "you" for ten seconds of noise has 0.3."""

MIN_SLOW_SECONDS, MIN_FAST_LETTERS = 8.0, 12
"""Seconds of sound from which a text can be too slow, letters from which it can be too fast."""


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
    """The words that can be true, see `guard_words`."""
    return guard_words(raw_words, clip)[0]


def guard_words(
    raw_words: Iterable[RawWord], clip: Audio, evidence: VoiceEvidence | None = None
) -> tuple[tuple[Word, ...], tuple[DroppedText, ...]]:
    """The words that can be true, on the recording's clock, sorted, inside the clip and one after another; and the
    others with the reason for which they were dropped, neighbours with the same reason as one text.

    Dropped are words beyond the clip's end or in its silence, words where the sound cannot be a voice (`voicing`), runs
    of `MIN_LOOP_WORDS` or more words without duration, and of a phrase in a loop all but the first. ``evidence`` is the
    clip's, where it is known already.
    """
    levels = _frame_levels(clip.samples, clip.rate)
    evidence = evidence or VoiceEvidence(clip)
    words: list[Word] = []
    dropped: list[tuple[RawWord, str]] = []
    previous_end = 0.0
    for raw, reason in _without_repeats(_without_loops(raw_words, clip.duration)):
        start, end = _clamp(raw, previous_end, clip.duration)
        has_voice = start < end and _has_sound(levels, start, end) and evidence.between(start, end)
        if reason is not None or not has_voice:
            dropped.append((raw, reason or NO_VOICE))
            continue
        previous_end = end
        span = Span(clip.clock(start), max(min(clip.clock(end), clip.span.end), clip.clock(start)))
        words.append(Word(span, raw.text.strip(), min(max(raw.confidence, 0.0), 1.0)))
    return tuple(words), tuple(_joined(dropped, clip))


def without_voice(clip: Audio) -> tuple[DroppedText, ...]:
    """What is told of a clip that was not transcribed: nothing where it is silent, else that it has no voice."""
    return (DroppedText(clip.span, NO_VOICE),) if is_audible(clip) else ()


def is_out_of_pace(text: str, samples: Samples, rate: int) -> bool:
    """Whether nobody says so many letters, or so few, in the time; of silence and faint noise no time is counted."""
    letters = sum(character.isalnum() for character in text)
    seconds = len(samples) / rate
    if letters > PACES[1] * seconds and letters >= MIN_FAST_LETTERS:
        return True
    if not letters or letters >= PACES[0] * seconds or seconds < MIN_SLOW_SECONDS:
        return False
    levels = _frame_levels(samples, rate)
    sounding = FRAME * float(np.sum(levels > 10 ** (-30 / 20) * levels.max()))
    return sounding >= MIN_SLOW_SECONDS and letters < PACES[0] * sounding


def _joined(dropped: Sequence[tuple[RawWord, str]], clip: Audio) -> Iterator[DroppedText]:
    """Words in a row with the same reason as one text, its time held inside the clip."""
    for reason, group in itertools.groupby(dropped, key=lambda pair: pair[1]):
        words = [word for word, _ in group]
        text = join_words(word.text.strip() for word in words)
        yield DroppedText(span_inside(clip, words[0].start, words[-1].end), reason, text)


def span_inside(clip: Audio, start: float, end: float) -> Span:
    """The part of the clip between two times in seconds into it, on the recording's clock."""
    first, last = (min(max(clip.clock(time), clip.span.start), clip.span.end) for time in (start, end))
    return Span(first, max(first, last))


def _without_loops(raw_words: Iterable[RawWord], duration: float) -> Iterator[tuple[RawWord, str | None]]:
    """The words that have a text, each with the reason to drop it where it begins after the clip, or is one of several
    that take no time."""
    written = (word for word in raw_words if word.text.strip())
    for (is_inside, is_instant), run in itertools.groupby(
        written, key=lambda word: (word.start < duration, word.end <= word.start)
    ):
        words = list(run)
        reason = None if is_inside else NO_VOICE
        if is_inside and is_instant and len(words) >= MIN_LOOP_WORDS:
            reason = REPETITION
        elif is_inside and is_instant and words[0].start >= duration - MIN_WORD_SECONDS:
            reason = NO_VOICE
        yield from ((word, reason) for word in words)


def _without_repeats(judged: Iterable[tuple[RawWord, str | None]]) -> Iterator[tuple[RawWord, str | None]]:
    """The words, with a reason to drop them where they only repeat the phrase before them once more in a loop."""
    words = list(judged)
    keys = ["".join(filter(str.isalnum, word.text)).casefold() for word, _ in words]
    at = 0
    while at < len(words):
        length, count = _loop_at(keys, at)
        yield from words[at : at + length]
        yield from ((word, reason or REPETITION) for word, reason in words[at + length : at + length * count])
        at += length * count


def _loop_at(keys: Sequence[str], at: int) -> tuple[int, int]:
    """Words of the phrase that begins there, and how often it follows itself; one word once where that is no loop."""
    for length in range(1, LONGEST_PHRASE + 1):
        phrase, count = keys[at : at + length], 1
        if len(phrase) < length or not any(phrase):
            break
        while keys[at + length * count : at + length * (count + 1)] == phrase:
            count += 1
        if count > MOST_REPEATS[min(length, 2) - 1]:
            return length, count
    return 1, 1


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
