"""Root mean square of samples."""

from __future__ import annotations

import numpy as np

from meetsplit.pipeline.data import Samples


def rms(samples: Samples) -> float:
    """Root mean square, summed in double precision; 0 without samples.

    >>> rms(np.array([3.0, -3.0], np.float32)), rms(np.zeros(0, np.float32))
    (3.0, 0.0)
    """
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
