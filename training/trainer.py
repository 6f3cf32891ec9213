"""The training loop of all recipes: prefetched batches, learning-rate schedule, validation, saved and resumed state.

A batch depends on the seed and the step's number alone, so a training that was killed and resumed ends with the same
weights as one that ran through.
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
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files import replacing

Batch = TypeVar("Batch")

SAVE_EVERY = 120.0
"""Seconds between two saved states."""

PREFETCH = 3
"""Batches that are prepared in a thread ahead of the training step."""

MAX_GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm."""

_OLD_KEYS = {"pupil": "model", "marks": "evaluations"}
"""Keys of states saved by version 0.1.0, and today's."""


def _current_key(key: str) -> str:
    return _OLD_KEYS.get(key, key)


def warmup_cosine(step: int, steps: int, warmup: int = 120) -> float:
    """The learning rate's share of its peak: a linear warm-up of ``warmup`` steps, then a cosine decay until ``steps``.

    >>> [round(warmup_cosine(step, 1000), 2) for step in (0, 119, 500, 1000)]
    [0.01, 0.97, 0.51, 0.02]
    """
    linear = (step + 1) / warmup
    cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    return min(linear, cosine)


def prefetch(make_batch: Callable[[int], Batch], first: int, last: int) -> Iterator[Batch]:
    """The batches of the steps from ``first`` up to ``last``, made in a thread beside the training."""
    with ThreadPoolExecutor(1) as executor:
        pending = deque(executor.submit(make_batch, step) for step in range(first, min(first + PREFETCH, last)))
        try:
            for step in range(first, last):
                if step + PREFETCH < last:
                    pending.append(executor.submit(make_batch, step + PREFETCH))
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A validation result: the ``score`` (higher is better) after ``step`` steps and ``seconds`` of training."""

    step: int
    seconds: float
    score: float


@dataclass(slots=True)
class TrainState(Generic[Batch]):
    """Model, optimizer, loss, progress and validation results of a training.

    ``loss_fn`` maps a batch to the loss to minimize and the parts of it to print. ``average`` is a moving average of
    the weights (`moving_average`), where one is kept: it is what is validated then. ``best`` holds the weights with the
    highest validation score so far. A step whose gradients are not finite leaves the weights as they are.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss_fn: Callable[[Batch], tuple[Tensor, Sequence[Tensor]]]
    average: AveragedModel | None = None
    step: int = 0
    seconds: float = 0.0
    evaluations: tuple[Evaluation, ...] = ()
    best: Mapping[str, Tensor] | None = None

    def train_step(self, batch: Batch, learning_rate: float) -> Sequence[float]:
        """One optimizer step; the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        torch.manual_seed(self.step)  # so that dropout depends on the step alone, too
        loss, parts = self.loss_fn(batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        return [part.item() for part in parts]

    @property
    def result(self) -> nn.Module:
        """The model that is validated: the average where one is kept."""
        averaged: nn.Module = self.model if self.average is None else self.average.module
        return averaged

    def add_evaluation(self, score: float) -> None:
        """Record a validation score; the weights become `best` if no earlier score is as high."""
        if self.best is None or score > max(evaluation.score for evaluation in self.evaluations):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.result.state_dict().items()}
        self.evaluations = (*self.evaluations, Evaluation(self.step, self.seconds, score))

    def best_weights(self) -> Mapping[str, Tensor]:
        """The weights with the highest validation score, or the current ones before any validation."""
        return self.best or self.result.state_dict()

    def save(self, path: Path) -> None:
        """Write the state so that a kill at any moment leaves the old or the new one."""
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "evaluations": [astuple(evaluation) for evaluation in self.evaluations],
            "best": self.best,
            "average": None if self.average is None else self.average.module.state_dict(),
        }
        with replacing(path) as file:
            torch.save(content, file)

    def resume(self, path: Path, current_name: Callable[[str], str] = lambda name: name) -> None:
        """Load a saved state, if there is one; ``current_name`` maps names of tensors that older versions saved.

        Raises `SettingsError` for the state of another training.
        """
        if not path.exists():
            return
        try:
            content = _renamed(torch.load(path, map_location="cpu", weights_only=True), _current_key)
            self.model.load_state_dict(_renamed(content["model"], current_name))
            self.optimizer.load_state_dict(content["optimizer"])
            if self.average is not None:
                self.average.module.load_state_dict(_renamed(content["average"] or {}, current_name))
                self.average.n_averaged.fill_(content["step"])
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise SettingsError(
                f"{path} holds the state of another training; delete it, or give another --cache"
            ) from error
        self.step = content["step"]
        self.seconds = content["seconds"]
        self.evaluations = tuple(Evaluation(*row) for row in content.get("evaluations", ()))
        best = content.get("best")
        self.best = None if best is None else _renamed(best, current_name)
        print(f"going on at step {self.step}, {self.seconds / 60:.0f} minutes in", flush=True)


def _renamed(content: Mapping[str, Any], current_name: Callable[[str], str]) -> dict[str, Any]:
    return {current_name(name): value for name, value in content.items()}


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Limits and intervals of a training.

    ``minutes`` bounds this call, ``steps`` the whole training; ``state`` is the file of the saved state; losses are
    printed every ``log_every`` steps under the name ``losses``, validation runs every ``validate_every`` steps.
    """

    minutes: float
    steps: int
    state: Path
    log_every: int = 50
    validate_every: int = 500
    losses: str = "loss"


def fit(
    state: TrainState[Batch],
    make_batch: Callable[[int], Batch],
    options: TrainerOptions,
    *,
    learning_rate: Callable[[int], float],
    validate: Callable[[], object],
) -> None:
    """Train until the steps or the minutes are used up; print mean losses and what ``validate`` returns."""
    started = time.monotonic()
    last_saved = started
    seconds_before = state.seconds
    recent_losses: list[Sequence[float]] = []
    for batch in prefetch(make_batch, state.step, options.steps):
        recent_losses.append(state.train_step(batch, learning_rate(state.step)))
        state.seconds = seconds_before + time.monotonic() - started
        if state.step % options.log_every == 0:
            means = " ".join(f"{value:.3f}" for value in np.mean(recent_losses, axis=0))
            progress = f"step {state.step} of {options.steps}, {state.seconds / 60:.1f} min"
            print(f"{progress}: {options.losses} {means}", flush=True)
            recent_losses = []
        if state.step % options.validate_every == 0:
            print(validate(), flush=True)
        if time.monotonic() - last_saved > SAVE_EVERY:
            state.save(options.state)
            last_saved = time.monotonic()
        if time.monotonic() - started > options.minutes * 60:
            break
    state.save(options.state)
