"""Adaptation of the mask refiner to the voices of one meeting, trained on mixtures of its own clean speech.

Four fifths of each speaker's clean speech train first, and the last fifth validates. Unless validation says that much
was lost, the rest of the steps learns from all of the speech. A mixture is estimated by dictionaries of all that its
speakers say elsewhere, never of itself, as for a real overlap.

Few mixtures mislead an exponential moving average of the weights less than the last step's weights. The result lies
between it and the weights that training began with (after Wortsman et al., "Robust fine-tuning of zero-shot models",
2022): what is learned from a minute of a person's speech is less true of what that person says at other times, which
validation on the same minute does not see.
"""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from meetsplit.pipeline.data import Audio, Speaker
from meetsplit.pipeline.models.device import has_fast_bfloat16
from meetsplit.pipeline.separators.adapted_mixtures import SpeakerGroup, SpectralBatch, concatenate
from meetsplit.pipeline.separators.adapted_speech import TRAIN_SHARE, MeetingMixtures, SpeakerSpeech
from meetsplit.pipeline.separators.averaging import moving_average
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import Refiner

VALIDATED_SHARE = 0.5
"""The share of the steps that is validated; the others learn from what has validated, too."""

MIXING_SHARE = 0.5
"""The share of a budget, less its fixed costs, in which mixtures are made; training steps take the rest."""

PAYING_GAIN = 1.0
"""Gain in dB, by the validation of the first part of a budget, from which the rest is spent as well.

On recordings where the first part gained 0.6 to 0.7 dB, the whole budget gained 0.4 to 0.8 (docs/benchmarks.md)."""

MAX_LOSS = 1.5
"""Loss in dB, by validation, from which the result of a training is not used.

A fifth of the speech is too little to tell what a training is worth: of 45 trainings, all gained on other speech, also
the four that lost up to 0.8 dB by validation (docs/benchmarks.md). It tells where a training went wrong."""

EMA_DECAY = 0.98
"""Decay of the exponential moving average of the weights."""

ADAPTED_SHARE = 0.5
"""The share of the way from the weights before the training to their average that the result goes.

Of people of whom 8, 20 or 40 s are known, shares from 0.4 to 0.7 gain equally much (docs/benchmarks.md)."""

SCHEDULE_SLACK = 0.1
"""The share of the budget by which the clock may run ahead of the planned work before it is cut short."""

WARMUP_STEPS = 10
"""Steps over which the learning rate rises."""

MAX_GRADIENT_NORM = 5.0
"""Norm at which gradients are clipped."""


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """How many training mixtures are made, and how many steps are trained with them."""

    mixtures: int
    steps: int

    @property
    def validated(self) -> TrainingWork:
        """The work of which validation is the judge: with the part of the speech that trains."""
        return TrainingWork(round(TRAIN_SHARE * self.mixtures), max(round(VALIDATED_SHARE * self.steps), 1))


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """What fits into ``seconds``, computed from costs and not measured, so that the same budget always trains the same.

    ``first_seconds`` of them are spent in any case, the rest where that gained `PAYING_GAIN`. Costs are seconds of a
    nominal machine, two cores of a 2024 server: ``dictionary_cost`` for the dictionary of one speaker,
    ``mixture_cost`` for one mixture, ``validation_cost`` for validating once on ``validation_mixtures``, which is done
    up to three times, and ``step_cost`` for a step with ``batch_size`` mixtures. ``clock`` tells when the budget is
    over where the machine is slower than that.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    first_seconds: float = math.inf
    dictionary_cost: float = 0.5
    mixture_cost: float = 0.1
    validation_cost: float = 0.25
    step_cost: float = 0.18
    validation_mixtures: int = 12
    batch_size: int = 8
    learning_rate: float = 6e-4

    @property
    def first_part(self) -> TrainingBudget:
        """The budget of the first seconds alone."""
        return replace(self, seconds=min(self.first_seconds, self.seconds))

    def plan(self, speakers: int) -> TrainingWork:
        """The work for so many speakers: at least one batch of mixtures and one step, or none of either."""
        remaining = max(self.seconds - self.cost(speakers, TrainingWork(0, 0)), 0.0)
        mixtures = int(remaining * MIXING_SHARE / self.mixture_cost)
        steps = int(remaining * (1.0 - MIXING_SHARE) / self.step_cost)
        work = TrainingWork(mixtures, steps)
        return work if work.validated.mixtures >= self.batch_size and steps > 0 else TrainingWork(0, 0)

    def cost(self, speakers: int, work: TrainingWork) -> float:
        """Seconds that the work takes on the nominal machine, with the dictionaries and all validations."""
        fixed = speakers * self.dictionary_cost + self.validation_mixtures * self.mixture_cost
        fixed += 3 * self.validation_cost
        return fixed + work.mixtures * self.mixture_cost + work.steps * self.step_cost


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Validation SNR in dB before and after the validated steps; the work done in all, and the work planned."""

    snr_before: float
    snr_after: float
    validated_steps: int
    done: TrainingWork
    planned: TrainingWork

    @property
    def complete(self) -> bool:
        """Whether the clock left time for all planned work."""
        return self.done == self.planned


