"""Random remarks for simulated meetings: the small grammar in `grammar.txt`, over the words of `vocabulary.txt`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from meetsplit.training.script import words

MAX_WORDS = 28
"""A longer remark is drawn anew."""


def random_remark(rng: np.random.Generator) -> str:
    """One to three sentences of a meeting; the same generator state gives the same remark.

    >>> random_remark(np.random.default_rng(3)) == random_remark(np.random.default_rng(3))
    True
    """
    while True:
        text = _expand("REMARK", rng)
        if len(words(text)) <= MAX_WORDS:
            return re.sub(r"(^|[.?] )([a-z])", lambda start: start[1] + start[2].upper(), text)


def vocabulary() -> tuple[str, ...]:
    """The closed vocabulary of the sample meeting and of all remarks, sorted."""
    return tuple(_resource("vocabulary.txt").split())


@functools.cache
def rules() -> Mapping[str, tuple[str, ...]]:
    """The alternatives of each symbol (in capitals), from `grammar.txt`."""
    blocks = re.findall(r"^([A-Z]+):\n((?:  .+\n)+)", _resource("grammar.txt"), re.MULTILINE)
    return MappingProxyType({symbol: tuple(row.strip() for row in rows.splitlines()) for symbol, rows in blocks})


def _resource(name: str) -> str:
    return files("meetsplit.training").joinpath(name).read_text("utf-8")


def _expand(symbol: str, rng: np.random.Generator) -> str:
    """A random alternative of the symbol, its own symbols expanded in turn."""
    alternatives = rules()[symbol]
    alternative = alternatives[int(rng.integers(len(alternatives)))]
    return re.sub("[A-Z]{2,}", lambda match: _expand(match[0], rng), alternative)
