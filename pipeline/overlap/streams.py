"""One voice at a time: each speaker's stream, the recording where one person speaks and separated voices where not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from meetsplit.pipeline.audio.crossfade import Insert, crossfade, quietest_time
from meetsplit.pipeline.audio.reading import resample
from meetsplit.pipeline.data import Audio, OverlapResult, Samples, Span, Speaker, Stream, Turn, Voice, timeline
from meetsplit.pipeline.errors import BrokenPromise, blame
from meetsplit.pipeline.events import EventListener, Progressed, Started, ignore_events
from meetsplit.pipeline.overlap.regions import Clip, Plan, Region, RegionOptions, plan
from meetsplit.pipeline.overlap.verification import VerificationOptions, VoiceDecision, decide
from meetsplit.pipeline.protocols import Adaptable, Separator, Unseparated, as_separator

GUARD, LEAST_GUARD = 0.15, 0.05
"""Seconds next to other people's turns that do not count as clean speech: found edges are rarely exact, given ones round off."""

SHORTEST_KNOWN = 0.3
"""Seconds below which clean speech says too little about a voice."""

KNOWN_AT_MOST = 120.0
"""Seconds of clean speech of one speaker that a separator is given."""

ROUNDING = 2
"""Samples by which a voice may miss its mixture's length after two changes of the sample rate."""


def isolate(
    recording: Audio,
    turns: Sequence[Turn],
    separator: Separator | None,
    *,
    cutting: RegionOptions = RegionOptions(),  # noqa: B008 - frozen
    gates: VerificationOptions = VerificationOptions(),  # noqa: B008 - frozen
    on_event: EventListener = ignore_events,
) -> Iterator[Stream]:
    """Every speaker's stream in stretches sorted by start, then speaker; lazily, in memory that does not grow.

    Each speaker's turns inside the recording are in exactly one stretch each. Stretches without patches are views of
    the recording; in the others every sample outside the patches' spans is the recording's own. Each region is
    separated once for all who speak in it, when the first stretch that needs it is asked for.

    Without a ``separator``, or with ``cutting.separate`` "off", nothing is taken apart. A voice is played only if it
    passes the ``gates`` (see `gates.decide`); otherwise, and where the separator gives up or returns silence, the
    mixture itself or numbers that are none, the recording is played and the patch says so. Raises `BrokenPromise` for
    voices that are missing or of another span or rate.
    """
    how = (
        cutting
        if separator is not None
        else RegionOptions("off", cutting.join, cutting.longest, cutting.shortest, cutting.padding)
    )
    planned = plan(turns, recording.span, cutting=how, quiet=lambda span: quietest_time(recording, span))
    clean = partial(clean_speech, recording, turns, guard=max(how.reach, LEAST_GUARD))
    open_cache = _Bench(
        _Given(recording, timeline.by_speaker(turns), clean), planned, separator, gates=gates, on_event=on_event
    )
    for clip in planned.clips:
        if len(recording.crop(clip.span).samples):  # a turn shorter than a sample has no sound
            yield open_cache.stream(clip)


def clean_speech(
    recording: Audio, turns: Sequence[Turn], speaker: Speaker, at_most: float = KNOWN_AT_MOST, *, guard: float = GUARD
) -> tuple[Audio, ...]:
    """What ``speaker`` says alone, ``guard`` seconds away from others' turns: views, longest first, ``at_most`` seconds together."""
    own = [turn.span for turn in turns if turn.speaker == speaker]
    others = timeline.widened((turn.span for turn in turns if turn.speaker != speaker), guard)
    clean = timeline.crop(timeline.subtract(own, others), recording.span)
    chosen: list[Audio] = []
    left = at_most
    for span in sorted(clean, key=lambda span: (-span.duration, span.start)):
        if min(span.duration, left) < SHORTEST_KNOWN:
            break
        chosen.append(recording.crop(Span(span.start, min(span.end, span.start + left))))
        left -= chosen[-1].duration
    return tuple(chosen)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """The recording, when everybody speaks, and how to have somebody's clean speech of it."""

    recording: Audio
    speech: Mapping[Speaker, tuple[Span, ...]]
    clean: Callable[[Speaker], tuple[Audio, ...]]


