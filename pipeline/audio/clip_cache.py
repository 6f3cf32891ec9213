"""What was already worked out for these very clips? A small memory for per-speaker results within one meeting."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from meetsplit.pipeline.data import Audio

T = TypeVar("T")


class ClipCache(Generic[T]):
    """Results by the *content* of the clips they were made from; the least recently used of ``size`` is forgotten.

    Content, because the same stretch of a recording is cropped anew for every overlap: its samples are equal, the
    objects and (once freed) their addresses mean nothing.

    >>> import numpy as np
    >>> recall = ClipCache[float](size=2)
    >>> recall([Audio(np.ones(4, np.float32), 8000)], lambda clips: clips[0].duration)
    0.0005
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[bytes, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, clips: Sequence[Audio], make: Callable[[Sequence[Audio]], T]) -> T:
        """``make(clips)``, or what it gave for equal clips before."""
        key = fingerprint(clips)
        if key not in self._kept:
            self._kept[key] = make(clips)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return self._kept[key]


def fingerprint(clips: Sequence[Audio]) -> bytes:
    """A digest of the clips' samples, rates and order; not of their place on the clock."""
    digest = hashlib.blake2b(digest_size=16)
    for clip in clips:
        digest.update(f"{clip.rate}:{len(clip.samples)};".encode())
        digest.update(clip.samples.tobytes())
    return digest.digest()
