"""Benchmark of `meetsplit extract`: what a track found by a clip keeps of the wanted voice, and what else is in it.

    python -m meetsplit.benchmarks.extract SETS… --clips FOLDER [--separator dictionary] [--work DIR] [--write]

A set is a folder of meetings that `meetsplit.training.simulate` filled, with their ``.stems``; ``--clips`` holds a
folder of utterances for each person. Of every person there is a clip of about `CLIP` seconds, made of the utterances
that are least like anything they say in the meeting; people who are not in it are asked for, too. Results of stages are
kept in ``--work``.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import fftconvolve, resample_poly

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.benchmarks.voices import whose
from meetsplit.pipeline.audio.clip_cache import clip_digest
from meetsplit.pipeline.audio.reading import read, write_wav
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.data import Audio, Speaker, Turn
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.protocols import Embedder
from meetsplit.pipeline.results.extracting import WantedVoice, extract_voice
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.speakers.voiceprints import VoiceEncoder
from meetsplit.training.speech import utterances_by_speaker

RATE = 16000

CLIP = 10.0
"""Seconds of a clip, at least."""

_DECIMATION = 8
"""By how much the rate is lowered to compare what was said: a correlation needs no more."""

BLOCK = 8000
"""Samples over which a track is explained by the voice and the rest."""

TAPS = 64
"""Length of the filters through which the voice and the rest may have come into a track, 4 ms."""

Signal = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kept:
    """Energies of one extraction: the voice that is ``spoken`` in the meeting, what is ``kept`` of it, the ``track``,
    what in it is ``other`` than the voice: other people, noise, and what separation does to it; and what of the track
    comes ``from_others`` (the interference of BSS Eval; Vincent, Gribonval and Févotte, 2006).
    """

    spoken: float
    kept: float
    track: float
    other: float
    from_others: float

    def __add__(self, added: Kept) -> Kept:
        return Kept(
            self.spoken + added.spoken,
            self.kept + added.kept,
            self.track + added.track,
            self.other + added.other,
            self.from_others + added.from_others,
        )

    @property
    def percents(self) -> tuple[float, float, float]:
        """What is kept of the voice, and what of the track is not theirs and from others, in percent."""
        track = max(self.track, 1e-12)
        return 100 * self.kept / max(self.spoken, 1e-12), 100 * self.other / track, 100 * self.from_others / track


@dataclass(frozen=True, slots=True)
class Asked:
    """One extraction: whether the person is ``there``, whether somebody was ``found`` and is the ``right`` one."""

    there: bool
    found: bool
    right: bool
    kept: Kept


NOTHING = Kept(0.0, 0.0, 0.0, 0.0, 0.0)


def measure(track: Signal, voice: Signal, rest: Signal) -> Kept:
    """What is in the track: per block, the share of the voice by least squares beside the rest, 0 to 1."""
    total = NOTHING
    count = min(len(track), len(voice), len(rest))
    filtered = [_delays(voice), _delays(rest)]
    for first in range(0, count, BLOCK):
        here, own, others = (signal[first : min(first + BLOCK, count)] for signal in (track, voice, rest))
        (share, _), *_ = np.linalg.lstsq(np.stack([own, others], axis=1), here, rcond=None)
        share = float(np.clip(share, 0.0, 1.0))
        spoken = float(own @ own)
        other = float(np.square(here - share * own).sum())
        by_voice, by_rest = (delays[first : min(first + BLOCK, count)] for delays in filtered)
        from_others = _explained(here, np.hstack([by_voice, by_rest])) - _explained(here, by_voice)
        total += Kept(spoken, share * spoken, float(here @ here), other, from_others)
    return total


def _delays(signal: Signal) -> Signal:
    """A view ``(samples, TAPS)`` of a signal with every delay of a filter around each sample."""
    return sliding_window_view(np.pad(signal, (TAPS // 2, TAPS - 1 - TAPS // 2)), TAPS)


def _explained(signal: Signal, columns: Signal) -> float:
    """The energy of a signal's projection on columns."""
    inner = columns.T @ columns
    # Where somebody is silent, columns are zeros or nearly so.
    inner[np.diag_indices_from(inner)] += 1e-6 * max(float(np.trace(inner)) / len(inner), 1e-12)
    products = columns.T @ signal
    return float(products @ np.linalg.solve(inner, products))


