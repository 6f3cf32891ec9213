"""Hearing the same clip once: settings that are compared share most of their clips, and decoding is what takes the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from meetsplit.pipeline.data import Audio, Heard, Span, Word
from meetsplit.pipeline.events import Tell
from meetsplit.pipeline.exporters import write
from meetsplit.pipeline.stages import Transcriber


class Remembered:
    """A `Transcriber` that asks another one for clips that it has not heard yet, and keeps the answers in ``folder``.

    Only for one whose answer depends on its clip alone, which is not promised in general: Whisper finds out a language from
    several clips. Times are unaffected, speed is: never measure that with it.
    """

    def __init__(self, transcriber: Transcriber, folder: Path) -> None:
        self.rate = transcriber.rate
        self._transcriber, self._folder = transcriber, folder

    def transcribe(self, clips: Iterable[Audio], tell: Tell) -> Iterator[Heard]:
        """One answer per clip, in order."""
        for clip in clips:
            where = json.dumps([type(self._transcriber).__name__, clip.rate, clip.start])
            path = self._folder / f"{hashlib.sha256(clip.samples.tobytes() + where.encode()).hexdigest()[:32]}.json"
            if not path.is_file():
                (heard,) = self._transcriber.transcribe([clip], tell)
                write(path, json.dumps(asdict(heard)))
            yield _heard(json.loads(path.read_text("utf-8")))


def _heard(row: dict[str, object]) -> Heard:
    words = row["words"]
    assert isinstance(words, list)
    language = row["language"]
    return Heard(
        tuple(Word(Span(**word["span"]), word["text"], word["confidence"]) for word in words), None if language is None else str(language)
    )
