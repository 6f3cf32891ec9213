"""What do RTTM, STM and UEM files say? One line, one turn, utterance or stretch; messages carry the line's number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from meetsplit.pipeline.data import LATEST, Span, Turn, decimal_sum
from meetsplit.pipeline.errors import ScoreError
from meetsplit.scoring.sessions import Session, Utterance, make_session, merged

T = TypeVar("T")

RTTM_TYPES = frozenset(
    (
        "SPEAKER",
        "SEGMENT",
        "NOSCORE",
        "NO_RT_METADATA",
        "LEXEME",
        "NON-LEX",
        "NON-SPEECH",
        "FILLER",
        "EDIT",
        "IP",
        "SU",
        "CB",
        "A/P",
        "SPKR-INFO",
        "NOEVAL",
    )
)
"""Line types of the NIST RT-09 evaluation plan; only SPEAKER lines are turns."""

STM_LABEL = re.compile(r"<[^<>\s]*,[^<>\s]*>\s*")


def read_rttm(text: str, source: str) -> dict[str, Session]:
    """The turns of every recording in an RTTM file, by the file's own recording names. Raises `ScoreError`."""
    turns: dict[str, list[Turn]] = {}
    for number, line in _lines(text):
        kind, *fields = line.split()
        where = f"{source}, line {number}"
        if kind not in RTTM_TYPES:
            raise ScoreError(f"{where}: an RTTM line begins with a type such as SPEAKER, not {kind[:40]!r}")
        if kind != "SPEAKER":
            continue
        if len(fields) < 7:
            raise ScoreError(
                f"{where}: a SPEAKER line has 9 or 10 fields (SPEAKER file channel start duration <NA> <NA> name …), "
                f"here are {len(fields) + 1}"
            )
        start, duration = number_in(fields[2], where, "start"), number_in(fields[3], where, "duration")
        turns.setdefault(fields[0], []).append(Turn(span_of(start, decimal_sum(start, duration), where), fields[6]))
    return {name: Session(name, source, (), merged(found), has_words=False) for name, found in turns.items()}


def read_stm(text: str, source: str) -> dict[str, Session]:
    """The utterances of every recording in an STM file, by the file's own recording names. Raises `ScoreError`.

    A label like ``<o,f0,male>`` before the text is dropped; ``inter_segment_gap`` lines say that nobody is scored and are skipped.
    """
    found: dict[str, list[Utterance]] = {}
    for number, line in _lines(text):
        where = f"{source}, line {number}"
        fields = line.split(maxsplit=5)
        if len(fields) < 5:
            raise ScoreError(
                f"{where}: an STM line is 'file channel speaker start end text', here are {len(fields)} fields"
            )
        name, _, speaker, start, end, *rest = fields
        span = span_of(number_in(start, where, "start"), number_in(end, where, "end"), where)
        spoken = found.setdefault(name, [])
        if speaker != "inter_segment_gap":
            spoken.append(Utterance(span, speaker, STM_LABEL.sub("", "".join(rest), count=1)))
    return {name: make_session(name, source, utterances) for name, utterances in found.items()}


def read_uem(text: str, source: str) -> dict[str, tuple[Span, ...]]:
    """The stretches to score of every recording: lines of ``file channel start end``. Raises `ScoreError`."""
    spans: dict[str, list[Span]] = {}
    for number, line in _lines(text):
        fields, where = line.split(), f"{source}, line {number}"
        if len(fields) != 4:
            raise ScoreError(f"{where}: a UEM line is 'file channel start end', here are {len(fields)} fields")
        spans.setdefault(fields[0], []).append(
            span_of(number_in(fields[2], where, "start"), number_in(fields[3], where, "end"), where)
        )
    return {name: tuple(sorted(found)) for name, found in spans.items()}


def looks_like(text: str) -> Callable[[str, str], dict[str, Session]] | None:
    """The reader whose format the first line has; None where it is neither RTTM nor STM."""
    first = next((line for _, line in _lines(text)), "")
    fields = first.split()
    if fields and fields[0] in RTTM_TYPES and len(fields) >= 8:
        return read_rttm
    if len(fields) >= 5 and all(re.fullmatch(r"-?\d+(\.\d*)?", field) for field in fields[3:5]):
        return read_stm
    return None


def number_in(text: object, where: str, what: str) -> float:
    """A time in seconds. Raises `ScoreError` for anything that is not a finite number."""
    if text is None:
        raise ScoreError(f"{where}: the {what} is missing: times are seconds from the recording's beginning")
    try:
        value = float(text) if isinstance(text, str | int | float) and not isinstance(text, bool) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ScoreError(f"{where}: the {what} is {str(text)[:40]!r}, not a number of seconds")
    return value


def span_of(start: float, end: float, where: str) -> Span:
    """The span between two times. Raises `ScoreError` where it runs backwards or begins before the recording."""
    if start < 0:
        raise ScoreError(f"{where}: starts at {start:g} s, before the recording: times are seconds from its beginning")
    if end < start:
        raise ScoreError(f"{where}: ends at {end:g} s, before it starts at {start:g} s")
    if end > LATEST:
        raise ScoreError(
            f"{where}: ends at {end:g} s: no recording lasts so long; times are seconds from its beginning"
        )
    return Span(start, end)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(";"):
            yield number, stripped
