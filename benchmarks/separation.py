"""How well are two known voices taken apart? SI-SDR gains of separators on mixtures of real voices.

    python -m meetsplit.benchmarks.separation --data DIR [--sexes speakers.csv] [--enrol 20 40 80] [--each 3] [--pairs N] [--budgets 0 30]

``DIR`` holds one folder per speaker with sound files anywhere below (LibriSpeech's own layout does). For every pair of speakers
(or ``--pairs`` of them, evenly), ``--each`` mixtures of 2–6 s are made at 0 or ±3 dB from one utterance each; the separator knows
each speaker by *other* utterances, so nothing of a mixture leaks into what is learned. ``adapted`` learns each pair anew, as much as it
plans for each of the ``--budgets``, however long that takes here. At the middle one of ``--enrol``, ``--combinations`` adds what is
learned from untrained weights and the mean of two separators' voices, ``--sepformer`` a SepFormer, whose voices come in the order that
fits the truth best. The CSV has the columns ``speaker`` and ``sex``. Prints a table.
"""

from __future__ import annotations

import csv
import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from meetsplit.benchmarks import report_page
from meetsplit.benchmarks.pairs import RATE, Case, cases, some, voices
from meetsplit.pipeline.data import Audio, Samples, Speaker, Voice
from meetsplit.pipeline.events import EventListener, ignore_events
from meetsplit.pipeline.protocols import Adaptable, BlindSeparator, Separator, Unseparated
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted import AdaptedSeparator
from meetsplit.pipeline.separators.adapted_training import TrainingBudget
from meetsplit.pipeline.separators.dictionary import DictionarySeparator, NmfOptions
from meetsplit.pipeline.separators.mask_refiner import Refiner
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.separation import si_sdr

MUCH = 3600.0
"""Seconds of overlap that a separator that learns is told of: so that its budget alone bounds the learning."""

REFINER = Path(__file__).parents[1] / "pipeline" / "separators" / "weights" / "refiner.safetensors"


@dataclass(frozen=True, slots=True)
class Row:
    """Gains in dB, two per mixture; CPU seconds of learning per pair and of taking apart per mixture; mixtures not taken apart."""

    name: str
    gains: tuple[float, ...]
    same_sex: tuple[bool, ...]
    learning: float
    seconds: float
    refused: int

    def cells(self) -> str:
        """The row as markdown."""
        gains, same = np.array(self.gains), np.array(self.same_sex)
        cost = f"{self.learning:.1f} | {self.seconds:.2f} | {self.refused} |"
        if not len(gains):
            return f"| {self.name} | – | – | – | – | – | – | {cost}"
        alike = f"{gains[same].mean():.1f}" if same.any() else "–"
        unlike = f"{gains[~same].mean():.1f}" if not same.all() else "–"
        spread = " | ".join(
            f"{value:.1f}" for value in (gains.mean(), np.median(gains), np.percentile(gains, 10), gains.min())
        )
        return f"| {self.name} | {spread} | {alike} | {unlike} | {cost}"


HEAD = """| separator, enrolment | mean | median | p10 | worst | same sex | other sex | CPU s per pair, learning | per mixture | refused |
|---|---|---|---|---|---|---|---|---|---|"""


def taken(separator: Separator | BlindSeparator, case: Case) -> Sequence[Samples]:
    """The voices that the separator finds, in the order of the truth. Raises `Unseparated`."""
    if not isinstance(separator, BlindSeparator):
        return [voice.audio.samples for voice in separator.separate(case.mixture, case.enrollment).values()]
    found = [voice.samples for voice in separator.split(case.mixture, len(case.truth))]
    orders = itertools.permutations(found)
    return max(
        orders, key=lambda order: sum(si_sdr(voice, truth) for voice, truth in zip(order, case.truth, strict=True))
    )


def measured(name: str, separator: Separator | BlindSeparator, given: Sequence[Case]) -> Row:
    """The separator's gains over the given cases; one that learns, learns each pair."""
    gains: list[float] = []
    same: list[bool] = []
    refused, learning, taking = 0, 0.0, 0.0
    pairs = [list(alike) for _, alike in itertools.groupby(given, lambda case: tuple(case.enrollment))]
    for alike in pairs:
        began = time.process_time()
        overlap_seconds = {tuple(alike[0].enrollment): MUCH}
        able = (
            separator.adapt(overlap_seconds, alike[0].enrollment, ignore_events)
            if isinstance(separator, Adaptable)
            else separator
        )
        learning += time.process_time() - began
        for case in alike:
            began = time.process_time()
            try:
                found = taken(able, case)
            except Unseparated:
                refused += 1
                continue
            finally:
                taking += time.process_time() - began
            for voice, truth in zip(found, case.truth, strict=True):
                gains.append(si_sdr(voice, truth) - si_sdr(case.mixture.samples, truth))
                same.append(case.same_sex)
    return Row(name, tuple(gains), tuple(same), learning / max(len(pairs), 1), taking / max(len(given), 1), refused)


def still() -> float:
    """A clock by which no time passes: all that a budget plans for is learned, on a slow or busy machine, too."""
    return 0.0


def sepformer(folder: Path) -> BlindSeparator:
    """A SepFormer that was trained with `meetsplit.training.separation`, or a public one."""
    from meetsplit.pipeline.separators.sepformer import SepformerSeparator

    return SepformerSeparator.load(Settings(), {"separator": folder}, "cpu")


