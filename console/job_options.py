"""Options of the queue on the command line, the same for every command, and what they make: store, request,
interruption.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from meetsplit.console.options import Command, GivenOptions, add_options, resolve_settings
from meetsplit.console.terminal import stop_bars
from meetsplit.pipeline.errors import SettingsError, nearest

if TYPE_CHECKING:
    from meetsplit.jobs.database import Database
    from meetsplit.jobs.job_store import JobStore
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.worker import Worker

_QUEUE, _COMPLETION, _FILES = "The queue", "When a recording is done", "Which files"


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Options of the queue as the command line gave them; each field is an option, in the shape that typer reads."""

    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEETSPLIT_STATE",
            help="Folder of the jobs. (default: ~/.local/state/meetsplit)",
            rich_help_panel=_QUEUE,
        ),
    ] = None
    database: Annotated[
        str | None,
        typer.Option(
            envvar="MEETSPLIT_DATABASE",
            help="postgresql://… for several machines. (default: SQLite in the state folder)",
            rich_help_panel=_QUEUE,
        ),
    ] = None
    priority: Annotated[str, typer.Option(help="high, normal or low.", rich_help_panel=_QUEUE)] = "normal"
    retries: Annotated[
        int | None, typer.Option(help="Try a failing recording again this often.", min=0, rich_help_panel=_QUEUE)
    ] = None
    retry_delay: Annotated[
        float,
        typer.Option(
            help="Seconds before the first retry; four times as long each time.", min=0, rich_help_panel=_QUEUE
        ),
    ] = 60.0
    on_done: Annotated[
        str | None,
        typer.Option(
            help="Command to run, without a shell; {recording}, {folder}, {stem}, {status}, {job}, {error} "
            "are filled in, and are in its environment as MEETSPLIT_RECORDING and so on, the safe way in sh -c; "
            "JSON is on its standard input.",
            rich_help_panel=_COMPLETION,
        ),
    ] = None
    on_done_env: Annotated[
        list[str] | None,
        typer.Option(
            help="Secret variable that the command inherits, such as HF_TOKEN; may be repeated. (default: none)",
            rich_help_panel=_COMPLETION,
        ),
    ] = None
    on_done_timeout: Annotated[
        float, typer.Option(help="Seconds that the command may take.", min=1, rich_help_panel=_COMPLETION)
    ] = 60.0
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Address to send JSON to; signed if MEETSPLIT_WEBHOOK_SECRET is set.", rich_help_panel=_COMPLETION
        ),
    ] = None
    move_done: Annotated[
        Path | None,
        typer.Option(
            help="Move finished recordings here. Without it, they stay untouched.", rich_help_panel=_COMPLETION
        ),
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option(
            help='Names that count, "*.m4a"; may be repeated. (default: known suffixes)', rich_help_panel=_FILES
        ),
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(help="Names that do not; may be repeated.", rich_help_panel=_FILES)
    ] = None
    max_memory: Annotated[
        str | None,
        typer.Option(help="Begin no recording while this process holds more than, say, 8GB.", rich_help_panel=_QUEUE),
    ] = None
    nice: Annotated[
        int | None,
        typer.Option(help="Leave the processor to others: 0 (not) to 19.", min=0, max=19, rich_help_panel=_QUEUE),
    ] = None


def queue_options(*only: str) -> Callable[[Command], Command]:
    """Give a command the options of the queue (or ``only`` those), as its one parameter ``queue``: `QueueOptions`.

    Stands below `options.run_options` where both are used.
    """
    return add_options(_parameters(), "queue", only, lambda values: QueueOptions(**values))


@functools.cache
def _parameters() -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(QueueOptions, eval_str=True).parameters.values())


def open_store(queue: QueueOptions) -> tuple[Database, JobStore]:
    """The queue's database and state folder."""
    from meetsplit.jobs.database import database
    from meetsplit.jobs.job_store import JobStore, default_state

    store = JobStore((queue.state_dir or default_state()).absolute())
    return database(queue.database, store), store


def job_request(queue: QueueOptions, options: GivenOptions, *, retries: int, folder: Path | None = None) -> Request:
    """The request for recordings with these options. Results go to ``folder`` unless the options say otherwise.

    ``retries`` is the number of retries by default.
    """
    import dataclasses

    from meetsplit.jobs import hooks, webhooks
    from meetsplit.jobs.discovery import Patterns, require_utf8
    from meetsplit.jobs.job import CompletionActions, with_absolute_paths
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.submission import PRIORITIES
    from meetsplit.pipeline.formats import names

    defaults = {"output_dir": folder} if folder is not None else {}
    settings, outputs = resolve_settings({**defaults, **options}, names())
    outputs = dataclasses.replace(outputs, folder=outputs.folder.absolute())
    if queue.priority not in PRIORITIES:
        raise SettingsError(f"--priority {queue.priority}: {nearest(queue.priority, PRIORITIES)}")
    move_to = queue.move_done.absolute() if queue.move_done else None
    for path in (outputs.folder, move_to, settings.rttm, settings.script):
        require_utf8(path)
    on_completion = CompletionActions(
        command=hooks.parse(queue.on_done) if queue.on_done else (),
        patience=queue.on_done_timeout,
        webhook=webhooks.address(queue.webhook) if queue.webhook else None,
        move_to=move_to,
        retries=retries if queue.retries is None else queue.retries,
        delay=queue.retry_delay,
        environment=hooks.variable_names(queue.on_done_env or ()),
    )
    result_folders = tuple(path for path in (outputs.folder, move_to) if path is not None)
    patterns = Patterns(tuple(queue.include or ()), tuple(queue.exclude or ()), result_folders)
    return Request(with_absolute_paths(settings), outputs, PRIORITIES[queue.priority], on_completion, patterns)


@dataclass(frozen=True, slots=True)
class Interruption:
    """Whether the process was asked to stop by Ctrl-C or SIGTERM, and the exit codes of the signals so far."""

    requested: threading.Event
    codes: list[int]

    @property
    def code(self) -> int:
        """The exit code; 0 where no signal came."""
        return self.codes[0] if self.codes else 0


@contextmanager
def interruptible(worker: Worker, say: Callable[[str], None], *, terminated: int = 143) -> Iterator[Interruption]:
    """Inside the block, Ctrl-C, SIGTERM and SIGHUP stop the worker; after nine seconds the process ends anyway.

    ``terminated`` is the exit code after SIGTERM, with which services are ended as a matter of course. SIGHUP stays
    ignored where it was, as under ``nohup``.
    """
    interruption = Interruption(threading.Event(), [])

    def handle(number: int, frame: FrameType | None) -> None:
        code = terminated if number == signal.SIGTERM else 128 + number
        if interruption.codes:
            end_now(code)
        interruption.codes.append(code)
        interruption.requested.set()
        worker.stop(code)
        deadline = threading.Timer(9.0, end_now, (code,))
        deadline.daemon = True
        deadline.start()
        say("stopping: finished stages are kept, the running one is begun again next time")

    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:
        numbers.append(hang_up)
    handlers = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def end_now(code: int) -> NoReturn:
    """End the process around whatever its threads do; the terminal gets its cursor back."""
    stop_bars()
    os._exit(code)


def be_nice(level: int) -> None:
    """Lower the priority of this process by ``level``."""
    if hasattr(os, "nice") and level:
        os.nice(level)
