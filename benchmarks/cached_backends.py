"""Hearing the same clip and taking the same mixture apart once: settings that are compared share most of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.clip_cache import clip_digest
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Speaker, Voice, Word
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.files import write
from meetsplit.pipeline.protocols import Separator, Transcriber


class Remembered:
    """A `Transcriber` that asks another one for clips that it has not heard yet, and keeps the answers in ``folder``.

    Only for one whose answer depends on its clip alone, which is not promised in general: Whisper finds out a language from
    several clips. Times are unaffected, speed is: never measure that with it.
    """

    def __init__(self, transcriber: Transcriber, folder: Path) -> None:
        self.rate = transcriber.rate
        self._transcriber, self._folder = transcriber, folder

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One answer per clip, in order."""
        for clip in clips:
            where = json.dumps([type(self._transcriber).__name__, clip.rate, clip.start])
            path = self._folder / f"{hashlib.sha256(clip.samples.tobytes() + where.encode()).hexdigest()[:32]}.json"
            if not path.is_file():
                (heard,) = self._transcriber.transcribe([clip], on_event)
                write(path, json.dumps(asdict(heard)))
            yield _heard(json.loads(path.read_text("utf-8")))


def _heard(row: dict[str, object]) -> ClipTranscript:
    words = row["words"]
    assert isinstance(words, list)
    language = row["language"]
    return ClipTranscript(
        tuple(Word(Span(**word["span"]), word["text"], word["confidence"]) for word in words),
        None if language is None else str(language),
    )


class Apart:
    """A `Separator` that asks another one for mixtures that it has not taken apart yet, and keeps the voices in ``folder``.

    Only for one whose voices have no margins and depend on what it is given alone.
    """

    def __init__(self, separator: Separator, folder: Path) -> None:
        self.rate = separator.rate
        self._separator, self._folder = separator, folder

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The voices; `Unseparated` is raised anew every time."""
        parts = [clip_digest([mixture]), *(who.encode() + clip_digest(clips) for who, clips in enrollment.items())]
        where = json.dumps([type(self._separator).__name__, mixture.start])
        path = self._folder / f"{hashlib.sha256(b'|'.join([*parts, where.encode()])).hexdigest()[:32]}.npy"
        if not path.is_file():
            voices = self._separator.separate(mixture, enrollment)
            buffer = io.BytesIO()
            np.save(buffer, np.stack([voices[who].audio.samples for who in enrollment]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
        return {who: Voice(mixture.replaced(row)) for who, row in zip(enrollment, np.load(path), strict=True)}
