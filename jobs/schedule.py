"""When is a folder looked into? Cron expressions in a time zone, kept by DBOS's scheduler in the queue's database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter
from dbos import DBOSClient, error

from meetsplit.jobs.database import APPLICATION, SCANS
from meetsplit.jobs.file_index import Ledger
from meetsplit.jobs.job_store import Store
from meetsplit.jobs.requests import Request
from meetsplit.jobs.submission import Desk
from meetsplit.jobs.watch import Watch
from meetsplit.jobs.workflows import SCAN_WORKFLOW
from meetsplit.pipeline.errors import JobError, SettingsError

HORIZON = timedelta(days=5 * 365)
"""A schedule whose next run lies further away than this is taken for a mistake."""

_RANDOM = re.compile(r"(^|[\s,])R($|[\s,(])")
"""croniter draws a time for ``R``, another one in every process: such a schedule has no times of its own."""

_SLACK = timedelta(seconds=15)
"""DBOS may be this late on purpose: it spreads the workers' looks over up to ten seconds."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """One schedule: when (``cron`` in ``zone``), where, whether it is paused, its last run and its next.

    ``problem`` says why the schedule can never run; None for a sound one.
    """

    name: str
    cron: str
    zone: str
    folder: str
    paused: bool
    backfill: bool
    last: datetime | None
    next: datetime | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule to be: with ``backfill``, runs missed while no worker ran are caught up; no ``zone`` is this machine's."""

    name: str
    cron: str
    folder: Path
    zone: str | None = None
    backfill: bool = False


def add(client: DBOSClient, entry: Entry, request: Request) -> None:
    """Look into the folder at the times of the cron expression, from now on.

    Raises `SettingsError` for a name, cron or zone that makes no sense, `JobError` for a name that is taken.
    """
    name, cron, folder = entry.name, entry.cron, entry.folder
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise SettingsError(f"schedule name {name!r}: letters, digits, - and _ are fine")
    chosen = entry.zone or local_zone()
    next_run(cron, chosen, datetime.now(UTC))
    if not folder.is_dir():
        raise SettingsError(f"--folder {folder}: no such folder")
    if client.get_schedule(name) is not None:
        raise JobError(f"schedule {name}: there is one already; remove it first, or choose another name")
    client.create_schedule(
        schedule_name=name,
        workflow_name=SCAN_WORKFLOW,
        schedule=cron,
        context={"folder": str(folder.absolute()), "request": request.to_json()},
        automatic_backfill=entry.backfill,
        cron_timezone=chosen,
        queue_name=SCANS,
        application_name=APPLICATION,
    )
    # DBOS catches up from the last run on; without one, it would not catch up a night missed before the first.
    client._sys_db.update_last_fired_at(name, datetime.now(UTC).isoformat())


def next_run(cron: str, zone: str, after: datetime) -> datetime:
    """The first time after ``after`` that the cron expression stands for, in the time zone ``zone``.

    Raises `SettingsError` for an unknown zone, an expression that cannot be understood, and one that stands for no time
    within `HORIZON`, such as the 30th of February.
    """
    try:
        start = after.astimezone(ZoneInfo(zone))
    except (OSError, LookupError, ValueError) as failure:  # a folder of zones, no such zone, not a name at all
        raise SettingsError(f"--timezone {zone}: no such time zone; write it like Europe/Berlin") from failure
    if _RANDOM.search(cron):
        raise SettingsError(f'--cron "{cron}": R stands for random times; write fixed ones')
    if not croniter.is_valid(cron, second_at_beginning=True):
        raise SettingsError(
            f'--cron "{cron}": five fields are needed, minute hour day month weekday: "0 2 * * *" is every night at two'
        )
    try:
        following: datetime = croniter(cron, start, second_at_beginning=True).get_next(datetime)
    except (CroniterError, ValueError, OverflowError) as failure:
        raise SettingsError(f'--cron "{cron}": no date matches it, so it would never run') from failure
    if following - after > HORIZON:
        years = HORIZON.days // 365
        raise SettingsError(f'--cron "{cron}": would first run in {following.year}; choose a time within {years} years')
    return following


def timetables(client: DBOSClient) -> tuple[Timetable, ...]:
    """Every schedule by name. One that can never run, which an earlier version may have stored, says so in ``problem``."""
    return tuple(sorted((_timetable(row) for row in client.list_schedules()), key=lambda table: table.name))


