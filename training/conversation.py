"""Turn-taking of a simulated meeting: when each utterance starts.

Turn-taking follows what is measured in conversations. The next speaker starts about 0.2 s after the last one ends,
with a long tail, and four changes in ten overlap (Heldner and Edlund, "Pauses, gaps and overlaps in conversations",
2010; Levinson and Torreira, "Timing in turn-taking", 2015). Pauses inside a speaker's own speech are longer, and
log-normal (Campione and Véronis, "A large-scale multilingual study of silent pause duration", 2002). The share of
overlap is steered: each interruption starts where the share of overlapped speech so far comes closest to the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline.data import Speaker
from meetsplit.pipeline.errors import SettingsError
from meetsplit.training.meeting import PlacedUtterance
from meetsplit.training.script import DialogueLine
from meetsplit.training.speech import FRAME, Utterance, trim_silence
from meetsplit.training.turn_taking import (
    LEAD_IN,
    MAX_BACKCHANNEL,
    ConversationState,
    TrimmedUtterance,
    UtteranceQueue,
    trimmed_utterance,
)


@dataclass(frozen=True, slots=True)
class PauseDistribution:
    """A log-normal distribution of pauses: median in seconds, standard deviation of the logarithm, longest."""

    median: float
    spread: float
    longest: float

    def draw(self, rng: np.random.Generator) -> float:
        """A pause in seconds."""
        return min(float(rng.lognormal(np.log(self.median), self.spread)), self.longest)


GAP = PauseDistribution(0.2, 0.8, 1.5)
"""Between two speakers."""

PAUSE = PauseDistribution(0.5, 0.5, 2.0)
"""Between two utterances of the same speaker."""

CONTINUE_PROBABILITY = 0.25
"""How often the same speaker continues after a pause; less often while more overlap is needed."""

FINAL_SECONDS = 30.0
"""Seconds before the end in which every change of speaker that may overlap does, so that the share comes out right."""

STEERED_TOLERANCE = 0.01
"""The distance of a steered conversation's share of overlap from its target at which it ends."""

STEERED_EXTRA = 8.0
"""Seconds by which a steered conversation may be longer for that."""


@dataclass(frozen=True, slots=True)
class TurnTaking:
    """Options of a conversation: ``overlap`` is a share of speech time, ``backchannels`` a share of interruptions.

    Each speaker first speaks ``warmup`` seconds without being interrupted. ``reuse`` lets utterances be said again
    once a speaker's are used up.
    """

    overlap: float = 0.15
    backchannels: float = 0.15
    warmup: float = 0.0
    reuse: bool = False


def place_dialogue(lines: Sequence[DialogueLine], utterances: Iterable[Utterance]) -> Iterator[PlacedUtterance]:
    """A written dialogue: each utterance at its line's gap from the end of everything said before."""
    end = LEAD_IN
    for line, utterance in zip(lines, utterances, strict=True):
        trimmed = trim_silence(utterance)
        if trimmed is None:
            raise SettingsError(
                f"the voice {line.speaker!r} says nothing at {line.text!r}: use words that it can speak"
            )
        placed = PlacedUtterance(trimmed, max(round(end + line.gap, 2), 0.0))
        end = max(end, placed.end)
        yield placed


def generate_conversation(
    utterances: Iterable[Utterance],
    options: TurnTaking,
    duration: float,
    rng: np.random.Generator,
    *,
    steered: bool = False,
) -> tuple[PlacedUtterance, ...]:
    """About ``duration`` seconds of conversation between all speakers, sorted by start; no speaker overlaps themselves.

    A speaker whose utterances are used up falls silent. ``steered`` is for shares of overlap that chance does not
    reach: every interruption is then the one of the speaker's utterances that brings the share closest, none is a
    back-channel, and the conversation goes on for up to `STEERED_EXTRA` seconds until the share is within
    `STEERED_TOLERANCE`. Raises `SettingsError` where too little is left for a conversation.
    """
    queues = _queues(utterances, options, rng)
    state = ConversationState(np.zeros(round((duration + 60) / FRAME), np.int16))
    _warm_up(queues, state, options.warmup, rng)
    while _goes_on(state, options, duration, steered=steered):
        needs_overlap = state.overlap_share() < options.overlap
        continue_probability = CONTINUE_PROBABILITY
        if needs_overlap:
            continue_probability *= 1 - 2 * options.overlap
        speaker = _next_speaker(_remaining_speakers(queues), state, continue_probability, rng)
        queue = queues[speaker]
        is_change = speaker != state.last_speaker
        may_overlap = is_change and needs_overlap
        if may_overlap and not steered and rng.random() < options.backchannels and _backchannel(queue, state, rng):
            continue
        pause = GAP if is_change else PAUSE
        start = max(state.end + pause.draw(rng), state.available_from.get(speaker, 0.0))
        is_final = state.end > duration - FINAL_SECONDS
        # Between interruptions the share only falls: until the end is near, the target is a little higher.
        target = options.overlap if is_final else min(1.1 * options.overlap, options.overlap + 0.01)
        item = _next_utterance(queue, state, target, start, by_overlap=may_overlap and steered)
        if may_overlap and (steered or is_final or rng.random() < 0.3 + 2 * options.overlap):
            start = state.best_interruption(item, target, start).start
        state.place(item, start)
    return tuple(sorted(state.placed, key=lambda placed: placed.start))


