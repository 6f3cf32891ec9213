"""Benchmark of redaction: what is left of a muted voice, measured with the true voices of simulated meetings.

    meetsplit run meeting.wav --rttm meeting.rttm -o results …
    python -m meetsplit.benchmarks.redaction MEETING.wav=RESULTS.json… [--write]

A meeting is a recording that `meetsplit.training.simulate` made, with its ``.stems`` beside it, and the results are a
finished run of it with tracks. Everybody is redacted once. What is left of the voice in overlaps is its part in the
copy of the recording, by least squares beside the others' true voices, relative to the voice itself; the others'
SI-SDR there is against their true sum.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.data import Span, Speaker, Transcript, timeline
from meetsplit.pipeline.formats import read_transcript_file
from meetsplit.pipeline.results.redacting import redact_results
from meetsplit.pipeline.settings import Outputs

RATE = 16000
SHORTEST = 0.1
"""Seconds below which an overlap is too short to be measured."""

Signal = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Energies of a redacted voice: alone, in overlaps, and ``left`` of it there; the others' ratios by seconds."""

    alone: float
    left: float
    spoken: float
    seconds: float
    si_sdr: float
    si_sdr_before: float


def measure(recording: Path, results: Path) -> Iterator[tuple[Leftover, Leftover]]:
    """What is left of each person of a meeting in the redacted copy, and in the sum of the others' tracks as it is."""
    transcript = read_transcript_file(results)
    stems = recording.with_suffix(".stems")
    voices = {who: _signal(stems / f"{name}.wav") for who, name in transcript.names}
    tracks = {who: _signal(results.with_suffix("") / f"{name}.wav") for who, name in transcript.names}
    mixture = _signal(recording)
    for who in voices:
        with tempfile.TemporaryDirectory() as folder:
            outputs = Outputs(folder=Path(folder), formats=("json",))
            copy = _signal(redact_results(results, [who], outputs, audio=recording).recording)
        others = np.sum([track for other, track in tracks.items() if other != who], axis=0)
        yield tuple(_leftover(sound, mixture, voices, transcript, who) for sound in (copy, others))  # type: ignore[misc]


def _signal(path: Path) -> Signal:
    return np.asarray(read(path, RATE).samples, np.float64)


def _leftover(
    sound: Signal, mixture: Signal, voices: dict[Speaker, Signal], transcript: Transcript, who: Speaker
) -> Leftover:
    speech = timeline.by_speaker(transcript.turns)
    others = timeline.support(span for other, spans in speech.items() if other != who for span in spans)
    alone = sum(float(np.square(_part(sound, span)).sum()) for span in timeline.subtract(speech[who], others))
    left = spoken = seconds = ratio = before = 0.0
    for span in (part for own in speech[who] for part in timeline.crop(others, own)):
        if span.duration < SHORTEST:
            continue
        voice = _part(voices[who], span)
        rest = np.sum([_part(signal, span) for other, signal in voices.items() if other != who], axis=0)
        here = _part(sound, span)
        (share, _), *_ = np.linalg.lstsq(np.stack([voice, rest], axis=1), here, rcond=None)
        left += float(np.square(share * voice).sum())
        spoken += float(np.square(voice).sum())
        seconds += span.duration
        ratio += span.duration * _si_sdr(here, rest)
        before += span.duration * _si_sdr(_part(mixture, span), rest)
    return Leftover(alone, left, spoken, seconds, ratio, before)


def _part(signal: Signal, span: Span) -> Signal:
    return signal[round(span.start * RATE) : round(span.end * RATE)]


def _si_sdr(estimate: Signal, target: Signal) -> float:
    """SI-SDR in dB, held within -30 and 60 as elsewhere."""
    wanted = (estimate @ target) / max(float(target @ target), 1e-12) * target
    noise = float(np.square(estimate - wanted).sum())
    return float(np.clip(10 * np.log10(max(float(wanted @ wanted), 1e-12) / max(noise, 1e-12)), -30.0, 60.0))


def table(pairs: Sequence[tuple[Path, Path]]) -> Iterator[str]:
    """A line per meeting and kind of sound, pooled over the people who were redacted."""
    yield "| meeting | sound | alone | left in overlaps, dB | overlaps, s | SI-SDR of the others, dB (mixture) |"
    yield "|---|---|---|---|---|---|"
    for recording, results in pairs:
        print(f"{recording.stem} …", file=sys.stderr, flush=True)
        measured = list(measure(recording, results))
        for number, name in enumerate(("redacted", "others' tracks, as they are")):
            rows = [pair[number] for pair in measured]
            seconds = sum(row.seconds for row in rows)
            left = 10 * np.log10(sum(row.left for row in rows) / sum(row.spoken for row in rows))
            after, before = (
                sum(values) / seconds for values in zip(*((r.si_sdr, r.si_sdr_before) for r in rows), strict=True)
            )
            alone = sum(row.alone for row in rows)
            yield (
                f"| {recording.parent.name}/{recording.stem} | {name} | {alone:.3g} | {left:.1f} | {seconds:.0f} | "
                f"{after:.1f} ({before:.1f}) |"
            )


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("pairs", nargs="+", metavar="MEETING.wav=RESULTS.json")
    args = parser.parse_args()
    pairs = [(Path(meeting), Path(results)) for meeting, _, results in (pair.partition("=") for pair in args.pairs)]
    publish("redaction", "\n".join(table(pairs)), command_line("redaction"), into_page=args.write)


if __name__ == "__main__":
    main()
