"""Conversion to and from other libraries: tables of pandas, annotations of pyannote.core, sound of pydub."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meetsplit.pipeline.data import Span, Transcript, Turn
from meetsplit.pipeline.data.timeline import relabelled

if TYPE_CHECKING:
    import pandas


def to_dataframe(transcript: Transcript) -> pandas.DataFrame:
    """One row per segment, see `Transcript.to_dataframe`."""
    return transcript.to_dataframe()


def to_annotation(turns: Transcript | Iterable[Turn], recording: str | None = None) -> Any:
    """The turns, or those of a transcript, as a `pyannote.core.Annotation`; overlapping turns stay.

    ``recording`` is its uri; where it is left out, the transcript's own, or "recording".

    >>> to_annotation([Turn(Span(0.0, 1.5), "SPEAKER_00")], "call").label_duration("SPEAKER_00")
    1.5
    """
    from pyannote.core import Annotation, Segment

    uri = "recording"
    if isinstance(turns, Transcript):
        uri, turns = turns.recording, turns.turns
    annotation = Annotation(uri=uri if recording is None else recording)
    for track, turn in enumerate(turns):
        annotation[Segment(turn.span.start, turn.span.end), track] = turn.speaker
    return annotation


def from_annotation(annotation: Any, *, relabel: bool = False) -> tuple[Turn, ...]:
    """The turns of a `pyannote.core.Annotation`, sorted; with ``relabel``, as SPEAKER_00… in order of first speech.

    Starts before 0, which pyannote's windows can give, are moved to 0.
    """
    turns = (
        Turn(Span(max(float(segment.start), 0.0), float(segment.end)), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
        if segment.end > max(segment.start, 0.0)
    )
    return relabelled(turns) if relabel else tuple(sorted(turns))


def to_audio_segment(path: str | PathLike[str], start: float = 0.0, end: float | None = None) -> Any:
    """A track, or any recording, as a `pydub.AudioSegment` at its own rate with its own channels, 16 bits; or its part
    from ``start`` to ``end`` in seconds.

    It is cut, joined, faded and exported by pydub, and plays in a notebook. Raises `AudioError` for a file that cannot
    be read.
    """
    import numpy as np

    from meetsplit.pipeline.audio.native import open_native
    from meetsplit.pipeline.audio.reading import pcm16

    with warnings.catch_warnings():
        # pydub warns at its first import about audioop, its own docstrings and an ffmpeg, which is not needed here.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    blocks: list[bytes] = []
    with open_native(Path(path)) as native:
        first, last = round(start * native.rate), None if end is None else round(end * native.rate)
        position = 0
        for block in native.seconds():
            part = block[:, max(first - position, 0) : None if last is None else max(last - position, 0)]
            blocks.append(pcm16(np.ascontiguousarray(part.T).reshape(-1)))
            position += block.shape[1]
            if last is not None and position >= last:
                break
        return AudioSegment(data=b"".join(blocks), sample_width=2, frame_rate=native.rate, channels=native.channels)
