"""The voices of one meeting, taught to a refiner: mixtures of its own clean speech, as many as fit into a budget, and an exam.

Of everybody's clean speech four fifths teach; the last fifth examines. A mixture is explained by dictionaries of all that its speakers
say elsewhere, never of itself, as an overlap will be. What is learned is the mean of the weights on the way (Polyak and Juditsky,
"Acceleration of stochastic approximation by averaging", 1992), which few mixtures mislead less than the last ones; how long is taught
is what did best in the exam.
"""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Samples, Speaker
from meetsplit.pipeline.separators.adapted_mixtures import (
    Group,
    Lessons,
    joined,
    lesson,
    levelled,
    missed,
    shared_out,
    stretch,
)
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import Refiner

SECONDS = 2.0
"""Length of a mixture to learn from."""

AROUND = 0.25
"""Seconds before and after a stretch that its dictionary does not know, either."""

TAUGHT = 0.8
"""The share of everybody's clean speech that teaches; the rest examines."""

MIXING = 0.5
"""The share of what is left of a budget in which mixtures are made and explained; in the rest they are learned from."""

MEMORY = 0.98
"""How much of the mean of the weights a step leaves."""

SLACK = 0.1
"""How far the clock may run ahead of the plan before the plan follows the clock."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What fits into a budget, told from it alone and not by the clock, so that the same budget always teaches the same.

    Counted in seconds of a nominal machine, two cores of a 2024 server: ``reading`` a person's speech into a dictionary, ``asking``
    the dictionaries about one mixture, ``marking`` the exam of ``exam`` mixtures once, and a ``step`` of learning from ``batch``
    mixtures. ``clock`` tells when the budget is over where the machine is slower than that.
    """

    budget: float
    clock: Callable[[], float] = time.monotonic
    reading: float = 0.5
    asking: float = 0.2
    marking: float = 0.4
    step: float = 0.2
    exam: int = 12
    exams: int = 4
    batch: int = 8
    rate: float = 6e-4

    def shares(self, people: int) -> tuple[int, int]:
        """How many mixtures are made and how many steps are learned with so many people to read; none of either, or a batch at least."""
        left = self.budget - people * self.reading - self.exam * self.asking - (self.exams + 1) * self.marking
        mixtures, steps = int(max(left, 0.0) * MIXING / self.asking), int(max(left, 0.0) * (1.0 - MIXING) / self.step)
        return (mixtures, steps) if mixtures >= self.batch and steps > 0 else (0, 0)


