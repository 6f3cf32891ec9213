"""Reading a span of one of our own WAV tracks without reading the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meetsplit.pipeline.data import Audio, Span

HEADER = 44
"""Bytes before the first sample of a track: the plain header of 16-bit mono PCM."""


def read_span(path: Path, span: Span) -> Audio:
    """The part of a track inside ``span``, at the track's rate; float32 values are the stored ones divided by 32768."""
    with path.open("rb") as file:
        header = file.read(HEADER)
    rate = int.from_bytes(header[24:28], "little")
    first, last = round(span.start * rate), round(span.end * rate)
    pcm = np.fromfile(path, np.dtype("<i2"), count=last - first, offset=HEADER + 2 * first)
    return Audio(pcm.astype(np.float32) / np.float32(32768), rate, first / rate)
