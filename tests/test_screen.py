"""What a person sees: commands on a pseudo-terminal, and the screen as it stands while they work and at their end."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import re
import selectors
import signal
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyte
import pytest
from rich.console import Group
from rich.text import Text

from forkserver import ForkedProcess, ForkServer
from meetsplit.console import bars, terminal
from meetsplit.console.progress import Reporter
from meetsplit.console.recording_progress import WorkProgress
from meetsplit.console.terminal import Terminal, stop_bars
from meetsplit.pipeline.cache.content import hash_recording
from meetsplit.pipeline.events import Event, Finished, Kept, Notice, Opened, Progressed, Started
from meetsplit.pipeline.files.locks import hold_lock

BAR = "━"
SIZES = ((80, 24), (120, 40))


class Display:
    """A command on a pseudo-terminal.

    ``seen`` are all states of the screen, each a tuple of its lines without blanks at their ends; ``text`` is all that
    has been printed, with the lines that were scrolled off.
    """

    def __init__(self, process: ForkedProcess, columns: int, lines: int) -> None:
        self.process = process
        self.screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        self.seen: list[tuple[str, ...]] = []

    def until(self, condition: Callable[[str], bool], seconds: float = 120.0) -> None:
        """Read until the condition holds for what the screen shows; fails where the command ends before."""
        end = time.monotonic() + seconds
        while not condition("\n".join(self.shown())):
            assert time.monotonic() < end, self.shown()
            assert self._read(1.0), self.text

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read(120.0):
            pass
        code = self.process.wait(120.0)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def _read(self, seconds: float) -> bool:
        """Read what comes within so many seconds; False at the end of the terminal's other side."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return True
        try:
            sent = os.read(self.process.stdout.fileno(), 1 << 16)
        except OSError:  # Linux answers with an error where the other side is closed
            return False
        self._stream.feed(sent)
        self.seen.append(self.shown())
        return bool(sent)

    def shown(self) -> tuple[str, ...]:
        return tuple(line.rstrip() for line in self.screen.display)

    @property
    def text(self) -> str:
        return "\n".join(text_of(self.screen)).rstrip()

    @property
    def flowing(self) -> str:
        """The text with blanks for line breaks, so that a sentence that was folded is found."""
        return " ".join(self.text.split())

    @property
    def unbroken(self) -> str:
        """The text without line breaks, so that a path that was folded is found."""
        return self.text.replace("\n", "")


def text_of(screen: pyte.HistoryScreen) -> list[str]:
    """The lines that were scrolled off a screen, and those on it."""
    scrolled = ["".join(row[at].data for at in range(screen.columns)) for row in screen.history.top]
    return [line.rstrip() for line in (*scrolled, *screen.display)]


@dataclasses.dataclass
class Desk:
    """A folder with recordings of five seconds whose turns and words are given, and a server that forks commands."""

    folder: Path
    forks: ForkServer
    displays: list[Display] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "turns.rttm").write_text(
            "SPEAKER x 1 0.5 2 <NA> <NA> Ann <NA> <NA>\nSPEAKER x 1 2 2.9 <NA> <NA> Ben <NA> <NA>\n"
        )
        (self.folder / "words.ctm").write_text("x 1 1.0 0.5 good\nx 1 3.0 0.5 morning\n")
        self.given = ("--rttm", "turns.rttm", "--script", "words.ctm", "--separate", "off")

    def recording(self, name: str, number: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(-9000, 9000, 5 * 16000).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(noise.tobytes())
        return path

    def start(self, *arguments: str, size: tuple[int, int] = (80, 24)) -> Display:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("MEETSPLIT", "HF_"))}
        environment = plain | {
            "HOME": str(self.folder),
            "MEETSPLIT_STATE": str(self.folder / "state"),
            "MEETSPLIT_CACHE": str(self.folder / "cache"),
            "TERM": "xterm-256color",
        }
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            environment.pop(name, None)
        columns, lines = size
        process = self.forks.start_on_terminal(arguments, environment, self.folder, columns=columns, lines=lines)
        self.displays.append(Display(process, columns, lines))
        return self.displays[-1]

    def run(self, *arguments: str, code: int = 0, size: tuple[int, int] = (80, 24)) -> Display:
        """A command to its end, after which no bar is left and the cursor is shown."""
        display = self.start(*arguments, size=size)
        assert display.end() == code, display.text
        assert BAR not in display.text
        assert not display.screen.cursor.hidden
        return display


@pytest.fixture
def desk(tmp_path: Path, forks: ForkServer | None) -> Iterator[Desk]:
    if forks is None:
        pytest.skip("needs a system with fork and pseudo-terminals")
    made = Desk(tmp_path, forks)
    yield made
    for display in made.displays:
        if display.process.poll() is None:
            display.process.kill()
            display.end()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_whole_summary_of_a_run_stays(desk: Desk, size: tuple[int, int]) -> None:
    desk.recording("call.wav")
    display = desk.run("run", "call.wav", *desk.given, "-o", "out", size=size)
    lines = display.text.splitlines()
    begin = lines.index("call.wav: 00:00:05, 2 people, 2 words")
    assert lines[begin + 1 : begin + 4] == [
        "  Ann 2.0 s · Ben 2.9 s",
        "  out/call.{srt,vtt,json,txt,tsv,rttm,stm,seglst.json,audacity.txt,csv}",
        "  out/call/SPEAKER_00…01.wav",
    ]
    assert lines[begin + 4].startswith("  done in ")
    assert any(BAR in line and "elapsed" in line for screen in display.seen for line in screen), "bars are drawn"
    again = desk.run("run", "call.wav", *desk.given, "-o", "out", "--no-tracks", size=size)
    assert "diarize, separate, transcribe kept from" in again.flowing
    assert "out/call.{srt," in again.text


