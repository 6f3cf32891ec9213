"""CTC alignment: the times of words that are known, from a model of letters (``--align-model``).

L. Kürzinger et al., "CTC-segmentation of large corpora for German end-to-end speech recognition", SPECOM 2020: the text
is forced through the model's output, and the most probable path says in which frames each letter is spoken.

words    I've          12          boxes,
letters  I ' V E   |   *   |   B O X E S           ``*`` is a wildcard: whatever is spoken between the neighbours
frames   ..IIVVE...|.********..|..B.OO.XE.S....     ``.`` is the blank

A clip is aligned by itself, never a whole track. What the model has no letters for (numerals, symbols, other scripts)
is a wildcard; inside of it the transcriber's own times hold.
"""

from __future__ import annotations

import itertools
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torchaudio.functional import forced_align

from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Word, join_words
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.ctc_models import DELIMITER, RATE, CtcModel, load_ctc_model

UNALIGNED = "times-not-aligned"
"""The review reason where a clip's words keep the transcriber's own times because they could not be aligned."""

LONGEST_SPLIT = 0.16
"""Seconds of a pause between two words up to which it is split evenly: CTC's letters are shorter than spoken ones."""

MIN_WORD_SECONDS = 0.02
"""The shortest time in seconds that a word takes where there is room."""

_SPOKEN_SIGNS = frozenset("%&@#§‰")
"""Punctuation that is said, unlike commas."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where a word lies, in seconds into the clip; None where the alignment does not say.

    The word begins with a known letter between ``earliest_start`` and ``latest_start``, which are the same unless it
    begins with a wildcard; likewise its end.
    """

    earliest_start: float
    latest_start: float
    earliest_end: float
    latest_end: float


class CtcAligner:
    """An `Aligner` over a wav2vec2 model with a CTC output; see `ctc_models`.

    Clips in another language than the model's keep the transcriber's times. Where a clip cannot be aligned (more
    letters than frames, none that the model knows) they are kept too, with the review reason `UNALIGNED`.
    """

    rate = RATE

    def __init__(self, model: CtcModel) -> None:
        self._model = model

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["model"]``: the file of torchaudio's model of that name, or a folder."""
        on = "cpu" if device == "mps" else device
        return cls(load_ctc_model(settings.align_model or "", weights["model"], on))

    def align(self, clip: Audio, transcript: ClipTranscript) -> ClipTranscript:
        """The same words with the times at which they are spoken in the clip."""
        if not transcript.words or transcript.language not in (None, self._model.language or transcript.language):
            return transcript
        placed = self._placed(clip, [word.text for word in transcript.words])
        if placed is None:
            return replace(transcript, review=(UNALIGNED,))
        own = [(word.start - clip.start, word.end - clip.start) for word in transcript.words]
        times = _in_order(_split_pauses(_settled(placed, own, clip.duration)), clip.duration)
        words = tuple(
            Word(Span(clip.start + start, clip.start + end), word.text, word.confidence)
            for (start, end), word in zip(times, transcript.words, strict=True)
        )
        return replace(transcript, words=words)

    def _placed(self, clip: Audio, texts: Sequence[str]) -> list[_Placed | None] | None:
        """Where each word lies; None where the clip cannot be aligned."""
        emissions = self._model.emissions(clip.samples)
        wildcard = emissions.shape[1]
        spelt = [self._spelt(text, wildcard) for text in texts]
        delimiter = self._model.labels.get(DELIMITER)
        targets: list[int] = []
        places: list[tuple[int, int]] = []
        for number, own in enumerate(spelt):
            has_blank = number > 0 and " " in join_words((texts[number - 1], texts[number]))
            if delimiter is not None and targets and own and has_blank:
                targets.append(delimiter)
            places.append((len(targets), len(targets) + len(own)))
            targets += own
        if all(target in (wildcard, delimiter) for target in targets):
            return None
        spans = align_labels(emissions, targets, self._model.blank)
        if spans is None:
            return None
        seconds = [(first * self._model.stride / RATE, last * self._model.stride / RATE) for first, last in spans]
        return [
            _place(seconds[first:last], [target == wildcard for target in targets[first:last]])
            if first < last
            else None
            for first, last in places
        ]

    def _spelt(self, text: str, wildcard: int) -> list[int]:
        """The labels of a word; one wildcard for letters, numerals and signs in a row that the model does not know."""
        labels: list[int] = []
        for letter in unicodedata.normalize("NFC", text).replace("’", "'"):
            label = None if letter == DELIMITER else self._model.label_of(letter)
            if label is not None:
                labels.append(label)
            elif (unicodedata.category(letter)[0] in "LNS" or letter in _SPOKEN_SIGNS) and labels[-1:] != [wildcard]:
                labels.append(wildcard)
        return labels


