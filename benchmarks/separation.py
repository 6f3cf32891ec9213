"""Benchmark of separators: SI-SDR gains on mixtures of two real voices.

    python -m meetsplit.benchmarks.separation --data DIR [--sexes speakers.csv] [--enrol 20 40 80] [--each 3]
        [--pairs N] [--spare 5] [--budgets 0 30] [--lengths 0.5 1 2 4]

``DIR`` holds one folder per speaker with sound files anywhere below (LibriSpeech's own layout does). For every pair
of speakers (or ``--pairs`` of them, evenly), ``--each`` mixtures of 2–6 s are made at 0 or ±3 dB from one utterance
each; each speaker is enrolled with *other* utterances, so nothing of a mixture leaks into the training. ``--spare``
are mixtures more of every pair, of utterances that nobody is enrolled with: what is learned of a pair is judged by
more than one utterance of each. ``adapted`` is trained on each pair anew, as much as it plans for each of the
``--budgets``, however long that takes here. At the middle one of ``--enrol``, ``--combinations`` adds training from
untrained weights and the mean of two separators' voices, ``--sepformer`` a SepFormer, whose voices are taken in the
order that fits the truth best. With ``--lengths``, mixtures are so many seconds long instead, and the table has a
column for each length. The CSV has the columns ``speaker`` and ``sex``. Prints a table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from meetsplit.benchmarks import report_page
from meetsplit.benchmarks.pairs import (
    RATE,
    TwoSpeakerMixture,
    make_mixtures,
    read_speakers,
    spare_mixtures,
    subset_of_pairs,
)
from meetsplit.pipeline.data import Audio, Samples, Speaker, Voice
from meetsplit.pipeline.events import EventListener, ignore_events
from meetsplit.pipeline.protocols import Adaptable, BlindSeparator, Separator, Unseparated
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted import AdaptedSeparator
from meetsplit.pipeline.separators.adapted_training import TrainingBudget
from meetsplit.pipeline.separators.dictionary import FRAME, DictionarySeparator, NmfOptions
from meetsplit.pipeline.separators.mask_refiner import Refiner
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.separation import si_sdr

AnySeparator = Separator | BlindSeparator

OVERLAP_SECONDS = 3600.0
"""Seconds of overlap announced to an adaptable separator: so many that its budget alone bounds the training."""

REFINER = Path(__file__).parents[1] / "pipeline" / "separators" / "weights" / "refiner.safetensors"


@dataclass(slots=True)
class SeparationResult:
    """Results of one separator: a gain per voice in dB, CPU seconds in all, and mixtures that were not separated."""

    name: str
    gains: list[float] = field(default_factory=list)
    same_sex: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    pairs: int = 0
    mixtures: int = 0
    training_seconds: float = 0.0
    separation_seconds: float = 0.0
    refused: int = 0

    def row(self) -> str:
        """The row of the table in markdown."""
        per_pair = self.training_seconds / max(self.pairs, 1)
        per_mixture = self.separation_seconds / max(self.mixtures, 1)
        cost = f"{per_pair:.1f} | {per_mixture:.2f} | {self.refused} |"
        if not self.gains:
            return f"| {self.name} | – | – | – | – | – | – | {cost}"
        gains, same_sex = np.array(self.gains), np.array(self.same_sex)
        same = f"{gains[same_sex].mean():.1f}" if same_sex.any() else "–"
        other = f"{gains[~same_sex].mean():.1f}" if not same_sex.all() else "–"
        statistics = (gains.mean(), np.median(gains), np.percentile(gains, 10), gains.min())
        columns = " | ".join(f"{value:.1f}" for value in statistics)
        return f"| {self.name} | {columns} | {same} | {other} | {cost}"

    def row_by_length(self, lengths: Sequence[float]) -> str:
        """The row of the table by length in markdown: mean (10th percentile) of each length, of all, of one sex."""
        gains, seconds = np.array(self.gains), np.array(self.seconds)
        nearest = np.abs(seconds[:, None] - np.array(lengths)).argmin(axis=1)
        of_lengths = [_mean_and_tenth(gains[nearest == number]) for number in range(len(lengths))]
        same_sex = np.array(self.same_sex, np.bool_)
        per_second = self.separation_seconds / max(self.mixtures * float(seconds.mean()), 1e-9)
        cells = [*of_lengths, _mean_and_tenth(gains), _mean_and_tenth(gains[same_sex])]
        cells += [f"{self.training_seconds / max(self.pairs, 1):.0f}", f"{per_second:.2f}"]
        return f"| {self.name} | {' | '.join(cells)} |"


def _mean_and_tenth(gains: np.ndarray) -> str:
    """Mean and 10th percentile of gains in dB."""
    return f"{gains.mean():.1f} ({np.percentile(gains, 10):.1f})" if len(gains) else "–"


HEAD = (
    "| separator, enrolment | mean | median | p10 | worst | same sex | other sex | "
    "CPU s per pair, learning | per mixture | refused |\n|---|---|---|---|---|---|---|---|---|---|"
)


def head_by_length(lengths: Sequence[float]) -> str:
    """The head of the table by length."""
    columns = ["separator, enrolment", *(f"{length:g} s" for length in lengths), "all", "same sex"]
    columns += ["CPU s per pair, learning", "CPU s per second"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def separate_in_true_order(separator: AnySeparator, mixture: TwoSpeakerMixture) -> Sequence[Samples]:
    """The estimates in the order of the true voices; anonymous ones in the best order. Raises `Unseparated`."""
    if not isinstance(separator, BlindSeparator):
        voices = separator.separate(mixture.mixture, mixture.enrollment).values()
        return [voice.audio.samples for voice in voices]
    anonymous = [voice.samples for voice in separator.split(mixture.mixture, len(mixture.voices))]

    def total_si_sdr(order: Sequence[Samples]) -> float:
        return sum(si_sdr(estimate, voice) for estimate, voice in zip(order, mixture.voices, strict=True))

    return max(itertools.permutations(anonymous), key=total_si_sdr)


def measure(name: str, separator: AnySeparator, mixtures: Sequence[TwoSpeakerMixture]) -> SeparationResult:
    """The separator's result on the mixtures; an `Adaptable` one is adapted to each pair of speakers."""
    result = SeparationResult(name, mixtures=len(mixtures))
    for _, group in itertools.groupby(mixtures, lambda mixture: mixture.speakers):
        of_pair = list(group)
        result.pairs += 1
        started = time.process_time()
        adapted_separator = _adapt(separator, of_pair[0])
        result.training_seconds += time.process_time() - started
        for mixture in of_pair:
            _measure_mixture(adapted_separator, mixture, result)
    return result


