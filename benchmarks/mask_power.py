"""Benchmark of the power of the refiner's masks: gains, what is kept of a voice, and what is left of the other.

    python -m meetsplit.benchmarks.mask_power --data DIR [--enrol 30] [--each 2] [--pairs N] [--budgets 0 22]
        [--powers 1 1.15 1.3 1.5]

``DIR`` is as in `meetsplit.benchmarks.separation`, whose mixtures these are. ``adapted`` learns each pair as much as it
plans for each of the ``--budgets``. Prints a table.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.benchmarks import report_page
from meetsplit.benchmarks.extract import Kept, measure
from meetsplit.benchmarks.pairs import TwoSpeakerMixture, make_mixtures, read_speakers, subset_of_pairs
from meetsplit.benchmarks.separation import OVERLAP_SECONDS, REFINER, adapted
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.separators.adapted import MASK_POWER, AdaptedSeparator
from meetsplit.scoring.separation import si_sdr

HEAD = "| learning, power | gain, dB | p10 | kept % | not theirs % | from others % |\n|---|--:|--:|--:|--:|--:|"


@dataclass(frozen=True, slots=True)
class MeasuredVoice:
    """One separated voice: its gain in dB, and what is in its track."""

    gain: float
    kept: Kept


def measure_mixture(separator: AdaptedSeparator, mixture: TwoSpeakerMixture) -> list[MeasuredVoice]:
    """Both voices of a mixture."""
    voices = separator.separate(mixture.mixture, mixture.enrollment).values()
    measured = []
    for own, voice in enumerate(voices):
        estimate, truth = voice.audio.samples, mixture.voices[own]
        gain = si_sdr(estimate, truth) - si_sdr(mixture.mixture.samples, truth)
        own_voice, other = (np.asarray(mixture.voices[number], np.float64) for number in (own, 1 - own))
        measured.append(MeasuredVoice(gain, measure(np.asarray(estimate, np.float64), own_voice, other)))
    return measured


def row(title: str, voices: Sequence[MeasuredVoice]) -> str:
    """A row of the table in markdown: means over voices."""
    gains = [voice.gain for voice in voices]
    percents = np.mean([voice.kept.percents for voice in voices], axis=0)
    columns = " | ".join(f"{percent:.1f}" for percent in percents)
    return f"| {title} | {np.mean(gains):.2f} | {np.percentile(gains, 10):.2f} | {columns} |"


def main() -> None:
    """Measure and print the table."""
    parser = report_page.argument_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="one folder per speaker")
    parser.add_argument("--enrol", type=float, default=30.0, help="seconds of clean speech per speaker")
    parser.add_argument("--each", type=int, default=2, help="mixtures per pair of speakers")
    parser.add_argument("--pairs", type=int, help="so many pairs of speakers; all if left out")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.0, 22.0], help="seconds of learning")
    parser.add_argument("--powers", type=float, nargs="+", default=[1.0, 1.15, MASK_POWER, 1.5])
    parser.add_argument("--seed", type=int, default=0)
    args: argparse.Namespace = parser.parse_args()
    mixtures = make_mixtures(read_speakers(args.data), {}, seconds=args.enrol, each=args.each, seed=args.seed)
    voices: dict[tuple[float, float], list[MeasuredVoice]] = defaultdict(list)
    pairs = itertools.groupby(subset_of_pairs(list(mixtures), args.pairs), lambda mixture: mixture.speakers)
    for speakers, group in pairs:
        of_pair = list(group)
        for budget in args.budgets:
            first = adapted(REFINER, budget)
            separator = first.adapt({speakers: OVERLAP_SECONDS}, of_pair[0].enrollment, ignore_events)
            for power, mixture in itertools.product(args.powers, of_pair):
                separator.mask_power = power
                voices[budget, power] += measure_mixture(separator, mixture)
    lines = [row(f"{budget:g} s, {power:g}", measured) for (budget, power), measured in voices.items()]
    command = report_page.command_line("mask_power")
    report_page.publish("mask-power", "\n".join([HEAD, *lines]), command, into_page=args.write)


if __name__ == "__main__":
    main()
