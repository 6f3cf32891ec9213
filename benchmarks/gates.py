"""Benchmark of the checks after separation: true and invented voices that they stop, on meetings with known stems.

    python -m meetsplit.benchmarks.gates SETS… [--false 2] [--seeds 1] [--write]

The true turns of each meeting get ``--false`` false ones a minute: another speaker is said to speak during a moment in
which one speaker speaks alone, as a diarizer errs. What the separator returns for such a turn is a ghost. Voices are
separated by `dictionary` and verified by GE2E.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.cached_backends import CachedSeparator
from meetsplit.benchmarks.meetings import MeetingFiles, find_meetings
from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Audio, OverlapResult, Span, Turn, timeline
from meetsplit.pipeline.diarizers.rttm import RttmDiarizer
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import registry
from meetsplit.pipeline.models.selection import preflight
from meetsplit.pipeline.overlap.streams import speaker_streams
from meetsplit.pipeline.overlap.verification import MIN_VERIFY_SECONDS_MARGINAL, VerificationOptions
from meetsplit.pipeline.protocols import Embedder
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.separation import SHORTEST, decibel, si_sdr
from meetsplit.speakers.verify import EmbeddingVerifier

RATE = 16_000
FALSE_TURN_SECONDS = (0.5, 0.8, 1.2, 2.0)
"""Lengths of a false turn."""

MIN_ALONE_SECONDS = 1.2
"""Least length of a stretch with one speaker for a false turn inside it."""

EDGE_SECONDS = 0.3
"""Distance of a false turn from the edges of that stretch."""

PRESENT = -15.0
ABSENT = -40.0
"""Level of a stem in dB of its speaker's usual level, from which on a speaker is present and up to which absent."""

NO_CHECKS = "no checks"

LENGTH_BINS = ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 60.0))
"""Seconds of an overlap, for the gain by length."""


@dataclass(frozen=True, slots=True)
class OverlapMeasurement:
    """The sound of one stream in one overlap against the speaker's stem."""

    result: OverlapResult
    present: bool
    """Whether the speaker does speak."""

    gain: float | None
    """SI-SDR gain over the recording in dB where the speaker is present."""

    level: float
    """Energy of the stream in dB of the recording's."""


def false_turns(turns: Sequence[Turn], count: int, seed: int) -> tuple[Turn, ...]:
    """``count`` turns of speakers who do not speak, inside others' speech, away from its edges."""
    draw = random.Random(seed)
    speakers = sorted({turn.speaker for turn in turns})
    alone = [
        (span, active[0])
        for span, active in timeline.activity(turns)
        if len(active) == 1 and span.duration > MIN_ALONE_SECONDS
    ]
    false: list[Turn] = []
    for span, speaker in draw.sample(alone, min(count, len(alone))):
        length = min(draw.choice(FALSE_TURN_SECONDS), span.duration - 2 * EDGE_SECONDS)
        start = draw.uniform(span.start + EDGE_SECONDS, span.end - EDGE_SECONDS - length)
        others = [other for other in speakers if other != speaker]
        false.append(Turn(Span(start, start + length), draw.choice(others)))
    return tuple(sorted(false))


def verification_options(embedder: Embedder) -> dict[str, VerificationOptions]:
    """The compared options by name."""
    verifier = EmbeddingVerifier(lambda: embedder)
    return {
        NO_CHECKS: VerificationOptions(threshold=None),
        "verification": VerificationOptions(verifier=verifier),
        "leakage check": VerificationOptions(threshold=None, leakage=True),
        "both": VerificationOptions(verifier=verifier, leakage=True),
        "both, auto": VerificationOptions(verifier=verifier, leakage=True, min_seconds=MIN_VERIFY_SECONDS_MARGINAL),
    }


def measure_overlaps(
    meeting: MeetingFiles, options: Mapping[str, VerificationOptions], false_per_minute: float, work: Path
) -> Iterator[tuple[str, OverlapMeasurement]]:
    """Measurements of all streams in all overlaps under each of the options, with their name."""
    recording = read(meeting.path, RATE)
    stems = {path.stem: read(path, RATE) for path in meeting.path.with_suffix(".stems").glob("*.wav")}
    rttm = Settings(rttm=meeting.path.with_suffix(".rttm"))
    diarizer = RttmDiarizer.load(rttm, {}, "cpu").for_recording(meeting.path.stem)
    turns = tuple(diarizer.diarize(recording, ignore_events))
    names = dict(diarizer.names) if isinstance(diarizer, RttmDiarizer) else {}
    usual_power = {
        speaker: _power([stems[names[speaker]].crop(span) for span in spans])
        for speaker, spans in timeline.by_speaker(turns).items()
    }
    false = false_turns(turns, round(false_per_minute * recording.duration / 60), seed=len(turns))
    all_turns = sorted((*turns, *false))
    separator = CachedSeparator(DictionarySeparator(), work)
    for name, verification in options.items():
        for stream in speaker_streams(recording, all_turns, separator, verification=verification):
            stem = stems[names[stream.speaker]]
            for result in stream.patches:
                if result.span.duration < SHORTEST:
                    continue
                level = decibel(_power([stem.crop(result.span)]), usual_power[stream.speaker], -100.0, 100.0)
                if level >= PRESENT or level <= ABSENT:
                    yield name, _measurement(result, level >= PRESENT, stream.audio, stem, recording)


