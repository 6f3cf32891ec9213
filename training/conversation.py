"""Who speaks when in a simulated meeting.

Turn-taking follows what is measured in conversations. The next speaker starts about 0.2 s after the last one ends, with a
long tail, and four changes in ten overlap (Heldner and Edlund, "Pauses, gaps and overlaps in conversations", 2010; Levinson
and Torreira, "Timing in turn-taking", 2015). Pauses inside a person's own speech are longer, and log-normal (Campione and
Véronis, "A large-scale multilingual study of silent pause duration", 2002). How much overlaps in all is steered: each
interruption starts where the share of overlapped speech so far comes closest to the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.meeting import Cue
from meetsplit.training.script import Line
from meetsplit.training.speech import FRAME, Utterance, trimmed
from meetsplit.training.turn_taking import LEAD, SHORT, Floor, Queue, Spoken, spoken

GAP, GAP_SPREAD, GAP_MOST = 0.2, 0.8, 1.5
"""Between speakers: median in seconds, spread of its logarithm, longest."""

PAUSE, PAUSE_SPREAD, PAUSE_MOST = 0.5, 0.5, 2.0
"""Before the same speaker goes on."""

GOES_ON = 0.25
"""How often the same speaker goes on after a pause; less often while more overlap is wanted."""

CLOSING = 30.0
"""Seconds before the end in which every change of speaker that may overlap does, so that the share comes out right."""


NEAR, LONGER = 0.01, 8.0
"""How close a steered conversation's share of overlap is to come, and for how many seconds more it may go on for that."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How people talk with each other: ``overlap`` and ``backchannels`` are shares of speech time and of utterances.

    Each speaker first speaks ``warmup`` seconds without being interrupted. ``reuse`` lets utterances be said again once a
    speaker's are used up.
    """

    overlap: float = 0.15
    backchannels: float = 0.15
    warmup: float = 0.0
    reuse: bool = False


def performed(lines: Sequence[Line], utterances: Iterable[Utterance]) -> Iterator[Cue]:
    """A written dialogue as it stands: each utterance at its line's gap from the end of everything said before."""
    end = LEAD
    for line, utterance in zip(lines, utterances, strict=True):
        clean = trimmed(utterance)
        if clean is None:
            raise SettingsError(
                f"the voice {line.speaker!r} says nothing at {line.text!r}: use words that it can speak"
            )
        cue = Cue(clean, max(round(end + line.gap, 2), 0.0))
        end = max(end, cue.end)
        yield cue


def conversation(
    utterances: Iterable[Utterance],
    manners: Manners,
    duration: float,
    rng: np.random.Generator,
    *,
    steered: bool = False,
) -> tuple[Cue, ...]:
    """About ``duration`` seconds of talk, by start, among everybody who has something to say; nobody talks over themselves.

    Whoever has nothing left to say falls silent. ``steered`` is for shares of overlap that chance does not reach: every
    interruption is then the one of the speaker's utterances that brings the share closest, none is a back-channel, and the
    talk goes on for up to `LONGER` seconds until the share is within `NEAR`.
    Raises `SettingsError` where too little is left for a conversation.
    """
    queues = _queues(utterances, manners, rng)
    floor = Floor(np.zeros(round((duration + 60) / FRAME), np.int16))
    _warm_up(queues, floor, manners.warmup, rng)
    while floor.end < duration or (
        steered and abs(floor.share() - manners.overlap) > NEAR and floor.end < duration + LONGER
    ):
        behind = floor.share() < manners.overlap
        speaker = _next_speaker(
            _still_talking(queues), floor, GOES_ON * (1 - 2 * manners.overlap) if behind else GOES_ON, rng
        )
        queue, change = queues[speaker], speaker != floor.last
        overlapping = change and behind
        if overlapping and not steered and rng.random() < manners.backchannels and _respond(queue, floor, rng):
            continue
        soon = max(floor.end + _pause(rng, change), floor.free.get(speaker, 0.0))
        closing = floor.end > duration - CLOSING
        # Between interruptions the share only falls: until the end is near, a little more than asked for.
        wanted = manners.overlap if closing else min(1.1 * manners.overlap, manners.overlap + 0.01)
        item = (
            queue.take_best(partial(floor.distance, overlap=wanted, latest=soon))
            if overlapping and steered
            else queue.take()
        )
        if item is None:
            continue
        if overlapping and (steered or closing or rng.random() < 0.3 + 2 * manners.overlap):
            soon = floor.interruption(item, wanted, soon)
        floor.place(item, soon)
    return tuple(sorted(floor.cues, key=lambda cue: cue.start))


def _queues(utterances: Iterable[Utterance], manners: Manners, rng: np.random.Generator) -> dict[Speaker, Queue]:
    said: dict[Speaker, list[Spoken]] = {}
    for utterance in utterances:
        item = spoken(utterance)
        if item is not None:
            said.setdefault(item.utterance.speaker, []).append(item)
    return {
        speaker: Queue(speaker, tuple(said[speaker][i] for i in rng.permutation(len(said[speaker]))), manners.reuse)
        for speaker in sorted(said)
    }


def _warm_up(queues: Mapping[Speaker, Queue], floor: Floor, seconds: float, rng: np.random.Generator) -> None:
    """Everybody in turn speaks alone."""
    for index in rng.permutation(len(queues)):
        speaker = sorted(queues)[index]
        while floor.talked.get(speaker, 0.0) < seconds:
            item = queues[speaker].take()
            if item is not None:
                floor.place(item, floor.end + _pause(rng, floor.last != speaker))


def _still_talking(queues: Mapping[Speaker, Queue]) -> list[Speaker]:
    """Who has something left to say: at least two, unless there is only one; else `SettingsError`."""
    left = [speaker for speaker in sorted(queues) if not queues[speaker].silent]
    if len(left) < min(2, len(queues)):
        total = sum(queue.total for queue in queues.values())
        raise SettingsError(
            f"the speakers have only {total:.0f} s to say: give more utterances, ask for fewer minutes, or reuse them"
        )
    return left


def _pause(rng: np.random.Generator, change: bool) -> float:
    median, spread, most = (GAP, GAP_SPREAD, GAP_MOST) if change else (PAUSE, PAUSE_SPREAD, PAUSE_MOST)
    return min(float(rng.lognormal(np.log(median), spread)), most)


def _next_speaker(speakers: Sequence[Speaker], floor: Floor, goes_on: float, rng: np.random.Generator) -> Speaker:
    """Somebody else, rather somebody who has said little, unless the last speaker goes on, as often as ``goes_on``."""
    if floor.last is not None and floor.last in speakers and (len(speakers) == 1 or rng.random() < goes_on):
        return floor.last
    others = [speaker for speaker in speakers if speaker != floor.last]
    weights = np.array([1.0 / (5.0 + floor.talked.get(speaker, 0.0)) for speaker in others])
    return others[int(rng.choice(len(others), p=weights / weights.sum()))]


def _respond(queue: Queue, floor: Floor, rng: np.random.Generator) -> bool:
    """A short utterance inside the last speaker's; False where none fits."""
    if floor.latest is None:
        return False
    first = max(floor.latest.start + 2 * LEAD, floor.free.get(queue.speaker, 0.0))
    short = queue.take(min(SHORT, floor.latest.end - LEAD - first))
    if short is None:
        return False
    floor.place(short, float(rng.uniform(first, floor.latest.end - LEAD - short.duration)))
    return True
