"""A training under way: it goes on where it was stopped, lasts so many minutes, and says how it goes.

What a step learns depends on the seed and the step's number alone: a training that was killed and called again ends with
the same weights as one that nobody disturbed.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files import replacing

Lesson = TypeVar("Lesson")

SAVE_EVERY = 120.0
"""Seconds between two saved states."""

AHEAD = 3
"""Lessons that are prepared beside the training."""


def slope(step: int, steps: int, warmup: int = 120) -> float:
    """The learning rate's share of its peak: up along a line in ``warmup`` steps, then down along a cosine until ``steps``.

    >>> [round(slope(step, 1000), 2) for step in (0, 119, 500, 1000)]
    [0.01, 0.97, 0.51, 0.02]
    """
    return min((step + 1) / warmup, 0.02 + 0.98 * (1 + math.cos(math.pi * min(step / steps, 1))) / 2)


def prepared(lesson: Callable[[int], Lesson], first: int, last: int) -> Iterator[Lesson]:
    """The lessons of the steps from ``first`` up to ``last``, made by a thread beside the training."""
    with ThreadPoolExecutor(1) as worker:
        ahead = deque(worker.submit(lesson, step) for step in range(first, min(first + AHEAD, last)))
        try:
            for step in range(first, last):
                if step + AHEAD < last:
                    ahead.append(worker.submit(lesson, step + AHEAD))
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


@dataclass(frozen=True, slots=True)
class Mark:
    """An exam on what is never trained on: after which step and how many seconds of training, and how good. More is better."""

    step: int
    seconds: float
    value: float


@dataclass(slots=True)
class Course(Generic[Lesson]):
    """Who learns, by which optimizer, what it gets wrong in a lesson, and how far it is.

    ``mistakes`` gives the loss to lower and the parts of it to print. ``marks`` are the exams so far; ``best`` holds the
    weights of the best one. Losses or gradients that are not finite leave the weights as they are.
    """

    pupil: nn.Module
    optimizer: torch.optim.Optimizer
    mistakes: Callable[[Lesson], tuple[Tensor, Sequence[Tensor]]]
    step: int = 0
    seconds: float = 0.0
    marks: tuple[Mark, ...] = ()
    best: Mapping[str, Tensor] | None = None

    def learn(self, given: Lesson, rate: float) -> Sequence[float]:
        """One step; the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.step)  # what is dropped out depends on the step alone, too
        loss, parts = self.mistakes(given)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(self.pupil.parameters(), 1.0)):
            self.optimizer.step()
        self.step += 1
        return [part.item() for part in parts]

    def examined(self, value: float) -> None:
        """Enters an exam's result; the weights are remembered if none was better."""
        if self.best is None or value > max(mark.value for mark in self.marks):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.pupil.state_dict().items()}
        self.marks = (*self.marks, Mark(self.step, self.seconds, value))

    def save(self, path: Path) -> None:
        """Writes the state so that a kill at any moment leaves the old or the new one."""
        state = {
            "pupil": self.pupil.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "marks": [astuple(mark) for mark in self.marks],
            "best": self.best,
        }
        with replacing(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> None:
        """Goes on from a saved state, if there is one. Raises `SettingsError` for the state of another training."""
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.pupil.load_state_dict(state["pupil"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise SettingsError(
                f"{path} holds the state of another training; delete it, or give another --cache"
            ) from error
        self.step, self.seconds = state["step"], state["seconds"]
        self.marks, self.best = tuple(Mark(*mark) for mark in state.get("marks", ())), state.get("best")
        print(f"going on at step {self.step}, {self.seconds / 60:.0f} minutes in", flush=True)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a training is held: for how many minutes now and steps in all, where its state is kept, every how many steps it is
    told and examined, and what its losses are called.
    """

    minutes: float
    steps: int
    state: Path
    tell_every: int = 50
    exam_every: int = 500
    losses: str = "loss"


def attend(
    course: Course[Lesson],
    lesson: Callable[[int], Lesson],
    terms: Terms,
    *,
    rate: Callable[[int], float],
    exam: Callable[[], object],
) -> None:
    """Learns until the steps or the minutes are at an end; prints the losses, and now and then what ``exam`` says."""
    began = saved = time.monotonic()
    recent: list[Sequence[float]] = []
    before = course.seconds
    for given in prepared(lesson, course.step, terms.steps):
        recent.append(course.learn(given, rate(course.step)))
        course.seconds = before + time.monotonic() - began
        if course.step % terms.tell_every == 0:
            means = " ".join(f"{value:.3f}" for value in np.mean(recent, axis=0))
            print(
                f"step {course.step} of {terms.steps}, {course.seconds / 60:.1f} min: {terms.losses} {means}",
                flush=True,
            )
            recent = []
        if course.step % terms.exam_every == 0:
            print(exam(), flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            course.save(terms.state)
            saved = time.monotonic()
        if time.monotonic() - began > terms.minutes * 60:
            break
    course.save(terms.state)