def _timetable(row: Mapping[str, Any]) -> Timetable:
    zone, paused = str(row.get("cron_timezone") or "UTC"), row["status"] != "ACTIVE"
    context = row["context"] if isinstance(row["context"], Mapping) else {}
    following, problem = None, None
    try:
        following = next_run(row["schedule"], zone, datetime.now(UTC))
    except SettingsError as wrong:
        problem = str(wrong)
    return Timetable(
        row["schedule_name"],
        row["schedule"],
        zone,
        str(context.get("folder", "?")),
        paused,
        bool(row.get("automatic_backfill")),
        _moment(row.get("last_fired_at")),
        None if paused else following,
        problem,
    )


def _moment(text: str | None) -> datetime | None:
    """A stored time; None where there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def isolate(client: DBOSClient) -> tuple[str, ...]:
    """Pause every schedule that can never run, before DBOS's scheduler sees it; a sentence about each.

    One unknown time zone would end the scheduler's only loop, and with it all schedules of the process.
    """
    sentences: list[str] = []
    for table in timetables(client):
        if table.problem is not None:
            if not table.paused:
                client.pause_schedule(table.name)
            sentences.append(
                f"schedule {table.name} never runs: {table.problem}; `meetsplit schedule remove {table.name}` removes it"
            )
    return tuple(sentences)


def pause(client: DBOSClient, name: str) -> None:
    """Run no more until `resume`. Raises `JobError` where there is no such schedule."""
    _known(client, name)
    client.pause_schedule(name)


def resume(client: DBOSClient, name: str) -> None:
    """Run again, from now on: what was missed in a pause was meant to be. Raises `JobError` for one that can never run."""
    _known(client, name)
    problem = next(table.problem for table in timetables(client) if table.name == name)
    if problem is not None:
        raise JobError(f"schedule {name} never runs: {problem}; remove it and add it anew")
    client._sys_db.update_last_fired_at(name, datetime.now(UTC).isoformat())
    client.resume_schedule(name)


def run_now(client: DBOSClient, name: str) -> str:
    """Run once now, beside the timetable; the name of the run."""
    _known(client, name)
    return client.trigger_schedule(name).get_workflow_id()


def remove(client: DBOSClient, name: str) -> None:
    """Forget the schedule; jobs that it queued stay."""
    _known(client, name)
    client.delete_schedule(name)


def scan(client: DBOSClient, context: Mapping[str, Any], store: Store, wait: Callable[[], bool]) -> dict[str, Any]:
    """One run of a schedule: queue what is new in its folder and has held still; what came of it."""
    watch = Watch(
        Path(context["folder"]), Request.from_json(context["request"]), Desk(client, store), Ledger.at(store.state)
    )
    look = watch.once(wait)
    return {
        "queued": [slip.job for slip in look.slips if slip.outcome == "queued"],
        "unsettled": look.unsettled,
        "complaints": list(look.complaints),
    }


def marks(client: DBOSClient) -> dict[str, datetime]:
    """The last run of every sound schedule that catches up, by name: nothing before it is missing."""
    return {
        table.name: table.last
        for table in timetables(client)
        if table.backfill and not table.paused and table.last is not None and table.problem is None
    }


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The new marks, and what went wrong with single schedules."""

    marks: Mapping[str, datetime]
    complaints: tuple[str, ...] = ()


def catch_up(client: DBOSClient, since: Mapping[str, datetime], now: datetime) -> CaughtUp:
    """Queue the runs between each schedule's mark and a little before ``now`` that nobody queued.

    DBOS catches up when a worker starts. This also finds what fell into the moment between its catching up and its first
    wait, and what a suspended machine slept through. A run has one name, so that none is queued twice. A schedule whose
    runs cannot be told keeps its mark and stops no other.
    """
    until = now - _SLACK
    known = marks(client)
    complaints: list[str] = []
    following: dict[str, datetime] = {}
    for name, last in known.items():
        mark = since.get(name)
        following[name] = last if mark is None else max(mark, until)
        if mark is not None and mark < until:
            try:
                client.backfill_schedule(name, mark, until)
            except (ValueError, LookupError, error.DBOSException) as failure:
                complaints.append(f"schedule {name} cannot catch up on its runs: {failure}")
                following[name] = mark
    return CaughtUp(following, tuple(complaints))


def local_zone() -> str:
    """This machine's time zone by its IANA name, UTC where it has none."""
    link = Path("/etc/localtime")
    if link.is_symlink():
        _, found, name = str(link.resolve()).partition("zoneinfo/")
        if found:
            return name.removeprefix("posix/")
    named = Path("/etc/timezone")
    return named.read_text("ascii").strip() if named.is_file() else "UTC"


def _known(client: DBOSClient, name: str) -> None:
    if client.get_schedule(name) is None:
        known = ", ".join(sorted(row["schedule_name"] for row in client.list_schedules())) or "none"
        raise JobError(f"schedule {name}: there is no such schedule; there are: {known}")
