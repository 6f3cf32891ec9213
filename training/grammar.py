"""Made-up remarks for simulated meetings: the small grammar in `grammar.txt`, over the words of `vocabulary.txt`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from meetsplit.training.script import words

MOST_WORDS = 28
"""A remark that grows longer is made up anew."""


def remark(rng: np.random.Generator) -> str:
    """One to three sentences that somebody could say in a meeting; the same generator state says the same.

    >>> remark(np.random.default_rng(3)) == remark(np.random.default_rng(3))
    True
    """
    while True:
        text = _grown("REMARK", rng)
        if len(words(text)) <= MOST_WORDS:
            return re.sub(r"(^|[.?] )([a-z])", lambda start: start[1] + start[2].upper(), text)


def vocabulary() -> tuple[str, ...]:
    """The closed vocabulary of the sample meeting and of all remarks, sorted."""
    return tuple(_resource("vocabulary.txt").split())


@functools.cache
def rules() -> Mapping[str, tuple[str, ...]]:
    """What each symbol in capitals may become, from `grammar.txt`."""
    blocks = re.findall(r"^([A-Z]+):\n((?:  .+\n)+)", _resource("grammar.txt"), re.MULTILINE)
    return MappingProxyType({symbol: tuple(row.strip() for row in rows.splitlines()) for symbol, rows in blocks})


def _resource(name: str) -> str:
    return files("meetsplit.training").joinpath(name).read_text("utf-8")


def _grown(symbol: str, rng: np.random.Generator) -> str:
    alternatives = rules()[symbol]
    chosen = alternatives[int(rng.integers(len(alternatives)))]
    return re.sub("[A-Z]{2,}", lambda found: _grown(found[0], rng), chosen)
