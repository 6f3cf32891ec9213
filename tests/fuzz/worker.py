"""One fuzzing process: bounded memory, bounded time for each input, findings in a folder.

    python -m fuzz.worker --seed 1 --seconds 60 --work DIR          tries inputs of all kinds in turn
    python -m fuzz.worker --seed 1 rttm:50 wav:10 --work DIR        so many inputs of each of these kinds

The input that is being tried lies in DIR/current, so that whoever watches knows what a process died of. What was tried
is written to DIR/tally.json.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

MEMORY = 1536 << 20
"""Bytes of address space that inputs may take beyond what the libraries have taken."""

CPU = 20.0
"""Seconds of processor time for one input."""

GROWTH = 600 << 20
"""Bytes by which the largest memory use may grow with one input."""

FILE = 2 << 30
"""Bytes in the largest file that may be written."""


class Hang(BaseException):
    """An input took more than `CPU` seconds."""


@dataclass(slots=True)
class Tally:
    """What one process tried. ``findings`` are the first of their kind; ``repeated`` counts all."""

    seed: int
    tried: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    repeated: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[dict[str, str]] = field(default_factory=list)
    cpu: float = 0.0
    peak: int = 0

    def save(self, path: Path) -> None:
        """Write it, for the process that watches."""
        self.peak = peak_memory()
        self.cpu = time.process_time()
        row = {name: getattr(self, name) for name in self.__slots__}
        part = path.with_suffix(".part")
        part.write_text(json.dumps(row, indent=1), "utf-8")
        part.replace(path)


def peak_memory() -> int:
    """Largest resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def attempt(target: Any, data: bytes, folder: Path) -> tuple[str, str] | None:
    """Try one input in an emptied folder: None where it was read, otherwise ("refused", …) or (what kind of finding,
    report).
    """
    from meetsplit.pipeline.errors import MeetsplitError

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = peak_memory()
    signal.setitimer(signal.ITIMER_PROF, CPU)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.check(data, folder)
    except (MeetsplitError, *target.allowed) as error:
        return "refused", str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _kind(error), "".join(traceback.format_exception(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = peak_memory() - before
    if grown > GROWTH:
        return f"memory in {target.name}", f"memory grew by {grown >> 20} MiB"
    return None


class Screen:
    """Standard error of this process in a file, for what libraries print past Python."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(self._handle, 2)

    def new(self) -> bytes:
        """What has been printed since this was last asked."""
        sys.stderr.flush()
        size = os.fstat(self._handle).st_size
        printed = os.pread(self._handle, min(size, 100_000), 0)
        os.ftruncate(self._handle, 0)
        return printed


def watched(target: Any, data: bytes, folder: Path, screen: Screen) -> tuple[str, str] | None:
    """The same as `attempt`; a traceback that a library prints is a finding, too."""
    home = Path.cwd()
    answer = attempt(target, data, folder)
    os.chdir(home)
    printed = screen.new()
    if b"Traceback (most recent call last)" in printed and (answer is None or answer[0] == "refused"):
        return f"a traceback is printed by {target.name}", printed.decode("utf-8", "replace")
    return answer


def _kind(error: BaseException) -> str:
    """What makes two findings the same: the exception and the innermost place of ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/" not in frame.filename]
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
    said = str(error)[:60] if type(error).__name__ == "Broken" else ""
    return f"{type(error).__name__} in {place} {said}".strip()


def bound() -> None:
    """Limit this process; after the libraries are loaded."""
    taken = 0
    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _too_long)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hang(f"more than {CPU:g} s of processor time")


def keep(findings: Path, name: str, kind: str, report: str, data: bytes, seed: int) -> dict[str, str]:
    """Save the input of a finding and how to repeat it."""
    digest = hashlib.sha256(data).hexdigest()[:12]
    folder = findings / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / digest
    path.write_bytes(data)
    again = f"PYTHONPATH=tests .venv/bin/python -m fuzz replay {path}"
    path.with_suffix(".txt").write_text(f"{name}: {kind}\nseed {seed}\nrepeat: {again}\n\n{report}", "utf-8", "replace")
    return {"target": name, "kind": kind, "input": str(path), "report": report[-2000:]}


def load(names: Sequence[str]) -> dict[str, Any]:
    """The targets of these names, all where there are none, their libraries loaded and their seeds made."""
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "200"})
    import torch

    torch.set_num_threads(1)
    from fuzz.targets import TARGETS

    chosen = {name: TARGETS[name] for name in names or TARGETS}
    for target in chosen.values():
        target.seeds()
    return chosen


