"""Adaptation of the mask refiner to the voices of one meeting, trained on mixtures of its own clean speech.

Four fifths of each speaker's clean speech train; the last fifth validates. A mixture is estimated by dictionaries of
all that its speakers say elsewhere, never of itself, as for a real overlap. The result is an exponential moving
average of the weights (after Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992),
which few mixtures mislead less than the last step's weights; of its validated states, the best.
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
from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.pipeline.separators.adapted_mixtures import (
    MixtureBatch,
    SpeakerGroup,
    at_random_levels,
    concatenate,
    make_mixture,
    random_excerpt,
    refiner_loss,
    weighted_round_robin,
)
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, Exemplars
from meetsplit.pipeline.separators.mask_refiner import Refiner

MIXTURE_SECONDS = 2.0
"""Length of a training mixture."""

EXCLUSION_MARGIN = 0.25
"""Seconds around a training excerpt whose exemplars are excluded from its speaker's dictionary."""

TRAIN_SHARE = 0.8
"""The share of each speaker's clean speech that trains; the rest validates."""

MIXING_SHARE = 0.5
"""The share of a budget, less its fixed costs, in which mixtures are made; training steps take the rest."""

EMA_DECAY = 0.98
"""Decay of the exponential moving average of the weights."""

SCHEDULE_SLACK = 0.1
"""The share of the budget by which the clock may run ahead of the planned steps before the schedule follows it."""

WARMUP_STEPS = 10
"""Steps over which the learning rate rises."""

MAX_GRADIENT_NORM = 5.0
"""Norm at which gradients are clipped."""


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """How many training mixtures are made, and how many steps are trained with them."""

    mixtures: int
    steps: int

    def __add__(self, other: TrainingWork) -> TrainingWork:
        return TrainingWork(self.mixtures + other.mixtures, self.steps + other.steps)


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """What fits into ``seconds``, computed from costs and not measured, so that the same budget always trains the same.

    Costs are seconds of a nominal machine, two cores of a 2024 server: ``dictionary_cost`` for the dictionary of one
    speaker, ``mixture_cost`` for one mixture, ``validation_cost`` for validating once on ``validation_mixtures``,
    which is done ``validations`` times and before the first step, and ``step_cost`` for a step with ``batch_size``
    mixtures. ``clock`` tells when the budget is over where the machine is slower than that.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    dictionary_cost: float = 0.5
    mixture_cost: float = 0.25
    validation_cost: float = 0.4
    step_cost: float = 0.2
    validation_mixtures: int = 12
    validations: int = 4
    batch_size: int = 8
    learning_rate: float = 6e-4

    def plan(self, speakers: int) -> TrainingWork:
        """The work for so many speakers: at least one batch of mixtures and one step, or none of either."""
        remaining = self.seconds - speakers * self.dictionary_cost - self.validation_mixtures * self.mixture_cost
        remaining = max(remaining - (self.validations + 1) * self.validation_cost, 0.0)
        mixtures = int(remaining * MIXING_SHARE / self.mixture_cost)
        steps = int(remaining * (1.0 - MIXING_SHARE) / self.step_cost)
        enough = mixtures >= self.batch_size and steps > 0
        return TrainingWork(mixtures, steps) if enough else TrainingWork(0, 0)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Validation SNR in dB before and after the adaptation; the work done, and the work planned."""

    snr_before: float
    snr_after: float
    done: TrainingWork
    planned: TrainingWork

    @property
    def gain(self) -> float:
        """Decibels that validation says were gained."""
        return self.snr_after - self.snr_before

    @property
    def complete(self) -> bool:
        """Whether the clock left time for all planned work."""
        return self.done == self.planned


@dataclass(frozen=True, slots=True, eq=False)
class AdaptationResult:
    """The adapted refiner, or None where validation shows no gain; and the report of its training."""

    refiner: Refiner | None
    report: TrainingReport

    def followed_by(self, later: AdaptationResult | None) -> AdaptationResult:
        """This adaptation and one that went on from its refiner, with the same validation, as one."""
        if later is None:
            return self
        first, second = self.report, later.report
        report = TrainingReport(
            first.snr_before, second.snr_after, first.done + second.done, first.planned + second.planned
        )
        return AdaptationResult(later.refiner or self.refiner, report)


