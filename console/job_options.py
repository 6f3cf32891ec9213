"""What can be asked of the queue on the command line, once for every command that asks it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meetsplit.console.options import add_options
from meetsplit.pipeline.errors import SettingsError, nearest

if TYPE_CHECKING:
    from meetsplit.jobs.database import Database
    from meetsplit.jobs.job_store import JobStore
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.worker import Worker

_QUEUE, _AFTER, _WHICH = "The queue", "When a recording is done", "Which files"


def _options(  # noqa: PLR0913 - a table of options in the shape that typer reads
    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEETSPLIT_STATE",
            help="Folder of the jobs. (default: ~/.local/state/meetsplit)",
            rich_help_panel=_QUEUE,
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="MEETSPLIT_DATABASE",
            help="postgresql://… for several machines. (default: SQLite in the state folder)",
            rich_help_panel=_QUEUE,
        ),
    ] = None,
    priority: Annotated[str, typer.Option(help="high, normal or low.", rich_help_panel=_QUEUE)] = "normal",
    retries: Annotated[
        int | None, typer.Option(help="Try a failing recording again this often.", min=0, rich_help_panel=_QUEUE)
    ] = None,
    retry_delay: Annotated[
        float,
        typer.Option(
            help="Seconds before the first retry; four times as long each time.", min=0, rich_help_panel=_QUEUE
        ),
    ] = 60.0,
    on_done: Annotated[
        str | None,
        typer.Option(
            help="Command to run, without a shell; {recording}, {folder}, {stem}, {status}, {job}, {error} are filled in, and are in its "
            "environment as MEETSPLIT_RECORDING and so on, the safe way in sh -c; JSON is on its standard input.",
            rich_help_panel=_AFTER,
        ),
    ] = None,
    on_done_env: Annotated[
        list[str] | None,
        typer.Option(
            help="Secret variable that the command inherits, such as HF_TOKEN; may be repeated. (default: none)",
            rich_help_panel=_AFTER,
        ),
    ] = None,
    on_done_timeout: Annotated[
        float, typer.Option(help="Seconds that the command may take.", min=1, rich_help_panel=_AFTER)
    ] = 60.0,
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Address to send JSON to; signed if MEETSPLIT_WEBHOOK_SECRET is set.", rich_help_panel=_AFTER
        ),
    ] = None,
    move_done: Annotated[
        Path | None,
        typer.Option(help="Move finished recordings here. Without it, they stay untouched.", rich_help_panel=_AFTER),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            help='Names that count, "*.m4a"; may be repeated. (default: known suffixes)', rich_help_panel=_WHICH
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Names that do not; may be repeated.", rich_help_panel=_WHICH)
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(help="Begin no recording while this process holds more than, say, 8GB.", rich_help_panel=_QUEUE),
    ] = None,
    nice: Annotated[
        int | None,
        typer.Option(help="Leave the processor to others: 0 (not) to 19.", min=0, max=19, rich_help_panel=_QUEUE),
    ] = None,
) -> None:
    """Every option of the queue."""


def queue_options(*only: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options above (or ``only`` those); it receives them as one mapping ``queue``.

    Stands below `options.run_options` where both are used.
    """
    return add_options(_options, "queue", only)


def place(queue: Mapping[str, Any]) -> tuple[Database, JobStore]:
    """The queue's database and state folder."""
    from meetsplit.jobs.database import database
    from meetsplit.jobs.job_store import JobStore, default_state

    store = JobStore((queue["state_dir"] or default_state()).absolute())
    return database(queue["database"], store), store


def request(queue: Mapping[str, Any], asked: Mapping[str, Any], *, retries: int, folder: Path | None = None) -> Request:
    """How recordings are to be worked on. Results go to ``folder`` unless the settings say otherwise."""
    import dataclasses

    from meetsplit.console.options import resolve_settings
    from meetsplit.jobs import hooks, webhooks
    from meetsplit.jobs.discovery import Patterns, require_utf8
    from meetsplit.jobs.job import CompletionActions, with_absolute_paths
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.submission import PRIORITIES
    from meetsplit.pipeline.formats import names

    settings, outputs = resolve_settings({**({"output_dir": folder} if folder is not None else {}), **asked}, names())
    outputs = dataclasses.replace(outputs, folder=outputs.folder.absolute())
    if queue["priority"] not in PRIORITIES:
        raise SettingsError(f"--priority {queue['priority']}: {nearest(queue['priority'], PRIORITIES)}")
    moved = queue["move_done"].absolute() if queue["move_done"] else None
    for path in (outputs.folder, moved, settings.rttm, settings.script):
        require_utf8(path)
    afterwards = CompletionActions(
        hooks.parse(queue["on_done"]) if queue["on_done"] else (),
        queue["on_done_timeout"],
        webhooks.address(queue["webhook"]) if queue["webhook"] else None,
        moved,
        retries if queue["retries"] is None else queue["retries"],
        queue["retry_delay"],
        hooks.names(queue["on_done_env"] or ()),
    )
    apart = tuple(place for place in (outputs.folder, moved) if place is not None)
    patterns = Patterns(tuple(queue["include"] or ()), tuple(queue["exclude"] or ()), apart)
    return Request(with_absolute_paths(settings), outputs, PRIORITIES[queue["priority"]], afterwards, patterns)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Whether and how the process was asked to stop."""

    asked: threading.Event
    codes: list[int]

    @property
    def code(self) -> int:
        """The exit code; 0 where nobody asked."""
        return self.codes[0] if self.codes else 0


@contextmanager
def interruptible(worker: Worker, say: Callable[[str], None], *, terminated: int = 143) -> Iterator[Interrupted]:
    """Inside the block, Ctrl-C and SIGTERM ask the engine to stop; nine seconds later the process ends, whatever it
    does.

    ``terminated`` is the exit code after SIGTERM, with which services are ended as a matter of course.
    """
    interrupted = Interrupted(threading.Event(), [])

    def hear(number: int, frame: FrameType | None) -> None:
        code = terminated if number == signal.SIGTERM else 128 + number
        if interrupted.codes:
            os._exit(code)
        interrupted.codes.append(code)
        interrupted.asked.set()
        worker.stop(code)
        last = threading.Timer(9.0, os._exit, (code,))
        last.daemon = True
        last.start()
        say("stopping: finished stages are kept, the running one is begun again next time")

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def be_nice(level: int) -> None:
    """Leave the processor to others."""
    if hasattr(os, "nice") and level:
        os.nice(level)
