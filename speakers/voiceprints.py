"""Voiceprints that last beyond a recording: clean clips of each person, several embeddings of them, and their score.

    recording, turns ─clean_clips→ clips ─embed_voice→ VoiceEmbeddings ─VoiceScorer.score→ log-likelihood ratio

Two voices are compared by the encoder's two-covariance model (`VoiceModel`, PLDA) where there is one: the mean of each
voice's embeddings is a person's own point plus noise that more speech makes less, but for a part that stays (another
day, room or microphone). The logarithm of "one person" over "two people" is calibrated: an affine map, fitted on people
who are in no test. Encoders without a model are compared by the cosine of the means.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.diarizers.voice_model import VOICE_MODEL, VoiceModel
from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import checksums, device, registry, weights
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.protocols import Embedder
from meetsplit.pipeline.settings import Settings

GUARD = 0.25
"""Seconds next to others' turns that are no clean speech: boundaries are rarely exact."""

EDGE = 0.1
"""Seconds at both ends of a turn that are no clean speech: breaths, and the pause before."""

MIN_CLIP = 1.0
"""Seconds below which a clip of clean speech says too little about a voice."""

PIECE = 3.2
"""Seconds of speech that make an embedding, two windows of the encoder; a person has several."""

MAX_SECONDS = 90.0
"""Seconds of a person's clean speech that are embedded; more changes little and costs time."""

ENCODERS = ("ge2e", "ecapa")
"""Encoders of voiceprints: the first one has a voice model, is calibrated, and is what commands use."""


@dataclass(frozen=True, slots=True, eq=False)
class VoiceEmbeddings:
    """Embeddings of one person's clean speech.

    ``encoder`` is the `VoiceEncoder.name` of what made them: others' are never compared. ``rows`` are unit vectors,
    float32 ``(n, d)``, ``seconds`` how much speech each stands for, ``(n,)``. Both may be empty.
    """

    encoder: str
    rows: npt.NDArray[np.float32]
    seconds: npt.NDArray[np.float32]

    @property
    def total(self) -> float:
        """Seconds of speech, in all."""
        return float(self.seconds.sum())

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """The mean by seconds at unit length, ``(d,)``; NaN where there is no row."""
        if not len(self.rows):
            return np.full(self.rows.shape[1], np.nan, np.float32)
        mean = np.average(self.rows, axis=0, weights=self.seconds)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> VoiceEmbeddings:
        """Some of the rows."""
        return VoiceEmbeddings(self.encoder, self.rows[chosen], self.seconds[chosen])

    @classmethod
    def joined(cls, voices: Sequence[Self]) -> VoiceEmbeddings:
        """All rows of one person's embeddings (at least one, of one encoder)."""
        (encoder,) = {voice.encoder for voice in voices}
        rows = np.concatenate([voice.rows for voice in voices])
        return VoiceEmbeddings(encoder, rows, np.concatenate([voice.seconds for voice in voices]))


@dataclass(frozen=True, slots=True, eq=False)
class VoiceEncoder:
    """An `Embedder` with the ``name`` that says which one: the backend and the start of its weights' checksum."""

    name: str
    embedder: Embedder

    @classmethod
    def load(cls, settings: Settings, backend: str = ENCODERS[0]) -> Self:
        """The encoder of that name; its weights are fetched where they are missing.

        Raises `SettingsError` for another name, `MissingWeights`, and `StageError` for weights that are none.
        """
        if backend not in ENCODERS:
            raise SettingsError(f"the encoder {backend!r}: {nearest(backend, ENCODERS)}")
        cache = settings.cache_dir or weights.default_cache()
        paths = {}
        for role, source in weight_sources("embedder", backend, settings).items():
            paths[role] = weights.fetch(
                source, stage="match", cache=cache, offline=settings.offline, token=settings.hf_token,
                on_event=ignore_events,
            )  # fmt: skip
            weights.require_intact(source, stage="match", cache=cache)
        device.limit_threads(settings.threads)
        embedder = registry.load("embedder", backend, settings, paths, device.choose(settings.device))
        return cls(f"{backend}-{checksums.of_weights(paths['embedder'])[:12]}", embedder)


