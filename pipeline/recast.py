"""Who speaks together? A diarizer's guess in an overlap, corrected by the voices that the recording itself has taught.

Two voices at once resemble neither, so in overlaps a diarizer takes one person for another far more often than elsewhere.
What each person's own speech explains of the mixture tells them apart.

found    A |=========|        C alone elsewhere
         B      |=========|
shares          A .41  B .03  C .38        C speaks there, not B
->       A |=========|
         C      |====|
         B           |====|
"""

from __future__ import annotations

from collections.abc import Sequence

from meetsplit.pipeline import timeline
from meetsplit.pipeline.data import Audio, Span, Speaker, Turn
from meetsplit.pipeline.isolate import clean_speech
from meetsplit.pipeline.plan import Cutting, Region, plan
from meetsplit.pipeline.resampling import resample
from meetsplit.pipeline.stages import Listener, Unseparated

ENOUGH = 4.0
"""Seconds of clean speech from which a person's share of a mixture is believed."""

SHORTEST = 0.3
"""Seconds of an overlap below which its shares say too little."""

CLEARLY = 3.0
"""How many times the share of the person who was named another one must have."""

HEARD = 0.1
"""Least share of somebody who speaks."""

CANDIDATES = 4
"""People besides those named who are listened for: those who speak nearest in time."""


def recast(recording: Audio, turns: Sequence[Turn], listener: Listener) -> tuple[Turn, ...]:
    """The turns, sorted, with one person in place of another in those overlaps where the sound clearly says so.

    Nobody is added or taken away, and speech outside of overlaps stays as it is. At most one person is exchanged in an
    overlap.
    """
    clean = {speaker: clean_speech(recording, turns, speaker) for speaker in timeline.by_speaker(turns)}
    known = {speaker: [resample(clip, listener.rate) for clip in clips] for speaker, clips in clean.items() if _seconds(clips) >= ENOUGH}
    spans = timeline.by_speaker(turns)
    for region in plan(turns, recording.span, cutting=Cutting()).regions:
        others = [speaker for speaker in known if speaker not in region.speakers]
        if not others or region.span.duration < SHORTEST or not set(region.speakers) <= known.keys():
            continue
        others = sorted(others, key=lambda speaker: _distance(spans[speaker], region.span))[:CANDIDATES]
        mixture = resample(recording.crop(region.span), listener.rate)
        try:
            shares = listener.shares(mixture, {speaker: known[speaker] for speaker in (*region.speakers, *others)})
        except Unseparated:  # somebody's clean speech is silence: nothing is known, and the diarizer's guess stands
            continue
        named = min(region.speakers, key=lambda speaker: shares[speaker])
        heard = max(others, key=lambda speaker: shares[speaker])
        if shares[heard] >= max(HEARD, CLEARLY * shares[named]):
            spans = _exchanged(spans, named, heard, region)
    return tuple(sorted(Turn(span, speaker) for speaker, own in spans.items() for span in own))


def _exchanged(spans: dict[Speaker, tuple[Span, ...]], named: Speaker, heard: Speaker, region: Region) -> dict[Speaker, tuple[Span, ...]]:
    pieces = [piece for piece, _ in region.wanted(named)]
    return {**spans, named: timeline.subtract(spans[named], pieces), heard: timeline.support([*spans[heard], *pieces])}


def _seconds(clips: Sequence[Audio]) -> float:
    return sum(clip.duration for clip in clips)


def _distance(spans: Sequence[Span], where: Span) -> float:
    return min((max(span.start - where.end, where.start - span.end, 0.0) for span in spans), default=float("inf"))
