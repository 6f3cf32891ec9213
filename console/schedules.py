"""Commands about timetables: add, list, pause, resume, run-now, remove."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from meetsplit.console.cache import print_line, wide
from meetsplit.console.job_options import place, queue_options, request
from meetsplit.console.options import run_options

schedule_app = typer.Typer(
    no_args_is_help=True, help="Look into folders at set times; `meetsplit worker` has to be running."
)
Name = Annotated[str, typer.Argument(help="The schedule's name.")]


@schedule_app.command("add")
@run_options()
@queue_options()
def add(  # noqa: PLR0913 - a command's own options
    called: Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")],
    *,
    cron: Annotated[str, typer.Option(help='minute hour day month weekday: "0 2 * * *" is every night at two.')],
    folder: Annotated[Path, typer.Option(help="The folder with the recordings, subfolders included.")],
    timezone: Annotated[str | None, typer.Option(help="Europe/Berlin, for instance. (default: this machine's)")] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill/--no-backfill", help="Catch up on runs missed while no worker ran.")
    ] = True,
    queue: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> None:
    """Transcribe what is new in a folder at set times; results go to FOLDER/transcripts unless -o says otherwise."""
    from meetsplit.jobs import schedule
    from meetsplit.jobs.database import client

    wanted = request(queue, asked, retries=2, folder=folder / "transcripts")
    base, store = place(queue)
    with client(base, store.ready(), make=True) as opened:
        schedule.add(opened, schedule.ScheduleSpec(called, cron, folder, timezone, backfill), wanted)
        following = next(table.next for table in schedule.list_schedules(opened) if table.name == called)
    print_line(f"{called} runs next at {_when(following)}, if `meetsplit worker` is running then")


@schedule_app.command("list")
@queue_options("state_dir", "database")
def list_schedules(
    *, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, queue: Mapping[str, Any]
) -> None:
    """List the schedules with their last run and their next."""
    from meetsplit.console.jobs import print_json
    from meetsplit.jobs.database import NoQueue, client
    from meetsplit.jobs.schedule import list_schedules

    base, store = place(queue)
    try:
        with client(base, store) as opened:
            found = list_schedules(opened)
    except NoQueue:
        found = ()
    if as_json:
        print_json(
            [{**dataclasses.asdict(table), "last": _iso(table.last), "next": _iso(table.next)} for table in found]
        )
        return
    if not found:
        print_line("there are no schedules; `meetsplit schedule add` makes one")
        return
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "cron", "time zone", "folder", "last run", "next run"):
        shown.add_column(heading, overflow="fold")
    for table in found:
        following = "paused" if table.paused else _when(table.next)
        if table.problem is not None:
            following = f"never runs: {table.problem}; remove it: meetsplit schedule remove {table.name}"
        shown.add_row(table.name, table.cron, table.zone, table.folder, _when(table.last), following)
    wide().print(shown)


@schedule_app.command("pause")
@queue_options("state_dir", "database")
def pause(name: Name, *, queue: Mapping[str, Any]) -> None:
    """Run it no more until `resume`."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.pause(client, name))
    print_line(f"{name} is paused")


@schedule_app.command("resume")
@queue_options("state_dir", "database")
def resume(name: Name, *, queue: Mapping[str, Any]) -> None:
    """Run it again from now on; what was missed in the pause stays missed."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.resume(client, name))
    print_line(f"{name} runs again")


@schedule_app.command("run-now")
@queue_options("state_dir", "database")
def run_now(name: Name, *, queue: Mapping[str, Any]) -> None:
    """Run it once, beside the timetable."""
    from meetsplit.jobs import schedule

    print_line(f"{_do(queue, lambda client: schedule.run_now(client, name))} is queued for `meetsplit worker`")


@schedule_app.command("remove")
@queue_options("state_dir", "database")
def remove(name: Name, *, queue: Mapping[str, Any]) -> None:
    """Forget it; jobs that it queued stay."""
    from meetsplit.jobs import schedule

    _do(queue, lambda client: schedule.remove(client, name))
    print_line(f"{name} is removed")


def _do(queue: Mapping[str, Any], action: Callable[[Any], Any]) -> Any:
    from meetsplit.jobs.database import client

    base, store = place(queue)
    with client(base, store) as opened:
        return action(opened)


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment is not None else "never"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