def clean_spans(turns: Sequence[Turn], speaker: Speaker, *, max_seconds: float = MAX_SECONDS) -> tuple[Span, ...]:
    """Where ``speaker`` speaks alone, ends left out: the longest stretches, ``max_seconds`` together.

    speaker   |---------------|
    others                 |------|
    clean      |~~~~~~~~~|             EDGE at the speaker's ends, GUARD at the others'
    """
    own = timeline.by_speaker(turns).get(speaker, ())
    others = timeline.widened((turn.span for turn in turns if turn.speaker != speaker), GUARD)
    inner = [Span(span.start + EDGE, span.end - EDGE) for span in own if span.duration > 2 * EDGE]
    spans: list[Span] = []
    left = max_seconds
    for span in sorted(timeline.subtract(inner, others), key=lambda span: (-span.duration, span.start)):
        if min(span.duration, left) < MIN_CLIP:
            break
        spans.append(Span(span.start, min(span.end, span.start + left)))
        left -= spans[-1].duration
    return tuple(spans)


def clean_clips(
    recording: Audio, turns: Sequence[Turn], speaker: Speaker, *, max_seconds: float = MAX_SECONDS
) -> tuple[Audio, ...]:
    """The sound of `clean_spans`, as views of the recording (mono, any rate)."""
    spans = timeline.crop(clean_spans(turns, speaker, max_seconds=max_seconds), recording.span)
    return tuple(recording.crop(span) for span in spans)


def embed_voice(encoder: VoiceEncoder, clips: Sequence[Audio], *, piece: float = PIECE) -> VoiceEmbeddings:
    """One embedding for about every ``piece`` seconds of the clips; those without one (silence) are left out."""
    pieces = [part for clip in clips for part in _pieces(clip, piece)]
    rate = encoder.embedder.rate
    if not pieces:
        silence = Audio(np.zeros(1, np.float32), rate)
        dimension = encoder.embedder.embed([silence]).shape[1]
        return VoiceEmbeddings(encoder.name, np.zeros((0, dimension), np.float32), np.zeros(0, np.float32))
    rows = encoder.embedder.embed([resample(part, rate) for part in pieces])
    is_valid = np.all(np.isfinite(rows), axis=1)
    seconds = np.array([part.duration for part in pieces], np.float32)
    return VoiceEmbeddings(encoder.name, np.asarray(rows[is_valid], np.float32), seconds[is_valid])


def embed_people(
    encoder: VoiceEncoder, turns: Sequence[Turn], clip: Callable[[Speaker, Span], Audio]
) -> dict[Speaker, VoiceEmbeddings]:
    """The embeddings of everybody in the turns, by label; ``clip`` gives the sound of a stretch of a person's.

    Of a mixed recording: ``lambda speaker, span: recording.crop(span)``.
    """
    return {
        speaker: embed_voice(encoder, [clip(speaker, span) for span in clean_spans(turns, speaker)])
        for speaker in timeline.by_speaker(turns)
    }


@dataclass(frozen=True, slots=True)
class Calibration:
    """How scores become evidence, and from where it counts.

    ``scale`` and ``offset`` make a raw score the logarithm of a likelihood ratio; two voices are *confirmed* as one
    person from ``confirmed`` on, and from ``confirmed_apart`` on where the next enrolled person and the next speaker of
    the recording are far behind; they are *suggested* from ``suggested`` on. Two parts of one sample are two people
    below ``two_people``. ``session`` is the variance (in units of that within a person) that more speech of one
    recording does not take away.
    """

    scale: float
    offset: float
    confirmed: float
    confirmed_apart: float
    suggested: float
    two_people: float
    session: float = 0.0