@dataclass(frozen=True, slots=True, eq=False)
class _Excerpt:
    """Samples of one speaker for a mixture, and where they lie in that speaker's speech, in seconds."""

    samples: Samples
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class _SpeakerSpeech:
    """The clean speech of one speaker end to end, at ``rate`` Hz, and its exemplars."""

    samples: Samples
    rate: int
    exemplars: Exemplars

    @classmethod
    def from_clips(cls, clips: Sequence[Audio], separator: DictionarySeparator) -> _SpeakerSpeech:
        samples = np.concatenate([clip.samples for clip in clips])
        return cls(samples, separator.rate, separator.exemplars([Audio(samples, separator.rate)]).normalized())

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to make a dictionary of."""
        return len(self.exemplars.magnitudes) == 0

    def excerpt(self, rng: np.random.Generator, *, training: bool) -> _Excerpt:
        """A random excerpt of the part that trains, or of the part that validates."""
        boundary = round(TRAIN_SHARE * len(self.samples))
        offset, part = (0, self.samples[:boundary]) if training else (boundary, self.samples[boundary:])
        length = round(MIXTURE_SECONDS * self.rate)
        start, samples = random_excerpt(part, length, rng)
        first = offset + start
        return _Excerpt(samples, first / self.rate, (first + min(length, len(part))) / self.rate)

    def dictionary_without(self, start: float, end: float) -> Tensor:
        """A dictionary ``(exemplars, context, bins)`` of the speech away from this time; of all speech where nothing is
        left.
        """
        exemplars = self.exemplars.outside(start, end, EXCLUSION_MARGIN)
        return exemplars if len(exemplars) else self.exemplars.magnitudes


class Adaptation:
    """Training of a refiner for one meeting within a budget; ``on_progress`` gets the seconds spent.

    One that ``is_continued`` goes on with a refiner of the same meeting: other mixtures, the same validation.
    """

    def __init__(
        self,
        separator: DictionarySeparator,
        budget: TrainingBudget,
        seed: int,
        on_progress: Callable[[float], None],
        *,
        is_continued: bool = False,
    ) -> None:
        self._separator, self._budget, self._seed, self._on_progress = separator, budget, seed, on_progress
        self._training_stream = 3 if is_continued else 1
        self._started = budget.clock()

    def fit(
        self,
        refiner: Refiner,
        overlap_seconds: Mapping[SpeakerGroup, float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
    ) -> AdaptationResult | None:
        """A copy of ``refiner`` trained on these speakers, the most-overlapped groups most; ``refiner`` is not changed.

        None where the budget is too small, or a member of every group is silent.
        """
        speakers = sorted({speaker for group in overlap_seconds for speaker in group})
        planned = self._budget.plan(len(speakers))
        if planned.steps == 0:
            return None
        speech = {speaker: _SpeakerSpeech.from_clips(enrollment[speaker], self._separator) for speaker in speakers}
        audible = {
            group: seconds
            for group, seconds in overlap_seconds.items()
            if not any(speech[speaker].is_silent for speaker in group)
        }
        if not audible:
            return None
        count = self._budget.validation_mixtures
        validation = list(self._mixtures(audible, speech, count, training=False, until=self._budget.seconds))
        elapsed = self._elapsed()
        until = elapsed + (MIXING_SHARE + SCHEDULE_SLACK) * (self._budget.seconds - elapsed)
        training = list(self._mixtures(audible, speech, planned.mixtures, training=True, until=until))
        state = self._train(refiner, group_by_voices(training), group_by_voices(validation), planned.steps)
        done = TrainingWork(len(training), state.step)
        return AdaptationResult(state.best(), TrainingReport(state.snr_before, state.best_snr, done, planned))

    def _mixtures(
        self,
        overlap_seconds: Mapping[SpeakerGroup, float],
        speech: Mapping[Speaker, _SpeakerSpeech],
        count: int,
        *,
        training: bool,
        until: float,
    ) -> Iterator[MixtureBatch]:
        """Up to ``count`` mixtures of the speech that trains or validates, begun within ``until`` seconds."""
        rng = np.random.default_rng((self._seed, self._training_stream if training else 0))
        for group in weighted_round_robin(overlap_seconds, count):
            if self._elapsed() > until:
                return
            excerpts = [speech[speaker].excerpt(rng, training=training) for speaker in group]
            dictionaries = [
                speech[speaker].dictionary_without(excerpt.start, excerpt.end)
                for speaker, excerpt in zip(group, excerpts, strict=True)
            ]
            voices = at_random_levels(np.stack([excerpt.samples for excerpt in excerpts]), rng)
            yield make_mixture(self._separator, voices.sum(axis=0), voices, dictionaries)
            self._on_progress(self._elapsed())

    def _train(
        self,
        refiner: Refiner,
        training: Sequence[MixtureBatch],
        validation: Sequence[MixtureBatch],
        planned_steps: int,
    ) -> _TrainState:
        """Train up to ``planned_steps``, fewer where the clock says so, and keep the best validated weights."""
        validation_began = self._elapsed()
        snr_before = validate(refiner, validation)
        training_began = self._elapsed()
        # The time of one validation is held back, so that the last one ends within the budget.
        held_back = training_began - validation_began

        state = _TrainState.start(refiner, snr_before)
        schedule = _Schedule(self._budget, planned_steps, training_began)
        sampler = _BatchSampler(training, self._budget.batch_size, np.random.default_rng((self._seed, 2)))
        can_train = bool(training) and bool(validation)
        while can_train and state.step < planned_steps and not self._is_over(held_back):
            learning_rate = schedule.learning_rate(state.step + 1, self._elapsed())
            state.train_step(sampler.draw(), learning_rate)
            self._on_progress(self._elapsed())
            if state.step in schedule.validation_steps or self._is_over(held_back):
                state.keep_if_best(validate(state.average, validation))
        return state

    def _elapsed(self) -> float:
        return self._budget.clock() - self._started

    def _is_over(self, held_back: float) -> bool:
        """Whether at most ``held_back`` seconds of the budget are left."""
        return self._elapsed() + held_back > self._budget.seconds


class _Schedule:
    """Learning rates and validation steps: planned by steps alone, unless the clock runs ahead of them."""

    def __init__(self, budget: TrainingBudget, planned_steps: int, training_began: float) -> None:
        self._budget, self._planned_steps, self._began = budget, planned_steps, training_began
        parts = range(1, budget.validations + 1)
        self.validation_steps = frozenset(round(planned_steps * part / budget.validations) for part in parts)

    def learning_rate(self, step: int, elapsed: float) -> float:
        """The learning rate of a step: linear warm-up, then linear decay to a half. ``elapsed`` are seconds spent."""
        by_steps = step / self._planned_steps
        by_clock = (elapsed - self._began) / max(self._budget.seconds - self._began, 1e-9)
        progress = by_steps
        if by_clock >= by_steps + SCHEDULE_SLACK:
            # Too slow a machine does not come to the last step: the rate decays by the clock instead.
            progress = min(by_clock, 1.0)
        warmup = min(1.0, step / WARMUP_STEPS)
        return self._budget.learning_rate * warmup * (1.0 - 0.5 * progress)


class _BatchSampler:
    """Random batches of mixtures with equally many voices, each mixture as likely as any other."""

    def __init__(self, groups: Sequence[MixtureBatch], batch_size: int, rng: np.random.Generator) -> None:
        self._groups, self._batch_size, self._rng = groups, batch_size, rng
        sizes = np.array([len(group) for group in groups], np.float64)
        self._probabilities = sizes / max(sizes.sum(), 1)

    def draw(self) -> MixtureBatch:
        """Up to ``batch_size`` different mixtures of one group."""
        group = self._groups[int(self._rng.choice(len(self._groups), p=self._probabilities))]
        size = min(self._batch_size, len(group))
        return group.select(self._rng.choice(len(group), size, replace=False).tolist())


@dataclass(slots=True, eq=False)
class _TrainState:
    """The state of a training: the model, the average of its weights, and the best average so far.

    ``best_weights`` are None as long as no average did better than the model before its first step. Steps are computed
    in bfloat16 where that is faster, validations never.
    """

    model: Refiner
    average: Refiner
    optimizer: torch.optim.Optimizer
    snr_before: float
    best_snr: float
    step: int = 0
    best_weights: Mapping[str, Tensor] | None = None

    @classmethod
    def start(cls, refiner: Refiner, snr: float) -> _TrainState:
        """The state before the first step, of a copy of ``refiner`` with this validation SNR in dB."""
        model = copy.deepcopy(refiner)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
        return cls(model, copy.deepcopy(model).eval(), optimizer, snr_before=snr, best_snr=snr)

    def train_step(self, batch: MixtureBatch, learning_rate: float) -> None:
        """One optimizer step and an update of the average; gradients that are not finite leave the model as it is."""
        self.step += 1
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate
        self.optimizer.zero_grad()
        in_bfloat16 = has_fast_bfloat16(next(self.model.parameters()).device.type)
        loss = refiner_loss(self.model.train(), batch, bfloat16=in_bfloat16).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        # The first steps' weights leave the average sooner than its decay says.
        ema_update(self.average, self.model, min(EMA_DECAY, self.step / (self.step + 4)))

    def keep_if_best(self, snr: float) -> None:
        """Keep the average's weights if this validation SNR is the highest so far."""
        if snr > self.best_snr:
            self.best_snr, self.best_weights = snr, copy.deepcopy(self.average.state_dict())

    def best(self) -> Refiner | None:
        """The refiner with the best weights; None where no step gained anything."""
        if self.best_weights is None:
            return None
        self.average.load_state_dict(self.best_weights)
        return self.average


def group_by_voices(batches: Sequence[MixtureBatch]) -> list[MixtureBatch]:
    """The mixtures as one batch per number of voices, fewest first."""
    groups: dict[int, list[MixtureBatch]] = defaultdict(list)
    for batch in batches:
        groups[batch.voices].append(batch)
    return [concatenate(groups[voices]) for voices in sorted(groups)]


@torch.no_grad()
def ema_update(average: Refiner, model: Refiner, decay: float) -> None:
    """Exponential moving average: ``average`` keeps the share ``decay`` of itself and takes the rest from ``model``."""
    for mean, latest in zip(average.parameters(), model.parameters(), strict=True):
        mean.mul_(decay).add_(latest, alpha=1.0 - decay)


@torch.inference_mode()
def validate(refiner: Refiner, batches: Sequence[MixtureBatch]) -> float:
    """Mean SNR in dB over all mixtures; 0 without mixtures."""
    losses = [refiner_loss(refiner, batch) for batch in batches]
    return -float(torch.cat(losses).mean()) if losses else 0.0
