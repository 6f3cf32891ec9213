"""LRU cache of per-speaker results, such as embeddings, by the content of the clips they were made from."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from meetsplit.pipeline.data import Audio

T = TypeVar("T")


class ClipCache(Generic[T]):
    """Results by the *content* of the clips they were made from; holds the ``size`` most recently used.

    Content, because the same stretch of a recording is cropped anew for every overlap: its samples are equal, the
    objects and (once freed) their addresses mean nothing.

    >>> import numpy as np
    >>> cache = ClipCache[float](size=2)
    >>> cache([Audio(np.ones(4, np.float32), 8000)], lambda clips: clips[0].duration)
    0.0005
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._results: OrderedDict[bytes, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._results)

    def __call__(self, clips: Sequence[Audio], make: Callable[[Sequence[Audio]], T]) -> T:
        """``make(clips)``, or its result for equal clips before."""
        key = clip_digest(clips)
        if key not in self._results:
            self._results[key] = make(clips)
        self._results.move_to_end(key)
        while len(self._results) > self._size:
            self._results.popitem(last=False)
        return self._results[key]


def clip_digest(clips: Sequence[Audio]) -> bytes:
    """BLAKE2b digest of the clips' samples, rates and order; not of their place on the clock."""
    digest = hashlib.blake2b(digest_size=16)
    for clip in clips:
        digest.update(f"{clip.rate}:{len(clip.samples)};".encode())
        digest.update(clip.samples.tobytes())
    return digest.digest()