def adapted(refiner: Path | None, budget: float) -> AdaptedSeparator:
    """The separator that learns for ``budget`` seconds, from the weights in a file or from nothing."""
    torch.manual_seed(0)
    return AdaptedSeparator(
        Refiner() if refiner is None else mask_refiner.load(refiner), budget=TrainingBudget(budget, still)
    )


@dataclass(slots=True, eq=False)
class Mean:
    """Half of what each of two separators says: a `Adaptable`."""

    first: DictionarySeparator
    second: AdaptedSeparator
    rate: int = RATE

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
    ) -> Mean:
        """The second learns."""
        return Mean(self.first, self.second.adapt(overlap_seconds, enrollment, on_event))

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The mean of both voices of each speaker."""
        first, second = (one.separate(mixture, enrollment) for one in (self.first, self.second))
        half = np.float32(0.5)
        return {
            name: Voice(mixture.replaced(half * (first[name].audio.samples + second[name].audio.samples)))
            for name in enrollment
        }


def recipes() -> Mapping[str, Callable[[], Separator]]:
    """What the dictionary's defaults were chosen among."""
    plain = NmfOptions()
    varied = {
        "dictionary": plain,
        "no warped copies": NmfOptions(speeds=(1.0,)),
        "more warped copies": NmfOptions(speeds=(0.9, 0.95, 1.0, 1.05, 1.1), exemplars=2 * plain.exemplars),
        "half the exemplars": NmfOptions(exemplars=plain.exemplars // 2),
        "twice the exemplars": NmfOptions(exemplars=2 * plain.exemplars),
        "power 2": NmfOptions(mask_power=2.0),
        "power 1": NmfOptions(mask_power=1.0),
        "half the updates": NmfOptions(updates=plain.updates // 2),
        "twice the updates": NmfOptions(updates=2 * plain.updates),
        "plain updates": NmfOptions(relaxation=1.0),
        "no exemplars dropped": NmfOptions(prune_to=1.0),
        "all frames": NmfOptions(min_loudness=0.0),
        "loudest quarter": NmfOptions(min_loudness=0.75),
    }
    return {name: partial(DictionarySeparator, options=recipe) for name, recipe in varied.items()}


def main() -> None:
    """Print the table."""
    asked = report_page.options(__doc__)
    asked.add_argument("--data", type=Path, required=True, help="one folder per speaker")
    asked.add_argument("--sexes", type=Path, help="CSV with the columns speaker, sex")
    asked.add_argument(
        "--enrol", type=float, nargs="+", default=[20.0, 40.0, 80.0], help="seconds of clean speech per speaker"
    )
    asked.add_argument("--each", type=int, default=3, help="mixtures per pair of speakers")
    asked.add_argument("--pairs", type=int, help="so many pairs of speakers; all if left out")
    asked.add_argument(
        "--budgets",
        type=float,
        nargs="*",
        default=[0.0, 15.0, 30.0, 60.0],
        help="seconds that `adapted` may learn a pair",
    )
    asked.add_argument(
        "--combinations", type=float, metavar="BUDGET", help="also combinations that learn so many seconds"
    )
    asked.add_argument("--sepformer", type=Path, help="folder of a SepFormer for two voices")
    asked.add_argument("--refiner", type=Path, default=REFINER, help="other weights than the shipped ones")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--sweep", action="store_true", help="the dictionary alone, with other recipes than the default")
    options = asked.parse_args()
    sexes: dict[str, str] = {}
    if options.sexes is not None:
        with options.sexes.open(newline="", encoding="utf-8") as file:
            sexes = {row["speaker"]: row["sex"] for row in csv.DictReader(file)}
    compared: dict[str, Callable[[], Separator | BlindSeparator]] = {"dictionary": DictionarySeparator}
    if options.sweep:
        compared |= recipes()
    else:
        compared |= {f"adapted {budget:g} s": partial(adapted, options.refiner, budget) for budget in options.budgets}
    once: dict[str, Callable[[], Separator | BlindSeparator]] = {}
    if options.combinations is not None:
        budget = options.combinations
        once[f"from untrained weights, {budget:g} s"] = partial(adapted, None, budget)
        once[f"mean of dictionary and adapted {budget:g} s"] = lambda: Mean(
            DictionarySeparator(), adapted(options.refiner, budget)
        )
    if options.sepformer is not None:
        once["our SepFormer"] = partial(sepformer, options.sepformer)
    utterances = voices(options.data)
    lines = [HEAD]
    for enrol in options.enrol:
        given = list(cases(utterances, sexes, enrol=enrol, each=options.each, seed=options.seed))
        given = list(some(given, options.pairs))
        heard = np.mean([sum(clip.duration for clip in clips) for case in given for clips in case.enrollment.values()])
        middle = enrol == options.enrol[len(options.enrol) // 2]
        for name, make in (compared | once if middle else compared).items():
            lines.append(measured(f"{name}, {enrol:g} s (had {heard:.0f})", make(), given).cells())
            print(lines[-1], file=sys.stderr, flush=True)
    report_page.publish("separation", "\n".join(lines), report_page.command("separation"), into_page=options.write)


if __name__ == "__main__":
    main()
