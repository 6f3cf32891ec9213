"""Who spoke when, without a token: pyannote.audio's `SpeakerDiarization` over two models that travel inside wheels.

PyanNet hears up to three speakers in 5 s windows, overlap included (Bredin and Laurent, 2021); the GE2E encoder tells their voices;
`grouping` decides which are one person; pyannote's own class counts, stitches and draws the turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Turn
from meetsplit.pipeline.diarizers.clustering import assigned, centroids, unit
from meetsplit.pipeline.diarizers.low_memory import Blockwise
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, progress_hook, quiet_pyannote
from meetsplit.pipeline.diarizers.pyannote_turns import audible, loudness, too_few, turns_of
from meetsplit.pipeline.embedders.ge2e import DIMENSION, GE2E, HOP, PARTIAL, RATE, load_encoder, mel_frames
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings

with quiet_pyannote():
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines.clustering import BaseClustering

MOST = 1500
"""Voices that are grouped at once; longer recordings give every second, third… window."""
LEVEL = 10.0 ** (-38.0 / 20.0)
"""`loudness` for the segmentation, which hears quiet noise differently: about that of the recordings it was tuned on."""
_VOICE_LEVEL = 10.0 ** (-30.0 / 20.0)
"""The same for the voice encoder, which is not indifferent to level."""
_SHARES = {"segmentation": (0.0, 0.6), "embeddings": (0.6, 1.0)}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was chosen on recordings to tune on (`benchmarks/diarization.py --tune`).

    ``threshold``: cosine similarity at which two groups of voices are one person. ``enough``: seconds of speech alone in a
    window below which a voice does not take part in the grouping. ``onset``: probability at which a local speaker speaks, where the
    segmentation judges each alone. ``bridge``: seconds of silence inside a turn that are filled.
    """

    threshold: float = 0.66
    enough: float = 0.8
    onset: float = 0.5
    bridge: float = 0.3


class EmbeddedDiarizer:
    """The diarizer that needs no token. `Diarizer` promise; 16 kHz."""

    def __init__(self, pipeline: EmbeddedPipeline, bounds: tuple[int | None, int | None]) -> None:
        self.rate = RATE
        self._pipeline = pipeline
        self._bounds = bounds

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """Build from ``weights["segmentation"]``, see `load_segmentation`, and ``weights["encoder"]`` of `weights.fetch`."""
        no_telemetry()
        network = load_segmentation(weights["segmentation"])
        encoder = GE2E(load_encoder(weights["encoder"], "diarize"), device)
        with quiet_pyannote(), blame("diarize", "preparing the diarizer"):
            pipeline = EmbeddedPipeline(network, encoder)
            pipeline.to(torch.device(device))
        least = settings.num_speakers or settings.min_speakers
        most = settings.num_speakers or settings.max_speakers
        return cls(pipeline, (least, most))

    def tuned(self, tuning: Tuning) -> Self:
        """The same models under another tuning."""
        with quiet_pyannote():
            pipeline = EmbeddedPipeline(self._pipeline.network, self._pipeline.encoder, tuning)
        return type(self)(pipeline, self._bounds)

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not audible(audio.samples):
            return ()
        least, most = self._bounds
        with quiet_pyannote(), blame("diarize", "finding the speakers"):
            found = self._pipeline.apply(
                {
                    "samples": audio.samples,
                    "gain": _gain(audio.samples, LEVEL),
                    "voice gain": _gain(audio.samples, _VOICE_LEVEL),
                },
                min_speakers=least,
                max_speakers=most,
                hook=progress_hook(on_event, audio.duration, _SHARES),
            )
        turns = turns_of(found, audio)
        too_few(turns, least, on_event)
        return turns


def levelled(samples: Samples, level: float) -> Samples:
    """The samples with their `loudness` at ``level``: however loud a recording is, the models hear the same."""
    return np.asarray(samples * _gain(samples, level), np.float32)


def _gain(samples: Samples, level: float) -> np.float32:
    return np.float32(level / loudness(samples))


class Grouping(BaseClustering):  # type: ignore[misc]
    """`grouping` in the shape of pyannote's clusterings."""

    expects_num_clusters = False

    def __init__(self, tuning: Tuning) -> None:
        super().__init__(metric="cosine")
        self.tuning = tuning

    def __call__(
        self,
        embeddings: Any,
        segmentations: Any,
        num_clusters: int | None = None,
        min_clusters: int | None = None,
        max_clusters: float | None = None,
        **_: Any,
    ) -> tuple[Any, Any, Any]:
        """Hard labels ``(windows, local speakers)``, no soft ones, and one centroid per person."""
        active = segmentations.data > 0
        alone = active & (active.sum(axis=2, keepdims=True, dtype=np.uint8) == 1)
        seconds = alone.sum(axis=1) * segmentations.sliding_window.duration / active.shape[1]
        windows, locals_ = np.nonzero(~np.isnan(embeddings).any(axis=2))
        hard = np.full(embeddings.shape[:2], -2, np.int64)
        if len(windows) == 0:
            hard[active.any(axis=1)] = 0
            return hard, None, np.zeros((1, DIMENSION))
        voices, speech = embeddings[windows, locals_], seconds[windows, locals_]
        ready = _ready(speech, windows, self.tuning.enough)
        most = int(min(max_clusters or np.inf, len(windows)))
        bounds = (min(min_clusters or 1, most), most)
        # Windows overlap, and not all take part: scaled, so that a second of the recording counts as one.
        weights = np.maximum(speech[ready], 0.05)
        weights *= (
            speech.sum() * segmentations.sliding_window.step / segmentations.sliding_window.duration / weights.sum()
        )
        people = centroids(unit(voices[ready]), weights, windows[ready], bounds, self.tuning.threshold)
        hard[windows, locals_] = assigned(voices, windows, people)
        return hard, None, people


