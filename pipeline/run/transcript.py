"""The transcript of a run: the words of all streams merged, each utterance in one of them, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from meetsplit.pipeline import versions
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.channels import activity
from meetsplit.pipeline.data import (
    ClipTranscript,
    Diarization,
    DroppedText,
    Provenance,
    Speaker,
    StreamInfo,
    Transcript,
)
from meetsplit.pipeline.events import Notice
from meetsplit.pipeline.merge import merge, with_dropped
from meetsplit.pipeline.overlap.duplicates import drop_duplicate_words
from meetsplit.pipeline.run.backends import Backends


def merged_transcript(
    backends: Backends,
    recording: str,
    diarization: Diarization,
    streams: Sequence[tuple[StreamInfo, ClipTranscript]],
    tracks: Mapping[Speaker, Path],
) -> Transcript:
    """The words of all streams, a clip with its words each, merged into one transcript of ``recording``."""
    if backends.settings.has_check("duplicates"):
        clips = [clip for clip, _ in streams]
        words = drop_duplicate_words(streams, lambda who, span: read_span(tracks[who], span))
        streams = list(zip(clips, words, strict=True))
    segments, alone = with_dropped(merge(streams, diarization.turns, diarization.span), streams)
    if alone:
        backends.on_event(Notice(_describe_dropped(alone), "transcribe"))
    made_by = replace(provenance(backends, diarization), guards=_guard_counts(words for _, words in streams))
    return Transcript(recording, diarization.duration, segments, diarization.turns, made_by, names=diarization.names)


def provenance(backends: Backends, diarization: Diarization) -> Provenance:
    """The settings, backends and versions that make a transcript."""
    stages = tuple(activity.with_channel_owners(record, diarization) for record in backends.preflight().records())
    return Provenance(versions.meetsplit(), stages, backends.settings.recorded(), versions.recorded())


_PLACES = 3
"""Places that a notice about dropped text names."""


def _describe_dropped(texts: Sequence[tuple[Speaker, DroppedText]]) -> str:
    """A sentence about turns that have no words because all their text was dropped."""
    places = [f"{text.start:.0f}–{text.end:.0f} s {speaker} ({text.reason})" for speaker, text in texts]
    more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
    return f"no words where nobody can have said what was written: {', '.join(places[:_PLACES])}{more}"


def _guard_counts(transcripts: Iterable[ClipTranscript]) -> tuple[tuple[str, int], ...]:
    """How many texts were dropped, by reason."""
    return tuple(sorted(Counter(text.reason for transcript in transcripts for text in transcript.dropped).items()))
