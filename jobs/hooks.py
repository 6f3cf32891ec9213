"""The command that runs when a job ends (``--on-done``): its arguments, its environment, and its bounded run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import IO, Any

from meetsplit.pipeline.errors import JobError, SettingsError

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MEETSPLIT_WEBHOOK_SECRET", "MEETSPLIT_DATABASE", "PGPASSWORD")
"""Environment variables that a command does not inherit unless ``--on-done-env`` names them."""

VALUES = ("recording", "folder", "stem", "status", "job", "error")
"""The values of a notification: as ``{name}`` in a command's arguments and as ``MEETSPLIT_NAME`` in its environment."""

_PLACEHOLDER = re.compile(r"\{(" + "|".join(VALUES) + r")\}")

_SHELLS = ("sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish")
_INTERPRETERS = {"python": "c", "pypy": "c", "perl": "eE", "ruby": "e", "node": "ep", "php": "r", "lua": "e"}
_WITH_VALUE = ("-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-W", "-X", "-I", "-M", "-r")
"""Options of interpreters that take the next argument for their value."""

_TAIL_BYTES = 4096
"""Bytes of a command's output that are kept while it runs; the rest is read and dropped."""

_SHOWN_CHARACTERS = 500
"""Characters of the output's end that a sentence about a failure holds."""

_MAX_VALUE = 8192
"""The most characters of one value: systems limit arguments and variables, and an error may be long."""


def parse(command: str) -> tuple[str, ...]:
    """The arguments in a command line, quoted as in a shell; no shell ever sees them.

    Raises `SettingsError` where there are none, where a quotation does not end, and for what `check` refuses.

    >>> parse("notify-send 'meeting done' {stem}")
    ('notify-send', 'meeting done', '{stem}')
    """
    try:
        arguments = tuple(shlex.split(command))
    except ValueError as error:
        raise SettingsError(f"--on-done {command}: {error}") from error
    if not arguments:
        raise SettingsError("--on-done: a command is needed")
    if not command.isascii() and any("\ud800" <= letter <= "\udfff" for letter in command):
        raise SettingsError("--on-done: the command is not UTF-8, and the queue holds text only")
    check(arguments)
    return arguments


def check(arguments: Sequence[str]) -> None:
    """Refuse a placeholder inside code that a shell or another interpreter would run.

    A recording's name would become a part of the code there. As an environment variable, or as an argument after the
    code, it stays a value. Raises `SettingsError`.

    >>> check(["sh", "-c", 'echo "$MEETSPLIT_STEM"'])
    >>> check(["sh", "-c", 'echo "$1"', "sh", "{stem}"])
    """
    for at, argument in enumerate(arguments):
        program = PurePath(argument).name.lower().removesuffix(".exe")
        flags = "c" if program in _SHELLS else _INTERPRETERS.get(program.rstrip("0123456789."))
        if flags is None:
            continue
        for code in _code(arguments[at + 1 :], flags):
            placeholder = _PLACEHOLDER.search(code)
            if placeholder is not None:
                variable = f"MEETSPLIT_{placeholder[1].upper()}"
                written = f'"${variable}"' if program in _SHELLS else f"the environment variable {variable}"
                raise SettingsError(
                    f"--on-done: {placeholder[0]} inside code for {program} would run a recording's name as code; "
                    f"write {written} instead"
                )


def _code(arguments: Sequence[str], flags: str) -> list[str]:
    """The arguments that an interpreter takes for code: the first that is no option after ``-c`` or one like
    ``-lc``.
    """
    code: list[str] = []
    before = ""
    for at, argument in enumerate(arguments):
        if argument[:1] not in ("-", "+") and before not in _WITH_VALUE:
            break
        short = re.fullmatch(r"-[A-Za-z]*", argument) is not None
        if short and any(flag in argument[1:] for flag in flags):
            code += [following for following in arguments[at + 1 :] if following[:1] not in ("-", "+")][:1]
        elif not short and any(argument.startswith(f"-{flag}") for flag in flags):
            code.append(argument)  # the code stands in the same argument: -cprint(1)
        before = argument
    return code


def variable_names(names: Sequence[str]) -> tuple[str, ...]:
    """``names`` of ``--on-done-env``, each once.

    Raises `SettingsError` for one that no environment variable can have.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise SettingsError(
                f"--on-done-env {name.partition('=')[0]}: the name of an environment variable is needed, "
                "such as HF_TOKEN"
            )
    return tuple(dict.fromkeys(names))


def environment(notification: Mapping[str, Any], inherited: Sequence[str] = ()) -> dict[str, str]:
    """The environment of a command: this process's without `SECRETS`, but for those ``inherited``, and the `VALUES`."""
    variables = {name: value for name, value in os.environ.items() if name.upper() not in SECRETS or name in inherited}
    return variables | {f"MEETSPLIT_{name.upper()}": _value(notification, name) for name in VALUES}


def run(
    command: Sequence[str], notification: Mapping[str, Any], *, patience: float = 60.0, inherited: Sequence[str] = ()
) -> str:
    """Run the command with the `VALUES` in place of ``{status}`` and so on, and in its environment.

    The notification is on its standard input as JSON. The command is done when it ends itself: what it left in the
    background goes on and is not waited for. After ``patience`` seconds, the command and everything in its process
    group is killed. Of its output, only the end is kept. Returns a sentence on what happened; raises `JobError` where
    the command could not run, failed, or took too long.
    """
    try:
        check(command)
    except SettingsError as error:  # queued by an earlier version, which did not look
        raise JobError(str(error)) from error
    filled = [_PLACEHOLDER.sub(lambda match: _value(notification, match[1]), argument) for argument in command]
    try:
        with tempfile.TemporaryFile() as standard_input:
            standard_input.write(json.dumps(notification).encode())
            standard_input.seek(0)
            process = subprocess.Popen(
                filled,
                stdin=standard_input,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(notification, inherited),
                start_new_session=os.name != "nt",
            )
    except OSError as error:
        raise JobError(f"--on-done {command[0]}: cannot be started: {error.strerror or error}") from error
    output = _Tail(process.stdout)
    try:
        code = process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        raise JobError(f"--on-done {command[0]}: took longer than {patience:.0f} s and was killed") from None
    finally:
        if process.poll() is None:
            kill(process)
    if code != 0:
        last_words = output.text()
        how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise JobError(f"--on-done {command[0]}: {how}{': ' + last_words if last_words else ''}")
    return f"{command[0]}: done"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that still runs, and its process group."""
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Tail:
    """The last `_TAIL_BYTES` bytes of a stream, which a thread reads to its end.

    A process that holds the other end, even one that outlives the command, can write on and is never blocked or killed
    by a pipe without a reader.
    """

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._bytes = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, args=(stream,), name="meetsplit-hook-output", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The end of the output, once the command itself has ended: what it wrote last is waited for for a moment."""
        self._thread.join(timeout=1.0)
        with self._lock:
            return self._bytes.decode("utf-8", "replace").strip()[-_SHOWN_CHARACTERS:]

    def _read(self, stream: IO[bytes] | None) -> None:
        if stream is None:
            return
        with stream:
            while block := os.read(stream.fileno(), 1 << 16):
                with self._lock:
                    self._bytes += block[-_TAIL_BYTES:]
                    del self._bytes[:-_TAIL_BYTES]


def _value(notification: Mapping[str, Any], name: str) -> str:
    """One of the `VALUES` as text without NUL, which neither an argument nor a variable can hold."""
    return str(notification.get(name) or "").replace("\0", "")[:_MAX_VALUE]