class _Bench:
    """Where regions are taken apart: keeps the voices that stretches still to come may need, and no others."""

    def __init__(
        self,
        given: _Given,
        planned: Plan,
        separator: Separator | None,
        *,
        gates: VerificationOptions,
        on_event: EventListener,
    ) -> None:
        self._recording, self._speech, self._own_speech = given.recording, given.speech, given.clean
        self._separator = separator
        self._regions, self._gates, self._on_event = planned.regions, gates, on_event
        self._spans = tuple(region.span for region in planned.regions)
        self._total = sum(span.duration for span in self._spans)
        self._known: dict[Speaker, tuple[Audio, ...]] = {}
        self._voices: dict[Region, Mapping[Speaker, VoiceDecision]] = {}
        self._done = 0.0
        self._learned = False
        if planned.regions:
            on_event(Started("separate", self._total))

    def stream(self, clip: Clip) -> Stream:
        """One stretch of a stream, with its voices."""
        for region in [region for region in self._voices if region.span.end <= clip.span.start]:
            del self._voices[region]
        base = self._recording.crop(clip.span)
        patches: list[OverlapResult] = []
        inserts: list[Insert] = []
        for region in self._regions_during(clip.span):
            for piece, active in region.pieces:
                span = timeline.intersection(piece, clip.span)
                if clip.speaker not in active or span is None:
                    continue
                verdict = self._separated(region)[clip.speaker]
                inside = bool(timeline.during(self._speech[clip.speaker], span))
                if not inside:
                    verdict = self._beyond(verdict, region)
                patches.append(
                    OverlapResult(
                        span, active if inside else region.speakers, verdict.source, verdict.margin, verdict.review
                    )
                )
                if verdict.audio is not None:
                    inserts.append(Insert(span, verdict.audio, span.start == piece.start, span.end == piece.end))
        return Stream(clip.speaker, crossfade(base, inserts), clip.turns, tuple(patches))

    def _beyond(self, verdict: VoiceDecision, region: Region) -> VoiceDecision:
        """What is played beyond an edge of the speaker's turn: the voice, or nothing. In the recording only others are sure to speak."""
        if verdict.audio is not None:
            return verdict
        heard = self._recording.crop(region.heard)
        return replace(verdict, audio=heard.replaced(np.zeros_like(heard.samples)), source="silent")

    def _regions_during(self, span: Span) -> Sequence[Region]:
        first = bisect_right(self._spans, span.start, key=lambda other: other.end)
        return self._regions[first : first + len(timeline.during(self._spans, span))]

    def _separated(self, region: Region) -> Mapping[Speaker, VoiceDecision]:
        if region not in self._voices:
            self._voices[region] = self._judged(region)
            self._done += region.span.duration
            self._on_event(Progressed("separate", self._done, self._total))
        return self._voices[region]

    def _ready(self) -> Separator | None:
        """The separator, once it has learned whom it will have to take apart, if it wants to."""
        separator = self._separator
        if not self._learned and isinstance(separator, Adaptable):
            overlap_seconds: dict[tuple[Speaker, ...], float] = {}
            for region in self._regions:
                overlap_seconds[region.speakers] = overlap_seconds.get(region.speakers, 0.0) + region.span.duration
            enrollment = {
                speaker: self._clean(speaker, separator.rate)
                for speaker in sorted({one for group in overlap_seconds for one in group})
            }
            with blame("separate", "learning the voices of this recording"):
                self._separator = as_separator(separator.adapt(overlap_seconds, enrollment, self._on_event))
            self._learned = True
        return self._separator

    def _judged(self, region: Region) -> Mapping[Speaker, VoiceDecision]:
        separator = self._ready()
        heard = self._recording.crop(region.heard)
        if separator is None:
            return {speaker: VoiceDecision(None) for speaker in region.speakers}
        where = f"{', '.join(region.speakers)} at {region.span.start:.2f}–{region.span.end:.2f} s"
        mixture = resample(heard, separator.rate)
        enrollment = {speaker: self._clean(speaker, separator.rate) for speaker in region.speakers}
        with blame("separate", f"separating {where}"):
            try:
                voices = separator.separate(mixture, enrollment)
            except Unseparated as refusal:
                return {speaker: VoiceDecision(None, None, (refusal.reason,)) for speaker in region.speakers}
        _keep_promises(voices, mixture, region.speakers, where)
        verdicts = decide(voices, mixture, region, enrollment, gates=self._gates, on_event=self._on_event)
        return {
            speaker: verdict if verdict.audio is None else replace(verdict, audio=_back(verdict.audio, heard))
            for speaker, verdict in verdicts.items()
        }

    def _clean(self, speaker: Speaker, rate: int) -> tuple[Audio, ...]:
        if speaker not in self._known:
            self._known[speaker] = tuple(resample(audio, rate) for audio in self._own_speech(speaker))
        return self._known[speaker]


def _keep_promises(voices: Mapping[Speaker, Voice], mixture: Audio, speakers: Sequence[Speaker], where: str) -> None:
    """The one place that checks what a separator returned. Raises `BrokenPromise`."""
    missing = [speaker for speaker in speakers if speaker not in voices]
    if missing:
        raise BrokenPromise(
            "separate",
            f"separating {where}: no voice came back for {', '.join(missing)}; report this to the separator's maker",
        )
    for speaker in speakers:
        audio = voices[speaker].audio
        if (
            audio.rate != mixture.rate
            or len(audio.samples) != len(mixture.samples)
            or abs(audio.start - mixture.start) > 0.5 / mixture.rate
        ):
            raise BrokenPromise(
                "separate",
                f"separating {where}: the voice of {speaker} is {len(audio.samples)} samples at {audio.rate} Hz from {audio.start:.3f} s, "
                f"its mixture {len(mixture.samples)} at {mixture.rate} Hz from {mixture.start:.3f} s; report this to the separator's maker",
            )


def _back(voice: Audio, heard: Audio) -> Audio:
    """The voice at the recording's rate, exactly as long as what was heard."""
    return heard.replaced(_fitted(resample(voice, heard.rate).samples, len(heard.samples)))


def _fitted(samples: Samples, length: int) -> Samples:
    """The samples at exactly ``length``, cut or continued with silence by the rounding of sample rates."""
    if abs(len(samples) - length) > ROUNDING:
        raise BrokenPromise(
            "separate",
            f"a voice changed its length from {length} to {len(samples)} samples on the way back to the recording's rate",
        )
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))