def _adapt(separator: AnySeparator, mixture: TwoSpeakerMixture) -> AnySeparator:
    if not isinstance(separator, Adaptable):
        return separator
    return separator.adapt({mixture.speakers: OVERLAP_SECONDS}, mixture.enrollment, ignore_events)


def _measure_mixture(separator: AnySeparator, mixture: TwoSpeakerMixture, result: SeparationResult) -> None:
    """Add the gains of one mixture to the result."""
    started = time.process_time()
    try:
        estimates = separate_in_true_order(separator, mixture)
    except Unseparated:
        result.refused += 1
        return
    finally:
        result.separation_seconds += time.process_time() - started
    for estimate, voice in zip(estimates, mixture.voices, strict=True):
        result.gains.append(si_sdr(estimate, voice) - si_sdr(mixture.mixture.samples, voice))
        result.same_sex.append(mixture.same_sex)
        result.seconds.append(mixture.mixture.duration)


def frozen_clock() -> float:
    """A clock that stands still: all planned training steps are done, on a slow or busy machine, too."""
    return 0.0


def sepformer(folder: Path) -> BlindSeparator:
    """A SepFormer that was trained with `meetsplit.training.separation`, or a public one."""
    from meetsplit.pipeline.separators.sepformer import SepformerSeparator

    return SepformerSeparator.load(Settings(), {"separator": folder}, "cpu")


