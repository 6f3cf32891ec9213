"""Pipeline: settings with loaded models; RecordingRun: one recording through its stages, each done once and kept.

    Pipeline.open(recording, cache) ─→ RecordingRun
        .clean()        music and noise taken out  kept as clean-<key>.json and a file per channel; only on request
        .diarize()      who speaks when            kept as diarize-<key>.json
        .separate()     one stream per speaker     kept as separate-<key>.json and a track per speaker
        .transcribe()   words of every clip        kept as transcribe-<key>.json
        .transcript()   merged; not kept

A stage calls the ones before it. The recording is decoded at most once, and only if a stage needs its sound. How it is
decoded, diarized and turned into streams is a route: `MixedRecording`, or `ChannelPerSpeaker` with a microphone per
speaker.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from meetsplit.pipeline import versions
from meetsplit.pipeline.audio.arrays import ArrayRecording, is_array, name_of, write_array
from meetsplit.pipeline.audio.clip_cache import clip_digest
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.memmap import release_pages
from meetsplit.pipeline.audio.reading import read, resample
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.cache.content import RecordingContent, hash_recording
from meetsplit.pipeline.cache.run_cache import open_cache
from meetsplit.pipeline.cache.stage_cache import STAGES, CacheKeys, StageCache, cache_keys
from meetsplit.pipeline.channels import activity, reading
from meetsplit.pipeline.channels.activity import timebase
from meetsplit.pipeline.channels.crosstalk import crosstalk_spans
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.cleaners import recording as cleaning
from meetsplit.pipeline.data import (
    Audio,
    Channels,
    ClipTranscript,
    Diarization,
    DroppedText,
    Provenance,
    Span,
    Speaker,
    Stream,
    StreamInfo,
    Transcript,
    timeline,
)
from meetsplit.pipeline.errors import SettingsError, blame
from meetsplit.pipeline.events import (
    EventListener,
    Finished,
    Kept,
    Notice,
    Opened,
    Progressed,
    Started,
    ignore_events,
    log_events,
)
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.merge import merge, with_dropped
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.selection import (
    STAGE_VERBS,
    BackendSelection,
    FileStamps,
    SelectedBackend,
    preflight,
)
from meetsplit.pipeline.overlap.duplicates import drop_duplicate_words
from meetsplit.pipeline.overlap.regions import RegionOptions
from meetsplit.pipeline.overlap.resegmentation import resegment
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.overlap.verification import MIN_VERIFY_SECONDS, MIN_VERIFY_SECONDS_MARGINAL, VerificationOptions
from meetsplit.pipeline.protocols import (
    Aligner,
    Cleaner,
    Diarizer,
    FileDiarizer,
    FromFile,
    Resampling,
    Separator,
    Transcriber,
    as_separator,
    transcribe_all,
    validate_turns,
    validate_words,
)
from meetsplit.pipeline.results.disk_space import check_disks
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.ownership import result_request
from meetsplit.pipeline.results.rediarize import rediarized
from meetsplit.pipeline.results.run_result import RunResult
from meetsplit.pipeline.results.stems import safe_stem
from meetsplit.pipeline.results.writing import given_names, write_results
from meetsplit.pipeline.separators.enrolled import EnrolledSeparator
from meetsplit.pipeline.separators.matching import MatchingSeparator
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.kept_speech import KeptSpeech, KnownPeople, kept_speech, people_with_speech
from meetsplit.speakers.match import EmbeddingMatcher
from meetsplit.speakers.rendering import (
    CACHED_RATE,
    Progress,
    TrackOptions,
    TrackSource,
    render_cached_tracks,
    render_tracks,
    write_sound,
)
from meetsplit.speakers.tracks import TrackWriter
from meetsplit.speakers.verify import EmbeddingVerifier
from meetsplit.speakers.voice_store import EnrolledVoice, VoiceStore
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder, embed_people

RATE = CACHED_RATE
"""Sample rate in Hz at which a recording is decoded, mono; a stage that needs another gets it resampled."""

BOUNDARY_EXTENSION = 0.15
"""Seconds by which a separated voice is extended past a predicted turn boundary that lies inside another speaker's
turn. Not applied to boundaries given with ``--rttm``."""


KeptClips: TypeAlias = Mapping[Speaker, Sequence[Audio]]
"""Clean speech of enrolled people from elsewhere, by the speaker of this recording who they are."""


@dataclass(frozen=True, slots=True)
class _LoadedBackend:
    """A backend with the stamps of the user's own model files that it was loaded from.

    None where the caller loaded it.
    """

    backend: Any
    stamps: FileStamps | None

    def is_current(self, stamps: FileStamps, sha256: str | None) -> bool:
        """Whether its model files still have these stamps, and its file of turns or words this checksum."""
        if isinstance(self.backend, FromFile) and sha256 is not None and self.backend.sha256 != sha256:
            return False
        return self.stamps is None or self.stamps == stamps


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
        self.settings = settings or Settings()
        self.on_event = on_event
        self._transcribes = transcribes
        self._selection: BackendSelection | None = None
        self._loaded = {stage: _LoadedBackend(backend, None) for stage, backend in (loaded or {}).items()}
        self._voice_encoders: dict[str, VoiceEncoder] = {}

    def __repr__(self) -> str:
        default, shown = Settings(), [item.name for item in fields(Settings) if item.repr]
        values = {name: value for name in shown if (value := getattr(self.settings, name)) != getattr(default, name)}
        options = (f"{name}={str(value)!r}" if isinstance(value, Path) else f"{name}={value!r}"
                   for name, value in values.items())  # fmt: skip
        return f"<Pipeline: {', '.join(options) or 'default settings'}>"

    def preflight(self) -> BackendSelection:
        """Select a backend for each stage; fetches what is missing. Raises as `selection.preflight` does."""
        if self._selection is None:
            self._selection = preflight(self.settings, self.on_event, transcribes=self._transcribes)
        return self._selection

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
        return RecordingRun(self, recording, cache, content or hash_recording(recording), _Given(words, outputs))

    def backend(self, stage: str, sha256: str | None = None) -> Any:
        """The stage's backend, loaded when first needed.

        It is loaded again where model files that the user named have changed since, and where the checksum of its file
        of turns or words is no longer ``sha256``.
        """
        selected = self.preflight().of(stage)
        if selected is None:
            raise ValueError(f"the settings leave out the {stage}")
        stamps = selected.local_file_stamps()
        loaded = self._loaded.pop(stage, None)
        if loaded is None or not loaded.is_current(stamps, sha256):
            loaded = None  # an outdated model gives its memory back before the new one is loaded
            loaded = _LoadedBackend(self._load(selected), stamps)
        self._loaded[stage] = loaded
        return loaded.backend

    def _load(self, selected: SelectedBackend) -> Any:
        cache = self.settings.cache_dir or weights.default_cache()
        verb = STAGE_VERBS[selected.stage]
        device.limit_threads(self.settings.threads)
        with blame(verb, f"loading the {selected.stage} {selected.backend}"):
            for source in selected.sources.values():
                weights.require_intact(source, stage=verb, cache=cache)
            return registry.load(selected.stage, selected.backend, self.settings, selected.weights, selected.device)

    def load_separator(self) -> Separator:
        """The separator; a blind one with the matcher that gives its voices to speakers."""
        separator = self.backend("separator")
        selected = self.preflight().of("separator")
        if isinstance(separator, Resampling) and min(separator.network_rates, default=RATE) < RATE:
            self.on_event(Notice(_describe_low_rate(min(separator.network_rates)), "separate"))
        if selected is not None and selected.backend in registry.BLIND:
            separator = MatchingSeparator(separator, EmbeddingMatcher(self.backend("embedder")))
        return as_separator(separator)

    def with_separator(self, name: str, model: str | None = None) -> Pipeline:
        """A pipeline with another separator; models of other stages that this one has loaded are the same in both.

        ``model`` is what `Settings.separator_model` takes.
        """
        settings = replace(self.settings, separator=name, separator_model=model, separator_model_3=None)
        other = Pipeline(settings, on_event=self.on_event)
        # The embedder is chosen by the separator: one that matches voices may be another than one that verifies them.
        shared = ("diarizer", "transcriber", "aligner")
        other._loaded = {stage: loaded for stage, loaded in self._loaded.items() if stage in shared}
        other._voice_encoders = self._voice_encoders
        return other

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name, loaded when first needed; raises as `VoiceEncoder.load`."""
        if backend not in self._voice_encoders:
            self._voice_encoders[backend] = VoiceEncoder.load(self.settings, backend)
        return self._voice_encoders[backend]

    @contextmanager
    def stage(self, stage: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Send the events of a stage and translate its exceptions; the block may add to the summary."""
        self.on_event(Started(stage))
        began, summary = time.monotonic(), list[str]()
        with blame(stage, doing):
            yield summary.append
        self.on_event(Finished(stage, time.monotonic() - began, ", ".join(summary)))


def _describe_low_rate(rate: int) -> str:
    """A sentence about a separator's model for fewer samples a second than the pipeline has."""
    cut = f"what lies above {0.46 * rate / 1000:.1f} kHz goes to whoever is louder at that moment"
    return f"the separator's model is made for {rate / 1000:g} kHz: overlaps are resampled for it, and {cut}"


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


@dataclass(frozen=True, slots=True)
class _Given:
    """What a run gets besides its recording: an earlier transcript with its words, and its outputs."""

    words: Transcript | None = None
    outputs: Outputs | None = None


class RecordingRun:
    """One recording through the stages of a `Pipeline`; a stage whose result is kept in the cache is not repeated.

    Every method raises what its stage raises, and `OutputError` where a result cannot be kept.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        recording: Path | MultiFileRecording,
        cache: StageCache,
        content: RecordingContent,
        given: _Given = _Given(),
    ) -> None:
        self._pipeline, self._recording, self._cache = pipeline, recording, cache
        self._words, self._outputs = given.words, given.outputs or Outputs(voices="off")
        self._reported: set[str] = set()
        pipeline.on_event(Opened(str(recording)))
        is_split = pipeline.settings.channels == "split"
        self._route: Route = ChannelPerSpeaker(pipeline, recording) if is_split else MixedRecording(pipeline, recording)
        self._content = content
        self._first_keys = cache_keys(content.sha256, pipeline.settings, pipeline.preflight())
        self._voiceprints: dict[str, Mapping[Speaker, VoiceEmbeddings]] = {}

    @property
    def is_mixed(self) -> bool:
        """Whether everybody is in one channel."""
        return isinstance(self._route, MixedRecording)

    def heard(self, speaker: Speaker) -> Audio:
        """The sound in which a speaker of `diarize` is to be heard: the recording, or the speaker's own channel."""
        numbers = dict(self.diarize().channels)
        return self._stretch[0 if self.is_mixed else numbers[speaker]]

    def with_known_voices(self, known: Mapping[Speaker, Sequence[Audio]]) -> RecordingRun:
        """The same run, in which the separator has clips of some speakers from elsewhere beside the recording's own.

        What it separates is kept beside what is separated without them.
        """
        clips = {**self._kept_speech.clips, **{speaker: tuple(clips) for speaker, clips in known.items()}}
        digests = [(speaker, clip_digest(one).hex()) for speaker, one in sorted(clips.items())]
        sha256 = hashlib.sha256(json.dumps(digests).encode()).hexdigest()
        other = copy.copy(self)
        other._kept_speech = KeptSpeech(clips, sha256, self._kept_speech.notices)
        other._keys = self._first_keys.with_kept_speech(sha256)
        return other

    @property
    def sound(self) -> tuple[Path, Content | None] | None:
        """The file of the recording with its content; None where there are several files."""
        if isinstance(self._recording, MultiFileRecording):
            return None
        return self._recording, self._content.files.get(self._recording)

    @functools.cached_property
    def _audio(self) -> Channels:
        with self._pipeline.stage("decode", f"decoding {self._recording}") as add_to_summary:
            audio = self._route.read(self._cache.folder, self._content)
            add_to_summary(f"{timebase(audio).duration:.0f} s")
        return audio

    @functools.cached_property
    def _stretch(self) -> Channels:
        """The part of the recording that the settings choose, in its place on the recording's clock."""
        audio, settings = self._audio, self._pipeline.settings
        start, end = settings.stretch
        if (start, end) == (0.0, None):
            return audio
        length = timebase(audio).span.end
        check_stretch(settings, length, self._recording)
        if end is not None and end > length:
            self._pipeline.on_event(
                Notice(f"--end {end:g}: {self._recording} ends at {length:.1f} s already: up to there", "decode")
            )
        return tuple(channel.part(Span(start, length if end is None else end)) for channel in audio)

    @functools.cached_property
    def _cleaned(self) -> cleaning.CleanedRecording:
        """The same without music or noise, where the settings ask for that."""
        key, audio, pipeline = self._first_keys.clean, self._stretch, self._pipeline
        if key is None:
            return cleaning.CleanedRecording(audio, ())
        outcomes = self._cache.load_cleaned(key)
        self._report("clean", key, kept=outcomes is not None)
        if outcomes is not None and len(outcomes) == len(audio):
            return cleaning.kept_channels(audio, outcomes, self._cache, key)
        total = sum(channel.duration for channel in audio)
        with pipeline.stage("clean", f"taking {_kinds(pipeline.settings)} out of {self._recording}") as add_to_summary:
            cleaner: Cleaner = pipeline.backend("cleaner")
            cleaned = cleaning.clean_channels(
                audio,
                cleaner,
                pipeline.settings.clean,
                self._cache,
                key,
                lambda done: pipeline.on_event(Progressed("clean", done, total)),
            )
            add_to_summary(cleaned.summary())
        if not cleaned.is_changed:
            told = f"--clean {pipeline.settings.clean}: {self._recording} has next to none of it and stays as it is"
            pipeline.on_event(Notice(told, "clean"))
        return cleaned

    @functools.cached_property
    def _people_with_speech(self) -> tuple[EnrolledVoice, ...]:
        """The enrolled people, if speech is kept of any, and this recording's voices are taken apart."""
        settings, separator = self._pipeline.settings, self._pipeline.preflight().of("separator")
        voices = self._outputs.voices
        if voices == "off" or settings.separate == "off" or settings.channels == "split" or separator is None:
            return ()
        return people_with_speech(VoiceStore.named(voices))

    @functools.cached_property
    def _kept_speech(self) -> KeptSpeech:
        """The kept speech of enrolled people who hardly speak alone in this recording."""
        people = self._people_with_speech
        if not people:
            return KeptSpeech()
        diarization = self.diarize()
        known = KnownPeople(people, VoiceStore.named(self._outputs.voices), given_names(diarization, self._outputs))
        return kept_speech(self, diarization.turns, known)

    @functools.cached_property
    def _keys(self) -> CacheKeys:
        """The keys of all stages; those after the diarization may depend on who speaks."""
        return self._first_keys.with_kept_speech(self._kept_speech.sha256)

    def remaining_stages(self) -> tuple[str, ...]:
        """The stages of `STAGES` whose results are not in the cache, in order."""
        has_turns = self._cache.load_diarization(self._first_keys.diarize) is not None
        if self._people_with_speech and not has_turns:
            return STAGES  # who speaks decides with which kept speech the other stages are done
        clips = self._cache.load_streams(self._keys.separate)
        is_kept = {
            "diarize": has_turns,
            "separate": clips is not None,
            "transcribe": clips is not None
            and self._cache.load_transcripts(self._keys.transcribe, len(clips)) is not None,
        }
        return tuple(stage for stage in STAGES if not is_kept[stage])

    def diarize(self) -> Diarization:
        """The turns of every speaker."""
        diarization = self._cache.load_diarization(self._first_keys.diarize)
        self._report("diarize", self._first_keys.diarize, kept=diarization is not None)
        if diarization is None:
            audio = self._cleaned.channels
            doing = f"finding who speaks when in {self._recording}"
            with self._pipeline.stage("diarize", doing) as add_to_summary:
                diarization = self._route.diarize(audio, self._first_keys.rttm)
                diarization = replace(diarization, duration=timebase(self._audio).span.end)
                add_to_summary(activity.describe_channels(diarization) if len(audio) > 1 else _summarize(diarization))
            self._cache.save_diarization(self._first_keys.diarize, diarization)
        return diarization

    def separate(self) -> tuple[StreamInfo, ...]:
        """The clips of every speaker's stream, without their sound, which is in `tracks`."""
        clips = self._cache.load_streams(self._keys.separate)
        self._report("separate", self._keys.separate, kept=clips is not None)
        if clips is None:
            diarization = self.diarize()
            for text in self._kept_speech.notices:
                self._pipeline.on_event(Notice(text, "separate"))
            track_folder = self._cache.start_track_folder(self._keys.separate)
            clips = self._write_tracks(self._cleaned.channels, diarization, track_folder)
            self._cache.save_streams(self._keys.separate, clips)
        return clips

    def transcribe(self) -> tuple[ClipTranscript, ...]:
        """The words of each clip, in the order of `separate`."""
        clips = self.separate()
        transcripts = self._cache.load_transcripts(self._keys.transcribe, len(clips))
        self._report("transcribe", self._keys.transcribe, kept=transcripts is not None)
        if transcripts is None:
            transcripts = self._transcribe(clips)
            self._cache.save_transcripts(self._keys.transcribe, transcripts)
        return transcripts

    def transcript(self) -> Transcript:
        """The words of all streams merged into one transcript; each utterance in one stream only.

        With the words of an earlier transcript: that transcript, rediarized.
        """
        pipeline = self._pipeline
        if self._words is not None:
            diarization = self.diarize()
            return rediarized(self._words, diarization, self._made_by(diarization), pipeline.on_event)
        diarization, clips, words = self.diarize(), self.separate(), self.transcribe()
        if pipeline.settings.has_check("duplicates"):
            tracks = self.tracks
            words = drop_duplicate_words(
                list(zip(clips, words, strict=True)), lambda who, span: read_span(tracks[who], span)
            )
        streams = list(zip(clips, words, strict=True))
        segments, alone = with_dropped(merge(streams, diarization.turns, diarization.span), streams)
        if alone:
            pipeline.on_event(Notice(_describe_dropped(alone), "transcribe"))
        made_by = replace(self._made_by(diarization), guards=_guard_counts(words))
        name, duration = self._recording.stem, diarization.duration
        return Transcript(name, duration, segments, diarization.turns, made_by, names=diarization.names)

    def _made_by(self, diarization: Diarization) -> Provenance:
        pipeline = self._pipeline
        stages = tuple(activity.with_channel_owners(record, diarization) for record in pipeline.preflight().records())
        return Provenance(versions.meetsplit(), stages, pipeline.settings.recorded(), versions.recorded())

    @property
    def tracks(self) -> Mapping[Speaker, Path]:
        """The track of every speaker in the stage cache, once `separate` is done: 16 kHz, mono, as transcribed.

        What people get is made of it and of the recording, see `render_tracks`.
        """
        self.separate()
        return self._cache.track_paths(self._keys.separate)

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The pipeline's encoder of voiceprints of that name."""
        return self._pipeline.voice_encoder(backend)

    def voiceprints(self, encoder: VoiceEncoder) -> Mapping[Speaker, VoiceEmbeddings]:
        """The voiceprints of every speaker, computed once for each encoder.

        Of the tracks, which are the recording where somebody speaks alone; of the recording itself where kept speech
        may take voices apart, because then who is who has to be known before there are tracks.
        """
        if encoder.name not in self._voiceprints:
            turns = self.diarize().turns
            if self._people_with_speech:
                (recording,) = self._stretch
                people = embed_people(encoder, turns, lambda speaker, span: recording.crop(span))
            else:
                tracks = self.tracks
                turns = tuple(turn for turn in turns if turn.speaker in tracks)
                people = embed_people(encoder, turns, lambda speaker, span: read_span(tracks[speaker], span))
            self._voiceprints[encoder.name] = people
        return self._voiceprints[encoder.name]

    def render_tracks(
        self, targets: Mapping[Speaker, Path], options: TrackOptions, on_progress: Progress = lambda share: None
    ) -> None:
        """Write each speaker's track to its target, at the recording's own rate and with its own channels unless
        ``options`` say otherwise; raises as `rendering.render_tracks`.
        """
        clips, diarization = self.separate(), self.diarize()
        sources = self._route.track_sources(diarization, self._content)
        with blame("write", f"writing the tracks of {self._recording}"):
            if self._first_keys.clean is None or not self._cleaned.is_changed:
                if options.sound == "cleaned":
                    told = f"--track-sound cleaned: nothing was taken out of {self._recording} (see --clean)"
                    self._pipeline.on_event(Notice(told, "write"))
                render_tracks(self.tracks, clips, sources, targets, options, on_progress)
            elif options.sound == "cleaned":
                render_cached_tracks(self.tracks, clips, targets, options, on_progress)
            else:
                sources = tuple(replace(source, is_cleaned=True) for source in sources)
                render_tracks(self.tracks, clips, sources, targets, options, on_progress)

    def write_background(self, target: Path) -> bool:
        """Write what was taken out of the recording, 16 kHz and mono; False where that is nothing."""
        if self._first_keys.clean is None or not self._cleaned.is_changed:
            return False
        whole = timebase(self._audio)
        blocks = cleaning.background(self._stretch, self._cleaned.channels, len(whole.samples))
        with blame("write", f"writing the background of {self._recording}"):
            write_sound(target, blocks, whole.rate, len(whole.samples))
        return True

    def _report(self, stage: str, key: str, *, kept: bool) -> None:
        """Send `Kept` where a stage's result was there before this run; once for each stage."""
        if kept and stage not in self._reported:
            self._pipeline.on_event(Kept(stage, self._cache.kept_since(stage, key)))
        self._reported.add(stage)

    def _write_tracks(self, audio: Channels, diarization: Diarization, folder: Path) -> tuple[StreamInfo, ...]:
        """Write each clip of each stream into its speaker's track as it comes; only its description stays in memory.

        A track is as long as the whole recording, whatever stretch of it is processed.
        """
        clips: list[StreamInfo] = []
        with (
            self._pipeline.stage("separate", f"taking voices apart in {self._recording}") as add_to_summary,
            TrackWriter(folder, timebase(self._audio)) as tracks,
        ):
            for stream in self._route.streams(audio, diarization, folder.parent, self._kept_speech.clips):
                tracks.write(stream)
                clips.append(stream.info)
                for channel in audio:
                    release_pages(channel)
            tracks.finish()
            voices = [voice for clip in clips for voice in clip.patches]
            if voices:
                separated = sum(voice.source == "separated" for voice in voices)
                add_to_summary(f"{separated} of {len(voices)} overlapped voices taken apart")
        return tuple(clips)

    def _transcribe(self, clips: Sequence[StreamInfo]) -> tuple[ClipTranscript, ...]:
        """One answer per clip; each speaker's clips go to the transcriber as one stream, muted clips are left out."""
        pipeline, tracks = self._pipeline, self.tracks
        answers = {number: ClipTranscript(()) for number, clip in enumerate(clips) if clip.silent}
        total, done = sum(clip.span.duration for clip in clips), 0.0
        with pipeline.stage("transcribe", f"transcribing {self._recording}") as add_to_summary:
            transcriber: Transcriber = pipeline.backend("transcriber", self._keys.script)
            _check_unchanged(transcriber, pipeline.settings.script, self._keys.script)
            aligner: Aligner | None = pipeline.backend("aligner") if pipeline.preflight().of("aligner") else None
            by_speaker: dict[Speaker, list[int]] = {}
            for number, clip in enumerate(clips):
                if number not in answers:
                    by_speaker.setdefault(clip.speaker, []).append(number)
            numbers = [number for _, own in sorted(by_speaker.items()) for number in own]
            streams = [
                _clips_of_track(tracks[speaker], [clips[number].span for number in own], transcriber.rate)
                for speaker, own in sorted(by_speaker.items())
            ]
            for number, answer in zip(numbers, transcribe_all(transcriber, streams, pipeline.on_event), strict=True):
                clip = clips[number]
                answers[number] = validate_words(answer, clip.span)
                if aligner is not None:
                    (sound,) = _clips_of_track(tracks[clip.speaker], [clip.span], aligner.rate)
                    answers[number] = validate_words(aligner.align(sound, answer), clip.span)
                done += clip.span.duration
                pipeline.on_event(Progressed("transcribe", done, total))
            add_to_summary(f"{sum(len(answer.words) for answer in answers.values())} words")
        return tuple(answers[number] for number in range(len(clips)))


def _kinds(settings: Settings) -> str:
    """What the settings take out, in words."""
    return " and ".join(sorted(cleaning.kinds_of(settings.clean)))


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


def check_stretch(settings: Settings, length: float | None, recording: Path | MultiFileRecording) -> None:
    """Raise `SettingsError` where a recording of ``length`` seconds ends before the stretch to process begins."""
    start = settings.stretch[0]
    if length is not None and start > 0.0 and start >= length:
        raise SettingsError(f"--start {start:g}: {recording} ends at {length:.1f} s: choose an earlier time")


class Route(Protocol):
    """How a recording is decoded, diarized and turned into one stream per speaker."""

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """The recording's channels on one clock; long ones are memory-mapped in ``folder``.

        Only ``content`` is decoded.
        """

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """The turns of every speaker. ``sha256`` is the checksum that a file of given turns must have."""

    def streams(self, audio: Channels, diarization: Diarization, folder: Path, kept: KeptClips) -> Iterator[Stream]:
        """Every speaker's stream, clip by clip, sorted by start for each speaker; ``kept`` is speech from elsewhere."""

    def track_sources(self, diarization: Diarization, content: RecordingContent) -> tuple[TrackSource, ...]:
        """The files and channels that the speakers' tracks are made of."""


class MixedRecording:
    """All speakers in one channel: a diarizer finds the turns, a separator takes overlaps apart."""

    def __init__(self, pipeline: Pipeline, recording: Path | MultiFileRecording) -> None:
        if isinstance(recording, MultiFileRecording):
            raise SettingsError(f"{recording}: a file per person is a channel per person: choose --channels split")
        self._pipeline, self._path = pipeline, recording

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """The recording, mixed down to mono; suggests ``--channels split`` where its channels hold different people."""
        pipeline = self._pipeline
        hint = reading.suggest_split(self._path) if pipeline.settings.rttm is None else None
        if hint is not None:
            pipeline.on_event(Notice(hint, "decode"))
        file_content = content.files.get(self._path)
        return (read(self._path, RATE, folder=folder, content=file_content, on_event=pipeline.on_event),)

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """The diarizer's turns, resegmented around overlaps unless they were given."""
        pipeline, (recording,) = self._pipeline, audio
        diarizer: Diarizer = pipeline.backend("diarizer")
        if isinstance(diarizer, FileDiarizer):
            diarizer = diarizer.for_recording(self._path.stem)
        listener = pipeline.on_event
        if isinstance(diarizer, FileDiarizer) and pipeline.settings.stretch != (0.0, None):
            listener = ignore_events  # of its turns, those outside the stretch are cut because that was requested
        turns = validate_turns(diarizer.diarize(resample(recording, diarizer.rate), listener), recording)
        _check_unchanged(diarizer, pipeline.settings.rttm, sha256)
        if pipeline.settings.resegments:
            found = timeline.with_confidence(resegment(recording, turns, self._speaker_activity()), turns)
            turns = timeline.relabelled(found)
        return Diarization(recording.duration, turns, diarizer.names if isinstance(diarizer, FileDiarizer) else ())

    def streams(self, audio: Channels, diarization: Diarization, folder: Path, kept: KeptClips) -> Iterator[Stream]:
        """The recording where one person speaks alone, the separated voice in overlaps."""
        pipeline, (recording,) = self._pipeline, audio
        separate = pipeline.settings.separate
        separator = pipeline.load_separator() if separate != "off" else None
        if separator is not None and kept:
            separator = EnrolledSeparator(separator, kept)
        diarizer = pipeline.preflight().of("diarizer")
        predicted = diarizer is None or diarizer.backend != "rttm"
        options = RegionOptions(separate, boundary_extension=BOUNDARY_EXTENSION if predicted else 0.0)
        verification = self._verification()
        yield from speaker_streams(
            recording,
            diarization.turns,
            separator,
            options=options,
            verification=verification,
            on_event=pipeline.on_event,
        )

    def track_sources(self, diarization: Diarization, content: RecordingContent) -> tuple[TrackSource, ...]:
        """The recording with all its channels, for everybody."""
        speakers = tuple(sorted({turn.speaker for turn in diarization.turns}))
        return (TrackSource(self._path, content.files.get(self._path), speakers),)

    def _speaker_activity(self) -> Any:
        from meetsplit.pipeline.separators.speaker_activity import DictionaryActivity

        diarizer = self._pipeline.preflight().of("diarizer")
        return DictionaryActivity.load(self._pipeline.settings, {}, diarizer.device if diarizer is not None else "cpu")

    def _verification(self) -> VerificationOptions:
        pipeline, settings = self._pipeline, self._pipeline.settings
        verify = settings.has_check("verify")
        has_embedder = pipeline.preflight().of("embedder") is not None
        return VerificationOptions(
            threshold=settings.match_threshold if verify else None,
            verifier=EmbeddingVerifier(lambda: pipeline.backend("embedder")) if verify and has_embedder else None,
            leakage=settings.has_check("leakage"),
            min_seconds=MIN_VERIFY_SECONDS_MARGINAL if settings.separate == "auto" else MIN_VERIFY_SECONDS,
        )


class ChannelPerSpeaker:
    """A microphone per person: turns from voice activity in each channel, streams with crosstalk cancelled."""

    def __init__(self, pipeline: Pipeline, recording: Path | MultiFileRecording) -> None:
        self._pipeline, self._recording = pipeline, recording

    def read(self, folder: Path, content: RecordingContent) -> Channels:
        """One channel per person."""
        return reading.read_channels(self._recording, RATE, folder, self._pipeline.on_event, content.files)

    def diarize(self, audio: Channels, sha256: str | None) -> Diarization:
        """Turns from each channel's own voice activity."""
        names = self._recording.speaker_names if isinstance(self._recording, MultiFileRecording) else ()
        within = Span(self._pipeline.settings.stretch[0], timebase(audio).span.end)
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


def _clips_of_track(track: Path, spans: Iterable[Span], rate: int) -> Iterator[Audio]:
    """The stretches of a track, each read and resampled when it is asked for."""
    for span in spans:
        yield resample(read_span(track, span), rate)


def _summarize(diarization: Diarization) -> str:
    turns = diarization.turns
    return f"{len({turn.speaker for turn in turns})} speakers, {len(turns)} turns"


def _check_unchanged(backend: object, path: Path | None, sha256: str | None) -> None:
    """Raise `SettingsError` where the file that a backend answers from is not the one with that checksum."""
    if isinstance(backend, FromFile) and sha256 is not None and backend.sha256 != sha256:
        raise SettingsError(
            f"{path}: has changed while it was being used; run again when nothing writes to it any more"
        )
