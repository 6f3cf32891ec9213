"""Diarizer that takes its turns from an RTTM file."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from meetsplit.pipeline.data import Audio, Span, Speaker, Turn, timeline
from meetsplit.pipeline.data.labels import assign_labels, person_names
from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.formats import rttm
from meetsplit.pipeline.formats.fields import FormatError
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
        inside = timeline.inside(timeline.merge_turns(turns), within)
        originals = tuple(dict.fromkeys(turn.speaker for turn in inside))
        labels = dict(zip(originals, assign_labels(originals), strict=True))
        self.names = person_names({label: name for name, label in labels.items()})
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
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not a text file; --rttm takes turns in the RTTM format") from error
    turns_by_recording: dict[str, list[Turn]] = {}
    try:
        for line in rttm.read(text):
            if line.turn is not None:
                turns_by_recording.setdefault(line.recording, []).append(line.turn)
    except FormatError as error:
        raise SettingsError(f"{path}, line {error.number}: {_complaint(error)}") from error
    if not turns_by_recording:
        if text.strip():
            raise SettingsError(f"{path}: no SPEAKER line inside; --rttm takes turns in the RTTM format")
        return ()  # what a recording without speech looks like, ours included
    if len(turns_by_recording) == 1:
        [turns] = turns_by_recording.values()
        return tuple(sorted(turns))
    name = _matching_recording(recording, list(turns_by_recording))
    if name is None:
        about = ", ".join(sorted(turns_by_recording)[:5])
        reason = f"none of them {recording!r}" if recording else "and it is not said which one to take"
        raise SettingsError(
            f"{path} is about {len(turns_by_recording)} recordings ({about}), {reason}: keep the lines of one"
        )
    return tuple(sorted(turns_by_recording[name]))


def _matching_recording(recording: str | None, names: Sequence[str]) -> str | None:
    """The one of ``names`` that stands for ``recording``: equal, or the only one with the same identifier.

    None for none.
    """
    if recording is None or recording in names:
        return recording
    matches = [name for name in names if _comparable(name) == _comparable(recording)]
    return matches[0] if len(matches) == 1 else None


def _comparable(recording: str) -> str:
    return identifier(unicodedata.normalize("NFC", recording))


def _complaint(error: FormatError) -> str:
    """The sentence about a SPEAKER line that is no turn."""
    fields = error.entry
    if error.problem == "fields":
        layout = "SPEAKER recording channel start duration <NA> <NA> speaker"
        return f"{len(fields)} fields instead of at least {rttm.LEAST_FIELDS}: {layout}"
    start, duration = fields[3], fields[4]
    if _is_float(start) and _is_float(duration):
        return f"a turn cannot start at {start} s and last {duration} s"
    return f"start {start!r} and duration {duration!r} should be numbers of seconds"


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
