"""A server that forks processes of the command line with everything imported already.

Starting Python and importing meetsplit, DBOS and SQLAlchemy takes two seconds of processor time, hundreds of times in
these tests. Each command still is a process of its own, with its own environment, folder and standard streams, and can
be stopped and killed. Needs `os.fork`; without it, and where a command needs another interpreter or another C library,
`run_command` and `Workspace.start` start Python.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_")
"""Beginnings of the names of variables that count when an interpreter starts."""

PATIENCE = 600.0
"""Seconds that a command may take, on a machine that does much else."""


class ForkedProcess:
    """A process that the server has forked, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, connection: socket.socket, stdout: int, stderr: int) -> None:
        self._connection = connection
        self._answers = connection.makefile("r", encoding="ascii")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None
        self.stdout: IO[str] = os.fdopen(stdout, encoding="utf-8")
        self.stderr: IO[str] = os.fdopen(stderr, encoding="utf-8")

    def poll(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("meetsplit", timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of its standard output and error, once it has ended. Raises `subprocess.TimeoutExpired`."""
        texts = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            texts[number] = stream.read()

        threads = [
            threading.Thread(target=read, args=(number, stream), daemon=True)
            for number, stream in enumerate((self.stdout, self.stderr))
        ]
        end = None if timeout is None else time.monotonic() + timeout
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if end is None else max(end - time.monotonic(), 0.0))
            if thread.is_alive():
                raise subprocess.TimeoutExpired("meetsplit", timeout or 0.0)
        self.stdout.close()
        self.stderr.close()
        self.wait(None if end is None else max(end - time.monotonic(), 1.0))
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                if selector.select(timeout):
                    self.returncode = os.waitstatus_to_exitcode(int(self._answers.readline()))
                    self._answers.close()
                    self._connection.close()
        return self.returncode


class ForkServer:
    """The server's process, and the socket that it listens on.

    It ends with the block, or with the process that started it.
    """

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._address = str(Path(self._folder.name) / "socket")
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", "the server of forks has not started"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def start(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, *, first: str = "") -> ForkedProcess:
        """Start the command line with these arguments, in this environment and folder; it executes the code ``first``
        before anything else.
        """
        (out, out_child), (err, err_child) = os.pipe(), os.pipe()
        connection = self._request(arguments, env, cwd, (out_child, err_child), first)
        return ForkedProcess(connection, out, err)

    def start_on_terminal(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, *, columns: int, lines: int
    ) -> ForkedProcess:
        """The same with both streams on a pseudo-terminal of this size; what is drawn on it is read from ``stdout``."""
        import fcntl
        import pty
        import struct
        import termios

        screen, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        connection = self._request(arguments, env, cwd, (child, os.dup(child)))
        return ForkedProcess(connection, screen, os.open(os.devnull, os.O_RDONLY))

    def _request(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, streams: tuple[int, int], first: str = ""
    ) -> socket.socket:
        """Ask the server for a command with these ``streams``, which are closed here."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self._address)
        request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd), "first": first}
        row = json.dumps(request).encode()
        socket.send_fds(connection, [b"%10d" % len(row)], list(streams))
        connection.sendall(row)
        for stream in streams:
            os.close(stream)
        return connection


def run_command(
    forks: ForkServer | None,
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, run to its end; what it says is kept."""
    plain = [*map(str, arguments)]
    if forks is None:
        command = [sys.executable, "-m", "meetsplit.cli", *plain]
        return subprocess.run(
            command, env=env, cwd=cwd, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
        )
    process = forks.start(plain, env, cwd or Path.cwd())
    out, err = process.communicate(PATIENCE)
    return subprocess.CompletedProcess(plain, process.wait(), out, err)


def _serve(address: str) -> list[str]:
    """Answer requests until standard input ends. In a forked child: returns the arguments of its command."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(64)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake.fileno())
    clients: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    for source in (server, woken, sys.stdin):
        selector.register(source, selectors.EVENT_READ)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                sys.exit(0)
            if key.fileobj is woken:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
                _report_ended(clients)
                continue
            client, _ = server.accept()
            request, streams = _receive(client)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                # As in a terminal, also where the suite runs in the background or under nohup, which ignore them.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                selector.close()
                for open_socket in (server, woken, wake, client, *clients.values()):
                    open_socket.close()
                return _become(request, streams)
            for stream in streams:
                os.close(stream)
            clients[pid] = client
            client.sendall(b"%d\n" % pid)


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    size, streams, _, _ = socket.recv_fds(client, 10, 2)
    row = b""
    while len(row) < int(size):
        row += client.recv(int(size) - len(row))
    request: dict[str, Any] = json.loads(row)
    return request, streams


def _report_ended(clients: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        client = clients.pop(pid)
        with contextlib.suppress(OSError):  # a test that has ended does not ask any more
            client.sendall(b"%d\n" % status)
        client.close()


def _become(request: dict[str, Any], streams: Sequence[int]) -> list[str]:
    """Take over environment, folder and streams of a command; its arguments."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, stream in enumerate((nothing, *streams)):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    tempfile.tempdir = None
    exec(request["first"], {"__name__": "first"})
    arguments: list[str] = request["arguments"]
    return arguments


MODULES = (
    "dbos._sys_db_sqlite",
    "pandas.io.formats.csvs",
    "rich.live",
    "scipy.signal",
    "sqlalchemy.dialects.sqlite",
    "meetsplit.console.bars",
    "meetsplit.console.batch",
    "meetsplit.console.batch_table",
    "meetsplit.console.jobs",
    "meetsplit.console.progress",
    "meetsplit.console.run",
    "meetsplit.console.run_times",
    "meetsplit.console.schedules",
    "meetsplit.console.tables",
    "meetsplit.jobs.requests",
    "meetsplit.jobs.worker",
    "meetsplit.pipeline.diarizers.rttm",
    "meetsplit.pipeline.results.writing",
    "meetsplit.pipeline.separators.passthrough",
    "meetsplit.pipeline.transcribers.given_words",
    "meetsplit.speakers.rendering",
)
"""What commands on jobs import, also late. None of it starts a thread."""


def _import() -> None:
    """Import `MODULES`, and by a first command what typer imports only then."""
    for module in MODULES:
        importlib.import_module(module)
    from meetsplit.cli import main

    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        main(["export", os.devnull])
    gc.collect()
    gc.freeze()  # a command's collector would write to all that was imported, which copies it into every process


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, which is no place for the command to import from
    _import()
    _command = _serve(sys.argv[1])
    from meetsplit.cli import main

    sys.argv = ["meetsplit", *_command]
    main()
