"""Comparison of separators on one recording: what each one's overlaps are like, in numbers and to listen to.

    meeting-compare/compare.csv                          a row per separator
    meeting-compare/00-12-31.4/mixture.wav               one of the longest stretches with several voices
    meeting-compare/00-12-31.4/dictionary-SPEAKER_00.wav  what a separator made of it, for each person

Nothing here knows the truth: margins say how much voices sound like their speakers, the residual how much of the
mixture is in nobody's voice or in several.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meetsplit.pipeline import files
from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import Audio, ClipTranscript, Diarization, Dnsmos, Span, Speaker, StreamInfo, timeline
from meetsplit.pipeline.errors import OutputError
from meetsplit.pipeline.files.scratch import scratch_folder
from meetsplit.pipeline.formats.people import mean_quality
from meetsplit.speakers.track_quality import mean_margin, track_quality

CONTEXT = 0.5
"""Seconds that a stretch to listen to has before and after its overlaps."""

_JOIN = 1.0
"""Seconds between overlaps that are listened to as one stretch."""


@dataclass(frozen=True, slots=True)
class SeparationMeasures:
    """What a separator made of the overlaps of a recording.

    ``overlapped`` are the seconds of overlapped voices, of which ``separated`` are played as separated voices and
    ``review`` (a share of them) is marked for review. ``margin`` is the mean of the voices' margins, weighted by time;
    ``residual`` the energy of the mixture less the sum of the tracks, in dB relative to the mixture, in overlaps.
    ``words`` are those that are said in overlaps, with their mean ``confidence``; None where nothing was transcribed or
    is known. ``bleed`` and ``dnsmos`` are those of the separated voices (`TrackQuality`), the means over their seconds.
    """

    overlapped: float
    separated: float
    margin: float | None
    review: float
    residual: float | None
    words: int | None = None
    confidence: float | None = None
    bleed: float | None = None
    dnsmos: Dnsmos | None = None


@dataclass(frozen=True, slots=True)
class SeparatorOutcome:
    """One separator of a comparison: its measures, or why there are none.

    ``seconds`` is how long it took; None where its voices were kept from an earlier run. ``tracks`` are its speakers'
    tracks at 16 kHz.
    """

    separator: str
    measures: SeparationMeasures | None = None
    seconds: float | None = None
    problem: str | None = None
    tracks: Mapping[Speaker, Path] | None = None


def measure(
    mixture: Audio,
    diarization: Diarization,
    clips: Sequence[StreamInfo],
    tracks: Mapping[Speaker, Path],
    transcripts: Sequence[ClipTranscript] | None = None,
) -> SeparationMeasures:
    """The measures of a separator's ``clips`` and ``tracks``.

    ``mixture`` is the recording, mono and at the tracks' rate; ``transcripts`` are the words of each clip.
    """
    voices = [voice for clip in clips for voice in clip.patches]
    overlapped = sum(voice.span.duration for voice in voices)
    spans = overlap_spans(diarization)
    inside = None
    if transcripts is not None:
        words = [word for transcript in transcripts for word in transcript.words]
        inside = [word for word in words if timeline.during(spans, word.span)]
    confidences = [word.confidence for word in inside or () if word.confidence is not None]
    return SeparationMeasures(
        overlapped=overlapped,
        separated=sum(voice.span.duration for voice in voices if voice.source == "separated"),
        margin=mean_margin(voices),
        review=sum(voice.span.duration for voice in voices if voice.review) / overlapped if overlapped else 0.0,
        residual=residual(mixture, spans, tracks),
        words=None if inside is None else len(inside),
        confidence=float(np.mean(confidences)) if confidences else None,
    )


def with_quality(
    measures: SeparationMeasures,
    clips: Sequence[StreamInfo],
    tracks: Mapping[Speaker, Path],
    marks: Mapping[Speaker, Dnsmos],
) -> SeparationMeasures:
    """The measures with the quality of the separated voices; ``marks`` are theirs by DNSMOS, where it is installed."""
    judged = [replace(one, dnsmos=marks.get(speaker)) for speaker, one in track_quality(clips, tracks).items()]
    quality = mean_quality(judged)
    return replace(measures, bleed=quality.bleed, dnsmos=quality.dnsmos)


def overlap_spans(diarization: Diarization) -> tuple[Span, ...]:
    """Where several people speak at once, in order."""
    return timeline.support(overlap.span for overlap in timeline.overlaps(diarization.turns))


def residual(mixture: Audio, spans: Sequence[Span], tracks: Mapping[Speaker, Path]) -> float | None:
    """The energy of the mixture less the sum of all tracks, in dB relative to the mixture's; None for silence.

    0 dB is what is left of two tracks that both are the mixture.
    """
    left = whole = 0.0
    for span in spans:
        part = mixture.crop(span).samples.astype(np.float64)
        rest = part.copy()
        for track in tracks.values():
            samples = read_span(track, span).samples
            rest[: len(samples)] -= samples[: len(rest)]
        left += float(rest @ rest)
        whole += float(part @ part)
    return float(10.0 * np.log10(max(left, 1e-10 * whole) / whole)) if whole > 0.0 else None


def stretches(diarization: Diarization, count: int) -> tuple[Span, ...]:
    """The ``count`` longest stretches with several voices, in order, with `CONTEXT` on both sides."""
    joined = timeline.support(overlap_spans(diarization), _JOIN)
    longest = sorted(joined, key=lambda span: (-span.duration, span.start))[:count]
    return tuple(
        Span(max(span.start - CONTEXT, 0.0), min(span.end + CONTEXT, diarization.duration)) for span in sorted(longest)
    )


def write_comparison(
    folder: Path, name: str, rows: Sequence[SeparatorOutcome], mixture: Audio, diarization: Diarization, *, count: int
) -> Path:
    """Write the table and the ``count`` longest stretches to ``folder / name``, or to ``name-2`` … where it is taken.

    Everything at once or nothing; returns the folder. Raises `OutputError`.
    """
    try:
        files.make_folder(folder)
        with scratch_folder(folder, ".meetsplit-compare-") as scratch:
            made = scratch / "comparison"
            made.mkdir(mode=0o777)
            files.write(made / "compare.csv", table_csv(rows))
            for span in stretches(diarization, count):
                _write_stretch(made / _folder_name(span), span, rows, mixture, diarization)
            for target in files.numbered(folder / name):
                if not os.path.lexists(target):
                    made.rename(target)
                    return target
    except OSError as error:
        raise OutputError(f"{folder / name}: cannot be written: {files.advice(error)}") from error
    raise OutputError(f"{folder / name}: cannot be written: no name is free")


def _write_stretch(
    folder: Path, span: Span, rows: Sequence[SeparatorOutcome], mixture: Audio, diarization: Diarization
) -> None:
    folder.mkdir()
    write_wav(folder / "mixture.wav", mixture.crop(span))
    speakers = {turn.speaker for turn in diarization.turns if timeline.intersection(turn.span, span) is not None}
    for row in rows:
        for speaker, track in (row.tracks or {}).items():
            if speaker in speakers:
                write_wav(folder / f"{row.separator}-{speaker}.wav", read_span(track, span))


def _folder_name(span: Span) -> str:
    """When a stretch begins, as a name that sorts.

    >>> _folder_name(Span(751.43, 753.0))
    '00-12-31.4'
    """
    tenths = int(span.start * 10.0 + 1e-6)
    minutes, seconds = divmod(tenths // 10, 60)
    return f"{minutes // 60:02d}-{minutes % 60:02d}-{seconds:02d}.{tenths % 10}"


Column = tuple[str, Callable[[SeparatorOutcome], object]]


def _measured(value: Callable[[SeparationMeasures], object]) -> Callable[[SeparatorOutcome], object]:
    return lambda row: None if row.measures is None else value(row.measures)


def _marked(mark: Callable[[Dnsmos], float]) -> Callable[[SeparatorOutcome], object]:
    return _measured(lambda measures: None if measures.dnsmos is None else round(mark(measures.dnsmos), 2))


COLUMNS: tuple[Column, ...] = (
    ("separator", lambda row: row.separator),
    ("overlapped_seconds", _measured(lambda measures: round(measures.overlapped, 2))),
    ("separated_seconds", _measured(lambda measures: round(measures.separated, 2))),
    ("mean_margin", _measured(lambda measures: _rounded(measures.margin, 3))),
    ("bleed_db", _measured(lambda measures: _rounded(measures.bleed, 1))),
    ("dnsmos_sig", _marked(lambda marks: marks.sig)),
    ("dnsmos_bak", _marked(lambda marks: marks.bak)),
    ("dnsmos_ovr", _marked(lambda marks: marks.ovr)),
    ("review_share", _measured(lambda measures: round(measures.review, 3))),
    ("residual_db", _measured(lambda measures: _rounded(measures.residual, 1))),
    ("overlapped_words", _measured(lambda measures: measures.words)),
    ("mean_confidence", _measured(lambda measures: _rounded(measures.confidence, 3))),
    ("seconds", lambda row: _rounded(row.seconds, 1)),
    ("problem", lambda row: row.problem),
)
"""What the CSV file and the JSON have of each separator, by name."""


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits) + 0.0  # no -0.0


def data(rows: Sequence[SeparatorOutcome]) -> list[dict[str, object]]:
    """A dictionary per separator, for JSON; what is not known is None."""
    return [{name: value(row) for name, value in COLUMNS} for row in rows]


def table_csv(rows: Sequence[SeparatorOutcome]) -> str:
    """The table as CSV; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [name for name, _ in COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(data(rows))
    return text.getvalue()
