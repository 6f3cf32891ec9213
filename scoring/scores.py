"""Scores of pairs of sessions: per recording and pooled; overall, in overlaps and elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from meetsplit.pipeline.data import timeline
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener, Progressed, ignore_events
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.scoring.normalize import Normalize, NormalizedUtterance, normalize_utterances, normalizer
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.separation import SeparationScores, pool_separation
from meetsplit.scoring.sessions import Session, restrict_to_uem
from meetsplit.scoring.word_errors import WORD_METRICS, LocatedErrors, WordErrors, word_errors

SUSPICIOUS = 0.9
"""Word error rate above which a notice asks whether the hypothesis is about this recording at all."""

SUSPICIOUS_WORDS = 20
"""Reference words below which no such notice is given."""

Section: TypeAlias = Literal["total", "overlap", "clean"]
SECTIONS: tuple[Section, ...] = ("total", "overlap", "clean")
"""The whole recording, the stretches where the reference overlaps, and the rest."""


@dataclass(frozen=True, slots=True)
class SectionScores:
    """The errors in one section of a recording.

    A metric without an answer is missing from ``words``, ``turns`` is None; ``reasons`` says why.
    """

    words: Mapping[str, WordErrors] = field(default_factory=dict)
    turns: TurnErrors | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingScores:
    """One recording's scores, or all of them pooled: the whole, the overlapped stretches alone, and the rest.

    ``has_words`` is False where reference or hypothesis is only about turns.
    """

    name: str
    total: SectionScores
    overlap: SectionScores
    clean: SectionScores
    separation: SeparationScores | None = None
    notices: tuple[str, ...] = ()
    has_words: bool = True

    def section(self, name: Section) -> SectionScores:
        """The section of that name."""
        return {"total": self.total, "overlap": self.overlap, "clean": self.clean}[name]


@dataclass(frozen=True, slots=True)
class Scores:
    """Every recording's scores, the pooled ones and the protocol that they follow."""

    protocol: Protocol
    recordings: tuple[RecordingScores, ...]
    pooled: RecordingScores
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Side:
    """The reference or the hypothesis of one recording, inside the UEM, with its normalised utterances."""

    session: Session
    utterances: tuple[NormalizedUtterance, ...]


def score(
    pairs: Iterable[Pair],
    protocol: Protocol,
    *,
    separation: Mapping[str, SeparationScores] | None = None,
    notices: Sequence[str] = (),
    on_event: EventListener = ignore_events,
) -> Scores:
    """Score every pair by the protocol. ``separation`` holds the scores of tracks by recording, where there are any.

    Raises `SettingsError`, `ScoreError`, and `MissingDependency` where a scoring package is not installed.
    """
    all_pairs = tuple(pairs)
    normalize = normalizer(protocol.normalizer)
    recordings: list[RecordingScores] = []
    for number, pair in enumerate(all_pairs):
        on_event(Progressed("score", number, len(all_pairs)))
        scores = _recording_scores(pair, protocol, normalize)
        recordings.append(replace(scores, separation=(separation or {}).get(pair.recording)))
    on_event(Progressed("score", len(all_pairs), len(all_pairs)))
    all_notices = [*notices]
    if protocol.skip_overlap:
        all_notices.append(
            "overlap is skipped in the scores of turns, so these have no answer for the overlapped stretches"
        )
    return Scores(protocol, tuple(recordings), _pool(recordings), tuple(all_notices))


def _recording_scores(pair: Pair, protocol: Protocol, normalize: Normalize) -> RecordingScores:
    reference, hypothesis = (
        _Side(session, normalize_utterances(session, normalize))
        for session in (
            side if pair.uem is None else restrict_to_uem(side, pair.uem) for side in (pair.reference, pair.hypothesis)
        )
    )
    turns = turn_errors(
        reference.session.turns,
        hypothesis.session.turns,
        uem=pair.uem,
        collar=protocol.collar,
        skip_overlap=protocol.skip_overlap,
    )
    words, missing = _word_errors(reference, hypothesis, protocol)
    sections = {
        name: _section({metric: getattr(errors, name) for metric, errors in words.items()}, part, missing, name)
        for name, part in zip(SECTIONS, (turns.total, turns.overlap, turns.clean), strict=True)
    }
    notices = (
        *pair.notices,
        *reference.session.notices,
        *hypothesis.session.notices,
        *_suspicions(reference, hypothesis, protocol, sections["total"]),
    )
    has_words = reference.session.has_words and hypothesis.session.has_words
    total, overlap, clean = (sections[name] for name in SECTIONS)
    return RecordingScores(pair.recording, total, overlap, clean, notices=notices, has_words=has_words)