def unheard(utterances: Sequence[Audio], stem: Signal | None) -> Audio:
    """The utterances that are least like anything in the stem (its largest correlation with a second of each)."""

    said = None if stem is None else resample_poly(stem, 1, _DECIMATION)

    def likeness(utterance: Audio) -> float:
        if said is None:
            return 0.0
        middle = len(utterance.samples) // 2
        piece = resample_poly(utterance.samples[middle - RATE // 2 : middle + RATE // 2], 1, _DECIMATION)
        energies = np.cumsum(np.concatenate([[0.0], np.square(said)]))
        energy = np.maximum(energies[len(piece) :] - energies[: -len(piece)], 1e-6) * float(piece @ piece)
        correlation: Signal = np.abs(fftconvolve(said, piece[::-1], "valid")) / np.sqrt(energy)
        return float(correlation.max())

    chosen: list[Audio] = []
    for utterance in sorted(utterances, key=likeness):
        if sum(one.duration for one in chosen) < CLIP:
            chosen.append(utterance)
    return Audio(np.concatenate([one.samples for one in chosen]), RATE)


class RememberingEmbedder:
    """An embedder that embeds no clip twice: everybody in a meeting is asked for."""

    def __init__(self, embedder: Embedder) -> None:
        self.rate = embedder.rate
        self._embedder = embedder
        self._rows: dict[bytes, npt.NDArray[np.float32]] = {}

    def embed(self, clips: Sequence[Audio]) -> npt.NDArray[np.float32]:
        """A row per clip."""
        keys = [clip_digest([clip]) for clip in clips]
        new = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in self._rows}
        if new:
            self._rows |= zip(new, self._embedder.embed(list(new.values())), strict=True)
        return np.stack([self._rows[key] for key in keys])


class ExtractingPipeline(Pipeline):
    """A pipeline without words whose encoder remembers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, on_event=ignore_events, transcribes=False)

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder, the same for all pipelines."""
        return _remembering_encoder(backend)


@functools.cache
def _remembering_encoder(backend: str) -> VoiceEncoder:
    encoder = VoiceEncoder.load(Settings(device="cpu", offline=True), backend)
    return VoiceEncoder(encoder.name, RememberingEmbedder(encoder.embedder))


class Meeting:
    """A simulated meeting with its true voices and turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truth = tuple(Turn(turn.span, turn.speaker) for turn in read_rttm(path.with_suffix(".rttm")))
        self.people = {turn.speaker for turn in self.truth}
        stems = sorted(path.with_suffix(".stems").glob("*.wav"))
        self.stems: dict[str, Signal] = {stem.stem: read(stem, RATE).samples.astype(np.float64) for stem in stems}

    def ask(self, pipeline: Pipeline, stages: StageCache, person: Speaker, clip: Path, scratch: Path) -> Asked:
        """Extract a person by the clip."""
        run = pipeline.open(self.path, stages)
        target = scratch / "track.wav"
        wanted = WantedVoice((clip,))
        done = extract_voice(run, wanted, target, Outputs(track_rate=RATE), ignore_events, without=False)
        there, found = person in self.people, bool(done.search.speakers)
        turns = run.diarize().turns
        right = found and whose(done.search.speakers[0], turns, self.truth) == person
        kept = NOTHING
        if there:
            track = read(target, RATE).samples.astype(np.float64)
            voice = self.stems[person]
            kept = measure(track, voice, np.sum([*self.stems.values()], axis=0) - voice)
        print(
            f"{self.path.stem} {person} {done.search} {_percents(kept)} {done.knew_clip}", file=sys.stderr, flush=True
        )
        return Asked(there, found, right, kept)


def ask_all(
    folder: Path, clips: Mapping[str, Sequence[Audio]], settings: Settings, work: Path, *, by_truth: bool
) -> Iterator[Asked]:
    """Everybody with clips, in every meeting of the folder."""
    pipeline = None if by_truth else ExtractingPipeline(settings)
    for path in sorted(folder.glob("*.wav")):
        meeting = Meeting(path)
        if pipeline is None or by_truth:
            given = replace(settings, diarizer="rttm", rttm=path.with_suffix(".rttm"))
            pipeline = ExtractingPipeline(given)
        with tempfile.TemporaryDirectory() as scratch:
            for person, utterances in clips.items():
                clip = Path(scratch) / f"{person}.wav"
                write_wav(clip, unheard(utterances, meeting.stems.get(person)))
                stages = StageCache(work / folder.name / path.stem)
                yield meeting.ask(pipeline, stages, person, clip, Path(scratch))


def table(rows: Mapping[str, Sequence[Asked]]) -> Iterator[str]:
    """A line for each set of meetings and kind of turns; means and medians are over the people who were found."""
    yield (
        "| meetings, turns | people | found | wrong | kept % (median) | not theirs % (median) | from others % (median) "
        "| absent | found |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, asked in rows.items():
        there, absent = [one for one in asked if one.there], [one for one in asked if not one.there]
        found = [one.kept.percents for one in there if one.right]
        shares = " | ".join(f"{np.mean(part):.1f} ({np.median(part):.1f})" for part in zip(*found, strict=True))
        wrong = sum(one.found and not one.right for one in there)
        yield (
            f"| {name} | {len(there)} | {len(found)} | {wrong} | {shares} | {len(absent)} | "
            f"{sum(one.found for one in absent)} |"
        )


def _percents(kept: Kept) -> str:
    return "kept {:.1f} %, not theirs {:.1f} %, from others {:.1f} %".format(*kept.percents)


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("sets", nargs="+", type=Path, help="folders of simulated meetings")
    parser.add_argument("--clips", type=Path, required=True, help="folder of utterances, a folder per person")
    parser.add_argument("--separator", default="dictionary")
    parser.add_argument("--work", type=Path, help="folder in which the results of stages are kept")
    args = parser.parse_args()
    clips = {who: [one.read(RATE).audio for one in said] for who, said in utterances_by_speaker(args.clips).items()}
    settings = Settings(diarizer="embedded", separator=args.separator, offline=True, device="cpu")
    rows: dict[str, list[Asked]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for folder in args.sets:
            for by_truth, turns in ((True, "true"), (False, "`embedded`")):
                asked = ask_all(folder, clips, settings, args.work or Path(scratch), by_truth=by_truth)
                rows[f"{folder.name}, {turns}"] = list(asked)
    publish("extract", "\n".join(table(rows)), command_line("extract"), into_page=args.write)


if __name__ == "__main__":
    main()
