"""Blind separation by a network, window by window: level, sample rate and mixture consistency of any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Samples, rms
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.protocols import Unseparated
from meetsplit.pipeline.separators.chunking import consistent_with_mixture, overlap_add

RATE = 16_000
"""Sample rate in Hz of mixtures and voices; a network for another one gets the mixture resampled."""

WINDOW_OVERLAP = 2.0
"""Seconds that neighbouring windows share, for keeping the order of the voices."""

INPUT_RMS = 0.1
"""RMS to which every window is scaled for the network; its training mixtures were about that loud."""

MIN_SAMPLES = 512
"""Samples that a network is given at least, padded with zeros: its first filter is longer than the shortest clips."""

POWER_SMOOTHING = 0.032
"""Seconds over which voices' powers are compared when the remaining difference to the mixture is divided."""


@dataclass(frozen=True, slots=True)
class BlindNetwork:
    """A loaded network that takes apart ``voices`` voices at ``rate`` Hz.

    ``separate`` maps a mixture of shape ``(n,)`` to its voices, ``(voices, n)``, in any order and at any level.
    ``window`` is how many seconds it is given at once, ``name`` what sentences call it, ``path`` where it lies.
    """

    name: str
    path: Path
    voices: int
    rate: int
    window: float
    separate: Callable[[Samples], Samples]


class NetworkSeparator:
    """A `BlindSeparator` over one network per number of voices, see `split`: what its backends share."""

    def __init__(self, networks: Sequence[BlindNetwork]) -> None:
        self.rate: int = RATE
        self._networks = by_voices(networks)
        self.counts: frozenset[int] = frozenset(self._networks)
        self.network_rates: frozenset[int] = frozenset(network.rate for network in networks)

    @classmethod
    def over(cls, weights: Mapping[str, Path], load: Callable[[Path], BlindNetwork]) -> Self:
        """A separator over ``weights["separator"]`` and, where it is given, ``weights["separator_3"]`` for three."""
        return cls([load(weights[role]) for role in ("separator", "separator_3") if role in weights])

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        """``count`` voices; raises as `split` of this module."""
        return split(mixture, count, self._networks)


def by_voices(networks: Sequence[BlindNetwork]) -> Mapping[int, BlindNetwork]:
    """The networks by how many voices they take apart: the first as it is, a second one has to be for three.

    Raises `StageError` for a second one for another number.
    """
    for network in networks[1:]:
        if network.voices != 3:
            raise StageError("separate", f"{network.path} takes apart {network.voices} voices, not 3")
    return {network.voices: network for network in networks}


def split(mixture: Audio, count: int, networks: Mapping[int, BlindNetwork]) -> Sequence[Audio]:
    """``count`` voices of a mixture at `RATE`, by the network for as many; they add up to it but for rounding.

    A network for a lower rate gets the mixture resampled; what it cannot represent (at 8 kHz: above about 3.7 kHz) is
    taken from the mixture and given to the louder voice at that moment; see `consistent_with_mixture`. Raises
    `Unseparated` (``overlap-unresolved``) for silent or non-finite network output, `ValueError` for another rate or a
    number of voices that no network takes apart.
    """
    if mixture.rate != RATE:
        raise ValueError(f"blind separators hear at {RATE} Hz, not {mixture.rate} Hz")
    if count not in networks:
        raise ValueError(f"no model for {count} voices, only for {sorted(networks)}")
    if not np.any(mixture.samples):
        return [mixture] * count
    network = networks[count]
    rows = overlap_add(
        mixture.samples,
        lambda samples: _separate_window(samples, network),
        size=round(network.window * RATE),
        overlap=round(WINDOW_OVERLAP * RATE),
        anonymous=True,
    )
    return [mixture.replaced(row) for row in rows]


def _separate_window(samples: Samples, network: BlindNetwork) -> Samples:
    """The voices of one window, in any order."""
    loudness = rms(samples)
    if loudness == 0.0:
        return np.zeros((network.voices, len(samples)), np.float32)
    gain = np.float32(INPUT_RMS / loudness)
    scaled = resample(Audio(samples * gain, RATE), network.rate)
    length = len(scaled.samples)
    padded = np.pad(scaled.samples, (0, max(MIN_SAMPLES - length, 0)))
    with blame("separate", f"{network.name} on {len(samples) / RATE:.1f} s of overlap"):
        outputs = network.separate(padded)[:, :length]
    if not np.all(np.isfinite(outputs)):
        raise Unseparated("overlap-unresolved", f"{network.name} answered with numbers that are not finite")
    if not np.all(np.any(outputs, axis=1)):
        raise Unseparated("overlap-unresolved", f"{network.name} answered with a voice that is silent throughout")
    resampled = [resample(Audio(output, scaled.rate), RATE).samples for output in outputs]
    voices = np.stack([_to_length(voice, len(samples)) for voice in resampled])
    return consistent_with_mixture(voices, samples * gain, smooth=round(POWER_SMOOTHING * RATE)) / gain


def _to_length(samples: Samples, length: int) -> Samples:
    """Exactly ``length`` samples: two resamplings may differ from the input by one."""
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))