@dataclass(frozen=True, slots=True, eq=False)
class AdaptationResult:
    """The adapted refiner, or None where validation speaks against it; and the report of its training."""

    refiner: Refiner | None
    report: TrainingReport


class Adaptation:
    """Training of a refiner for one meeting within a budget; ``on_progress`` gets the seconds spent, and the seconds
    that it may take.
    """

    def __init__(
        self,
        separator: DictionarySeparator,
        budget: TrainingBudget,
        seed: int,
        on_progress: Callable[[float, float], None],
    ) -> None:
        self._separator, self._budget, self._seed, self._on_progress = separator, budget, seed, on_progress

    def fit(
        self,
        refiner: Refiner,
        overlap_seconds: Mapping[SpeakerGroup, float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
    ) -> AdaptationResult | None:
        """A copy of ``refiner`` trained on these speakers, the most-overlapped groups most; ``refiner`` is not changed.

        None where the budget is too small, or a member of every group is silent.
        """
        started = self._budget.clock()
        speakers = sorted({speaker for group in overlap_seconds for speaker in group})
        if self._budget.first_part.plan(len(speakers)).steps == 0:
            return None
        speech = {speaker: SpeakerSpeech.from_clips(enrollment[speaker], self._separator) for speaker in speakers}
        audible = {
            group: seconds
            for group, seconds in overlap_seconds.items()
            if not any(speech[speaker].is_silent for speaker in group)
        }
        if not audible:
            return None
        mixtures = MeetingMixtures(self._separator, audible, speech)
        run = _TrainingRun(mixtures, self._budget, self._seed, self._on_progress, started)
        return run.adapted(refiner)


class _TrainingRun:
    """The training of one `Adaptation`: its mixtures so far, and its clock."""

    def __init__(
        self,
        source: MeetingMixtures,
        budget: TrainingBudget,
        seed: int,
        on_progress: Callable[[float, float], None],
        started: float,
    ) -> None:
        self._source, self._budget, self._on_progress, self._started = source, budget, on_progress, started
        streams = [np.random.default_rng((seed, stream)) for stream in range(4)]
        self._validation_rng, self._training_rng, self._batch_rng, self._last_rng = streams
        self._mixtures: list[SpectralBatch] = []

    def adapted(self, refiner: Refiner) -> AdaptationResult:
        """A copy of ``refiner`` after the training, and its report."""
        budget = self._budget.first_part
        count = budget.validation_mixtures
        validation = list(self._made(count, self._validation_rng, budget, until=budget.seconds, training=False))
        snr_before = validate(refiner, validation)
        state = _TrainState.start(refiner)

        planned = budget.plan(self._source.speakers)
        self._train_until(planned.validated, state, budget, self._training_rng, training=True)
        snr_after = validate(state.result(), validation)
        if budget.seconds < self._budget.seconds and snr_after - snr_before >= PAYING_GAIN:
            budget = self._budget
            planned = budget.plan(self._source.speakers)
            self._train_until(planned.validated, state, budget, self._training_rng, training=True)
            snr_after = validate(state.result(), validation)
        validated_steps = state.step
        is_used = snr_before - snr_after < MAX_LOSS
        if is_used:
            self._train_until(planned, state, budget, self._last_rng, training=False)
        else:
            planned = planned.validated
        done = TrainingWork(len(self._mixtures), state.step)
        report = TrainingReport(snr_before, snr_after, validated_steps, done, planned)
        return AdaptationResult(state.result() if is_used else None, report)

    def _train_until(
        self,
        work: TrainingWork,
        state: _TrainState,
        budget: TrainingBudget,
        rng: np.random.Generator,
        *,
        training: bool,
    ) -> None:
        """Train until this work is done in all, with new mixtures of the speech that trains or of what validates."""
        until = self._deadline(TrainingWork(work.mixtures, state.step), budget)
        count = work.mixtures - len(self._mixtures)
        self._mixtures += self._made(count, rng, budget, until=until, training=training)
        self._train(state, work.steps, budget, until=self._deadline(work, budget))

    def _made(
        self, count: int, rng: np.random.Generator, budget: TrainingBudget, *, until: float, training: bool
    ) -> Iterator[SpectralBatch]:
        """Up to ``count`` mixtures of the speech that trains or validates, begun within ``until`` seconds."""
        for mixture in self._source.drawn(count, rng, training=training):
            yield SpectralBatch.from_mixtures(mixture)
            self._on_progress(self._elapsed(), budget.seconds)
            if self._elapsed() > until:
                return

    def _train(self, state: _TrainState, steps: int, budget: TrainingBudget, *, until: float) -> None:
        """Train until so many steps are done in all, fewer where the clock says so."""
        planned = budget.plan(self._source.speakers).steps
        sampler = _BatchSampler(self._mixtures, budget.batch_size, self._batch_rng)
        while self._mixtures and state.step < steps and self._elapsed() <= until:
            progress = (state.step + 1) / planned
            if self._elapsed() > self._deadline(TrainingWork(len(self._mixtures), state.step), budget):
                # Too slow a machine does not come to the last step: the rate decays by the clock instead.
                progress = max(progress, min(self._elapsed() / budget.seconds, 1.0))
            state.train_step(sampler.draw(), budget.learning_rate * (1.0 - 0.5 * progress))
            self._on_progress(self._elapsed(), budget.seconds)

    def _elapsed(self) -> float:
        return self._budget.clock() - self._started

    def _deadline(self, work: TrainingWork, budget: TrainingBudget) -> float:
        """When this work is to be done, with the slack that a slower machine has; the budget's end at the latest."""
        return min(budget.cost(self._source.speakers, work) + SCHEDULE_SLACK * budget.seconds, budget.seconds)


class _BatchSampler:
    """Random batches of mixtures with equally many voices, each mixture as likely as any other."""

    def __init__(self, mixtures: Sequence[SpectralBatch], batch_size: int, rng: np.random.Generator) -> None:
        by_voices: dict[int, list[SpectralBatch]] = defaultdict(list)
        for mixture in mixtures:
            by_voices[mixture.voices].append(mixture)
        self._groups = [by_voices[voices] for voices in sorted(by_voices)]
        self._batch_size, self._rng = batch_size, rng
        self._probabilities = np.array([len(group) for group in self._groups]) / max(len(mixtures), 1)

    def draw(self) -> SpectralBatch:
        """Up to ``batch_size`` different mixtures of one group."""
        group = self._groups[int(self._rng.choice(len(self._groups), p=self._probabilities))]
        chosen = self._rng.choice(len(group), min(self._batch_size, len(group)), replace=False)
        return concatenate([group[int(index)] for index in chosen])


@dataclass(slots=True, eq=False)
class _TrainState:
    """The state of a training: the model, the average of its weights, and the weights before the first step.

    Steps are computed in bfloat16 where that is faster, validations never.
    """

    model: Refiner
    average: AveragedModel
    initial: Refiner
    optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def start(cls, refiner: Refiner) -> _TrainState:
        """The state before the first step, of a copy of ``refiner``; the slopes of its activations stay as they are."""
        model = copy.deepcopy(refiner)
        model.freeze_slopes()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0.0, fused=True)
        return cls(model, moving_average(model, EMA_DECAY), refiner, optimizer)

    @torch.no_grad()
    def result(self) -> Refiner:
        """A refiner with weights between the first ones and their average."""
        result = copy.deepcopy(self.initial)
        for weights, average in zip(result.parameters(), self.average.parameters(), strict=True):
            weights.lerp_(average, ADAPTED_SHARE)
        return result

    def train_step(self, batch: SpectralBatch, learning_rate: float) -> None:
        """One optimizer step and an update of the average; gradients that are not finite leave the model as it is.

        The learning rate is less in the first `WARMUP_STEPS`.
        """
        self.step += 1
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate * min(1.0, self.step / WARMUP_STEPS)
        self.optimizer.zero_grad()
        in_bfloat16 = has_fast_bfloat16(next(self.model.parameters()).device.type)
        loss = batch.loss(self.model.train(), bfloat16=in_bfloat16).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.average.update_parameters(self.model)


@torch.inference_mode()
def validate(refiner: Refiner, mixtures: Sequence[SpectralBatch]) -> float:
    """Mean SNR in dB over all mixtures; 0 without mixtures."""
    losses = [mixture.loss(refiner) for mixture in mixtures]
    return -float(torch.cat(losses).mean()) if losses else 0.0