def test_every_error_is_on_the_screen_and_the_others_go_on(desk: Desk) -> None:
    desk.recording("a.wav", 1)
    desk.recording("b.wav", 2)
    (desk.folder / "bad.wav").write_text("no sound at all, only a text that somebody has renamed")
    display = desk.run("run", "a.wav", "bad.wav", "gone.wav", "b.wav", *desk.given, "-o", "out", code=1)
    assert "error: bad.wav holds text, not sound" in display.flowing
    assert "error: gone.wav does not exist" in display.flowing
    assert "2 of 4 recordings failed: bad.wav, gone.wav" in display.flowing
    assert all(f"out/{name}.{{srt,vtt," in display.text for name in "ab")
    alone = desk.run("run", "gone.wav", *desk.given, "-o", "out", code=1)
    assert "error: gone.wav does not exist" in alone.flowing


def test_twelve_recordings_on_24_lines_stay_readable(desk: Desk) -> None:
    names = [f"interview-with-a-long-name-{number:02d}.wav" for number in range(12)]
    for number, name in enumerate(names):
        desk.recording(name, number)
    display = desk.run("run", *names, *desk.given, "-o", "out", "-f", "txt", "--no-tracks")
    for screen in display.seen:
        rows = [line for line in screen if BAR in line]
        assert len(rows) <= 6, "one bar of all and one for each of five stages"
        assert not any(line == "..." for line in screen), "nothing is cut off"
        titles = [line for line in screen if " of 12  interview-with-a-long-name-" in line]
        assert len(titles) <= 1
        assert not titles or rows or screen[-1] == titles[0]
    assert any("12 of 12  interview-with-a-long-name-11.wav" in line for screen in display.seen for line in screen)
    assert all(f"out/{name.removesuffix('.wav')}.txt" in display.text for name in names)
    assert "12 of 12 recordings done in" in display.text


def test_rediarize_says_what_it_wrote(desk: Desk) -> None:
    desk.recording("call.wav")
    desk.run("run", "call.wav", *desk.given, "-f", "json", "--no-tracks")
    display = desk.run("rediarize", "call.json", "--rttm", "turns.rttm", "-f", "srt,txt")
    assert "call.wav: 00:00:05, 2 people, 2 words" in display.text
    assert "call-rediarized.{srt,txt}" in display.text
    assert "call-rediarized/SPEAKER_00…01.wav" in display.text


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_table_of_a_batch_has_its_reasons_and_counts(desk: Desk, size: tuple[int, int]) -> None:
    for number in range(3):
        desk.recording(f"calls/call-{number}.wav", number)
    (desk.folder / "calls" / "bad.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    display = desk.run("batch", "calls", *desk.given, "-o", "out", code=1, size=size)
    rows = [line.split() for line in display.text.splitlines()]
    assert ["call-0.wav", "done", "00:00:05", "2", "2", "0"] in rows
    assert ["bad.wav", "failed"] in rows
    reason = display.flowing.partition("bad.wav failed")[2]
    assert "bad.wav" in reason
    assert "again" in reason, "what to do about it"
    assert "3 done (" in display.flowing or "1 failed, 3 done (" in display.flowing
    assert all(f"call-{number}.wav →" in display.unbroken for number in range(3)), "each one's end is told"
    assert any("of 4  call-" in line or "of 3  call-" in line for screen in display.seen for line in screen)


def test_a_watch_collects_nothing_and_says_every_end(desk: Desk) -> None:
    desk.recording("calls/first.wav", 1)
    display = desk.start("watch", "calls", *desk.given, "--poll", "0.05", "-f", "txt", "--no-tracks")
    for number, name in enumerate(("first", "second", "third")):
        desk.recording(f"calls/{name}.wav", number)
        ending = f"{name}.wav →"
        display.until(lambda text, ending=ending: ending in text.replace("\n", "") and BAR not in text)
    display.process.send_signal(signal.SIGTERM)
    assert display.end() == 0
    assert not display.screen.cursor.hidden
    assert all(sum(BAR in line for line in screen) <= 6 for screen in display.seen)
    assert "stopping: finished stages are kept" in display.flowing


def test_ctrl_c_says_what_is_kept(desk: Desk) -> None:
    """While it waits for another process that works on the same recording."""
    sha256 = hash_recording(desk.recording("call.wav")).sha256
    with hold_lock(desk.folder / "cache" / "runs" / sha256[:16] / "lock"):
        display = desk.start("run", "call.wav", *desk.given, "-o", "out")
        display.until(lambda text: "waiting for another meetsplit" in text)
        display.process.send_signal(signal.SIGINT)
        assert display.end() == 130
    assert "stopped: no stage of call.wav was finished" in display.flowing
    assert BAR not in display.text
    assert not display.screen.cursor.hidden


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
    text = "\n".join(text_of(screen))
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
