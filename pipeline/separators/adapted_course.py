"""A refiner taught the voices of one meeting: which mixtures are made of its speech, and how long it learns from them.

Everybody's clean speech is cut in three. Two parts teach: mixtures of one are explained by dictionaries of the other, so that the
dictionaries know as little of the mixture as they will of the real overlaps. The third examines: what was learned is kept only
as far as it helps there.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.separators.adapted_lessons import Lessons, joined, lesson, missed
from meetsplit.pipeline.separators.adapted_net import Refiner
from meetsplit.pipeline.separators.dictionary import DictionarySeparator

SECONDS = 2.0
"""Length of a lesson's mixture."""

ENOUGH = 10.0
"""Seconds of clean speech that a person must have to teach and to examine."""

LOUDER = 5.0
"""Decibels by which one voice of a lesson is louder than another, at most."""

Group = tuple[Speaker, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What fits into a budget, told from it alone and not by the clock, so that the same budget always teaches the same.

    Counted in seconds of a nominal machine (one core of a 2024 server; see `benchmarks/separation.py` for what it took here):
    ``making`` a lesson of two voices, ``learning`` from it once, ``reading`` one person's speech into three dictionaries. The
    share ``made`` of the budget goes into making lessons, at most ``most`` (2 MB each two voices).
    """

    budget: float
    making: float = 0.16
    learning: float = 0.045
    reading: float = 0.6
    made: float = 0.4
    most: int = 600
    exam: int = 12
    batch: int = 4
    exams: int = 5
    rate: float = 3e-4

    def lessons(self, people: int) -> int:
        """How many lessons are made, those of the exam included."""
        left = self.budget - self.reading * people
        return int(min(max(left, 0.0) * self.made / self.making, self.most))

    def steps(self, people: int) -> int:
        """How many steps of ``batch`` lessons are learned."""
        lessons = self.lessons(people)
        spent = self.reading * people + lessons * self.making + (self.exams + 1) * self.exam * self.learning / 3
        return int(max(self.budget - spent, 0.0) / (self.learning * self.batch))


@dataclass(frozen=True, slots=True, eq=False)
class _Person:
    """Somebody's clean speech in parts: two to learn from and one for the exam, each with a dictionary of what else they say."""

    parts: tuple[Samples, Samples, Samples]
    others: tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of it: SNR in dB on held-out speech before and after, lessons and steps, and whether the clock cut it short."""

    before: float
    after: float
    lessons: int
    steps: int
    cut: bool


class Course:
    """One meeting's lessons. ``progress`` is told the seconds spent; ``clock`` is a parameter for tests."""

    def __init__(
        self,
        teacher: DictionarySeparator,
        plan: Plan,
        seed: int,
        progress: Callable[[float], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._teacher, self._plan, self._seed, self._progress, self._clock = teacher, plan, seed, progress, clock or time.monotonic
        self._began = self._clock()

    def teach(self, refiner: Refiner, company: Mapping[Group, float], known: Mapping[Speaker, Sequence[Audio]]) -> tuple[Refiner, Learned]:
        """A copy of the refiner that knows these people's voices better, or as it was where nothing helped on held-out speech."""
        people: dict[Speaker, _Person] = {}
        heads = len({speaker for group in company for speaker in group})
        count = self._plan.lessons(heads)
        exam = min(self._plan.exam, count // 3)
        rng = np.random.default_rng(self._seed)
        made: dict[bool, list[Lessons]] = {}
        for examining, amount in ((True, exam), (False, count - exam)):
            made[examining] = []
            for group in _shared_out(company, amount):
                if self._late():
                    break
                people |= {name: self._read(known[name]) for name in group if name not in people}
                made[examining].append(self._lesson([people[name] for name in group], rng, examining=examining))
                self._progress(self._spent())
        return self._learned(refiner, made[False], made[True], self._plan.steps(heads))

    def _learned(self, refiner: Refiner, lessons: Sequence[Lessons], exam: Sequence[Lessons], steps: int) -> tuple[Refiner, Learned]:
        """The best refiner on the way, by the exam; the one that came in if none was better."""
        if not lessons or not exam or steps == 0 or self._late():
            return refiner, Learned(0.0, 0.0, len(lessons), 0, cut=self._late())
        pupil = copy.deepcopy(refiner).train()
        optimizer = torch.optim.AdamW(pupil.parameters(), lr=0.0)
        best, before = refiner, self._examined(refiner, exam)
        after, step, every = before, 0, max(steps // self._plan.exams, 1)
        for step, batch in enumerate(_batches(lessons, self._plan.batch, steps, self._seed), start=1):
            for group in optimizer.param_groups:
                group["lr"] = self._plan.rate * min(1.0, step / 10) * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.zero_grad()
            missed(pupil, self._teacher, batch).mean().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(pupil.parameters(), 5.0)
            optimizer.step()
            self._progress(self._spent())
            if step % every == 0 or self._late():
                score = self._examined(pupil, exam)
                if score > after:
                    best, after = copy.deepcopy(pupil).eval(), score
            if self._late():
                break
        return best, Learned(before, after, len(lessons), step, cut=step < steps)

    @torch.inference_mode()
    def _examined(self, refiner: Refiner, exam: Sequence[Lessons]) -> float:
        return -float(torch.stack([missed(refiner, self._teacher, one).mean() for one in exam]).mean())

    def _read(self, clips: Sequence[Audio]) -> _Person:
        whole = np.concatenate([clip.samples for clip in clips])
        first, second = round(0.4 * len(whole)), round(0.8 * len(whole))
        parts = whole[:first], whole[first:second], whole[second:]
        others = tuple(self._teacher.dictionary("", [Audio(part, self._teacher.rate)]) for part in (parts[1], parts[0], whole[:second]))
        return _Person(parts, (others[0], others[1], others[2]))

    def _lesson(self, people: Sequence[_Person], rng: np.random.Generator, *, examining: bool) -> Lessons:
        length = round(SECONDS * self._teacher.rate)
        fold = 2 if examining else int(rng.integers(2))
        voices = np.stack([_stretch(person.parts[fold], length, rng) for person in people])
        levels = np.sqrt(np.mean(np.square(voices), axis=1, keepdims=True)) + 1e-6
        voices = voices / levels * 10 ** (rng.uniform(-LOUDER / 2, LOUDER / 2, (len(voices), 1)) / 20)
        voices = voices.astype(np.float32)
        return lesson(self._teacher, voices.sum(axis=0), voices, [person.others[fold] for person in people])

    def _spent(self) -> float:
        return self._clock() - self._began

    def _late(self) -> bool:
        return self._spent() > self._plan.budget


def _stretch(samples: Samples, length: int, rng: np.random.Generator) -> Samples:
    start = int(rng.integers(max(len(samples) - length, 0) + 1))
    return np.resize(samples[start : start + length], length)


def _shared_out(company: Mapping[Group, float], count: int) -> list[Group]:
    """``count`` groups, each as often as its seconds ask for, the most-overlapped first in every round.

    >>> _shared_out({("A", "B"): 3.0, ("A", "C"): 1.0}, 4)
    [('A', 'B'), ('A', 'B'), ('A', 'C'), ('A', 'B')]
    """
    owed = dict.fromkeys(sorted(company, key=lambda group: (-company[group], group)), 0.0)
    total = sum(company.values())
    turns: list[Group] = []
    for _ in range(count):
        for group in owed:
            owed[group] += company[group] / total
        turns.append(max(owed, key=lambda group: owed[group]))
        owed[turns[-1]] -= 1.0
    return turns


def _batches(lessons: Sequence[Lessons], size: int, count: int, seed: int) -> Iterator[Lessons]:
    """``count`` batches of lessons with equally many voices, every lesson once before any comes again."""
    rng = np.random.default_rng(seed)
    left: list[Sequence[Lessons]] = []
    for _ in range(count):
        if not left:
            for voices in sorted({one.parts.shape[1] for one in lessons}):
                alike = [one for one in lessons if one.parts.shape[1] == voices]
                order = [alike[index] for index in rng.permutation(len(alike))]
                left += [order[start : start + size] for start in range(0, len(order), size)]
            left = [left[index] for index in rng.permutation(len(left))]
        yield joined(left.pop())
