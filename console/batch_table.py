"""The table of a batch that is over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from meetsplit.console.quantities import duration
from meetsplit.jobs.outcomes import JobOutcome
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.formats.text import clock

_STYLES = {"failed": "red", "cancelled": "yellow", "unfinished": "yellow", "failed before": "red"}

_NAMED = 3
"""Recordings that are named before a note that several share."""


def table(
    outcomes: Sequence[JobOutcome],
    refused: Sequence[tuple[Path, Exception]],
    undelivered: Mapping[str, str],
    seconds: float,
) -> Group:
    """A row per recording, named from the folder that all are in; below, in full, what there is to say about them, and
    the counts.

    ``undelivered`` holds the failed deliveries by job id. ``seconds`` is the time that the batch took.
    """
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("recording", overflow="fold")
    for heading in ("result", "length", "people", "words", "to check"):
        rows.add_column(heading, no_wrap=True)
    paths = [outcome.submission.spec.recording for outcome in outcomes]
    folder = _common_folder([*paths, *(path for path, _ in refused)])
    recordings: dict[str, Path] = {}
    counts: Counter[str] = Counter()
    notes: list[tuple[str, str]] = []
    for outcome in outcomes:
        job, spec, result = outcome.submission.job, outcome.submission.spec, outcome.result
        name, state = _name(spec.recording, folder), outcome.state
        if job in recordings:
            state = "same recording"
            notes.append((name, f"same recording as {_name(recordings[job], folder)}"))
        else:
            notes += [_named(spec.recording, name, note) for note in _notes(outcome, undelivered)]
        recordings.setdefault(job, spec.recording)
        counts[state] += 1
        length, numbers = "", ["", "", ""]
        if result:
            length = clock(1000 * round(float(result["duration"])))
            numbers = [str(result[name]) for name in ("people", "words", "check")]
        rows.add_row(name, state, length, *numbers, style=_STYLES.get(state))
    for path, error in refused:
        counts["failed"] += 1
        rows.add_row(_name(path, folder), "failed", "", "", "", "", style="red")
        notes.append(_named(path, _name(path, folder), str(error)))
    sums = [f"{count} {state}" for state, count in counts.items()]
    if undelivered:
        sums.append("1 delivery failed" if len(undelivered) == 1 else f"{len(undelivered)} deliveries failed")
    return Group(rows, *_note_lines(notes), Text(f"{', '.join(sums)} ({duration(seconds)})"))


def _notes(outcome: JobOutcome, undelivered: Mapping[str, str]) -> Iterable[str]:
    """What there is to say about a recording, besides its numbers."""
    note = outcome.error or outcome.result.get("note")
    if outcome.state == "done before":
        yield f"done before, results went to {outcome.submission.spec.root}; --force repeats it"
    elif note:
        yield str(note)
    if outcome.state != "done before" and outcome.submission.job in undelivered:
        yield f"not delivered: {undelivered[outcome.submission.job]}"


def _named(path: Path, name: str, note: str) -> tuple[str, str]:
    """The recording's name, empty for a note that begins with its path, and the note with the name for the path."""
    return ("", f"{name}{note.removeprefix(str(path))}") if note.startswith(str(path)) else (name, note)


def _note_lines(notes: Sequence[tuple[str, str]]) -> list[Text]:
    """A line for each note, after the names of the recordings that it is about."""
    names: dict[str, list[str]] = {}
    for name, note in notes:
        names.setdefault(note, []).append(name)
    lines = []
    for note, about in names.items():
        more = f" and {len(about) - _NAMED} more" if len(about) > _NAMED else ""
        subject = f"{', '.join(about[:_NAMED])}{more}"
        lines.append(Text(shown(f"{subject}: {note}" if subject else note)))
    return lines


def _common_folder(paths: Sequence[Path]) -> str:
    """The deepest folder that all recordings are in."""
    try:
        return os.path.commonpath([path.absolute().parent for path in paths])
    except ValueError:  # none, or several drives
        return ""


def _name(path: Path, folder: str) -> str:
    """The path from the common folder on."""
    return shown(os.path.relpath(path.absolute(), folder) if folder else str(path))
