"""What a batch looks like when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from meetsplit.console.tables import clock
from meetsplit.jobs.outcomes import JobOutcome
from meetsplit.pipeline.formats.control_characters import shown

_STYLES = {"failed": "red", "cancelled": "yellow", "unfinished": "yellow", "failed before": "red"}


def table(
    outcomes: Sequence[JobOutcome], refused: Sequence[tuple[Path, Exception]], undelivered: Mapping[str, str]
) -> Group:
    """One row per recording, and the sums below. ``undelivered`` holds the failed deliveries by the name of the job."""
    job_statuses = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("recording", "result", "length", "people", "words", "to check", "note"):
        job_statuses.add_column(heading, overflow="fold")
    first: dict[str, JobOutcome] = {}
    counts: Counter[str] = Counter()
    for ending in outcomes:
        state, note = ending.state, ending.error or str(ending.result.get("note") or "")
        if ending.slip.job in first:
            state, note = "same recording", f"as {first[ending.slip.job].slip.order.recording.name}"
        elif state == "done before":
            note = f"results went to {ending.slip.order.root}; --force repeats it"
        elif ending.slip.job in undelivered:
            note = f"{note}{'; ' if note else ''}not delivered: {undelivered[ending.slip.job]}"
        first.setdefault(ending.slip.job, ending)
        counts[state] += 1
        result = ending.result
        facts = (
            (clock(float(result["duration"])), str(result["people"]), str(result["words"]), str(result["check"]))
            if result
            else ("",) * 4
        )
        job_statuses.add_row(str(ending.slip.order.recording), state, *facts, note, style=_STYLES.get(state))
    for path, error in refused:
        counts["failed"] += 1
        job_statuses.add_row(shown(str(path)), "failed", "", "", "", "", str(error), style="red")
    sums = [f"{count} {state}" for state, count in counts.items()]
    if undelivered:
        sums.append("1 delivery failed" if len(undelivered) == 1 else f"{len(undelivered)} deliveries failed")
    return Group(job_statuses, Text(", ".join(sums)))