def _word_errors(
    reference: _Side, hypothesis: _Side, protocol: Protocol
) -> tuple[Mapping[str, LocatedErrors], dict[str, str]]:
    """Each metric's errors, and the reasons why metrics have no answer."""
    for name, side in (("reference", reference), ("hypothesis", hypothesis)):
        if not side.session.has_words:
            return {}, dict.fromkeys(WORD_METRICS, f"the {name} has turns but no words")
    overlapped = timeline.support(overlap.span for overlap in timeline.overlaps(reference.session.turns))
    with blame("score", f"scoring the words of {reference.session.recording}"):
        errors = word_errors(
            reference.utterances,
            hypothesis.utterances,
            timed=hypothesis.session.timed,
            collar=protocol.word_collar,
            overlapped=overlapped,
        )
    return errors, {}


def _section(
    words: Mapping[str, WordErrors], turns: TurnErrors, missing: Mapping[str, str], name: Section
) -> SectionScores:
    where = {"total": "", "overlap": " in the overlapped stretches", "clean": " outside the overlapped stretches"}[name]
    reasons = dict(missing)
    for metric, errors in words.items():
        if errors.rate is None:
            invented = f"; {errors.insertions} were heard" if errors.insertions else ""
            reasons[metric] = f"the reference has no words{where}{invented}"
    for metric, rate in (("der", turns.der), ("jer", turns.jer)):
        if rate is None:
            invented = f"; {turns.false_alarm:.1f} s were heard" if turns.false_alarm else ""
            reasons[metric] = f"nobody speaks in the reference{where}{invented}"
    return SectionScores(words, turns, reasons)


def _pool(recordings: Sequence[RecordingScores]) -> RecordingScores:
    """All recordings as one: sums of errors over sums of lengths."""
    total, overlap, clean = (_pool_section(recordings, name) for name in SECTIONS)
    separation = [scores.separation for scores in recordings if scores.separation is not None]
    with_words = sum(scores.has_words for scores in recordings)
    notices: tuple[str, ...] = ()
    if 0 < with_words < len(recordings):
        notices = (f"words are pooled over {with_words} of {len(recordings)} recordings; the others have turns only",)
    return RecordingScores(
        "pooled",
        total,
        overlap,
        clean,
        separation=pool_separation(separation) if separation else None,
        notices=notices,
        has_words=with_words > 0,
    )


def _pool_section(recordings: Sequence[RecordingScores], name: Section) -> SectionScores:
    parts = [scores.section(name) for scores in recordings]
    with_words = [scores.section(name) for scores in recordings if scores.has_words]
    words: dict[str, WordErrors] = {}
    missing: dict[str, str] = {}
    for metric in WORD_METRICS:
        if with_words or not parts:
            words[metric] = sum((part.words[metric] for part in with_words), WordErrors())
        else:
            reasons = [part.reasons.get(metric, "") for part in parts]
            everywhere = len(set(reasons)) == 1
            count = f"no answer for {len(parts)} of {len(parts)} recordings: {recordings[0].name}: {reasons[0]}"
            missing[metric] = reasons[0] if everywhere else count
    turns = sum((part.turns for part in parts if part.turns is not None), TurnErrors())
    return _section(words, turns, missing, name)


def _suspicions(reference: _Side, hypothesis: _Side, protocol: Protocol, whole: SectionScores) -> list[str]:
    """Notices where both sides may be about different recordings or in different languages."""
    notices: list[str] = []
    scripts = (_script(reference.utterances), _script(hypothesis.utterances))
    languages = (reference.session.language, hypothesis.session.language)
    errors = whole.words.get("cpwer")
    if all(languages) and languages[0] != languages[1]:
        notices.append(
            f"the reference is in {languages[0]!r}, the hypothesis in {languages[1]!r}: their words cannot agree"
        )
    elif all(scripts) and scripts[0] != scripts[1]:
        notices.append(f"the reference is in {scripts[0]} letters, the hypothesis in {scripts[1]}: another language?")
    elif errors is not None and hypothesis.session.utterances and _is_suspicious(errors):
        notices.append(
            f"{errors.rate:.0%} of the words are wrong: "
            "is this the hypothesis for another recording, or in another language?"
        )
    not_english = hypothesis.session.language not in (None, "", "en")
    if protocol.normalizer == "english" and (not_english or any(script not in (None, "Latin") for script in scripts)):
        notices.append("the normaliser is made for English: --normalizer basic suits other languages")
    return notices


def _is_suspicious(errors: WordErrors) -> bool:
    return errors.length >= SUSPICIOUS_WORDS and (errors.rate or 0.0) > SUSPICIOUS


def _script(utterances: Sequence[NormalizedUtterance]) -> str | None:
    """The script of most letters, by the first word of their Unicode names; None without letters."""
    letters = (
        letter for utterance in utterances for token in utterance.tokens for letter in token.text if letter.isalpha()
    )
    counts: dict[str, int] = {}
    for letter in letters:
        script = unicodedata.name(letter, "UNKNOWN").split()[0].capitalize()
        counts[script] = counts.get(script, 0) + 1
    return max(sorted(counts), key=lambda script: counts[script]) if counts else None
