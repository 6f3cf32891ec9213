"""Commands about schedules: add, list, pause, resume, run-now, remove."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich import box
from rich.table import Table

from meetsplit.console.job_options import (
    RETRIES,
    TO_TRANSCRIPTS,
    QueueOptions,
    job_request,
    open_store,
    queue_options,
)
from meetsplit.console.options import GivenOptions, run_options
from meetsplit.console.terminal import print_line, wide

if TYPE_CHECKING:
    from dbos import DBOSClient

Result = TypeVar("Result")

Name = Annotated[str, typer.Argument(help="The schedule's name.", metavar="NAME")]


@run_options(without=("cache",), helps=TO_TRANSCRIPTS)
@queue_options(helps=RETRIES)
def add(  # noqa: PLR0913 - a command's own options
    schedule_name: Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")],
    *,
    cron: Annotated[
        str,
        typer.Option(
            help='minute hour day month weekday: "0 2 * * *" is every night at two.', metavar="CRON", show_default=False
        ),
    ],
    folder: Annotated[
        Path, typer.Option(help="The folder with the recordings, subfolders included.", metavar="FOLDER")
    ],
    timezone: Annotated[
        str | None, typer.Option(help="Europe/Berlin, for instance. (default: this machine's)", metavar="NAME")
    ] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill/--no-backfill", help="Catch up on runs missed while no worker ran.")
    ] = True,
    queue: QueueOptions,
    options: GivenOptions,
) -> None:
    """Transcribe what is new in a folder at set times."""
    from meetsplit.jobs import schedule
    from meetsplit.jobs.database import client

    request = job_request(queue, options, retries=2, folder=folder / "transcripts")
    base, store = open_store(queue)
    with client(base, store.ready(), make=True) as connection:
        schedule.add(connection, schedule.ScheduleSpec(schedule_name, cron, folder, timezone, backfill), request)
        following = next(info.next for info in schedule.list_schedules(connection) if info.name == schedule_name)
    print_line(f"{schedule_name} runs next at {_when(following)}, if `meetsplit worker` is running then")


@queue_options("state_dir", "database")
def list_schedules(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    queue: QueueOptions,
) -> None:
    """List the schedules with their last run and their next."""
    from meetsplit.console.jobs import print_json
    from meetsplit.jobs.database import NoQueue, client
    from meetsplit.jobs.schedule import list_schedules

    base, store = open_store(queue)
    try:
        with client(base, store) as connection:
            infos = list_schedules(connection)
    except NoQueue:
        infos = ()
    if as_json:
        print_json([{**dataclasses.asdict(info), "last": _iso(info.last), "next": _iso(info.next)} for info in infos])
        return
    if not infos:
        print_line("there are no schedules; `meetsplit schedule add` makes one")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "cron", "time zone", "folder", "last run", "next run"):
        table.add_column(heading, overflow="fold")
    for info in infos:
        following = "paused" if info.paused else _when(info.next)
        if info.problem is not None:
            following = f"never runs: {info.problem}; remove it: meetsplit schedule remove {info.name}"
        table.add_row(info.name, info.cron, info.zone, info.folder, _when(info.last), following)
    wide().print(table)


@queue_options("state_dir", "database")
def pause(name: Name, *, queue: QueueOptions) -> None:
    """Pause a schedule: it does not run until `resume`."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.pause(client, name))
    print_line(f"{name} is paused")


@queue_options("state_dir", "database")
def resume(name: Name, *, queue: QueueOptions) -> None:
    """Resume a schedule from now on; what was missed in the pause stays missed."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.resume(client, name))
    print_line(f"{name} runs again")


@queue_options("state_dir", "database")
def run_now(name: Name, *, queue: QueueOptions) -> None:
    """Run a schedule once, now, beside its timetable."""
    from meetsplit.jobs import schedule

    print_line(f"{_do(queue, lambda client: schedule.run_now(client, name))} is queued for `meetsplit worker`")


@queue_options("state_dir", "database")
def remove(name: Name, *, queue: QueueOptions) -> None:
    """Remove a schedule; jobs that it queued stay."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.remove(client, name))
    print_line(f"{name} is removed")


def _do(queue: QueueOptions, action: Callable[[DBOSClient], Result]) -> Result:
    """Run an action on the queue's database."""
    from meetsplit.jobs.database import client

    base, store = open_store(queue)
    with client(base, store) as connection:
        return action(connection)


def _when(moment: datetime | None) -> str:
    """A time in the local time zone; "never" for None."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment is not None else "never"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
