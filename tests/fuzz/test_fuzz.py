"""A short round of fuzzing with a fixed seed, the inputs that were findings once, and the harness's own tests."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import mutate, samples
from fuzz.targets import TARGETS, Broken
from meetsplit.pipeline.audio.containers import open_container, open_recording
from meetsplit.pipeline.errors import AudioError, MeetsplitError

TESTS = Path(__file__).parents[1]
CORPUS = Path(__file__).parent / "corpus"
TEXTS = ("transcript", "rttm", "stm", "ctm", "seglst", "score-rttm", "score-stm", "score-json", "uem", "toml")

ROUND = {
    **dict.fromkeys(TEXTS, 120),
    **dict.fromkeys(samples.CONTAINERS, 14),
    "checkpoint": 200,
    "weights": 20,
    "names": 12,
    **dict.fromkeys(("model-sepformer", "model-ecapa", "model-pyannote"), 30),
}
"""Inputs of each kind in the round."""


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a bounded process found: the corpus, then new inputs."""
    work = tmp_path_factory.mktemp("fuzz")
    kinds = [f"{name}:{count}" for name, count in ROUND.items()]
    command = [
        sys.executable,
        "-m",
        "fuzz.worker",
        *kinds,
        "--seed",
        "12",
        "--corpus",
        str(CORPUS),
        "--work",
        str(work),
    ]
    done = subprocess.run(
        command, cwd=work, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=False
    )
    assert (work / "tally.json").exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads((work / "tally.json").read_text("utf-8"))
    assert not (work / "current").exists(), (
        f"the process ended with {done.returncode} in an input: {(work / 'stderr').read_text()[-2000:]}"
    )
    return found


def test_every_kind_is_tried(tally: dict[str, Any]) -> None:
    assert ROUND.keys() == TARGETS.keys()
    kept = {name: sum(1 for path in (CORPUS / name).glob("*")) for name in ROUND}
    assert tally["tried"] == {name: count + kept[name] for name, count in ROUND.items()}


def test_inputs_are_read_or_refused(tally: dict[str, Any]) -> None:
    assert tally["findings"] == []


def test_memory_is_bounded(tally: dict[str, Any]) -> None:
    assert 0 < tally["peak"] < 2 << 30


def test_the_corpus_has_no_strange_files() -> None:
    kept = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in kept} <= TARGETS.keys()
    assert [path.name for path in kept if path.stat().st_size > 64_000] == []


@pytest.mark.parametrize("how", [mutate.text, mutate.document, mutate.data])
def test_mutations_repeat_and_vary(how: Callable[..., bytes]) -> None:
    seeds = [samples.WHISPER, samples.SEGLST]
    made = [how(seeds[0], random.Random(seed), seeds) for seed in range(200)]
    assert made == [how(seeds[0], random.Random(seed), seeds) for seed in range(200)]
    assert len(set(made)) > 150
    assert sum(one == seeds[0] for one in made) < 20


def test_findings_are_found_and_kept(tmp_path: Path) -> None:
    """A process whose targets are broken on purpose: an error, a broken promise, too much time, and a printed
    traceback.
    """
    code = f"""
import json, os, sys, traceback
from pathlib import Path
from fuzz import targets, worker

def check(data, folder):
    name = data.decode()
    if name == "error":
        raise ValueError("planted")
    if name == "broken":
        raise targets.Broken("planted")
    if name == "long":
        while True:
            pass
    if name == "memory":
        bytearray(worker.MEMORY + (3 << 30))
    if name == "printed":
        os.write(2, b"Traceback (most recent call last)")

worker.CPU = 0.3
work = Path({str(tmp_path)!r})
targets.TARGETS["planted"] = targets.Target("planted", lambda: [b"fine"], lambda seed, rng, others: seed, check)
kept = sorted((work / "corpus").glob("*/*"))
worker.run({{"planted": 3}}, 1, seconds=60, work=work, findings=work / "findings", kept=kept)
"""
    for name in ("error", "broken", "long", "memory", "printed"):
        path = tmp_path / "corpus" / "planted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(TESTS)}, check=True, cwd=tmp_path)
    tally = json.loads((tmp_path / "tally.json").read_text("utf-8"))
    assert tally["tried"] == {"planted": 8}
    kinds = [finding["kind"].split(" in ")[0] for finding in tally["findings"]]
    assert kinds == ["Broken", "ValueError", "Hang", "MemoryError", "a traceback is printed by planted"]
    for finding in tally["findings"]:
        assert Path(finding["input"]).read_text() in ("error", "broken", "long", "memory", "printed")
        assert "python -m fuzz replay" in Path(finding["input"]).with_suffix(".txt").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


def read_or_refused(name: str, data: bytes, place: Path) -> None:
    try:
        TARGETS[name].check(data, place)
    except Broken:
        raise
    except (MeetsplitError, *TARGETS[name].allowed):
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(mutate.TEXTS[:60]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("start", "end", "words", "word", "text", "speaker", "segments", "turns", "x")),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
SEGMENT = st.fixed_dictionaries(
    {"start": st.floats(0, 1e6), "end": st.floats(0, 1e6)},
    optional={"text": JSON, "speaker": JSON, "words": JSON, "language": JSON},
)


@settings(max_examples=100, deadline=None)
@given(
    content=JSON | st.fixed_dictionaries({"segments": st.lists(SEGMENT, max_size=4)}),
    name=st.sampled_from(("transcript", "score-json")),
)
def test_any_json(place: Path, content: Any, name: str) -> None:
    read_or_refused(name, json.dumps(content).encode("utf-8", "surrogatepass"), place)


FIELD = st.sampled_from((*mutate.NUMBERS, *mutate.TEXTS[:40], "SPEAKER", "call", "1", "<NA>", "A")) | st.text(
    max_size=5
)
LINE = st.lists(FIELD, max_size=11).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(LINE, max_size=5),
    name=st.sampled_from(("rttm", "stm", "ctm", "score-rttm", "score-stm", "uem", "toml")),
)
def test_any_lines(place: Path, lines: list[str], name: str) -> None:
    read_or_refused(name, "\n".join(lines).encode("utf-8", "surrogatepass"), place)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), name=st.sampled_from((*TEXTS, "checkpoint", "wav")))
def test_any_bytes(place: Path, data: bytes, name: str) -> None:
    read_or_refused(name, data, place)


def test_a_position_before_the_start_is_no_traceback(tmp_path: Path) -> None:
    """Damaged containers ask for one; PyAV prints what the file raises then."""
    path = tmp_path / "call.caf"
    path.write_bytes(b"caff" + bytes(100))
    with open_recording(path) as plain, pytest.raises(OSError, match="Invalid argument"):
        plain.seek(-5)
    with pytest.raises(AudioError), open_container(path):
        pass
    from meetsplit.pipeline.audio.containers import _ClampedSeek

    with open_recording(path) as plain:
        assert _ClampedSeek(plain).seek(-5) == 0
        assert _ClampedSeek(plain).seek(4) == 4
