"""Backends that cache their results on disk: benchmarked settings share most clips and mixtures."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.pipeline.audio.clip_cache import clip_digest
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Speaker, Voice, Word
from meetsplit.pipeline.events import EventListener
from meetsplit.pipeline.files import write
from meetsplit.pipeline.protocols import Separator, Transcriber


class CachedTranscriber:
    """A `Transcriber` that caches the results of another one in ``folder``.

    Only for one whose result depends on its clip alone, which the protocol does not promise: Whisper detects a language
    from several clips. Word times are unaffected; speed is, so never measure speed with it.
    """

    def __init__(self, transcriber: Transcriber, folder: Path) -> None:
        self.rate = transcriber.rate
        self._transcriber = transcriber
        self._folder = folder

    def transcribe(self, clips: Iterable[Audio], on_event: EventListener) -> Iterator[ClipTranscript]:
        """One transcript per clip, in order."""
        for clip in clips:
            path = self._folder / f"{self._key(clip)}.json"
            if not path.is_file():
                (transcript,) = self._transcriber.transcribe([clip], on_event)
                write(path, json.dumps(asdict(transcript)))
            yield _transcript_from_json(json.loads(path.read_text("utf-8")))

    def _key(self, clip: Audio) -> str:
        context = json.dumps([type(self._transcriber).__name__, clip.rate, clip.start])
        return hashlib.sha256(clip.samples.tobytes() + context.encode()).hexdigest()[:32]


def _transcript_from_json(content: Mapping[str, Any]) -> ClipTranscript:
    words = tuple(Word(Span(**word["span"]), word["text"], word["confidence"]) for word in content["words"])
    language = content["language"]
    return ClipTranscript(words, None if language is None else str(language))


class CachedSeparator:
    """A `Separator` that caches the voices of another one in ``folder``.

    Only for one whose voices have no margins and depend on its arguments alone. `Unseparated` is not cached.
    """

    def __init__(self, separator: Separator, folder: Path) -> None:
        self.rate = separator.rate
        self._separator = separator
        self._folder = folder

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """The voices of the enrolled speakers. Raises `Unseparated`."""
        path = self._folder / f"{self._key(mixture, enrollment)}.npy"
        if not path.is_file():
            voices = self._separator.separate(mixture, enrollment)
            buffer = io.BytesIO()
            np.save(buffer, np.stack([voices[speaker].audio.samples for speaker in enrollment]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
        rows = zip(enrollment, np.load(path), strict=True)
        return {speaker: Voice(mixture.replaced(samples)) for speaker, samples in rows}

    def _key(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> str:
        context = json.dumps([type(self._separator).__name__, mixture.start])
        speakers = [speaker.encode() + clip_digest(clips) for speaker, clips in enrollment.items()]
        parts = [clip_digest([mixture]), *speakers, context.encode()]
        return hashlib.sha256(b"|".join(parts)).hexdigest()[:32]
