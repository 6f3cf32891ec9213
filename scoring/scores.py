"""How good is it? Pairs of accounts become scores: one row per recording, and one row that pools the errors."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meetsplit.pipeline.data import Span, timeline
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.events import EventListener, Progressed, ignore_events
from meetsplit.scoring.bounded import Bounded
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.scoring.normalize import Normalize, Spoken, normalizer, spoken
from meetsplit.scoring.pairing import Pair
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.separation import SoundScores, pooled_sound
from meetsplit.scoring.sessions import Session, within
from meetsplit.scoring.word_errors import WORD_METRICS, Placed, WordErrors, word_errors

SUSPICIOUS = 0.9
"""Share of wrong words above which a row asks whether the hypothesis is about this recording at all."""


@dataclass(frozen=True, slots=True)
class Part:
    """The errors in one part of a recording; what has no answer is missing from ``words`` or None, and ``reasons`` says why."""

    words: Mapping[str, WordErrors] = field(default_factory=dict)
    turns: TurnErrors | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One recording's scores, or all of them pooled: the whole, the overlapped stretches alone, and the rest.

    ``has_words`` is False where reference or hypothesis is only about turns.
    """

    name: str
    total: Part
    overlap: Part
    clean: Part
    sound: SoundScores | None = None
    notices: tuple[str, ...] = ()
    has_words: bool = True


@dataclass(frozen=True, slots=True)
class Scores:
    """Every recording's row, the pooled row and the protocol they were scored by."""

    protocol: Protocol
    rows: tuple[Row, ...]
    pooled: Row
    notices: tuple[str, ...] = ()


def score(
    pairs: Iterable[Pair],
    protocol: Protocol,
    *,
    sounds: Mapping[str, SoundScores] | None = None,
    notices: Sequence[str] = (),
    on_event: EventListener = ignore_events,
) -> Scores:
    """Score every pair by the protocol. ``sounds`` are the separated tracks' scores by recording, where there are any.

    Raises `SettingsError`, `ScoreError`, and `MissingDependency` where a scoring package is not installed.
    """
    given = tuple(pairs)
    normalize = normalizer(protocol.normalizer)
    rows: list[Row] = []
    with Bounded(protocol.limits) as bounded:
        for number, pair in enumerate(given):
            on_event(Progressed("score", number, len(given)))
            row = _row(pair, protocol, normalize, bounded)
            rows.append(replace(row, sound=(sounds or {}).get(pair.recording)))
    on_event(Progressed("score", len(given), len(given)))
    told = [*notices]
    if protocol.skip_overlap:
        told.append("overlap is skipped in the scores of turns, so these have no answer for the overlapped stretches")
    return Scores(protocol, tuple(rows), _pooled(rows), tuple(told))


def _row(pair: Pair, protocol: Protocol, normalize: Normalize, bounded: Bounded) -> Row:
    scored = pair.uem
    reference = pair.reference if scored is None else within(pair.reference, scored)
    hypothesis = pair.hypothesis if scored is None else within(pair.hypothesis, scored)
    overlapped = timeline.support(overlap.span for overlap in timeline.overlaps(reference.turns))
    found = turn_errors(
        reference.turns, hypothesis.turns, uem=scored, collar=protocol.collar, skip_overlap=protocol.skip_overlap
    )
    a, b = spoken(reference, normalize), spoken(hypothesis, normalize)
    words, missing = _words((reference, hypothesis), (a, b), protocol, overlapped, bounded)
    parts = [
        _part({metric: getattr(placed, name) for metric, placed in words.items()}, getattr(found, name), missing, name)
        for name in ("total", "overlap", "clean")
    ]
    notices = (
        *pair.notices,
        *reference.notices,
        *hypothesis.notices,
        *_doubts(reference, hypothesis, (a, b), protocol, parts[0]),
    )
    return Row(
        pair.recording, parts[0], parts[1], parts[2], None, notices, reference.has_words and hypothesis.has_words
    )