def align_labels(emissions: Tensor, labels: Sequence[int], blank: int) -> list[tuple[int, int]] | None:
    """The first frame of each label and the one after its last, along the most probable path through all of them.

    ``emissions``: logarithms of probabilities, shape (frames, labels); a label of the number after the last is a
    wildcard, which every frame fits. None where there are too few frames, or emissions that are no numbers.
    """
    repeated = sum(label == following for label, following in itertools.pairwise(labels))
    if len(emissions) < len(labels) + repeated or not labels or not bool(torch.isfinite(emissions).all()):
        return None
    fits_all = torch.zeros(len(emissions), 1)
    with warnings.catch_warnings():
        # Versions of torchaudio before 2.9 say that it will be removed; it was kept.
        warnings.simplefilter("ignore")
        path, _ = forced_align(torch.cat([emissions, fits_all], 1)[None], torch.tensor([list(labels)]), blank=blank)
    spans: list[tuple[int, int]] = []
    for label, frames in itertools.groupby(enumerate(path[0].tolist()), key=lambda frame: frame[1]):
        numbers = [number for number, _ in frames]
        if label != blank:
            spans.append((numbers[0], numbers[-1] + 1))
    return spans


def _place(seconds: Sequence[tuple[float, float]], is_wildcard: Sequence[bool]) -> _Placed:
    """Where a word lies whose labels lie there."""
    first, last = seconds[0], seconds[-1]
    return _Placed(
        first[0],
        first[1] if is_wildcard[0] else first[0],
        last[0] if is_wildcard[-1] else last[1],
        last[1],
    )


def _settled(
    placed: Sequence[_Placed | None], own: Sequence[tuple[float, float]], duration: float
) -> list[tuple[float, float]]:
    """Start and end of each word: as placed, and within that as the transcriber has them (``own``)."""
    times: list[tuple[float, float]] = []
    for number, (start, end) in enumerate(own):
        before = times[-1][1] if times else 0.0
        place = placed[number] or _between(before, placed[number + 1 :], duration)
        starts = min(max(start, place.earliest_start), place.latest_start)
        ends = min(max(end, place.earliest_end), place.latest_end)
        times.append((starts, ends) if starts < ends else (place.earliest_start, place.latest_end))
    return times


def _between(before: float, following: Sequence[_Placed | None], duration: float) -> _Placed:
    """Where a word lies of which nothing is said, such as a dash: between its neighbours."""
    after = next((place.earliest_start for place in following if place is not None), duration)
    return _Placed(before, max(before, after), before, max(before, after))


def _split_pauses(times: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same, with each pause of at most `LONGEST_SPLIT` split evenly between the words beside it."""
    split = list(times)
    for number, ((_, end), (start, _)) in enumerate(itertools.pairwise(times)):
        if 0.0 < start - end <= LONGEST_SPLIT:
            middle = (start + end) / 2
            split[number], split[number + 1] = (split[number][0], middle), (middle, split[number + 1][1])
    return split


def _in_order(times: Sequence[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    """The same, one after another and inside the clip, and where there is room `MIN_WORD_SECONDS` long."""
    ordered: list[tuple[float, float]] = []
    earliest = 0.0
    for start, end in times:
        begins = min(max(start, earliest), duration)
        ends = min(max(end, begins + MIN_WORD_SECONDS), duration)
        ordered.append((begins, ends))
        earliest = ends
    return ordered