@dataclass(frozen=True, slots=True)
class Report:
    """SNR in dB in the exam, untaught and taught; mixtures and steps made, of those planned."""

    before: float
    after: float
    mixtures: int
    steps: int
    planned: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether the clock left the plan as it was."""
        return (self.mixtures, self.steps) == self.planned


@dataclass(frozen=True, slots=True, eq=False)
class _Speech:
    """What somebody says: samples, and exemplars ``(bins, exemplars)`` with the seconds at which they were heard."""

    samples: Samples
    exemplars: Tensor
    moments: Tensor

    @classmethod
    def of(cls, clips: Sequence[Audio], teacher: DictionarySeparator) -> _Speech:
        samples = np.concatenate([clip.samples for clip in clips])
        return cls(samples, *teacher.exemplars([Audio(samples, teacher.rate)]))

    @property
    def heard(self) -> bool:
        """Whether there is anything but silence."""
        return self.exemplars.shape[1] > 0

    def without(self, start: float, end: float) -> Tensor:
        """A dictionary ``(bins, exemplars)`` of everything that was heard before and after; of everything if that is nothing."""
        away = (self.moments < start - AROUND) | (self.moments > end + AROUND)
        kept = self.exemplars[:, away] if bool(away.any()) else self.exemplars
        return kept / kept.sum(dim=0)


class Course:
    """One meeting's teaching. ``progress`` is told the seconds spent."""

    def __init__(self, teacher: DictionarySeparator, plan: Plan, seed: int, progress: Callable[[float], None]) -> None:
        self._teacher, self._plan, self._seed, self._progress = teacher, plan, seed, progress
        self._began = plan.clock()

    def teach(
        self, refiner: Refiner, overlap_seconds: Mapping[Group, float], enrollment: Mapping[Speaker, Sequence[Audio]]
    ) -> tuple[Refiner | None, Report | None]:
        """A refiner that has learned these people, and how it went; ``refiner`` itself stays as it is.

        None instead of a refiner where learning did not help in the exam; None and no report where the budget is too small, or
        nobody is heard.
        """
        people = sorted({speaker for group in overlap_seconds for speaker in group})
        mixtures, steps = self._plan.shares(len(people))
        if mixtures == 0:
            return None, None
        speech = {speaker: _Speech.of(enrollment[speaker], self._teacher) for speaker in people}
        overlap_seconds = {
            group: seconds
            for group, seconds in overlap_seconds.items()
            if all(speech[speaker].heard for speaker in group)
        }
        if not overlap_seconds:
            return None, None
        exam = list(self._lessons(overlap_seconds, speech, self._plan.exam, taught=False, until=self._plan.budget))
        spent = self._spent()
        until = spent + (MIXING + SLACK) * (self._plan.budget - spent)
        taught = list(self._lessons(overlap_seconds, speech, mixtures, taught=True, until=until))
        learned, before, after, made = self._learn(copy.deepcopy(refiner), _alike(exam), _alike(taught), steps)
        return learned, Report(before, after, len(taught), made, (mixtures, steps))

    def _lessons(
        self,
        overlap_seconds: Mapping[Group, float],
        speech: Mapping[Speaker, _Speech],
        count: int,
        *,
        taught: bool,
        until: float,
    ) -> Iterator[Lessons]:
        """Mixtures of the speech that teaches, or of that which examines."""
        rng = np.random.default_rng((self._seed, int(taught)))
        length, rate = round(SECONDS * self._teacher.rate), self._teacher.rate
        for group in shared_out(overlap_seconds, count):
            if self._spent() > until:
                return
            voices, dictionaries = [], []
            for speaker in group:
                own = speech[speaker]
                cut = round(TAUGHT * len(own.samples))
                first, part = (0, own.samples[:cut]) if taught else (cut, own.samples[cut:])
                start, samples = stretch(part, length, rng)
                voices.append(samples)
                dictionaries.append(
                    own.without((first + start) / rate, (first + start + min(length, len(part))) / rate)
                )
            rows = levelled(np.stack(voices), rng)
            yield lesson(self._teacher, rows.sum(axis=0), rows, dictionaries)
            self._progress(self._spent())

    def _learn(
        self, refiner: Refiner, exam: Sequence[Lessons], taught: Sequence[Lessons], planned: int
    ) -> tuple[Refiner | None, float, float, int]:
        """The best on the way, by the exam; None if nothing was better than the untaught one. SNR before and after; steps made."""
        rng = np.random.default_rng((self._seed, 2))
        optimizer = torch.optim.AdamW(refiner.parameters(), lr=0.0)
        marking = self._spent()
        before = best = _examined(refiner, exam)
        began = self._spent()
        marking = began - marking
        odds = np.array([len(given) for given in taught], np.float64) / max(sum(map(len, taught)), 1)
        marks = {round(planned * (mark + 1) / self._plan.exams) for mark in range(self._plan.exams)}
        mean = copy.deepcopy(refiner).eval()
        found: Mapping[str, Tensor] | None = None
        step = 0
        while step < planned and exam and taught and not self._late(marking):
            step += 1
            for parameters in optimizer.param_groups:
                parameters["lr"] = self._rate(step, planned, began)
            given = taught[int(rng.choice(len(taught), p=odds))]
            rows = rng.choice(len(given), min(self._plan.batch, len(given)), replace=False).tolist()
            _corrected(refiner, optimizer, given.of(rows))
            _averaged(mean, refiner, min(MEMORY, step / (step + 4)))
            self._progress(self._spent())
            if step in marks or self._late(marking):
                score = _examined(mean, exam)
                if score > best:
                    best, found = score, copy.deepcopy(mean.state_dict())
        if found is None:
            return None, before, best, step
        mean.load_state_dict(found)
        return mean, before, best, step

    def _rate(self, step: int, planned: int, began: float) -> float:
        """The rate of learning of a step: up along a line, then down to a half."""
        gone = (self._spent() - began) / max(self._plan.budget - began, 1e-9)
        # On a machine that is too slow to come to the end, what is learned settles all the same.
        done = step / planned if gone < step / planned + SLACK else min(gone, 1.0)
        return self._plan.rate * min(1.0, step / 10) * (1.0 - 0.5 * done)

    def _spent(self) -> float:
        return self._plan.clock() - self._began

    def _late(self, needed: float) -> bool:
        """Whether less than ``needed`` seconds of the budget are left: those that the last exam takes here."""
        return self._spent() + needed > self._plan.budget


def _alike(lessons: Sequence[Lessons]) -> list[Lessons]:
    """Lessons of equally many voices as one, those of fewer first."""
    found: dict[int, list[Lessons]] = defaultdict(list)
    for given in lessons:
        found[given.parts.shape[1]].append(given)
    return [joined(found[voices]) for voices in sorted(found)]


def _corrected(refiner: Refiner, optimizer: torch.optim.Optimizer, given: Lessons) -> None:
    """One step; gradients that are not finite leave the weights as they are."""
    optimizer.zero_grad()
    missed(refiner.train(), given).mean().backward()  # type: ignore[no-untyped-call]
    if torch.isfinite(torch.nn.utils.clip_grad_norm_(refiner.parameters(), 5.0)):
        optimizer.step()


@torch.no_grad()
def _averaged(mean: Refiner, now: Refiner, kept: float) -> None:
    """``mean`` keeps so much of itself and takes the rest from ``now``."""
    for old, new in zip(mean.parameters(), now.parameters(), strict=True):
        old.mul_(kept).add_(new, alpha=1.0 - kept)


@torch.inference_mode()
def _examined(refiner: Refiner, exam: Sequence[Lessons]) -> float:
    """SNR in dB; 0 for an exam without questions."""
    scores = [missed(refiner, given) for given in exam]
    return -float(torch.cat(scores).mean()) if scores else 0.0
