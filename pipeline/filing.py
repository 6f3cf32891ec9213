"""What is written where? One recording's transcript in every format, and one sound file per speaker."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from meetsplit.pipeline import backends, exporters
from meetsplit.pipeline.data import Audio, Speaker, Transcript
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.events import Finished, Started, Tell
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """One recording's transcript and the files that hold it."""

    transcript: Transcript
    files: tuple[Path, ...]


def file_away(pipeline: Pipeline, path: Path, outputs: Outputs, stem: str, tell: Tell) -> Written:
    """Run one recording and write everything that was asked for under ``outputs.folder``.

    Tracks grow under temporary names while voices are taken apart and get their names last, together with the texts.
    Whatever stops the run leaves nothing behind. Raises what `Pipeline.run` raises, and `OutputError`.
    """
    with ExitStack() as stack:
        writers: list[Any] = []

        def open_tracks(recording: Audio, speakers: Sequence[Speaker]) -> Any:
            writer = backends.imported(backends.TRACKS)(outputs.folder / stem, recording, track_format=outputs.track_format)
            writers.append(stack.enter_context(writer))
            return writer

        transcript = pipeline.run(path, tracks=open_tracks if outputs.tracks else None)
        transcript = named(dataclasses.replace(transcript, recording=stem), outputs.names)
        with _telling(tell, outputs.folder / stem):
            files = write_formats(transcript, outputs.folder, outputs)
            for writer in writers:
                files += list(writer.finish().values())
    return Written(transcript, tuple(files))


def export_again(path: Path, folder: Path, outputs: Outputs) -> list[Path]:
    """Write the transcript in a JSON file again, in the formats and with the names and subtitle rules now asked for.

    Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no transcript.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path}: cannot be read as a transcript: {getattr(error, 'strerror', None) or error}") from error
    transcript = named(exporters.read_transcript(text, str(path)), outputs.names)
    return write_formats(transcript, folder, outputs)


def write_formats(transcript: Transcript, folder: Path, outputs: Outputs) -> list[Path]:
    """Every format asked for as ``folder/<recording><suffix>``, each file whole or not at all."""
    written: list[Path] = []
    for name in outputs.formats:
        path = folder / f"{transcript.recording}{exporters.format_named(name).suffix}"
        exporters.write(path, exporters.export(transcript, name, outputs))
        written.append(path)
    return written


def named(transcript: Transcript, names: Sequence[tuple[Speaker, str]]) -> Transcript:
    """The transcript with people's names; `SettingsError` for a label that it does not have."""
    for label, person in names:
        if transcript.speakers and label not in transcript.speakers:
            raise SettingsError(f"--name {label}={person}: {transcript.recording} has no {label}; it has {', '.join(transcript.speakers)}")
    return dataclasses.replace(transcript, names=tuple({**dict(transcript.names), **dict(names)}.items()))


@contextmanager
def _telling(tell: Tell, where: Path) -> Iterator[None]:
    tell(Started("write"))
    began = time.monotonic()
    yield
    tell(Finished("write", time.monotonic() - began, f"{where}.*"))
