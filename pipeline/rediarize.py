"""Rediarization: the words of a finished transcript as the given words (CTM) of a new run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meetsplit.pipeline.audio.media_types import MEDIA_SUFFIXES
from meetsplit.pipeline.data import Transcript, Word
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.formats import read_transcript


def find_pair(path: Path, audio: Path | None = None) -> tuple[Path, Path]:
    """The transcript and the recording of which ``path`` is one; the other lies beside it under the same name.

    ``audio`` says where the recording of a transcript is. Raises `SettingsError` where the other one is not found, or
    where several could be meant.
    """
    if path.suffix.lower() == ".json":
        if audio is not None:
            return path, audio
        stem = path.stem.removesuffix(".seglst")
        beside = [
            other
            for other in sorted(path.parent.glob("*"))
            if other.stem == stem and other.suffix.lower() in MEDIA_SUFFIXES and other.is_file()
        ]
        if len(beside) != 1:
            which = f"{len(beside)} recordings of that name lie" if beside else "no recording of that name lies"
            raise SettingsError(f"{path}: {which} beside the transcript; add --audio RECORDING")
        return path, beside[0]
    for transcript in (path.with_suffix(".json"), Path(f"{path.stem}.json")):
        if transcript.is_file():
            return transcript, path
    raise SettingsError(
        f"{path}: no transcript {path.stem}.json beside it or here; name the transcript and add --audio {path}"
    )


@contextmanager
def words_as_ctm(path: Path) -> Iterator[tuple[Path, str | None]]:
    """A CTM file, inside the block, with the words of the transcript at ``path``; and the transcript's language.

    Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no words.
    """
    try:
        transcript = read_transcript(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(
            f"{path}: cannot be read as a transcript: {getattr(error, 'strerror', None) or error}"
        ) from error
    words = unique_words(transcript)
    if not words:
        raise SettingsError(f"{path}: holds no words to give new speakers to")
    with scratch_folder() as folder:
        file = folder / f"{path.stem}.ctm"
        file.write_text("".join(_ctm_lines(word) for word in words), "utf-8")
        yield file, transcript.language


def unique_words(transcript: Transcript) -> tuple[Word, ...]:
    """Every word by time; one that two overlapping speakers have at the same moment, once."""
    words = {(word.span, word.text): word for segment in transcript.segments for word in segment.words}
    return tuple(sorted(words.values()))


def _ctm_lines(word: Word) -> str:
    """A word as a line of a CTM file; a text with blanks as one line for each part, of equal lengths."""
    parts = word.text.split()
    length = word.span.duration / len(parts)
    confidence = ""
    if word.confidence is not None and math.isfinite(word.confidence):
        confidence = f" {word.confidence}"
    lines = [
        f"transcript 1 {word.span.start + at * length!r} {length!r} {part}{confidence}\n"
        for at, part in enumerate(parts)
    ]
    return "".join(lines)
