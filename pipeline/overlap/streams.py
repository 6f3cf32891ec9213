"""Speaker streams: the recording where one speaker is active alone, that speaker's separated voice in overlaps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from meetsplit.pipeline.audio.crossfade import Insert, crossfade, quietest_time
from meetsplit.pipeline.audio.reading import resample
from meetsplit.pipeline.data import Audio, OverlapResult, Samples, Span, Speaker, Stream, Turn, Voice, timeline
from meetsplit.pipeline.errors import BrokenPromise, blame
from meetsplit.pipeline.events import EventListener, Progressed, Started, ignore_events
from meetsplit.pipeline.overlap.regions import Clip, Piece, Region, RegionOptions, Speakers, plan
from meetsplit.pipeline.overlap.verification import VerificationOptions, VoiceDecision, decide
from meetsplit.pipeline.protocols import Adaptable, Separator, Unseparated, as_separator

GUARD, MIN_GUARD = 0.15, 0.05
"""Seconds next to others' turns that do not count as clean speech: predicted boundaries are rarely exact, those
from a file are rounded."""

MIN_CLEAN_CLIP = 0.3
"""Seconds below which a clip of clean speech says too little about a voice."""

MAX_ENROLLMENT = 120.0
"""Seconds of clean speech of one speaker that a separator is given."""

RESAMPLING_SLACK = 2
"""Samples by which a voice may miss its mixture's length after two changes of the sample rate."""


def speaker_streams(
    recording: Audio,
    turns: Sequence[Turn],
    separator: Separator | None,
    *,
    options: RegionOptions = RegionOptions(),  # noqa: B008 - frozen
    verification: VerificationOptions = VerificationOptions(),  # noqa: B008 - frozen
    on_event: EventListener = ignore_events,
) -> Iterator[Stream]:
    """Every speaker's stream in stretches sorted by start, then speaker; lazily, in memory that does not grow.

    Each speaker's turns inside the recording are in exactly one stretch each. Stretches without patches are views of
    the recording; in the others every sample outside the patches' spans is the recording's own. Each region is
    separated once for all who speak in it, when the first stretch that needs it is asked for.

    Without a ``separator``, or with ``options.separate`` "off", nothing is separated. A voice is played only if it
    passes ``verification`` (see `verification.decide`); otherwise, and where the separator gives up or returns
    silence, the mixture itself or numbers that are none, the recording is played and the patch says so. Raises
    `BrokenPromise` for voices that are missing or of another span or rate.
    """
    if separator is None:
        options = replace(options, separate="off")
    planned = plan(turns, recording.span, options=options, cut_point=lambda span: quietest_time(recording, span))
    enrollment = _Enrollment(recording, turns, guard=max(options.boundary_extension, MIN_GUARD))
    separation = _Separation(recording, planned.regions, separator, enrollment, verification, on_event)
    speech = timeline.by_speaker(turns)
    for clip in planned.clips:
        if len(recording.crop(clip.span).samples):  # a turn shorter than a sample has no sound
            separation.forget_before(clip.span.start)
            yield _stream(recording, clip, speech[clip.speaker], separation)


def clean_speech(
    recording: Audio,
    turns: Sequence[Turn],
    speaker: Speaker,
    max_seconds: float = MAX_ENROLLMENT,
    *,
    guard: float = GUARD,
) -> tuple[Audio, ...]:
    """Where ``speaker`` is active alone, ``guard`` seconds away from others' turns.

    Views of the recording, longest first, ``max_seconds`` together.
    """
    own = [turn.span for turn in turns if turn.speaker == speaker]
    others = timeline.widened((turn.span for turn in turns if turn.speaker != speaker), guard)
    clean = timeline.crop(timeline.subtract(own, others), recording.span)
    clips: list[Audio] = []
    left = max_seconds
    for span in sorted(clean, key=lambda span: (-span.duration, span.start)):
        if min(span.duration, left) < MIN_CLEAN_CLIP:
            break
        clips.append(recording.crop(Span(span.start, min(span.end, span.start + left))))
        left -= clips[-1].duration
    return tuple(clips)


class _Enrollment:
    """Each speaker's clean speech at a separator's rate; the same values for the whole recording."""

    def __init__(self, recording: Audio, turns: Sequence[Turn], *, guard: float) -> None:
        self._recording, self._turns, self._guard = recording, turns, guard
        self._clips: dict[tuple[Speaker, int], tuple[Audio, ...]] = {}

    def of(self, speakers: Sequence[Speaker], rate: int) -> dict[Speaker, tuple[Audio, ...]]:
        """The clean speech of each of the speakers, at ``rate`` Hz."""
        for speaker in speakers:
            if (speaker, rate) not in self._clips:
                clips = clean_speech(self._recording, self._turns, speaker, guard=self._guard)
                self._clips[speaker, rate] = tuple(resample(clip, rate) for clip in clips)
        return {speaker: self._clips[speaker, rate] for speaker in speakers}


