"""Sound of a page: the recording and people's tracks, compressed and embedded, or as files beside it that it links to.

A page without a limit would hold hours of sound twice: as its text, and in the memory of the browser. So it embeds up
to `EMBED_LIMIT`, at 24 kbit/s for a voice and 2 kbit/s for silence: Opus in WebM, which current browsers play, seek in
to the millisecond and start without a delay. Beyond, it links to the tracks as they stand, and to a compressed copy of
the recording in their folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import av

from meetsplit.pipeline.audio.content import Content
from meetsplit.pipeline.audio.decoding import mixed_down
from meetsplit.pipeline.audio.media_types import recordings_called
from meetsplit.pipeline.audio.native import open_native
from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.audio.resampling import resample_blocks
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.data.timeline import by_speaker, total
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.formats.html import PageSound, SoundFile
from meetsplit.pipeline.results.manifest import Manifest, ManifestStore, manifest_of
from meetsplit.pipeline.results.originals import first_original
from meetsplit.pipeline.results.stems import PAGE_RECORDING, name_max
from meetsplit.pipeline.results.track_names import TRACK_SUFFIXES, track_stems
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.rendering import pcm
from meetsplit.speakers.track_files import ENCODINGS, format_rate, track_file

EMBED_LIMIT = 24_000_000
"""Bytes of sound that a page embeds at most: a little more than an hour of meeting. As text they are a third more."""

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".flac": "audio/flac",
        ".m4a": "audio/mp4",
        ".mp3": "audio/mpeg",
        ".wav": "audio/wav",
        ".webm": "audio/webm",
    }
)
"""Media types by suffix of what pages play."""

_RATE = 16000
"""Sample rate in Hz of compressed sound: all that is told apart in speech."""

_VOICE_BYTES, _SILENCE_BYTES = ENCODINGS["webm"].bit_rate // 8, 250
"""Bytes per second of compressed voice, and of silence."""

_SAME_LENGTH = 1.0
"""Seconds by which a file's length may differ from the transcript's where it is taken for the recording by its name."""


@dataclass(frozen=True, slots=True)
class SoundSources:
    """The files that a page's sound is made of: the recording, with its ``content`` where that is known, and tracks."""

    recording: Path | None = None
    tracks: Mapping[Speaker, Path] = field(default_factory=dict)
    content: Content | None = None

    def __bool__(self) -> bool:
        return self.recording is not None or bool(self.tracks)


@dataclass(frozen=True, slots=True)
class StagedSound:
    """The sound of a page before it is published.

    ``files`` go into the folder of the tracks beside the page. ``recording`` and ``tracks`` are compressed files to be
    ``embedded``, or files to be linked to, which lie in ``staging`` or where they stay.
    """

    recording: Path | None = None
    tracks: Mapping[Speaker, Path] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    embedded: bool = False
    staging: Path | None = None

    def placed(self, folder: Path, stem: str) -> PageSound:
        """The sound as the page ``stem`` in ``folder`` has it."""

        def file(path: Path) -> SoundFile:
            media_type = MEDIA_TYPES[path.suffix]
            if self.embedded:
                return SoundFile(media_type, path.read_bytes())
            is_staged = self.staging is not None and path.is_relative_to(self.staging)
            beside = f"{stem}/{path.name}" if is_staged else Path(os.path.relpath(path, folder)).as_posix()
            return SoundFile(media_type, path=quote(os.fsencode(beside)))

        recording = None if self.recording is None else file(self.recording)
        return PageSound(recording, {speaker: file(path) for speaker, path in self.tracks.items()})


SILENT = StagedSound()
"""A page without sound."""


def has_page_sound(outputs: Outputs) -> bool:
    """Whether a page with sound is asked for."""
    return "html" in outputs.formats and outputs.html_audio != "none"


def can_compress() -> bool:
    """Whether this machine's FFmpeg has the encoder; the wheels of PyAV have it, a system's own may not."""
    return ENCODINGS["webm"].codec in av.codecs_available


def stage_sound(
    sources: SoundSources,
    transcript: Transcript,
    outputs: Outputs,
    staging: Path,
    on_progress: Callable[[float], None] = lambda share: None,
) -> StagedSound:
    """The sound of a transcript's page, compressed into the folder ``staging``, where it has any.

    ``on_progress`` is called with the share that is done. Memory does not grow with the length of the sound. Raises
    `AudioError` for a file that cannot be read, and `OutputError`.
    """
    if not has_page_sound(outputs) or not sources:
        return SILENT
    speech = [total(spans) for who, spans in by_speaker(transcript.turns).items() if who in sources.tracks]
    embedded = outputs.html_audio == "embed" and is_embedded(transcript.duration, speech, sources.recording is not None)
    folder = staging / "page"
    works: list[tuple[Speaker | None, Path]] = [] if sources.recording is None else [(None, sources.recording)]
    if embedded:
        works += sources.tracks.items()
    targets: dict[Speaker | None, Path] = {}
    for number, (who, source) in enumerate(works):
        if not embedded and source.suffix == ".webm" and source.name == PAGE_RECORDING:
            targets[who] = source  # the copy of a page that was made before
            continue
        target = folder / (PAGE_RECORDING if who is None else f"{number}.webm")

        def tell(share: float, number: int = number) -> None:
            on_progress((number + share) / len(works))

        compress(source, target, transcript.duration, tell, sources.content if who is None else None)
        targets[who] = target
    recording = targets.pop(None, None)
    if embedded:
        return StagedSound(recording, {who: path for who, path in targets.items() if who is not None}, embedded=True)
    new = () if recording is None or recording.parent != folder else (recording,)
    return StagedSound(recording, sources.tracks, new, staging=staging)


