"""The diarizer `embedded`: pyannote.audio's `SpeakerDiarization` over two models from wheels; needs no token.

PyanNet segments windows of 5 s into up to three local speakers, overlap included (Bredin and Laurent, 2021); the GE2E
encoder embeds them; `clustering` makes speakers of them; pyannote's own class counts, stitches and draws the turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Turn
from meetsplit.pipeline.diarizers.clustering import UNASSIGNED, assign, centroids, normalize_rows
from meetsplit.pipeline.diarizers.low_memory import LowMemoryDiarization
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, progress_hook, quiet_pyannote
from meetsplit.pipeline.diarizers.pyannote_turns import has_sound, loudness, notice_missing_speakers, turns_of
from meetsplit.pipeline.embedders.ge2e import (
    DIMENSION,
    HOP,
    PARTIAL_FRAMES,
    RATE,
    GE2EEmbedder,
    load_encoder,
    mel_frames,
)
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings

with quiet_pyannote():
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines.clustering import BaseClustering

MAX_CLUSTERED = 1500
"""Embeddings that are clustered at once; of longer recordings, those of every second, third… window."""
SEGMENTATION_LEVEL = 10.0 ** (-38.0 / 20.0)
"""`loudness` for the segmentation, which depends on the level of quiet noise: about that of the tuning recordings."""
ENCODER_LEVEL = 10.0 ** (-30.0 / 20.0)
"""`loudness` for the voice encoder, which depends on level, too."""
WINDOWS_PER_BLOCK = 32
"""Windows that are embedded at once."""
MIN_ALONE_FRAMES = 50
"""Mel frames (0.5 s) of a local speaker alone below which frames with other speakers are embedded, too."""
MIN_MEL_FRAMES = 10
"""Mel frames (0.1 s) below which a local speaker is not embedded."""
MIN_WEIGHT = 0.05
"""Seconds of speech alone that a clustered embedding weighs at least."""
_PROGRESS_SHARES = {"segmentation": (0.0, 0.6), "embeddings": (0.6, 1.0)}


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What was chosen on recordings for tuning (`benchmarks/diarization.py --tune`).

    ``threshold``: cosine similarity down to which clusters are merged. ``min_alone_seconds``: seconds of speech alone
    in a window below which a local speaker is not clustered, only assigned. ``onset``: probability from which a local
    speaker is active, where the segmentation is no powerset. ``min_duration_off``: seconds of silence inside a turn
    that are filled.
    """

    threshold: float = 0.66
    min_alone_seconds: float = 0.8
    onset: float = 0.5
    min_duration_off: float = 0.3


class EmbeddedDiarizer:
    """A `Diarizer` at 16 kHz that needs no token."""

    def __init__(self, pipeline: EmbeddedPipeline, bounds: tuple[int | None, int | None]) -> None:
        self.rate = RATE
        self._pipeline = pipeline
        self._bounds = bounds

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["segmentation"]``, see `load_segmentation`, and ``weights["encoder"]`` of `weights.fetch`."""
        no_telemetry()
        network = load_segmentation(weights["segmentation"])
        encoder = GE2EEmbedder(load_encoder(weights["encoder"], "diarize"), device)
        with quiet_pyannote(), blame("diarize", "preparing the diarizer"):
            pipeline = EmbeddedPipeline(network, encoder)
            pipeline.to(torch.device(device))
        min_speakers = settings.num_speakers or settings.min_speakers
        max_speakers = settings.num_speakers or settings.max_speakers
        return cls(pipeline, (min_speakers, max_speakers))

    def with_hyperparameters(self, hyperparameters: Hyperparameters) -> Self:
        """The same models with other hyperparameters."""
        with quiet_pyannote():
            pipeline = EmbeddedPipeline(self._pipeline.network, self._pipeline.encoder, hyperparameters)
        return type(self)(pipeline, self._bounds)

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not has_sound(audio.samples):
            return ()
        min_speakers, max_speakers = self._bounds
        file = {
            "samples": audio.samples,
            "gain": _gain(audio.samples, SEGMENTATION_LEVEL),
            "encoder gain": _gain(audio.samples, ENCODER_LEVEL),
        }
        with quiet_pyannote(), blame("diarize", "finding the speakers"):
            annotation = self._pipeline.apply(
                file,
                min_speakers=min_speakers,
                max_speakers=max_speakers,
                hook=progress_hook(on_event, audio.duration, _PROGRESS_SHARES),
            )
        turns = turns_of(annotation, audio)
        notice_missing_speakers(turns, min_speakers, on_event)
        return turns


def normalize_loudness(samples: Samples, level: float) -> Samples:
    """The samples with their `loudness` at ``level``: a recording's own level makes no difference to the models."""
    return np.asarray(samples * _gain(samples, level), np.float32)