class _Separation:
    """Separates each region once, when its voices are first needed; keeps them as long as later clips may need them."""

    def __init__(
        self,
        recording: Audio,
        regions: tuple[Region, ...],
        separator: Separator | None,
        enrollment: _Enrollment,
        verification: VerificationOptions,
        on_event: EventListener,
    ) -> None:
        self._recording, self._regions, self._separator = recording, regions, separator
        self._enrollment, self._verification, self._on_event = enrollment, verification, on_event
        self._spans = tuple(region.span for region in regions)
        self._decisions: dict[Region, Mapping[Speaker, VoiceDecision]] = {}
        self._total, self._done = sum(span.duration for span in self._spans), 0.0
        self._adapted = False
        if regions:
            on_event(Started("separate", self._total))

    def regions_during(self, span: Span) -> Sequence[Region]:
        """The regions that share time with ``span``."""
        first = bisect_right(self._spans, span.start, key=lambda other: other.end)
        return self._regions[first : first + len(timeline.during(self._spans, span))]

    def decision(self, region: Region, speaker: Speaker) -> VoiceDecision:
        """What is played of ``speaker`` in the region; separates the region if that has not been done yet."""
        if region not in self._decisions:
            self._decisions[region] = self._separate(region)
            self._done += region.span.duration
            self._on_event(Progressed("separate", self._done, self._total))
        return self._decisions[region][speaker]

    def forget_before(self, time: float) -> None:
        """Drop the voices of regions that end by ``time``: clips are sorted, so none that follows needs them."""
        for region in [region for region in self._decisions if region.span.end <= time]:
            del self._decisions[region]

    def _separate(self, region: Region) -> Mapping[Speaker, VoiceDecision]:
        separator = self._adapted_separator()
        if separator is None:
            return {speaker: VoiceDecision(None) for speaker in region.speakers}
        excerpt = self._recording.crop(region.input_span)
        where = f"{', '.join(region.speakers)} at {region.span.start:.2f}–{region.span.end:.2f} s"
        mixture = resample(excerpt, separator.rate)
        enrollment = self._enrollment.of(region.speakers, separator.rate)
        with blame("separate", f"separating {where}"):
            try:
                voices = separator.separate(mixture, enrollment)
            except Unseparated as refusal:
                return {speaker: VoiceDecision(None, None, (refusal.reason,)) for speaker in region.speakers}
        _check_voices(voices, mixture, region.speakers, where)
        decisions = decide(voices, mixture, region, enrollment, options=self._verification, on_event=self._on_event)
        return {speaker: _at_recording_rate(decision, excerpt) for speaker, decision in decisions.items()}

    def _adapted_separator(self) -> Separator | None:
        """The separator, adapted to the voices of the recording before its first region where it can be."""
        separator = self._separator
        if not self._adapted and isinstance(separator, Adaptable):
            overlap_seconds: dict[Speakers, float] = {}
            for region in self._regions:
                overlap_seconds[region.speakers] = overlap_seconds.get(region.speakers, 0.0) + region.span.duration
            speakers = sorted({speaker for group in overlap_seconds for speaker in group})
            enrollment = self._enrollment.of(speakers, separator.rate)
            with blame("separate", "learning the voices of this recording"):
                seconds = self._recording.duration
                adapted = separator.adapt(overlap_seconds, enrollment, self._on_event, recording_seconds=seconds)
                self._separator = as_separator(adapted)
            self._adapted = True
        return self._separator


@dataclass(frozen=True, slots=True)
class _Patch:
    """What is played in one piece of a region as far as a clip reaches: its result, and the voice to insert, if any."""

    result: OverlapResult
    insert: Insert | None


def _stream(recording: Audio, clip: Clip, speech: Sequence[Span], separation: _Separation) -> Stream:
    """One stretch of a speaker's stream with its voices; ``speech`` are all of the speaker's turns."""
    patches: list[_Patch] = []
    for region in separation.regions_during(clip.span):
        for piece in region.pieces_of(clip.speaker):
            span = timeline.intersection(piece.span, clip.span)
            if span is not None:
                decision = separation.decision(region, clip.speaker)
                inside = bool(timeline.during(speech, span))
                if not inside and decision.audio is None:
                    decision = _silence(decision, recording.crop(region.input_span))
                speakers = piece.speakers if inside else region.speakers
                patches.append(_patch(span, piece, speakers, decision))
    inserts = [patch.insert for patch in patches if patch.insert is not None]
    audio = crossfade(recording.crop(clip.span), inserts)
    return Stream(clip.speaker, audio, clip.turns, tuple(patch.result for patch in patches))


def _silence(decision: VoiceDecision, excerpt: Audio) -> VoiceDecision:
    """The decision with silence instead of the recording, which beyond the speaker's turn holds only others' voices."""
    return replace(decision, audio=excerpt.replaced(np.zeros_like(excerpt.samples)), source="silent")


def _patch(span: Span, piece: Piece, speakers: Speakers, decision: VoiceDecision) -> _Patch:
    result = OverlapResult(span, speakers, decision.source, decision.margin, decision.review)
    if decision.audio is None:
        return _Patch(result, None)
    fade_in, fade_out = span.start == piece.span.start, span.end == piece.span.end
    return _Patch(result, Insert(span, decision.audio, fade_in, fade_out))


def _check_voices(voices: Mapping[Speaker, Voice], mixture: Audio, speakers: Sequence[Speaker], where: str) -> None:
    """Check what a separator returned. Raises `BrokenPromise`."""
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
                f"separating {where}: the voice of {speaker} is {len(audio.samples)} samples at {audio.rate} Hz "
                f"from {audio.start:.3f} s, its mixture {len(mixture.samples)} at {mixture.rate} Hz from "
                f"{mixture.start:.3f} s; report this to the separator's maker",
            )


def _at_recording_rate(decision: VoiceDecision, excerpt: Audio) -> VoiceDecision:
    """The decision with its voice at the recording's rate, exactly as long as ``excerpt``."""
    if decision.audio is None:
        return decision
    samples = _with_length(resample(decision.audio, excerpt.rate).samples, len(excerpt.samples))
    return replace(decision, audio=excerpt.replaced(samples))


def _with_length(samples: Samples, length: int) -> Samples:
    """The samples at exactly ``length``, cut or continued with silence by the rounding of sample rates."""
    if abs(len(samples) - length) > RESAMPLING_SLACK:
        raise BrokenPromise(
            "separate",
            f"a voice changed its length from {length} to {len(samples)} samples "
            "on the way back to the recording's rate",
        )
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))
