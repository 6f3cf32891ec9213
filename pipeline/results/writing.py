"""Writing results: a run's transcript in every format and one track file per speaker, published as one set."""

from __future__ import annotations

import dataclasses
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from meetsplit.pipeline import formats
from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.cache.content import RecordingContent, hash_recording
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Diarization, Dnsmos, Provenance, Speaker, StreamInfo, TrackQuality, Transcript
from meetsplit.pipeline.errors import OutputError, StageError
from meetsplit.pipeline.events import EventListener, Finished, Notice, Progressed, Started, ignore_events
from meetsplit.pipeline.formats import html
from meetsplit.pipeline.formats.html import NO_SOUND, PageSound
from meetsplit.pipeline.results.folder import Placement, PublishedResults, Reservation, ResultsFolder
from meetsplit.pipeline.results.manifest import manifest_of
from meetsplit.pipeline.results.ownership import Owner, ResultRequest, owner_by_turns, result_request
from meetsplit.pipeline.results.page_sound import (
    SILENT,
    SoundSources,
    StagedSound,
    can_compress,
    has_page_sound,
    sound_beside,
    stage_sound,
)
from meetsplit.pipeline.results.stems import BACKGROUND, NAME_MAX, name_max, safe_stem
from meetsplit.pipeline.results.track_names import track_stems
from meetsplit.pipeline.results.voices import embeddings_file, with_voices
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.rendering import TrackOptions

if TYPE_CHECKING:
    from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceEncoder


class FinishedRun(Protocol):
    """What is written of a run: `run.RecordingRun`."""

    def diarize(self) -> Diarization:
        """Its turns, and the channels of its speakers where each has one."""

    def separate(self) -> tuple[StreamInfo, ...]:
        """The clips of every speaker's stream."""

    def transcript(self) -> Transcript:
        """Its transcript; stages that are not done yet are done now."""

    @property
    def sound(self) -> tuple[Path, Content | None] | None:
        """The file of the recording with its content; None where there are several files."""

    @property
    def tracks(self) -> Mapping[Speaker, Path]:
        """The WAV track of every speaker."""

    @property
    def threads(self) -> int:
        """Threads on the CPU that its settings allow; 0: torch's own choice."""

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name."""

    def voiceprints(self, encoder: VoiceEncoder) -> Mapping[Speaker, VoiceEmbeddings]:
        """The voiceprints of every speaker, by that encoder."""

    def render_tracks(
        self, targets: Mapping[Speaker, Path], options: TrackOptions, on_progress: Callable[[float], None] = ...
    ) -> None:
        """Write each speaker's finished track to its target."""

    def write_background(self, target: Path) -> bool:
        """Write what was taken out of the recording; False where that is nothing."""


class Opener(Protocol):
    """What opens a recording: `run.Pipeline`."""

    def open(
        self, recording: Path, cache: StageCache, content: RecordingContent | None = None, *, outputs: Outputs
    ) -> FinishedRun:
        """The run of a recording; ``outputs`` say whose kept speech is used."""


@dataclass(frozen=True, slots=True)
class WrittenResults:
    """One recording's transcript, the files that hold it, among them the ``tracks``, and the placement of the set."""

    transcript: Transcript
    files: tuple[Path, ...]
    placement: Placement
    tracks: Mapping[Speaker, Path]


