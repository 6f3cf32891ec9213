"""When is a folder looked into? Cron expressions in a time zone, kept by DBOS's scheduler in the queue's database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from dbos import DBOSClient

from meetsplit.jobs.database import APPLICATION, SCANS
from meetsplit.jobs.desk import Desk
from meetsplit.jobs.flow import SCAN_WORKFLOW
from meetsplit.jobs.intake import Request
from meetsplit.jobs.ledger import Ledger
from meetsplit.jobs.store import Store
from meetsplit.jobs.watch import Watch
from meetsplit.pipeline.errors import JobError, SettingsError

_SLACK = timedelta(seconds=15)
"""DBOS may be this late on purpose: it spreads the workers' looks over up to ten seconds."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """One schedule: when (``cron`` in ``zone``), where, whether it is paused, its last run and its next."""

    name: str
    cron: str
    zone: str
    folder: str
    paused: bool
    backfill: bool
    last: datetime | None
    next: datetime | None


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
    if not croniter.is_valid(cron, second_at_beginning=True):
        raise SettingsError(f'--cron "{cron}": five fields are needed, minute hour day month weekday: "0 2 * * *" is every night at two')
    chosen = entry.zone or local_zone()
    try:
        ZoneInfo(chosen)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"--timezone {chosen}: no such time zone; write it like Europe/Berlin") from error
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


def timetables(client: DBOSClient) -> tuple[Timetable, ...]:
    """Every schedule by name."""
    found = []
    for row in client.list_schedules():
        zone, paused = row.get("cron_timezone") or "UTC", row["status"] != "ACTIVE"
        last = row.get("last_fired_at")
        following = croniter(row["schedule"], datetime.now(ZoneInfo(zone)), second_at_beginning=True).get_next(datetime)
        found.append(
            Timetable(
                row["schedule_name"],
                row["schedule"],
                zone,
                str((row["context"] or {}).get("folder", "?")),
                paused,
                bool(row.get("automatic_backfill")),
                datetime.fromisoformat(last) if last else None,
                None if paused else following,
            )
        )
    return tuple(sorted(found, key=lambda table: table.name))


def pause(client: DBOSClient, name: str) -> None:
    """Run no more until `resume`. Raises `JobError` where there is no such schedule."""
    _known(client, name)
    client.pause_schedule(name)


def resume(client: DBOSClient, name: str) -> None:
    """Run again, from now on: what was missed in a pause was meant to be."""
    _known(client, name)
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
    watch = Watch(Path(context["folder"]), Request.from_json(context["request"]), Desk(client, store), Ledger.at(store.state))
    look = watch.once(wait)
    return {
        "queued": [slip.job for slip in look.slips if slip.outcome == "queued"],
        "unsettled": look.unsettled,
        "complaints": list(look.complaints),
    }


def marks(client: DBOSClient) -> dict[str, datetime]:
    """The last run of every schedule that catches up, by name: nothing before it is missing."""
    return {table.name: table.last for table in timetables(client) if table.backfill and not table.paused and table.last is not None}


def catch_up(client: DBOSClient, since: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Queue the runs between each schedule's mark and a little before ``now`` that nobody queued; the new marks.

    DBOS catches up when a worker starts. This also finds what fell into the moment between its catching up and its first
    wait, and what a suspended machine slept through. A run has one name, so that none is queued twice.
    """
    until = now - _SLACK
    known = marks(client)
    for name, mark in since.items():
        if name in known and mark < until:
            client.backfill_schedule(name, mark, until)
    return {name: max(since[name], until) if name in since else last for name, last in known.items()}


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
