"""Options of the queue on the command line, the same for every command, and what they make: store, request,
interruption.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args, get_type_hints

import typer

from meetsplit.console.options import Command, GivenOptions, add_options, print_files, resolve_settings, with_help
from meetsplit.console.settings_files import QUEUE_OPTIONS, read_files
from meetsplit.console.terminal import stop_bars
from meetsplit.pipeline.errors import SettingsError, nearest

if TYPE_CHECKING:
    from meetsplit.jobs.database import Database
    from meetsplit.jobs.job_store import JobStore
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.worker import Worker

_QUEUE, _COMPLETION, _FILES = "The queue", "When a recording is done", "Which files"


TO_TRANSCRIPTS = {"output_dir": "Folder for the results. (default: FOLDER/transcripts)"}
RETRIES = {"retries": "Try a failing recording again this often. (default: 2)"}
"""Help of commands whose defaults are not those of `batch`."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Options of the queue as the command line or a settings file gave them; each field is an option, in the shape that
    typer reads. None where it was not given.
    """

    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEETSPLIT_STATE",
            help="Folder of the jobs. (default: ~/.local/state/meetsplit)",
            rich_help_panel=_QUEUE,
            metavar="FOLDER",
        ),
    ] = None
    database: Annotated[
        str | None,
        typer.Option(
            envvar="MEETSPLIT_DATABASE",
            help="postgresql://… for several machines. (default: SQLite in the state folder)",
            rich_help_panel=_QUEUE,
            metavar="ADDRESS",
        ),
    ] = None
    priority: Annotated[
        str | None, typer.Option(help="high, normal (default) or low.", rich_help_panel=_QUEUE, metavar="TEXT")
    ] = None
    retries: Annotated[
        int | None,
        typer.Option(
            help="Try a failing recording again this often. (default: 0)", min=0, rich_help_panel=_QUEUE, metavar="N"
        ),
    ] = None
    retry_delay: Annotated[
        float | None,
        typer.Option(
            help="Seconds before the first retry; four times as long each time. (default: 60)",
            min=0,
            rich_help_panel=_QUEUE,
            metavar="SECONDS",
        ),
    ] = None
    on_done: Annotated[
        str | None,
        typer.Option(
            help="Command to run, without a shell; {recording}, {folder}, {stem}, {status}, {job}, {error} "
            "are filled in, and are in its environment as MEETSPLIT_RECORDING and so on, the safe way in sh -c; "
            "JSON is on its standard input.",
            rich_help_panel=_COMPLETION,
            metavar="COMMAND",
        ),
    ] = None
    on_done_env: Annotated[
        list[str] | None,
        typer.Option(
            help="Secret variable that the command inherits, such as HF_TOKEN; may be repeated. (default: none)",
            rich_help_panel=_COMPLETION,
            metavar="NAME",
        ),
    ] = None
    on_done_timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds that the command may take. (default: 60)",
            min=1,
            rich_help_panel=_COMPLETION,
            metavar="SECONDS",
        ),
    ] = None
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Address to send JSON to; signed if MEETSPLIT_WEBHOOK_SECRET is set.",
            rich_help_panel=_COMPLETION,
            metavar="ADDRESS",
        ),
    ] = None
    move_done: Annotated[
        Path | None,
        typer.Option(
            help="Move finished recordings here. Without it, they stay untouched.",
            rich_help_panel=_COMPLETION,
            metavar="FOLDER",
        ),
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option(
            help='Names that count, "*.m4a"; may be repeated. (default: those of sound and video files)',
            rich_help_panel=_FILES,
            metavar="PATTERN",
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Names that do not; may be repeated.", rich_help_panel=_FILES, metavar="PATTERN"),
    ] = None
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="Begin no recording while this process holds more than, say, 8GB. (default: no limit)",
            rich_help_panel=_QUEUE,
            metavar="SIZE",
        ),
    ] = None
    nice: Annotated[
        int | None,
        typer.Option(
            help="Leave the processor to others: 0 (not, default) to 19.",
            min=0,
            max=19,
            rich_help_panel=_QUEUE,
            metavar="N",
        ),
    ] = None


def queue_options(*only: str, helps: Mapping[str, str] = MappingProxyType({})) -> Callable[[Command], Command]:
    """Give a command the options of the queue (or ``only`` those), as its one parameter ``queue``: `QueueOptions`.

    What the command line does not say is taken from the settings files. Stands below `options.run_options` where both
    are used. ``helps`` are texts for the help in place of the options' own.
    """

    def build(values: dict[str, Any], others: Mapping[str, Any]) -> QueueOptions:
        config = others.get("options", {}).get("config")
        given = {name: value for name, value in values.items() if value not in (None, [])}
        return QueueOptions(**{**_queue_options_of_files(config), **given})

    return add_options([with_help(parameter, helps=helps) for parameter in _parameters()], "queue", only, build)


@functools.cache
def _parameters() -> tuple[inspect.Parameter, ...]:
    parameters = inspect.signature(QueueOptions, eval_str=True).parameters.values()
    return tuple(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters)


def _queue_options_of_files(config: Path | None) -> dict[str, Any]:
    """The options of the queue in the settings files. Raises `SettingsError` for a value that makes no sense."""
    options: dict[str, Any] = {}
    for file in read_files(config, (*QUEUE_OPTIONS, "cache")):
        for name in QUEUE_OPTIONS:
            if name in file.options:
                options[name] = _checked(name, file.options[name], file.path)
    return options


def _checked(name: str, value: object, path: Path) -> object:
    """A value of a settings file as the command line would have given it."""
    kind = get_type_hints(QueueOptions)[name]
    (limits,) = next(p for p in _parameters() if p.name == name).annotation.__metadata__
    match get_args(kind)[0]:
        case kind if kind == list[str]:
            texts = [value] if isinstance(value, str) else value
            if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
                return texts
            needed = "a text or a list of texts"
        case kind if kind in (str, Path):
            if isinstance(value, str):
                return Path(value).expanduser() if kind is Path else value
            needed = "a text"
        case kind:
            needed = "a whole number" if kind is int else "a number"
            is_number = isinstance(value, int) or (kind is float and isinstance(value, float))
            if is_number and not isinstance(value, bool):
                if (limits.min is None or value >= limits.min) and (limits.max is None or value <= limits.max):
                    return value
                needed = f"a number from {limits.min} on" if limits.max is None else f"{limits.min} to {limits.max}"
    raise SettingsError(f"{path}: {name.replace('_', '-')} {value!r}: {needed} is needed")


def open_store(queue: QueueOptions) -> tuple[Database, JobStore]:
    """The queue's database and state folder."""
    from meetsplit.jobs.database import database
    from meetsplit.jobs.job_store import JobStore, default_state

    store = JobStore((queue.state_dir or default_state()).absolute())
    return database(queue.database, store), store