def is_embedded(duration: float, speech: Iterable[float], has_recording: bool = True) -> bool:
    """Whether a page embeds its sound: a recording of that many seconds, and tracks with seconds of ``speech``."""
    return expected_bytes(duration, speech, has_recording) <= EMBED_LIMIT


def expected_bytes(duration: float, speech: Iterable[float], has_recording: bool = True) -> float:
    """About how many bytes the compressed sound has.

    >>> round(expected_bytes(3600, [1800, 1800])), round(expected_bytes(3600, []))
    (22500000, 10800000)
    """
    own = _VOICE_BYTES * duration if has_recording else 0.0
    return own + sum(_VOICE_BYTES * seconds + _SILENCE_BYTES * max(duration - seconds, 0.0) for seconds in speech)


def compress(
    source: Path,
    target: Path,
    duration: float,
    on_progress: Callable[[float], None] = lambda share: None,
    content: Content | None = None,
) -> None:
    """Write the sound of a file, in mono, as Opus in WebM: from recording time 0 on, in step with the recording.

    ``duration`` is about how many seconds it has. Raises `AudioError`, also where the file is not the ``content`` that
    was hashed before, and `OutputError`.
    """
    with open_native(source, content=content) as native:
        rate = format_rate("webm", min(native.rate, _RATE))
        mono = (mixed_down(block) for block in native.seconds())
        with track_file(target, rate, 1, round(duration * rate)) as file:
            for block in resample_blocks(mono, native.rate, rate):
                file.write(pcm(block[None]))
                on_progress(min(file.position / rate / max(duration, 1e-9), 1.0))


def sound_beside(path: Path, transcript: Transcript) -> SoundSources:
    """The sound that belongs to the transcript in the JSON file ``path``: its tracks and its recording.

    The recording is the one that the manifest names, while it is still the same; else one of the same name and length
    beside the file; else the copy that was made for an earlier page.
    """
    return SoundSources(_recording_of(path, transcript), tracks_beside(path, transcript))


def tracks_beside(path: Path, transcript: Transcript) -> dict[Speaker, Path]:
    """The tracks of a transcript by speaker, in the folder that is called like its JSON file.

    Whose they are is in the manifest. Without it (of an earlier version, or copied without), they are called as the
    people were when the recording was run, like the labels, or as the people are called now.
    """
    folder = path.with_suffix("")
    if not folder.is_dir():
        return {}
    manifest = ManifestStore(path.parent).read(path.stem)
    labels = {} if manifest is None else manifest.tracks
    known = {label: path.parent / name for name, label in labels.items() if (path.parent / name).is_file()}
    original = first_original(path, transcript)
    longest = name_max(folder)
    calls = [
        track_stems(original.speakers, dict(original.names), longest),
        track_stems(original.speakers, {}, longest),
        track_stems(transcript.speakers, dict(transcript.names), longest),
    ]
    tracks: dict[Speaker, Path] = {}
    taken = set(known.values())
    for speaker in transcript.speakers:
        stems = [call[speaker] for call in calls if speaker in call]
        named = (folder / f"{stem}{suffix}" for stem in stems for suffix in TRACK_SUFFIXES)
        track = known.get(speaker) or next((file for file in named if file.is_file() and file not in taken), None)
        if track is not None:
            tracks[speaker] = track
            taken.add(track)
    return tracks


def _recording_of(path: Path, transcript: Transcript) -> Path | None:
    manifest = manifest_of(path)
    if manifest is not None:
        recording = _unchanged_recording(manifest)
        if recording is not None:
            return recording
    for other in recordings_called(path.parent, path.stem):
        with suppress(AudioError):  # none that could be played
            if abs((probe(other).duration or 0.0) - transcript.duration) <= _SAME_LENGTH:
                return other
    copy = path.with_suffix("") / PAGE_RECORDING
    return copy if copy.is_file() else None


def _unchanged_recording(manifest: Manifest) -> Path | None:
    """The recording of a result set, where it is one file, still there and still the same."""
    owner = manifest.owner
    recording = None if owner is None else Path(owner.recording)
    if owner is None or recording is None or not recording.is_file():
        return None
    with suppress(AudioError):  # unreadable by now
        return recording if recording_sha256(recording) == owner.content else None
    return None