def _measurement(
    result: OverlapResult, present: bool, stream: Audio, stem: Audio, recording: Audio
) -> OverlapMeasurement:
    estimate, target, mixture = (audio.crop(result.span).samples for audio in (stream, stem, recording))
    gain = si_sdr(estimate, target) - si_sdr(mixture, target) if present else None
    level = decibel(float(np.sum(np.square(estimate))), float(np.sum(np.square(mixture))), -100.0, 100.0)
    return OverlapMeasurement(result, present, gain, level)


def _power(clips: Sequence[Audio]) -> float:
    return float(np.mean(np.square(np.concatenate([clip.samples for clip in clips]), dtype=np.float64)))


Measurements = Mapping[str, Mapping[str, Sequence[OverlapMeasurement]]]
"""By set of meetings and name of the options."""


def tables(measurements: Measurements) -> Iterator[str]:
    """A table by set and options; then the gain without checks by the overlap's length."""
    columns = "voices | refused | silenced | SI-SDR gain, dB | ghosts | refused | silenced | left of ghosts, dB"
    yield f"| meetings | behind the separator | {columns} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind, by_name in measurements.items():
        for name, rows in by_name.items():
            yield f"| {kind} | {name} | {_cells(rows)} |"
    yield ""
    yield "| meetings | overlap, s | voices | SI-SDR gain without checks, dB |"
    yield "|---|---|---|---|"
    for kind, by_name in measurements.items():
        separated = [row for row in by_name[NO_CHECKS] if row.present and row.result.source == "separated"]
        for least, most in LENGTH_BINS:
            rows = [row for row in separated if least <= row.result.span.duration < most]
            gains = [row.gain for row in rows if row.gain is not None]
            if gains:
                yield f"| {kind} | {least:g} to {most:g} | {len(gains)} | {np.mean(gains):.1f} |"


def _cells(rows: Sequence[OverlapMeasurement]) -> str:
    voices = [row for row in rows if row.present]
    ghosts = [row for row in rows if not row.present]
    gain = np.mean([row.gain for row in voices if row.gain is not None]) if voices else np.nan
    ghost_level = 10 * np.log10(np.mean([10 ** (row.level / 10) for row in ghosts])) if ghosts else np.nan

    def refused_and_silenced(group: Sequence[OverlapMeasurement]) -> str:
        counts = (sum(row.result.source == source for row in group) for source in ("mixture", "silent"))
        return " | ".join(str(count) for count in counts)

    of_voices = f"{len(voices)} | {refused_and_silenced(voices)} | {gain:.1f}"
    of_ghosts = f"{len(ghosts)} | {refused_and_silenced(ghosts)} | {ghost_level:.1f}"
    return f"{of_voices} | {of_ghosts}"


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("sets", nargs="+", type=Path, help="folders of simulated meetings, or meetings")
    parser.add_argument("--false", type=float, default=2.0, help="invented turns a minute")
    parser.add_argument("--seeds", type=int, default=1, help="meetings of each kind")
    args = parser.parse_args()
    settings = Settings(
        diarizer="embedded", separator="dictionary", transcriber="sphinx", offline=True, overlap_checks="verify"
    )
    selected = preflight(settings).of("embedder")
    if selected is None:
        raise SystemExit("there is no voice encoder on this machine: meetsplit models fetch embedded")
    embedder = registry.load("embedder", selected.backend, Settings(), selected.weights, "cpu")
    options = verification_options(embedder)
    measurements: dict[str, dict[str, list[OverlapMeasurement]]] = {}
    with tempfile.TemporaryDirectory() as work:
        for meeting in find_meetings(args.sets, args.seeds):
            for name, measurement in measure_overlaps(meeting, options, args.false, Path(work)):
                by_name = measurements.setdefault(meeting.path.parent.name, {each: [] for each in options})
                by_name[name].append(measurement)
    publish("gates", "\n".join(tables(measurements)), command_line("gates"), into_page=args.write)


if __name__ == "__main__":
    main()
