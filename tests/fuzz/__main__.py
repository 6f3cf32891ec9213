"""Hours of fuzzing, power losses and kills: ``make fuzz``.

    python -m fuzz                      an hour of inputs, then faults at every operation on the disk, then 200 kills
    python -m fuzz --minutes 5 rttm wav --no-power --kills 0
    python -m fuzz replay FILE…         an input again: of the corpus, or of a finding (its folder names its kind)

Inputs come from processes of `fuzz.worker`, one for each processor. A process that dies or does not answer is a
finding, too: the input that it was trying is kept. Everything that was found lies in FINDINGS/, each input beside a
text that says how to repeat it.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import power, worker
from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
SILENT = 300.0
"""Seconds that one input may take on the clock, however busy the machine is."""

SHIFT = 600.0
"""Seconds after which a process gives way to a fresh one."""


@dataclass(slots=True)
class Total:
    """What all processes tried."""

    tried: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    repeated: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[dict[str, str]] = field(default_factory=list)
    cpu: float = 0.0
    peak: int = 0

    def add(self, tally: dict[str, Any]) -> None:
        """Count one process's work; a finding that another one had already is only counted."""
        for name in ("tried", "refused", "repeated"):
            getattr(self, name).update(tally[name])
        known = {(finding["target"], finding["kind"]) for finding in self.findings}
        self.findings += [finding for finding in tally["findings"] if (finding["target"], finding["kind"]) not in known]
        self.cpu += tally["cpu"]
        self.peak = max(self.peak, tally["peak"])


@dataclass(slots=True)
class Shift:
    """One process of `fuzz.worker`."""

    process: subprocess.Popen[bytes]
    work: Path
    seed: int

    @property
    def silent(self) -> float:
        """Seconds since it began with its present input."""
        current = self.work / "current"
        try:
            return time.time() - current.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def begin(kinds: Sequence[str], seed: int, seconds: float, place: Path, findings: Path) -> Shift:
    """Start a process that tries inputs for so many seconds."""
    work = place / f"worker-{seed}"
    work.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "fuzz.worker",
        *kinds,
        "--seed",
        str(seed),
        "--seconds",
        str(seconds),
        "--work",
        str(work),
    ]
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    with (work / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--findings", str(findings)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=output,
            cwd=work,
        )
    return Shift(process, work, seed)


def collect(shift: Shift, total: Total, findings: Path, why: str | None) -> None:
    """Count what a process did that has ended; ``why`` it was ended, where it was."""
    tally = shift.work / "tally.json"
    if tally.exists():
        total.add(json.loads(tally.read_text("utf-8")))
    code, current = shift.process.returncode, shift.work / "current"
    if why is not None or code not in (0, 1):
        name, _, data = current.read_bytes().partition(b"\n") if current.exists() else (b"none", b"", b"")
        output = (shift.work / "output").read_text("utf-8", "replace")[-3000:] + "\n".join(
            (shift.work / "stderr").read_text("utf-8", "replace")[-3000:].splitlines()
            if (shift.work / "stderr").exists()
            else []
        )
        kind = why or f"the process ended with {code}"
        total.findings.append(worker.keep(findings, name.decode(), kind, output, data, shift.seed))
    shutil.rmtree(shift.work, ignore_errors=True)


def inputs(kinds: Sequence[str], minutes: float, processes: int, seed: int, findings: Path, say: Any = print) -> Total:
    """Try inputs on so many processes at once."""
    total, end, shifts, following = Total(), time.monotonic() + 60 * minutes, list[Shift](), seed
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        said = time.monotonic()
        while shifts or time.monotonic() < end:
            while len(shifts) < processes and (left := end - time.monotonic()) > 0:
                shifts.append(begin(kinds, following, min(left, SHIFT), Path(scratch), findings))
                following += 1
            for shift in list(shifts):
                why = None
                if shift.process.poll() is None and shift.silent > SILENT:
                    shift.process.kill()
                    shift.process.wait()
                    why = f"an input took more than {SILENT:g} s"
                if shift.process.poll() is not None:
                    shifts.remove(shift)
                    collect(shift, total, findings, why)
            if time.monotonic() - said > 300:
                said = time.monotonic()
                say(
                    f"… {sum(total.tried.values())} inputs, {len(total.findings)} findings, "
                    f"{(end - said) / 60:.0f} min to go",
                    flush=True,
                )
            time.sleep(0.2)
    return total


def again(files: Sequence[Path]) -> Iterator[tuple[Path, str, str]]:
    """Try inputs again; the file, the kind of finding and its report for every one that is not read or refused."""
    targets = worker.load(sorted({file.parent.name for file in files}))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        screen = worker.Screen(Path(scratch) / "stderr")
        worker.bound()
        for file in files:
            answer = worker.watched(targets[file.parent.name], file.read_bytes(), Path(scratch) / "input", screen)
            if answer is not None and answer[0] != "refused":
                yield file, *answer


def kept() -> list[Path]:
    """The inputs of the corpus."""
    return sorted(path for path in CORPUS.glob("*/*") if path.is_file())


def _table(total: Total) -> str:
    rows = [f"{'kind':<18}{'tried':>9}{'refused':>9}"]
    rows += [f"{name:<18}{count:>9}{total.refused[name]:>9}" for name, count in sorted(total.tried.items())]
    return "\n".join(rows)


def _replay(files: Sequence[Path]) -> int:
    failed = 0
    for file, kind, report in again([file.resolve() for file in files]):
        failed += 1
        print(f"{file}: {kind}\n{report}")
    print(f"{len(files)} inputs, {failed} findings")
    return int(failed > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where there are findings."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["replay"]:
        return _replay([Path(file) for file in given[1:]] or kept())
    options = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    options.add_argument("kinds", nargs="*", help=f"kinds of input, all by default: {', '.join(TARGETS)}")
    options.add_argument("--minutes", type=float, default=60.0, help="of inputs")
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000 * 100, help="the default is another one each time"
    )
    options.add_argument("--kills", type=int, default=200, help="kill -9 over all commands; 0 for none")
    options.add_argument("--no-power", action="store_true", help="leave out faults at every operation on the disk")
    options.add_argument("--findings", type=Path, default=Path("findings"), metavar="DIR")
    chosen = options.parse_args(given)
    findings = chosen.findings.resolve()
    failed = 0
    if chosen.minutes > 0:
        began = time.monotonic()
        total = inputs(chosen.kinds, chosen.minutes, chosen.processes, chosen.seed, findings)
        print(_table(total))
        for finding in total.findings:
            print(f"FOUND {finding['target']}: {finding['kind']}\n  {finding['input']}")
        minutes = (time.monotonic() - began) / 60
        tried = sum(total.tried.values())
        print(
            f"inputs: {tried} tried, {len(total.findings)} findings, {minutes:.0f} min on {chosen.processes} processes "
            f"({total.cpu / 60:.0f} min of CPU), {total.peak >> 20} MiB at most, seed {chosen.seed}",
            flush=True,
        )
        failed += len(total.findings)
    if not chosen.no_power:
        failed += power.main(["--processes", str(chosen.processes)])
    if chosen.kills:
        from fuzz import kills

        failed += kills.main(["--kills", str(chosen.kills)])
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
