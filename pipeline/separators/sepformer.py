"""SpeechBrain's SepFormer: blind separation by a network trained on mixtures of other people.

Subakan et al., "Attention is all you need in speech separation", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from meetsplit.pipeline.separators.blind import NetworkSeparator
from meetsplit.pipeline.separators.speechbrain_network import load_network
from meetsplit.pipeline.settings import Settings

WINDOW = 20.0
"""Seconds separated at once: attention over more costs gigabytes."""


class SepformerSeparator(NetworkSeparator):
    """One SepFormer per number of voices, read from local folders."""

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> SepformerSeparator:
        """Any of SpeechBrain's folders for separation will do, also the older networks of its recipes.

        Raises as `load_network`.
        """
        return cls.over(weights, lambda folder: load_network("SepFormer", folder, settings, device, window=WINDOW))