def job_request(
    queue: QueueOptions, options: GivenOptions, *, retries: int, folder: Path | None = None, quiet: bool = False
) -> Request:
    """The request for recordings with these options. Results go to ``folder`` unless the options say otherwise.

    ``retries`` is the number of retries by default. Unless ``quiet``, says which settings files are read.
    """
    import dataclasses

    from meetsplit.jobs import hooks, webhooks
    from meetsplit.jobs.discovery import Patterns, require_utf8
    from meetsplit.jobs.job import CompletionActions, with_absolute_paths
    from meetsplit.jobs.requests import Request
    from meetsplit.jobs.submission import PRIORITIES
    from meetsplit.pipeline.formats import names
    from meetsplit.pipeline.models.selection import check_settings

    defaults = {"output_dir": folder} if folder is not None else {}
    settings, outputs = resolve_settings(options, names(), defaults=defaults)
    print_files(options, quiet=quiet)
    check_settings(settings)
    outputs = dataclasses.replace(outputs, folder=outputs.folder.absolute())
    priority = queue.priority or "normal"
    if priority not in PRIORITIES:
        raise SettingsError(f"--priority {priority}: {nearest(priority, PRIORITIES)}")
    move_to = queue.move_done.absolute() if queue.move_done else None
    for path in (outputs.folder, move_to, settings.rttm, settings.script):
        require_utf8(path)
    on_completion = CompletionActions(
        command=hooks.parse(queue.on_done) if queue.on_done else (),
        patience=60.0 if queue.on_done_timeout is None else queue.on_done_timeout,
        webhook=webhooks.address(queue.webhook) if queue.webhook else None,
        move_to=move_to,
        retries=retries if queue.retries is None else queue.retries,
        delay=60.0 if queue.retry_delay is None else queue.retry_delay,
        environment=hooks.variable_names(queue.on_done_env or ()),
    )
    result_folders = tuple(path for path in (outputs.folder, move_to) if path is not None)
    patterns = Patterns(tuple(queue.include or ()), tuple(queue.exclude or ()), result_folders)
    return Request(with_absolute_paths(settings), outputs, PRIORITIES[priority], on_completion, patterns)


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
