"""Benchmark of diarizers: error rate, speaker count and speed of one diarizer on recordings with an RTTM.

    python -m meetsplit.benchmarks.diarization --data FOLDER… [--only trn] [--call] [--diarizer embedded] [--true-count]

Each ``FOLDER`` holds sound files with an ``.rttm`` of the same name beside each, and is a set with a pooled row of its
own. A second table says how often turns are right by the confidence that they have. ``--call`` adds the telephone call
that comes with pyannote.audio. ``--true-count`` tells the diarizer how many people there are: what is left to lose
where they are counted right.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio import reading as sound
from meetsplit.pipeline.audio.media_types import AUDIO_SUFFIXES
from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.data.timeline import by_speaker, crop, merge_turns
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.interop import to_annotation
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.training.segmentation_data import sample_call_folder

PROTOCOL = (
    "pyannote.metrics, collar 0, overlap scored, the whole recording; "
    "pooled over seconds, never averaged over recordings"
)


CONFIDENCES = (0.0, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Edges of the rows of the table of confidences; the first row is what is to be reviewed."""


@dataclass(frozen=True, slots=True)
class RatedTurn:
    """A turn's seconds, its confidence, and the share of it in which its speaker does speak."""

    seconds: float
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Result:
    """The errors of one diarizer on one recording, with the seconds of audio and of work."""

    name: str
    errors: TurnErrors
    audio: float
    work: float
    rated: tuple[RatedTurn, ...] = ()

    @property
    def row(self) -> str:
        """A line of the table."""
        errors = self.errors
        seconds = (errors.errors, errors.miss, errors.false_alarm, errors.confusion)
        rates = " | ".join(f"{100.0 * part / errors.total:.1f}" for part in seconds)
        speakers = f"{errors.speakers[1]} / {errors.speakers[0]}"
        return f"| {self.name} | {rates} | {speakers} | {self.work / self.audio:.3f} |"


def pooled(results: Sequence[Result], name: str) -> Result:
    """All recordings as one: seconds add up, and so do the speakers."""
    errors = sum((result.errors for result in results), TurnErrors())
    return Result(name, errors, sum(result.audio for result in results), sum(result.work for result in results))


def recordings(folders: Sequence[Path], only: str, *, call: bool) -> dict[str, list[Path]]:
    """The recordings with an RTTM by set: a set for each folder, and one for the call."""
    sets = {}
    for folder in folders:
        candidates = sorted(folder.rglob(f"{only}*"))
        paths = [path for path in candidates if path.suffix in AUDIO_SUFFIXES and path.with_suffix(".rttm").is_file()]
        sets[folder.name] = paths
    if call:
        sets["call"] = [sample_call_folder() / "sample.wav"]
    return {name: paths for name, paths in sets.items() if paths}


def measure(name: str, audio: Audio, truth: Sequence[Turn], diarize: Callable[[Audio], Sequence[Turn]]) -> Result:
    """Diarize once, with a stopwatch, and compare."""
    began = time.monotonic()
    turns = diarize(audio)
    work = time.monotonic() - began
    errors = turn_errors(merge_turns(truth), merge_turns(turns), uem=(audio.span,)).total
    return Result(name, errors, audio.duration, work, tuple(rated_turns(truth, turns)))


