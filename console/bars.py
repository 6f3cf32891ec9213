"""The bars below what is printed: the recording at hand, one bar of all the work, and one for each of its stages.

    2 of 12  interview-anna.m4a
         all ━━━━━━━━╸━━━━━━━━━━━━━━━  elapsed 4:10  about 18 min left
     diarize ━━━━━━━━━━━━━━━━━━━━━━━━  kept from 24 Nov 12:06
    separate ━━━━━━━━━━━━━━━━━━━━━━━━  9.3 s  12 of 12 overlapped voices taken apart
  transcribe ━━━━━━━━━╸━━━━━━━━━━━━━━  elapsed 1:02  left 2:05

A line is never wider than the screen: what is too long is clipped at its end, and the bars keep their width.
"""

from __future__ import annotations

import os

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meetsplit.console.quantities import about, duration, kept_sentence
from meetsplit.console.recording_progress import RecordingProgress, StageProgress, WorkProgress
from meetsplit.pipeline.data.units import clock_time
from meetsplit.pipeline.formats.control_characters import shown

_LABEL = 11
"""Columns of the longest stage's name, and one."""

_NARROWEST, _WIDEST, _PART = 8, 40, 0.3
"""Columns of a bar: this part of the screen, within bounds."""


_SPARE = 5
"""Columns that stay free: the terminal writes ^C behind the last line, and would else begin another line for it."""


def draw(work: WorkProgress, now: float, width: int) -> RenderableType:
    """The bars at the moment ``now`` of the monotonic clock, for a screen of so many columns; empty between two
    recordings.
    """
    recording = work.current
    if recording is None:
        return Group()
    bar_width = round(max(_NARROWEST, min(_WIDEST, width * _PART)))
    rows = Table.grid(padding=(0, 1))
    rows.width = max(width - _SPARE, _LABEL + bar_width)
    rows.add_column(width=_LABEL, justify="right", no_wrap=True)
    rows.add_column(width=bar_width, no_wrap=True)
    rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    is_one_of_many = work.total > 1
    if recording.name:
        rows.add_row("all" if is_one_of_many else "overall", _bar(work.share(now), now, bar_width), _overall(work, now))
    for stage in tuple(recording.stages.values()):
        rows.add_row(shown(stage.stage), _bar(stage.share, now, bar_width, stage.has_ended), _tail(stage, now))
    if not recording.name:
        return rows
    position = f"{work.number} of {work.total}  " if is_one_of_many else ""
    return Group(_title(recording, position), rows)


def _title(recording: RecordingProgress, position: str) -> Text:
    name = shown(os.path.basename(recording.name))
    return Text(f"{position}{name}", style="bold", no_wrap=True, overflow="ellipsis")


def _bar(share: float | None, now: float, width: int, has_ended: bool = False) -> ProgressBar:
    return ProgressBar(
        total=None if share is None else 1.0,
        completed=share or 0.0,
        width=width,
        pulse=share is None,
        animation_time=now,
        finished_style="green" if has_ended else "bar.complete",
    )


def _overall(work: WorkProgress, now: float) -> Text:
    left = work.left(now)
    return Text(
        f"elapsed {clock_time(work.elapsed(now))}" + (f"  about {about(left)} left" if left is not None else "")
    )


def _tail(stage: StageProgress, now: float) -> Text:
    """What stands behind a bar: the clocks, then the note, which is clipped where the screen ends."""
    if stage.kept:
        return Text(kept_sentence(stage.kept_since), style="dim")
    note = f"  {shown(stage.note)}" if stage.note else ""
    if stage.seconds is not None:
        return Text(f"{duration(stage.seconds)}{note}")
    left = stage.left(now)
    return Text(
        f"elapsed {clock_time(stage.elapsed(now))}" + (f"  left {clock_time(left)}" if left is not None else "") + note
    )
