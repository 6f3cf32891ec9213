"""Pinned outputs of whole runs through the command line: every format, and the tracks' bytes, of five recordings.

    given        the sample meeting with its own turns and words
    dictionary   45 s of it, with overlaps taken apart by `dictionary`
    split        a stereo call, a channel per person
    silence      5 s of nothing, through the real diarizer
    found        14 s of the sample through the default path: embedded, resegmentation, adapted (without learning,
                 whose result depends on the clock), overlap checks, sphinx

`python tests/test_pinned_outputs.py` writes ``tests/golden/runs.json`` anew. The outputs of `dictionary` and
`found` come from floating-point models: their exact bytes are compared only on the kind of machine (CPU instructions,
versions of torch and numpy) that pinned them; on any other one, times may differ by `CLOSE` seconds and loudness by
`SOFT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from meetsplit.cli import main
from meetsplit.pipeline.settings import FIRST_FORMATS

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data" / "standup.m4a"
PINNED = Path(__file__).parent / "golden" / "runs.json"
CLOSE, SOFT = 0.05, 0.02
EXACT = ("given", "split", "silence")
RUNS = (*EXACT, "dictionary", "found")


THREADS = 2
"""Threads of torch that the outputs were pinned with: sums in parallel parts end in other last digits."""


@contextlib.contextmanager
def pinned_threads() -> Iterator[None]:
    """Run with `THREADS` threads, whatever the machine has and the suite gives each process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def numerics() -> str:
    """What floating-point results depend on, beside `THREADS`."""
    import torch

    from meetsplit.pipeline.models.device import has_fast_bfloat16

    capability = torch.backends.cpu.get_cpu_capability() + (" bfloat16" if has_fast_bfloat16("cpu") else "")
    return f"{platform.machine()} {capability} torch {torch.__version__} numpy {np.__version__}"


def sample(start: float, end: float) -> np.ndarray:
    from meetsplit.pipeline.audio.reading import read

    audio = read(SAMPLE, 16000)
    return np.asarray(audio.samples[round(start * 16000) : round(end * 16000)])


def wav(path: Path, channels: list[np.ndarray]) -> Path:
    frames = np.stack([np.rint(np.clip(c, -1, 1) * 32767).astype("<i2") for c in channels], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(frames.tobytes())
    return path


def two_sided_call(folder: Path) -> Path:
    """40 s in which the first two people of the sample have a channel each, with a little of the other's voice in
    it.
    """
    start, end = 20.0, 60.0
    sound = sample(start, end)
    own = {who: np.zeros(len(sound), np.float32) for who in ("slt", "awb", "rms")}
    for line in (ROOT / "sample_data" / "standup.rttm").read_text().splitlines():
        fields = line.split()
        first, last = (round((float(fields[3]) - start + more) * 16000) for more in (0.0, float(fields[4])))
        if 0 <= first < len(sound):
            own.setdefault(fields[7], np.zeros(len(sound), np.float32))[first:last] = 1.0
    loudest = sorted(own, key=lambda who: -float(own[who].sum()))[:2]
    one, two = (sound * own[who] for who in sorted(loudest))
    return wav(folder / "call.wav", [one + 0.05 * two, two + 0.05 * one])


def arguments(run: str, folder: Path) -> list[str]:
    """The command line of one run."""
    truth = ["--rttm", str(SAMPLE.with_suffix(".rttm")), "--script", str(SAMPLE.with_suffix(".ctm"))]
    match run:
        case "given":
            return [str(SAMPLE), *truth, "--separate", "off"]
        case "dictionary":
            return [str(SAMPLE), *truth, "--separator", "dictionary", "--start", "30", "--end", "75"]
        case "split":
            (folder / "call.ctm").write_text("call 1 2.0 0.4 good\ncall 2 12.0 0.4 morning\n")
            return [str(two_sided_call(folder)), "--channels", "split", "--script", str(folder / "call.ctm")]
        case "silence":
            return [str(wav(folder / "silence.wav", [np.zeros(5 * 16000)])), "--transcriber", "sphinx"]
        case _:
            place = wav(folder / "found.wav", [sample(58.0, 72.0)])
            return [str(place), "--separator", "adapted", "--adapt-budget", "0", "--transcriber", "sphinx"]


def outcome(run: str, cache: Path) -> dict[str, Any]:
    """Checksums of every text file and track, the turns, and the tracks' loudness per second."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # The page is left out: it holds a script that changes, and sound of an encoder's own.
        formats = ["-f", ",".join(FIRST_FORMATS)]
        options = [
            *formats,
            "--device",
            "cpu",
            "--cache-dir",
            str(cache),
            "--no-cache",
            "--quiet",
            "--diarizer",
            "embedded",
        ]
        if run in ("given", "dictionary", "split"):
            options = options[:-2]
        with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit), pinned_threads():
            main(["run", *arguments(run, folder), "-o", str(folder / "out"), *options])
        out = folder / "out"
        files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
        files = {name: path for name, path in files.items() if not name.startswith(".meetsplit/")}
        tracks = {name: path for name, path in files.items() if name.endswith(".wav")}
        return {
            "files": {name: checksum(path) for name, path in files.items()},
            "turns": turns(out),
            "loudness": {name: loudness(path) for name, path in tracks.items()},
        }


def checksum(path: Path) -> str:
    """SHA-256; of our JSON without ``made_by``, which tells versions and this machine's choices."""
    content = path.read_bytes()
    if path.suffix == ".json" and not path.name.endswith(".seglst.json"):
        row = json.loads(content)
        row.pop("made_by")
        content = json.dumps(row, ensure_ascii=False).encode()
    return hashlib.sha256(content).hexdigest()


def turns(out: Path) -> list[tuple[str, float, float]]:
    (place,) = (
        out.glob("*.json")
        if len(list(out.glob("*.json"))) == 1
        else [p for p in out.glob("*.json") if "seglst" not in p.name]
    )
    return [(turn["speaker"], turn["start"], turn["end"]) for turn in json.loads(place.read_text())["turns"]]


def loudness(path: Path) -> list[float]:
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768
    return [
        round(float(np.sqrt(np.mean(second**2))), 5) for second in np.array_split(sound, max(len(sound) // 16000, 1))
    ]


@pytest.mark.parametrize("run", RUNS)
def test_outputs_are_pinned(run: str, embedded_weights: dict[str, Path]) -> None:
    cache = embedded_weights["encoder"].parents[2]
    pinned = json.loads(PINNED.read_text("utf-8"))
    expected, found = pinned["runs"][run], json.loads(json.dumps(outcome(run, cache)))
    if run in EXACT or pinned["numerics"] == numerics():
        assert found == expected
        return
    assert found["files"].keys() == expected["files"].keys()
    assert [turn[0] for turn in found["turns"]] == [turn[0] for turn in expected["turns"]]
    assert np.allclose([turn[1:] for turn in found["turns"]], [turn[1:] for turn in expected["turns"]], atol=CLOSE)
    for name, track in expected["loudness"].items():
        assert np.allclose(found["loudness"][name], track, atol=SOFT), name


if __name__ == "__main__":
    cache = Path(sys.argv[1]) if len(sys.argv) > 1 else Path.home() / ".cache" / "meetsplit"
    outcomes = {run: outcome(run, cache) for run in RUNS}
    PINNED.write_text(json.dumps({"numerics": numerics(), "runs": outcomes}, indent=1, sort_keys=True) + "\n", "utf-8")
