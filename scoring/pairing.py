"""Which files speak of which recording? Formats found out, accounts read, hypotheses paired with references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meetsplit.pipeline.data import Span
from meetsplit.pipeline.errors import ScoreError, SettingsError
from meetsplit.scoring.documents import read_json
from meetsplit.scoring.lines import looks_like, read_rttm, read_stm, read_uem
from meetsplit.scoring.sessions import Session, silent, together


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and what was heard in the same recording. ``uem`` is None where everything is scored."""

    recording: str
    reference: Session
    hypothesis: Session
    uem: tuple[Span, ...] | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paired:
    """Every recording of the references with its hypothesis, and what there is to say about the rest."""

    pairs: tuple[Pair, ...]
    notices: tuple[str, ...] = ()


def read_sessions(path: Path) -> tuple[Session, ...]:
    """Every session in one file: RTTM, STM, SegLST, or a transcript as meetsplit, WhisperX or whisper writes it.

    The format is known by the extension ``.rttm`` or ``.stm``, otherwise by the content. A file with one recording may
    call it otherwise than the file is called; `pair_up` tries both. Raises `ScoreError`.
    """
    try:
        return _sessions(path)
    except RecursionError as error:
        raise ScoreError(f"{path}: no transcript: its lists and objects are nested too deeply") from error


def _sessions(path: Path) -> tuple[Session, ...]:
    text, source = _text(path), str(path)
    if path.suffix.lower() == ".rttm":
        found = read_rttm(text, source) or {path.stem: Session(path.stem, source, (), (), has_words=False)}
    elif path.suffix.lower() == ".stm":
        found = read_stm(text, source) or {path.stem: Session(path.stem, source, (), (), has_words=True)}
    elif text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        found = read_json(text.lstrip("\ufeff"), source, path.stem) or {
            path.stem: Session(path.stem, source, (), (), has_words=True)
        }
    else:
        reader = looks_like(text)
        if reader is None:
            empty = "is empty" if not text.strip() else "has an unknown format"
            raise ScoreError(
                f"{source} {empty}: give RTTM, STM, SegLST or a transcript in JSON (meetsplit, WhisperX, whisper)"
            )
        found = reader(text, source)
    return tuple(found.values())


def read_stretches(path: Path) -> dict[str, tuple[Span, ...]]:
    """The stretches to score from a UEM file, by recording. Raises `ScoreError`."""
    return read_uem(_text(path), str(path))


def pair_up(hypotheses: Sequence[Path], references: Sequence[Path], uem: Path | None = None) -> Paired:
    """Hypotheses paired with references by the recording's name, in the order of the references.

    A recording may have two files on one side, one with words and one (RTTM) with turns. A recording without
    hypothesis is scored as if nothing had been heard; a hypothesis without reference is left out; both are noticed.
    Raises `ScoreError` for unreadable files and where no hypothesis fits any reference.
    """
    if not hypotheses or not references:
        raise SettingsError("scoring needs at least one hypothesis and one --ref")
    wanted, heard = _by_recording(references, "references"), _by_recording(hypotheses, "hypotheses")
    heard = _renamed(heard, wanted)
    missing, extra = [name for name in wanted if name not in heard], [name for name in heard if name not in wanted]
    if len(missing) == len(wanted):
        raise ScoreError(
            f"the hypotheses are about {_some(heard)}, the references about {_some(wanted)}: no recording has both; "
            "files go together by the recording named inside, or else by the file's name without extension"
        )
    notices = [f"{heard[name].source}: no reference for {name!r}; it is not scored" for name in extra]
    notices += [f"{name}: no hypothesis; it is scored as if nothing had been heard" for name in missing]
    stretches = read_stretches(uem) if uem is not None else {}
    notices += [
        f"{uem}: no stretch for {name!r}; all of it is scored"
        for name in wanted
        if uem is not None and name not in stretches
    ]
    gone = any(session.has_words for session in heard.values())
    pairs = tuple(
        Pair(name, reference, heard.get(name, silent(name, gone)), stretches.get(name))
        for name, reference in wanted.items()
    )
    return Paired(pairs, tuple(notices))


def _by_recording(paths: Iterable[Path], side: str) -> dict[str, Session]:
    found: dict[str, Session] = {}
    for path in paths:
        for session in read_sessions(path):
            other = found.get(session.recording)
            found[session.recording] = session if other is None else _joined(other, session, side)
    return found


def _joined(a: Session, b: Session, side: str) -> Session:
    if a.has_words == b.has_words:
        what = "words" if a.has_words else "turns"
        raise ScoreError(
            f"{a.source} and {b.source} both give the {what} of {a.recording!r} in the {side}: name one of them"
        )
    return together(a, b) if a.has_words else together(b, a)


def _renamed(heard: Mapping[str, Session], wanted: Mapping[str, Session]) -> dict[str, Session]:
    """The hypotheses under the names of the references: where the names inside differ, files with equal names go together."""
    stems = {Path(session.source.split(" + ")[0]).stem: name for name, session in wanted.items()}
    sources = [session.source for session in heard.values()]
    renamed: dict[str, Session] = {}
    for name, session in heard.items():
        stem = Path(session.source.split(" + ")[0]).stem
        alone = sources.count(session.source) == 1
        options = [name, *([stem, stems.get(stem, ""), stems.get(name, "")] if alone else [])]
        fitting = next(
            (
                option
                for option in options
                if option in wanted and option not in renamed and (option == name or option not in heard)
            ),
            name,
        )
        renamed[fitting] = replace(session, recording=fitting)
    return renamed


def _some(accounts: Mapping[str, Session]) -> str:
    names = [repr(name) for name in accounts]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ScoreError(f"{path} is not text in UTF-8: give RTTM, STM, SegLST or a transcript in JSON") from error
    except OSError as error:
        raise ScoreError(f"{path} cannot be read: {error.strerror}") from error
