"""The separator `adapted`: dictionary masks, corrected by a network that is adapted to the speakers of the meeting.

The `dictionary` separator estimates the voices of a mixture by spectra of its speakers' own clean speech. A refiner
(`mask_refiner`), trained on mixtures of other people, corrects its masks; its weights come with the package. Before the
first overlap of a recording, the refiner is adapted (`adapted_training`) on mixtures of the meeting's own clean speech,
those groups most whose voices overlap most.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.events import EventListener, Finished, Notice, Progressed, Started
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted_mixtures import SpeakerGroup
from meetsplit.pipeline.separators.adapted_training import (
    Adaptation,
    AdaptationResult,
    TrainingBudget,
    TrainingReport,
)
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import Refiner, speaker_profile
from meetsplit.pipeline.settings import Settings

MIN_REFINE_SECONDS = 4.0
"""Seconds of clean speech below which a speaker's dictionary is too poor for its masks to be refined."""

MIN_ADAPT_SECONDS = 8.0
"""Seconds of clean speech that a speaker needs for training and validation."""

ADAPT_SECONDS_PER_OVERLAP = 4.0
"""Seconds of adaptation, at most, for a second to be separated: a call with one interruption does not wait for long."""

ADAPT_SHARE = 0.25
"""Share of the recording's length that the adaptation takes, unless its validation says that more of it pays."""

MASK_POWER = 1.3
"""Power of the refiner's masks, as of the dictionaries' (`NmfOptions`).

The refiner learns masks that come nearest to the truth. To a power between 1 and 1.5 they come as near but for 0.1 dB,
and more of a voice and less of the others is in its track (docs/benchmarks.md).
"""

STAGE = "learn"
"""Name of the adaptation in events."""


@dataclass(frozen=True, slots=True, eq=False)
class _AdaptedRefiner:
    """A refiner and the speakers that it was adapted to."""

    refiner: Refiner
    speakers: frozenset[Speaker]


class AdaptedSeparator:
    """A `Separator` for any number of voices with the shipped weights, and an `Adaptable`.

    Its voices add up to the mixture but for rounding, keep its phase and its level. `adapt` takes at most
    ``budget.seconds`` of wall clock for a whole recording, at most `ADAPT_SECONDS_PER_OVERLAP` for each second to be
    separated, and at most `ADAPT_SHARE` of the recording's length, unless validation says that this part gained
    `PAYING_GAIN`: then it goes on. How much is trained is planned from that alone, so that the same recording, budget
    and ``seed`` give the same voices; where the clock runs ahead of the plan they may differ, and a notice says so
    where that cuts the training short.

    ``mask_power`` is that of the refiner's masks, see `MASK_POWER`. A mixture with a speaker who has less than
    `MIN_REFINE_SECONDS` of clean speech is separated by the dictionaries alone. `separate` raises `Unseparated` where
    they refuse.
    """

    def __init__(
        self,
        refiner: Refiner,
        *,
        budget: TrainingBudget,
        seed: int = 0,
        base: DictionarySeparator | None = None,
    ) -> None:
        self.rate: int = 16_000
        self.mask_power = MASK_POWER
        self._refiner = refiner.eval()
        self._budget, self._seed = budget, seed
        self._base = base or DictionarySeparator(seed=seed)
        self._adapted: _AdaptedRefiner | None = None

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> AdaptedSeparator:
        """``weights["refiner"]`` is a file that `mask_refiner.save` wrote; ``settings.adapt_budget`` are seconds."""
        refiner = mask_refiner.load(weights["refiner"]).to(device)
        base = DictionarySeparator(seed=settings.seed, device=device)
        return cls(refiner, budget=TrainingBudget(settings.adapt_budget), seed=settings.seed, base=base)

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per enrolled speaker; a speaker alone gets the mixture as it is."""
        refined = partial(self._refined_masks, frozenset(enrollment))
        too_short = any(_seconds(clips) < MIN_REFINE_SECONDS for clips in enrollment.values())
        return self._base.separate(mixture, enrollment, mask_function=None if too_short else refined)

    def adapt(
        self,
        overlap_seconds: Mapping[SpeakerGroup, float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
        *,
        recording_seconds: float = math.inf,
    ) -> AdaptedSeparator:
        """The separator adapted to these speakers within its budget; itself where there is nothing to train on."""
        for speaker in sorted({speaker for group in overlap_seconds for speaker in group}):
            _notice_short_enrollment(speaker, _seconds(enrollment[speaker]), on_event)
        trainable = {
            group: seconds
            for group, seconds in overlap_seconds.items()
            if len(group) > 1 and all(_seconds(enrollment[speaker]) >= MIN_ADAPT_SECONDS for speaker in group)
        }
        if not trainable or self._budget.seconds <= 0.0:
            return self
        seconds = min(self._budget.seconds, ADAPT_SECONDS_PER_OVERLAP * sum(trainable.values()))
        budget = replace(self._budget, seconds=seconds, first_seconds=ADAPT_SHARE * recording_seconds)
        progress = _ProgressEvents(on_event, budget.first_part.seconds)
        began = budget.clock()
        result = Adaptation(self._base.quicker(), budget, self._seed, progress).fit(
            self._refiner, trainable, enrollment
        )
        gain = ""
        adapted = None
        if result is not None:
            _notice_cut_short(result.report, progress.total, on_event)
            gain = _gain(result)
            if result.refiner is not None:
                speakers = frozenset(speaker for group in trainable for speaker in group)
                adapted = _AdaptedRefiner(result.refiner, speakers)
        on_event(Finished(STAGE, budget.clock() - began, gain))
        other = copy.copy(self)
        other._adapted = adapted
        return other

    @torch.inference_mode()
    def _refined_masks(
        self, group: frozenset[Speaker], magnitudes: Tensor, estimates: Tensor, dictionaries: Sequence[Tensor]
    ) -> Tensor:
        """A `MaskFunction` for a group of speakers: the adapted refiner's where it knows all of them."""
        refiner = self._refiner
        if self._adapted is not None and group <= self._adapted.speakers:
            refiner = self._adapted.refiner
        profiles = torch.stack([speaker_profile(dictionary) for dictionary in dictionaries])
        masks: Tensor = refiner(magnitudes[None], estimates[None], profiles[None])[0].pow(self.mask_power)
        return masks / masks.sum(dim=0)


