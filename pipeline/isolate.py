"""One voice at a time: each speaker's stream, the recording where one person speaks and separated voices where not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meetsplit.pipeline import timeline
from meetsplit.pipeline.audio import resample
from meetsplit.pipeline.data import Audio, Patch, Samples, Source, Span, Speaker, Stream, Turn, Voice
from meetsplit.pipeline.errors import BrokenPromise, blame
from meetsplit.pipeline.events import Noticed, Progressed, Started, Tell, nobody
from meetsplit.pipeline.plan import Clip, Cutting, Piece, Plan, Region, plan
from meetsplit.pipeline.promises import as_separator
from meetsplit.pipeline.splice import Inlay, quietest, spliced
from meetsplit.pipeline.stages import Learner, Separator, Unseparated

UNRESOLVED = "overlap-unresolved"
"""The review reason of an overlap whose voices could not be had or were not believed."""

GUARD = 0.15
"""Seconds next to other people's turns that do not count as clean speech: turns' edges are rarely exact."""

SHORTEST_KNOWN = 0.3
"""Seconds below which clean speech says too little about a voice."""

KNOWN_AT_MOST = 120.0
"""Seconds of clean speech of one speaker that a separator is given."""

ROUNDING = 2
"""Samples by which a voice may miss its mixture's length after two changes of the sample rate."""


@dataclass(frozen=True, slots=True, eq=False)
class _Verdict:
    """What came of one speaker's voice in one region: ``audio`` is None where the recording is played."""

    audio: Audio | None
    margin: float | None = None
    review: tuple[str, ...] = ()


def isolate(
    recording: Audio,
    turns: Sequence[Turn],
    separator: Separator | None,
    *,
    cutting: Cutting = Cutting(),  # noqa: B008 - frozen
    threshold: float = 0.05,
    tell: Tell = nobody,
) -> Iterator[Stream]:
    """Every speaker's stream in stretches sorted by start, then speaker; lazily, in memory that does not grow.

    Each speaker's turns inside the recording are in exactly one stretch each. Stretches without patches are views of
    the recording; in the others every sample outside the patches' spans is the recording's own. Each region is
    separated once for all who speak in it, when the first stretch that needs it is asked for.

    Without a ``separator``, or with ``cutting.separate`` "off", nothing is taken apart. A voice is played only if its
    margin is None or at least ``threshold``; otherwise, and where the separator gives up or returns silence, the
    mixture itself or numbers that are none, the recording is played and the patch says so. One speaker's voice being
    refused does not cost the others theirs: each is judged by its own evidence. Raises `BrokenPromise` for voices that
    are missing or of another span or rate.
    """
    how = cutting if separator is not None else Cutting("off", cutting.join, cutting.longest, cutting.shortest, cutting.padding)
    planned = plan(turns, recording.span, cutting=how, quiet=lambda span: quietest(recording, span))
    bench = _Bench(recording, turns, planned, separator, threshold, tell)
    for clip in planned.clips:
        if len(recording.crop(clip.span).samples):  # a turn shorter than a sample has no sound
            yield bench.stream(clip)


def clean_speech(recording: Audio, turns: Sequence[Turn], speaker: Speaker, at_most: float = KNOWN_AT_MOST) -> tuple[Audio, ...]:
    """What ``speaker`` says alone and away from others' turns: views, longest first, ``at_most`` seconds together."""
    own = [turn.span for turn in turns if turn.speaker == speaker]
    others = timeline.widened((turn.span for turn in turns if turn.speaker != speaker), GUARD)
    clean = timeline.crop(timeline.subtract(own, others), recording.span)
    chosen: list[Audio] = []
    left = at_most
    for span in sorted(clean, key=lambda span: (-span.duration, span.start)):
        if min(span.duration, left) < SHORTEST_KNOWN:
            break
        chosen.append(recording.crop(Span(span.start, min(span.end, span.start + left))))
        left -= chosen[-1].duration
    return tuple(chosen)


