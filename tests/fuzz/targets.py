"""What is fuzzed: each kind of input, what it begins with, how it is mutated, and where it goes in.

An input must be read or refused with a `MeetsplitError`; whatever else leaves a target is a finding.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzz import mutate, recordings, samples

BLOCK = 1 << 24
"""Samples that are looked at at once."""

LONGEST = 5 * 3600.0
"""Seconds of sound that a few seconds' file may at most be read as."""

DISK = 100_000_000
"""Bytes on the disk that reading such a file may take."""

Check = Callable[[bytes, Path], None]
Mutate = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


class Broken(Exception):
    """Something was read, and what came of it breaks a promise."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of input. ``check`` takes an input and an empty folder; ``allowed`` are exceptions that it documents."""

    name: str
    seeds: Callable[[], list[bytes]]
    mutate: Mutate
    check: Check
    allowed: tuple[type[BaseException], ...] = ()


def _text_seeds(*seeds: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(seeds)


def _transcript(data: bytes, folder: Path) -> None:
    """JSON of ours, WhisperX's or whisper's, read and written in every format."""
    from meetsplit.pipeline.formats import export, names, read_transcript
    from meetsplit.pipeline.results.writing import export_transcript
    from meetsplit.pipeline.settings import Outputs

    path = folder / "call.json"
    path.write_bytes(data)
    if len(data) % 8 == 0:
        export_transcript(path, folder / "out", Outputs(formats=names()))
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        export_transcript(path, folder / "out", Outputs())
        return
    transcript = read_transcript(text, "call.json")
    for name in names():
        export(transcript, name, Outputs())
    again = read_transcript(export(transcript, "json", Outputs()), "call.json")
    if again != transcript:
        raise Broken("a transcript that was written and read again is another one")


def _rttm(data: bytes, folder: Path) -> None:
    """Turns, read for a recording of three seconds."""
    from meetsplit.pipeline.data import Audio
    from meetsplit.pipeline.diarizers.rttm import RttmDiarizer, read_rttm
    from meetsplit.pipeline.events import ignore_events

    path = folder / "call.rttm"
    path.write_bytes(data)
    read_rttm(path, "call")
    turns = RttmDiarizer(path).diarize(Audio(np.zeros(48_000, np.float32), 16_000), ignore_events)
    for turn in turns:
        if not 0 <= turn.span.start <= turn.span.end <= 3.0:
            raise Broken(f"a turn beyond the recording: {turn}")


def _script(suffix: str, data: bytes, folder: Path) -> None:
    """Words that are written down already."""
    from meetsplit.pipeline.data import Audio
    from meetsplit.pipeline.events import ignore_events
    from meetsplit.pipeline.transcribers.given_words import GivenWordsTranscriber, read_entries

    path = folder / f"words{suffix}"
    path.write_bytes(data)
    lines = read_entries(path)
    sound = np.full(24_000, 0.1, np.float32)
    for heard in GivenWordsTranscriber(lines).transcribe(
        [Audio(sound, 16_000), Audio(sound, 16_000, 1.5)], ignore_events
    ):
        for word in heard.words:
            if not 0 <= word.span.start <= word.span.end <= 3.0:
                raise Broken(f"a word beyond its clip: {word}")


def _scored(name: str, data: bytes, folder: Path) -> None:
    """A hypothesis against itself and against the truth."""
    from meetsplit.scoring.pairing import pair_up
    from meetsplit.scoring.protocol import Protocol
    from meetsplit.scoring.scores import score
    from meetsplit.scoring.session_files import read_sessions, read_uem

    path, truth, words = folder / name, folder / "truth.rttm", folder / "call.stm"
    path.write_bytes(data)
    if path.suffix == ".uem":
        read_uem(path)
        return
    read_sessions(path)
    truth.write_bytes(samples.RTTM)
    words.write_bytes(samples.STM)
    if len(data) % 16 == 0:  # scoring is slow
        score(pair_up([path], [truth] if path.suffix == ".rttm" else [words]).pairs, Protocol())


def _toml(data: bytes, folder: Path) -> None:
    """A settings file."""
    from meetsplit.console.options import resolve_settings
    from meetsplit.pipeline.formats import names

    path = folder / "settings.toml"
    path.write_bytes(data)
    settings, outputs = resolve_settings({"config": path}, names())
    json.dumps(settings.recorded())
    for name in outputs.formats:
        if name not in names():
            raise Broken(f"a format that nobody knows: {name!r}")


def _model(kind: str, stage: str, role: str, backend: str, file: str, data: bytes, folder: Path) -> None:
    """A model folder's configuration, opened or refused; nothing that it names may run."""
    from meetsplit.pipeline.errors import blame
    from meetsplit.pipeline.models import registry
    from meetsplit.pipeline.settings import Settings

    place, canary = samples.model_folder(kind), folder / "canary"
    (place / file).write_bytes(data.replace(b"CANARY", os.fsencode(canary)))
    try:
        with blame("load", f"loading {place}"):  # as the pipeline does
            registry.load(stage, backend, Settings(offline=True), {role: place}, "cpu")
    finally:
        if canary.exists():
            raise Broken("the file ran code")


def _model_seeds(kind: str, file: str, code: Sequence[str]) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        plain = (samples.model_folder(kind) / file).read_bytes()
        return [
            *([plain] * len(code)),
            *(plain + line.encode() + b"\n" for line in code),
            *(line.encode() + b"\n" + plain for line in code),
        ]

    return seeds


def _container(suffix: str, data: bytes, folder: Path) -> None:
    """A recording, looked at and read."""
    from meetsplit.pipeline.audio.memmap import release_pages
    from meetsplit.pipeline.audio.reading import probe, read

    path = folder / f"call.{suffix}"
    path.write_bytes(data)
    probe(path)
    place = folder / "sound"
    sound = read(path, folder=place if len(data) % 2 else None)
    if sound.duration > LONGEST:
        raise Broken(f"a file of {len(data)} bytes is read as {sound.duration:.0f} s of sound")
    if (taken := _nameless(place)) > DISK:
        raise Broken(f"a file of {len(data)} bytes takes {taken} bytes on the disk")
    for first in range(0, len(sound.samples), BLOCK):
        if not np.isfinite(sound.samples[first : first + BLOCK : 97]).all():
            raise Broken("samples that are no numbers")
        release_pages(sound)  # as everything does that goes through hours of sound


def _nameless(folder: Path) -> int:
    """Bytes on the disk of this process's open files that had a name in ``folder``; only where /proc says so."""
    taken = 0
    handles = Path("/proc/self/fd")
    for handle in handles.iterdir() if handles.is_dir() else ():
        try:
            if os.readlink(handle).startswith(str(folder)):
                taken += handle.stat().st_blocks * 512
        except OSError:  # it is the one of the listing itself
            continue
    return taken


def _checkpoint(data: bytes, folder: Path) -> None:
    """A torch checkpoint, read without torch."""
    from meetsplit.pipeline.models.checkpoints import json_value, read_checkpoint

    path = folder / "model.bin"
    path.write_bytes(data)
    content = read_checkpoint(path)
    json.dumps(json_value(content))


def _weights_only(data: bytes, folder: Path) -> None:
    """A torch checkpoint given to loaders that leave reading to torch: Whisper's and SpeechBrain's."""
    from meetsplit.pipeline.errors import blame
    from meetsplit.pipeline.models import registry
    from meetsplit.pipeline.settings import Settings

    with blame("load", "loading a model"):
        if len(data) % 4 == 0:
            (folder / "model.pt").write_bytes(data)
            registry.load("transcriber", "whisper", Settings(offline=True), {"model": folder / "model.pt"}, "cpu")
        else:
            shutil.copytree(samples.model_folder("sepformer"), folder / "model")
            (folder / "model" / "encoder.ckpt").write_bytes(data)
            registry.load("separator", "sepformer", Settings(offline=True), {"separator": folder / "model"}, "cpu")


def _names(data: bytes, folder: Path) -> None:
    """A file name and labels through the whole command: what is written lies in the results folder, terminals get no
    control characters.
    """
    from meetsplit import cli

    name, _, labels = data.partition(b"\n")
    root = os.fsencode(folder)
    os.mkdir(os.path.join(root, b"in"))
    name = os.path.basename(name.replace(b"\0", b"")) or b"x"
    recording = os.path.join(root, b"in", name[:200] + b".wav")
    recordings.tone(folder / "tone.wav", 3)
    recordings.turns_and_words(folder / "call.rttm", folder / "call.ctm", 3)
    try:
        shutil.copy(os.fsencode(folder / "tone.wav"), recording)
    except OSError:  # no disk takes that name
        return
    turns = [f"SPEAKER all 1 {at / 2} 0.6 <NA> <NA> {label} <NA> <NA>\n" for at, label in enumerate(_labels(labels))]
    (folder / "call.rttm").write_text("".join(turns), "utf-8", "replace")
    before = set(folder.rglob("*"))
    said = io.StringIO()
    known = [
        "--rttm",
        str(folder / "call.rttm"),
        "--script",
        str(folder / "call.ctm"),
        "--separate",
        "off",
        "--device",
        "cpu",
        "--offline",
    ]
    code: object = 0
    with redirect_stderr(said), redirect_stdout(said):
        try:
            cli.main(["run", os.fsdecode(recording), *known, "-o", str(folder / "out"), "--no-cache"])
        except SystemExit as end:
            code = end.code
    text = said.getvalue()
    if code not in (0, 1, 2, None) or "fault of meetsplit's own" in text:
        raise Broken(f"the command ended with {code}: {text[-500:]}")
    strange = {
        letter
        for letter in text
        if not letter.isprintable() and letter not in "\n\r\t" and not "\udc80" <= letter <= "\udcff"
    }
    if strange - {"\u2028", "\u2029", "\u00a0", "\u3000"} and any(ord(letter) < 0xA0 for letter in strange):
        raise Broken(f"control characters reach the terminal: {sorted(strange)!r}")
    outside = {path for path in folder.rglob("*") if path not in before and folder / "out" not in (path, *path.parents)}
    if outside:
        raise Broken(f"written outside the results folder: {sorted(map(str, outside))}")
    if code in (0, None) and not any((folder / "out").rglob("*.srt")):
        raise Broken("ended with 0 and wrote no subtitles")


def _labels(lines: bytes) -> list[str]:
    """Up to five labels without blanks, of which an RTTM could not tell where they end."""
    found = ["".join(line.split()) for line in lines.decode("utf-8", "replace").split("\n")]
    return [label for label in found if label][:5] or ["A"]


def _name_seeds() -> list[bytes]:
    return [
        f"{name}\nA\n{name}\nSPEAKER_01".encode("utf-8", "replace")
        for name in ("call", "..", *mutate.TEXTS)
        if "\n" not in name
    ]


def _weights_seeds() -> list[bytes]:
    return [(samples.model_folder("sepformer") / "encoder.ckpt").read_bytes(), *samples.checkpoints().values()]


def _container_seeds(suffix: str) -> Callable[[], list[bytes]]:
    return lambda: [samples.containers()[suffix]]


def _table() -> dict[str, Target]:
    targets = [
        Target(
            "transcript",
            lambda: [samples.transcript(), samples.WHISPER, samples.WHISPERX],
            mutate.document,
            _transcript,
        ),
        Target("rttm", _text_seeds(samples.RTTM, samples.RTTM_TWO), mutate.text, _rttm),
        Target("stm", _text_seeds(samples.STM), mutate.text, functools.partial(_script, ".stm")),
        Target("ctm", _text_seeds(samples.CTM), mutate.text, functools.partial(_script, ".ctm")),
        Target("seglst", _text_seeds(samples.SEGLST), mutate.document, functools.partial(_script, ".json")),
        Target(
            "score-rttm",
            _text_seeds(samples.RTTM, samples.RTTM_TWO),
            mutate.text,
            functools.partial(_scored, "call.rttm"),
        ),
        Target("score-stm", _text_seeds(samples.STM), mutate.text, functools.partial(_scored, "heard.stm")),
        Target(
            "score-json",
            lambda: [samples.SEGLST, samples.transcript(), samples.WHISPER, samples.WHISPERX],
            mutate.document,
            functools.partial(_scored, "call.json"),
        ),
        Target("uem", _text_seeds(samples.UEM), mutate.text, functools.partial(_scored, "call.uem")),
        Target("toml", _text_seeds(samples.TOML), mutate.text, _toml),
        Target(
            "checkpoint", lambda: list(samples.checkpoints().values()), mutate.data, _checkpoint, _CHECKPOINT_ERRORS
        ),
        Target("weights", _weights_seeds, mutate.data, _weights_only),
        Target("names", _name_seeds, mutate.text, _names),
    ]
    models = (
        ("sepformer", "separator", "separator", "sepformer", "hyperparams.yaml", samples.HYPERPARAMS_CODE),
        ("ecapa", "embedder", "embedder", "ecapa", "hyperparams.yaml", samples.HYPERPARAMS_CODE),
        ("pyannote", "diarizer", "pipeline", "pyannote", "config.yaml", samples.PYANNOTE_CODE),
    )
    for kind, stage, role, backend, file, code in models:
        check = functools.partial(_model, kind, stage, role, backend, file)
        targets.append(Target(f"model-{kind}", _model_seeds(kind, file, code), mutate.text, check))
    for suffix in samples.CONTAINERS:
        targets.append(Target(suffix, _container_seeds(suffix), mutate.data, functools.partial(_container, suffix)))
    return {target.name: target for target in targets}


_CHECKPOINT_ERRORS = (pickle.UnpicklingError, EOFError, zipfile.BadZipFile)
"""What `read_checkpoint` documents; its callers translate them."""

TARGETS = _table()
