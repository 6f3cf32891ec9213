"""Identification: which of the enrolled voices the speakers of one recording are, decided for all of them together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Speaker, VoiceMatch
from meetsplit.speakers.voice_store import EnrolledVoice
from meetsplit.speakers.voiceprints import ENCODERS, VoiceEmbeddings, VoiceScorer

LEAST_CONFIRMED = 3.0
"""Seconds of a speaker's clean speech below which a voice is suggested at most."""


APART = 5.0
"""How far the scores of the next enrolled person and of the next speaker are behind, at least, for a voice that is
confirmed from the lower of both thresholds on."""


def identify(
    speakers: Mapping[Speaker, VoiceEmbeddings], people: Mapping[str, VoiceEmbeddings], scorer: VoiceScorer
) -> dict[Speaker, VoiceMatch]:
    """Each speaker's match among the enrolled people (by name): all embeddings are of the scorer's encoder.

    Everybody is at most one speaker: the joint assignment with the highest sum of scores. A speaker is *confirmed*
    from the upper threshold on, if no other enrolled person is nearer, and from a somewhat lower one on where nobody
    else comes near: no other enrolled person to the speaker, and no other speaker to the person, by `APART`.
    *Suggested* from the lowest one on, also where that person is another speaker already: the diarizer may have made
    two of one.
    """
    labels, names = list(speakers), list(people)
    if not names:
        return {}
    scores = scorer.matrix([speakers[label] for label in labels], [people[name] for name in names])
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    assigned = _assigned(scores, scorer.calibration.suggested)
    matches = {}
    for row, label in enumerate(labels):
        best = int(scores[row].argmax())
        column = assigned.get(row, best)
        matches[label] = _match(scores[row], column, names, scorer, is_assigned=row in assigned)
        if row in assigned and _score_apart(scores, row, column) >= scorer.calibration.confirmed_apart:
            matches[label] = dataclasses.replace(matches[label], decision="confirmed")
        if matches[label].decision == "confirmed" and speakers[label].total < LEAST_CONFIRMED:
            matches[label] = VoiceMatch("suggested", names[column], matches[label].score, matches[label].margin)
    return matches


def _assigned(scores: npt.NDArray[np.float64], least: float) -> dict[int, int]:
    """The person of each speaker who has one: the best joint assignment of scores that reach ``least``."""
    from scipy.optimize import linear_sum_assignment  # slow to load, and few runs need it

    gains = np.maximum(scores - least, 0.0)
    rows, columns = linear_sum_assignment(gains, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if scores[row, column] >= least}


def _score_apart(scores: npt.NDArray[np.float64], row: int, column: int) -> float:
    """The score where it is `APART` from the others of its row and its column, of which there are some, else -inf."""
    own = float(scores[row, column])
    rivals = (np.delete(scores[row], column), np.delete(scores[:, column], row))
    is_apart = all(np.isfinite(others).any() and own - others.max() >= APART for others in rivals)
    return own if is_apart else -np.inf


def _match(
    scores: npt.NDArray[np.float64], column: int, names: Sequence[str], scorer: VoiceScorer, *, is_assigned: bool
) -> VoiceMatch:
    """What one speaker's ``scores`` with everybody say, where the person in ``column`` is theirs or the likeliest."""
    score = float(scores[column])
    if not np.isfinite(score):
        return VoiceMatch("unknown")
    others = np.delete(scores, column)
    margin = score - float(others.max()) if len(others) and np.isfinite(others.max()) else None
    if is_assigned and score >= scorer.calibration.confirmed and (margin is None or margin > 0.0):
        return VoiceMatch("confirmed", names[column], score, margin)
    if score >= scorer.calibration.suggested:
        return VoiceMatch("suggested", names[column], score, margin)
    return VoiceMatch("unknown", None, score, margin)


def chosen_encoder(people: Sequence[EnrolledVoice]) -> str | None:
    """The encoder by which most of the people are enrolled, of equals the first of `ENCODERS`; None for nobody."""
    counts: dict[str, int] = {}
    for person in people:
        for encoder in person.encoders:
            counts[encoder] = counts.get(encoder, 0) + 1

    def rank(encoder: str) -> tuple[int, int, str]:
        backend = encoder.partition("-")[0]
        return counts[encoder], -ENCODERS.index(backend) if backend in ENCODERS else -len(ENCODERS), encoder

    return max(counts, key=rank, default=None)


def other_encoders(people: Sequence[EnrolledVoice], encoder: str, path: Path) -> str | None:
    """A sentence about people whose voiceprints are of other encoders only; None where there are none."""
    left_out = [person.name for person in people if encoder not in person.encoders]
    if not left_out:
        return None
    return (
        f"not compared: the voices of {', '.join(left_out)} in {path} are of another encoder than {encoder}; "
        "add them again: meetsplit voices add NAME RECORDING"
    )
