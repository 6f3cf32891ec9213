"""Who is speaking in each frame, from the segmentation and from voices: a hidden Markov model over sets of people.

The segmentation hears when people speak, how many at once and where they change; the voice encoder knows who is who,
but not within a second, and not where two speak at once. Neither is good at the other's part, so both are evidence for
one decoder (Viterbi, 1967):

state        nobody, one person, or two
emission     the log-probability of the number of people (`LocalActivity.counts`, corrected: `with_speech`)
             + of exactly these being active (`LocalActivity.activities_of`)
             + how much more likely the voice is theirs than the likeliest person's, less the more two are heard
transition   `CHANGE_COST` for everyone who begins or ends, `SWITCH_COST` from one person to another

Shapes: ``(frames, people)`` of `LocalActivity`'s frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.diarizers.clustering import Floats, Ints

COUNT_WEIGHT = 1.5
"""Weight of the log-probability of the number of people."""

PAIR_BONUS = (0.5, 1.5)
"""Added where two people speak, since the segmentation hears quiet overlap too seldom: the least and the greatest. The
more often it hears two in a recording, the more is added (`pair_bonus`): 1.5 suits recordings that are full of overlap,
and finds it where there is little."""

PAIR_SHARES = (0.15, 0.2)
"""Shares of the speech that sound like two people up to which, and from which, the least and the greatest is added. The
recordings for tuning would take 0.08 as well; a telephone call that is at 0.14 would lose 2 points by it."""

ACTIVITY_WEIGHT = 0.25
"""Weight of the log-probability that these people are active and no others."""

ACTIVITY_FLOOR = 0.05
"""Activities nearer to 0 or 1 say no more than this: local speakers are sometimes taken for another person."""

VOICE_WEIGHT = 0.06
"""Weight of a log-likelihood ratio of the voice, which is that of a whole window around the frame."""

VOICE_RANGE = 40.0
"""Log-likelihood ratios further below the likeliest person's are as bad as this."""

CHANGE_COST = 2.0
SWITCH_COST = 4.0

LEVEL_RANGE = 20.0
"""Decibels over the recording's floor from which sound is loud."""

FLOOR_PERCENTILE = 10.0
"""Percentage of frames with sound that are quieter than the floor, in decibels."""

_SPEECH_FIT = (0.7, 0.094, 0.314, -0.2)
"""Of the log-odds of speech: factor of the segmentation's, of the decibels over the floor, of the voice activity's,
constant. A logistic regression on the recordings for tuning, but for the constant (0.27 there): with this one a little
more is missed in rooms, and fewer pauses of synthesizers and of a telephone call are taken for speech."""

SHARPNESS = 0.5
"""Factor of all scores in `posteriors`: with it, turns of the recordings for tuning are as often right as they say."""

_BLOCK = 4096
"""Frames whose emissions are made at once."""

_CONTEXT = 512
"""Frames before and after a block that its posteriors depend on, about 9 s."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of each frame: ``counts`` ``(frames, 3)``, each person's ``activities`` and ``voices``, the
    log-likelihood ratios, both ``(frames, people)``.
    """

    counts: Floats
    activities: npt.NDArray[np.float32]
    voices: npt.NDArray[np.float32]


def with_speech(counts: Floats, decibels: Floats, activity: Floats) -> Floats:
    """Probabilities ``(frames, 3)`` of no, one, more people, corrected by two that know nothing of who speaks.

    The segmentation takes pauses for speech in some rooms, and in others, where people are away from the microphone,
    half of the speech for pauses. ``decibels`` is the level of each frame, of which what it is above the quiet ones
    counts; -inf is digital silence, which is no floor. ``activity`` is the probability of voice activity.
    """
    sound = decibels[np.isfinite(decibels)]
    floor = np.percentile(sound, FLOOR_PERCENTILE) if len(sound) else 0.0
    above = np.clip(np.nan_to_num(decibels - floor, neginf=0.0), 0.0, LEVEL_RANGE)
    odds = _log_odds(1.0 - counts[:, 0])
    segmentation, level, voice, constant = _SPEECH_FIT
    speech = 1.0 / (1.0 + np.exp(-(segmentation * odds + level * above + voice * _log_odds(activity) + constant)))
    speech = np.clip(speech, 1e-4, 1.0 - 1e-4)
    shares = counts[:, 1:] / np.maximum(counts[:, 1:].sum(axis=1, keepdims=True), 1e-9)
    return np.column_stack([1.0 - speech, shares * speech[:, None]])


def _log_odds(probability: Floats) -> Floats:
    return np.asarray(np.log((probability + 1e-3) / (1.0 - probability + 1e-3)), np.float64)


def pair_bonus(counts: Floats) -> float:
    """What is added where two people speak in a recording with these `Evidence.counts`."""
    speech = float((1.0 - counts[:, 0]).sum())
    share = float(counts[:, 2].sum()) / max(speech, 1e-9)
    return float(np.interp(share, PAIR_SHARES, PAIR_BONUS))