def adapted(refiner: Path | None, budget: float) -> AdaptedSeparator:
    """The `adapted` separator with a budget of seconds, from the weights in a file or from untrained ones."""
    torch.manual_seed(0)
    model = Refiner() if refiner is None else mask_refiner.load(refiner)
    return AdaptedSeparator(model, budget=TrainingBudget(budget, frozen_clock))


@dataclass(slots=True, eq=False)
class MeanSeparator:
    """The mean of two separators' voices: an `Adaptable`, of which the second one is adapted."""

    first: DictionarySeparator
    second: AdaptedSeparator
    rate: int = RATE

    def adapt(
        self,
        overlap_seconds: Mapping[tuple[Speaker, ...], float],
        enrollment: Mapping[Speaker, Sequence[Audio]],
        on_event: EventListener,
        *,
        recording_seconds: float = math.inf,
    ) -> MeanSeparator:
        """The separator with its second part adapted."""
        adapted = self.second.adapt(overlap_seconds, enrollment, on_event, recording_seconds=recording_seconds)
        return MeanSeparator(self.first, adapted)

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The mean of both voices of each speaker."""
        first = self.first.separate(mixture, enrollment)
        second = self.second.separate(mixture, enrollment)
        half = np.float32(0.5)
        return {
            speaker: Voice(mixture.replaced(half * (first[speaker].audio.samples + second[speaker].audio.samples)))
            for speaker in enrollment
        }


def dictionary_variants() -> Mapping[str, Callable[[], Separator]]:
    """The dictionary separator with the options among which its defaults were chosen."""
    default = NmfOptions()
    variants = {
        "dictionary": default,
        "no warped copies": NmfOptions(speeds=(1.0,)),
        "fewer warped copies": NmfOptions(speeds=(0.95, 1.0, 1.05)),
        "all speeds alike": NmfOptions(nearest_first=False),
        "half the exemplars": NmfOptions(exemplars=default.exemplars // 2),
        "twice the exemplars": NmfOptions(exemplars=2 * default.exemplars),
        "power 2": NmfOptions(mask_power=2.0),
        "power 1": NmfOptions(mask_power=1.0),
        "half the updates": NmfOptions(updates=default.updates // 2),
        "twice the updates": NmfOptions(updates=2 * default.updates),
        "plain updates": NmfOptions(over_relaxed=False),
        "no exemplars dropped": NmfOptions(pruning=()),
        "single frames": NmfOptions(context=(0,)),
        "five frames": NmfOptions(context=(-4, -2, 0, 2, 4)),
        "every bin": NmfOptions(single_bins=FRAME // 2 + 1),
        "single frames, fewer warped copies, 25 updates, half dropped after 4": NmfOptions(
            speeds=(0.95, 1.0, 1.05),
            nearest_first=False,
            context=(0,),
            updates=25,
            pruning=((4, 0.5),),
            single_bins=FRAME // 2 + 1,
        ),
        "all frames": NmfOptions(min_loudness=0.0),
        "loudest quarter": NmfOptions(min_loudness=0.75),
    }
    return {name: partial(DictionarySeparator, options=options) for name, options in variants.items()}


def _parse_arguments() -> argparse.Namespace:
    parser = report_page.argument_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="one folder per speaker")
    parser.add_argument("--sexes", type=Path, help="CSV with the columns speaker, sex")
    parser.add_argument(
        "--enrol", type=float, nargs="+", default=[20.0, 40.0, 80.0], help="seconds of clean speech per speaker"
    )
    parser.add_argument("--each", type=int, default=3, help="mixtures per pair of speakers")
    parser.add_argument("--spare", type=int, default=0, help="mixtures more per pair, of other utterances")
    parser.add_argument("--lengths", type=float, nargs="+", default=[], help="seconds of the mixtures")
    parser.add_argument("--pairs", type=int, help="so many pairs of speakers; all if left out")
    parser.add_argument(
        "--budgets",
        type=float,
        nargs="*",
        default=[0.0, 15.0, 30.0, 60.0],
        help="seconds that `adapted` may learn a pair",
    )
    parser.add_argument(
        "--combinations", type=float, metavar="BUDGET", help="also combinations that learn so many seconds"
    )
    parser.add_argument("--sepformer", type=Path, help="folder of a SepFormer for two voices")
    parser.add_argument("--refiner", type=Path, default=REFINER, help="other weights than the shipped ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sweep", action="store_true", help="the dictionary alone, with other recipes than the default"
    )
    args = parser.parse_args()
    if args.spare and args.lengths:
        parser.error("--spare makes mixtures of 2 to 6 s; leave --lengths out")
    return args


def _separators(args: argparse.Namespace) -> dict[str, Callable[[], AnySeparator]]:
    """The separators that are measured with every length of enrollment, by name."""
    separators: dict[str, Callable[[], AnySeparator]] = {"dictionary": DictionarySeparator}
    if args.sweep:
        separators.update(dictionary_variants())
        return separators
    for budget in args.budgets:
        separators[f"adapted {budget:g} s"] = partial(adapted, args.refiner, budget)
    return separators


def _additional_separators(args: argparse.Namespace) -> dict[str, Callable[[], AnySeparator]]:
    """The separators that are measured with the middle length of enrollment alone, by name."""
    separators: dict[str, Callable[[], AnySeparator]] = {}
    if args.combinations is not None:
        budget = args.combinations

        def mean() -> MeanSeparator:
            return MeanSeparator(DictionarySeparator(), adapted(args.refiner, budget))

        separators[f"from untrained weights, {budget:g} s"] = partial(adapted, None, budget)
        separators[f"mean of dictionary and adapted {budget:g} s"] = mean
    if args.sepformer is not None:
        separators["our SepFormer"] = partial(sepformer, args.sepformer)
    return separators


def _read_sexes(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["speaker"]: row["sex"] for row in csv.DictReader(file)}


def main() -> None:
    """Measure all separators and print the table."""
    args = _parse_arguments()
    sexes = _read_sexes(args.sexes)
    utterances = read_speakers(args.data)
    lines = [head_by_length(args.lengths) if args.lengths else HEAD]
    for seconds in args.enrol:
        mixtures = list(
            make_mixtures(utterances, sexes, seconds=seconds, each=args.each, seed=args.seed, lengths=args.lengths)
        )
        mixtures += spare_mixtures(
            utterances, sexes, seconds=seconds, each=args.spare, seed=args.seed, longest=max(args.enrol)
        )
        mixtures.sort(key=lambda mixture: mixture.speakers)
        mixtures = list(subset_of_pairs(mixtures, args.pairs))
        enrolled_seconds = np.mean(
            [sum(clip.duration for clip in clips) for mixture in mixtures for clips in mixture.enrollment.values()]
        )
        separators = _separators(args)
        if seconds == args.enrol[len(args.enrol) // 2]:
            separators |= _additional_separators(args)
        for name, make_separator in separators.items():
            title = f"{name}, {seconds:g} s (had {enrolled_seconds:.0f})"
            result = measure(title, make_separator(), mixtures)
            lines.append(result.row_by_length(args.lengths) if args.lengths else result.row())
            print(lines[-1], file=sys.stderr, flush=True)
    command = report_page.command_line("separation")
    section = "separation-lengths" if args.lengths else "separation"
    report_page.publish(section, "\n".join(lines), command, into_page=args.write)


if __name__ == "__main__":
    main()
