"""Two people who were taken for one, told apart by their voices: the turns of one label in two groups.

The clean speech of each turn is embedded, piece by piece, and Ward's linkage (Ward, "Hierarchical grouping to optimize
an objective function", 1963) puts the pieces into two groups, as it does for samples of a voice (`voice_samples`). A
turn goes as a whole to the group that most of it is in, without clean speech with the nearest one that has some. The
cosine of the two groups' means, in the directions in which people differ (`voice_model.directions`), says how alike
they are: one person's speech is above `SAME_PERSON`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.diarizers.clustering import normalize_rows
from meetsplit.pipeline.diarizers.voice_model import SAME_PERSON, directions
from meetsplit.pipeline.errors import SettingsError
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, VoiceScorer, clean_spans, embed_voice


@dataclass(frozen=True, slots=True)
class VoiceSplit:
    """The turns of one label by voice: ``spans`` of the one who speaks less, the ``seconds`` of clean speech of both,
    and their ``similarity``, a cosine.
    """

    spans: tuple[Span, ...]
    seconds: tuple[float, float]
    similarity: float

    @property
    def is_one_person(self) -> bool:
        """Whether the two groups are as alike as one person's speech."""
        return self.similarity >= SAME_PERSON


def split_by_voice(
    encoder: VoiceEncoder, turns: Sequence[Turn], speaker: Speaker, clip: Callable[[Span], Audio]
) -> VoiceSplit:
    """The turns of ``speaker`` in two groups; ``clip`` gives the sound of a stretch, mono.

    Raises `SettingsError` where fewer than two of the turns are clean speech for long enough to be told apart.
    """
    own = timeline.by_speaker(turns).get(speaker, ())
    clean = clean_spans(turns, speaker)
    embedded = {at: embed_voice(encoder, [clip(span) for span in parts]) for at, parts in _by_turn(own, clean)}
    voices = {at: voice for at, voice in embedded.items() if len(voice.rows)}
    if len(voices) < 2:
        raise SettingsError(
            f"{speaker} has {len(voices)} turns of clean speech of a second or more: too few to tell two voices apart; "
            "give the time with --at"
        )
    everything = VoiceEmbeddings.joined(list(voices.values()))
    rows = comparable(everything)
    owners = np.repeat(list(voices), [len(voice.rows) for voice in voices.values()])
    group = two_groups(everything)
    share = {at: np.average(group[owners == at], weights=everything.seconds[owners == at]) for at in voices}
    second = _both_present({at: part >= 0.5 for at, part in share.items()}, share)
    is_second = np.array([second[at] for at in owners])
    seconds = [float(everything.seconds[is_second == one].sum()) for one in (False, True)]
    less = seconds[1] <= seconds[0]
    means = normalize_rows(np.stack([everything.seconds[part] @ rows[part] for part in (~group, group)]))
    spans = tuple(span for at, span in enumerate(own) if second[_nearest(at, own, second)] == less)
    return VoiceSplit(spans, (max(seconds), min(seconds)), float(means[0] @ means[1]))


def comparable(voice: VoiceEmbeddings) -> npt.NDArray[np.float64]:
    """The embeddings as unit rows whose cosines compare people, by the encoder's voice model where there is one."""
    model = VoiceScorer(voice.encoder).model
    rows = voice.rows if model is None else directions(model.features(voice.rows), model.between)
    return np.asarray(rows, np.float64)


def _both_present(second: Mapping[int, bool], share: Mapping[int, float]) -> dict[int, bool]:
    """Turns by whether they are the second voice's; where all would be one's, the least sure turn is the other's."""
    if len(set(second.values())) == 2:
        return dict(second)
    everyone = next(iter(second.values()))
    other = min(share, key=lambda at: share[at] if everyone else -share[at])
    return {at: everyone != (at == other) for at in second}


def two_groups(voice: VoiceEmbeddings) -> npt.NDArray[np.bool_]:
    """Which rows are the second voice's, if two speak: Ward's linkage; at least two rows, and both groups have some."""
    from scipy.cluster.hierarchy import cut_tree, linkage  # slow to load, and few commands need it

    return np.asarray(cut_tree(linkage(comparable(voice), "ward"), [2])[:, 0] == 1)


def _by_turn(own: Sequence[Span], clean: Sequence[Span]) -> list[tuple[int, tuple[Span, ...]]]:
    """The clean stretches of each turn, by its number; of turns that have any."""
    inside = ((at, timeline.crop(sorted(clean), turn)) for at, turn in enumerate(own))
    return [(at, spans) for at, spans in inside if spans]


def _nearest(at: int, own: Sequence[Span], known: dict[int, bool]) -> int:
    """The number of the turn with a known voice that is nearest to a turn in time: itself, where it has one."""

    def distance(other: int) -> float:
        return max(own[other].start - own[at].end, own[at].start - own[other].end, 0.0) if other != at else -1.0

    return min(known, key=lambda other: (distance(other), other))
