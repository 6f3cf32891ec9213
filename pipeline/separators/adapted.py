"""Voices that a small network has learned from this very recording, on top of what dictionaries know of them.

The `dictionary` separator explains a mixture by spectra of its speakers' own clean speech. A refiner (`adapted_net`), trained on
other people's mixtures, corrects that explanation; and before a recording is taken apart, it learns for a while from mixtures of
this recording's own clean speech (`adapted_course`), those first whose voices overlap most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.events import Noticed, Progressed, Started, Tell
from meetsplit.pipeline.separators.adapted_course import ENOUGH, Course, Group, Plan
from meetsplit.pipeline.separators.adapted_net import Refiner, opened, portrait
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.settings import Settings

TRUSTED = 4.0
"""Seconds of clean speech below which a person's dictionary is too poor to be refined."""

STAGE = "learn"
"""What the time before the first overlap is called to listeners."""


@dataclass(frozen=True, slots=True)
class _Masks:
    """The refiner's masks in the dictionary separator's place."""

    refiner: Refiner

    @torch.inference_mode()
    def __call__(self, magnitudes: Tensor, parts: Tensor, dictionaries: Sequence[Tensor]) -> Tensor:
        faces = torch.stack([portrait(dictionary) for dictionary in dictionaries])
        masks: Tensor = self.refiner(magnitudes[None], parts[None], faces[None])[0]
        return masks


class AdaptedSeparator:
    """A `Learner` for any number of known voices; as it comes, a `Separator` with the shipped weights.

    Its voices add up to the mixture but for rounding, keep its phase and its level. `learned` takes at most ``budget`` seconds of
    wall clock for a whole recording, usually less: how much is learned is planned from the budget alone, so that the same
    recording, budget and ``seed`` give the same voices; only where the clock cuts that short they may differ, and it is noticed.
    A mixture with somebody who has less than `TRUSTED` seconds of clean speech is taken apart by the dictionaries alone.
    `separate` raises `Unseparated` where they refuse.
    """

    def __init__(
        self, refiner: Refiner, *, budget: float, seed: int = 0, device: str = "cpu", base: DictionarySeparator | None = None
    ) -> None:
        self.rate: int = 16_000
        self._refiner = refiner.to(device).eval()
        self._budget, self._seed, self._device = budget, seed, device
        self._base = base or DictionarySeparator(seed=seed, device=device)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> AdaptedSeparator:
        """``weights["refiner"]`` is a file that `adapted_net.kept` wrote; ``settings.adapt_budget`` are seconds."""
        return cls(opened(weights["refiner"]), budget=settings.adapt_budget, seed=settings.seed, device=device)

    def separate(self, mixture: Audio, known: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per known speaker; a speaker alone gets the mixture as it is."""
        poor = any(_seconds(clips) < TRUSTED for clips in known.values())
        return self._base.separate(mixture, known, masks=None if poor else _Masks(self._refiner))

    def learned(self, company: Mapping[Group, float], known: Mapping[Speaker, Sequence[Audio]], tell: Tell) -> AdaptedSeparator:
        """The separator that has heard these people, within its budget."""
        for speaker in sorted({speaker for group in company for speaker in group}):
            seconds = _seconds(known[speaker])
            if seconds < ENOUGH:
                how = "by the dictionary alone" if seconds < TRUSTED else "with what is known of voices in general"
                need = f"{ENOUGH:g} s are needed to learn from"
                tell(Noticed(f"{speaker} speaks alone for only {seconds:.1f} s, {need}: overlaps are taken apart {how}", STAGE))
        fit = {group: s for group, s in company.items() if len(group) > 1 and all(_seconds(known[one]) >= ENOUGH for one in group)}
        if not fit or self._budget <= 0.0:
            return self
        tell(Started(STAGE, self._budget))
        course = Course(self._base, Plan(self._budget), self._seed, lambda spent: tell(Progressed(STAGE, spent, self._budget)))
        refiner, result = course.teach(self._refiner, fit, known)
        if result.cut:
            text = f"the budget of {self._budget:g} s is spent after {result.lessons} mixtures and {result.steps} steps of those planned"
            tell(Noticed(f"{text}: this machine is slow or busy, another run may give slightly other voices", STAGE))
        return AdaptedSeparator(refiner, budget=self._budget, seed=self._seed, device=self._device, base=self._base)


def _seconds(clips: Sequence[Audio]) -> float:
    return sum(clip.duration for clip in clips)
