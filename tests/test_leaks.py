"""Leaks: tokens stay with their server, and child interpreters take no code from the current folder."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import hub, weights, wheels
from meetsplit.pipeline.models.sources import Hub, Wheel

TOKEN = "hf_SECRETSECRET"


@contextmanager
def server(onward: str | None = None) -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    """A server on this machine that sends every request onward, or answers 404.

    Its port, and the paths and tokens it got.
    """
    requests: list[tuple[str, str | None]] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.path, self.headers.get("Authorization")))
            self.send_response(404 if onward is None else 302)
            if onward is not None:
                self.send_header("Location", onward + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=http_server.serve_forever, daemon=True).start()
    try:
        yield http_server.server_address[1], requests
    finally:
        http_server.shutdown()
        http_server.server_close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another name", "another port"])
def test_a_token_does_not_follow_a_redirect_to_another_server(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (port, strange), server(f"http://{host}:{port}") as (first, requests_of_first):
        monkeypatch.setattr(hub, "_endpoint", lambda: f"http://127.0.0.1:{first}")
        assert hub.hub_access_problem(Hub("some/thing"), TOKEN, 5.0) is not None
    assert [token for _, token in requests_of_first] == [f"Bearer {TOKEN}"]
    assert [token for _, token in strange] == [None]


def test_a_token_follows_a_redirect_on_its_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub answers with redirects where a repository was renamed."""
    requests: list[str | None] = []

    class Renamed(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.headers.get("Authorization"))
            self.send_response(302 if "old" in self.path else 200)
            self.send_header("Location", self.path.replace("old", "new"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Renamed) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        monkeypatch.setattr(hub, "_endpoint", lambda: f"http://127.0.0.1:{http_server.server_address[1]}")
        assert hub.hub_access_problem(Hub("some/old"), TOKEN, 5.0) is None
        http_server.shutdown()
    assert requests == [f"Bearer {TOKEN}"] * 2


def test_the_hubs_own_client_keeps_the_token_as_well(tmp_path: Path) -> None:
    """The download is huggingface_hub's; in a process of its own, which reads its endpoint when it is imported."""
    code = (
        "import sys; from huggingface_hub import snapshot_download\n"
        f"try: snapshot_download('some/thing', token={TOKEN!r}, cache_dir={str(tmp_path)!r})\n"
        "except Exception as error: print(type(error).__name__)"
    )
    with server() as (port, strange), server(f"http://localhost:{port}") as (first, requests_of_first):
        environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{first}", "HF_HUB_DISABLE_TELEMETRY": "1"}
        subprocess.run(
            [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
    assert f"Bearer {TOKEN}" in [token for _, token in requests_of_first]
    assert strange
    assert {token for _, token in strange} == {None}


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder holds files with the names of modules; the path is the mark that one of them would leave."""
    mark, folder = tmp_path / "owned", tmp_path / "recordings"
    folder.mkdir()
    for name in ("pip", "zipfile", "numpy", "json", "ssl", "runpy", "sitecustomize", "meeteval"):
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write(__file__ + chr(10))\n", "utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    yield mark
    assert not mark.exists(), mark.read_text("utf-8")


@pytest.mark.usefixtures("planted")
def test_pip_takes_no_code_from_the_current_folder(tmp_path: Path) -> None:
    source = Wheel("tinyvoice", "1.0", "tinyvoice/x.bin", "0" * 64, "MIT", "state")
    assert not wheels.wheel_reachable(source, 5.0)
    with pytest.raises(MissingWeights, match="pip says: No matching distribution found"):
        weights.fetch(
            source, stage="diarize", cache=tmp_path / "cache", offline=False, token=None, on_event=ignore_events
        )


@pytest.mark.usefixtures("planted")
def test_pip_downloads_into_a_relative_cache_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is another one than ours."""
    commands: list[tuple[str, ...]] = []

    def pip(command: tuple[str, ...], **how: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        assert list(Path(how["cwd"]).iterdir()) == []
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no")

    monkeypatch.setattr(subprocess, "run", pip)
    source = Wheel("tinyvoice", "1.0", "tinyvoice/x.bin", "0" * 64, "MIT", "state")
    with pytest.raises(MissingWeights, match="pip says: no"):
        wheels.fetch_wheel(source, stage="diarize", cache=Path("cache"))
    command = commands[0]
    assert Path(command[command.index("--dest") + 1]).is_absolute()
    assert not list(Path("cache").rglob("tinyvoice*"))


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    "arguments", [("doctor",), ("models", "fetch", "embedded"), ("run", "x.wav")], ids=lambda a: a[0]
)
def test_commands_take_no_code_from_the_current_folder(
    arguments: tuple[str, ...], sample: Path, tmp_path: Path
) -> None:
    Path("x.wav").write_bytes(sample.read_bytes())
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "MEETSPLIT_CACHE": str(tmp_path / "cache"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-P", "-m", "meetsplit.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    import wave

    with wave.open(str(tmp_path / "sample.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\1" * 16000)
    return tmp_path / "sample.wav"
