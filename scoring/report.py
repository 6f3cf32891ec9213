"""Scores as a table with its protocol for people, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from meetsplit.scoring.diarization import TurnErrors
from meetsplit.scoring.scores import SECTIONS, RecordingScores, Scores, Section, SectionScores
from meetsplit.scoring.separation import SeparationScores, VoiceQuality
from meetsplit.scoring.word_errors import WORD_METRICS

COLUMNS = (
    "recording",
    "part",
    "words",
    "cpWER",
    "tcpWER",
    "DER",
    "miss",
    "false",
    "conf.",
    "JER",
    "people",
)
SEPARATION_COLUMNS = ("recording", "voice", "SI-SDR", "gain", "in overlap", "gain", "leakage")


def as_table(scores: Scores) -> str:
    """The scores as aligned plain text: rates in %, reasons for what is missing, notices and the protocol below.

    ``miss``, ``false`` (alarms) and ``conf.`` (confusion of speakers) are the parts of DER; ``people`` are the speakers
    of hypothesis/reference; ``–`` has no answer.
    """
    rows = [*scores.recordings, scores.pooled] if len(scores.recordings) != 1 else list(scores.recordings)
    blocks = [_aligned([COLUMNS, *(_cells(row, name) for row in rows for name in SECTIONS)])]
    voices = [line for row in rows if row.separation is not None for line in _voice_cells(row.name, row.separation)]
    if voices:
        blocks.append(_aligned([SEPARATION_COLUMNS, *voices]))
    notes = [*_reasons(rows), *(f"{row.name}: {notice}" for row in rows for notice in row.notices), *scores.notices]
    if notes:
        blocks.append("\n".join(f"note: {note}" for note in dict.fromkeys(notes)))
    blocks.append("\n".join(scores.protocol.lines()))
    return "\n\n".join(blocks) + "\n"


def as_data(scores: Scores) -> dict[str, Any]:
    """The scores as plain data for JSON: rates as fractions; None without an answer, with an entry in ``reasons``."""
    protocol = scores.protocol
    return {
        "pooled": _recording_data(scores.pooled),
        "recordings": {row.name: _recording_data(row) for row in scores.recordings},
        "protocol": {
            "collar": protocol.collar,
            "skip_overlap": protocol.skip_overlap,
            "uem": protocol.uem,
            "normalizer": protocol.normalizer,
            "word_collar": protocol.word_collar,
            "versions": dict(protocol.versions),
            "rules": list(protocol.lines()),
        },
        "notices": list(scores.notices),
    }


def _reasons(rows: Sequence[RecordingScores]) -> list[str]:
    """Why numbers are missing, each reason once: the recordings that it holds for, and the metrics."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for metric, reason in row.total.reasons.items():
            metrics.setdefault((row.name, reason), []).append(metric)
    recordings: dict[tuple[str, str], list[str]] = {}
    for (name, reason), missing in metrics.items():
        recordings.setdefault((", ".join(missing), reason), []).append(name)
    return [f"{_first(names)}: {missing}: {reason}" for (missing, reason), names in recordings.items()]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _recording_data(row: RecordingScores) -> dict[str, Any]:
    data = _section_data(row.total)
    data["overlap"], data["clean"] = _section_data(row.overlap), _section_data(row.clean)
    if row.separation is not None:
        data.update(_separation_data(row.separation))
        data["overlap"].update(_quality_data(row.separation.overlap))
    data["notices"] = list(row.notices)
    return data


def _section_data(section: SectionScores) -> dict[str, Any]:
    turns = section.turns
    data: dict[str, Any] = {metric: _word_rate(section, metric) for metric in WORD_METRICS}
    data["der"] = turns.der if turns is not None else None
    data["miss"], data["false_alarm"], data["confusion"] = _shares(turns)
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
        for metric, errors in section.words.items()
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
    return {**data, "counts": counts, "reasons": dict(section.reasons)}


def _word_rate(section: SectionScores, metric: str) -> float | None:
    return section.words[metric].rate if metric in section.words else None


def _shares(turns: TurnErrors | None) -> tuple[float | None, float | None, float | None]:
    """Missed, false and confused speech over the reference's speech; None where there is none."""
    if turns is None or turns.total <= 0:
        return None, None, None
    return turns.miss / turns.total, turns.false_alarm / turns.total, turns.confusion / turns.total


def _separation_data(separation: SeparationScores) -> dict[str, Any]:
    voices = [
        {
            "speaker": voice.speaker,
            "track": voice.track,
            **_quality_data(voice.total),
            "overlaps": [
                {"start": span.start, "end": span.end, **_quality_data(quality)} for span, quality in voice.overlaps
            ],
        }
        for voice in separation.voices
    ]
    return {**_quality_data(separation.total), "leakage": separation.leakage, "voices": voices}


def _quality_data(quality: VoiceQuality | None) -> dict[str, float | None]:
    if quality is None:
        return {"si_sdr": None, "si_sdr_gain": None}
    return {"si_sdr": quality.si_sdr, "si_sdr_gain": quality.gain}


def _cells(row: RecordingScores, name: Section) -> tuple[str, ...]:
    section = row.section(name)
    turns = section.turns
    words = next((str(errors.length) for errors in section.words.values()), "–")
    rates = [_percent(_word_rate(section, metric)) for metric in WORD_METRICS]
    if turns is None:
        turn_cells = ["–"] * 6
    else:
        shares = map(_percent, _shares(turns))
        speakers = f"{turns.speakers[1]}/{turns.speakers[0]}"
        turn_cells = [_percent(turns.der), *shares, _percent(turns.jer), speakers]
    head = (row.name, "all") if name == "total" else ("", name)
    return (*head, words, *rates, *turn_cells)


def _voice_cells(name: str, separation: SeparationScores) -> list[tuple[str, ...]]:
    leakage = _decibel(separation.leakage)
    lines: list[tuple[str, ...]] = [
        (name, "all", *_decibels(separation.total), *_decibels(separation.overlap), leakage)
    ]
    if name != "pooled":
        for voice in separation.voices:
            track = f"{voice.speaker} ({voice.track or 'no track'})"
            lines.append(("", track, *_decibels(voice.total), *_decibels(voice.overlap), ""))
    return lines


def _decibels(quality: VoiceQuality | None) -> tuple[str, str]:
    return (_decibel(quality.si_sdr), _decibel(quality.gain)) if quality is not None else ("–", "–")


def _decibel(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f}"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """The table as lines of columns: the first two to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(_line(cells, widths) for cells in table)


def _line(cells: Sequence[str], widths: Iterable[int]) -> str:
    columns = enumerate(zip(cells, widths, strict=True))
    padded = (cell.ljust(width) if number < 2 else cell.rjust(width) for number, (cell, width) in columns)
    return "  ".join(padded).rstrip()
