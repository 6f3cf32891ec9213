"""Two people who were taken for one, told apart by their voices: the turns of one label in two groups.

The clean speech of each turn is embedded. Spherical 2-means groups the means, started from the two halves of the
direction in which they differ most; a turn goes as a whole, one without clean speech with the nearest that has some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.diarizers.clustering import normalize_rows
from meetsplit.pipeline.errors import SettingsError
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer, clean_spans, embed_voice

_ITERATIONS = 30


@dataclass(frozen=True, slots=True)
class VoiceSplit:
    """The turns of one label by voice: ``spans`` of the one who speaks less, the seconds of clean speech of both, and
    how much likelier one person is than two (`VoiceScorer.score`: the logarithm; below 0, two people are likelier).
    """

    spans: tuple[Span, ...]
    seconds: tuple[float, float]
    score: float


def split_by_voice(
    encoder: VoiceEncoder, turns: Sequence[Turn], speaker: Speaker, clip: Callable[[Span], Audio]
) -> VoiceSplit:
    """The turns of ``speaker`` in two groups; ``clip`` gives the sound of a stretch, mono.

    Raises `SettingsError` where fewer than two of the turns are clean speech for long enough to be told apart.
    """
    own = timeline.by_speaker(turns).get(speaker, ())
    clean = clean_spans(turns, speaker)
    embedded = [(at, embed_voice(encoder, [clip(span) for span in parts])) for at, parts in _by_turn(own, clean)]
    voices = [(at, voice) for at, voice in embedded if len(voice.rows)]
    if len(voices) < 2:
        raise SettingsError(
            f"{speaker} has {len(voices)} turns of clean speech of a second or more: too few to tell two voices apart; "
            "give the time with --at"
        )
    scorer = VoiceScorer(encoder.name)
    means = np.stack([voice.mean for _, voice in voices]).astype(np.float64)
    if scorer.model is not None:
        means = scorer.model.features(means) * np.sqrt(scorer.model.between / (1.0 + scorer.model.between))
    group = two_groups(normalize_rows(means), np.array([voice.total for _, voice in voices]))
    parts = [VoiceEmbeddings.joined([voice for (_, voice), one in zip(voices, group, strict=True) if one == number])
             for number in (0, 1)]  # fmt: skip
    less = int(parts[1].total <= parts[0].total)
    known = {at: one == less for (at, _), one in zip(voices, group, strict=True)}
    spans = tuple(span for at, span in enumerate(own) if known[_nearest(at, own, known)])
    return VoiceSplit(spans, (parts[1 - less].total, parts[less].total), scorer.score(*parts))


def two_groups(rows: npt.NDArray[np.float64], weights: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """The number, 0 or 1, of each unit row's group (spherical 2-means); at least two rows, and no group is empty."""
    mean = np.average(rows, axis=0, weights=weights)
    _, _, axes = np.linalg.svd((rows - mean) * np.sqrt(weights)[:, None], full_matrices=False)
    along = (rows - mean) @ axes[0]
    group = (along > 0).astype(np.intp)
    if group.min() == group.max():
        group[:] = np.arange(len(rows)) == np.argmax(along)
    for _ in range(_ITERATIONS):
        means = normalize_rows(np.stack([weights[group == one] @ rows[group == one] for one in (0, 1)]))
        nearer = np.argmax(rows @ means.T, axis=1)
        if nearer.min() == nearer.max() or np.array_equal(nearer, group):
            break
        group = nearer
    return group


def _by_turn(own: Sequence[Span], clean: Sequence[Span]) -> list[tuple[int, tuple[Span, ...]]]:
    """The clean stretches of each turn, by its number; of turns that have any."""
    inside = ((at, timeline.crop(sorted(clean), turn)) for at, turn in enumerate(own))
    return [(at, spans) for at, spans in inside if spans]


def _nearest(at: int, own: Sequence[Span], known: dict[int, bool]) -> int:
    """The number of the turn with a known voice that is nearest to a turn in time: itself, where it has one."""

    def distance(other: int) -> float:
        return max(own[other].start - own[at].end, own[at].start - own[other].end, 0.0) if other != at else -1.0

    return min(known, key=lambda other: (distance(other), other))
