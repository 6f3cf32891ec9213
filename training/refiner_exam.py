"""Compares refiners, U-Nets and rules for their masks on lessons of people that none of them learned from.

    python -m meetsplit.training.refiner_exam --data DIR --cache DIR [--weights FILE …] [--kinds long half-second]
        [--rules]

``DIR`` and ``--cache`` are those of `meetsplit.training.refiner`, whose held-out people these are; lessons that lie
in the cache are not made again. Prints SI-SDR gains in dB over the mixture: mean and 10th percentile, the share of
voices that are worse than the mixture, and CPU seconds of the network per second of mixture. Every second mixture is of
the half that ``--rules`` are to be chosen on, the others check the choice.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch
from meetsplit.pipeline.separators.dictionary import FRAME, HOP, NmfOptions
from meetsplit.scoring.separation import si_sdr
from meetsplit.training.refiner import prepare_mixtures, split_speakers
from meetsplit.training.refiner_mixtures import LESSON_KINDS, RATE, read_speakers
from meetsplit.training.refiner_networks import Network, load_network

Masks: TypeAlias = Tensor
"""Shares of the voices, ``(voices, bins, frames)``, which add up to one."""

Rule: TypeAlias = Callable[[Masks, Masks], Masks]
"""From the masks of the network and those of the dictionaries to others."""


def _blend(share: float) -> Rule:
    return lambda network, dictionary: share * network + (1.0 - share) * dictionary


def _floor(share: float) -> Rule:
    return lambda network, dictionary: (1.0 - share) * network + share / len(network)


def _soften(power: float) -> Rule:
    def rule(network: Masks, dictionary: Masks) -> Masks:
        weights = network.clamp_min(1e-6).pow(power)
        return weights / weights.sum(dim=0)

    return rule


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "a quarter of the dictionary": _blend(0.75),
        "half of the dictionary": _blend(0.5),
        "a tenth of the mixture": _floor(0.1),
        "a fifth of the mixture": _floor(0.2),
        "half of the mixture": _floor(0.5),
        "masks to the power of 0.85": _soften(0.85),
        "masks to the power of 0.7": _soften(0.7),
        "masks to the power of 0.5": _soften(0.5),
    }
)
"""What could keep a short overlap from getting worse: less trust in the masks."""


@dataclass(slots=True)
class ExamResult:
    """Gains of both voices of each mixture in dB, and CPU seconds of the network per second of mixture."""

    name: str
    gains: list[list[float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def row(self, kind: str) -> str:
        """The row of the table in markdown."""
        gains = np.array(self.gains)
        halves = (gains[::2], gains[1::2])
        cells = [f"{half.mean():.2f} ({np.percentile(half, 10):.2f})" for half in (gains, *halves)]
        cost = f"{self.cpu_seconds / max(self.seconds, 1e-9):.2f}"
        return f"| {kind} | {self.name} | {' | '.join(cells)} | {np.mean(gains < 0):.1%} | {cost} |"


HEAD = (
    "| mixtures | masks | mean (p10) | to choose on | to check | worse than the mixture | CPU s per second |\n"
    "|---|---|---|---|---|---|---|"
)


@torch.inference_mode()
def examine(mixtures: MixtureBatch, networks: Mapping[str, Network], *, rules: bool = False) -> list[ExamResult]:
    """The results of the dictionaries alone, of each network, and of each rule with the first one."""
    results = {name: ExamResult(name) for name in ("dictionary", *networks, *(RULES if rules else ()))}
    for index in range(len(mixtures)):
        one = mixtures.select([index])
        for name, masks, cpu_seconds in _masks(one, networks, rules=rules):
            results[name].gains.append(_gains(one, masks))
            results[name].cpu_seconds += cpu_seconds
            results[name].seconds += one.waveforms.shape[2] / RATE
    return list(results.values())


def _masks(one: MixtureBatch, networks: Mapping[str, Network], *, rules: bool) -> Iterator[tuple[str, Masks, float]]:
    """The masks of a batch of one mixture by name, and the CPU seconds they took beside the dictionaries."""
    estimates, profiles = one.estimates.float(), one.profiles.float()
    weights = estimates[0].pow(NmfOptions().mask_power) + 1e-9
    dictionary = weights / weights.sum(dim=0)
    yield "dictionary", dictionary, 0.0
    magnitudes = _spectra(one.waveforms[0, 0].float()).abs()[None]
    first = dictionary
    for number, (name, network) in enumerate(networks.items()):
        started = time.process_time()
        masks = network(magnitudes, estimates, profiles)[0]
        yield name, masks, time.process_time() - started
        first = masks if number == 0 else first
    for name, rule in RULES.items() if rules else ():
        yield name, rule(first, dictionary), 0.0


def _spectra(samples: Tensor) -> Tensor:
    return torch.stft(samples, FRAME, HOP, window=torch.hann_window(FRAME), pad_mode="constant", return_complex=True)


def _gains(one: MixtureBatch, masks: Masks) -> list[float]:
    """The gain of each voice of a batch of one mixture."""
    mixture, voices = one.waveforms[0, 0].float(), one.waveforms[0, 1:].float().numpy()
    spectra = _spectra(mixture) * masks
    estimates = torch.istft(spectra, FRAME, HOP, window=torch.hann_window(FRAME), length=len(mixture)).numpy()
    unseparated: Samples = mixture.numpy()
    return [
        si_sdr(estimate, voice) - si_sdr(unseparated, voice) for estimate, voice in zip(estimates, voices, strict=True)
    ]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of single-speaker audio")
    parser.add_argument("--cache", type=Path, default=Path("out/refiner"), help="where lessons are kept")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="refiners and U-Nets")
    parser.add_argument("--kinds", nargs="+", choices=tuple(LESSON_KINDS), default=["long", "half-second"])
    parser.add_argument("--mixtures", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", action="store_true", help="also rules for the masks of the first of the weights")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the lessons that are missing, examine, print the table."""
    args = parse_arguments(arguments)
    _, held_out = split_speakers(read_speakers(args.data))
    networks = {str(path): load_network(path) for path in args.weights}
    rows = [HEAD]
    for kind in args.kinds:
        mixtures = prepare_mixtures(held_out, args.cache / "exam", args.mixtures, args.seed, kind)
        rows += [result.row(kind) for result in examine(mixtures, networks, rules=args.rules)]
    print("\n".join(rows))


if __name__ == "__main__":
    main()
