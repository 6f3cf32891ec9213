"""Results of one recording as files: its transcript in every format and one sound file per speaker, published as one set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline import formats
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.errors import AudioError, OutputError
from meetsplit.pipeline.events import EventListener, Finished, Notice, Progressed, Started, ignore_events
from meetsplit.pipeline.results.folder import Place, Published, Reservation, ResultsFolder
from meetsplit.pipeline.results.ownership import Owner, Wish, wish
from meetsplit.pipeline.results.stems import located, safe_stem
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs
from meetsplit.speakers.formats import write_tracks


@dataclass(frozen=True, slots=True)
class Written:
    """One recording's transcript, the files that hold it, and the place of the set that they are."""

    transcript: Transcript
    files: tuple[Path, ...]
    place: Place


def file_away(
    pipeline: Pipeline,
    path: Path | MultiFileRecording,
    outputs: Outputs,
    reserved: Reservation,
    *,
    open_cache: StageCache,
    on_event: EventListener,
) -> Written:
    """Run one recording and publish everything that was asked for as one set, all of it or nothing.

    Raises what `Pipeline.run` raises, and `OutputError`.
    """
    run = pipeline.open(path, open_cache)
    transcript = named(run.transcript(), outputs.names, on_event)
    total = len(outputs.formats) + (len(run.tracks) if outputs.tracks else 0)
    on_event(Started("write", total, "files"))
    began = time.monotonic()
    tracks: Sequence[Path] = ()
    if outputs.tracks:
        place = reserved.staging / "tracks"
        try:
            tracks = write_tracks(
                run.tracks, place, outputs.track_format, gate=outputs.track_gate, turns=transcript.turns
            )
        except OutputError as error:
            raise OutputError(str(error).replace(str(place), str(reserved.folder / reserved.place.stem))) from error

    def render(label: str) -> Mapping[str, str]:
        named_so = dataclasses.replace(transcript, recording=label)
        return rendered(named_so, outputs, lambda done: on_event(Progressed("write", len(tracks) + done, total)))

    published = reserved.publish(render, tracks)
    on_event(Finished("write", time.monotonic() - began, f"{len(published.files)} files"))
    return Written(dataclasses.replace(transcript, recording=published.place.label), published.files, published.place)


def file_alone(
    pipeline: Pipeline, path: Path, outputs: Outputs, *, open_cache: StageCache, on_event: EventListener
) -> Written:
    """The same for one recording under its own name, in ``outputs.folder``."""
    with ResultsFolder(outputs.folder).reservation(wish(path, outputs)) as reserved:
        return file_away(pipeline, path, outputs, reserved, open_cache=open_cache, on_event=on_event)


def export_again(
    path: Path, folder: Path, outputs: Outputs, inputs: Sequence[Path] = (), on_event: EventListener = ignore_events
) -> Published:
    """Write the transcript in a JSON file again, in the formats and with the names and subtitle rules now asked for.

    The files are called like the JSON file. They belong to its result set where a manifest beside it lists it; otherwise to
    the transcript, which is known by its path and its turns, so that corrected words are still the same transcript.
    ``inputs`` are all files that the command reads; none is written over. New files have the permissions of the JSON
    file. Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no transcript, `OutputError`.
    """
    try:
        text = path.read_text("utf-8")
        mode = stat.S_IMODE(path.stat().st_mode) & 0o666
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(
            f"{path}: cannot be read as a transcript: {getattr(error, 'strerror', None) or error}"
        ) from error
    transcript = named(formats.read_transcript(text, str(path)), outputs.names, on_event)
    stem = safe_stem(path.stem)
    beside = ResultsFolder(located(path).parent).manifest(path.stem)
    if beside is not None and beside.owner is not None and path.name in beside.known:
        owner, name = beside.owner, beside.name
    else:
        turns = [(turn.span.start, turn.span.end) for turn in transcript.turns]
        owner, name = Owner(str(located(path)), hashlib.sha256(json.dumps(turns).encode()).hexdigest()), stem
    suffixes = tuple(formats.format_named(format_name).suffix for format_name in outputs.formats)
    asked = Wish(owner, name, stem, suffixes, inputs=(path, *inputs), overwrite=outputs.overwrite)
    with ResultsFolder(folder).reservation(asked) as reserved:
        return reserved.publish(lambda label: rendered(transcript, outputs), mode=mode)


def rendered(
    transcript: Transcript, outputs: Outputs, progress: Callable[[int], None] = lambda done: None
) -> dict[str, str]:
    """The text of every format asked for, by suffix; ``progress`` is called with how many are done."""
    texts: dict[str, str] = {}
    for name in outputs.formats:
        texts[formats.format_named(name).suffix] = formats.export(transcript, name, outputs)
        progress(len(texts))
    return texts


def named(
    transcript: Transcript, names: Sequence[tuple[Speaker, str]], on_event: EventListener = ignore_events
) -> Transcript:
    """The transcript with people's names; a name for a label that it does not have is told and left out."""
    known = {label: person for label, person in names if label in transcript.speakers}
    for label, person in names:
        if label not in known:
            has = f"it has {', '.join(transcript.speakers)}" if transcript.speakers else "nobody speaks in it"
            on_event(
                Notice(f"--name {label}={person} is not used: {transcript.recording} has no {label}; {has}", "write")
            )
    return dataclasses.replace(transcript, names=tuple({**dict(transcript.names), **known}.items()))
