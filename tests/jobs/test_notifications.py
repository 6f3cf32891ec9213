"""Who is told when a job ends: a command, a webhook; neither fails the job."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

OPTIONS = ("-f", "json", "--no-tracks")


class Hook(ThreadingHTTPServer):
    """A webhook that answers 500 as often as it is told to, then 200."""

    def __init__(self, failures: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.failures = failures
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/hook")
        else:
            self.send_response(500 if len(self.server.requests) <= self.server.failures else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Iterator[Hook]:
    server = Hook(getattr(request, "param", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("hook", [2], indirect=True)
def test_webhook_is_signed_and_tried_again(workspace: Any, hook: Hook) -> None:
    workspace.recording("call.wav")
    began = int(time.time())
    secret = {"MEETSPLIT_WEBHOOK_SECRET": "hush"}
    workspace.batch(*OPTIONS, "--webhook", hook.url, env=secret, first=workspace.short_pauses)
    assert len(hook.requests) == 3
    headers, body = hook.requests[-1]
    moment, mark = (part.partition("=")[2] for part in headers["X-Meetsplit-Signature"].split(","))
    assert mark == hmac.new(b"hush", f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert began <= int(moment) <= time.time()
    notification = json.loads(body)
    assert (notification["status"], notification["stem"], notification["people"]) == ("done", "call", 2)
    assert notification["files"] == [str(workspace.out / "call.json")]
    assert b"hush" not in (workspace.state / "jobs.sqlite").read_bytes()


def test_command_gets_arguments_and_never_a_shell(workspace: Any) -> None:
    workspace.recording("a; touch $(echo pwned) &.wav")
    note = workspace.root / "note.json"
    script = "import json,sys; json.dump([sys.argv[1:], json.load(sys.stdin)['status']], open(sys.argv[1], 'w'))"
    command = f"{sys.executable} -c \"{script}\" {note} '{{stem}}' {{status}} '{{other}}'"
    workspace.batch(*OPTIONS, "--on-done", command)
    arguments, status = json.loads(note.read_text())
    assert arguments == [str(note), "a; touch $(echo pwned) &", "done", "{other}"]
    assert status == "done"
    assert not (workspace.root / "pwned").exists()


def test_command_that_hangs_fails_nothing(workspace: Any) -> None:
    workspace.recording("one.wav", seed=1)
    workspace.recording("two.wav", seed=2)
    hanging = f'{sys.executable} -c "import time; time.sleep(3000)"'
    running = workspace.batch(*OPTIONS, "--on-done", hanging, "--on-done-timeout", "2")
    assert "2 done" in "\n".join(running.lines)
    assert {job["state"] for job in workspace.jobs()} == {"done"}


def test_notification_of_failure(workspace: Any, hook: Hook) -> None:
    (workspace.calls / "poison.wav").write_bytes(b"nothing to hear here")
    workspace.batch(*OPTIONS, "--webhook", hook.url, code=1)
    ((headers, body),) = hook.requests
    assert json.loads(body)["status"] == "failed"
    assert "poison.wav" in json.loads(body)["error"]
    assert "X-Meetsplit-Signature" not in headers