def rated_turns(truth: Sequence[Turn], turns: Sequence[Turn]) -> Iterator[RatedTurn]:
    """The turns that have a confidence, with how much of each is right: speakers are paired as for the error rate."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    pairs = DiarizationErrorRate().optimal_mapping(to_annotation(truth, "r"), to_annotation(turns, "r"))
    spoken = by_speaker(truth)
    for turn in turns:
        if turn.confidence is not None:
            own = crop(spoken.get(pairs.get(turn.speaker), ()), turn.span)
            seconds = sum(span.duration for span in own)
            yield RatedTurn(turn.duration, turn.confidence, seconds / turn.duration)


def confidence_table(rated: Sequence[RatedTurn]) -> str:
    """How right turns are, by their confidence, as markdown; empty where no turn has one."""
    if not rated:
        return ""
    lines = [
        "",
        "| confidence of a turn | turns | seconds | of it right % | turns that are mostly wrong |",
        "|---|--:|--:|--:|--:|",
    ]
    for least, below in itertools.pairwise(CONFIDENCES):
        chosen = [turn for turn in rated if least <= turn.confidence < below or turn.confidence == below == 1.0]
        seconds = sum(turn.seconds for turn in chosen)
        right = sum(turn.seconds * turn.right for turn in chosen) / max(seconds, 1e-9)
        wrong = sum(turn.right < 0.5 for turn in chosen)
        share = f"{100 * right:.1f}" if chosen else "–"
        lines.append(f"| {least:g} to {below:g} | {len(chosen)} | {seconds:.0f} | {share} | {wrong} |")
    return "\n".join(lines)


def load_diarizer(settings: Settings) -> Any:
    """The diarizer of these settings, its weights fetched where they are missing."""
    on = device.choose(settings.device)
    cache = settings.cache_dir or weights.default_cache()
    paths = {
        role: weights.fetch(
            source,
            stage="diarize",
            cache=cache,
            offline=settings.offline,
            token=settings.hf_token,
            on_event=ignore_events,
        )
        for role, source in weight_sources("diarizer", settings.diarizer, settings).items()
    }
    return registry.load("diarizer", settings.diarizer, settings, paths, on)


def table(sets: Mapping[str, Sequence[Result]]) -> str:
    """Every recording, each set pooled, then all of them pooled, as markdown with its protocol."""
    head = (
        "| recording | DER % | missed | false alarm | confused | speakers found / true | real-time factor |\n"
        "|---|---|---|---|---|---|---|"
    )
    rows = []
    for name, results in sets.items():
        rows += [result.row for result in results]
        if len(sets) > 1 and len(results) > 1:
            rows.append(pooled(results, f"**{name}** ({len(results)})").row)
    everything = [result for results in sets.values() for result in results]
    total = pooled(everything, f"pooled ({len(everything)})")
    foot = f"Protocol: {PROTOCOL}. Sum of |speakers found - true| over the recordings: {total.errors.count_error}."
    rated = confidence_table([turn for result in everything for turn in result.rated])
    return "\n".join([head, *rows, total.row, "", foot, *([rated] if rated else [])])


def measure_all(sets: Mapping[str, Sequence[Path]], settings: Settings, *, true_count: bool) -> dict[str, list[Result]]:
    """The results of each set; with ``true_count``, of a diarizer that is told how many people there are."""
    loaded: dict[int | None, Any] = {}
    results: dict[str, list[Result]] = {}
    for name, paths in sets.items():
        for path in paths:
            truth = read_rttm(path.with_suffix(".rttm"), path.stem)
            count = len({turn.speaker for turn in truth}) if true_count else None
            if count not in loaded:
                loaded[count] = load_diarizer(replace(settings, num_speakers=count))
            diarize = partial(loaded[count].diarize, on_event=ignore_events)
            results.setdefault(name, []).append(measure(path.stem, sound.read(path, 16000), truth, diarize))
            print(results[name][-1].row, flush=True)
    return results


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="folder of sound files with an RTTM beside each"
    )
    parser.add_argument("--only", default="", help="beginning of the names to take")
    parser.add_argument("--call", action="store_true", help="add the call of pyannote.audio.sample")
    parser.add_argument("--diarizer", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--true-count", action="store_true", help="tell the diarizer how many people there are")
    args = parser.parse_args()
    settings = Settings(diarizer=args.diarizer, device=args.device, cache_dir=args.cache_dir)
    sets = recordings(args.data, args.only, call=args.call)
    if not sets:
        parser.error("no recording with an RTTM beside it")
    results = measure_all(sets, settings, true_count=args.true_count)
    publish("diarization", table(results), command_line("diarization"), into_page=args.write)


if __name__ == "__main__":
    main()
