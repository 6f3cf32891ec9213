"""Subtitles measured against the public timing rules of Netflix and the BBC; the rules stand in docs/subtitles.md.

    python -m meetsplit.benchmarks.subtitles TRANSCRIPT.json… [--write]

Each transcript is written as SubRip and as WebVTT with the default options, and both are measured. A gap is the time
between two cues of which the second takes the place of the first.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.data import Transcript
from meetsplit.pipeline.formats import export, read_transcript, srt, vtt
from meetsplit.pipeline.formats.cues import Cue
from meetsplit.pipeline.formats.text import width
from meetsplit.pipeline.settings import Outputs

FRAMES = 83
"""Milliseconds of two frames at 24 a second."""


@dataclass(frozen=True, slots=True)
class Subtitles:
    """One file of subtitles: cues with the times at which they are shown, their lines, and gaps in milliseconds."""

    cues: Sequence[Cue]
    lines: Sequence[Sequence[str]]
    gaps: Sequence[int]

    @property
    def durations(self) -> list[int]:
        """How long each cue is shown, in milliseconds."""
        return [cue.end - cue.start for cue in self.cues]

    @property
    def lags(self) -> list[int]:
        """How long each cue stays after its last word, in milliseconds."""
        return [max(cue.end - max(word.end for word in cue.words), 0) for cue in self.cues]

    @property
    def letters_per_second(self) -> list[float]:
        """Of each cue's text without names."""
        return [1000 * cue.columns / (cue.end - cue.start) for cue in self.cues]

    @property
    def words_per_minute(self) -> list[float]:
        """Of each cue."""
        return [60_000 * len(cue.words) / (cue.end - cue.start) for cue in self.cues]


def subrip(transcript: Transcript) -> Subtitles:
    """The SubRip file of a transcript."""
    cues = srt.shown_cues(transcript, Outputs())
    blocks = export(transcript, "srt", Outputs()).rstrip("\n").split("\n\n")
    lines = [block.split("\n")[2:] for block in blocks]
    return Subtitles(cues, lines, [after.start - before.end for before, after in itertools.pairwise(cues)])


def webvtt(transcript: Transcript) -> Subtitles:
    """The WebVTT file of a transcript."""
    cues, places = vtt.shown_cues(transcript, Outputs())
    blocks = export(transcript, "vtt", Outputs()).rstrip("\n").split("\n\n")
    lines = [block.partition("\n<v ")[2].partition(">")[2].split("\n") for block in blocks if "\n<v " in block]
    gaps: list[int] = []
    for number, cue in enumerate(cues):
        own, before = places[number], range(number - 1, -1, -1)
        ends = [
            cues[other].end
            for other in before
            if cues[other].end <= cue.start
            and (own is None or (place := places[other]) is None or not own.is_beside(place))
        ]
        gaps += [cue.start - max(ends)] if ends else []
    return Subtitles(cues, lines, gaps)


def _count(values: Sequence[float], condition: Callable[[float], bool]) -> str:
    return str(sum(map(condition, values)))


def _overlap_count(file: Subtitles, values: Sequence[float], most: float) -> str:
    """How many values exceed ``most``, and how many of these while one person speaks."""
    above = [cue for cue, value in zip(file.cues, values, strict=True) if value > most]
    alone = [cue for cue in above if not any(_is_at_once(cue, other) for other in file.cues)]
    return f"{len(above)} ({len(alone)})"


def _is_at_once(cue: Cue, other: Cue) -> bool:
    """Whether a cue shows several people, or another is shown at the same time."""
    return len(cue.by_speaker) > 1 or (other is not cue and other.start < cue.end and cue.start < other.end)


ROWS: Mapping[str, Callable[[Subtitles], str]] = {
    "cues": lambda file: str(len(file.cues)),
    "longest line": lambda file: str(max(width(line) for lines in file.lines for line in lines)),
    "cues with more than two lines": lambda file: _count([len(lines) for lines in file.lines], lambda n: n > 2),
    "of these with a line per person": lambda file: str(
        sum(
            len(lines) > 2 and len(lines) <= len(cue.by_speaker)
            for cue, lines in zip(file.cues, file.lines, strict=True)
        )
    ),
    "shortest, longest cue": lambda file: f"{min(file.durations) / 1000:.2f} s, {max(file.durations) / 1000:.2f} s",
    "shorter than 5/6 s": lambda file: _count(file.durations, lambda ms: ms < 5000 / 6),
    "longer than 7 s": lambda file: _count(file.durations, lambda ms: ms > 7000),
    "least gap": lambda file: f"{min(file.gaps)} ms",
    "gaps below two frames": lambda file: _count(file.gaps, lambda ms: ms < FRAMES),
    "gaps above two frames and below 0.5 s": lambda file: _count(file.gaps, lambda ms: FRAMES < ms < 500),
    "gaps above two frames and below 1 s": lambda file: _count(file.gaps, lambda ms: FRAMES < ms < 1000),
    "longest stay after the last word": lambda file: f"{max(file.lags) / 1000:.2f} s",
    "stays of more than 0.5 s": lambda file: _count(file.lags, lambda ms: ms > 500),
    "letters a second, median": lambda file: f"{statistics.median(file.letters_per_second):.1f}",
    "above 20 letters a second (while one person speaks)": lambda file: _overlap_count(
        file, file.letters_per_second, 20
    ),
    "above 17 letters a second (while one person speaks)": lambda file: _overlap_count(
        file, file.letters_per_second, 17
    ),
    "words a minute, median": lambda file: f"{statistics.median(file.words_per_minute):.0f}",
    "above 180 words a minute (while one person speaks)": lambda file: _overlap_count(file, file.words_per_minute, 180),
}


def rows(transcripts: Mapping[str, Transcript]) -> Iterator[str]:
    """The table: two columns per transcript."""
    files: dict[str, Subtitles] = {}
    for name, transcript in transcripts.items():
        files[f"{name}, SRT"], files[f"{name}, VTT"] = subrip(transcript), webvtt(transcript)
    yield f"| default options | {' | '.join(files)} |"
    yield f"|---|{'--:|' * len(files)}"
    for name, measure in ROWS.items():
        yield f"| {name} | {' | '.join(measure(file) for file in files.values())} |"


def main() -> None:
    """Measure, print, and put into the page if asked."""
    parser = argument_parser(__doc__, "subtitles.md")
    parser.add_argument("transcripts", type=Path, nargs="+", help="JSON files of meetsplit, called by their folders")
    chosen = parser.parse_args()
    transcripts = {path.absolute().parent.name: read_transcript(path.read_text("utf-8")) for path in chosen.transcripts}
    table = "\n".join(rows(transcripts))
    publish("measured", table, command_line("subtitles"), into_page=chosen.write, page_name="subtitles.md")


if __name__ == "__main__":
    main()
