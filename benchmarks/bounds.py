"""Benchmark of resource bounds: memory, disk and time of runs on recordings that claim more sound than they hold.

    python -m meetsplit.benchmarks.bounds                       # ten hours of silence, 48 kB that claim five hours, …
    python -m meetsplit.benchmarks.bounds --only silence claim  # some of them
    python -m meetsplit.benchmarks.bounds --turns 100000        # how long it takes to write very many turns

Each run is a process of its own; its memory is the peak that the kernel reports, its disk the peak of temporary files
and results, sampled five times a second. Exit code 1 where a bound is exceeded.
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

MAX_MEMORY = 1.5 * 2**30
"""Bytes of memory that no run may exceed."""

SPARE_DISK = 64 << 20
"""Bytes on the disk beyond what the sound needs: transcripts, packets, the system's own."""

SAMPLE_INTERVAL = 0.2
"""Seconds between two measurements of the disk."""

HOUR = 3600.0
_RATE = 16000


@dataclass(frozen=True, slots=True)
class BoundsCase:
    """A recording to make, the seconds of sound in it, and the arguments of the run."""

    make: Callable[[Path], Path]
    sound_seconds: float
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunUsage:
    """Seconds, peak memory and disk in bytes, and exit code of a run."""

    seconds: float
    memory: int
    disk: int
    exit_code: int


def silence(folder: Path, hours: float = 10.0) -> Path:
    """A WAV file of digital silence: a sparse file."""
    return _wav(folder / "silence.wav", b"", hours)


def mostly_silence(folder: Path, hours: float = 10.0) -> Path:
    """The sample recording at the beginning of ``hours`` of digital silence."""
    return _wav(folder / "mostly-silence.wav", pcm16(read(SAMPLE, _RATE).samples), hours)


def low_noise(folder: Path, hours: float = 10.0) -> Path:
    """A WAV file of ``hours`` of white noise at -70 dBFS: no sample is silence, and there is no speech."""
    path = _wav(folder / "noise.wav", b"", hours)
    rng = np.random.default_rng(0)
    with path.open("r+b") as file:
        file.seek(44)
        for _ in range(round(60 * hours)):
            file.write(pcm16((10 ** (-70 / 20) * rng.standard_normal(60 * _RATE)).astype(np.float32)))
    return path


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


def measure(case: BoundsCase, folder: Path) -> RunUsage:
    """Make the recording in ``folder`` and run it with temporary files and results there, too."""
    recording = case.make(folder)
    temporary, results = folder / "tmp", folder / "out"
    temporary.mkdir()
    results.mkdir()
    command = [sys.executable, "-m", "meetsplit.cli", "run", str(recording), "-o", str(results), "-q", "--no-cache"]
    started = time.monotonic()
    process = subprocess.Popen([*command, *case.arguments], env={**os.environ, "TMPDIR": str(temporary)})
    peak_disk = 0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        disk = disk_usage(temporary) + disk_usage(results) + deleted_file_usage(process.pid)
        peak_disk = max(peak_disk, disk)
        if ended:
            seconds = time.monotonic() - started
            return RunUsage(seconds, usage.ru_maxrss * 1024, peak_disk, os.waitstatus_to_exitcode(status))
        time.sleep(SAMPLE_INTERVAL)


def disk_usage(folder: Path) -> int:
    """Bytes on the disk of the files below ``folder``."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:  # deleted since it was listed
            continue
    return total


def deleted_file_usage(process: int) -> int:
    """Bytes on the disk of deleted files that a process holds open."""
    total = 0
    try:
        for handle in Path(f"/proc/{process}/fd").iterdir():
            if " (deleted)" in os.readlink(handle):
                total += handle.stat().st_blocks * 512
    except OSError:  # the process has ended
        pass
    return total


_OFFLINE = ("--diarizer", "embedded", "--transcriber", "sphinx", "--separate", "off")

CASES: Mapping[str, BoundsCase] = {
    "silence": BoundsCase(silence, 0.0, _OFFLINE),
    "claim": BoundsCase(claim, 6.0, _OFFLINE),
    "mostly": BoundsCase(mostly_silence, 130.0, _OFFLINE),
    "noise": BoundsCase(low_noise, 10 * HOUR, _OFFLINE),
}


def random_transcript(turns: int) -> Transcript:
    """A transcript of five speakers with so many turns of about 0.2 s, two words each, in random order."""
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0.0, 0.2 * turns, turns)).round(3).tolist()
    lengths = rng.uniform(0.1, 0.3, turns).tolist()
    speakers = rng.integers(5, size=turns).tolist()
    all_turns: list[Turn] = []
    segments: list[Segment] = []
    for start, length, number in zip(starts, lengths, speakers, strict=True):
        speaker, middle, end = f"SPEAKER_{number:02d}", start + length / 2, start + length
        all_turns.append(Turn(Span(start, end), speaker))
        segments.append(Segment(speaker, (Word(Span(start, middle), "well,"), Word(Span(middle, end), "no.")), "en"))
    return Transcript("conversation", 0.2 * turns + 1.0, tuple(segments), tuple(sorted(all_turns)), Provenance("0"))


def write_all_formats(turns: int) -> float:
    """Format a `random_transcript` in every format, printing a row each; processor seconds in all."""
    transcript = random_transcript(turns)
    total = 0.0
    for name in names():
        started = time.process_time()
        size = len(export(transcript, name, Outputs()))
        seconds = time.process_time() - started
        total += seconds
        print(f"{name:<10} {seconds:>8.1f} s {size / 1e6:>8.1f} MB", flush=True)
    return total


def main() -> None:
    """Run the cases and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--turns", type=int, default=0, help="instead, write a transcript of so many turns in every format"
    )
    args = parser.parse_args()
    if args.turns:
        print(f"{write_all_formats(args.turns):.1f} processor seconds for {args.turns} turns")
        return
    exceeded = False
    print(f"{'case':<10} {'exit':>4} {'seconds':>8} {'memory MB':>10} {'disk MB':>8} {'its sound MB':>13}")
    for name in args.only:
        case = CASES[name]
        with tempfile.TemporaryDirectory(prefix="meetsplit-bounds-") as scratch:
            usage = measure(case, Path(scratch))
        sound_bytes = case.sound_seconds * _RATE * (4 + 2 * 2 * 2)
        exceeded |= usage.memory > MAX_MEMORY or usage.disk > sound_bytes + SPARE_DISK or usage.exit_code != 0
        megabytes = f"{usage.memory / 1e6:>10.0f} {usage.disk / 1e6:>8.1f} {sound_bytes / 1e6:>13.1f}"
        print(f"{name:<10} {usage.exit_code:>4} {usage.seconds:>8.1f} {megabytes}", flush=True)
    sys.exit(int(exceeded))


if __name__ == "__main__":
    main()