def _gain(samples: Samples, level: float) -> np.float32:
    return np.float32(level / loudness(samples))


@dataclass(frozen=True, slots=True, eq=False)
class _LocalSpeakers:
    """Local speakers with an embedding, one row each: embedding, seconds of speech alone, window."""

    embeddings: npt.NDArray[np.float32]
    alone_seconds: npt.NDArray[np.float64]
    windows: npt.NDArray[np.int64]

    def select(self, rows: npt.NDArray[np.int64]) -> _LocalSpeakers:
        return _LocalSpeakers(self.embeddings[rows], self.alone_seconds[rows], self.windows[rows])

    def for_clustering(self, min_alone_seconds: float) -> _LocalSpeakers:
        """Those with enough speech alone, of every window, or of every n-th beyond `MAX_CLUSTERED`."""
        enough = self.alone_seconds >= min(min_alone_seconds, self.alone_seconds.max())
        stride = -(-int(enough.sum()) // MAX_CLUSTERED)
        thinned = enough & (self.windows % stride == 0)
        return self.select(np.flatnonzero(thinned if thinned.any() else enough))


class ConstrainedClustering(BaseClustering):  # type: ignore[misc]
    """`clustering` behind the interface of pyannote's clusterings.

    Shapes: embeddings ``(windows, local speakers, dimension)``, binary segmentations ``(windows, frames, local
    speakers)``, hard clusters ``(windows, local speakers)``.
    """

    expects_num_clusters = False

    def __init__(self, hyperparameters: Hyperparameters) -> None:
        super().__init__(metric="cosine")
        self.hyperparameters = hyperparameters

    def __call__(
        self,
        embeddings: Any,
        segmentations: Any,
        num_clusters: int | None = None,
        min_clusters: int | None = None,
        max_clusters: float | None = None,
        **_: Any,
    ) -> tuple[Any, Any, Any]:
        """Hard clusters, no soft ones, and one centroid per cluster."""
        window = segmentations.sliding_window
        active = segmentations.data > 0
        hard_clusters = np.full(embeddings.shape[:2], UNASSIGNED, np.int64)
        is_embedded = ~np.isnan(embeddings).any(axis=2)
        if not is_embedded.any():
            # Too little speech for any embedding: one speaker.
            is_active = active.any(axis=1)
            hard_clusters[is_active] = 0
            return hard_clusters, None, np.zeros((1, DIMENSION))

        alone_seconds = _alone(active).sum(axis=1) * window.duration / active.shape[1]
        local_speakers = _LocalSpeakers(embeddings[is_embedded], alone_seconds[is_embedded], np.nonzero(is_embedded)[0])
        max_clusters = int(min(max_clusters or np.inf, len(local_speakers.windows)))
        min_clusters = min(min_clusters or 1, max_clusters)

        clustered = local_speakers.for_clustering(self.hyperparameters.min_alone_seconds)
        # Windows overlap, and not all are clustered: scaled, so that a second of the recording counts as one.
        recording_seconds = local_speakers.alone_seconds.sum() * window.step / window.duration
        weights = np.maximum(clustered.alone_seconds, MIN_WEIGHT)
        weights *= recording_seconds / weights.sum()
        speaker_centroids = centroids(
            normalize_rows(clustered.embeddings),
            weights,
            clustered.windows,
            (min_clusters, max_clusters),
            self.hyperparameters.threshold,
        )
        hard_clusters[is_embedded] = assign(local_speakers.embeddings, local_speakers.windows, speaker_centroids)
        return hard_clusters, None, speaker_centroids


def _alone(active: Any) -> Any:
    """Where a local speaker is the only active one: ``(windows, frames, local speakers)`` to the same shape."""
    return active & (active.sum(axis=2, keepdims=True, dtype=np.uint8) == 1)


class EmbeddedPipeline(LowMemoryDiarization):
    """pyannote's pipeline with the GE2E encoder and `ConstrainedClustering`."""

    def __init__(
        self, network: PyanNet, encoder: GE2EEmbedder, hyperparameters: Hyperparameters = Hyperparameters()
    ) -> None:
        # A PLDA is asked for before it is known that this clustering needs none: an empty one satisfies.
        super().__init__(
            segmentation=network, clustering="OracleClustering", plda=PLDA.__new__(PLDA), segmentation_batch_size=8
        )
        self.network = network
        self.encoder = encoder
        self.clustering = ConstrainedClustering(hyperparameters)
        self._expects_num_speakers = False
        self._embedding = _Dimension()
        segmentation = {"min_duration_off": hyperparameters.min_duration_off}
        if not network.specifications.powerset:  # a powerset has no threshold
            segmentation["threshold"] = hyperparameters.onset
        self.instantiate({"segmentation": segmentation})

    def get_embeddings(
        self,
        file: Any,
        binary_segmentations: Any,
        exclude_overlap: bool = False,
        hook: Callable[..., None] | None = None,
    ) -> Any:
        """Embeddings ``(windows, local speakers, dimension)``; NaN for a local speaker with too little speech."""
        active, window = binary_segmentations.data, binary_segmentations.sliding_window
        embeddings = np.full((len(active), active.shape[2], DIMENSION), np.nan, np.float32)
        starts = [round(window[n].start * RATE / HOP) for n in range(len(active))]
        length = round(window.duration * RATE / HOP)
        for first in range(0, len(active), WINDOWS_PER_BLOCK):
            block = slice(first, min(first + WINDOWS_PER_BLOCK, len(active)))
            if active[block].any():
                embeddings[block] = self._embed_block(file, active[block], starts[block], length)
            if hook is not None:
                hook("embeddings", None, completed=block.stop, total=len(active))
        return embeddings

    def _embed_block(self, file: Any, active: Any, starts: Sequence[int], length: int) -> Any:
        """Embeddings of neighbouring windows of ``length`` mel frames that begin at the frames ``starts``."""
        embeddings = np.full((len(active), active.shape[2], DIMENSION), np.nan, np.float32)
        frames = mel_frames(file["samples"], starts[0], starts[-1] + length, file["encoder gain"])
        release_pages(file["samples"])
        offsets = [start - starts[0] for start in starts]
        local_speakers = list(_local_speaker_partials(frames.to(self.encoder.device), active, offsets, length))
        if not local_speakers:
            return embeddings
        rows = self.encoder.encode(torch.cat([speaker.partials for speaker in local_speakers]), batch=64)
        owners = np.repeat(np.arange(len(local_speakers)), [len(speaker.partials) for speaker in local_speakers])
        for number, speaker in enumerate(local_speakers):
            embeddings[speaker.window, speaker.local_speaker] = rows[owners == number].mean(axis=0)
        return embeddings


class _Dimension:
    """The embedding's dimension, which pyannote's class asks for where there is no speech."""

    dimension = DIMENSION


@dataclass(frozen=True, slots=True, eq=False)
class _LocalSpeakerPartials:
    """Mel frames of a window's local speaker, cut into partials: ``(partials, frames, bands)``."""

    window: int
    local_speaker: int
    partials: torch.Tensor


def _local_speaker_partials(
    frames: torch.Tensor, active: Any, offsets: Sequence[int], length: int
) -> Iterator[_LocalSpeakerPartials]:
    """The partials of each active local speaker with at least `MIN_MEL_FRAMES`.

    ``frames`` are mel frames ``(frames, bands)``; ``active`` is ``(windows, segmentation frames, local speakers)``, of
    windows of ``length`` mel frames that begin at ``offsets``.
    """
    alone = _alone(active)
    # The frame of the segmentation in which each mel frame of a window lies.
    segmentation_frames = (np.arange(length) * active.shape[1]) // length
    for window, offset in enumerate(offsets):
        for local_speaker in np.flatnonzero(active[window].any(axis=0)):
            is_alone = alone[window, segmentation_frames, local_speaker]
            is_active = active[window, segmentation_frames, local_speaker]
            is_chosen = is_alone if is_alone.sum() >= MIN_ALONE_FRAMES else is_active
            chosen = np.flatnonzero(is_chosen) + offset
            chosen = chosen[chosen < len(frames)]
            if len(chosen) >= MIN_MEL_FRAMES:
                speaker_frames = frames[torch.from_numpy(chosen).to(frames.device)]
                yield _LocalSpeakerPartials(window, int(local_speaker), cut_partials(speaker_frames))


def cut_partials(frames: torch.Tensor) -> torch.Tensor:
    """Mel frames as partials of 1.6 s that cover them, the last one flush with the end; short speech is repeated."""
    if len(frames) < PARTIAL_FRAMES:
        return frames.repeat(-(-PARTIAL_FRAMES // len(frames)), 1)[:PARTIAL_FRAMES][None]
    starts = [*range(0, len(frames) - PARTIAL_FRAMES, PARTIAL_FRAMES), len(frames) - PARTIAL_FRAMES]
    return torch.stack([frames[start : start + PARTIAL_FRAMES] for start in starts])
