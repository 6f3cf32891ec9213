"""Voices as dictionaries explain them, corrected by a network that learns the meeting.

The `dictionary` separator explains a mixture by spectra of its speakers' own clean speech. A refiner (`adapted_refiner`), trained on
other people's mixtures, corrects that explanation; its weights come with the package. Before a recording is taken apart, the refiner
is taught its people (`adapted_course`): what their dictionaries get wrong in mixtures of their own clean speech, those groups most whose
voices overlap most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.events import EventListener, Finished, Notice, Progressed, Started
from meetsplit.pipeline.separators.adapted_mixtures import Group
from meetsplit.pipeline.separators.adapted_training import Course, Plan
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.separators.mask_refiner import Refiner, face, opened
from meetsplit.pipeline.settings import Settings

TRUSTED = 4.0
"""Seconds of clean speech below which a person's dictionary is too poor to be refined."""

ENOUGH = 8.0
"""Seconds of clean speech that a person must have to teach and to examine."""

WORTH = 4.0
"""Seconds of learning, at most, for a second that is to be taken apart: a call with one interruption is not kept waiting."""

STAGE = "learn"
"""What the time before the first overlap is called to listeners."""


class AdaptedSeparator:
    """A `Adaptable` for any number of known voices; as it comes, a `Separator` with the shipped weights.

    Its voices add up to the mixture but for rounding, keep its phase and its level. `adapt` takes at most ``plan.budget`` seconds
    of wall clock for a whole recording, and at most `WORTH` for each second that is to be taken apart. How much is learned is
    planned from that alone, so that the same recording, budget and ``seed`` give the same voices; where the clock runs ahead of the
    plan they may differ, and it is noticed where that cuts the learning short.
    A mixture with somebody who has less than `TRUSTED` seconds of clean speech is taken apart by the dictionaries alone.
    `separate` raises `Unseparated` where they refuse.
    """

    def __init__(
        self,
        refiner: Refiner,
        *,
        plan: Plan,
        seed: int = 0,
        base: DictionarySeparator | None = None,
        taught: tuple[Refiner, frozenset[Speaker]] | None = None,
    ) -> None:
        self.rate: int = 16_000
        self._refiner = refiner.eval()
        self._plan, self._seed = plan, seed
        self._base = base or DictionarySeparator(seed=seed)
        self._taught = taught

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> AdaptedSeparator:
        """``weights["refiner"]`` is a file that `adapted_refiner.kept` wrote; ``settings.adapt_budget`` are seconds."""
        base = DictionarySeparator(seed=settings.seed, device=device)
        return cls(
            opened(weights["refiner"]).to(device), plan=Plan(settings.adapt_budget), seed=settings.seed, base=base
        )

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per known speaker; a speaker alone gets the mixture as it is."""
        poor = any(_seconds(clips) < TRUSTED for clips in enrollment.values())
        return self._base.separate(
            mixture, enrollment, masks=None if poor else partial(self._masks, frozenset(enrollment))
        )

    def adapt(
        self,
        overlap_seconds: Mapping[Group, float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
    ) -> AdaptedSeparator:
        """The separator that has heard these people, within its budget."""
        for speaker in sorted({speaker for group in overlap_seconds for speaker in group}):
            seconds = _seconds(enrollment[speaker])
            if seconds < ENOUGH:
                how = "by the dictionary alone" if seconds < TRUSTED else "without learning this voice further"
                need = f"{ENOUGH:g} s are needed to learn from"
                on_event(
                    Notice(
                        f"{speaker} speaks alone for only {seconds:.1f} s, {need}: overlaps are taken apart {how}",
                        STAGE,
                    )
                )
        fit = {
            group: s
            for group, s in overlap_seconds.items()
            if len(group) > 1 and all(_seconds(enrollment[one]) >= ENOUGH for one in group)
        }
        if not fit or self._plan.budget <= 0.0:
            return self
        budget = min(self._plan.budget, WORTH * sum(fit.values()))
        plan, began = replace(self._plan, budget=budget), self._plan.clock()
        on_event(Started(STAGE, budget))
        course = Course(
            self._base, plan, self._seed, lambda spent: on_event(Progressed(STAGE, min(spent, budget), budget))
        )
        refiner, report = course.teach(self._refiner, fit, enrollment)
        if report is not None and not report.whole:
            made = f"{report.mixtures} of {report.planned[0]} mixtures and {report.steps} of {report.planned[1]} steps"
            text = f"the budget of {budget:g} s was over after {made}"
            on_event(
                Notice(f"{text}: this machine is slow or busy, and another run may give slightly other voices", STAGE)
            )
        gained = (
            ""
            if report is None
            else f"{report.before:.1f} → {report.after:.1f} dB on held-out speech in {report.steps} steps"
        )
        on_event(Finished(STAGE, self._plan.clock() - began, gained))
        taught = None if refiner is None else (refiner, frozenset(speaker for group in fit for speaker in group))
        return AdaptedSeparator(self._refiner, plan=self._plan, seed=self._seed, base=self._base, taught=taught)

    @torch.inference_mode()
    def _masks(
        self, group: frozenset[Speaker], magnitudes: Tensor, parts: Tensor, dictionaries: Sequence[Tensor]
    ) -> Tensor:
        refiner = self._refiner if self._taught is None or not group <= self._taught[1] else self._taught[0]
        faces = torch.stack([face(dictionary) for dictionary in dictionaries])
        masks: Tensor = refiner(magnitudes[None], parts[None], faces[None])[0]
        return masks


def _seconds(clips: Sequence[Audio]) -> float:
    return sum(clip.duration for clip in clips)
