"""What comes out of whole meetings? Words and sound of the pipeline on simulated meetings, under several settings.

    python -m meetsplit.benchmarks.meetings SETS… --what ablation|gating|quality [--work DIR] [--seeds 1] [--write]

A set is a folder that `meetsplit.training.simulate` filled: ``3spk-30ov-1.wav`` with .rttm, .stems and, where texts are known,
.stm. Meetings that differ in their seed alone are pooled. Finished stages are kept in ``--work``, so that an interrupted
benchmark goes on, and settings that share a stage share its result: no clip is heard twice, no mixture taken apart twice.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from meetsplit.benchmarks.cached_backends import Apart, Remembered
from meetsplit.benchmarks.report_page import command, options, publish
from meetsplit.pipeline.cache.content import recording_sha256
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.events import ignore_events
from meetsplit.pipeline.files import write
from meetsplit.pipeline.results.writing import run_and_write
from meetsplit.pipeline.run import Pipeline
from meetsplit.pipeline.separators.dictionary import DictionarySeparator
from meetsplit.pipeline.settings import Outputs, Settings
from meetsplit.pipeline.transcribers.sphinx import SphinxTranscriber
from meetsplit.scoring.pairing import Pair, pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.separation import SoundScores, pooled_sound
from meetsplit.scoring.separation_files import score_stems

BASE = Settings(diarizer="embedded", separator="dictionary", transcriber="sphinx", offline=True)
FOUND, TRUTH = "found", "truth"

GATED = (
    ("no checks", "none"),
    ("resegmentation", "resegment"),
    ("verification", "verify"),
    ("leakage check", "leakage"),
    ("doubled words", "duplicates"),
)
"""Each overlap check alone; by default all of them are on."""


def _both(*settings: tuple[str, Settings]) -> tuple[tuple[str, str, Settings], ...]:
    """Every setting with given turns, then with found ones."""
    return tuple((name, turns, one) for turns in (TRUTH, FOUND) for name, one in settings)


CONFIGURATIONS: Mapping[str, tuple[tuple[str, str, Settings], ...]] = {
    "ablation": _both(
        ("separation off", replace(BASE, separate="off")),
        ("everywhere", replace(BASE, separate="everywhere")),
        ("in overlaps", BASE),
        ("auto", replace(BASE, separate="auto")),
        ("in overlaps, adapted", replace(BASE, separator="adapted")),
    ),
    "gating": _both(*((name, replace(BASE, overlap_checks=checks)) for name, checks in GATED), ("all checks", BASE)),
    "quality": _both(
        ("none", replace(BASE, separator="none")),
        ("dictionary", BASE),
        ("adapted", replace(BASE, separator="adapted")),
    ),
}


@dataclass(frozen=True, slots=True)
class Meeting:
    """One simulated meeting on disk; ``kind`` is its name without the seed."""

    path: Path

    @property
    def kind(self) -> str:
        """What it shares with the meetings of other seeds."""
        name, _, seed = self.path.stem.rpartition("-")
        return f"{self.path.parent.name}/{name}" if seed.isdigit() else self.path.stem

    @property
    def truths(self) -> tuple[Path, ...]:
        """Its turns and, where they are known, its words."""
        return tuple(path for path in (self.path.with_suffix(".rttm"), self.path.with_suffix(".stm")) if path.is_file())


def meetings(folders: Sequence[Path], seeds: int) -> list[Meeting]:
    """The meetings of the first ``seeds`` seeds of each kind, by kind. Raises `SystemExit` where a folder has none."""
    found = [
        Meeting(path)
        for folder in folders
        for path in ([folder] if folder.is_file() else sorted(folder.glob("*ov-*.wav")))
    ]
    if not found:
        raise SystemExit("no meetings there: make them with python -m meetsplit.training.simulate")
    return [meeting for _, same in groupby(found, lambda meeting: meeting.kind) for meeting in list(same)[:seeds]]


def measured(meeting: Meeting, turns: str, settings: Settings, work: Path) -> tuple[Pair, SoundScores | None]:
    """One meeting's account beside the truth, and its tracks' scores where there are stems; without known words nothing is transcribed."""
    if turns == TRUTH:
        settings = replace(settings, diarizer="rttm", rttm=meeting.path.with_suffix(".rttm"))
    if len(meeting.truths) == 1:
        silent = work / "no-words.stm"
        write(silent, "")
        settings = replace(settings, transcriber="script", script=silent)
    open_cache = StageCache(work / recording_sha256(meeting.path)[:16])
    with tempfile.TemporaryDirectory() as out:
        outputs = Outputs(folder=Path(out), formats=("json",))
        transcriber = Remembered(SphinxTranscriber.load(settings, {}, "cpu"), work / "heard")
        loaded: dict[str, object] = {"transcriber": transcriber} if settings.transcriber == "sphinx" else {}
        if settings.separator == "dictionary":
            loaded["separator"] = Apart(DictionarySeparator.load(settings, {}, "cpu"), work / "apart")
        run_and_write(
            Pipeline(settings, loaded=loaded), meeting.path, outputs, open_cache=open_cache, on_event=ignore_events
        )
        (pair,) = pair_up([Path(out) / f"{meeting.path.stem}.json"], meeting.truths).pairs
        if not meeting.path.with_suffix(".stems").is_dir():
            return pair, None
        stems = Path(out) / "stems" / meeting.path.stem
        shutil.copytree(meeting.path.with_suffix(".stems"), stems, ignore=shutil.ignore_patterns("noise.wav"))
        shutil.copy(meeting.path, stems / "mixture.wav")
        return pair, score_stems([pair], stems.parent)[0][pair.recording]


def table(found: Sequence[Meeting], configurations: Sequence[tuple[str, str, Settings]], work: Path) -> Iterator[str]:
    """One line per kind of meeting, turns and settings, pooled over seeds."""
    yield "| meetings | turns | separation | cpWER % | in overlaps % | elsewhere % | DER % | SI-SDR gain in overlaps, dB | leakage, dB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind, same in groupby(found, lambda meeting: meeting.kind):
        group = list(same)
        for name, turns, settings in configurations:
            results = [measured(meeting, turns, settings, work) for meeting in group]
            print(f"{kind}: {turns} turns, {name}", file=sys.stderr, flush=True)
            yield f"| {kind} ({len(group)}) | {turns} | {name} | {_cells(results)} |"


def _cells(results: Sequence[tuple[Pair, SoundScores | None]]) -> str:
    pooled = score([pair for pair, _ in results], Protocol()).pooled
    words = [
        part.words["cpwer"].rate if pooled.has_words and "cpwer" in part.words else None
        for part in (pooled.total, pooled.overlap, pooled.clean)
    ]
    sound = pooled_sound(sound for _, sound in results if sound is not None)
    rates = [*words, pooled.total.turns.der if pooled.total.turns is not None else None]
    decibels = [sound.overlap.gain if sound.overlap is not None else None, sound.leakage]
    shown = [*(None if rate is None else 100 * rate for rate in rates), *decibels]
    return " | ".join("–" if value is None else f"{value:.1f}" for value in shown)


def main() -> None:
    """Measure, print, and put into the page if asked."""
    asked = options(__doc__)
    asked.add_argument(
        "sets",
        nargs="+",
        type=Path,
        help="folders of simulated meetings, or recordings with .rttm and .stm beside them",
    )
    asked.add_argument("--what", choices=sorted(CONFIGURATIONS), default="quality")
    asked.add_argument("--work", type=Path, help="keep finished stages here")
    asked.add_argument("--seeds", type=int, default=1, help="meetings of each kind")
    asked.add_argument("--turns", choices=(TRUTH, FOUND), help="only with these turns")
    asked.add_argument(
        "--leave-out", nargs="*", default=[], metavar="NAME", help="settings not to run, as 'everywhere'"
    )
    asked.add_argument("--section", help="of the page, if not what is measured")
    chosen = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = chosen.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        wanted = [
            one
            for one in CONFIGURATIONS[chosen.what]
            if chosen.turns in (None, one[1]) and one[0] not in chosen.leave_out
        ]
        lines = list(table(meetings(chosen.sets, chosen.seeds), wanted, work))
    protocol = "Protocol: " + "; ".join(Protocol().lines()) + "."
    publish(
        chosen.section or chosen.what, "\n".join([*lines, "", protocol]), command("meetings"), into_page=chosen.write
    )


if __name__ == "__main__":
    main()