def write_results(
    run: FinishedRun,
    outputs: Outputs,
    reservation: Reservation,
    on_event: EventListener,
    *,
    mode: int | None = None,
) -> WrittenResults:
    """Finish a run and publish its results as one set, all of it or nothing; ``mode`` are the permissions of new files.

    Raises what `RecordingRun.transcript` raises, and `OutputError`.
    """
    channels = run.diarize().channels
    unnamed = run.transcript()
    given = with_names(unnamed, outputs, channels=channels).names
    heard = with_voices(run, unnamed, given, outputs, on_event)
    transcript = with_names(heard, outputs, on_event, channels=channels)
    if outputs.track_quality:
        transcript = dataclasses.replace(transcript, quality=_quality(run, on_event))
    of_sound = embeddings_file(run, on_event) if "embeddings.npz" in outputs.formats else {}
    count = len(run.tracks) if outputs.tracks else 0
    voices = count + 1 if has_page_sound(outputs) else 0
    total = count + voices + len(outputs.formats)
    on_event(Started("write", total, "files"))
    began = time.monotonic()
    tracks: Mapping[Speaker, Path] = {}
    if outputs.tracks:
        tracks = _stage_tracks(
            run,
            outputs,
            reservation,
            transcript,
            lambda share: on_event(Progressed("write", int(share * count), total)),
        )
    recording, content = run.sound or (None, None)
    sound = stage_page(
        SoundSources(recording, tracks, content),
        transcript,
        outputs,
        reservation.staging,
        on_event,
        lambda share: on_event(Progressed("write", count + int(share * voices), total)),
    )
    files = (*tracks.values(), *sound.files, *_stage_background(run, outputs, reservation, on_event))
    if mode is not None:
        for file in files:
            file.chmod(mode)

    def render(label: str) -> Mapping[str, str | bytes]:
        labelled = dataclasses.replace(transcript, recording=label)

        def tell(done: int) -> None:
            on_event(Progressed("write", count + voices + done, total))

        texts = render_formats(
            labelled, outputs, tell, longest=name_max(reservation.folder), sound=placed(sound, reservation)
        )
        return {**texts, **of_sound}

    labels = {file.name: speaker for speaker, file in tracks.items()}
    published = reservation.publish(render, files, mode=mode, labels=labels)
    on_event(Finished("write", time.monotonic() - began, f"{len(published.files)} files"))
    labelled = dataclasses.replace(transcript, recording=published.placement.label)
    track_folder = reservation.folder / published.placement.stem
    paths = {speaker: track_folder / file.name for speaker, file in tracks.items()}
    return WrittenResults(labelled, published.files, published.placement, paths)


def _quality(run: FinishedRun, on_event: EventListener) -> tuple[tuple[Speaker, TrackQuality], ...]:
    """How well the voices of each track were taken apart; without DNSMOS where it is not installed, or not whole."""
    from meetsplit.speakers import dnsmos
    from meetsplit.speakers.track_quality import track_quality

    clips, tracks = run.separate(), run.tracks
    quality = track_quality(clips, tracks)
    marks: Mapping[Speaker, Dnsmos] = {}
    try:
        network = dnsmos.DnsmosNetwork.load(run.threads) if quality else None
        marks = {} if network is None else dnsmos.voices_marks(network, clips, tracks)
    except StageError as error:
        on_event(Notice(f"tracks are judged without DNSMOS: {error}", "write"))
    return tuple((speaker, dataclasses.replace(one, dnsmos=marks.get(speaker))) for speaker, one in quality.items())


def _stage_tracks(
    run: FinishedRun,
    outputs: Outputs,
    reservation: Reservation,
    transcript: Transcript,
    on_progress: Callable[[float], None],
) -> Mapping[Speaker, Path]:
    """The track files, in the reservation's staging folder. Errors name the folder that they were to go to."""
    folder = reservation.staging / "tracks"
    stems = track_stems(run.tracks, dict(transcript.names), name_max(reservation.folder))
    targets = {speaker: folder / f"{stem}.{outputs.track_format}" for speaker, stem in sorted(stems.items())}
    try:
        run.render_tracks(targets, track_options(outputs), on_progress)
    except OutputError as error:
        final = reservation.folder / reservation.placement.stem
        raise OutputError(str(error).replace(str(folder), str(final))) from error
    return targets


def _stage_background(
    run: FinishedRun, outputs: Outputs, reservation: Reservation, on_event: EventListener
) -> tuple[Path, ...]:
    """What was taken out of the recording, in the staging folder, if asked for; a notice where that is nothing."""
    if not outputs.keep_background:
        return ()
    target = reservation.staging / "tracks" / BACKGROUND
    try:
        if run.write_background(target):
            return (target,)
    except OutputError as error:
        final = reservation.folder / reservation.placement.stem / BACKGROUND
        raise OutputError(str(error).replace(str(target), str(final))) from error
    on_event(Notice(f"no {BACKGROUND}: nothing was taken out of the recording (see --clean)", "write"))
    return ()


