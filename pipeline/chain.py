"""Which stages of one recording are done? The stages in order, each done once and kept on the workbench."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.data import Diarized, Heard, Outline, Sound, Speaker, Transcript
from meetsplit.pipeline.workbench import Keys, Workbench

STAGES = ("diarize", "separate", "transcribe")
"""The stages whose results are kept, in order. Decoding belongs to whichever of them needs the sound first."""


@dataclass(frozen=True, slots=True)
class Processed:
    """One recording's transcript, and the 16-bit WAV track of every speaker on its workbench."""

    transcript: Transcript
    tracks: Mapping[Speaker, Path]


@dataclass(frozen=True, slots=True)
class Stages:
    """How each stage of one recording is done, where its result is not kept yet."""

    decode: Callable[[], Sound]
    diarize: Callable[[Sound], Diarized]
    isolate: Callable[[Sound, Diarized, Path], tuple[Outline, ...]]
    transcribe: Callable[[Sequence[Outline], Mapping[Speaker, Path]], tuple[Heard, ...]]
    merge: Callable[[Diarized, Sequence[Outline], Sequence[Heard], Mapping[Speaker, Path]], Transcript]


class Chain:
    """The stages of one recording on its workbench. A stage asks for the ones before it, and nothing is done twice.

    The recording is decoded at most once, and only if a stage has to hear it. Every method raises what its stage
    raises, and `OutputError` where a result cannot be kept.
    """

    def __init__(self, stages: Stages, key: Keys, bench: Workbench) -> None:
        self._stages, self._key, self._bench = stages, key, bench
        self._decode = functools.cache(stages.decode)

    def diarize(self) -> Diarized:
        """Who speaks when."""
        found = self._bench.diarized(self._key.diarize)
        if found is None:
            found = self._stages.diarize(self._decode())
            self._bench.keep_diarized(self._key.diarize, found)
        return found

    def separate(self) -> tuple[Outline, ...]:
        """The stretches of every stream; their sound is in the tracks on the workbench."""
        outlines = self._bench.outlines(self._key.separate)
        if outlines is None:
            found = self.diarize()
            outlines = self._stages.isolate(self._decode(), found, self._bench.start_tracks(self._key.separate))
            self._bench.keep_outlines(self._key.separate, outlines)
        return outlines

    def transcribe(self) -> tuple[Heard, ...]:
        """What was heard in each stretch."""
        outlines = self.separate()
        heard = self._bench.heard(self._key.transcribe, len(outlines))
        if heard is None:
            heard = self._stages.transcribe(outlines, self._bench.voices(self._key.separate))
            self._bench.keep_heard(self._key.transcribe, heard)
        return heard

    def finish(self) -> Processed:
        """All of them, and the transcript that follows."""
        found, outlines, heard = self.diarize(), self.separate(), self.transcribe()
        tracks = self._bench.voices(self._key.separate)
        return Processed(self._stages.merge(found, outlines, heard, tracks), tracks)
