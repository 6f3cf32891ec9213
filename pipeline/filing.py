"""What is written where? One recording's transcript in every format, and one sound file per speaker."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from meetsplit.pipeline import backends, exporters, files
from meetsplit.pipeline.data import Speaker, Transcript
from meetsplit.pipeline.errors import AudioError
from meetsplit.pipeline.events import Finished, Noticed, Progressed, Started, Tell, nobody
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs
from meetsplit.pipeline.together import Together
from meetsplit.pipeline.workbench import Workbench


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """One recording's transcript and the files that hold it."""

    transcript: Transcript
    files: tuple[Path, ...]


def file_away(pipeline: Pipeline, path: Path | Together, outputs: Outputs, stem: str, *, bench: Workbench, tell: Tell) -> Written:
    """Run one recording and write everything that was asked for under ``outputs.folder``.

    Every file appears whole or not at all. Raises what `Pipeline.run` raises, and `OutputError`.
    """
    processed = pipeline.process(path, bench)
    transcript = named(dataclasses.replace(processed.transcript, recording=stem), outputs.names, tell)
    total = len(outputs.formats) + (len(processed.tracks) if outputs.tracks else 0)
    tell(Started("write", total, "files"))
    began = time.monotonic()
    written = write_formats(transcript, outputs.folder, outputs, lambda done: tell(Progressed("write", done, total)))
    if outputs.tracks:
        file_tracks = backends.imported(backends.FILE_TRACKS)
        place, turns = outputs.folder / stem, transcript.turns
        written += file_tracks(processed.tracks, place, outputs.track_format, gate=outputs.track_gate, turns=turns)
    tell(Finished("write", time.monotonic() - began, f"{len(written)} files"))
    return Written(transcript, tuple(written))


def export_again(path: Path, folder: Path, outputs: Outputs, tell: Tell = nobody) -> list[Path]:
    """Write the transcript in a JSON file again, in the formats and with the names and subtitle rules now asked for.

    Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no transcript.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path}: cannot be read as a transcript: {getattr(error, 'strerror', None) or error}") from error
    transcript = named(exporters.read_transcript(text, str(path)), outputs.names, tell)
    return write_formats(transcript, folder, outputs)


def write_formats(
    transcript: Transcript, folder: Path, outputs: Outputs, progress: Callable[[int], None] = lambda done: None
) -> list[Path]:
    """Every format asked for as ``folder/<recording><suffix>``, each file whole or not at all; ``progress`` hears how many are done."""
    written: list[Path] = []
    for name in outputs.formats:
        path = folder / f"{transcript.recording}{exporters.format_named(name).suffix}"
        files.write(path, exporters.export(transcript, name, outputs))
        written.append(path)
        progress(len(written))
    return written


def named(transcript: Transcript, names: Sequence[tuple[Speaker, str]], tell: Tell = nobody) -> Transcript:
    """The transcript with people's names; a name for a label that it does not have is told and left out."""
    known = {label: person for label, person in names if label in transcript.speakers}
    for label, person in names:
        if label not in known:
            has = f"it has {', '.join(transcript.speakers)}" if transcript.speakers else "nobody speaks in it"
            tell(Noticed(f"--name {label}={person} is not used: {transcript.recording} has no {label}; {has}", "write"))
    return dataclasses.replace(transcript, names=tuple({**dict(transcript.names), **known}.items()))