def stage_page(
    sources: SoundSources,
    transcript: Transcript,
    outputs: Outputs,
    staging: Path,
    on_event: EventListener,
    on_progress: Callable[[float], None] = lambda share: None,
) -> StagedSound:
    """The sound of the page, see `stage_sound`; a notice where it is not in the page itself."""
    if not has_page_sound(outputs):
        return SILENT
    if not can_compress():
        on_event(Notice("the page has no sound: this machine's FFmpeg has no Opus encoder; PyAV's wheels do", "write"))
        return SILENT
    sound = stage_sound(sources, transcript, outputs, staging, on_progress)
    if outputs.html_audio == "embed" and sound is not SILENT and not sound.embedded:
        on_event(
            Notice(f"the page of {transcript.recording} links to its sound, which is too long to be in it", "write")
        )
    return sound


def placed(sound: StagedSound, reservation: Reservation) -> PageSound:
    """The sound of a page at the place that its set has at this moment."""
    return sound.placed(reservation.folder, reservation.placement.stem)


def permissions(path: Path) -> int:
    """The permissions of a transcript, which new files made of it have as well."""
    return stat.S_IMODE(path.stat().st_mode) & 0o666


def track_options(outputs: Outputs) -> TrackOptions:
    """The options of tracks among those of all outputs."""
    rate = None if outputs.track_rate == "source" else int(outputs.track_rate)
    return TrackOptions(outputs.track_format, outputs.track_gate, rate, outputs.track_channels, outputs.track_sound)


def run_and_write(
    pipeline: Opener, recording: Path, outputs: Outputs, *, cache: StageCache, on_event: EventListener
) -> WrittenResults:
    """Run one recording and publish its results under its own name in ``outputs.folder``. Raises as `write_results`."""
    content = hash_recording(recording)
    request = result_request(recording, outputs, sha256=content.sha256)
    with ResultsFolder(outputs.folder).reservation(request) as reservation:
        return write_results(pipeline.open(recording, cache, content, outputs=outputs), outputs, reservation, on_event)


def owner_of_set(path: Path, transcript: Transcript) -> tuple[Owner, str]:
    """The owner and base name of the set of a transcript in a JSON file; the transcript's own where it is in none."""
    manifest = manifest_of(path)
    if manifest is not None and manifest.owner is not None:
        return manifest.owner, manifest.name
    return owner_by_turns(path, transcript), safe_stem(path.stem)


def export_transcript(
    path: Path,
    folder: Path,
    outputs: Outputs,
    inputs: Sequence[Path] = (),
    on_event: EventListener = ignore_events,
) -> PublishedResults:
    """Write the transcript in a JSON file again, in the formats and with the names and subtitle rules of ``outputs``.

    The files are called like the JSON file. They belong to its result set where a manifest beside it lists it;
    otherwise to the transcript, which is known by its path and its turns, so that corrected words are still the same
    transcript. ``inputs`` are all files that the command reads; none is written over. New files have the permissions of
    the JSON file. Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no transcript,
    `OutputError`.
    """
    as_read = formats.read_transcript_file(path)
    transcript = with_names(as_read, outputs, on_event)
    mode = permissions(path)
    stem = safe_stem(path.stem)
    owner, base = owner_of_set(path, as_read)
    request = ResultRequest(
        owner,
        base,
        preferred=stem,
        suffixes=formats.suffixes_of(outputs.formats),
        speaker_suffixes=tuple(one.suffix for one in formats.speaker_formats(outputs.formats)),
        inputs=(path, *inputs),
        overwrite=outputs.overwrite,
    )
    with ResultsFolder(folder).reservation(request) as reservation:
        longest = name_max(reservation.folder)
        sources = sound_beside(path, as_read) if has_page_sound(outputs) else SoundSources()
        sound = stage_page(sources, transcript, outputs, reservation.staging, on_event)
        if has_page_sound(outputs) and not sources:
            on_event(
                Notice(f"the page of {path} has no sound: neither tracks nor the recording lie beside it", "write")
            )
        return reservation.publish(
            lambda label: render_formats(transcript, outputs, longest=longest, sound=placed(sound, reservation)),
            sound.files,
            mode=mode,
        )


