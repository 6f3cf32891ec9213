"""The diarizer `embedded`: three models from wheels that listen together; needs no token.

PyanNet segments windows of 5 s into up to three local speakers, overlap included (Bredin and Laurent, 2021). Silero's
voice activity detector hears speech where PyanNet does not, away from the microphone. The GE2E encoder embeds windows
of 1.6 s every 0.2 s. `voice_model` makes people of the voices (how many, and how each sounds),
and `joint_decoding` says who speaks when from both. What was decoded tells more surely how each person sounds, so
voices and turns are estimated in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import uniform_filter1d
from scipy.special import softmax

from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.data import Audio, Samples, Span, Speaker, Turn
from meetsplit.pipeline.data.timeline import relabelled, support, with_confidence
from meetsplit.pipeline.diarizers.clustering import Floats
from meetsplit.pipeline.diarizers.joint_decoding import Evidence, decode, posteriors, with_speech
from meetsplit.pipeline.diarizers.local_activity import LocalActivity
from meetsplit.pipeline.diarizers.low_memory import WindowedSegmentation
from meetsplit.pipeline.diarizers.pyannet import load_segmentation
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, progress_hook, quiet_pyannote
from meetsplit.pipeline.diarizers.pyannote_turns import has_sound, loudness, notice_alike, notice_missing_speakers
from meetsplit.pipeline.diarizers.silero_vad import CHUNK, SileroVad, load_silero_vad, speech_probabilities
from meetsplit.pipeline.diarizers.voice_model import (
    VOICE_MODEL,
    Grouping,
    LikelyOne,
    People,
    VoiceModel,
    Weights,
    alike_pairs,
    directions,
    estimate_people,
    first_groups,
    merge_alike,
    vbx,
)
from meetsplit.pipeline.embedders.ge2e import HOP, PARTIAL_FRAMES, RATE, GE2EEmbedder, load_encoder, mel_frames
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.settings import Settings

with quiet_pyannote():
    from pyannote.audio.models.segmentation import PyanNet

SEGMENTATION_LEVEL = 10.0 ** (-38.0 / 20.0)
"""`loudness` for the segmentation, which depends on the level of quiet noise: about that of the tuning recordings."""
VAD_LEVEL = 10.0 ** (-26.0 / 20.0)
"""`loudness` for the voice activity detector, which depends on level a little."""
ENCODER_LEVEL = 10.0 ** (-30.0 / 20.0)
"""`loudness` for the voice encoder, which depends on level, too."""
VOICE_WINDOW = PARTIAL_FRAMES * HOP / RATE
"""Seconds of a voice window: all that the encoder reads at once."""
STRIDE = 20
"""Mel frames between two voice windows: 0.2 s."""
WINDOWS_PER_BLOCK = 256
"""Voice windows that are embedded at once."""
MIN_SPEECH = 0.5
"""Share of speech from which a voice window tells people apart."""
AUDIBLE_SPEECH = 0.05
"""Share of speech from which a voice window is embedded."""
MIN_PURITY = 0.3
"""How much of a voice window's speech must be one local speaker's alone (`LocalActivity.purity`) to count at all."""
MIN_WEIGHT = 0.1
"""What a voice window with speech counts at least. A single voice counts 1, and so does speech that only the voice
activity detector hears: far from the microphone the segmentation hears nobody."""
IDENTITY_SHARPNESS = 0.3
"""Factor of log-likelihood ratios of voices when local speakers are identified."""
OWN_SHARE = 0.6
"""Share of a window's decoded speech from which it is taken for a person's own."""
MIN_OWN_SHARE = 0.4
"""Share of a window that decoded speech must fill for it to be somebody's own."""
MIN_SHARE, MIN_SECONDS = 0.015, 1.2
"""Share of all speech, and seconds, below which a person is none; of a few seconds of speech, see `_is_kept`."""
ROUNDS = 2
"""Times that people are estimated anew from what was decoded, and decoded again."""
MAX_ROUNDS = 6
"""Rounds at most, while there still are people who turn out to be none."""
MIN_DURATION_OFF = 0.3
"""Seconds of silence inside a turn that are filled."""
_CLAIM = 0.5
"""Seconds of speech that go to a person who was asked for and got none."""
_LEVEL_FRAMES = 5
"""Mel frames over which the level is averaged."""
_DIGITAL_SILENCE = 1e-9
"""Power of a mel frame up to which it is no sound."""
_PROGRESS_SHARES = {"segmentation": (0.0, 0.6), "embeddings": (0.6, 1.0)}