def _ready(speech: Any, windows: Any, seconds: float) -> Any:
    """Which voices are grouped: those with enough speech, of every window or of every n-th."""
    enough = speech >= min(seconds, speech.max())
    stride = -(-int(enough.sum()) // MOST)
    thinned = enough & (windows % stride == 0)
    return np.flatnonzero(thinned if thinned.any() else enough)


class EmbeddedPipeline(Blockwise):
    """pyannote's pipeline with our voice encoder: windows embedded in batches."""

    def __init__(self, network: PyanNet, encoder: GE2E, tuning: Tuning = Tuning()) -> None:
        # A PLDA is asked for before it is known that this clustering needs none: an empty one satisfies.
        super().__init__(
            segmentation=network, clustering="OracleClustering", plda=PLDA.__new__(PLDA), segmentation_batch_size=8
        )
        self.network = network
        self.encoder = encoder
        self.clustering = Grouping(tuning)
        self._expects_num_speakers = False
        self._embedding = _Dimension()
        onset = {} if network.specifications.powerset else {"threshold": tuning.onset}  # a powerset has made its choice
        self.instantiate({"segmentation": {**onset, "min_duration_off": tuning.bridge}})

    def get_embeddings(
        self,
        file: Any,
        binary_segmentations: Any,
        exclude_overlap: bool = False,
        hook: Callable[..., None] | None = None,
    ) -> Any:
        """One row per window and local speaker, from the stretches where that one speaks alone; NaN where too short."""
        active, window = binary_segmentations.data, binary_segmentations.sliding_window
        rows = np.full((len(active), active.shape[2], DIMENSION), np.nan, np.float32)
        length = round(window.duration * RATE / HOP)
        for first in range(0, len(active), 32):
            part = active[first : first + 32]
            heard: list[tuple[tuple[int, int], torch.Tensor]] = []
            if part.any():
                offsets = [round(window[first + n].start * RATE / HOP) for n in range(len(part))]
                frames = mel_frames(file["samples"], offsets[0], offsets[-1] + length, file["voice gain"]).to(
                    self.encoder.device
                )
                release_pages(file["samples"])
                heard = list(_heard(frames, part, [offset - offsets[0] for offset in offsets], length))
            if heard:
                owners = np.concatenate([np.full(len(partials), n) for n, (_, partials) in enumerate(heard)])
                codes = self.encoder.encode(torch.cat([partials for _, partials in heard]), batch=64)
                for n, ((at, local), _) in enumerate(heard):
                    rows[first + at, local] = codes[owners == n].mean(axis=0)
            if hook is not None:
                hook("embeddings", None, completed=min(first + 32, len(active)), total=len(active))
        return rows


class _Dimension:
    """What pyannote's class wants to know of an embedding when nobody speaks."""

    dimension = DIMENSION


def _heard(
    frames: torch.Tensor, active: Any, offsets: list[int], length: int
) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    """Each (window, local speaker) with the mel frames to embed, cut into partials; windows begin at ``offsets``."""
    clean = active & (active.sum(axis=2, keepdims=True) < 2)
    places = (np.arange(length) * active.shape[1]) // length
    for window, offset in enumerate(offsets):
        for local in np.flatnonzero(active[window].any(axis=0)):
            alone, any_ = clean[window, places, local], active[window, places, local]
            chosen = np.flatnonzero(alone if alone.sum() >= 50 else any_) + offset
            chosen = chosen[chosen < len(frames)]
            if len(chosen) >= 10:
                yield (window, int(local)), partials(frames[torch.from_numpy(chosen).to(frames.device)])


def partials(frames: torch.Tensor) -> torch.Tensor:
    """Mel frames as stretches of 1.6 s that cover them, the last one flush with the end; short speech is repeated."""
    if len(frames) < PARTIAL:
        return frames.repeat(-(-PARTIAL // len(frames)), 1)[:PARTIAL][None]
    starts = [*range(0, len(frames) - PARTIAL, PARTIAL), len(frames) - PARTIAL]
    return torch.stack([frames[start : start + PARTIAL] for start in starts])
