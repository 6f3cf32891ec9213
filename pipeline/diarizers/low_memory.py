"""pyannote.audio's diarization in memory that hardly grows: the same answers, a block of windows at a time.

`SpeakerDiarization` of pyannote.audio 4 holds the recording, what is heard in it, and every window of every person as floats of
64 bits, all at once; an hour takes more than a gigabyte. Here the sound is read where it is needed, and windows are added up as
they come.
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
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.utils.reproducibility import fix_reproducibility
    from pyannote.core import Annotation, SlidingWindow, SlidingWindowFeature


SILENT = 1e-5
"""Amplitude, in the loudness the network is used to, up to which windows hold nobody: hours of silence are not listened to."""


class Blockwise(SpeakerDiarization):  # type: ignore[misc]
    """`SpeakerDiarization` without its copies. The file is a mapping of ``samples``, shape ``(n,)``, and their ``gain``."""

    def apply(
        self,
        file: Mapping[str, Any],
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        hook: Callable[..., None] | None = None,
    ) -> Any:
        """Who speaks when, as an annotation whose labels are whole numbers."""
        _, least, most = self.set_num_speakers(num_speakers, min_speakers, max_speakers)
        scores = self.get_segmentations(file, hook)
        powerset = self._segmentation.model.specifications.powerset
        active = scores.data > (0.5 if powerset else self.segmentation.threshold)
        binary = SlidingWindowFeature(active, scores.sliding_window)
        frames = self._segmentation.model.receptive_field
        together = SlidingWindowFeature(active.sum(axis=2, keepdims=True, dtype=np.float32), scores.sliding_window)
        count = Inference.aggregate(together, frames, missing=0.0)
        del together
        count.data = np.minimum(np.rint(count.data), most).astype(np.int8)
        if not count.data.any():
            return Annotation()
        hard, _, _ = self.clustering(
            embeddings=self.get_embeddings(file, binary, hook=hook),
            segmentations=binary,
            min_clusters=least,
            max_clusters=most,
        )
        hard[~active.any(axis=1)] = -2
        discrete = self.reconstruct(scores, hard, count)
        return self.to_annotation(discrete, min_duration_on=0.0, min_duration_off=self.segmentation.min_duration_off)

    def get_segmentations(self, file: Mapping[str, Any], hook: Callable[..., None] | None = None) -> Any:
        """What the network hears in every window, ``(windows, frames, local speakers)``: `Inference.slide`, batch by batch.

        Batches of silence are nobody's speech without being listened to.
        """
        listen = self._segmentation
        fix_reproducibility(listen.device)
        samples, gain = file["samples"], file["gain"]
        rate = listen.model.audio.sample_rate
        length, step = listen.model.audio.get_num_samples(listen.duration), round(listen.step * rate)
        whole = max((len(samples) - length) // step + 1, 0)
        windows = whole + (len(samples) < length or (len(samples) - length) % step > 0)
        scores: Any = None
        for first in [*range(0, whole, listen.batch_size), *range(whole, windows)]:
            last = min(first + listen.batch_size, whole) if first < whole else windows
            heard = padded_slice(samples, first * step, (last - 1) * step + length) * gain
            if scores is None or np.abs(heard).max(initial=0.0) > SILENT:
                answer = listen.infer(torch.from_numpy(heard).unfold(0, length, step)[:, None])
                scores = np.zeros((windows, *answer.shape[1:]), np.float32) if scores is None else scores
                scores[first:last] = answer
            release_pages(samples)
            if hook is not None:
                hook("segmentation", None, completed=last, total=windows)
        return SlidingWindowFeature(scores, SlidingWindow(start=0.0, duration=listen.duration, step=listen.step))

    def reconstruct(self, segmentations: Any, hard_clusters: Any, count: Any) -> Any:
        """Who of the people speaks in each frame: as many as ``count`` says, those whom most windows hear loudest."""
        field, (windows, length, _) = count.sliding_window, segmentations.data.shape
        summed = np.zeros((len(count.data) + length, int(hard_clusters.max()) + 1), np.float32)
        for window in range(windows):
            first = field.closest_frame(segmentations.sliding_window[window].start + 0.5 * field.duration)
            heard, people = segmentations.data[window], hard_clusters[window]
            for person in np.unique(people[people >= 0]):
                summed[first : first + length, person] += heard[:, people == person].max(axis=1)
        summed = summed[: len(count.data)]
        summed = np.pad(summed, ((0, 0), (0, max(int(count.data.max()) - summed.shape[1], 0))))
        binary = np.zeros_like(summed)
        chosen = (np.arange(summed.shape[1]) < count.data).astype(np.float32)
        np.put_along_axis(binary, np.argsort(-summed, axis=-1), chosen, axis=-1)
        return SlidingWindowFeature(binary, field)
