"""Who is told when a job ends? A command of the user's, a webhook. Neither can fail the job."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urlsplit

from meetsplit.pipeline.errors import JobError, SettingsError

ANSWER_WITHIN = 15.0
"""Seconds in which a webhook has to answer."""

_KEPT = 500


def argv(command: str) -> tuple[str, ...]:
    """The arguments in a command line, quoted as in a shell; no shell ever sees them. Raises `SettingsError`.

    >>> argv("notify-send 'meeting done' {stem}")
    ('notify-send', 'meeting done', '{stem}')
    """
    try:
        parts = tuple(shlex.split(command))
    except ValueError as error:
        raise SettingsError(f"--on-done {command}: {error}") from error
    if not parts:
        raise SettingsError("--on-done: a command is needed")
    return parts


def address(url: str) -> str:
    """The webhook's address, looked over. Raises `SettingsError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"--webhook {url}: an address like https://example.org/hook is needed")
    return url


def run_command(command: Sequence[str], news: Mapping[str, Any], *, patience: float = 60.0) -> str:
    """Run the command with ``{status}``, ``{recording}``, ``{folder}``, ``{stem}``, ``{job}`` and ``{error}`` filled in.

    The news are on its standard input as JSON. After ``patience`` seconds, the command and what it started are ended.
    Gives a sentence on what happened; raises `JobError` where the command could not run, failed or hung.
    """
    filled = [_filled(part, news) for part in command]
    try:
        process = subprocess.Popen(
            filled, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=os.name != "nt"
        )
    except OSError as error:
        raise JobError(f"--on-done {command[0]}: cannot be started: {error.strerror}") from error
    try:
        said, _ = process.communicate(json.dumps(news).encode(), timeout=patience)
    except subprocess.TimeoutExpired:
        raise JobError(f"--on-done {command[0]}: took longer than {patience:.0f} s and was ended") from None
    finally:
        if process.poll() is None:
            end(process)
    if process.returncode != 0:
        last = said.decode("utf-8", "replace").strip()[-_KEPT:]
        raise JobError(f"--on-done {command[0]}: failed with exit code {process.returncode}{': ' + last if last else ''}")
    return f"{command[0]}: done"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command and everything that it started."""
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def post(url: str, news: Mapping[str, Any], *, secret: str | None, within: float = ANSWER_WITHIN) -> str:
    """Send the news to a webhook. Raises `JobError` where it does not answer with success; redirects are not followed.

    With a ``secret``, the header ``X-Meetsplit-Signature`` is ``t=<unix time>,v1=<hex>``, where hex is the HMAC-SHA256 of
    ``<unix time>.<body>``: a receiver that checks both knows who sent it and that it is fresh.
    """
    body = json.dumps(news, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "meetsplit", "X-Meetsplit-Delivery": str(news.get("job", ""))}
    if secret:
        headers["X-Meetsplit-Signature"] = signature(body, secret, int(time.time()))
    opener = urllib.request.build_opener(_Staying)
    try:
        with opener.open(urllib.request.Request(url, body, headers, method="POST"), timeout=within) as answer:
            return f"{urlsplit(url).hostname}: {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            raise JobError(f"--webhook {urlsplit(url).hostname}: answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise JobError(f"--webhook {urlsplit(url).hostname}: {getattr(error, 'reason', error)}") from error


def signature(body: bytes, secret: str, at: int) -> str:
    """What proves that ``body`` was sent at the Unix time ``at`` by somebody who knows ``secret``."""
    mark = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mark}"


def _filled(part: str, news: Mapping[str, Any]) -> str:
    """Names in braces become what they stand for; every other brace stays."""
    return re.sub(r"\{(status|recording|folder|stem|job|error)\}", lambda name: str(news.get(name[1]) or ""), part)


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere with the news of a recording."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Nothing: the answer is an error then."""
        return None
