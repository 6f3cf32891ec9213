"""The route of a recording with everybody in one channel: turns by a diarizer, overlaps taken apart by a separator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meetsplit.pipeline.audio.reading import read, resample
from meetsplit.pipeline.cache.content import RecordingContent
from meetsplit.pipeline.channels import reading
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Channels, Diarization, Stream, timeline
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import Notice, ignore_events
from meetsplit.pipeline.overlap.regions import RegionOptions
from meetsplit.pipeline.overlap.resegmentation import resegment
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.overlap.verification import MIN_VERIFY_SECONDS, MIN_VERIFY_SECONDS_MARGINAL, VerificationOptions
from meetsplit.pipeline.protocols import Diarizer, FileDiarizer, validate_turns
from meetsplit.pipeline.run.backends import Backends, check_unchanged
from meetsplit.pipeline.run.route import RATE, KeptClips
from meetsplit.pipeline.separators.enrolled import EnrolledSeparator
from meetsplit.speakers.rendering import TrackSource
from meetsplit.speakers.verify import EmbeddingVerifier

BOUNDARY_EXTENSION = 0.15
"""Seconds by which a separated voice is extended past a predicted turn boundary that lies inside another speaker's
turn. Not applied to boundaries given with ``--rttm``."""


class MixedRecording:
    """All speakers in one channel: a diarizer finds the turns, a separator takes overlaps apart."""

    def __init__(self, backends: Backends, recording: Path | MultiFileRecording) -> None:
        if isinstance(recording, MultiFileRecording):
            raise SettingsError(f"{recording}: a file per person is a channel per person: choose --channels split")
        self._backends, self._path = backends, recording

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """The recording, mixed down to mono; suggests ``--channels split`` where its channels hold different people."""
        backends = self._backends
        hint = reading.suggest_split(self._path) if backends.settings.rttm is None else None
        if hint is not None:
            backends.on_event(Notice(hint, "decode"))
        file_content = content.files.get(self._path)
        return (read(self._path, RATE, folder=folder, content=file_content, on_event=backends.on_event),)

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """The diarizer's turns, resegmented around overlaps unless they were given."""
        backends, (recording,) = self._backends, audio
        diarizer: Diarizer = backends.load("diarizer")
        if isinstance(diarizer, FileDiarizer):
            diarizer = diarizer.for_recording(self._path.stem)
        listener = backends.on_event
        if isinstance(diarizer, FileDiarizer) and backends.settings.stretch != (0.0, None):
            listener = ignore_events  # of its turns, those outside the stretch are cut because that was requested
        turns = validate_turns(diarizer.diarize(resample(recording, diarizer.rate), listener), recording)
        check_unchanged(diarizer, backends.settings.rttm, sha256)
        if backends.settings.resegments:
            found = timeline.with_confidence(resegment(recording, turns, self._speaker_activity()), turns)
            turns = timeline.relabelled(found)
        return Diarization(recording.duration, turns, diarizer.names if isinstance(diarizer, FileDiarizer) else ())

    def streams(self, audio: Channels, diarization: Diarization, folder: Path, kept: KeptClips) -> Iterator[Stream]:
        """The recording where one person speaks alone, the separated voice in overlaps."""
        backends, (recording,) = self._backends, audio
        separate = backends.settings.separate
        separator = backends.load_separator() if separate != "off" else None
        if separator is not None and kept:
            separator = EnrolledSeparator(separator, kept)
        diarizer = backends.preflight().of("diarizer")
        predicted = diarizer is None or diarizer.backend != "rttm"
        options = RegionOptions(separate, boundary_extension=BOUNDARY_EXTENSION if predicted else 0.0)
        verification = self._verification()
        yield from speaker_streams(
            recording,
            diarization.turns,
            separator,
            options=options,
            verification=verification,
            on_event=backends.on_event,
        )

    def track_sources(self, diarization: Diarization, content: RecordingContent) -> tuple[TrackSource, ...]:
        """The recording with all its channels, for everybody."""
        speakers = tuple(sorted({turn.speaker for turn in diarization.turns}))
        return (TrackSource(self._path, content.files.get(self._path), speakers),)

    def _speaker_activity(self) -> Any:
        from meetsplit.pipeline.separators.speaker_activity import DictionaryActivity

        diarizer = self._backends.preflight().of("diarizer")
        return DictionaryActivity.load(self._backends.settings, {}, diarizer.device if diarizer is not None else "cpu")

    def _verification(self) -> VerificationOptions:
        backends, settings = self._backends, self._backends.settings
        verify = settings.has_check("verify")
        has_embedder = backends.preflight().of("embedder") is not None
        return VerificationOptions(
            threshold=settings.match_threshold if verify else None,
            verifier=EmbeddingVerifier(lambda: backends.load("embedder")) if verify and has_embedder else None,
            leakage=settings.has_check("leakage"),
            min_seconds=MIN_VERIFY_SECONDS_MARGINAL if settings.separate == "auto" else MIN_VERIFY_SECONDS,
        )
