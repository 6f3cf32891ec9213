"""The page of a long meeting in a browser: bytes, the time until it is ready, and frames a second while it scrolls.

    python -m meetsplit.benchmarks.page [--browser /usr/bin/chromium] [--keep FOLDER] [--write]

A made-up meeting of three hours, six people and 30 000 words, with a sixth of its turns in overlaps, and a shorter one
of eight people whose turns last 200 ms. The browser is Chromium without a window, driven by Playwright
(`pip install playwright`), from a file and with the network off.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from meetsplit.benchmarks.report_page import argument_parser, command_line, publish
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.data.labels import label
from meetsplit.pipeline.formats import html
from meetsplit.pipeline.settings import Outputs

VOCABULARY = (
    *("the", "and", "we", "of", "to", "in", "it", "that", "is", "was", "for", "on", "with", "yes", "no", "okay", "so"),
    *("report", "budget", "meeting", "tomorrow", "people", "office", "contract", "number", "question", "because"),
    *("customer", "system", "think", "maybe", "really", "about", "before", "after", "another", "between", "project"),
    *("decision", "computers", "important", "morning", "afternoon", "unfortunately", "responsibility"),
)
OVERLAPPED = 1 / 6
FRAMES = """seconds => new Promise(done => {
  const times = [];
  const step = () => {
    times.push(performance.now());
    scrollBy({ top: 45, behavior: "instant" });
    if (times.at(-1) - times[0] < seconds * 1000) requestAnimationFrame(step);
    else done(times);
  };
  requestAnimationFrame(step);
})"""
READY = (
    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)


def meeting(*, people: int, words: int, words_a_turn: tuple[int, int], duration: float, pace: float) -> Transcript:
    """A made-up meeting of so many words, each ``pace`` seconds after the last, spread over ``duration`` seconds."""
    chance = random.Random(0)
    segments: list[Segment] = []
    spoken, before = 0, -1
    while spoken < words:
        person = chance.choice([number for number in range(people) if number != before])
        count = min(chance.randint(*words_a_turn), words - spoken)
        together = bool(segments) and chance.random() < OVERLAPPED
        before_end, on_time = (segments[-1].end if segments else 0.0), duration * spoken / words
        start = max(before_end, on_time)
        if together:
            start = max(before_end - chance.uniform(0.3, 2.0), segments[-1].start + 0.1)
        said = tuple(
            Word(Span(start + pace * n, start + pace * (n + 0.9)), chance.choice(VOCABULARY), score)
            for n, score in enumerate(chance.uniform(0.3, 1.0) for _ in range(count))
        )
        review = ("low-speaker-margin",) if together and chance.random() < 0.2 else ()
        segments.append(Segment(label(person), said, "en", overlap=together, review=review))
        spoken, before = spoken + count, person
    ordered = tuple(sorted(segments, key=lambda segment: segment.start))
    turns = tuple(sorted(Turn(segment.span, segment.speaker) for segment in segments))
    end = max(duration, *(segment.end for segment in segments))
    return Transcript("long meeting", end, ordered, turns, Provenance("benchmark"))


MEETINGS = {
    "3 h, 6 people, 30 000 words": {
        "people": 6,
        "words": 30_000,
        "words_a_turn": (1, 18),
        "duration": 10_800,
        "pace": 0.33,
    },
    "20 min, 8 people, turns of 200 ms": {
        "people": 8,
        "words": 3_000,
        "words_a_turn": (1, 1),
        "duration": 1200,
        "pace": 0.22,
    },
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One visit of a page: seconds until it is drawn and those its thread computed, its frames, and its MiB."""

    ready: float
    computed: float
    frames: Sequence[float]
    memory: float

    @property
    def frames_a_second(self) -> float:
        """Frames a second over the whole scroll."""
        return 1000 * (len(self.frames) - 1) / (self.frames[-1] - self.frames[0])

    @property
    def slowest(self) -> float:
        """Milliseconds that 99 % of the frames stay below."""
        return statistics.quantiles([b - a for a, b in pairwise(self.frames)], n=100)[-1]


def visit(browser: Any, page: Path, seconds: float) -> Measured:
    """Open a page, wait until it is drawn, and scroll it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    try:
        tab = context.new_page()
        session = context.new_cdp_session(tab)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.goto(page.as_uri())
        ready = tab.evaluate(READY) / 1000
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        tab.wait_for_timeout(500)
        return Measured(ready, metrics["TaskDuration"], tab.evaluate(FRAMES, seconds), memory(browser))
    finally:
        context.close()


def memory(browser: Any) -> float:
    """MiB of the process that draws the one page that is open (on Linux)."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    sizes = []
    for process in processes:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text("utf-8")
            sizes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
    return max(sizes)


def rows(browser: Any, folder: Path, *, runs: int, seconds: float) -> list[str]:
    """The table: a row for each meeting, medians of the visits."""
    lines = [
        f"| page, medians of {runs} visits | size | ready | processor time | frames a second "
        "| 99 % of frames within | memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, shape in MEETINGS.items():
        page = folder / f"{name.split(',')[0].replace(' ', '-')}.html"
        page.write_text(html.write(meeting(**shape), Outputs()), "utf-8")  # type: ignore[arg-type]
        visits = [visit(browser, page, seconds) for _ in range(runs)]
        ready, computed, frames, slowest, used = (
            statistics.median(getattr(one, field) for one in visits)
            for field in ("ready", "computed", "frames_a_second", "slowest", "memory")
        )
        size = page.stat().st_size / 1e6
        times = (f"{ready:.2f} s", f"{computed:.2f} s", f"{frames:.0f}", f"{slowest:.0f} ms")
        lines.append(f"| {' | '.join((name, f'{size:.1f} MB', *times, f'{used:.0f} MiB'))} |")
    return lines


def main() -> None:
    """Measure, print, and put into the page if asked."""
    from playwright.sync_api import sync_playwright

    parser = argument_parser(__doc__)
    parser.add_argument("--browser", default="/usr/bin/chromium", help="Chromium's command")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of scrolling")
    parser.add_argument("--keep", type=Path, help="folder for the pages, to look at them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.browser, args=["--no-sandbox"])
        pages = chosen.keep or Path(folder)
        pages.mkdir(parents=True, exist_ok=True)
        table = "\n".join(rows(browser, pages, runs=chosen.runs, seconds=chosen.seconds))
        browser.close()
    publish("page", table, command_line("page"), into_page=chosen.write)


if __name__ == "__main__":
    main()
