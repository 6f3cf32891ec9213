"""Pipeline: settings with the models they need; runs any number of recordings. What a person calls in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from meetsplit.pipeline.audio.arrays import ArrayRecording, is_array, name_of, write_array
from meetsplit.pipeline.cache.content import RecordingContent, hash_recording
from meetsplit.pipeline.cache.run_cache import open_cache
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener, Notice, log_events
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.models.selection import BackendSelection
from meetsplit.pipeline.protocols import Separator
from meetsplit.pipeline.results.disk_space import check_disks
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.ownership import result_request
from meetsplit.pipeline.results.run_result import RunResult
from meetsplit.pipeline.results.stems import safe_stem
from meetsplit.pipeline.results.writing import write_results
from meetsplit.pipeline.run.backends import Backends
from meetsplit.pipeline.run.recording_run import RecordingRun
from meetsplit.pipeline.run.stage_events import stage_events
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.voiceprints import VoiceEncoder


class Pipeline:
    """Settings with the models they need, loaded once, when first needed; runs any number of recordings.

    ``on_event`` is called with every event (`events`); notices go to the log ``meetsplit`` where it is left out.
    ``loaded`` are backends that the caller has loaded already, by stage ("diarizer", "separator", "embedder",
    "transcriber", "aligner"). Without ``transcribes``, no transcriber is needed and runs end with `separate`.

    >>> Pipeline(Settings(diarizer="embedded", transcriber="sphinx")).settings.diarizer
    'embedded'
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_event: EventListener = log_events,
        loaded: Mapping[str, Any] | None = None,
        transcribes: bool = True,
    ) -> None:
        self._backends = Backends(settings or Settings(), on_event, loaded or {}, transcribes=transcribes)

    @property
    def settings(self) -> Settings:
        """The settings of every run."""
        return self._backends.settings

    @property
    def on_event(self) -> EventListener:
        """What is called with every event."""
        return self._backends.on_event

    def __repr__(self) -> str:
        default, shown = Settings(), [item.name for item in fields(Settings) if item.repr]
        values = {name: value for name in shown if (value := getattr(self.settings, name)) != getattr(default, name)}
        options = (f"{name}={str(value)!r}" if isinstance(value, Path) else f"{name}={value!r}"
                   for name, value in values.items())  # fmt: skip
        return f"<Pipeline: {', '.join(options) or 'default settings'}>"

    def preflight(self) -> BackendSelection:
        """Select a backend for each stage; fetches what is missing. Raises as `selection.preflight` does."""
        return self._backends.preflight()

    def run(
        self,
        recording: str | PathLike[str] | MultiFileRecording | ArrayRecording,
        *,
        folder: str | PathLike[str] | None = None,
        outputs: Outputs | None = None,
        sample_rate: int | None = None,
        name: str | None = None,
        cache: bool = False,
    ) -> RunResult:
        """One recording's transcript; with a ``folder``, its files and tracks are written there.

        ``recording`` is a file, several (`together`), or an array with its ``sample_rate`` in Hz, see
        `arrays.ArrayRecording`; ``name`` is what an array's files are called. ``outputs`` says what is written and how
        it looks; without it and a ``folder`` nothing is written but a scratch folder that is removed afterwards. Files
        are written whole, all or none, and never over what meetsplit did not write for this recording: they are called
        ``<name>-2.*`` then, with a warning in the log. With ``cache``, finished stages are kept and used again, as the
        command line does.

        Raises `AudioError` for a recording that cannot be read, `StageError` for a stage that fails, `OutputError`
        for files that cannot be written, and as `preflight` does.
        """
        if folder is not None:
            outputs = replace(outputs or Outputs(), folder=Path(folder))
        with scratch_folder() as scratch:
            source = _source(recording, scratch, sample_rate, name)
            content = hash_recording(source)
            request = result_request(source, outputs or Outputs(), sha256=content.sha256)
            with ExitStack() as stack:
                if outputs is not None:
                    files = tuple(path for path in (self.settings.rttm, self.settings.script) if path is not None)
                    request = replace(request, inputs=(*request.inputs, *files))
                    reservation = stack.enter_context(ResultsFolder(outputs.folder).reservation(request))
                stages = stack.enter_context(
                    open_cache(source, self.settings, keep=cache, sha256=content.sha256, on_event=self.on_event)
                )
                recording_run = self.open(source, stages, content, outputs=outputs)
                if outputs is None:
                    return RunResult.of(recording_run.transcript(), owner=request.owner)
                check_disks(
                    source, self.settings, outputs, stages.folder,
                    elsewhere="folder, or TMPDIR", stages=recording_run.remaining_stages(),
                )  # fmt: skip
                written = write_results(recording_run, outputs, reservation, self.on_event)
        placement = written.placement
        if placement.reason is not None:
            self.on_event(Notice(f"{source.stem} is written as {placement.stem}.*: {placement.reason}", "write"))
        return RunResult.of(written.transcript, files=written.files, tracks=written.tracks, owner=request.owner)

    def open(
        self,
        recording: Path | MultiFileRecording,
        cache: StageCache,
        content: RecordingContent | None = None,
        *,
        words: Transcript | None = None,
        outputs: Outputs | None = None,
    ) -> RecordingRun:
        """One recording with its stage cache; no stage runs yet. ``content`` is its `hash_recording`, where that was
        computed before; the run ends with an error where it reads anything else. With ``words``, an earlier transcript
        of the recording, nothing is transcribed: its words get the speakers of the new turns, see `rediarize`.
        ``outputs`` say whose kept speech helps to take overlaps apart (``voices``), and who is called how; without any,
        nobody's helps.

        Raises `AudioError`, `SettingsError` for several files without a channel per speaker, and as `preflight` does.
        """
        content = content or hash_recording(recording)
        return RecordingRun(self._backends, recording, cache, content, words=words, outputs=outputs)

    def backend(self, stage: str, sha256: str | None = None) -> Any:
        """The stage's backend, loaded when first needed.

        It is loaded again where model files that the user named have changed since, and where the checksum of its file
        of turns or words is no longer ``sha256``.
        """
        return self._backends.load(stage, sha256)

    def load_separator(self) -> Separator:
        """The separator; a blind one with the matcher that gives its voices to speakers."""
        return self._backends.load_separator()

    def with_separator(self, name: str, model: str | None = None) -> Pipeline:
        """A pipeline with another separator; models of other stages that this one has loaded are the same in both.

        ``model`` is what `Settings.separator_model` takes.
        """
        settings = replace(self.settings, separator=name, separator_model=model, separator_model_3=None)
        other = Pipeline(settings, on_event=self.on_event)
        # The embedder is chosen by the separator: one that matches voices may be another than one that verifies them.
        shared = ("diarizer", "transcriber", "aligner")
        other._backends.share(self._backends, shared)
        return other

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name, loaded when first needed; raises as `VoiceEncoder.load`."""
        return self._backends.voice_encoder(backend)

    def stage(self, stage: str, doing: str) -> AbstractContextManager[Callable[[str], None]]:
        """Send the events of a stage and translate its exceptions; the block may add to the summary."""
        return stage_events(self.on_event, stage, doing)


def _source(
    recording: str | PathLike[str] | MultiFileRecording | ArrayRecording,
    scratch: Path,
    sample_rate: int | None,
    name: str | None,
) -> Path | MultiFileRecording:
    """The recording as files; an array is written to ``scratch``. Raises `SettingsError` for anything else."""
    if is_array(recording):
        stem = safe_stem(name or name_of(recording) or "recording")
        return write_array(recording, scratch, sample_rate=sample_rate, name=stem)
    if sample_rate is not None or name is not None:
        raise SettingsError("sample_rate and name are for arrays: a file has its own")
    match recording:
        case MultiFileRecording():
            return recording
        case str() | PathLike():
            return Path(recording)
        case {"audio": str() | PathLike() as path}:
            return Path(path)
    raise SettingsError(
        f"Pipeline.run takes a path, an array with its sample_rate, or together(…), not {type(recording).__name__}"
    )
