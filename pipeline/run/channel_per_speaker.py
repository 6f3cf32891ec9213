"""The route of a recording with a microphone per speaker: turns by voice activity, streams without crosstalk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from meetsplit.pipeline.cache.content import RecordingContent
from meetsplit.pipeline.channels import activity, reading
from meetsplit.pipeline.channels.activity import timebase
from meetsplit.pipeline.channels.crosstalk import crosstalk_spans
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Channels, Diarization, Span, Stream, timeline
from meetsplit.pipeline.run.backends import Backends
from meetsplit.pipeline.run.route import RATE, KeptClips
from meetsplit.speakers.rendering import TrackSource


class ChannelPerSpeaker:
    """A microphone per person: turns from voice activity in each channel, streams with crosstalk cancelled."""

    def __init__(self, backends: Backends, recording: Path | MultiFileRecording) -> None:
        self._backends, self._recording = backends, recording

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """One channel per person."""
        return reading.read_channels(self._recording, RATE, folder, self._backends.on_event, content.files)

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """Turns from each channel's own voice activity."""
        names = self._recording.speaker_names if isinstance(self._recording, MultiFileRecording) else ()
        within = Span(self._backends.settings.stretch[0], timebase(audio).span.end)
        return activity.diarize_channels(audio, names, within)

    def streams(self, audio: Channels, diarization: Diarization, folder: Path, kept: KeptClips) -> Iterator[Stream]:
        """Each person's channel where that person speaks."""
        yield from activity.streams(audio, diarization, folder)

    def track_sources(self, diarization: Diarization, content: RecordingContent) -> tuple[TrackSource, ...]:
        """Each person's own channel, or own file with all its channels."""
        turns = timeline.by_speaker(diarization.turns)
        sources: list[TrackSource] = []
        for speaker, number in diarization.channels:
            others = [span for other, spans in turns.items() if other != speaker for span in spans]
            path, channel, start = self._place(number)
            crosstalk = crosstalk_spans(others)
            sources.append(TrackSource(path, content.files.get(path), (speaker,), channel, start, crosstalk))
        return tuple(sources)

    def _place(self, number: int) -> tuple[Path, int | None, float]:
        """The file of the channel with that number, the channel within it (None: all), and where the file begins."""
        if not isinstance(self._recording, MultiFileRecording):
            return self._recording, number, 0.0
        file = self._recording.microphones[number]
        return file.path, None, reading.sample_time(file.offset, RATE)
