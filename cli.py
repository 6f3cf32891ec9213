"""The command line: its program, exit codes, signals, and errors as sentences. The commands are in `console`."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Annotated

import typer

from meetsplit import __version__
from meetsplit.console.command_group import ProgramGroup
from meetsplit.console.terminal import Terminal, print_error
from meetsplit.console.whisper_arguments import translated
from meetsplit.pipeline.errors import MeetsplitError

app = typer.Typer(
    name="meetsplit",
    cls=ProgramGroup,
    help="Who said what, even where people talk over each other, and a clean audio file per person.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_NO_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF})
"""Error numbers of writing to a stream that leads to a full disk or to a program that has ended."""


def _version(requested: bool) -> None:
    if requested:
        print(f"meetsplit {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command; `main` reads --debug wherever it stands."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside the block, SIGTERM and SIGHUP raise `SystemExit`, so that temporary files are removed as after Ctrl-C.

    The exit codes are 143 and 129. Further signals do not end the cleaning. A signal that is ignored, as SIGHUP is
    under ``nohup``, stays ignored. The commands that work on a queue replace SIGTERM's handler by their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    handled = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def terminate(number: int, frame: FrameType | None) -> None:
        for handled_number in handled:
            signal.signal(handled_number, lambda number, frame: None)
        raise SystemExit(128 + number)

    for number in handled:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: code 0 done, 1 something failed, 2 wrong usage, 130 interrupted.

    After SIGTERM the code is 143, after SIGHUP 129.
    """
    # Read when the numerics are loaded: threads that wait for each other leave the processor to others. On an idle
    # machine that costs nothing, on a busy one spinning threads made a step of learning twice as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be UTF-8
    spelt = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in spelt
    code = _exit_code([argument for argument in spelt if argument != "--debug"], debug)
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        code = code or _without_output(error)
    sys.exit(code)


def _exit_code(arguments: Sequence[str], debug: bool) -> str | int | None:
    """Run the command line; returns its exit code. With ``debug``, errors pass through."""
    try:
        with _terminable():
            translation = translated(arguments)
            if translation.note is not None and not {"-q", "--quiet"} & set(translation.arguments):
                Terminal(stderr=True).print(f"note: {translation.note}", soft_wrap=True)
            app(translation.arguments, prog_name="meetsplit")
    except SystemExit as ended:
        return ended.code
    except MeetsplitError as error:
        if debug:
            raise
        print_error(error)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _NO_OUTPUT and error.filename is None:
            return _without_output(error)
        print_error(
            f"something unexpected happened, which is a fault of meetsplit's own: {type(error).__name__}: {error}. "
            "Run again with --debug and report what it prints."
        )
        return 1
    return 0


def _without_output(error: OSError) -> int:
    """Say why standard output cannot be written and close it, so that nothing tries again; returns the exit code."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError, ValueError):
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if error.errno != errno.EPIPE:  # a reader that stops early, such as `head`, needs no message
        with suppress(OSError):
            print_error(
                f"standard output cannot be written: {error.strerror or error}; files that were written are whole"
            )
    return 1


if __name__ == "__main__":
    main()
