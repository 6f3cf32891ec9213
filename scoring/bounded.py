"""What may blow up, and how is it held? The two metrics whose cost nobody can bound run in a process of their own.

tcORC-WER is exponential in the number of heard speakers who talk at the same time; greedy DI-cpWER keeps a matrix per
utterance. The process (``python -m meetsplit.scoring.bounded``) reads its
memory limit in GiB and then jobs, one per line, and writes one answer per line. It runs with ``-P``: the folder that the user stands in
holds no modules.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any

from meetsplit.pipeline.errors import MeetsplitError, blame
from meetsplit.scoring.normalize import Spoken

MOST_STREAMS = 10
"""Streams to choose from above which meeteval does not begin: the cost grows with the power of their number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one bounded metric of one recording may cost: ``seconds`` of time, ``gibibytes`` of memory (where the system can hold it)."""

    seconds: float = 25.0
    gibibytes: float = 4.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One metric's result as meeteval gives it: ``assignment`` has a stream for every utterance that is assigned.

    Without ``assignment`` there is no result, and ``reason`` says why.
    """

    errors: int = 0
    length: int = 0
    assignment: tuple[str, ...] | None = None
    reason: str = ""


class Bounded:
    """The process that may be killed. It starts with the first question, and again after it had to be killed.

    Used as a context manager, so that it never outlives the scoring.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def greedy_dicpwer(self, reference: Sequence[Spoken], hypothesis: Sequence[Spoken]) -> Answer:
        """Greedy DI-cpWER: the assignment has a reference speaker for every heard utterance."""
        return self._asked(
            "dicpwer", _streams(reference), {"reference": _rows(reference), "hypothesis": _rows(hypothesis)}
        )

    def tcorcwer(
        self, reference: Sequence[Spoken], hypothesis: Sequence[Spoken], *, timed: bool, collar: float
    ) -> Answer:
        """tcORC-WER: the assignment has a heard stream for every reference utterance. ``timed``: the heard words have their own times."""
        heard = _word_rows(hypothesis) if timed else _rows(hypothesis)
        return self._asked(
            "tcorcwer",
            _streams(hypothesis),
            {"reference": _rows(reference), "hypothesis": heard, "collar": str(collar)},
        )

    def _asked(self, metric: str, streams: int, job: Mapping[str, Any]) -> Answer:
        if streams > MOST_STREAMS:
            side = "hypothesis" if metric == "tcorcwer" else "reference"
            return Answer(
                reason=f"{streams} speakers in the {side}: its cost grows with the power of their number; at most {MOST_STREAMS} are tried"
            )
        if self._process is None:
            self._start()
        try:
            self._send(json.dumps({"metric": metric, **job}))
            line = self._answers.get(timeout=self._limits.seconds)
        except queue.Empty:
            self._stop()
            return Answer(reason=f"it takes longer than {self._limits.seconds:g} s")
        if not line:
            self._stop()
            return Answer(reason=f"it needs more memory than {self._limits.gibibytes:g} GiB")
        said = json.loads(line)
        if "failed" in said:
            return Answer(reason=said["failed"])
        return Answer(said["errors"], said["length"], tuple(said["assignment"]))

    def _start(self) -> None:
        command = [sys.executable, "-P", "-m", "meetsplit.scoring.bounded"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )
        self._answers = queue.Queue()
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()
        self._send(str(self._limits.gibibytes))

    def _send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:  # it died meanwhile: the listener says so with an empty line
                return

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                _close(self._process.stdin)
            self._process = None


def _close(end: IO[str]) -> None:
    try:
        end.close()
    except BrokenPipeError:  # what was still to be written has no reader any more
        return


def _listen(answers: IO[str] | None, into: queue.Queue[str]) -> None:
    if answers is not None:
        with answers:
            for line in answers:
                into.put(line)
    into.put("")


def _streams(side: Sequence[Spoken]) -> int:
    return len({utterance.speaker for utterance in side})


def _rows(side: Sequence[Spoken]) -> list[dict[str, str]]:
    return [_row(u.speaker, u.start, u.end, " ".join(token.text for token in u.tokens)) for u in side]


def _word_rows(side: Sequence[Spoken]) -> list[dict[str, str]]:
    return [_row(u.speaker, token.start, token.end, token.text) for u in side for token in u.tokens]


def _row(speaker: str, start: Decimal, end: Decimal, words: str) -> dict[str, str]:
    return {"session_id": "one", "speaker": speaker, "start_time": str(start), "end_time": str(end), "words": words}


def _limited(gibibytes: float) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit: there only the time is held
        return
    size = int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _computed(job: Mapping[str, Any]) -> dict[str, Any]:
    from meeteval.io import SegLST
    from meeteval.wer.wer.di_cp import greedy_di_cp_word_error_rate
    from meeteval.wer.wer.time_constrained_orc import time_constrained_orc_wer

    def table(name: str) -> Any:
        times = ("start_time", "end_time")
        return SegLST(
            [{key: Decimal(value) if key in times else value for key, value in row.items()} for row in job[name]]
        )

    if job["metric"] == "dicpwer":
        rate = greedy_di_cp_word_error_rate(table("reference"), table("hypothesis"))
    else:
        rate = time_constrained_orc_wer(table("reference"), table("hypothesis"), collar=Decimal(job["collar"]))
    return {
        "errors": int(rate.errors),
        "length": int(rate.length),
        "assignment": [str(label) for label in rate.assignment],
    }


def main() -> None:
    """Answer the jobs on standard input, one line of JSON each. Ends without an answer where the memory does not suffice."""
    _limited(float(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            with blame("score", "meeteval"):
                answer = _computed(json.loads(line))
        except MeetsplitError as error:
            if isinstance(error.__cause__, MemoryError):
                return
            too_many = isinstance(error.__cause__, OverflowError)
            answer = {"failed": "there are more combinations than meeteval can count" if too_many else str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
