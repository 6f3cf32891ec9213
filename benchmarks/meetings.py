"""Benchmark of the whole pipeline: words and sound of simulated meetings under several settings.

    python -m meetsplit.benchmarks.meetings SETS… --what ablation|gating|leave-one-out|quality
        [--work DIR] [--seeds 1] [--write]

A set is a folder that `meetsplit.training.simulate` filled: ``3spk-30ov-1.wav`` with .rttm, .stems and, where texts
are known, .stm. Meetings that differ in their seed alone are pooled. Results of stages are cached in ``--work``, so
that an interrupted benchmark resumes, and settings that share a stage share its result: no clip is transcribed twice,
no mixture separated twice.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from meetsplit.benchmarks.cached_backends import CachedSeparator, CachedTranscriber
from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.diarizers.rttm import read_rttm
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.files import write
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.settings import OVERLAP_CHECKS, Outputs, Settings
from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber
from meetsplit.scoring.pairing import Pair, pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.separation import SeparationScores, pool_separation
from meetsplit.scoring.separation_files import score_stems

BASE = Settings(diarizer="embedded", separator="dictionary", transcriber="sphinx", offline=True)
FOUND = "found"
TRUTH = "truth"
"""Turns of the diarizer, or of the reference."""

CHECKS = (
    ("no checks", "none"),
    ("resegmentation", "resegment"),
    ("verification", "verify"),
    ("leakage check", "leakage"),
    ("doubled words", "duplicates"),
)
"""Each overlap check alone, by its name in the table; by default all of them are on."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Compared settings, their name in the table, and whose turns they start from (`FOUND` or `TRUTH`)."""

    name: str
    turns: str
    settings: Settings


def _with_both_turns(*settings: tuple[str, Settings]) -> tuple[Configuration, ...]:
    """All settings with the reference's turns, then with the diarizer's."""
    return tuple(Configuration(name, turns, each) for turns in (TRUTH, FOUND) for name, each in settings)


CONFIGURATIONS: Mapping[str, tuple[Configuration, ...]] = {
    "ablation": _with_both_turns(
        ("separation off", replace(BASE, separate="off")),
        ("everywhere", replace(BASE, separate="everywhere")),
        ("in overlaps", BASE),
        ("auto", replace(BASE, separate="auto")),
        ("in overlaps, adapted", replace(BASE, separator="adapted")),
    ),
    "gating": _with_both_turns(
        *((name, replace(BASE, overlap_checks=checks)) for name, checks in CHECKS),
        ("all checks", BASE),
    ),
    "leave-one-out": tuple(
        Configuration(name, FOUND, replace(BASE, overlap_checks=checks))
        for name, checks in (
            ("all checks", "all"),
            *(
                (f"without {left_out}", ",".join(check for check in OVERLAP_CHECKS if check != left_out))
                for left_out in OVERLAP_CHECKS
            ),
            ("no checks", "none"),
        )
    ),
    "quality": _with_both_turns(
        ("none", replace(BASE, separator="none")),
        ("dictionary", BASE),
        ("adapted", replace(BASE, separator="adapted")),
    ),
}


@dataclass(frozen=True, slots=True)
class MeetingFiles:
    """A meeting on disk: its recording, and its reference beside it."""

    path: Path

    @property
    def kind(self) -> str:
        """The meeting's name without its seed."""
        name, _, seed = self.path.stem.rpartition("-")
        return f"{self.path.parent.name}/{name}" if seed.isdigit() else self.path.stem

    @property
    def references(self) -> tuple[Path, ...]:
        """The files of its turns and, where they are known, its words."""
        candidates = (self.path.with_suffix(".rttm"), self.path.with_suffix(".stm"))
        return tuple(path for path in candidates if path.is_file())

    @property
    def stems(self) -> Path:
        """The folder of its stems, which need not exist."""
        return self.path.with_suffix(".stems")


def write_stem_words(meeting: MeetingFiles, transcriber: SphinxTranscriber) -> None:
    """Write the meeting's ``.stm`` from what ``transcriber`` hears in each turn of the clean stems.

    A reference for meetings whose words are unknown: it tells what separation and checks change about the words, not
    how right the transcriber is. Turns without words have no line.
    """
    lines = []
    for turn in read_rttm(meeting.path.with_suffix(".rttm")):
        stem = read(meeting.stems / f"{turn.speaker}.wav", transcriber.rate)
        (answer,) = transcriber.transcribe([stem.crop(turn.span)], ignore_events)
        words = " ".join(word.text for word in answer.words)
        if words:
            lines.append(f"{meeting.path.stem} 1 {turn.speaker} {turn.span.start:.3f} {turn.span.end:.3f} {words}\n")
    write(meeting.path.with_suffix(".stm"), "".join(lines))


def find_meetings(paths: Sequence[Path], seeds: int) -> list[MeetingFiles]:
    """The meetings of the first ``seeds`` seeds of each kind, by kind. Raises `SystemExit` where there are none."""
    recordings: list[Path] = []
    for path in paths:
        recordings += [path] if path.is_file() else sorted(path.glob("*ov-*.wav"))
    if not recordings:
        raise SystemExit("no meetings there: make them with python -m meetsplit.training.simulate")
    meetings = [MeetingFiles(path) for path in recordings]
    return [meeting for _, group in groupby(meetings, lambda meeting: meeting.kind) for meeting in list(group)[:seeds]]