def render_formats(
    transcript: Transcript,
    outputs: Outputs,
    on_progress: Callable[[int], None] = lambda done: None,
    *,
    longest: int = NAME_MAX,
    sound: PageSound = NO_SOUND,
) -> dict[str, str | bytes]:
    """The transcript in every format of ``outputs``; ``on_progress`` is called with how many are done.

    By what follows the stem: a suffix, or ``/NAME.srt`` for a file per speaker, called like that speaker's track, in
    ``longest`` bytes. ``sound`` is that of the page.
    """
    texts: dict[str, str | bytes] = {}
    for number, name in enumerate(outputs.formats, 1):
        for speaker_format in formats.speaker_formats([name]):
            stems = track_stems(transcript.speakers, dict(transcript.names), longest)
            for speaker, text in speaker_format.write(transcript, outputs).items():
                texts[f"/{stems[speaker]}{speaker_format.suffix}"] = text
        if name == "html":
            texts[formats.format_named(name).suffix] = html.write(transcript, outputs, sound)
        elif name in formats.names():
            texts[formats.format_named(name).suffix] = formats.format_named(name).write(transcript, outputs)
        on_progress(number)
    return texts


def with_names(
    transcript: Transcript,
    outputs: Outputs,
    on_event: EventListener = ignore_events,
    *,
    channels: Sequence[tuple[Speaker, int]] = (),
) -> Transcript:
    """The transcript with people's names, see `Outputs`; ``channels`` are the speakers' channel numbers.

    The left side of ``outputs.names`` is a label, or the name that a speaker has so far. A name for a speaker who is
    not there is left out, with a notice.
    """
    by_channel = {number: name for number, name in enumerate(outputs.channel_names) if name}
    names = dict(transcript.names) | {label: by_channel[number] for label, number in channels if number in by_channel}
    order = first_speech(transcript)
    names |= {label: name for label, name in zip(order, outputs.names_in_order, strict=False) if name}
    left_over = [name for name in outputs.names_in_order[len(order) :] if name]
    has = f"it has {', '.join(transcript.speakers)}" if transcript.speakers else "nobody speaks in it"
    if left_over:
        count = f"{len(order)} {'person speaks' if len(order) == 1 else 'people speak'} in it"
        on_event(Notice(f"--names: {', '.join(left_over)} not used: {transcript.recording}: {count}", "write"))
    current = {label: names.get(label, label) for label in transcript.speakers}
    for who, name in outputs.names:
        labels = [who] if who in transcript.speakers else [label for label in current if current[label] == who]
        names |= dict.fromkeys(labels, name)
        if not labels:
            on_event(Notice(f"--name {who}={name} is not used: {transcript.recording} has no {who}; {has}", "write"))
    return dataclasses.replace(transcript, names=tuple(names.items()))


def given_names(diarization: Diarization, outputs: Outputs) -> dict[Speaker, str]:
    """The names that ``outputs`` give to speakers, by label; without those that come with the turns."""
    came = dict(diarization.names)
    unnamed = Transcript("", diarization.duration, (), diarization.turns, Provenance(""), names=diarization.names)
    names = with_names(unnamed, outputs, channels=diarization.channels).names
    return {label: name for label, name in names if came.get(label) != name}


def first_speech(transcript: Transcript) -> tuple[Speaker, ...]:
    """The speakers in order of first speech."""
    starts: dict[Speaker, float] = {}
    for speaker, span in (
        *((turn.speaker, turn.span) for turn in transcript.turns),
        *((segment.speaker, segment.span) for segment in transcript.segments),
    ):
        starts[speaker] = min(span.start, starts.get(speaker, span.start))
    return tuple(sorted(starts, key=lambda speaker: (starts[speaker], speaker)))