CALIBRATIONS = MappingProxyType(
    {
        "ge2e": Calibration(
            scale=0.7, offset=-3.6, confirmed=7.5, confirmed_apart=6.5, suggested=3.5, two_people=5.0, session=1.0
        ),
        "ecapa": Calibration(
            scale=20.0, offset=-7.0, confirmed=4.0, confirmed_apart=4.0, suggested=0.0, two_people=-3.0
        ),
    }
)
"""By encoder. ``ge2e``: chosen on people that the voice model was not made of, and who are in no test
(`benchmarks.voices`). ``ecapa``: of the cosine, from what its authors report on VoxCeleb; not measured here."""


class VoiceScorer:
    """Compares voices of one encoder: how much likelier one person is than two."""

    def __init__(self, encoder: str) -> None:
        """``encoder`` is a `VoiceEncoder.name`. Raises `SettingsError` for one without a calibration."""
        backend = encoder.partition("-")[0]
        if backend not in CALIBRATIONS:
            raise SettingsError(
                f"voiceprints of the encoder {encoder!r} cannot be compared here: it has no calibration"
            )
        self.encoder = encoder
        self.calibration = CALIBRATIONS[backend]
        self.model = _voice_model() if backend == _voice_model().encoder else None

    def score(self, first: VoiceEmbeddings, second: VoiceEmbeddings) -> float:
        """The natural logarithm of the likelihood ratio, one person over two; NaN where a voice has no embedding.

        Above 0: one person is likelier. Raises ValueError for embeddings of another encoder.
        """
        return float(self.matrix([first], [second])[0, 0])

    def matrix(self, first: Sequence[VoiceEmbeddings], second: Sequence[VoiceEmbeddings]) -> npt.NDArray[np.float64]:
        """The score of each of the first with each of the second, ``(len(first), len(second))``; raises as `score`."""
        for voice in (*first, *second):
            if voice.encoder != self.encoder:
                raise ValueError(f"a voice of the encoder {voice.encoder} for a scorer of {self.encoder}")
        points, others = [self._point(voice) for voice in first], [self._point(voice) for voice in second]
        raw = [[self._raw(point, other) for other in others] for point in points]
        table = np.array(raw, np.float64).reshape(len(first), len(second))
        return self.calibration.scale * table + self.calibration.offset

    def _point(self, voice: VoiceEmbeddings) -> tuple[npt.NDArray[np.float64], float] | None:
        """The mean by seconds, of the model's features where there is one, and its variance; None without a row."""
        if not len(voice.rows):
            return None
        if self.model is None:
            return voice.mean.astype(np.float64), 0.0
        seconds = np.asarray(voice.seconds, np.float64)
        rows = seconds.sum() ** 2 / np.square(seconds).sum()
        mean = np.average(self.model.features(voice.rows), axis=0, weights=seconds)
        return mean, self.calibration.session + 1.0 / float(rows)

    def _raw(
        self,
        first: tuple[npt.NDArray[np.float64], float] | None,
        second: tuple[npt.NDArray[np.float64], float] | None,
    ) -> float:
        """The cosine, or Ioffe's ratio of two means: Gaussians of a person's variance and each mean's."""
        if first is None or second is None:
            return float("nan")
        (x, noise_x), (y, noise_y) = first, second
        if self.model is None:
            return float(x @ y)
        between = self.model.between
        a, b = between + noise_x, between + noise_y
        determinant = a * b - between**2
        joint = (b * x**2 - 2.0 * between * x * y + a * y**2) / determinant
        return float(0.5 * np.sum(np.log(a * b / determinant) + x**2 / a + y**2 / b - joint))


@functools.cache
def _voice_model() -> VoiceModel:
    return VoiceModel.load(VOICE_MODEL)


def _pieces(clip: Audio, seconds: float) -> list[Audio]:
    """The clip in equal pieces of about so many ``seconds``; none of less than `MIN_CLIP`."""
    if clip.duration < MIN_CLIP:
        return []
    count = max(1, round(clip.duration / seconds))
    edges = np.linspace(clip.start, clip.span.end, count + 1)
    return [clip.crop(Span(float(start), float(end))) for start, end in itertools.pairwise(edges)]