@dataclass(frozen=True, slots=True)
class MeetingResult:
    """A meeting's transcript beside its reference, and the scores of its tracks where there are stems."""

    pair: Pair
    sound: SeparationScores | None


def run_meeting(meeting: MeetingFiles, configuration: Configuration, work: Path) -> MeetingResult:
    """Run and score one meeting; without a reference of its words nothing is transcribed."""
    settings = _settings_for(meeting, configuration, work)
    cache = StageCache(work / recording_sha256(meeting.path)[:16])
    with tempfile.TemporaryDirectory() as folder:
        outputs = Outputs(folder=Path(folder), formats=("json",))
        pipeline = Pipeline(settings, loaded=_cached_backends(settings, work))
        run_and_write(pipeline, meeting.path, outputs, cache=cache, on_event=ignore_events)
        (pair,) = pair_up([Path(folder) / f"{meeting.path.stem}.json"], meeting.references).pairs
        if not meeting.stems.is_dir():
            return MeetingResult(pair, None)
        stems = Path(folder) / "stems" / meeting.path.stem
        shutil.copytree(meeting.stems, stems, ignore=shutil.ignore_patterns("noise.wav"))
        shutil.copy(meeting.path, stems / "mixture.wav")
        return MeetingResult(pair, score_stems([pair], stems.parent)[0][pair.recording])


def _settings_for(meeting: MeetingFiles, configuration: Configuration, work: Path) -> Settings:
    settings = configuration.settings
    if configuration.turns == TRUTH:
        settings = replace(settings, diarizer="rttm", rttm=meeting.path.with_suffix(".rttm"))
    if len(meeting.references) == 1:
        no_words = work / "no-words.stm"
        write(no_words, "")
        settings = replace(settings, transcriber="script", script=no_words)
    return settings


def _cached_backends(settings: Settings, work: Path) -> dict[str, object]:
    backends: dict[str, object] = {}
    if settings.transcriber == "sphinx":
        transcriber = SphinxTranscriber.load(settings, {}, "cpu")
        backends["transcriber"] = CachedTranscriber(transcriber, work / "heard")
    if settings.separator == "dictionary":
        separator = DictionarySeparator.load(settings, {}, "cpu")
        backends["separator"] = CachedSeparator(separator, work / "apart")
    return backends


def table(meetings: Sequence[MeetingFiles], configurations: Sequence[Configuration], work: Path) -> Iterator[str]:
    """One line per kind of meeting and configuration, pooled over seeds."""
    columns = "cpWER % | in overlaps % | elsewhere % | DER % | SI-SDR gain in overlaps, dB | leakage, dB"
    yield f"| meetings | turns | separation | {columns} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind, group in groupby(meetings, lambda meeting: meeting.kind):
        of_kind = list(group)
        for configuration in configurations:
            results = [run_meeting(meeting, configuration, work) for meeting in of_kind]
            print(f"{kind}: {configuration.turns} turns, {configuration.name}", file=sys.stderr, flush=True)
            label = f"{kind} ({len(of_kind)}) | {configuration.turns} | {configuration.name}"
            yield f"| {label} | {_cells(results)} |"


def _cells(results: Sequence[MeetingResult]) -> str:
    pooled = score([result.pair for result in results], Protocol()).pooled
    rates: list[float | None] = []
    for part in (pooled.total, pooled.overlap, pooled.clean):
        has_words = pooled.has_words and "cpwer" in part.words
        rates.append(part.words["cpwer"].rate if has_words else None)
    rates.append(pooled.total.turns.der if pooled.total.turns is not None else None)
    sound = pool_separation(result.sound for result in results if result.sound is not None)
    gain = sound.overlap.gain if sound.overlap is not None else None
    values = [*(None if rate is None else 100 * rate for rate in rates), gain, sound.leakage]
    return " | ".join("–" if value is None else f"{value:.1f}" for value in values)


def main() -> None:
    """Measure, print, and put into the page with ``--write``."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "sets",
        nargs="+",
        type=Path,
        help="folders of simulated meetings, or recordings with .rttm and .stm beside them",
    )
    parser.add_argument("--what", choices=sorted(CONFIGURATIONS), default="quality")
    parser.add_argument("--work", type=Path, help="keep finished stages here")
    parser.add_argument("--seeds", type=int, default=1, help="meetings of each kind")
    parser.add_argument("--turns", choices=(TRUTH, FOUND), help="only with these turns")
    parser.add_argument(
        "--leave-out", nargs="*", default=[], metavar="NAME", help="settings not to run, as 'everywhere'"
    )
    parser.add_argument(
        "--stem-words",
        action="store_true",
        help="where a meeting has stems and no .stm, write one from what sphinx hears in the stems",
    )
    parser.add_argument("--section", help="of the page, if not what is measured")
    args = parser.parse_args()
    configurations = [
        configuration
        for configuration in CONFIGURATIONS[args.what]
        if args.turns in (None, configuration.turns) and configuration.name not in args.leave_out
    ]
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        meetings = find_meetings(args.sets, args.seeds)
        if args.stem_words:
            transcriber = SphinxTranscriber.load(BASE, {}, "cpu")
            for meeting in meetings:
                if meeting.stems.is_dir() and len(meeting.references) == 1:
                    write_stem_words(meeting, transcriber)
        lines = list(table(meetings, configurations, work))
    protocol = "Protocol: " + "; ".join(Protocol().lines()) + "."
    text = "\n".join([*lines, "", protocol])
    publish(args.section or args.what, text, command_line("meetings"), into_page=args.write)


if __name__ == "__main__":
    main()
