"""How do scores look? A table with its protocol for people, plain data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meetsplit.scoring.scores import Part, Row, Scores
from meetsplit.scoring.separation import Cleanness, SoundScores
from meetsplit.scoring.word_errors import WORD_METRICS

COLUMNS = (
    "recording",
    "part",
    "words",
    "cpWER",
    "tcpWER",
    "tcORC",
    "DI-cp",
    "DER",
    "miss",
    "f.alarm",
    "confus.",
    "JER",
    "speakers",
)
PARTS = ("total", "overlap", "clean")


def as_table(scores: Scores) -> str:
    """The scores as aligned plain text: rates in %, reasons for what is missing, notices and the protocol below.

    ``speakers`` are heard/true; ``–`` has no answer.
    """
    rows = [*scores.rows, scores.pooled] if len(scores.rows) != 1 else list(scores.rows)
    table = [COLUMNS, *(_cells(row, name) for row in rows for name in PARTS)]
    blocks = ["\n".join(_aligned(table))]
    sounds = [line for row in rows if row.sound is not None for line in _sound_cells(row.name, row.sound)]
    if sounds:
        blocks.append(
            "\n".join(_aligned([("recording", "voice", "SI-SDR", "gain", "in overlap", "gain", "leakage"), *sounds]))
        )
    said = [*_reasons(rows)]
    said += [f"{row.name}: {notice}" for row in rows for notice in row.notices] + list(scores.notices)
    if said:
        blocks.append("\n".join(f"note: {line}" for line in dict.fromkeys(said)))
    blocks.append("\n".join(scores.protocol.lines()))
    return "\n\n".join(blocks) + "\n"


def as_data(scores: Scores) -> dict[str, Any]:
    """The scores as plain data for JSON: rates as fractions, None with an entry in ``reasons`` where there is no answer."""
    protocol = scores.protocol
    return {
        "pooled": _row_data(scores.pooled),
        "recordings": {row.name: _row_data(row) for row in scores.rows},
        "protocol": {
            "collar": protocol.collar,
            "skip_overlap": protocol.skip_overlap,
            "uem": protocol.uem,
            "normalizer": protocol.normalizer,
            "word_collar": protocol.word_collar,
            "limits": {"seconds": protocol.limits.seconds, "gibibytes": protocol.limits.gibibytes},
            "versions": dict(protocol.versions),
            "rules": list(protocol.lines()),
        },
        "notices": list(scores.notices),
    }


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why numbers are missing, each reason once: the recordings that it holds for, and the metrics."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for metric, reason in row.total.reasons.items():
            metrics.setdefault((row.name, reason), []).append(metric)
    names: dict[tuple[str, str], list[str]] = {}
    for (name, reason), found in metrics.items():
        names.setdefault((", ".join(found), reason), []).append(name)
    some = {
        key: ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        for key, found in names.items()
    }
    return [f"{who}: {found}: {reason}" for (found, reason), who in some.items()]


def _row_data(row: Row) -> dict[str, Any]:
    data = _part_data(row.total)
    data["overlap"], data["clean"] = _part_data(row.overlap), _part_data(row.clean)
    if row.sound is not None:
        data.update(_sound_data(row.sound))
        data["overlap"].update(_cleanness_data(row.sound.overlap))
    data["notices"] = list(row.notices)
    return data


def _part_data(part: Part) -> dict[str, Any]:
    turns = part.turns
    data: dict[str, Any] = {
        metric: part.words[metric].rate if metric in part.words else None for metric in WORD_METRICS
    }
    shares = {"miss": "miss", "false_alarm": "false_alarm", "confusion": "confusion"}
    data["der"] = turns.der if turns is not None else None
    for key, name in shares.items():
        data[key] = getattr(turns, name) / turns.total if turns is not None and turns.total > 0 else None
    data["jer"] = turns.jer if turns is not None else None
    data["speaker_count_error"] = turns.count_error if turns is not None else None
    counts: dict[str, Any] = {
        metric: {
            "errors": errors.errors,
            "insertions": errors.insertions,
            "deletions": errors.deletions,
            "substitutions": errors.substitutions,
            "words": errors.length,
        }
        for metric, errors in part.words.items()
    }
    if turns is not None:
        counts["der"] = {
            "miss": turns.miss,
            "false_alarm": turns.false_alarm,
            "confusion": turns.confusion,
            "seconds": turns.total,
        }
        counts["jer"] = {"sum": turns.jaccard, "speakers": turns.jaccard_speakers}
        counts["speakers"] = {"reference": turns.speakers[0], "hypothesis": turns.speakers[1]}
    return {**data, "counts": counts, "reasons": dict(part.reasons)}


def _sound_data(sound: SoundScores) -> dict[str, Any]:
    voices = [
        {
            "speaker": voice.speaker,
            "track": voice.track,
            **_cleanness_data(voice.total),
            "overlaps": [
                {"start": span.start, "end": span.end, **_cleanness_data(cleanness)}
                for span, cleanness in voice.overlaps
            ],
        }
        for voice in sound.voices
    ]
    return {**_cleanness_data(sound.total), "leakage": sound.leakage, "voices": voices}


def _cleanness_data(found: Cleanness | None) -> dict[str, float | None]:
    if found is None:
        return {"si_sdr": None, "si_sdr_gain": None}
    return {"si_sdr": found.si_sdr, "si_sdr_gain": found.gain}


def _cells(row: Row, name: str) -> tuple[str, ...]:
    part: Part = getattr(row, name)
    turns = part.turns
    words = next((str(errors.length) for errors in part.words.values()), "–")
    rates = [_percent(part.words[metric].rate if metric in part.words else None) for metric in WORD_METRICS]
    seconds = turns.total if turns is not None else 0.0
    shares = [
        _percent(value / seconds if seconds > 0 else None)
        for value in ((turns.miss, turns.false_alarm, turns.confusion) if turns is not None else (0.0,) * 3)
    ]
    ends = (
        [_percent(turns.der), *shares, _percent(turns.jer), f"{turns.speakers[1]}/{turns.speakers[0]}"]
        if turns is not None
        else ["–"] * 6
    )
    return (row.name if name == "total" else "", "all" if name == "total" else name, words, *rates, *ends)


def _sound_cells(name: str, sound: SoundScores) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        (name, "all", *_decibels(sound.total), *_decibels(sound.overlap), _decibel(sound.leakage))
    ]
    if name != "pooled":
        lines += [
            (
                "",
                f"{v.speaker} ({v.track or 'no track'})",
                *_decibels(v.total),
                *_decibels(SoundScores((v,)).overlap),
                "",
            )
            for v in sound.voices
        ]
    return lines


def _decibels(found: Cleanness | None) -> tuple[str, str]:
    return (_decibel(found.si_sdr), _decibel(found.gain)) if found is not None else ("–", "–")


def _decibel(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if n < 2 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
