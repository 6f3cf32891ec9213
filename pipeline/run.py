"""In which order? The only conductor: decode, diarize, isolate, transcribe, merge."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meetsplit.pipeline import backends, promises, versions
from meetsplit.pipeline.audio import read, resample
from meetsplit.pipeline.chain import Chain, Processed, Stages
from meetsplit.pipeline.data import Audio, Diarized, Heard, MadeBy, Outline, Speaker, Transcript
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import Finished, Progressed, Started, Tell, nobody
from meetsplit.pipeline.gates import Gates
from meetsplit.pipeline.isolate import isolate
from meetsplit.pipeline.merge import merge
from meetsplit.pipeline.plan import Cutting
from meetsplit.pipeline.preflight import VERBS, Preflight, preflight
from meetsplit.pipeline.separators.matched import matched
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.stages import Diarizer, Informed, Separator, Transcriber
from meetsplit.pipeline.wavs import stretch
from meetsplit.pipeline.workbench import Workbench, fingerprint, keys

RATE = 16000
"""The recording is decoded once, to mono at this rate in Hz; a stage that wants another gets it resampled."""


class Pipeline:
    """Recordings to transcripts under one set of settings; models are loaded once, when first needed.

    ``loaded`` are backends that somebody has loaded already, by stage ("diarizer", "separator", "embedder", "transcriber").

    >>> Pipeline(Settings(diarizer="embedded", transcriber="sphinx")).settings.diarizer
    'embedded'
    """

    def __init__(self, settings: Settings | None = None, *, tell: Tell = nobody, loaded: Mapping[str, Any] | None = None) -> None:
        self.settings = settings or Settings()
        self._tell = tell
        self._plan: Preflight | None = None
        self._loaded = dict(loaded or {})

    def preflight(self) -> Preflight:
        """Which backend each stage gets and why; fetches what is missing. Raises as `preflight.preflight` does."""
        if self._plan is None:
            self._plan = preflight(self.settings, self._tell)
        return self._plan

    def run(self, path: str | Path) -> Transcript:
        """Who said what in one recording; nothing is written but a scratch folder that is gone afterwards.

        Raises `AudioError` for a recording that cannot be read, `StageError` for a stage that fails.
        """
        with tempfile.TemporaryDirectory(prefix="meetsplit-") as scratch:
            return self.process(Path(path), Workbench(Path(scratch))).transcript

    def process(self, path: Path, bench: Workbench) -> Processed:
        """The same on a workbench: stages whose results are kept there are not repeated, new results are kept."""
        return self.begin(path, bench).finish()

    def begin(self, path: Path, bench: Workbench) -> Chain:
        """The same stage by stage, for whoever wants to stop between them. Raises `AudioError` and as `preflight` does."""
        stages = Stages(
            decode=lambda: self._decode(path),
            diarize=lambda recording: self._diarize(recording, path),
            isolate=lambda recording, found, folder: self._isolate(recording, found, folder, path),
            transcribe=lambda outlines, tracks: self._transcribe(outlines, tracks, path),
            merge=lambda found, outlines, heard: self._transcript(path, found, outlines, heard),
        )
        return Chain(stages, keys(fingerprint(path), self.settings, self.preflight()), bench)

    def _transcript(self, path: Path, found: Diarized, outlines: Sequence[Outline], heard: Sequence[Heard]) -> Transcript:
        segments = merge(list(zip(outlines, heard, strict=True)), found.turns, found.span)
        made_by = MadeBy(versions.meetsplit(), self.preflight().records(), self.settings.recorded(), versions.recorded())
        return Transcript(path.stem, found.duration, segments, found.turns, made_by, found.names)

    def _decode(self, path: Path) -> Audio:
        with self._stage("decode", f"decoding {path}") as say:
            recording = read(path, RATE, tell=self._tell)
            say(f"{recording.duration:.0f} s")
        return recording

    def _diarize(self, recording: Audio, path: Path) -> Diarized:
        with self._stage("diarize", f"finding who speaks when in {path}") as say:
            diarizer: Diarizer = self._backend("diarizer")
            if isinstance(diarizer, Informed):
                diarizer = diarizer.about(path.stem)
            turns = promises.checked_turns(diarizer.diarize(resample(recording, diarizer.rate), self._tell), recording)
            say(f"{len({turn.speaker for turn in turns})} speakers, {len(turns)} turns")
        return Diarized(recording.duration, turns, diarizer.names if isinstance(diarizer, Informed) else ())

    def _isolate(self, recording: Audio, found: Diarized, folder: Path, path: Path) -> tuple[Outline, ...]:
        """Lay every stretch of every stream into its speaker's track as it comes; only the outlines stay in memory."""
        outlines: list[Outline] = []
        with (
            self._stage("separate", f"taking voices apart in {path}") as say,
            backends.imported(backends.TRACKS)(folder, recording) as tracks,
        ):
            separator = self._separator() if self.settings.separate != "off" else None
            cutting = Cutting(self.settings.separate)
            for stream in isolate(recording, found.turns, separator, cutting=cutting, gates=self._gates(), tell=self._tell):
                tracks.lay(stream)
                outlines.append(stream.outline)
            tracks.finish()
            patches = [patch for outline in outlines for patch in outline.patches]
            if patches:
                say(f"{sum(patch.source == 'separated' for patch in patches)} of {len(patches)} overlapped voices taken apart")
        return tuple(outlines)

    def _transcribe(self, outlines: Sequence[Outline], tracks: Mapping[Speaker, Path], path: Path) -> tuple[Heard, ...]:
        """One answer per stretch, in their order; each person's stretches go to the transcriber together."""
        heard: dict[int, Heard] = {}
        total, done = sum(outline.span.duration for outline in outlines), 0.0
        with self._stage("transcribe", f"transcribing {path}") as say:
            transcriber: Transcriber = self._backend("transcriber")
            for speaker in sorted({outline.speaker for outline in outlines}):
                mine = [at for at, outline in enumerate(outlines) if outline.speaker == speaker]
                clips = (resample(stretch(tracks[speaker], outlines[at].span), transcriber.rate) for at in mine)
                for at, answer in zip(mine, transcriber.transcribe(clips, self._tell), strict=True):
                    heard[at] = promises.checked_words(answer, outlines[at].span)
                    done += outlines[at].span.duration
                    self._tell(Progressed("transcribe", done, total))
            say(f"{sum(len(answer.words) for answer in heard.values())} words")
        return tuple(heard[at] for at in range(len(outlines)))

    def _separator(self) -> Separator:
        separator = self._backend("separator")
        choice = self.preflight().of("separator")
        if choice is None or choice.backend not in backends.BLIND:
            return promises.as_separator(separator)
        if "matched" not in self._loaded:
            self._loaded["matched"] = matched(separator, backends.imported(backends.MATCHER)(self._backend("embedder")))
        return promises.as_separator(self._loaded["matched"])

    def _gates(self) -> Gates:
        verifies = self.settings.has("verify") and self.preflight().of("embedder") is not None
        return Gates(
            threshold=self.settings.match_threshold if self.settings.has("verify") else None,
            verifier=backends.imported(backends.VERIFIER)(lambda: self._backend("embedder")) if verifies else None,
            leakage=self.settings.has("leakage"),
        )

    def _backend(self, stage: str) -> Any:
        choice = self.preflight().of(stage)
        if choice is None:
            raise ValueError(f"the settings leave out the {stage}")
        if stage not in self._loaded:
            with blame(VERBS[stage], f"loading the {stage} {choice.backend}"):
                self._loaded[stage] = backends.load(stage, choice.backend, self.settings, choice.weights, choice.device)
        return self._loaded[stage]

    @contextmanager
    def _stage(self, stage: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Tell when a stage starts and ends, and translate what goes wrong in it; the block may say what came of it."""
        self._tell(Started(stage))
        began, said = time.monotonic(), list[str]()
        with blame(stage, doing):
            yield said.append
        self._tell(Finished(stage, time.monotonic() - began, ", ".join(said)))
