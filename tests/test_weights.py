"""Weights: located without a network, fetched once, and every failure a sentence with the next step."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from meetsplit.pipeline.errors import MissingWeights
from meetsplit.pipeline.events import Event, Finished, Notice, Started, ignore_events
from meetsplit.pipeline.models import checksums, hub, weights, wheels
from meetsplit.pipeline.models.checkpoints import StubObject, json_value, read_checkpoint
from meetsplit.pipeline.models.selection import BackendSelection, SelectedBackend, UnavailableBackend, check_backends
from meetsplit.pipeline.models.weights import (
    Bundled,
    Hub,
    Local,
    TorchaudioFile,
    WeightSource,
    Wheel,
    WhisperFile,
)
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Settings

REPOSITORY = Hub("somebody/something", gated=True)


def fetch(source: WeightSource, cache: Path, **how: Any) -> Path:
    options: dict[str, Any] = {"stage": "diarize", "offline": False, "token": None, "on_event": ignore_events} | how
    return weights.fetch(source, cache=cache, **options)


# wheels


class Dragged:
    """A class that a checkpoint drags along: it must never be imported or run."""

    def __init__(self) -> None:
        self.inside = [1, 2]


class Bomb:
    """What a malicious checkpoint would hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("exploded",))


def checkpoint(path: Path, *, legacy: bool = False, **extra: Any) -> Path:
    table = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = {"a": table, "transposed": table.t(), "shared": table[1], "count": torch.tensor(7)}
    torch.save(
        {"state": state, "facts": {"layers": 2, "dragged": Dragged()}, **extra},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    return path


@pytest.fixture
def tiny_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A source whose wheel lies in a folder that pip is configured to look into."""
    place = tmp_path / "index"
    place.mkdir()
    content = checkpoint(tmp_path / "model.bin").read_bytes()
    with zipfile.ZipFile(place / "tinyvoice-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tinyvoice/model.bin", content)
        archive.writestr("tinyvoice-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyvoice\nVersion: 1.0\n")
        archive.writestr(
            "tinyvoice-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tinyvoice-1.0.dist-info/RECORD", "")
        archive.writestr("tinyvoice-1.0.dist-info/LICENSE", "Do what you like.")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return Wheel(
        "tinyvoice",
        "1.0",
        "tinyvoice/model.bin",
        hashlib.sha256(content).hexdigest(),
        "MIT",
        "state",
        ("facts",),
        description="A test",
    )


def test_a_wheel_is_fetched_once_and_kept_with_its_licence(tiny_wheel: Wheel, tmp_path: Path) -> None:
    from safetensors import safe_open

    cache, events = tmp_path / "cache", list[Event]()
    assert weights.locate(tiny_wheel, cache=cache) is None
    path = fetch(tiny_wheel, cache, on_event=events.append)
    assert weights.locate(tiny_wheel, cache=cache) == path
    assert [type(event) for event in events] == [Notice, Started, Finished]
    tensors = load_file(path)
    assert np.array_equal(tensors["transposed"], np.arange(12, dtype=np.float32).reshape(3, 4).T)
    assert np.array_equal(tensors["shared"], [4, 5, 6, 7])
    assert tensors["count"] == 7
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["facts"]) == {"facts": {"layers": 2, "dragged": {"inside": [1, 2]}}}
    assert (path.parent / "LICENSE").read_text() == "Do what you like."
    assert tiny_wheel.sha256 in (path.parent / "README.md").read_text()
    assert [entry.name for entry in (cache / "wheels").iterdir()] == ["tinyvoice-1.0"]
    assert fetch(tiny_wheel, cache, offline=True) == path


def test_a_wheel_with_safetensors_is_fetched_as_it_is(tiny_wheel: Wheel, tmp_path: Path) -> None:
    content = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3)})
    with zipfile.ZipFile(tmp_path / "index" / "tinyvoice-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("tinyvoice/new.safetensors", content)
        archive.writestr("tinyvoice/broken.safetensors", content[:-4])
    source = Wheel("tinyvoice", "1.0", "tinyvoice/new.safetensors", hashlib.sha256(content).hexdigest(), "MIT")
    path = fetch(source, tmp_path / "cache")
    assert np.array_equal(load_file(path)["a"], [[0, 1, 2], [3, 4, 5]])
    assert "unpickler" not in (path.parent / "README.md").read_text()
    broken = replace(source, member="tinyvoice/broken.safetensors", sha256=hashlib.sha256(content[:-4]).hexdigest())
    with pytest.raises(MissingWeights, match="not the model that was expected"):
        fetch(broken, tmp_path / "other")
    assert list((tmp_path / "other" / "wheels").iterdir()) == []


def test_two_that_fetch_at_once_end_with_one_whole_model(tiny_wheel: Wheel, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: fetch(tiny_wheel, tmp_path / "cache"), range(3)))
    assert len(paths) == 1
    assert [entry.name for entry in (tmp_path / "cache" / "wheels").iterdir()] == ["tinyvoice-1.0"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "0" * 64}, "checksum"),
        ({"member": "tinyvoice/other.bin"}, "damaged or lacks it"),
        ({"state": "weights"}, "not the model"),
        ({"version": "9.9"}, "pip says: No matching distribution found for tinyvoice==9.9"),
    ],
)
def test_a_bad_wheel_is_a_sentence_and_leaves_nothing(
    tiny_wheel: Wheel, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(MissingWeights, match="tinyvoice") as caught:
        fetch(replace(tiny_wheel, **change), tmp_path / "cache")
    assert says in str(caught.value)
    assert caught.value.stage == "diarize"
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_a_broken_off_download_is_a_sentence(
    tiny_wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Wheel, folder: Path, stage: str) -> Path:
        whole = (tmp_path / "index" / "tinyvoice-1.0-py3-none-any.whl").read_bytes()
        (folder / "half.whl").write_bytes(whole[: len(whole) // 2])
        return folder / "half.whl"

    monkeypatch.setattr(wheels, "_download", half)
    with pytest.raises(MissingWeights, match="damaged"):
        fetch(tiny_wheel, tmp_path / "cache")
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_an_unwritable_cache_is_a_sentence(tiny_wheel: Wheel, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(MissingWeights, match="cannot write its model into"):
        fetch(tiny_wheel, tmp_path / "cache")


def test_whether_a_wheel_can_be_reached(tiny_wheel: Wheel) -> None:
    patient = 600.0  # pip takes its time on a busy machine
    assert weights.reachable(tiny_wheel, timeout=patient)
    assert not weights.reachable(tiny_wheel, offline=True)
    assert not weights.reachable(replace(tiny_wheel, version="9.9"), timeout=patient)


def test_pip_that_does_not_answer_is_waited_for_a_few_seconds(
    tiny_wheel: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def never_answers(command: Any, *, timeout: float, **how: Any) -> None:
        waited.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(wheels.subprocess, "run", never_answers)
    assert not weights.reachable(tiny_wheel, timeout=2.0)
    assert len(waited) == 1
    assert 2.0 <= waited[0] <= 10.0


def test_pip_that_is_missing_is_a_sentence(tiny_wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_PIP", (sys.executable, "-c", "import sys; sys.exit('No module named pip')"))
    with pytest.raises(MissingWeights, match="ensurepip"):
        fetch(tiny_wheel, tmp_path)
    assert not weights.reachable(tiny_wheel)


# checkpoints


@pytest.mark.parametrize("legacy", [False, True])
def test_both_layouts_are_read_as_torch_reads_them(tmp_path: Path, legacy: bool) -> None:
    path = checkpoint(tmp_path / "model.bin", legacy=legacy)
    content, expected = read_checkpoint(path), torch.load(path, weights_only=False)
    for name, tensor in expected["state"].items():
        assert np.array_equal(content["state"][name], tensor.numpy())
    assert isinstance(content["facts"]["dragged"], StubObject)
    assert json_value(content["facts"]) == {"layers": 2, "dragged": {"inside": [1, 2]}}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_runs_nothing(tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = read_checkpoint(checkpoint(tmp_path / "model.bin", legacy=legacy, bomb=Bomb()))
    assert isinstance(content["bomb"], StubObject)
    assert not (tmp_path / "exploded").exists()


def test_an_entry_that_unpacks_to_more_than_the_file_is_refused(tmp_path: Path) -> None:
    """``torch.load(weights_only=True)`` would make gigabytes of a file of two megabytes."""
    whole = checkpoint(tmp_path / "model.bin")
    with (
        zipfile.ZipFile(whole) as archive,
        zipfile.ZipFile(tmp_path / "bomb.bin", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in archive.infolist():
            content = archive.read(entry)
            bomb.writestr(entry.filename, bytes(1 << 24) if entry.filename.endswith("data/0") else content)
    with pytest.raises(pickle.UnpicklingError, match="larger than the file"):
        read_checkpoint(tmp_path / "bomb.bin")


def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "model.bin", legacy=True)
    content = path.read_bytes()
    count = b"K\x0c"  # pickle's BININT1: 12 numbers
    assert count in content
    path.write_bytes(content.replace(count, b"J" + (1 << 30).to_bytes(4, "little")))
    with pytest.raises(pickle.UnpicklingError, match="larger than the file"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        read_checkpoint(tmp_path / "model.bin")


# the hub


@contextlib.contextmanager
def fake_hub(status: int, code: str = "", *, silent: bool = False) -> Iterator[str]:
    """A hub that answers every question alike, or, while the block lasts, none."""
    over = threading.Event()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if silent:
                over.wait()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "token", "says"),
    [
        (401, "GatedRepo", None, "accept its conditions once"),
        (403, "GatedRepo", "hf_good", "has not accepted the conditions"),
        (401, "", "hf_wrong", "does not know this token"),
        (404, "RepoNotFound", None, "no such public repository"),
        (500, "", None, "answers with error 500"),
    ],
)
def test_every_refusal_has_its_own_sentence(
    status: int, code: str, token: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with fake_hub(status, code) as address:
        monkeypatch.setattr(hub, "_endpoint", lambda: address)
        with pytest.raises(MissingWeights, match="somebody/something") as caught:
            fetch(REPOSITORY, tmp_path, token=token)
        with pytest.raises(MissingWeights) as checked:
            weights.check_available(REPOSITORY, stage="diarize", offline=False, token=token)
        assert not weights.reachable(REPOSITORY, token=token)
    assert says in str(caught.value)
    assert says in str(checked.value)
    assert "--diarizer embedded" in str(caught.value)
    assert token is None or token not in str(caught.value)


def test_a_hub_that_lets_us_in_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(200) as address:
        monkeypatch.setattr(hub, "_endpoint", lambda: address)
        assert weights.reachable(REPOSITORY, token="hf_good")


def test_a_hub_that_never_answers_is_found_out_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(200, silent=True) as address:
        monkeypatch.setattr(hub, "_endpoint", lambda: address)
        assert not weights.reachable(REPOSITORY, timeout=0.3)


def test_an_unreachable_hub_is_a_sentence_with_conditions_and_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_endpoint", lambda: "http://127.0.0.1:9")
    with pytest.raises(MissingWeights, match="does not answer; once it does, accept the conditions at") as caught:
        fetch(REPOSITORY, tmp_path)
    assert "--hf-token or HF_TOKEN" in caught.value.reason
    assert str(caught.value) == f"{caught.value.reason}; or use --diarizer embedded"
    with pytest.raises(MissingWeights, match="does not answer; or use --diarizer embedded"):
        fetch(replace(REPOSITORY, gated=False), tmp_path)


def test_a_model_that_cannot_be_had_is_not_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_endpoint", lambda: "http://127.0.0.1:9")
    events: list[Event] = []
    with pytest.raises(MissingWeights):
        fetch(REPOSITORY, tmp_path, on_event=events.append)
    assert events == []


def test_a_failed_download_ends_its_stage(tiny_wheel: Wheel, tmp_path: Path) -> None:
    """So that no bar is left running."""
    events: list[Event] = []
    with pytest.raises(MissingWeights):
        fetch(replace(tiny_wheel, sha256="0" * 64), tmp_path, on_event=events.append)
    assert [type(event) for event in events] == [Notice, Started, Finished]


def snapshot(cache: Path, files: tuple[str, ...]) -> Path:
    repository = cache / "models--somebody--something"
    (repository / "refs").mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    for file in files:
        path = repository / "snapshots" / "abc" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return repository / "snapshots" / "abc"


def test_a_whole_copy_in_the_hubs_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source = Hub("somebody/something", patterns=("config.yaml", "segmentation/*"))
    assert weights.locate(source, cache=tmp_path) is None
    place = snapshot(tmp_path, ("config.yaml",))
    assert weights.locate(source, cache=tmp_path) is None
    (place / "segmentation").mkdir()
    (place / "segmentation" / "pytorch_model.bin").write_text("x")
    assert weights.locate(source, cache=tmp_path) == place
    assert fetch(source, tmp_path, offline=True) == place
    everything = Hub("somebody/something")
    assert weights.locate(everything, cache=tmp_path) == place
    (tmp_path / "models--somebody--something" / "blobs" / "x.incomplete").write_text("")
    assert weights.locate(everything, cache=tmp_path) is None


# whisper's files


def test_whisper_names_are_whispers_own() -> None:
    import whisper

    assert set(hub.whisper_models()) == set(whisper.available_models())
    assert hub.whisper_models()["tiny"] == whisper._MODELS["tiny"]


def test_whisper_files_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", "x")
    content = buffer.getvalue()
    folder = tmp_path / "served" / hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True)
    (folder / "tiny.pt").write_bytes(content)
    monkeypatch.setattr(hub, "whisper_models", lambda: {"tiny": (folder / "tiny.pt").as_uri()})
    assert weights.locate(WhisperFile("tiny"), cache=tmp_path) is None
    path = fetch(WhisperFile("tiny"), tmp_path)
    assert path == tmp_path / ".cache" / "whisper" / "tiny.pt"
    path.write_bytes(content[:-4])
    assert weights.locate(WhisperFile("tiny"), cache=tmp_path) is None
    (folder / "tiny.pt").write_bytes(content + b"!")
    with pytest.raises(MissingWeights, match="wrong checksum"):
        fetch(WhisperFile("tiny"), tmp_path)
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.pt"]
    with pytest.raises(MissingWeights, match="did you mean 'tiny'"):
        weights.locate(WhisperFile("tinny"), cache=tmp_path)


# damage


@pytest.fixture
def at_hand(tiny_wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """The same source, whose wheel is taken from its folder without pip, which is slow."""
    monkeypatch.setattr(wheels, "_download", lambda *_: tmp_path / "index" / "tinyvoice-1.0-py3-none-any.whl")
    return tiny_wheel


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rotten(path: Path) -> None:
    """One bit in the middle, with the size and the time of modification that it had."""
    about, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    path.unlink()


def without_checksum(path: Path) -> None:
    checksums.sidecar(path).unlink()


def all_gone(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def a_file_in_the_way(path: Path) -> None:
    all_gone(path)
    path.parent.rmdir()
    path.parent.write_text("no folder")


@pytest.mark.parametrize("hurt", [truncated, rotten, emptied, missing, without_checksum, all_gone, a_file_in_the_way])
def test_a_damaged_wheel_model_is_noticed_and_replaced(at_hand: Wheel, tmp_path: Path, hurt: Any) -> None:
    cache, events = tmp_path / "cache", list[Event]()
    path = fetch(at_hand, cache)
    assert (weights.locate(at_hand, cache=cache), weights.find_damage(at_hand, cache=cache)) == (path, None)
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    hurt(path)
    assert weights.locate(at_hand, cache=cache) is None
    with pytest.raises(
        MissingWeights, match=r"is damaged on this machine .* and --offline forbids to fetch it; fetch it once"
    ):
        fetch(at_hand, cache, offline=True)
    with pytest.raises(
        MissingWeights, match=r"is damaged on this machine .* replace it: meetsplit models fetch embedded"
    ):
        weights.require_intact(at_hand, stage="diarize", cache=cache)
    assert fetch(at_hand, cache, on_event=events.append) == path
    assert isinstance(events[0], Notice)
    assert "again: " in events[0].text
    again = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert again.keys() == files.keys()
    assert np.array_equal(load_file(path)["a"], np.arange(12, dtype=np.float32).reshape(3, 4))
    assert (weights.locate(at_hand, cache=cache), weights.find_damage(at_hand, cache=cache)) == (path, None)
    assert [entry.name for entry in (cache / "wheels").iterdir()] == ["tinyvoice-1.0"]


def test_two_that_replace_at_once_end_with_one_whole_model(at_hand: Wheel, tmp_path: Path) -> None:
    path = fetch(at_hand, tmp_path / "cache")
    truncated(path)
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: fetch(at_hand, tmp_path / "cache"), range(3))) == {path}
    assert weights.locate(at_hand, cache=tmp_path / "cache") == path
    assert [entry.name for entry in (tmp_path / "cache" / "wheels").iterdir()] == ["tinyvoice-1.0"]


def test_a_replacement_that_fails_leaves_what_was_there(at_hand: Wheel, tmp_path: Path) -> None:
    path = fetch(at_hand, tmp_path / "cache")
    truncated(path)
    size = path.stat().st_size
    with pytest.raises(MissingWeights, match="checksum"):
        fetch(replace(at_hand, sha256="0" * 64), tmp_path / "cache")
    assert path.stat().st_size == size


def test_a_card_says_the_checksum_of_its_model(at_hand: Wheel, tmp_path: Path) -> None:
    path = fetch(at_hand, tmp_path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert expected in (path.parent / "README.md").read_text()
    assert checksums.sidecar(path).read_text() == f"{expected}  {path.name}\n"


def test_a_model_that_is_damaged_after_the_preflight_is_not_loaded(at_hand: Wheel, tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(cache_dir=tmp_path, device="cpu"))
    path = fetch(at_hand, tmp_path)
    pipeline._backends._selection = BackendSelection(
        (SelectedBackend("embedder", "ge2e", {"embedder": at_hand}, {"embedder": path}, "cpu", "weights are here"),)
    )
    rotten(path)
    with pytest.raises(MissingWeights, match=r"is damaged on this machine .* meetsplit models fetch embedded"):
        pipeline.backend("embedder")


def test_doctor_sees_truncated_weights(tmp_path: Path) -> None:
    for source in (weights.EMBEDDED_SEGMENTATION, weights.EMBEDDED_ENCODER, weights.EMBEDDED_VAD):
        path = wheels.converted_path(source, tmp_path)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        checksums.sidecar(path).write_text(f"{hashlib.sha256(b'whole').hexdigest()}  {path.name}\n")
    rows = check_backends(Settings(diarizer="embedded", offline=True, cache_dir=tmp_path, device="cpu"))
    (diarizer,) = (row for row in rows if row.stage == "diarizer")
    assert isinstance(diarizer, UnavailableBackend)
    assert "is damaged on this machine" in str(diarizer.error)


def test_bundled_weights_are_checked(tmp_path: Path) -> None:
    assert weights.REFINER.sha256 is not None
    path = weights.locate(weights.REFINER, cache=tmp_path)
    assert path is not None
    assert weights.REFINER.sha256 in path.with_suffix(".md").read_text()
    other = replace(weights.REFINER, sha256="0" * 64)
    assert weights.locate(other, cache=tmp_path) is None
    for refuse in (
        lambda: fetch(other, tmp_path),
        lambda: weights.require_intact(other, stage="separate", cache=tmp_path),
    ):
        with pytest.raises(MissingWeights, match=r"is damaged on this machine .* install meetsplit again"):
            refuse()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("hurt", [truncated, rotten, missing])
def test_a_damaged_file_in_the_hubs_cache_is_noticed_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool, hurt: Any
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = snapshot(tmp_path, ("config.yaml",))
    content = b"weights" * 100
    name = hashlib.sha1(b"blob 700\0" + content).hexdigest() if small else hashlib.sha256(content).hexdigest()
    blob, link = tmp_path / "models--somebody--something" / "blobs" / name, place / "model.ckpt"

    def bring() -> None:
        blob.write_bytes(content)
        link.symlink_to(blob)

    bring()
    assert fetch(REPOSITORY, tmp_path, offline=True) == place
    hurt(blob)
    assert weights.locate(REPOSITORY, cache=tmp_path) is None
    with pytest.raises(MissingWeights, match="is damaged on this machine"):
        fetch(REPOSITORY, tmp_path, offline=True)
    with pytest.raises(MissingWeights, match="replace it: meetsplit models fetch somebody/something"):
        weights.require_intact(REPOSITORY, stage="diarize", cache=tmp_path)
    real = huggingface_hub.snapshot_download

    def download(repository: str, **how: Any) -> str:
        if how.get("local_files_only"):
            return str(real(repository, **how))
        assert not os.path.lexists(link), "the hub's client keeps what is there"
        assert not blob.exists()
        bring()
        return str(place)

    monkeypatch.setattr(weights, "hub_access_problem", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch(REPOSITORY, tmp_path) == place
    assert weights.locate(REPOSITORY, cache=tmp_path) == place


def test_a_rotten_whisper_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", "x" * 1000)
    folder = tmp_path / "served" / hashlib.sha256(buffer.getvalue()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "tiny.pt").write_bytes(buffer.getvalue())
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(hub, "whisper_models", lambda: {"tiny": (folder / "tiny.pt").as_uri()})
    path = fetch(WhisperFile("tiny"), tmp_path)
    rotten(path)
    with pytest.raises(MissingWeights, match=r"is damaged on this machine .* meetsplit models fetch tiny"):
        weights.require_intact(WhisperFile("tiny"), stage="transcribe", cache=tmp_path)
    assert fetch(WhisperFile("tiny"), tmp_path) == path
    weights.require_intact(WhisperFile("tiny"), stage="transcribe", cache=tmp_path)
    assert path.read_bytes() == buffer.getvalue()


# the rest


def test_offline_never_asks_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", forbidden)
    monkeypatch.setattr("urllib.request.urlopen", forbidden)
    monkeypatch.setattr("urllib.request.OpenerDirector.open", forbidden)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    for source in (weights.EMBEDDED_ENCODER, weights.COMMUNITY, WhisperFile("small"), TorchaudioFile("MMS_FA")):
        assert not weights.reachable(source, offline=True)
        for refuse in (weights.check_available, lambda source, **how: fetch(source, tmp_path, **how)):
            with pytest.raises(
                MissingWeights, match="--offline forbids to fetch it; fetch it once with a network: meetsplit models"
            ):
                refuse(source, stage="diarize", offline=True, token=None)


def test_local_and_bundled(tmp_path: Path) -> None:
    assert weights.locate(Local(tmp_path), cache=tmp_path) == tmp_path
    assert fetch(Bundled("pipeline/models/weights.py"), tmp_path) == Path(weights.__file__)
    with pytest.raises(MissingWeights, match="there is no such model file or folder"):
        fetch(Local(tmp_path / "nowhere"), tmp_path)
    with pytest.raises(MissingWeights, match="install meetsplit again"):
        fetch(Bundled("nothing.safetensors"), tmp_path)
    assert weights.describe(Hub("a/b", "v1")) == "a/b@v1"


def test_looking_loads_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from meetsplit.pipeline.models import weights as w\n"
        "for source in (w.EMBEDDED_ENCODER, w.COMMUNITY, w.WhisperFile('tiny')):\n"
        "    w.locate(source, cache=Path('nowhere'))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
