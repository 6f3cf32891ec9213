"""Benchmark of diarizers: error rate, speaker count and speed of one diarizer on recordings with an RTTM.

    python -m meetsplit.benchmarks.diarization --data FOLDER [--only trn] [--call] [--diarizer embedded] [--tune]

``FOLDER`` holds sound files with an ``.rttm`` of the same name beside each. ``--call`` adds the telephone call that
comes with pyannote.audio. ``--tune`` runs the embedded diarizer with a grid of thresholds instead: only on recordings
to tune on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio import reading as sound
from meetsplit.pipeline.audio.media_types import AUDIO_SUFFIXES
from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.data.timeline import merge_turns
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.settings import Settings
from meetsplit.scoring.diarization import TurnErrors, turn_errors
from meetsplit.training.segmentation_data import sample_call_folder

PROTOCOL = (
    "pyannote.metrics, collar 0, overlap scored, the whole recording; "
    "pooled over seconds, never averaged over recordings"
)


@dataclass(frozen=True, slots=True)
class Result:
    """The errors of one diarizer on one recording, with the seconds of audio and of work."""

    name: str
    errors: TurnErrors
    audio: float
    work: float

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


def recordings(folder: Path | None, only: str, *, call: bool) -> Iterator[tuple[str, Audio, tuple[Turn, ...]]]:
    """Name, sound and true turns of each recording, at 16 kHz."""
    paths = []
    if folder:
        candidates = sorted(folder.rglob(f"{only}*"))
        paths = [path for path in candidates if path.suffix in AUDIO_SUFFIXES and path.with_suffix(".rttm").is_file()]
    if call:
        paths.append(sample_call_folder() / "sample.wav")
    for path in paths:
        yield path.stem, sound.read(path, 16000), read_rttm(path.with_suffix(".rttm"), path.stem)


def measure(name: str, audio: Audio, truth: Sequence[Turn], diarize: Callable[[Audio], Sequence[Turn]]) -> Result:
    """Diarize once, with a stopwatch, and compare."""
    began = time.monotonic()
    turns = diarize(audio)
    work = time.monotonic() - began
    errors = turn_errors(merge_turns(truth), merge_turns(turns), uem=(audio.span,)).total
    return Result(name, errors, audio.duration, work)


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
        for role, source in registry.weight_sources("diarizer", settings.diarizer, settings).items()
    }
    return registry.load("diarizer", settings.diarizer, settings, paths, on)


def table(results: Sequence[Result]) -> str:
    """Every recording, then all of them pooled, as markdown with its protocol."""
    head = (
        "| recording | DER % | missed | false alarm | confused | speakers found / true | real-time factor |\n"
        "|---|---|---|---|---|---|---|"
    )
    total = pooled(results, f"pooled ({len(results)})")
    foot = f"Protocol: {PROTOCOL}. Sum of |speakers found - true| over the recordings: {total.errors.count_error}."
    return "\n".join([head, *(result.row for result in results), total.row, "", foot])


def tune(settings: Settings, cases: Sequence[tuple[str, Audio, tuple[Turn, ...]]]) -> Iterator[str]:
    """One line per clustering threshold and least seconds of speech of the embedded diarizer."""
    from meetsplit.pipeline.diarizers.embedded import Hyperparameters

    diarizer = load_diarizer(settings)
    for threshold in (0.55, 0.6, 0.63, 0.66, 0.69, 0.72, 0.75):
        for enough in (0.5, 0.8, 1.2):
            tried = diarizer.with_hyperparameters(Hyperparameters(threshold=threshold, min_alone_seconds=enough))
            results = [
                measure(name, audio, truth, partial(tried.diarize, on_event=ignore_events))
                for name, audio, truth in cases
            ]
            total = pooled(results, f"threshold {threshold}, enough {enough} s")
            yield f"{total.row} {total.errors.count_error} |"


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder of sound files with an RTTM beside each")
    parser.add_argument("--only", default="", help="beginning of the names to take")
    parser.add_argument("--call", action="store_true", help="add the call of pyannote.audio.sample")
    parser.add_argument("--diarizer", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--tune", action="store_true")
    args = parser.parse_args()
    settings = Settings(diarizer=args.diarizer, device=args.device, cache_dir=args.cache_dir)
    cases = list(recordings(args.data, args.only, call=args.call))
    if not cases:
        parser.error("no recording with an RTTM beside it")
    if args.tune:
        for line in tune(settings, cases):
            print(line, flush=True)
        return
    diarizer = load_diarizer(settings)
    results = [
        measure(name, audio, truth, partial(diarizer.diarize, on_event=ignore_events)) for name, audio, truth in cases
    ]
    publish("diarization", table(results), command_line("diarization"), into_page=args.write)


if __name__ == "__main__":
    main()