Frames = npt.NDArray[np.bool_]
"""Who speaks in each frame: ``(frames, people)``."""
Turns = tuple[Turn, ...]
Pairs = tuple[tuple[Speaker, Speaker], ...]
"""People whose voices could be one, the most alike first."""


class EmbeddedDiarizer:
    """A `Diarizer` at 16 kHz that needs no token."""

    def __init__(self, pipeline: EmbeddedPipeline, bounds: tuple[int | None, int | None]) -> None:
        self.rate = RATE
        self._pipeline = pipeline
        self._bounds = bounds

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``weights["segmentation"]``, see `load_segmentation`, ``weights["encoder"]`` and ``weights["vad"]`` of
        `weights.fetch`.
        """
        no_telemetry()
        network = load_segmentation(weights["segmentation"])
        vad = load_silero_vad(weights["vad"])
        encoder = GE2EEmbedder(load_encoder(weights["encoder"], "diarize"), device)
        with quiet_pyannote(), blame("diarize", "preparing the diarizer"):
            pipeline = EmbeddedPipeline(network, vad, encoder, VoiceModel.load(VOICE_MODEL), device)
        min_speakers = settings.num_speakers or settings.min_speakers
        max_speakers = settings.num_speakers or settings.max_speakers
        return cls(pipeline, (min_speakers, max_speakers))

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """Turns on ``audio``'s clock; silence gives none. Raises `StageError`."""
        if not has_sound(audio.samples):
            return ()
        min_speakers, max_speakers = self._bounds
        hook = progress_hook(on_event, audio.duration, _PROGRESS_SHARES)
        with quiet_pyannote(), blame("diarize", "finding the speakers"):
            turns, alike = self._pipeline.turns(audio, (min_speakers or 1, max_speakers), hook)
        notice_missing_speakers(turns, min_speakers, on_event)
        if min_speakers is None or min_speakers != max_speakers:
            notice_alike(alike, on_event)
        return turns


def normalize_loudness(samples: Samples, level: float) -> Samples:
    """The samples with their `loudness` at ``level``: a recording's own level makes no difference to the models."""
    return np.asarray(samples * _gain(samples, level), np.float32)


def _gain(samples: Samples, level: float) -> np.float32:
    return np.float32(level / loudness(samples))


@dataclass(frozen=True, slots=True, eq=False)
class VoiceWindows:
    """Voice windows every `STRIDE`: their ``features``, what is known of them, and the recording's level.

    ``is_embedded`` and ``has_speech`` ``(windows,)`` say which have features, and which tell people apart; ``weights``
    how much each counts, for being one voice. ``decibels`` are those of every mel frame.
    """

    features: npt.NDArray[np.float32]
    is_embedded: npt.NDArray[np.bool_]
    has_speech: npt.NDArray[np.bool_]
    weights: Floats
    decibels: Floats

    @property
    def first(self) -> Floats:
        """Seconds at which each begins, half a window before its middle; the first before the recording."""
        return np.arange(len(self.features)) * STRIDE * HOP / RATE - VOICE_WINDOW / 2


