"""How does a finished transcript lend its words to a new run? As a script in CTM, one word a line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meetsplit.pipeline.audio.media_types import MEDIA_SUFFIXES
from meetsplit.pipeline.data import Transcript, Word
from meetsplit.pipeline.errors import AudioError, SettingsError
from meetsplit.pipeline.files.scratch import scratch
from meetsplit.pipeline.formats import read_transcript


def pair(given: Path, audio: Path | None = None) -> tuple[Path, Path]:
    """The transcript and the recording that ``given`` (one of the two) belongs to; the other lies beside it under the same name.

    ``audio`` says where the recording of a transcript is. Raises `SettingsError` where the other one is not found, or
    where several could be meant.
    """
    if given.suffix.lower() == ".json":
        if audio is not None:
            return given, audio
        stem = given.stem.removesuffix(".seglst")
        beside = [
            path
            for path in sorted(given.parent.glob("*"))
            if path.stem == stem and path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()
        ]
        if len(beside) != 1:
            found = f"{len(beside)} recordings of that name lie" if beside else "no recording of that name lies"
            raise SettingsError(f"{given}: {found} beside the transcript; add --audio RECORDING")
        return given, beside[0]
    for transcript in (given.with_suffix(".json"), Path(f"{given.stem}.json")):
        if transcript.is_file():
            return transcript, given
    raise SettingsError(
        f"{given}: no transcript {given.stem}.json beside it or here; name the transcript and add --audio {given}"
    )


@contextmanager
def script(path: Path) -> Iterator[tuple[Path, str | None]]:
    """A CTM file with the words of the transcript at ``path``, there inside the block, and the transcript's language.

    Raises `AudioError` for a file that cannot be read, `SettingsError` for one that holds no words.
    """
    try:
        transcript = read_transcript(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(
            f"{path}: cannot be read as a transcript: {getattr(error, 'strerror', None) or error}"
        ) from error
    words = spoken(transcript)
    if not words:
        raise SettingsError(f"{path}: holds no words to give new speakers to")
    with scratch() as folder:
        file = folder / f"{path.stem}.ctm"
        file.write_text("".join(_line(word) for word in words), "utf-8")
        yield file, transcript.language


def spoken(transcript: Transcript) -> tuple[Word, ...]:
    """Every word by time; one that both of two overlapping people were given, at the same moment, once."""
    return tuple(
        sorted({(word.span, word.text): word for segment in transcript.segments for word in segment.words}.values())
    )


def _line(word: Word) -> str:
    parts = word.text.split()
    each = word.span.duration / len(parts)
    sure = f" {word.confidence}" if word.confidence is not None and math.isfinite(word.confidence) else ""
    return "".join(
        f"transcript 1 {word.span.start + at * each!r} {each!r} {part}{sure}\n" for at, part in enumerate(parts)
    )
