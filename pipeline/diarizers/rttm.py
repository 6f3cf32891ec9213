"""The diarizer `rttm`: turns from an RTTM file.

RTTM is NIST's Rich Transcription Time Marked format (RT-09 evaluation plan): one turn a line,
``SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>``.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, decimal_sum
from meetsplit.pipeline.data import labels as labelling
from meetsplit.pipeline.data.timeline import by_speaker, crop
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.formats.text import identifier
from meetsplit.pipeline.settings import Settings

_SLACK = 0.05
"""Seconds by which a turn may reach beyond the recording without a notice: rounding, and the edges of codecs."""


class RttmDiarizer:
    """A `Diarizer` that reads its turns. ``names`` holds, after `diarize`, the file's names of speakers by label.

    ``recording`` is the name to look for in a file about several recordings, by default the file's own.
    """

    def __init__(self, path: Path, rate: int = 16000, *, recording: str | None = None) -> None:
        self.rate = rate
        self.path = path
        self.recording = recording or path.stem
        self.names: tuple[tuple[Speaker, str], ...] = ()
        self.sha256: str | None = None

    @classmethod
    def load(cls, settings: Settings, weights: Mapping[str, Path], device: str) -> Self:
        """From ``settings.rttm``. Raises `SettingsError` where none was given."""
        if settings.rttm is None:
            raise SettingsError("--diarizer rttm needs the turns: add --rttm FILE")
        return cls(settings.rttm)

    def for_recording(self, recording: str) -> RttmDiarizer:
        """The same file for the recording of that name."""
        return RttmDiarizer(self.path, self.rate, recording=recording)

    def diarize(self, audio: Audio, on_event: EventListener) -> tuple[Turn, ...]:
        """The file's turns, at most up to the end of ``audio``; what lies beyond is cut off, with a notice.

        The file's times count from the recording's start, the clock of ``audio``. A speaker whom the file calls by a
        label such as ``SPEAKER_03`` keeps it; the others get the labels left, in order of first speech, and their
        names in ``names``. Raises `SettingsError` for a file that cannot be read as RTTM or is about other
        recordings.
        """
        content = _content(self.path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        turns = _turns(content, self.path, self.recording)
        within = Span(audio.span.start, max(audio.span.start, audio.span.end))
        beyond = sum(turn.span.end > within.end + _SLACK or turn.span.start < within.start - _SLACK for turn in turns)
        if beyond:
            cut = f"{beyond} of {len(turns)} turns reach beyond the recording's {audio.duration:.1f} s and were cut"
            on_event(Notice(f"{self.path}: {cut}", "diarize"))
        inside = [Turn(span, label) for label, spans in by_speaker(turns).items() for span in crop(spans, within)]
        originals = tuple(dict.fromkeys(turn.speaker for turn in sorted(inside)))
        labels = dict(zip(originals, labelling.assigned(originals), strict=True))
        self.names = labelling.people({label: name for name, label in labels.items()})
        return tuple(sorted(Turn(turn.span, labels[turn.speaker]) for turn in inside))


def read_rttm(path: Path, recording: str | None = None) -> tuple[Turn, ...]:
    """The turns in the file at ``path`` with the file's labels, sorted.

    Of a file about several recordings, those of ``recording``; of a file about one, all, by any name. A recording is
    also found under the identifier that our own RTTM gives it, and in any Unicode composition. Lines of other types and
    comments are skipped. Raises `SettingsError` with the line's number.
    """
    return _turns(_content(path), path, recording)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the turns: {error.strerror}") from error


def _turns(content: bytes, path: Path, recording: str | None) -> tuple[Turn, ...]:
    """See `read_rttm`; ``path`` is for error messages."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not a text file; --rttm takes turns in the RTTM format") from error
    by_recording: dict[str, list[Turn]] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if fields and fields[0].upper() == "SPEAKER":
            name = fields[1] if len(fields) > 1 else ""
            by_recording.setdefault(name, []).append(_turn(fields, f"{path}, line {number}"))
    if not by_recording and any(line.strip() for line in lines):
        raise SettingsError(f"{path}: no SPEAKER line inside; --rttm takes turns in the RTTM format")
    if not by_recording:  # a recording without speech, in files of our own, too
        return ()
    if len(by_recording) == 1:
        return tuple(sorted(next(iter(by_recording.values()))))
    match = _match_recording(recording, list(by_recording))
    if match is None:
        names = ", ".join(sorted(by_recording)[:5])
        request = f"none of them {recording!r}" if recording else "and it is not said which one to take"
        raise SettingsError(
            f"{path} is about {len(by_recording)} recordings ({names}), {request}: keep the lines of one"
        )
    return tuple(sorted(by_recording[match]))


def _match_recording(recording: str | None, names: Sequence[str]) -> str | None:
    """The one of ``names`` that is ``recording``, or the only one with its identifier; None where there is none."""
    if recording is None or recording in names:
        return recording
    matches = [name for name in names if _comparable(name) == _comparable(recording)]
    return matches[0] if len(matches) == 1 else None


def _comparable(recording: str) -> str:
    return identifier(unicodedata.normalize("NFC", recording))


def _turn(fields: list[str], where: str) -> Turn:
    """The turn of a ``SPEAKER`` line. Raises `SettingsError` that begins with ``where``."""
    if len(fields) < 8:
        layout = "SPEAKER recording channel start duration <NA> <NA> speaker"
        raise SettingsError(f"{where}: {len(fields)} fields instead of at least 8: {layout}")
    try:
        start, duration = float(fields[3]), float(fields[4])
    except ValueError:
        raise SettingsError(
            f"{where}: start {fields[3]!r} and duration {fields[4]!r} should be numbers of seconds"
        ) from None
    if not math.isfinite(start + duration) or start < 0 or duration < 0:
        raise SettingsError(f"{where}: a turn cannot start at {fields[3]} s and last {fields[4]} s")
    return Turn(Span(start, decimal_sum(start, duration)), fields[7])
