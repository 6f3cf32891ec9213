"""Schedules: cron expressions in a time zone, kept by DBOS's scheduler in the database; backfill of missed runs."""

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
from meetsplit.jobs.file_index import FileIndex
from meetsplit.jobs.job_store import JobStore
from meetsplit.jobs.requests import Request
from meetsplit.jobs.submission import JobQueue
from meetsplit.jobs.watch import FolderWatch
from meetsplit.jobs.workflows import SCAN_WORKFLOW
from meetsplit.pipeline.errors import JobError, SettingsError

HORIZON = timedelta(days=5 * 365)
"""A schedule whose next run lies further away than this is taken for a mistake."""

_RANDOM = re.compile(r"(^|[\s,])R($|[\s,(])")
"""croniter draws a random time for ``R``, another one in every process: such a schedule has no times of its own."""


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A stored schedule: ``cron`` in ``zone``, the folder, whether it is paused, its last run and its next.

    ``last`` is None until it has run once. ``problem`` says why the schedule can never run; None for a sound one. The
    fields' names are those of ``meetsplit schedule list --json``.
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
class ScheduleSpec:
    """A schedule to be added.

    ``backfill``: runs missed while no worker ran are made up for; no ``zone``: the local one.
    """

    name: str
    cron: str
    folder: Path
    zone: str | None = None
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class ScanContext:
    """The stored context of a schedule: the folder to scan, and the request for its recordings."""

    folder: Path
    request: Request

    def to_json(self) -> dict[str, Any]:
        """The context for the database."""
        return {"folder": str(self.folder), "request": self.request.to_json()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ScanContext:
        """The context that `to_json` gave, by this or an earlier version."""
        return cls(Path(row["folder"]), Request.from_json(row["request"]))


def add(client: DBOSClient, spec: ScheduleSpec, request: Request) -> None:
    """Store a schedule: scan the folder at the times of the cron expression, from now on.

    Raises `SettingsError` for a name, cron or zone that makes no sense, `JobError` for a name that is taken.
    """
    name, cron, folder = spec.name, spec.cron, spec.folder
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise SettingsError(f"schedule name {name!r}: letters, digits, - and _ are fine")
    zone = spec.zone or local_zone()
    next_run(cron, zone, datetime.now(UTC))
    if not folder.is_dir():
        raise SettingsError(f"--folder {folder}: no such folder")
    if client.get_schedule(name) is not None:
        raise JobError(f"schedule {name}: there is one already; remove it first, or choose another name")
    client.create_schedule(
        schedule_name=name,
        workflow_name=SCAN_WORKFLOW,
        schedule=cron,
        context=ScanContext(folder.absolute(), request).to_json(),
        automatic_backfill=spec.backfill,
        cron_timezone=zone,
        queue_name=SCANS,
        application_name=APPLICATION,
    )
    _backfill_from_now(client, name)  # without it, DBOS would not backfill a night missed before the first run


def next_run(cron: str, zone: str, after: datetime) -> datetime:
    """The first time after ``after`` at which the cron expression fires, in the time zone ``zone``.

    Raises `SettingsError` for an unknown zone, an expression that cannot be understood, and one that fires at no time
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


def list_schedules(client: DBOSClient) -> tuple[ScheduleInfo, ...]:
    """Every schedule by name.

    One that can never run, which an earlier version may have stored, says so in ``problem``.
    """
    return tuple(_schedule(row, _last_run(client, row)) for row in _rows(client))


def _rows(client: DBOSClient) -> list[Mapping[str, Any]]:
    """DBOS's records of the schedules, by name."""
    return sorted(client.list_schedules(), key=lambda row: str(row["schedule_name"]))


def _schedule(row: Mapping[str, Any], last: datetime | None = None) -> ScheduleInfo:
    zone, paused = str(row.get("cron_timezone") or "UTC"), row["status"] != "ACTIVE"
    context = row["context"] if isinstance(row["context"], Mapping) else {}
    following, problem = None, None
    try:
        following = next_run(row["schedule"], zone, datetime.now(UTC))
    except SettingsError as wrong:
        problem = str(wrong)
    return ScheduleInfo(
        row["schedule_name"],
        row["schedule"],
        zone,
        str(context.get("folder", "?")),
        paused,
        bool(row.get("automatic_backfill")),
        last,
        None if paused else following,
        problem,
    )


def _last_run(client: DBOSClient, row: Mapping[str, Any]) -> datetime | None:
    """The time of a schedule's last run, by timetable or by hand; None where it has not run yet."""
    times: list[datetime] = []
    fired = _parsed_time(row.get("last_fired_at"))
    if fired is not None and not fired.microsecond:  # DBOS's own: cron expressions fire at whole seconds
        times.append(fired)
    for run in client.list_workflows(schedule_name=row["schedule_name"], sort_desc=True, limit=1, load_output=False):
        scheduled = _parsed_time(
            run.workflow_id.removeprefix(f"sched-{row['schedule_name']}-").removeprefix("trigger-")
        )
        if scheduled is not None:
            times.append(scheduled)
    return max(times, default=None)


def _backfill_from_now(client: DBOSClient, name: str) -> None:
    """Set the time from which missed runs are backfilled: in DBOS, that is the time of the last run.

    It has microseconds, which DBOS's own times of runs never have, so that `_last_run` can tell them apart.
    """
    now = datetime.now(UTC)
    client._sys_db.update_last_fired_at(name, now.replace(microsecond=now.microsecond or 1).isoformat())


def _parsed_time(text: str | None) -> datetime | None:
    """A stored time; None where there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def pause_impossible(client: DBOSClient) -> tuple[str, ...]:
    """Pause every schedule that can never run, before DBOS's scheduler loads it; a sentence about each.

    One unknown time zone would end the scheduler's only loop, and with it all schedules of the process.
    """
    sentences: list[str] = []
    for info in map(_schedule, _rows(client)):
        if info.problem is not None:
            if not info.paused:
                client.pause_schedule(info.name)
            sentences.append(
                f"schedule {info.name} never runs: {info.problem}; `meetsplit schedule remove {info.name}` removes it"
            )
    return tuple(sentences)


def pause(client: DBOSClient, name: str) -> None:
    """Run no more until `resume`. Raises `JobError` where there is no such schedule."""
    _require_schedule(client, name)
    client.pause_schedule(name)


def resume(client: DBOSClient, name: str) -> None:
    """Run again, from now on: runs missed in a pause stay missed.

    Raises `JobError` for a schedule that can never run.
    """
    _require_schedule(client, name)
    problem = next(_schedule(row).problem for row in _rows(client) if row["schedule_name"] == name)
    if problem is not None:
        raise JobError(f"schedule {name} never runs: {problem}; remove it and add it anew")
    _backfill_from_now(client, name)
    client.resume_schedule(name)


def run_now(client: DBOSClient, name: str) -> str:
    """Run once now, beside the timetable; the id of the run."""
    _require_schedule(client, name)
    return client.trigger_schedule(name).get_workflow_id()


def remove(client: DBOSClient, name: str) -> None:
    """Delete the schedule; jobs that it queued stay."""
    _require_schedule(client, name)
    client.delete_schedule(name)


def scan(client: DBOSClient, context: Mapping[str, Any], store: JobStore, pause: Callable[[], bool]) -> dict[str, Any]:
    """One run of a schedule with its stored context: queue the new, stable recordings of its folder.

    The result is stored with the run.
    """
    scheduled = ScanContext.from_json(context)
    watch = FolderWatch(scheduled.folder, scheduled.request, JobQueue(client, store), FileIndex.load(store.state))
    result = watch.scan_until_stable(pause)
    return {
        "queued": [submission.job for submission in result.submissions if submission.outcome == "queued"],
        "unsettled": result.unsettled,
        "complaints": list(result.complaints),
    }


def last_runs(client: DBOSClient) -> dict[str, datetime]:
    """The times up to which no run is missing, by name, of every sound, active schedule with backfill.

    That is the last run, or the time at which the schedule was added or resumed.
    """
    times: dict[str, datetime] = {}
    for row in _rows(client):
        info, last = _schedule(row), _parsed_time(row.get("last_fired_at"))
        if info.backfill and not info.paused and info.problem is None and last is not None:
            times[info.name] = last
    return times


@dataclass(frozen=True, slots=True)
class Backfill:
    """The times up to which no run is missing after a backfill, by name, and the failures of single schedules."""

    last_runs: Mapping[str, datetime]
    complaints: tuple[str, ...] = ()


def backfill_missed(client: DBOSClient, since: Mapping[str, datetime], now: datetime) -> Backfill:
    """Queue the runs between each schedule's time in ``since`` and ``now`` that were not queued.

    DBOS backfills when a worker starts. This also covers runs between its backfill and its first wait, and those during
    a suspend of the machine. A run has one id, so that none is queued twice, also where DBOS, which queues some a few
    seconds late on purpose, comes later. A schedule that cannot be backfilled keeps its time and holds up no other.
    """
    complaints: list[str] = []
    times: dict[str, datetime] = {}
    for name, last in last_runs(client).items():
        start = since.get(name)
        if start is None:
            times[name] = last
            continue
        times[name] = max(start, now)
        if start < now:
            try:
                client.backfill_schedule(name, start, now)
            except (ValueError, LookupError, error.DBOSException) as failure:
                complaints.append(f"schedule {name} cannot catch up on its runs: {failure}")
                times[name] = start
    return Backfill(times, tuple(complaints))


def local_zone() -> str:
    """This machine's time zone by its IANA name, UTC where it has none."""
    link = Path("/etc/localtime")
    if link.is_symlink():
        _, separator, name = str(link.resolve()).partition("zoneinfo/")
        if separator:
            return name.removeprefix("posix/")
    file = Path("/etc/timezone")
    return file.read_text("ascii").strip() if file.is_file() else "UTC"


def _require_schedule(client: DBOSClient, name: str) -> None:
    """Raise `JobError` where there is no schedule of that name."""
    if client.get_schedule(name) is None:
        names = ", ".join(sorted(row["schedule_name"] for row in client.list_schedules())) or "none"
        raise JobError(f"schedule {name}: there is no such schedule; there are: {names}")
