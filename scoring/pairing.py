"""Hypotheses paired with references by the recording that they are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meetsplit.pipeline.data import Span
from meetsplit.pipeline.errors import ScoreError, SettingsError
from meetsplit.scoring.session_files import read_sessions, read_uem
from meetsplit.scoring.sessions import Session, combine, empty_session


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and the hypothesis of the same recording. ``uem`` is None where everything is scored."""

    recording: str
    reference: Session
    hypothesis: Session
    uem: tuple[Span, ...] | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every recording of the references with its hypothesis, and notices about the rest."""

    pairs: tuple[Pair, ...]
    notices: tuple[str, ...] = ()


def pair_up(hypotheses: Sequence[Path], references: Sequence[Path], uem: Path | None = None) -> Pairing:
    """Hypotheses paired with references by the recording's name, in the order of the references.

    A recording may have two files on one side, one with words and one (RTTM) with turns. A recording without
    hypothesis is scored as if nothing had been heard; a hypothesis without reference is left out; both are noticed.
    Raises `ScoreError` for unreadable files and where no hypothesis fits any reference.
    """
    if not hypotheses or not references:
        raise SettingsError("scoring needs at least one hypothesis and one --ref")
    reference_by_name = _by_recording(_read(references), "references")
    renamed, notices = _rename_after_references(_by_recording(_read(hypotheses), "hypotheses"), reference_by_name)
    hypothesis_by_name = _by_recording(renamed, "hypotheses")
    missing = [name for name in reference_by_name if name not in hypothesis_by_name]
    if len(missing) == len(reference_by_name):
        raise ScoreError(
            f"the hypotheses are about {_first_names(hypothesis_by_name)}, the references about "
            f"{_first_names(reference_by_name)}: no recording has both; "
            "files go together by the recording named inside, or else by the file's name without extension"
        )
    for name, session in hypothesis_by_name.items():
        if name not in reference_by_name:
            notices.append(f"{session.source}: no reference for {name!r}; it is not scored")
    notices += [f"{name}: no hypothesis; it is scored as if nothing had been heard" for name in missing]
    scored = read_uem(uem) if uem is not None else {}
    if uem is not None:
        without = (name for name in reference_by_name if name not in scored)
        notices += [f"{uem}: no stretch for {name!r}; all of it is scored" for name in without]
    has_words = any(session.has_words for session in hypothesis_by_name.values())
    pairs = tuple(
        Pair(name, reference, hypothesis_by_name.get(name, empty_session(name, has_words)), scored.get(name))
        for name, reference in reference_by_name.items()
    )
    return Pairing(pairs, tuple(notices))


def _read(paths: Iterable[Path]) -> Iterator[Session]:
    return (session for path in paths for session in read_sessions(path))


def _by_recording(sessions: Iterable[Session], side: str) -> dict[str, Session]:
    """The sessions by recording, the words and the turns of one recording as one.

    Raises `ScoreError` for two of a kind.
    """
    by_name: dict[str, Session] = {}
    for session in sessions:
        other = by_name.get(session.recording)
        by_name[session.recording] = session if other is None else _words_and_turns(other, session, side)
    return by_name


def _words_and_turns(a: Session, b: Session, side: str) -> Session:
    if a.has_words == b.has_words:
        kind = "words" if a.has_words else "turns"
        raise ScoreError(
            f"{a.source} and {b.source} both give the {kind} of {a.recording!r} in the {side}: name one of them"
        )
    return combine(a, b) if a.has_words else combine(b, a)


def _rename_after_references(
    hypotheses: Mapping[str, Session], references: Mapping[str, Session]
) -> tuple[list[Session], list[str]]:
    """The hypotheses under the names of their references, and notices of what is ambiguous.

    A hypothesis whose recording is a reference's keeps its name. Another one that is alone in its file goes with the
    reference that its file's name points to (`_candidates`), unless a hypothesis has that reference's name. The order
    of the hypotheses does not matter: two that go with the same reference become one recording, see `_by_recording`.
    """
    recordings_in_file = Counter(session.file for session in hypotheses.values())
    references_by_stem = _by_stem(references)
    renamed: list[Session] = []
    notices: list[str] = []
    for name, session in hypotheses.items():
        candidates: list[str] = []
        if name not in references and recordings_in_file[session.file] == 1:
            likely = _candidates(session, references, references_by_stem)
            candidates = [candidate for candidate in likely if candidate not in hypotheses]
        if len(candidates) > 1:
            names = " and ".join(repr(candidate) for candidate in candidates)
            notices.append(f"{session.source}: fits the references {names}; it is scored as {candidates[0]!r}")
        renamed.append(replace(session, recording=candidates[0]) if candidates else session)
    return renamed, notices


def _by_stem(references: Mapping[str, Session]) -> dict[str, list[str]]:
    """The references that are alone in their file, by the file's name without extension."""
    recordings_in_file = Counter(session.file for session in references.values())
    by_stem: dict[str, list[str]] = {}
    for name, session in references.items():
        if recordings_in_file[session.file] == 1:
            by_stem.setdefault(session.file.stem, []).append(name)
    return by_stem


def _candidates(
    hypothesis: Session, references: Mapping[str, Session], references_by_stem: Mapping[str, Sequence[str]]
) -> list[str]:
    """The references that a hypothesis under another name may belong to, the likeliest first.

    They are: the reference named as the hypothesis's file; the one whose file is named as the hypothesis's file; the
    one whose file is named as the hypothesis's recording.
    """
    stem = hypothesis.file.stem
    likely = [stem] if stem in references else []
    likely += references_by_stem.get(stem, ())
    likely += references_by_stem.get(hypothesis.recording, ())
    return list(dict.fromkeys(likely))


def _first_names(sessions: Mapping[str, Session]) -> str:
    names = [repr(name) for name in sessions]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
