"""In which order? The only conductor: decode, diarize, isolate, transcribe, merge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meetsplit.pipeline import backends, channels, microphones, promises, timeline, versions, weights
from meetsplit.pipeline.audio import read, resample
from meetsplit.pipeline.chain import Chain, Processed, Stages
from meetsplit.pipeline.channels import clock, of_channels
from meetsplit.pipeline.content import Content
from meetsplit.pipeline.data import Diarized, Heard, MadeBy, Outline, Sound, Speaker, Stream, Transcript
from meetsplit.pipeline.doubles import without_doubles
from meetsplit.pipeline.errors import SettingsError, blame
from meetsplit.pipeline.events import Finished, Noticed, Progressed, Started, Tell, nobody
from meetsplit.pipeline.gates import TELLING, TELLING_LITTLE, Gates
from meetsplit.pipeline.isolate import isolate
from meetsplit.pipeline.mapped import let_go
from meetsplit.pipeline.merge import merge
from meetsplit.pipeline.plan import Cutting
from meetsplit.pipeline.preflight import VERBS, Preflight, preflight
from meetsplit.pipeline.recast import recast
from meetsplit.pipeline.scratch import scratch
from meetsplit.pipeline.separators.matched import matched
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.stages import Diarizer, FromFile, Informed, Listener, Separator, Transcriber
from meetsplit.pipeline.together import Together
from meetsplit.pipeline.wavs import stretch
from meetsplit.pipeline.workbench import Workbench, contents, fingerprint, keys

RATE = 16000
"""The recording is decoded once, to mono at this rate in Hz; a stage that wants another gets it resampled."""


REACH = 0.15
"""Seconds by which a voice is wanted beyond an edge that a diarizer found inside somebody else's turn; given edges are believed."""


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

    def run(self, path: str | Path | Together) -> Transcript:
        """Who said what in one recording; nothing is written but a scratch folder that is gone afterwards.

        Raises `AudioError` for a recording that cannot be read, `StageError` for a stage that fails.
        """
        with scratch() as folder:
            return self.process(path if isinstance(path, Together) else Path(path), Workbench(folder, self._tell)).transcript

    def process(self, path: Path | Together, bench: Workbench) -> Processed:
        """The same on a workbench: stages whose results are kept there are not repeated, new results are kept."""
        return self.begin(path, bench).finish()

    def begin(self, path: Path | Together, bench: Workbench) -> Chain:
        """The same stage by stage, for whoever wants to stop between them. Raises `AudioError` and as `preflight` does."""
        if isinstance(path, Together) and not self._split:
            raise SettingsError(f"{path}: a file per person is a channel per person: choose --channels split")
        held = contents(path)
        key = keys(fingerprint(path, held), self.settings, self.preflight())
        stages = Stages(
            decode=lambda: self._decode(path, bench.folder, held),
            diarize=lambda sound: self._diarize(sound, path, key.rttm),
            isolate=lambda sound, found, folder: self._isolate(sound, found, folder, path),
            transcribe=lambda outlines, tracks: self._transcribe(outlines, tracks, path, key.script),
            merge=lambda found, outlines, heard, tracks: self._transcript(path, found, self._single(outlines, heard, tracks)),
        )
        return Chain(stages, key, bench)

    def _single(
        self, outlines: Sequence[Outline], heard: Sequence[Heard], tracks: Mapping[Speaker, Path]
    ) -> Sequence[tuple[Outline, Heard]]:
        """What was heard in each stretch, every utterance in one stream only."""
        given = list(zip(outlines, heard, strict=True))
        if not self.settings.has("doubles"):
            return given
        single = without_doubles(given, lambda speaker, span: stretch(tracks[speaker], span))
        return list(zip(outlines, single, strict=True))

    @property
    def _split(self) -> bool:
        return self.settings.channels == "split"

    def _transcript(self, path: Path | Together, found: Diarized, heard: Sequence[tuple[Outline, Heard]]) -> Transcript:
        segments = merge(heard, found.turns, found.span)
        stages = tuple(of_channels(record, found) for record in self.preflight().records())
        made_by = MadeBy(versions.meetsplit(), stages, self.settings.recorded(), versions.recorded())
        return Transcript(path.stem, found.duration, segments, found.turns, made_by, found.names)

    def _decode(self, path: Path | Together, folder: Path, held: Mapping[Path, Content]) -> Sound:
        with self._stage("decode", f"decoding {path}") as say:
            if self._split or isinstance(path, Together):
                sound = microphones.everybody(path, RATE, folder, self._tell, held)
            else:
                hint = microphones.suggestion(path) if self.settings.rttm is None else None
                if hint is not None:
                    self._tell(Noticed(hint, "decode"))
                sound = (read(path, RATE, folder=folder, content=held.get(path), tell=self._tell),)
            say(f"{clock(sound).duration:.0f} s")
        return sound

    def _diarize(self, sound: Sound, path: Path | Together, given: str | None) -> Diarized:
        with self._stage("diarize", f"finding who speaks when in {path}") as say:
            if self._split:
                found = channels.diarized(sound, path.people if isinstance(path, Together) else ())
                say(channels.described(found))
                return found
            (recording,) = sound
            diarizer: Diarizer = self._backend("diarizer")
            if isinstance(diarizer, Informed):
                diarizer = diarizer.about(path.stem)
            turns = promises.checked_turns(diarizer.diarize(resample(recording, diarizer.rate), self._tell), recording)
            _check_given(diarizer, self.settings.rttm, given)
            if self.settings.recasts:
                turns = timeline.relabelled(recast(recording, turns, self._listener()))
            say(f"{len({turn.speaker for turn in turns})} speakers, {len(turns)} turns")
        return Diarized(recording.duration, turns, diarizer.names if isinstance(diarizer, Informed) else ())

    def _isolate(self, sound: Sound, found: Diarized, folder: Path, path: Path | Together) -> tuple[Outline, ...]:
        """Lay every stretch of every stream into its speaker's track as it comes; only the outlines stay in memory."""
        outlines: list[Outline] = []
        with (
            self._stage("separate", f"taking voices apart in {path}") as say,
            backends.imported(backends.TRACKS)(folder, clock(sound)) as tracks,
        ):
            for stream in self._streams(sound, found, folder.parent):
                tracks.lay(stream)
                outlines.append(stream.outline)
                for audio in sound:
                    let_go(audio)
            tracks.finish()
            patches = [patch for outline in outlines for patch in outline.patches]
            if patches:
                say(f"{sum(patch.source == 'separated' for patch in patches)} of {len(patches)} overlapped voices taken apart")
        return tuple(outlines)

    def _streams(self, sound: Sound, found: Diarized, folder: Path) -> Iterator[Stream]:
        if self._split:
            yield from channels.streams(sound, found, folder)
            return
        (recording,) = sound
        separator = self._separator() if self.settings.separate != "off" else None
        choice = self.preflight().of("diarizer")
        found_edges = choice is None or choice.backend != "rttm"
        cutting = Cutting(self.settings.separate, reach=REACH if found_edges else 0.0)
        yield from isolate(recording, found.turns, separator, cutting=cutting, gates=self._gates(), tell=self._tell)

    def _transcribe(
        self, outlines: Sequence[Outline], tracks: Mapping[Speaker, Path], path: Path | Together, given: str | None
    ) -> tuple[Heard, ...]:
        """One answer per stretch, in their order; each person's stretches go to the transcriber together, silenced ones to nobody."""
        heard = {at: Heard(()) for at, outline in enumerate(outlines) if outline.silent}
        total, done = sum(outline.span.duration for outline in outlines), 0.0
        with self._stage("transcribe", f"transcribing {path}") as say:
            transcriber: Transcriber = self._backend("transcriber", given)
            _check_given(transcriber, self.settings.script, given)
            stretches: dict[Speaker, list[int]] = {}
            for at, outline in enumerate(outlines):
                if at not in heard:
                    stretches.setdefault(outline.speaker, []).append(at)
            for speaker, mine in sorted(stretches.items()):
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

    def _listener(self) -> Listener:
        choice = self.preflight().of("diarizer")
        listener: Listener = backends.imported(backends.LISTENER).load(self.settings, {}, choice.device if choice is not None else "cpu")
        return listener

    def _gates(self) -> Gates:
        verifies = self.settings.has("verify") and self.preflight().of("embedder") is not None
        return Gates(
            threshold=self.settings.match_threshold if self.settings.has("verify") else None,
            verifier=backends.imported(backends.VERIFIER)(lambda: self._backend("embedder")) if verifies else None,
            leakage=self.settings.has("leakage"),
            telling=TELLING_LITTLE if self.settings.separate == "auto" else TELLING,
        )

    def _backend(self, stage: str, given: str | None = None) -> Any:
        """The stage's backend, loaded when first needed, and again where the file ``given`` to it holds something else by now."""
        choice = self.preflight().of(stage)
        if choice is None:
            raise ValueError(f"the settings leave out the {stage}")
        if isinstance(loaded := self._loaded.get(stage), FromFile) and given is not None and loaded.sha256 != given:
            del self._loaded[stage]
        if stage not in self._loaded:
            cache = self.settings.cache_dir or weights.default_cache()
            with blame(VERBS[stage], f"loading the {stage} {choice.backend}"):
                for source in choice.sources.values():
                    weights.require_whole(source, stage=VERBS[stage], cache=cache)
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


def _check_given(backend: object, path: Path | None, given: str | None) -> None:
    """Raise `SettingsError` where the file that a backend answers from is not the one that the kept result is to stand for."""
    if isinstance(backend, FromFile) and given is not None and backend.sha256 != given:
        raise SettingsError(f"{path}: has changed while it was being used; run again when nothing writes to it any more")