class EmbeddedPipeline(WindowedSegmentation):
    """Segmentation, voices and decoding of one recording."""

    def __init__(
        self, network: PyanNet, vad: SileroVad, encoder: GE2EEmbedder, voices: VoiceModel, device: str
    ) -> None:
        super().__init__(network, device)
        self.network = network
        self.vad = vad
        self.encoder = encoder
        self.voices = voices

    def turns(self, audio: Audio, bounds: tuple[int, int | None], hook: Callable[..., None]) -> tuple[Turns, Pairs]:
        """Turns on ``audio``'s clock, of at least and at most ``bounds`` people, and those who sound alike."""
        samples = audio.samples
        local = self._local_activity({"samples": samples, "gain": _gain(samples, SEGMENTATION_LEVEL)}, audio, hook)
        activity = self._voice_activity(samples, local)
        speech = np.maximum(1.0 - local.counts[:, 0], activity)
        if (speech < 0.5).all():
            return (), ()
        windows = self._voice_windows(samples, local, speech, hook)
        level_frames = np.clip((local.times * RATE / HOP).astype(np.int64), 0, len(windows.decibels) - 1)
        counts = with_speech(local.counts, windows.decibels[level_frames], activity)
        if (counts[:, 0] > 0.5).all():
            return (), ()
        most = bounds[1] or len(windows.features)
        diarization = JointDiarization(local, windows, counts, self.voices.between)
        speaking, certainty = diarization.speaking((min(bounds[0], most), most))
        turns, labels = _turns(speaking, certainty, local, audio)
        alike = [(labels.get(first), labels.get(second)) for first, second in diarization.alike(speaking)]
        return turns, tuple((first, second) for first, second in alike if first is not None and second is not None)

    def _local_activity(self, file: Mapping[str, Any], audio: Audio, hook: Callable[..., None]) -> LocalActivity:
        segmentations = self.get_segmentations(file, hook)
        receptive = self.network.receptive_field
        offset = receptive.start + (receptive.duration - receptive.step) / 2
        return LocalActivity(
            segmentations.data, segmentations.sliding_window.step, receptive.step, offset, audio.duration
        )

    def _voice_activity(self, samples: Samples, local: LocalActivity) -> Floats:
        """How likely there is speech in each frame of ``local``, by the voice activity detector."""
        chunks = speech_probabilities(self.vad, samples, float(_gain(samples, VAD_LEVEL)))
        middles = (np.arange(len(chunks)) + 0.5) * CHUNK / RATE
        return np.interp(local.times, middles, chunks).astype(np.float64)

    def _voice_windows(
        self, samples: Samples, local: LocalActivity, speech: Floats, hook: Callable[..., None]
    ) -> VoiceWindows:
        """All voice windows; those without speech are not embedded. ``speech`` is the probability of it in a frame."""
        gain = _gain(samples, ENCODER_LEVEL)
        count = 1 + len(samples) // HOP // STRIDE
        first = np.arange(count) * STRIDE * HOP / RATE - VOICE_WINDOW / 2
        share = local.share(speech, first, VOICE_WINDOW)
        is_embedded = share >= min(AUDIBLE_SPEECH, share.max())
        features = np.zeros((count, len(self.voices.between)), np.float32)
        power = np.zeros(1 + len(samples) // HOP, np.float32)
        for begin in range(0, count, WINDOWS_PER_BLOCK):
            end = min(begin + WINDOWS_PER_BLOCK, count)
            frames, before = self._mel_around(samples, begin, end, gain)
            inside = slice(begin * STRIDE, min(end * STRIDE, len(power)))
            power[inside] = frames[before : before + inside.stop - inside.start].sum(dim=1).cpu().numpy()
            chosen = np.flatnonzero(is_embedded[begin:end])
            if len(chosen):
                partials = torch.stack([frames[n * STRIDE : n * STRIDE + PARTIAL_FRAMES] for n in chosen])
                features[begin + chosen] = self.voices.features(self.encoder.encode(partials, batch=64))
            hook("embeddings", None, completed=end, total=count)
        enough = min(MIN_SPEECH, float(np.sort(share)[-3:][0]))
        purity = np.clip((local.purity(first, VOICE_WINDOW) - MIN_PURITY) / (1.0 - MIN_PURITY), 0.0, 1.0)
        alone = local.share(local.any_alone, first, VOICE_WINDOW)
        heard = local.share(1.0 - local.counts[:, 0], first, VOICE_WINDOW)
        weights = np.clip(alone * purity + (share - heard), MIN_WEIGHT, 1.0)
        return VoiceWindows(features, is_embedded, is_embedded & (share >= enough), weights, _decibels(power))

    def _mel_around(self, samples: Samples, begin: int, end: int, gain: np.float32) -> tuple[torch.Tensor, int]:
        """Mel frames from the start of voice window ``begin`` to the end of ``end - 1``, zeros outside the recording,
        and the number of frames before ``begin``'s middle.
        """
        half = PARTIAL_FRAMES // 2
        first, last = begin * STRIDE - half, (end - 1) * STRIDE + half
        frames = mel_frames(samples, max(first, 0), last, float(gain))
        release_pages(samples)
        padding = (0, 0, max(-first, 0), last - max(first, 0) - len(frames))
        return torch.nn.functional.pad(frames, padding).to(self.encoder.device), half


def _decibels(power: npt.NDArray[np.float32]) -> Floats:
    """Level of every mel frame; -inf is digital silence."""
    smooth = uniform_filter1d(power.astype(np.float64), _LEVEL_FRAMES)
    return np.where(smooth > _DIGITAL_SILENCE, 10.0 * np.log10(np.maximum(smooth, _DIGITAL_SILENCE)), -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class JointDiarization:
    """People and turns estimated in turn. ``counts`` are the corrected ones of ``local``, ``between`` the voice
    model's variances.
    """

    local: LocalActivity
    windows: VoiceWindows
    counts: Floats
    between: Floats

    def speaking(self, bounds: tuple[int, int]) -> tuple[Frames, npt.NDArray[np.float32]]:
        """Who speaks in each frame, of at least and at most ``bounds`` people, and how probable that is of each."""
        rows = directions(self.windows.features, self.between)
        grouping = Grouping.of_speech(float((1.0 - self.counts[:, 0]).sum()) * self.local.frame)
        people = self._first_people(grouping, bounds)
        evidence, speaking = self._decoded(people)
        for round_number in range(MAX_ROUNDS):
            is_kept = self._is_kept(speaking, bounds[0])
            if is_kept.all() and round_number >= ROUNDS:
                break
            own = self._own_weights(speaking)[:, is_kept]
            is_one = LikelyOne(own, self.windows.features, self.between, grouping.perhaps_same)
            own = merge_alike(own, rows, np.ones(len(own)), bounds, is_one=is_one)
            people = estimate_people(self.windows.features, own, self.between)
            evidence, speaking = self._decoded(people)
        is_kept = self._is_kept(speaking, bounds[0])
        speaking = _with_claims(speaking[:, is_kept], evidence.voices[:, is_kept], self.counts, self.local.frame)
        return speaking, posteriors(evidence)[:, is_kept]

    def alike(self, speaking: Frames) -> tuple[tuple[int, int], ...]:
        """Pairs of people, by column of ``speaking``, whose voices could be one (`alike_pairs`)."""
        return alike_pairs(self._own_weights(speaking), directions(self.windows.features, self.between))

    def _first_people(self, grouping: Grouping, bounds: tuple[int, int]) -> People:
        chosen = self.windows.has_speech
        features = self.windows.features[chosen]
        weights, rows = self.windows.weights[chosen], directions(features, self.between)
        groups = first_groups(rows, weights, bounds[0])
        prior = Weights(complexity=grouping.complexity)
        groups = vbx(features, weights, groups, self.between, prior, fewest=bounds[0])
        groups = merge_alike(groups, rows, weights, bounds, same_person=grouping.same_group)
        return estimate_people(features, groups * weights[:, None], self.between)

    def _decoded(self, people: People) -> tuple[Evidence, Frames]:
        ratios = people.log_ratios(self.windows.features, self.between)
        ratios[~self.windows.is_embedded] = 0.0
        voices = _interpolated(ratios, self.local.times * RATE / HOP / STRIDE)
        shares = softmax(IDENTITY_SHARPNESS * voices, axis=1)
        activities = self.local.activities_of(self.local.identify(shares), len(people))
        evidence = Evidence(self.counts, activities, voices)
        return evidence, decode(evidence)

    def _is_kept(self, speaking: Frames, fewest: int) -> npt.NDArray[np.bool_]:
        """Who speaks enough to be a person, at least ``fewest``; of a few seconds of speech, a seventh is enough."""
        seconds = speaking.sum(axis=0) * self.local.frame
        total = speaking.any(axis=1).sum() * self.local.frame
        is_kept = seconds >= max(MIN_SHARE * total, min(MIN_SECONDS, 0.15 * total))
        is_kept[np.argsort(-seconds, kind="stable")[: max(fewest, 1)]] = True
        return np.asarray(is_kept, np.bool_)

    def _own_weights(self, speaking: Frames) -> Floats:
        """How much of each voice window is each person's speech alone, where it is mostly one person's."""
        alone = speaking & (speaking.sum(axis=1, keepdims=True) == 1)
        total = np.concatenate([np.zeros((1, speaking.shape[1])), np.cumsum(alone, axis=0)])
        begin = np.clip(np.rint(self.windows.first / self.local.frame).astype(np.int64), 0, len(alone))
        end = (self.windows.first + VOICE_WINDOW) / self.local.frame
        shares = total[np.clip(np.rint(end).astype(np.int64), 0, len(alone))] - total[begin]
        shares *= self.local.frame / VOICE_WINDOW
        sums = shares.sum(axis=1, keepdims=True)
        is_own = (shares >= OWN_SHARE * sums) & (sums > MIN_OWN_SHARE)
        return np.where(is_own & self.windows.is_embedded[:, None], shares, 0.0)


def _interpolated(rows: Floats, places: Floats) -> npt.NDArray[np.float32]:
    """Rows at places between them, counted in rows; the ends go on."""
    lower = np.clip(np.floor(places).astype(np.int64), 0, len(rows) - 1)
    upper = np.minimum(lower + 1, len(rows) - 1)
    share = np.clip(places - lower, 0.0, 1.0)[:, None].astype(np.float32)
    single = rows.astype(np.float32)
    return single[lower] * (1 - share) + single[upper] * share


def _with_claims(speaking: Frames, voices: npt.NDArray[np.float32], counts: Floats, frame: float) -> Frames:
    """Each person who was asked for and got no frame gets a stretch of the speech that sounds most like theirs."""
    speaking = speaking.copy()
    speech = np.flatnonzero(counts[:, 0] < 0.5)
    length = max(1, min(round(_CLAIM / frame), len(speech) // (2 * speaking.shape[1])))
    for person in np.flatnonzero(~speaking.any(axis=0)):
        others = np.delete(voices, person, axis=1)
        ahead = voices[:, person] - (others.max(axis=1) if others.shape[1] else 0.0)
        # Not from those who would have nothing left.
        is_brief = speaking.sum(axis=0) <= length
        is_needed = (speaking & is_brief).any(axis=1)
        free = speech[~is_needed[speech]]
        if len(free) >= length:
            sums = np.convolve(ahead[free], np.ones(length), "valid")
            claimed = free[sums.argmax() : sums.argmax() + length]
            speaking[claimed] = False
            speaking[claimed, person] = True
    return speaking


def _turns(
    speaking: Frames, certainty: npt.NDArray[np.float32], local: LocalActivity, audio: Audio
) -> tuple[Turns, dict[int, Speaker]]:
    """The frames as turns on the clock of ``audio``, inside it, pauses up to `MIN_DURATION_OFF` filled, their
    confidence the mean ``certainty`` of their frames; each column's label.
    """
    turns: list[Turn] = []
    for person in range(speaking.shape[1]):
        edges = np.flatnonzero(np.diff(speaking[:, person].astype(np.int8), prepend=0, append=0))
        times = np.clip(edges * local.frame + (edges > 0) * local.offset, 0.0, audio.duration)
        own = [
            Turn(
                Span(audio.clock(float(start)), min(audio.clock(float(end)), audio.span.end)),
                str(person),
                float(certainty[first:last, person].mean()),
            )
            for start, end, first, last in zip(times[::2], times[1::2], edges[::2], edges[1::2], strict=True)
            if start < end
        ]
        spans = support((turn.span for turn in own), gap=MIN_DURATION_OFF)
        turns += with_confidence((Turn(span, str(person)) for span in spans), own)
    labelled = relabelled(turns)
    labels = {int(turn.speaker): named.speaker for turn, named in zip(sorted(turns), labelled, strict=True)}
    return labelled, labels
