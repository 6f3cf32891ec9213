"""pyannote.audio's diarization in memory that hardly grows with the recording: the same answers, a block at a time.

`SpeakerDiarization` of pyannote.audio 4 holds the recording, its segmentation, and every window of every speaker as
floats of 64 bits, all at once; an hour takes more than a gigabyte. Here samples are read where they are needed, and
windows are aggregated as they come.

Shapes, as in pyannote.audio: segmentations ``(windows, frames, local speakers)``; hard clusters ``(windows, local
speakers)``; speaker count ``(frames, 1)`` and discrete diarization ``(frames, clusters)``, frames of the whole
recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data.audio import padded_slice
from meetsplit.pipeline.diarizers.clustering import UNASSIGNED
from meetsplit.pipeline.diarizers.pyannote_compat import quiet_pyannote

with quiet_pyannote():
    from pyannote.audio.core.inference import Inference
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.utils.reproducibility import fix_reproducibility
    from pyannote.core import Annotation, SlidingWindow, SlidingWindowFeature


SILENCE = 1e-5
"""Amplitude, at the level the network is used to, up to which windows are silence: the network does not run on them."""


class LowMemoryDiarization(SpeakerDiarization):  # type: ignore[misc]
    """`SpeakerDiarization` without its copies. A file is a mapping of ``samples`` ``(n,)`` and their ``gain``."""

    def apply(
        self,
        file: Mapping[str, Any],
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[..., None] | None = None,
    ) -> Any:
        """The diarization as an annotation whose labels are whole numbers."""
        _, min_speakers, max_speakers = self.set_num_speakers(num_speakers, min_speakers, max_speakers)
        segmentations = self.get_segmentations(file, hook)
        is_powerset = self._segmentation.model.specifications.powerset
        active = segmentations.data > (0.5 if is_powerset else self.segmentation.threshold)
        count = self._count_speakers(active, segmentations.sliding_window)
        count.data = np.minimum(count.data, max_speakers).astype(np.int8)
        if not count.data.any():
            return Annotation()
        binary_segmentations = SlidingWindowFeature(active, segmentations.sliding_window)
        hard_clusters, _, _ = self.clustering(
            embeddings=self.get_embeddings(file, binary_segmentations, hook=hook),
            segmentations=binary_segmentations,
            min_clusters=min_speakers,
            max_clusters=max_speakers,
        )
        is_inactive = ~active.any(axis=1)
        hard_clusters[is_inactive] = UNASSIGNED
        discrete = self.reconstruct(segmentations, hard_clusters, count)
        return self.to_annotation(discrete, min_duration_on=0.0, min_duration_off=self.segmentation.min_duration_off)

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

    def _count_speakers(self, active: Any, window: Any) -> Any:
        """Number of active speakers in each frame of the recording, ``(frames, 1)``: the rounded mean over windows."""
        active_speakers = SlidingWindowFeature(active.sum(axis=2, keepdims=True, dtype=np.float32), window)
        count = Inference.aggregate(active_speakers, self._segmentation.model.receptive_field, missing=0.0)
        count.data = np.rint(count.data)
        return count

    def reconstruct(self, segmentations: Any, hard_clusters: Any, count: Any) -> Any:
        """Discrete diarization ``(frames, clusters)``: in each frame the ``count`` clusters of greatest activation."""
        activations = self._sum_activations(segmentations, hard_clusters, count)
        most_speakers = int(count.data.max())
        missing = max(most_speakers - activations.shape[1], 0)
        activations = np.pad(activations, ((0, 0), (0, missing)))
        # Clusters of a frame in order of activation, and a one for as many of the first as speakers were counted.
        ranking = np.argsort(-activations, axis=-1)
        is_counted = (np.arange(activations.shape[1]) < count.data).astype(np.float32)
        discrete = np.zeros_like(activations)
        np.put_along_axis(discrete, ranking, is_counted, axis=-1)
        return SlidingWindowFeature(discrete, count.sliding_window)

    def _sum_activations(self, segmentations: Any, hard_clusters: Any, count: Any) -> Any:
        """Activation of each cluster, summed over windows: ``(frames, clusters)``.

        A cluster's activation in one window is that of its most active local speaker.
        """
        frames, windows = count.sliding_window, segmentations.sliding_window
        num_windows, frames_per_window, _ = segmentations.data.shape
        num_clusters = int(hard_clusters.max()) + 1
        # The last window may reach beyond the last frame.
        activations = np.zeros((len(count.data) + frames_per_window, num_clusters), np.float32)
        for window in range(num_windows):
            first = frames.closest_frame(windows[window].start + 0.5 * frames.duration)
            last = first + frames_per_window
            scores, clusters = segmentations.data[window], hard_clusters[window]
            for cluster in np.unique(clusters[clusters != UNASSIGNED]):
                activations[first:last, cluster] += scores[:, clusters == cluster].max(axis=1)
        return activations[: len(count.data)]
