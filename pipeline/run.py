"""In which order? The only conductor: decode, diarize, isolate, transcribe, merge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from meetsplit.pipeline import backends, promises, versions
from meetsplit.pipeline.audio import read, resample
from meetsplit.pipeline.data import Audio, Heard, MadeBy, Speaker, Stream, Transcript, Turn
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import Finished, Progressed, Started, Tell, nobody
from meetsplit.pipeline.isolate import isolate
from meetsplit.pipeline.merge import merge
from meetsplit.pipeline.plan import Cutting
from meetsplit.pipeline.preflight import VERBS, Preflight, preflight
from meetsplit.pipeline.separators.matched import matched
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.stages import Diarizer, Separator, Transcriber

RATE = 16000
"""The recording is decoded once, to mono at this rate in Hz; a stage that wants another gets it resampled."""


class TrackSink(Protocol):
    """Who takes the streams as they are made, to lay one track per speaker."""

    def lay(self, stream: Stream) -> None:
        """Take one stretch of one speaker's stream; stretches come sorted by start."""


class Pipeline:
    """Recordings to transcripts under one set of settings; models are loaded once, when first needed.

    >>> Pipeline(Settings(diarizer="embedded", transcriber="sphinx")).settings.diarizer
    'embedded'
    """

    def __init__(self, settings: Settings | None = None, *, tell: Tell = nobody) -> None:
        self.settings = settings or Settings()
        self._tell = tell
        self._plan: Preflight | None = None
        self._loaded: dict[str, Any] = {}

    def preflight(self) -> Preflight:
        """Which backend each stage gets and why; fetches what is missing. Raises as `preflight.preflight` does."""
        if self._plan is None:
            self._plan = preflight(self.settings, self._tell)
        return self._plan

    def run(self, path: str | Path, *, tracks: Callable[[Audio, Sequence[Speaker]], TrackSink] | None = None) -> Transcript:
        """Who said what in one recording.

        ``tracks`` is called once the speakers are known, with the recording and their labels, and its answer is given
        every stream. Raises `AudioError` for a recording that cannot be read, `StageError` for a stage that fails.
        """
        path = Path(path)
        self.preflight()
        with self._stage("decode", f"decoding {path}") as said:
            recording = read(path, RATE, tell=self._tell)
            said.append(f"{recording.duration:.0f} s")
        turns, names = self._diarize(recording, path)
        speakers = tuple(sorted({turn.speaker for turn in turns}))
        sink = tracks(recording, speakers) if tracks is not None else None
        streams = self._isolate(recording, turns, sink, path)
        heard = self._transcribe(streams, path)
        segments = merge(list(zip(streams, heard, strict=True)), turns, recording.span)
        made_by = MadeBy(versions.meetsplit(), self.preflight().records(), self.settings.recorded(), versions.recorded())
        return Transcript(path.stem, recording.duration, segments, turns, made_by, names)

    def _diarize(self, recording: Audio, path: Path) -> tuple[tuple[Turn, ...], tuple[tuple[Speaker, str], ...]]:
        diarizer: Diarizer = self._backend("diarizer")
        with self._stage("diarize", f"finding who speaks when in {path}") as said:
            turns = promises.checked_turns(diarizer.diarize(resample(recording, diarizer.rate), self._tell), recording)
            said.append(f"{len({turn.speaker for turn in turns})} speakers, {len(turns)} turns")
        return turns, getattr(diarizer, "names", ())

    def _isolate(self, recording: Audio, turns: Sequence[Turn], sink: TrackSink | None, path: Path) -> list[Stream]:
        separator = self._separator() if self.settings.separate != "off" else None
        streams: list[Stream] = []
        with self._stage("separate", f"taking voices apart in {path}") as said:
            cutting = Cutting(self.settings.separate)
            for stream in isolate(recording, turns, separator, cutting=cutting, threshold=self.settings.match_threshold, tell=self._tell):
                if sink is not None:
                    sink.lay(stream)
                streams.append(stream)
            patches = [patch for stream in streams for patch in stream.patches]
            said.append(f"{sum(patch.source == 'separated' for patch in patches)} of {len(patches)} overlapped voices taken apart")
        return streams

    def _transcribe(self, streams: Sequence[Stream], path: Path) -> list[Heard]:
        """One answer per stream, in the streams' order; each person's clips go to the transcriber together."""
        transcriber: Transcriber = self._backend("transcriber")
        heard: dict[int, Heard] = {}
        total, done = sum(stream.audio.duration for stream in streams), 0.0
        with self._stage("transcribe", f"transcribing {path}") as said:
            self._tell(Started("transcribe", total))
            for speaker in sorted({stream.speaker for stream in streams}):
                mine = [at for at, stream in enumerate(streams) if stream.speaker == speaker]
                clips = (resample(streams[at].audio, transcriber.rate) for at in mine)
                for at, answer in zip(mine, transcriber.transcribe(clips, self._tell), strict=True):
                    heard[at] = promises.checked_words(answer, streams[at].audio)
                    done += streams[at].audio.duration
                    self._tell(Progressed("transcribe", done, total))
            said.append(f"{sum(len(answer.words) for answer in heard.values())} words")
        return [heard[at] for at in range(len(streams))]

    def _separator(self) -> Separator:
        separator = self._backend("separator")
        choice = self.preflight().of("separator")
        if choice is None or choice.backend not in backends.BLIND:
            return promises.as_separator(separator)
        if "matched" not in self._loaded:
            self._loaded["matched"] = matched(separator, backends.imported(backends.MATCHER)(self._backend("embedder")))
        return promises.as_separator(self._loaded["matched"])

    def _backend(self, stage: str) -> Any:
        choice = self.preflight().of(stage)
        if choice is None:
            raise ValueError(f"the settings leave out the {stage}")
        if stage not in self._loaded:
            with blame(VERBS[stage], f"loading the {stage} {choice.backend}"):
                self._loaded[stage] = backends.load(stage, choice.backend, self.settings, choice.weights, choice.device)
        return self._loaded[stage]

    @contextmanager
    def _stage(self, stage: str, doing: str) -> Iterator[list[str]]:
        """Tell when a stage starts and ends, and translate what goes wrong in it."""
        self._tell(Started(stage))
        began, said = time.monotonic(), list[str]()
        with blame(stage, doing):
            yield said
        self._tell(Finished(stage, time.monotonic() - began, ", ".join(said)))