def _goes_on(state: ConversationState, options: TurnTaking, duration: float, *, steered: bool) -> bool:
    if state.end < duration:
        return True
    error = abs(state.overlap_share() - options.overlap)
    return steered and error > STEERED_TOLERANCE and state.end < duration + STEERED_EXTRA


def _queues(
    utterances: Iterable[Utterance], options: TurnTaking, rng: np.random.Generator
) -> dict[Speaker, UtteranceQueue]:
    """Each speaker's utterances in random order; speakers sorted."""
    by_speaker: dict[Speaker, list[TrimmedUtterance]] = {}
    for utterance in utterances:
        item = trimmed_utterance(utterance)
        if item is not None:
            by_speaker.setdefault(item.utterance.speaker, []).append(item)
    queues = {}
    for speaker, items in sorted(by_speaker.items()):
        shuffled = tuple(items[index] for index in rng.permutation(len(items)))
        queues[speaker] = UtteranceQueue(speaker, shuffled, options.reuse)
    return queues


def _warm_up(
    queues: Mapping[Speaker, UtteranceQueue], state: ConversationState, seconds: float, rng: np.random.Generator
) -> None:
    """Each speaker in turn speaks ``seconds`` alone."""
    for index in rng.permutation(len(queues)):
        speaker = sorted(queues)[index]
        while state.talk_time.get(speaker, 0.0) < seconds:
            item = queues[speaker].pop()
            pause = GAP if state.last_speaker != speaker else PAUSE
            state.place(item, state.end + pause.draw(rng))


def _remaining_speakers(queues: Mapping[Speaker, UtteranceQueue]) -> list[Speaker]:
    """The speakers with utterances left: at least two, unless there is only one; else `SettingsError`."""
    remaining = [speaker for speaker in sorted(queues) if not queues[speaker].exhausted]
    if len(remaining) < min(2, len(queues)):
        total = sum(queue.seconds for queue in queues.values())
        raise SettingsError(
            f"the speakers have only {total:.0f} s to say: give more utterances, ask for fewer minutes, or reuse them"
        )
    return remaining


def _next_speaker(
    speakers: Sequence[Speaker], state: ConversationState, continue_probability: float, rng: np.random.Generator
) -> Speaker:
    """The last speaker with ``continue_probability``; otherwise another one, rather one with little talk time."""
    last = state.last_speaker
    if last is not None and last in speakers and (len(speakers) == 1 or rng.random() < continue_probability):
        return last
    others = [speaker for speaker in speakers if speaker != last]
    weights = np.array([1.0 / (5.0 + state.talk_time.get(speaker, 0.0)) for speaker in others])
    return others[int(rng.choice(len(others), p=weights / weights.sum()))]


def _next_utterance(
    queue: UtteranceQueue, state: ConversationState, target: float, latest_start: float, *, by_overlap: bool
) -> TrimmedUtterance:
    """The queue's next utterance; with ``by_overlap``, the one that brings the overlap closest to ``target``."""

    def overlap_error(item: TrimmedUtterance) -> float:
        return state.best_interruption(item, target, latest_start).error

    if by_overlap:
        return queue.pop_best(overlap_error)
    return queue.pop()


def _backchannel(queue: UtteranceQueue, state: ConversationState, rng: np.random.Generator) -> bool:
    """Place a short utterance inside the last speaker's one; False where none fits."""
    if state.latest is None:
        return False
    earliest = max(state.latest.start + 2 * LEAD_IN, state.available_from.get(queue.speaker, 0.0))
    latest_end = state.latest.end - LEAD_IN
    item = queue.pop_short(min(MAX_BACKCHANNEL, latest_end - earliest))
    if item is None:
        return False
    state.place(item, float(rng.uniform(earliest, latest_end - item.duration)))
    return True
