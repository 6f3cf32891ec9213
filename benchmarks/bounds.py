"""Recordings of little sound and large claims: memory, disk and time of a whole run of each, measured from outside.

    python -m meetsplit.benchmarks.bounds                       # ten hours of silence, 48 kB that claim five hours, …
    python -m meetsplit.benchmarks.bounds --only silence claim  # some of them
    python -m meetsplit.benchmarks.bounds --turns 100000        # how long it takes to write very many turns

Each run is a process of its own; its memory is what the system says it held at most, its disk what temporary files and
results took at most, looked at five times a second. Exit code 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from meetsplit.pipeline.audio.reading import pcm16, read
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.formats import export, names
from meetsplit.pipeline.settings import Outputs

SAMPLE = Path(__file__).parents[1] / "sample_data" / "standup.m4a"

MEMORY = 1.5 * 2**30
"""Bytes of memory that no run may exceed."""

SPARE = 64 << 20
"""Bytes on the disk beyond what the sound needs: transcripts, packets, the system's own."""

HOUR = 3600.0
_RATE = 16000


@dataclass(frozen=True, slots=True)
class Case:
    """A recording to make, the seconds of sound in it, and the arguments of the run."""

    make: Callable[[Path], Path]
    sound: float
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took: seconds, bytes of memory and of disk at most, and its exit code."""

    seconds: float
    memory: int
    disk: int
    code: int


def silence(folder: Path, hours: float = 10.0) -> Path:
    """A WAV file of digital silence, a hole on the disk."""
    return _wav(folder / "silence.wav", b"", hours)


def mostly_silence(folder: Path, hours: float = 10.0) -> Path:
    """The sample recording at the beginning of ``hours`` of digital silence."""
    return _wav(folder / "mostly-silence.wav", pcm16(read(SAMPLE, _RATE).samples), hours)


def _wav(path: Path, sound: bytes, hours: float) -> Path:
    """A mono WAV file that begins with ``sound`` and is silent up to ``hours``."""
    size = 2 * round(hours * HOUR * _RATE)
    layout = struct.pack("<IHHIIHH", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    with path.open("wb") as file:
        file.write(
            b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size) + sound
        )
        file.truncate(44 + size)
    return path


def claim(folder: Path, hours: float = 5.0, seconds: float = 6.0) -> Path:
    """An M4A file of a few seconds of sound, the last of them ``hours`` after the others."""
    path = folder / "claim.m4a"
    noise = (0.05 * np.random.default_rng(0).standard_normal(round(seconds * _RATE))).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=_RATE, layout="mono")
        for at in range(0, len(noise) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(noise[None, at : at + 1024], format="fltp", layout="mono")
            late = round(hours * HOUR * _RATE) if at > len(noise) // 2 else 0
            frame.sample_rate, frame.pts, frame.time_base = _RATE, at + late, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measured(case: Case, folder: Path) -> Measured:
    """Make the recording in ``folder`` and run it with temporary files and results there, too."""
    recording = case.make(folder)
    places = [folder / "tmp", folder / "out"]
    for place in places:
        place.mkdir()
    command = [
        sys.executable,
        "-m",
        "meetsplit.cli",
        "run",
        str(recording),
        "-o",
        str(places[1]),
        "-q",
        "--no-cache",
        *case.arguments,
    ]
    environment = {**os.environ, "TMPDIR": str(places[0])}
    began, most = time.monotonic(), 0
    process = subprocess.Popen(command, env=environment)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        most = max(most, sum(used(place) for place in places) + unnamed(process.pid))
        if ended:
            return Measured(time.monotonic() - began, usage.ru_maxrss * 1024, most, os.waitstatus_to_exitcode(status))
        time.sleep(0.2)


def used(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on the disk."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:  # gone since it was listed
            continue
    return total


def unnamed(process: int) -> int:
    """Bytes on the disk of the files that a process holds open and that have no name any more."""
    total = 0
    try:
        for handle in Path(f"/proc/{process}/fd").iterdir():
            if " (deleted)" in os.readlink(handle):
                total += handle.stat().st_blocks * 512
    except OSError:  # the process has ended
        pass
    return total


_OFFLINE = ("--diarizer", "embedded", "--transcriber", "sphinx", "--separate", "off")

CASES: Mapping[str, Case] = {
    "silence": Case(silence, 0.0, _OFFLINE),
    "claim": Case(claim, 6.0, _OFFLINE),
    "mostly": Case(mostly_silence, 130.0, _OFFLINE),
}


def conversation(turns: int) -> Transcript:
    """A transcript of five people with so many turns of about 0.2 s, two words each, in every order."""
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0.0, 0.2 * turns, turns)).round(3).tolist()
    lengths, people = rng.uniform(0.1, 0.3, turns).tolist(), rng.integers(5, size=turns).tolist()
    spoken: list[Turn] = []
    segments: list[Segment] = []
    for start, length, person in zip(starts, lengths, people, strict=True):
        speaker, middle, end = f"SPEAKER_{person:02d}", start + length / 2, start + length
        spoken.append(Turn(Span(start, end), speaker))
        segments.append(Segment(speaker, (Word(Span(start, middle), "well,"), Word(Span(middle, end), "no.")), "en"))
    return Transcript("conversation", 0.2 * turns + 1.0, tuple(segments), tuple(sorted(spoken)), Provenance("0"))


def write_all(turns: int) -> float:
    """Write a `conversation` in every format, a row each; processor seconds in all."""
    transcript, total = conversation(turns), 0.0
    for name in names():
        began = time.process_time()
        size = len(export(transcript, name, Outputs()))
        total += time.process_time() - began
        print(f"{name:<10} {time.process_time() - began:>8.1f} s {size / 1e6:>8.1f} MB", flush=True)
    return total


def main() -> None:
    """Run the cases and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--turns", type=int, default=0, help="instead, write a transcript of so many turns in every format"
    )
    asked = parser.parse_args()
    if asked.turns:
        print(f"{write_all(asked.turns):.1f} processor seconds for {asked.turns} turns")
        return
    broken = False
    print(f"{'case':<10} {'exit':>4} {'seconds':>8} {'memory MB':>10} {'disk MB':>8} {'its sound MB':>13}")
    for name in asked.only:
        case = CASES[name]
        with tempfile.TemporaryDirectory(prefix="meetsplit-bounds-") as scratch:
            found = measured(case, Path(scratch))
        needed = case.sound * _RATE * (4 + 2 * 2 * 2)
        broken |= found.memory > MEMORY or found.disk > needed + SPARE or found.code != 0
        print(
            f"{name:<10} {found.code:>4} {found.seconds:>8.1f} {found.memory / 1e6:>10.0f} {found.disk / 1e6:>8.1f} {needed / 1e6:>13.1f}",
            flush=True,
        )
    sys.exit(int(broken))


if __name__ == "__main__":
    main()
