"""How well are speakers found? Diarization error, speaker count and speed of one diarizer on recordings with an RTTM.

    python -m meetsplit.benchmarks.diarization --data FOLDER [--only trn] [--call] [--diarizer embedded] [--tune]

``FOLDER`` holds sound files with an ``.rttm`` of the same name beside each. ``--call`` adds the telephone call that comes with
pyannote.audio. ``--tune`` runs the embedded diarizer with a grid of thresholds instead: only on recordings to tune on.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from meetsplit.benchmarks.report_page import command, options, publish
from meetsplit.pipeline.audio import reading as sound
from meetsplit.pipeline.data import Audio, Turn
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.settings import Settings

PROTOCOL = "pyannote.metrics, collar 0, overlap scored, the whole recording; pooled over seconds, never averaged over recordings"
_SOUND = (".flac", ".wav", ".m4a", ".mp3", ".ogg")


@dataclass(frozen=True, slots=True)
class Score:
    """Seconds of each error, of speech, of sound and of work, and how many speakers too many (or too few)."""

    name: str
    missed: float
    false: float
    confused: float
    speech: float
    sound: float
    work: float
    true_speakers: int
    found_speakers: int

    @property
    def row(self) -> str:
        """A line of the table."""
        rate = 100.0 * (self.missed + self.false + self.confused) / self.speech
        parts = " | ".join(f"{100.0 * part / self.speech:.1f}" for part in (self.missed, self.false, self.confused))
        return f"| {self.name} | {rate:.1f} | {parts} | {self.found_speakers} / {self.true_speakers} | {self.work / self.sound:.3f} |"


def pooled(scores: Sequence[Score], name: str) -> Score:
    """All recordings as one: seconds add up, and so do the speakers."""
    return Score(
        name,
        missed=sum(score.missed for score in scores),
        false=sum(score.false for score in scores),
        confused=sum(score.confused for score in scores),
        speech=sum(score.speech for score in scores),
        sound=sum(score.sound for score in scores),
        work=sum(score.work for score in scores),
        true_speakers=sum(score.true_speakers for score in scores),
        found_speakers=sum(score.found_speakers for score in scores),
    )


def recordings(folder: Path | None, only: str, *, call: bool) -> Iterator[tuple[str, Audio, tuple[Turn, ...]]]:
    """Name, sound and true turns of each recording, at 16 kHz."""
    paths = (
        sorted(
            path for path in folder.rglob(f"{only}*") if path.suffix in _SOUND and path.with_suffix(".rttm").is_file()
        )
        if folder
        else []
    )
    if call:
        package = importlib.util.find_spec("pyannote.audio")
        if package is None or package.origin is None:
            raise SystemExit("--call needs pyannote.audio")
        paths.append(Path(package.origin).parent / "sample" / "sample.wav")
    for path in paths:
        yield path.stem, sound.read(path, 16000), read_rttm(path.with_suffix(".rttm"), path.stem)


def measure(name: str, audio: Audio, truth: Sequence[Turn], diarize: Callable[[Audio], Sequence[Turn]]) -> Score:
    """Diarize once, with a stopwatch, and compare."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    began = time.monotonic()
    found = diarize(audio)
    work = time.monotonic() - began
    parts = DiarizationErrorRate(collar=0.0, skip_overlap=False)(
        _annotation(truth), _annotation(found), detailed=True, uem=_whole(audio)
    )
    errors = (parts["missed detection"], parts["false alarm"], parts["confusion"], parts["total"])
    return Score(name, *errors, audio.duration, work, len({t.speaker for t in truth}), len({t.speaker for t in found}))


def _annotation(turns: Sequence[Turn]) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for number, turn in enumerate(turns):
        annotation[Segment(turn.span.start, turn.span.end), number] = turn.speaker
    return annotation


def _whole(audio: Audio) -> Any:
    from pyannote.core import Segment, Timeline

    return Timeline([Segment(audio.span.start, audio.span.end)])


def loaded(settings: Settings) -> Any:
    """The diarizer of these settings, its weights fetched if need be."""
    on = device.choose(settings.device)
    cache = settings.cache_dir or weights.default_cache()
    found = {
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
    return registry.load("diarizer", settings.diarizer, settings, found, on)


def table(scores: Sequence[Score]) -> str:
    """Every recording, then all of them pooled, as markdown with its protocol."""
    head = "| recording | DER % | missed | false alarm | confused | speakers found / true | real-time factor |\n|---|---|---|---|---|---|---|"
    wrong = sum(abs(score.found_speakers - score.true_speakers) for score in scores)
    foot = f"Protocol: {PROTOCOL}. Sum of |speakers found - true| over the recordings: {wrong}."
    return "\n".join([head, *(score.row for score in scores), pooled(scores, f"pooled ({len(scores)})").row, "", foot])


def tune(settings: Settings, cases: Sequence[tuple[str, Audio, tuple[Turn, ...]]]) -> Iterator[str]:
    """One line per setting of the embedded diarizer: the similarity of one person, and speech enough to take part."""
    from meetsplit.pipeline.diarizers.embedded import Hyperparameters

    diarizer = loaded(settings)
    for threshold in (0.55, 0.6, 0.63, 0.66, 0.69, 0.72, 0.75):
        for enough in (0.5, 0.8, 1.2):
            tried = diarizer.with_hyperparameters(Hyperparameters(threshold=threshold, min_alone_seconds=enough))
            scores = [
                measure(name, audio, truth, partial(tried.diarize, on_event=ignore_events))
                for name, audio, truth in cases
            ]
            wrong = sum(abs(score.found_speakers - score.true_speakers) for score in scores)
            yield f"{pooled(scores, f'threshold {threshold}, enough {enough} s').row} {wrong} |"


def main() -> None:
    """Read the command line, measure, print."""
    parser = options(__doc__)
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
    diarizer = loaded(settings)
    scores = [
        measure(name, audio, truth, lambda heard: diarizer.diarize(heard, ignore_events))
        for name, audio, truth in cases
    ]
    publish("diarization", table(scores), command("diarization"), into_page=args.write)


if __name__ == "__main__":
    main()