class _Bench:
    """Where regions are taken apart: keeps the voices that stretches still to come may need, and no others."""

    def __init__(
        self, recording: Audio, turns: Sequence[Turn], planned: Plan, separator: Separator | None, threshold: float, tell: Tell
    ) -> None:
        self._recording, self._turns, self._separator = recording, turns, separator
        self._regions, self._threshold, self._tell = planned.regions, threshold, tell
        self._spans = tuple(region.span for region in planned.regions)
        self._total = sum(span.duration for span in self._spans)
        self._known: dict[Speaker, tuple[Audio, ...]] = {}
        self._voices: dict[Region, Mapping[Speaker, _Verdict]] = {}
        self._done = 0.0
        self._learned = False
        if planned.regions:
            tell(Started("separate", self._total))

    def stream(self, clip: Clip) -> Stream:
        """One stretch of a stream, with its voices."""
        for region in [region for region in self._voices if region.span.end <= clip.span.start]:
            del self._voices[region]
        base = self._recording.crop(clip.span)
        patches: list[Patch] = []
        inlays: list[Inlay] = []
        for region in self._regions_during(clip.span):
            for piece, active in region.pieces:
                span = timeline.intersection(piece, clip.span)
                if clip.speaker not in active or span is None:
                    continue
                verdict = self._separated(region)[clip.speaker]
                source: Source = "mixture" if verdict.audio is None else "separated"
                patches.append(Patch(span, active, source, verdict.margin, verdict.review))
                if verdict.audio is not None:
                    inlays.append(Inlay(span, verdict.audio, span.start == piece.start, span.end == piece.end))
        return Stream(clip.speaker, spliced(base, inlays), clip.turns, tuple(patches))

    def _regions_during(self, span: Span) -> Sequence[Region]:
        first = bisect_right(self._spans, span.start, key=lambda other: other.end)
        return self._regions[first : first + len(timeline.during(self._spans, span))]

    def _separated(self, region: Region) -> Mapping[Speaker, _Verdict]:
        if region not in self._voices:
            self._voices[region] = self._judged(region)
            self._done += region.span.duration
            self._tell(Progressed("separate", self._done, self._total))
        return self._voices[region]

    def _ready(self) -> Separator | None:
        """The separator, once it has learned whom it will have to take apart, if it wants to."""
        separator = self._separator
        if not self._learned and isinstance(separator, Learner):
            company: dict[tuple[Speaker, ...], float] = {}
            for region in self._regions:
                company[region.speakers] = company.get(region.speakers, 0.0) + region.span.duration
            known = {speaker: self._clean(speaker, separator.rate) for speaker in sorted({one for group in company for one in group})}
            with blame("separate", "learning the voices of this recording"):
                self._separator = as_separator(separator.learned(company, known, self._tell))
            self._learned = True
        return self._separator

    def _judged(self, region: Region) -> Mapping[Speaker, _Verdict]:
        separator = self._ready()
        heard = self._recording.crop(region.heard)
        if separator is None:
            return {speaker: _Verdict(None) for speaker in region.speakers}
        where = f"{', '.join(region.speakers)} at {region.span.start:.2f}–{region.span.end:.2f} s"
        mixture = resample(heard, separator.rate)
        known = {speaker: self._clean(speaker, separator.rate) for speaker in region.speakers}
        with blame("separate", f"separating {where}"):
            try:
                voices = separator.separate(mixture, known)
            except Unseparated as refusal:
                return {speaker: _Verdict(None, None, (refusal.reason,)) for speaker in region.speakers}
        _keep_promises(voices, mixture, region.speakers, where)
        return {speaker: self._believed(voices[speaker], mixture, heard, region.wanted(speaker)) for speaker in region.speakers}

    def _believed(self, voice: Voice, mixture: Audio, heard: Audio, wanted: Sequence[Piece]) -> _Verdict:
        if not np.isfinite(voice.audio.samples).all():
            self._tell(Noticed(f"a voice at {heard.start:.2f} s came back with samples that are no numbers: recording kept", "separate"))
            return _Verdict(None, voice.margin, (UNRESOLVED,))
        untouched = any(len(active) > 1 for _, active in wanted) and np.array_equal(voice.audio.samples, mixture.samples)
        silent = _sounds(mixture, wanted) and not _sounds(voice.audio, wanted)
        doubtful = voice.margin is not None and not voice.margin >= self._threshold
        if untouched or silent or doubtful:
            return _Verdict(None, voice.margin, (UNRESOLVED,))
        back = resample(voice.audio, heard.rate).samples
        return _Verdict(heard.replaced(_fitted(back, len(heard.samples))), voice.margin)

    def _clean(self, speaker: Speaker, rate: int) -> tuple[Audio, ...]:
        if speaker not in self._known:
            clean = clean_speech(self._recording, self._turns, speaker)
            self._known[speaker] = tuple(resample(audio, rate) for audio in clean)
        return self._known[speaker]


def _keep_promises(voices: Mapping[Speaker, Voice], mixture: Audio, speakers: Sequence[Speaker], where: str) -> None:
    """The one place that checks what a separator returned. Raises `BrokenPromise`."""
    missing = [speaker for speaker in speakers if speaker not in voices]
    if missing:
        raise BrokenPromise(
            "separate", f"separating {where}: no voice came back for {', '.join(missing)}; report this to the separator's maker"
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


def _sounds(audio: Audio, pieces: Sequence[Piece]) -> bool:
    return any(audio.crop(span).samples.any() for span, _ in pieces)


def _fitted(samples: Samples, length: int) -> Samples:
    """The samples at exactly ``length``, cut or continued with silence by the rounding of sample rates."""
    if abs(len(samples) - length) > ROUNDING:
        raise BrokenPromise(
            "separate", f"a voice changed its length from {length} to {len(samples)} samples on the way back to the recording's rate"
        )
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))
