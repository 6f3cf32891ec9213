"""What do the gates behind the separator stop? Voices that are there, voices that are not, on meetings whose stems are known.

    python -m meetsplit.benchmarks.gates SETS… [--false 2] [--seeds 1] [--write]

The true turns of each meeting get ``--false`` invented ones a minute: somebody else is said to speak during a moment in which one person
speaks alone, as a diarizer says when it errs. Whatever comes out of the separator for such a turn is a ghost. The `dictionary`
takes voices apart, GE2E verifies them.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.benchmarks.cached_backends import Apart
from meetsplit.benchmarks.meetings import Meeting, meetings
from meetsplit.benchmarks.report_page import command, options, publish
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
LENGTHS = (0.5, 0.8, 1.2, 2.0)
"""Seconds of an invented turn."""

THERE, NOT = -15.0, -40.0
"""dB of a speaker's usual level: somebody who is as loud as the first speaks, who is below the second does not."""

BINS = ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 60.0))
"""Seconds of an overlap, for the gain by length."""


@dataclass(frozen=True, slots=True)
class Played:
    """What one stream plays in one patch: ``there`` is whether its speaker speaks; ``gain`` (dB over the recording) where so."""

    patch: OverlapResult
    there: bool
    gain: float | None
    left: float
    """Energy of what is played, in dB of the recording's."""


def invented(turns: Sequence[Turn], count: int, seed: int) -> tuple[Turn, ...]:
    """``count`` turns of people who do not speak, inside others' speech, away from its edges."""
    draw = random.Random(seed)
    people = sorted({turn.speaker for turn in turns})
    alone = [(span, who[0]) for span, who in timeline.activity(turns) if len(who) == 1 and span.duration > 1.2]
    found: list[Turn] = []
    for span, who in draw.sample(alone, min(count, len(alone))):
        length = min(draw.choice(LENGTHS), span.duration - 0.6)
        start = draw.uniform(span.start + 0.3, span.end - 0.3 - length)
        found.append(Turn(Span(start, start + length), draw.choice([other for other in people if other != who])))
    return tuple(sorted(found))


def settings(embedder: Embedder) -> dict[str, VerificationOptions]:
    """What is compared."""
    verifier = EmbeddingVerifier(lambda: embedder)
    return {
        "no checks": VerificationOptions(threshold=None),
        "verification": VerificationOptions(verifier=verifier),
        "leakage check": VerificationOptions(threshold=None, leakage=True),
        "both": VerificationOptions(verifier=verifier, leakage=True),
        "both, auto": VerificationOptions(verifier=verifier, leakage=True, min_seconds=MIN_VERIFY_SECONDS_MARGINAL),
    }


def played(
    meeting: Meeting, gates: Mapping[str, VerificationOptions], false: float, work: Path
) -> Iterator[tuple[str, Played]]:
    """Everything that streams play in patches, under each setting."""
    recording = read(meeting.path, RATE)
    stems = {path.stem: read(path, RATE) for path in meeting.path.with_suffix(".stems").glob("*.wav")}
    diarizer = RttmDiarizer.load(Settings(rttm=meeting.path.with_suffix(".rttm")), {}, "cpu").for_recording(
        meeting.path.stem
    )
    turns = tuple(diarizer.diarize(recording, ignore_events))
    people = dict(diarizer.names) if isinstance(diarizer, RttmDiarizer) else {}
    spoken = timeline.by_speaker(turns)
    usual = {
        speaker: _power([stems[people[speaker]].crop(span) for span in spans]) for speaker, spans in spoken.items()
    }
    given = sorted((*turns, *invented(turns, round(false * recording.duration / 60), seed=len(turns))))
    separator = Apart(DictionarySeparator(), work)
    for name, gate in gates.items():
        for stream in speaker_streams(recording, given, separator, verification=gate):
            truth = stems[people[stream.speaker]]
            for patch in stream.patches:
                if patch.span.duration < SHORTEST:
                    continue
                own = decibel(_power([truth.crop(patch.span)]), usual[stream.speaker], -100.0, 100.0)
                if own >= THERE or own <= NOT:
                    yield name, _played(patch, own >= THERE, stream.audio, truth, recording)


def _played(patch: OverlapResult, there: bool, stream: Audio, truth: Audio, recording: Audio) -> Played:
    heard, true, mixed = (audio.crop(patch.span).samples for audio in (stream, truth, recording))
    gain = si_sdr(heard, true) - si_sdr(mixed, true) if there else None
    return Played(
        patch, there, gain, decibel(float(np.sum(np.square(heard))), float(np.sum(np.square(mixed))), -100.0, 100.0)
    )


def _power(clips: Sequence[Audio]) -> float:
    return float(np.mean(np.square(np.concatenate([clip.samples for clip in clips]), dtype=np.float64)))


def tables(found: Mapping[str, Mapping[str, Sequence[Played]]]) -> Iterator[str]:
    """One row per set and setting; then the gain without checks by the overlap's length."""
    counted = "voices | refused | silenced | SI-SDR gain, dB | ghosts | refused | silenced | left of ghosts, dB"
    yield f"| meetings | behind the separator | {counted} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind, settings_ in found.items():
        for name, rows in settings_.items():
            there, ghosts = [row for row in rows if row.there], [row for row in rows if not row.there]
            gain = np.mean([row.gain for row in there if row.gain is not None]) if there else np.nan
            left = 10 * np.log10(np.mean([10 ** (row.left / 10) for row in ghosts])) if ghosts else np.nan
            there_, ghosts_ = (
                " | ".join(str(sum(row.patch.source == source for row in group)) for source in ("mixture", "silent"))
                for group in (there, ghosts)
            )
            yield f"| {kind} | {name} | {len(there)} | {there_} | {gain:.1f} | {len(ghosts)} | {ghosts_} | {left:.1f} |"
    yield ""
    yield "| meetings | overlap, s | voices | SI-SDR gain without checks, dB |"
    yield "|---|---|---|---|"
    for kind, settings_ in found.items():
        plain = [row for row in settings_["no checks"] if row.there and row.patch.source == "separated"]
        for least, most in BINS:
            gains = [row.gain for row in plain if row.gain is not None and least <= row.patch.span.duration < most]
            if gains:
                yield f"| {kind} | {least:g} to {most:g} | {len(gains)} | {np.mean(gains):.1f} |"


def main() -> None:
    """Measure, print, and put into the page if asked."""
    asked = options(__doc__)
    asked.add_argument("sets", nargs="+", type=Path, help="folders of simulated meetings, or meetings")
    asked.add_argument("--false", type=float, default=2.0, help="invented turns a minute")
    asked.add_argument("--seeds", type=int, default=1, help="meetings of each kind")
    chosen = asked.parse_args()
    plan = preflight(
        Settings(
            diarizer="embedded", separator="dictionary", transcriber="sphinx", offline=True, overlap_checks="verify"
        )
    )
    choice = plan.of("embedder")
    if choice is None:
        raise SystemExit("there is no voice encoder on this machine: meetsplit models fetch embedded")
    gates = settings(registry.load("embedder", choice.backend, Settings(), choice.weights, "cpu"))
    found: dict[str, dict[str, list[Played]]] = {}
    with tempfile.TemporaryDirectory() as work:
        for meeting in meetings(chosen.sets, chosen.seeds):
            for name, row in played(meeting, gates, chosen.false, Path(work)):
                found.setdefault(meeting.path.parent.name, {one: [] for one in gates})[name].append(row)
    publish("gates", "\n".join(tables(found)), command("gates"), into_page=chosen.write)


if __name__ == "__main__":
    main()