def decode(evidence: Evidence) -> npt.NDArray[np.bool_]:
    """Who speaks in each frame: ``(frames, people)``, the likeliest sequence of sets of at most two people."""
    members = _members(evidence.voices.shape[1])
    emissions = _Emissions(evidence, members)
    blocks = (emissions.of(block) for block in emissions.blocks())
    return members[_viterbi(blocks, _transition_costs(members), len(evidence.voices))]


def posteriors(evidence: Evidence) -> npt.NDArray[np.float32]:
    """The probability that each person speaks in each frame, ``(frames, people)``, by forward and backward sums.

    A block of frames is decoded with `_CONTEXT` frames around it, which is where such a chain forgets. The scores are
    taken `SHARPNESS` times: those of neighbouring frames say nearly the same, and are counted as if they did not.
    """
    members = _members(evidence.voices.shape[1])
    emissions = _Emissions(evidence, members)
    steps = np.exp(-SHARPNESS * _transition_costs(members))
    frames = len(evidence.voices)
    result = np.zeros(evidence.voices.shape, np.float32)
    for block in emissions.blocks():
        first, last = max(block.start - _CONTEXT, 0), min(block.stop + _CONTEXT, frames)
        scores = SHARPNESS * emissions.of(slice(first, last))
        states = _forward_backward(np.exp(scores - scores.max(axis=1, keepdims=True)), steps)
        result[block] = (states @ members)[block.start - first :][: block.stop - block.start]
    return result


def _members(people: int) -> npt.NDArray[np.bool_]:
    """Who speaks in each state: ``(states, people)``."""
    states = [(), *((person,) for person in range(people)), *itertools.combinations(range(people), 2)]
    members = np.zeros((len(states), people), np.bool_)
    for number, state in enumerate(states):
        members[number, list(state)] = True
    return members


class _Emissions:
    """Emission scores of the states with these ``members``."""

    def __init__(self, evidence: Evidence, members: npt.NDArray[np.bool_]) -> None:
        self._evidence = evidence
        self._sizes = members.sum(axis=1)
        self._belongs = members.T.astype(np.float64)
        self._bonus = pair_bonus(evidence.counts) * (self._sizes == 2)

    def blocks(self) -> Iterator[slice]:
        """All frames, so many at a time that their scores take little memory."""
        frames = len(self._evidence.voices)
        return (slice(first, min(first + _BLOCK, frames)) for first in range(0, frames, _BLOCK))

    def of(self, block: slice) -> Floats:
        """The scores ``(frames, states)`` of these frames."""
        counts = self._evidence.counts[block]
        scores = COUNT_WEIGHT * np.log(np.clip(counts, 1e-3, 1.0))[:, np.minimum(self._sizes, 2)]
        active = np.clip(self._evidence.activities[block], ACTIVITY_FLOOR, 1.0 - ACTIVITY_FLOOR)
        odds = np.log(active) - np.log(1.0 - active)
        scores += ACTIVITY_WEIGHT * (np.log(1.0 - active).sum(axis=1, keepdims=True) + odds @ self._belongs)
        voices = self._evidence.voices[block]
        behind = np.maximum(voices - voices.max(axis=1, keepdims=True), -VOICE_RANGE) * (1.0 - counts[:, 2:])
        scores += VOICE_WEIGHT * (behind @ self._belongs) / np.maximum(self._sizes, 1)
        return np.asarray(scores + self._bonus)


def _forward_backward(likelihoods: Floats, steps: Floats) -> Floats:
    """Probabilities ``(frames, states)`` of states with these ``likelihoods``; ``steps`` from one (row) to another."""
    forward = np.empty_like(likelihoods)
    message = np.ones(likelihoods.shape[1])
    for frame, likelihood in enumerate(likelihoods):
        message = likelihood * (message @ steps if frame else message)
        message /= message.sum()
        forward[frame] = message
    message = np.ones(likelihoods.shape[1])
    for frame in range(len(likelihoods) - 2, -1, -1):
        message = steps @ (likelihoods[frame + 1] * message)
        message /= message.sum()
        forward[frame] *= message
    return np.asarray(forward / forward.sum(axis=1, keepdims=True))


def _transition_costs(members: npt.NDArray[np.bool_]) -> Floats:
    """What it costs to go from each state (row) to each other (column)."""
    changes = (members[:, None] ^ members[None]).sum(axis=2)
    sizes = members.sum(axis=1)
    is_switch = (sizes[:, None] == 1) & (sizes[None] == 1) & (changes > 0)
    return np.where(is_switch, SWITCH_COST, CHANGE_COST * changes)


def _viterbi(emissions: Iterator[Floats], costs: Floats, frames: int) -> Ints:
    """The states, one a frame, of the greatest sum of emissions less costs."""
    states = np.arange(len(costs))
    came_from = np.zeros((frames, len(costs)), np.min_scalar_type(len(costs)))
    best: Floats | None = None
    frame = 0
    for block in emissions:
        for scores in block:
            if best is None:
                best = scores
            else:
                reached = best[:, None] - costs
                origin = reached.argmax(axis=0)
                came_from[frame] = origin
                best = reached[origin, states] + scores
            frame += 1
    path = np.zeros(frames, np.int64)
    if best is not None:
        path[-1] = best.argmax()
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path
