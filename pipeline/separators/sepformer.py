"""SpeechBrain's SepFormer: blind separation by a network trained on mixtures of other people.

Subakan et al., "Attention is all you need in speech separation", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.separators import blind
from meetsplit.pipeline.separators.blind import BlindNetwork
from meetsplit.pipeline.separators.speechbrain_network import load_network
from meetsplit.pipeline.settings import Settings

WINDOW = 20.0
"""Seconds separated at once: attention over more costs gigabytes."""


class SepformerSeparator:
    """A `BlindSeparator` over one SepFormer per number of voices, read from local folders; see `blind.split`."""

    def __init__(self, networks: Sequence[BlindNetwork]) -> None:
        self.rate: int = blind.RATE
        self._networks = blind.by_voices(networks)
        self.counts: frozenset[int] = frozenset(self._networks)
        self.network_rates: frozenset[int] = frozenset(network.rate for network in networks)

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> SepformerSeparator:
        """The folder ``weights["separator"]`` and, for three voices, ``weights["separator_3"]`` if it is there.

        Any of SpeechBrain's folders for separation will do, also the older networks of its recipes. Raises as
        `load_network`.
        """
        folders = [weights[role] for role in ("separator", "separator_3") if role in weights]
        return cls([load_network("SepFormer", folder, settings, device, window=WINDOW) for folder in folders])

    def split(self, mixture: Audio, count: int) -> Sequence[Audio]:
        """``count`` voices; raises as `blind.split`."""
        return blind.split(mixture, count, self._networks)
