"""The segmentation of a recording window by window, in memory that hardly grows with it.

`Inference.slide` of pyannote.audio 4 holds the whole recording and its copies; here samples are read where they are
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data.audio import padded_slice
from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote

with quiet_pyannote():
    from pyannote.audio.core.inference import Inference
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.utils.reproducibility import fix_reproducibility
    from pyannote.core import SlidingWindow, SlidingWindowFeature


SILENCE = 1e-5
"""Amplitude, at the level the network is used to, up to which windows are silence: the network does not run on them."""


_STEP = 0.1
"""Share of a window from the beginning of one to that of the next."""

_BATCH = 8
"""Windows that the network answers at once."""


class WindowedSegmentation:
    """A segmentation network over the windows of a recording. A file is a mapping of ``samples`` ``(n,)`` and their
    ``gain``.
    """

    def __init__(self, network: PyanNet, device: str) -> None:
        duration = network.specifications.duration
        self._segmentation = Inference(
            network,
            duration=duration,
            step=_STEP * duration,
            skip_aggregation=True,
            batch_size=_BATCH,
            device=torch.device(device),
        )

    def get_segmentations(self, file: Mapping[str, Any], hook: Callable[..., None] | None = None) -> Any:
        """Activity of local speakers, ``(windows, frames, local speakers)``: `Inference.slide`, batch by batch.

        Batches of silence are zeros, and the network does not run on them.
        """
        inference = self._segmentation
        fix_reproducibility(inference.device)
        samples, gain = file["samples"], file["gain"]
        rate = inference.model.audio.sample_rate
        size, step = inference.model.audio.get_num_samples(inference.duration), round(inference.step * rate)
        full_windows = max((len(samples) - size) // step + 1, 0)
        has_padded_window = len(samples) < size or (len(samples) - size) % step > 0
        windows = full_windows + int(has_padded_window)
        scores: Any = None
        for first in [*range(0, full_windows, inference.batch_size), *range(full_windows, windows)]:
            last = min(first + inference.batch_size, full_windows) if first < full_windows else windows
            batch = padded_slice(samples, first * step, (last - 1) * step + size) * gain
            if scores is None or np.abs(batch).max(initial=0.0) > SILENCE:
                outputs = inference.infer(torch.from_numpy(batch).unfold(0, size, step)[:, None])
                if scores is None:
                    scores = np.zeros((windows, *outputs.shape[1:]), np.float32)
                scores[first:last] = outputs
            release_pages(samples)
            if hook is not None:
                hook("segmentation", None, completed=last, total=windows)
        window = SlidingWindow(start=0.0, duration=inference.duration, step=inference.step)
        return SlidingWindowFeature(scores, window)