class _ProgressEvents:
    """Events of the adaptation from its progress; it starts again where more seconds than the first ones are spent."""

    def __init__(self, on_event: EventListener, total: float) -> None:
        self._on_event, self.total = on_event, total
        on_event(Started(STAGE, total))

    def __call__(self, elapsed: float, total: float) -> None:
        if total != self.total:
            self.total = total
            self._on_event(Started(STAGE, total))
        self._on_event(Progressed(STAGE, min(elapsed, total), total))


def _seconds(clips: Sequence[Audio]) -> float:
    return sum(clip.duration for clip in clips)


def _notice_short_enrollment(speaker: Speaker, seconds: float, on_event: EventListener) -> None:
    """Tell that a speaker has too little clean speech to be adapted to."""
    if seconds >= MIN_ADAPT_SECONDS:
        return
    alone = seconds < MIN_REFINE_SECONDS
    how = "by the dictionary alone" if alone else "without learning this voice further"
    need = f"{MIN_ADAPT_SECONDS:g} s are needed to learn from"
    text = f"{speaker} speaks alone for only {seconds:.1f} s, {need}: overlaps are taken apart {how}"
    on_event(Notice(text, STAGE))


def _notice_cut_short(report: TrainingReport, seconds: float, on_event: EventListener) -> None:
    """Tell that the budget was over before the planned work was done."""
    if report.complete:
        return
    done, planned = report.done, report.planned
    work = f"{done.mixtures} of {planned.mixtures} mixtures and {done.steps} of {planned.steps} steps"
    text = f"the budget of {seconds:g} s was over after {work}"
    on_event(Notice(f"{text}: this machine is slow or busy, and another run may give slightly other voices", STAGE))


def _gain(result: AdaptationResult) -> str:
    """What was gained, for the event that ends the stage."""
    report = result.report
    change = f"{report.snr_before:.1f} → {report.snr_after:.1f} dB"
    unused = ": not used" if result.refiner is None else ""
    steps = f"after {report.validated_steps} of {report.done.steps} steps"
    return f"{change} on held-out speech {steps}{unused}"
