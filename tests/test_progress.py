"""Progress from events: what the bars show, the time left, the lines of a log, and what is said after Ctrl-C."""

from __future__ import annotations

import io
import itertools
import re
import sys
import threading

import pyte
import pytest
from rich.console import Group
from rich.text import Text

from meetsplit.console import bars, terminal
from meetsplit.console.progress import Reporter
from meetsplit.console.recording_progress import WorkProgress
from meetsplit.console.terminal import Terminal, stop_bars
from meetsplit.pipeline.events import Event, Finished, Kept, Notice, Opened, Progressed, Started

BAR = "━"


def test_threads_that_print_at_once_leave_no_bars_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "REDRAW_EVERY", 0.001)
    stream = io.StringIO()
    owner = Terminal(file=stream, width=80, height=24, force_terminal=True)
    heights = itertools.cycle((1, 5, 0, 3))
    owner.start_bars(lambda: Group(*[Text(BAR * 10) for _ in range(next(heights))]))

    def print_lines(thread: int) -> None:
        for number in range(40):
            other = Terminal(file=stream, width=80, height=24, force_terminal=True)
            other.print(f"line {thread} {number}: {'x' * (37 * number % 150)}", soft_wrap=True)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=print_lines, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop_bars()
        sys.setswitchinterval(interval)
    screen = pyte.HistoryScreen(80, 24, history=2000)
    pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
    scrolled = ["".join(row[at].data for at in range(80)) for row in screen.history.top]
    text = "\n".join([*scrolled, *screen.display])
    assert BAR not in text
    assert all(f"line {thread} {number}:" in text for thread in range(4) for number in range(40))
    assert not screen.cursor.hidden


@pytest.mark.parametrize(
    ("keeps", "events", "sentence"),
    [
        (True, [Finished("decode", 1.0)], "stopped: no stage of call.wav was finished\n"),
        (
            True,
            [Kept("diarize", 0.0), Finished("separate", 1.0), Started("transcribe")],
            "stopped: of call.wav, diarize and separate are kept; the same command goes on from there\n",
        ),
        (
            True,
            [Finished("clean", 9.0), Started("diarize")],
            "stopped: of call.wav, clean is kept; the same command goes on from there\n",
        ),
        (False, [Finished("diarize", 1.0)], "stopped: nothing of call.wav is kept (--no-cache)\n"),
    ],
)
def test_what_is_kept_after_ctrl_c(keeps: bool, events: list[Event], sentence: str) -> None:
    stream = io.StringIO()

    def interrupted() -> None:
        with Reporter(Terminal(file=stream, width=200), keeps=keeps) as on_event:
            for event in (Opened("calls/call.wav"), *events):
                on_event(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue().endswith(sentence)


def drawn(work: WorkProgress, now: float, width: int) -> list[str]:
    """The lines of the bars at a moment."""
    stream = io.StringIO()
    Terminal(file=stream, width=width).print(bars.draw(work, now, width))
    return stream.getvalue().splitlines()


def work_at(*events: Event) -> WorkProgress:
    """The progress after events, each a second later than the one before, the last one at 100 s."""
    work = WorkProgress()
    for second, event in enumerate(events, 101 - len(events)):
        work.take(event, float(second))
    return work


def test_cleaning_has_its_part_of_the_whole_where_it_is_done() -> None:
    opened, *others = Opened("call.wav"), Finished("decode", 1.0), Started("diarize", 60.0)
    halfway = Started("clean", 60.0), Progressed("clean", 30.0)
    share = work_at(opened, Finished("decode", 1.0), *halfway).share(100.0)
    assert 0.03 < share < 0.1
    assert work_at(opened, *others).share(100.0) < 0.01
    ended = [Finished(stage, 1.0) for stage in ("decode", "diarize", "separate", "transcribe", "write")]
    assert work_at(opened, *ended).share(100.0) == 1.0


@pytest.mark.parametrize("width", [40, 80, 120])
def test_long_notes_and_names_are_clipped_and_bars_keep_their_width(width: int) -> None:
    events = (
        Opened(f"calls/{'n' * 200}.wav"),
        Kept("diarize", 0.0),
        Finished("adapt", 83.0, "7.1 → 7.4 dB on held-out speech in 18 steps " * 4),
        Started("separate", 10.0),
        Progressed("separate", 5.0),
    )
    lines = drawn(work_at(*events), 110.0, width)
    assert all(len(line) <= width for line in lines), "nothing wraps"
    assert len(lines[-1].rstrip()) <= width - 4, "^C has its place behind the last line"
    assert len(lines) == 5
    tails = zip(lines[1:], ("elapsed", "kept", "1 min", "elapsed"), strict=True)
    assert len({line.index(begin) for line, begin in tails}) == 1, "bars keep their width"
    assert lines[0].endswith("…")
    assert lines[3].endswith("…")
    if width > 40:
        assert "elapsed 0:11  left 0:11" in lines[4]


def test_what_is_expected_tells_the_time_left() -> None:
    work = work_at(Opened("a.wav"), Kept("diarize"), Started("transcribe", 100.0))
    assert work.left(100.0) is None, "nothing is made up"
    assert work.current is not None
    work.current.expected = {"separate": 20.0, "transcribe": 60.0}
    assert work.left(110.0) == pytest.approx(70.0)
    work.take(Progressed("transcribe", 50.0), 120.0)
    assert work.left(120.0) == pytest.approx(20.0 + 20.0), "at its own pace: 20 s for the first half"
    assert work.share(120.0) == pytest.approx(30.0 / 80.0)


def test_of_several_recordings_the_time_left_is_by_those_that_are_done() -> None:
    work = WorkProgress()
    work.lengths = {"a.wav": 30.0, "b.wav": 10.0, "gone.wav": 0.0}
    work.take(Opened("a.wav"), 0.0)
    assert (work.number, work.total, work.left(50.0)) == (1, 3, None)
    work.finish("a.wav")
    work.take(Opened("b.wav"), 60.0)
    assert (work.number, work.share(60.0), work.left(60.0)) == (2, 0.75, pytest.approx(20.0))
    work.finish("another")
    assert work.number == 2


def test_in_a_log_every_line_has_its_time_and_recording() -> None:
    stream = io.StringIO()
    with Reporter(Terminal(file=stream, width=200), is_log=True) as on_event:
        on_event(Notice("fetching a model"))
        for name in ("calls/a.wav", "calls/b.wav"):
            on_event(Opened(name))
            on_event(Started("diarize"))
            on_event(Finished("diarize", 2.0, "2 speakers"))
            on_event(Opened(name))
            on_event(Kept("diarize", 0.0))
            on_event.finish(name)
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    lines = stream.getvalue().splitlines()
    assert [re.sub(f"^{moment}", "", line) for line in lines] == [
        "note: fetching a model",
        "a.wav: diarize …",
        "a.wav: diarize done in 2.0 s: 2 speakers",
        "b.wav: diarize …",
        "b.wav: diarize done in 2.0 s: 2 speakers",
    ]
    assert all(re.match(moment, line) for line in lines)
