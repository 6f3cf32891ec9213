"""Delivery of a notification to a webhook: the checked address, the HMAC signature, one deadline for everything."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit

from meetsplit.pipeline.errors import JobError, SettingsError

DEADLINE = 15.0
"""Seconds that one delivery may take in all: finding the host, connecting, sending, and the head of the answer."""

_SAFE = "/%:=&?~+!$,;'@()*[]-._"
"""Characters that stay as they are in the path and the query of an address; others are percent-encoded as UTF-8."""


def address(url: str) -> str:
    """The webhook's address in ASCII: the host as IDNA, other letters percent-encoded.

    Raises `SettingsError` for one that can never be delivered to. Its sentence repeats no more than the host, since an
    address often holds a token.

    >>> address("https://hooks.example.org/é?x=1")
    'https://hooks.example.org/%C3%A9?x=1'
    >>> address("http://bücher.example:8080/hook")
    'http://xn--bcher-kva.example:8080/hook'
    """
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise SettingsError("--webhook: an address holds no spaces and no control characters; write a space as %20")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError("--webhook: host, port (1-65535) or brackets of the address are wrong") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"--webhook {parts.scheme or url.partition('/')[0]}: an address like https://example.org/hook is needed"
        )
    if "@" in parts.netloc:
        raise SettingsError(
            f"--webhook {parts.hostname}: a user name and password in the address are not sent; "
            "put a token into its path or query, "
            "or check the signature that MEETSPLIT_WEBHOOK_SECRET brings"
        )
    if port == 0:
        raise SettingsError(f"--webhook {parts.hostname}: port 0 is none")
    path, query = quote(parts.path, safe=_SAFE), quote(parts.query, safe=_SAFE)
    return SplitResult(parts.scheme, _host(parts, port), path, query, "").geturl()


def _host(parts: SplitResult, port: int | None) -> str:
    """Host and port, the host as IDNA.

    Raises `SettingsError` for a host that no name service knows, such as ``a..b``.
    """
    host = parts.hostname or ""
    if ":" in host:  # an IPv6 address, which urlsplit has looked over
        return parts.netloc
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise SettingsError(f"--webhook {host[:80]}: this is no name of a host") from error
    return ascii_host if port is None else f"{ascii_host}:{port}"


def post(url: str, notification: Mapping[str, Any], *, secret: str | None, deadline: float = DEADLINE) -> str:
    """POST a notification to a webhook as JSON; returns host and status.

    Raises `JobError` where it does not answer with success within ``deadline`` seconds, however slowly it sends.
    Redirects are not followed, the body of the answer is not read, proxies are those of the environment.

    With a ``secret``, the header ``X-Meetsplit-Signature`` is ``t=<unix time>,v1=<hex>``, where hex is the HMAC-SHA256
    of ``<unix time>.<body>``: a receiver that checks both has authenticated the sender and prevented replays.
    """
    try:
        checked = address(url)
    except SettingsError as error:  # queued by an earlier version, which did not look
        raise JobError(str(error)) from error
    body = json.dumps(notification).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "meetsplit",
        "X-Meetsplit-Delivery": str(notification.get("job", "")),
    }
    if secret:
        headers["X-Meetsplit-Signature"] = signature(body, secret, int(time.time()))
    host = urlsplit(checked).hostname
    delivery = _Delivery(urllib.request.Request(checked, body, headers, method="POST"), deadline)
    status, reason = delivery.outcome()
    if status is None:
        raise JobError(f"--webhook {host}: {reason}")
    if not 200 <= status < 300:
        raise JobError(f"--webhook {host}: answered {status} {reason}".rstrip())
    return f"{host}: {status}"


def signature(body: bytes, secret: str, at: int) -> str:
    """The header that authenticates ``body`` as sent at the Unix time ``at`` by a sender who knows ``secret``."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class _Delivery:
    """One request in a thread of its own, because a name service cannot be interrupted and a timeout counts per read.

    At the deadline its connection is shut down, which ends whatever the thread waits for.
    """

    def __init__(self, request: urllib.request.Request, seconds: float) -> None:
        self._request, self._seconds = request, seconds
        self._connections: list[http.client.HTTPConnection] = []
        self._expired = threading.Event()
        self._answer: tuple[int | None, str] = (None, f"did not answer within {seconds:.0f} s")
        self._thread = threading.Thread(target=self._send, name="meetsplit-webhook", daemon=True)

    def outcome(self) -> tuple[int | None, str]:
        """Status and reason of the answer; no status, and why, where there was none in time."""
        late = self._answer
        self._thread.start()
        self._thread.join(self._seconds)
        if not self._thread.is_alive():
            return self._answer
        self._expired.set()
        for connection in self._connections:
            if connection.sock is not None:
                with suppress(OSError):  # it ended by itself just now
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        return late

    def connection(
        self, kind: type[http.client.HTTPConnection], host: str, **options: Any
    ) -> http.client.HTTPConnection:
        """A connection that can be shut down from here, and that is not used where it comes about after the
        deadline.
        """
        made = kind(host, **options)
        connect = made.connect

        def connect_in_time() -> None:
            connect()
            if self._expired.is_set():
                made.close()
                raise TimeoutError("the deadline has passed")

        made.connect = connect_in_time  # type: ignore[method-assign]
        self._connections.append(made)
        return made

    def _send(self) -> None:
        opener = urllib.request.build_opener(_NoRedirects, _HTTP(self), _HTTPS(self))
        try:
            with opener.open(self._request, timeout=self._seconds) as answer:
                self._answer = answer.status, str(answer.reason or "")
        except urllib.error.HTTPError as error:
            with error:
                self._answer = error.code, str(error.reason or "")
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._answer = None, " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__


class _HTTP(urllib.request.HTTPHandler):
    """HTTP handler whose connections the delivery can shut down."""

    def __init__(self, delivery: _Delivery) -> None:
        super().__init__()
        self._delivery = delivery

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> http.client.HTTPResponse:
        """Open the request as urllib does, with a connection of the delivery."""
        return super().do_open(partial(self._delivery.connection, http_class), req, **options)


class _HTTPS(urllib.request.HTTPSHandler):
    """HTTPS handler whose connections the delivery can shut down."""

    def __init__(self, delivery: _Delivery) -> None:
        super().__init__()
        self._delivery = delivery

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> http.client.HTTPResponse:
        """Open the request as urllib does, with a connection of the delivery."""
        return super().do_open(partial(self._delivery.connection, http_class), req, **options)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats every redirect as an error, so that a notification is never sent to another address."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """No further request: the redirect is the answer, and an error."""
        return None