def run(
    counts: Mapping[str, int | None],
    seed: int,
    *,
    seconds: float,
    work: Path,
    findings: Path,
    kept: Sequence[Path] = (),
) -> Tally:
    """Try the ``kept`` inputs, then new ones until each kind had its count (None for no end) or ``seconds`` have
    passed.

    Kinds share the processor evenly.
    """
    targets = load(list(counts))
    seeds = {name: target.seeds() for name, target in targets.items()}
    rng = {name: random.Random(f"{seed} {name}") for name in targets}
    spent, made = dict.fromkeys(targets, 0.0), collections.Counter[str]()
    tally, kinds = Tally(seed), set[str]()
    waiting = [path for path in kept if path.parent.name in targets]
    screen = Screen(work / "stderr")
    bound()
    end, saved = time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        if waiting:
            path = waiting.pop(0)
            name, data = path.parent.name, path.read_bytes()
        else:
            wanted = [name for name in targets if (most := counts[name]) is None or made[name] < most]
            if not wanted:
                break
            name = min(wanted, key=spent.__getitem__)
            made[name] += 1
            data = targets[name].mutate(rng[name].choice(seeds[name]), rng[name], seeds[name])
        (work / "current").write_bytes(name.encode() + b"\n" + data)
        began = time.process_time()
        answer = watched(targets[name], data, work / "input", screen)
        spent[name] += time.process_time() - began + 1e-4
        tally.tried[name] += 1
        if answer is not None and answer[0] == "refused":
            tally.refused[name] += 1
        elif answer is not None:
            tally.repeated[f"{name}: {answer[0]}"] += 1
            if answer[0] not in kinds:
                kinds.add(answer[0])
                tally.findings.append(keep(findings, name, answer[0], answer[1], data, seed))
        if time.monotonic() - saved > 5:
            saved = time.monotonic()
            tally.save(work / "tally.json")
    tally.save(work / "tally.json")
    (work / "current").unlink(missing_ok=True)
    shutil.rmtree(work / "input", ignore_errors=True)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where there are findings."""
    options = argparse.ArgumentParser(prog="python -m fuzz.worker", description=__doc__.splitlines()[0])
    options.add_argument(
        "kinds", nargs="*", help="kinds of input, with a number of inputs or without end; the default is all"
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--corpus", type=Path, help="try the inputs in this folder first")
    options.add_argument("--seconds", type=float, default=float("inf"))
    options.add_argument("--work", type=Path, required=True, help="an empty folder to work in")
    options.add_argument("--findings", type=Path, help="where inputs of findings go; DIR/findings otherwise")
    chosen = options.parse_args(arguments)
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    findings = (chosen.findings or work / "findings").resolve()
    from fuzz.targets import TARGETS

    counts = {
        name: int(count) if count else None
        for name, _, count in (kind.partition(":") for kind in chosen.kinds or TARGETS)
    }
    if unknown := counts.keys() - TARGETS.keys():
        options.error(f"no kind of input {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    kept = sorted(path for path in chosen.corpus.glob("*/*") if path.is_file()) if chosen.corpus else ()
    tally = run(counts, chosen.seed, seconds=chosen.seconds, work=work, findings=findings, kept=kept)
    for finding in tally.findings:
        print(f"{finding['target']}: {finding['kind']}\n  {finding['input']}")
    print(
        f"{sum(tally.tried.values())} inputs, {len(tally.findings)} findings, "
        f"{tally.cpu:.0f} s of CPU, {tally.peak >> 20} MiB"
    )
    return int(bool(tally.findings))


if __name__ == "__main__":
    sys.exit(main())
