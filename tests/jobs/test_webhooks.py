"""The delivery to a webhook: addresses that can be delivered to, one deadline, no redirects."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from meetsplit.jobs import webhooks
from meetsplit.pipeline.errors import JobError, SettingsError

NOTIFICATION = {"job": "c0ffee.1", "stem": "call"}


class Server:
    """A server that gives each connection to ``answer`` in a thread of its own and keeps what it read."""

    def __init__(self, answer: Callable[[Server, socket.socket], None]) -> None:
        self.answer = answer
        self.over = threading.Event()
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        """Set once the other side has ended a connection."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"

    def read(self, connection: socket.socket) -> None:
        """One request with its body."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.received(connection)
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self.received(connection)
        self.requests.append(head + b"\r\n\r\n" + body)

    def received(self, connection: socket.socket) -> bytes:
        block = connection.recv(65536)
        if not block:
            raise ConnectionResetError
        return block

    def drip(self, connection: socket.socket, text: bytes) -> None:
        """Send byte after byte, again and again, until the other side ends the connection."""
        connection.settimeout(0.02)
        while not self.over.is_set():
            for at in range(len(text)):
                connection.sendall(text[at : at + 1])
                try:
                    if not connection.recv(1):
                        raise ConnectionResetError
                except TimeoutError:
                    continue

    def close(self) -> None:
        self.over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.answer(self, connection)
            except OSError:
                self.closed.set()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Server, socket.socket], None]], Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[Server, socket.socket], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def says(answer: bytes) -> Callable[[Server, socket.socket], None]:
    def reply(server: Server, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(answer)

    return reply


def test_the_notification_arrives_as_json(serve: Any) -> None:
    server = serve(says(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert webhooks.post(server.url, NOTIFICATION, secret=None) == "127.0.0.1: 204"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert json.loads(body) == NOTIFICATION


def test_a_redirect_is_not_followed(serve: Any) -> None:
    other = serve(says(b"HTTP/1.1 200 OK\r\n\r\n"))
    server = serve(says(b"HTTP/1.1 302 Found\r\nLocation: " + other.url.encode() + b"\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(JobError, match="answered 302"):
        webhooks.post(server.url, NOTIFICATION, secret="s")
    assert other.requests == []


@pytest.mark.parametrize(
    "dripped",
    [b"HTTP/1.1 200 OK\r\nX-Slow: yes\r\n", b"H", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["headers", "status line", "continue"],
)
def test_the_deadline_counts_for_the_whole_delivery(serve: Any, dripped: bytes) -> None:
    """Every read succeeds well within any timeout of its own, yet the delivery ends, and so does its connection."""

    def answer(server: Server, connection: socket.socket) -> None:
        server.read(connection)
        server.drip(connection, dripped)

    server = serve(answer)
    with pytest.raises(JobError, match=r"127\.0\.0\.1: did not answer within 1 s"):
        webhooks.post(server.url, NOTIFICATION, secret=None, deadline=1.0)
    assert server.closed.wait(600), "the connection is shut down"


def test_the_body_of_an_answer_is_not_read(serve: Any) -> None:
    def answer(server: Server, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.over.is_set():
            connection.sendall(b"x" * 65536)

    server = serve(answer)
    assert webhooks.post(server.url, NOTIFICATION, secret=None) == "127.0.0.1: 200"
    assert server.closed.wait(600), "the connection is closed"


def test_a_name_service_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, asked = threading.Event(), threading.Event()

    def hang(*arguments: Any, **more: Any) -> Any:
        asked.set()
        answered.wait(60)
        raise socket.gaierror("never")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(JobError, match=r"example\.org: did not answer within 0 s"):
            webhooks.post("http://example.org/hook", NOTIFICATION, secret=None, deadline=0.2)
        assert asked.is_set()
    finally:
        answered.set()


def test_nothing_is_sent_over_a_connection_that_comes_about_after_the_deadline(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\n\r\n"))
    late = threading.Event()
    connect = socket.create_connection

    def slow(*arguments: Any, **more: Any) -> socket.socket:
        late.wait(60)
        return connect(*arguments, **more)

    monkeypatch.setattr(socket, "create_connection", slow)
    before = set(threading.enumerate())
    with pytest.raises(JobError, match="did not answer"):
        webhooks.post(server.url, NOTIFICATION, secret=None, deadline=0.1)
    late.set()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "meetsplit-webhook":
            thread.join(600)
    assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"HTTP/1.1 " + b"2" * 100_000],
    ids=["nonsense", "nothing", "many headers", "long line"],
)
def test_an_answer_that_is_none_is_a_sentence(serve: Any, answer: bytes) -> None:
    server = serve(says(answer))
    with pytest.raises(JobError, match=r"--webhook 127\.0\.0\.1: "):
        webhooks.post(server.url, NOTIFICATION, secret=None)


def test_a_closed_port_is_a_sentence() -> None:
    with pytest.raises(JobError, match=r"--webhook 127\.0\.0\.1: "):
        webhooks.post("http://127.0.0.1:9/", NOTIFICATION, secret=None)


def test_a_proxy_of_the_environment_is_used(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(says(b"HTTP/1.1 200 OK\r\n\r\n"))
    monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/hook"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert webhooks.post("http://example.invalid/hook", NOTIFICATION, secret=None) == "example.invalid: 200"
    assert proxy.requests[0].startswith(b"POST http://example.invalid/hook HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org",
        "example.org/hook",
        "https://",
        "http://user:hunter2@example.org/x",
        "http://a b/x",
        "http://example.org/a b",
        "http://example.org/a\nX-Evil: 1",
        "http://example.org:99999/x",
        "http://example.org:0/x",
        "http://example.org:x/x",
        "http://[::1",
        "http://[nonsense]/",
        "http://a..b/x",
        "http://" + "a" * 70 + ".org/",
        "http://\udce9.org/",
    ],
)
def test_an_address_that_can_never_be_delivered_to_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--webhook") as refused:
        webhooks.address(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://hooks.example.org/services/T0/B0?x=%20y&z=1", "https://hooks.example.org/services/T0/B0?x=%20y&z=1"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://h/é?ü=ß#part", "http://h/%C3%A9?%C3%BC=%C3%9F"),
        ("http://Bücher.example/x", "http://xn--bcher-kva.example/x"),
    ],
)
def test_other_addresses_are_written_in_ascii(url: str, sent: str) -> None:
    assert webhooks.address(url) == sent


def test_a_bad_address_is_refused_before_anything_is_queued(workspace: Any) -> None:
    workspace.recording("call.wav")
    for url in ("http://user:pw@host/x", "http://h/a b", "http://h:99999/", "http://[::1"):
        output = workspace.batch("--webhook", url, code=2)
        assert "error: --webhook" in "\n".join(output.lines)
    assert not workspace.state.exists()