def _words(
    accounts: tuple[Session, Session],
    sides: tuple[Sequence[Spoken], Sequence[Spoken]],
    protocol: Protocol,
    overlapped: Sequence[Span],
    bounded: Bounded,
) -> tuple[Mapping[str, Placed], dict[str, str]]:
    for side, session in zip(("reference", "hypothesis"), accounts, strict=True):
        if not session.has_words:
            return {}, dict.fromkeys(WORD_METRICS, f"the {side} has turns but no words")
    with blame("score", f"scoring the words of {accounts[0].recording}"):
        return word_errors(
            *sides, timed=accounts[1].timed, collar=protocol.word_collar, overlapped=overlapped, bounded=bounded
        )


def _part(words: Mapping[str, WordErrors], turns: TurnErrors, missing: Mapping[str, str], name: str) -> Part:
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
    return Part(words, turns, reasons)


def _pooled(rows: Sequence[Row]) -> Row:
    parts = [_pooled_part(rows, name) for name in ("total", "overlap", "clean")]
    sounds = [row.sound for row in rows if row.sound is not None]
    worded = sum(row.has_words for row in rows)
    some = (
        (f"words are pooled over {worded} of {len(rows)} recordings; the others have turns only",)
        if 0 < worded < len(rows)
        else ()
    )
    return Row("pooled", parts[0], parts[1], parts[2], pooled_sound(sounds) if sounds else None, some, worded > 0)


def _pooled_part(rows: Sequence[Row], name: str) -> Part:
    parts: dict[str, Part] = {row.name: getattr(row, name) for row in rows}
    worded = [row.name for row in rows if row.has_words] or [row.name for row in rows]
    words: dict[str, WordErrors] = {}
    missing: dict[str, str] = {}
    for metric in WORD_METRICS:
        without = [recording for recording in worded if metric not in parts[recording].words]
        if without:
            why = {parts[recording].reasons.get(metric, "") for recording in without}
            everywhere = len(without) == len(rows) and len(why) == 1
            first = parts[without[0]].reasons.get(metric, "")
            missing[metric] = (
                first
                if everywhere
                else f"no answer for {len(without)} of {len(worded)} recordings: {without[0]}: {first}"
            )
        else:
            words[metric] = sum((parts[recording].words[metric] for recording in worded), WordErrors())
    turns = sum((part.turns for part in parts.values() if part.turns is not None), TurnErrors())
    return _part(words, turns, missing, name)


def _doubts(
    reference: Session,
    hypothesis: Session,
    sides: tuple[Sequence[Spoken], Sequence[Spoken]],
    protocol: Protocol,
    whole: Part,
) -> list[str]:
    doubts: list[str] = []
    scripts = [_script(side) for side in sides]
    languages = [reference.language, hypothesis.language]
    if all(languages) and languages[0] != languages[1]:
        doubts.append(
            f"the reference is in {languages[0]!r}, the hypothesis in {languages[1]!r}: their words cannot agree"
        )
    elif all(scripts) and scripts[0] != scripts[1]:
        doubts.append(f"the reference is in {scripts[0]} letters, the hypothesis in {scripts[1]}: another language?")
    elif (
        (errors := whole.words.get("cpwer")) is not None
        and hypothesis.utterances
        and errors.length >= 20
        and (errors.rate or 0.0) > SUSPICIOUS
    ):
        doubts.append(
            f"{errors.rate:.0%} of the words are wrong: is this the hypothesis for another recording, or in another language?"
        )
    other = hypothesis.language if hypothesis.language not in (None, "en") else None
    if protocol.normalizer == "english" and (other or any(script not in (None, "Latin") for script in scripts)):
        doubts.append("the normaliser is made for English: --normalizer basic suits other languages")
    return doubts


def _script(utterances: Sequence[Spoken]) -> str | None:
    """The script of most letters, by the first word of their Unicode names; None without letters."""
    counts: dict[str, int] = {}
    for letter in (
        letter for utterance in utterances for token in utterance.tokens for letter in token.text if letter.isalpha()
    ):
        script = unicodedata.name(letter, "UNKNOWN").split()[0].capitalize()
        counts[script] = counts.get(script, 0) + 1
    return max(sorted(counts), key=lambda script: counts[script]) if counts else None
