"""What a person sees: commands on a pseudo-terminal, and the screen as it stands while they work and at their end."""

from __future__ import annotations

import dataclasses
import os
import selectors
import signal
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyte
import pytest

from forkserver import ForkedProcess, ForkServer
from meetsplit.pipeline.cache.content import hash_recording
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
    def dense(self) -> str:
        """The text without blanks and line breaks, so that a path is found wherever it was folded."""
        return "".join(self.text.split())


def text_of(screen: pyte.HistoryScreen) -> list[str]:
    """The lines that were scrolled off a screen, and those on it."""
    scrolled = ["".join(row[at].data for at in range(screen.columns)) for row in screen.history.top]
    return [line.rstrip() for line in (*scrolled, *screen.display)]


@dataclasses.dataclass
class TerminalSession:
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
def terminal_session(tmp_path: Path, forks: ForkServer | None) -> Iterator[TerminalSession]:
    if forks is None:
        pytest.skip("needs a system with fork and pseudo-terminals")
    made = TerminalSession(tmp_path, forks)
    yield made
    for display in made.displays:
        if display.process.poll() is None:
            display.process.kill()
            display.end()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_whole_summary_of_a_run_stays(terminal_session: TerminalSession, size: tuple[int, int]) -> None:
    terminal_session.recording("call.wav")
    display = terminal_session.run("run", "call.wav", *terminal_session.given, "-o", "out", size=size)
    lines = display.text.splitlines()
    begin = lines.index("call.wav: 00:00:05, 2 people, 2 words")
    assert lines[begin + 1 : begin + 4] == [
        "  Ann 2.0 s · Ben 2.9 s",
        "  out/call.{srt,vtt,json,txt,tsv,rttm,stm,seglst.json,audacity.txt,csv,html}",
        "  out/call/{Ann,Ben}.wav",
    ]
    assert lines[begin + 4].startswith("  done in ")
    again = terminal_session.run("run", "call.wav", *terminal_session.given, "-o", "out", "--no-tracks", size=size)
    assert "diarize, separate, transcribe kept from" in again.flowing
    assert "out/call.{srt," in again.text


def test_every_error_is_on_the_screen_and_the_others_go_on(terminal_session: TerminalSession) -> None:
    terminal_session.recording("a.wav", 1)
    terminal_session.recording("b.wav", 2)
    (terminal_session.folder / "bad.wav").write_text("no sound at all, only a text that somebody has renamed")
    display = terminal_session.run(
        "run", "a.wav", "bad.wav", "gone.wav", "b.wav", *terminal_session.given, "-o", "out", code=1
    )
    assert "error: bad.wav holds text, not sound" in display.flowing
    assert "error: gone.wav does not exist" in display.flowing
    assert "2 of 4 recordings failed: bad.wav, gone.wav" in display.flowing
    assert all(f"out/{name}.{{srt,vtt," in display.text for name in "ab")
    alone = terminal_session.run("run", "gone.wav", *terminal_session.given, "-o", "out", code=1)
    assert "error: gone.wav does not exist" in alone.flowing


def test_twelve_recordings_on_24_lines_stay_readable(terminal_session: TerminalSession) -> None:
    names = [f"interview-with-a-long-name-{number:02d}.wav" for number in range(12)]
    for number, name in enumerate(names):
        terminal_session.recording(name, number)
    display = terminal_session.run("run", *names, *terminal_session.given, "-o", "out", "-f", "txt", "--no-tracks")
    for screen in display.seen:
        rows = [line for line in screen if BAR in line]
        assert len(rows) <= 6, "one bar of all and one for each of five stages"
        assert not any(line == "..." for line in screen), "nothing is cut off"
        titles = [line for line in screen if " of 12  interview-with-a-long-name-" in line]
        assert len(titles) <= 1
        drawn = [line for line in screen if line]
        assert not titles or rows or drawn[-1] == titles[0], "a look may come between a title and its bars"
    assert all(f"out/{name.removesuffix('.wav')}.txt" in display.text for name in names)
    assert "12 of 12 recordings done in" in display.text


def test_rediarize_says_what_it_wrote(terminal_session: TerminalSession) -> None:
    terminal_session.recording("call.wav")
    terminal_session.run("run", "call.wav", *terminal_session.given, "-f", "json", "--no-tracks")
    display = terminal_session.run("rediarize", "call.json", "--rttm", "turns.rttm", "-f", "srt,txt")
    assert "call.wav: 00:00:05, 2 people, 2 words" in display.text
    assert "call-rediarized.{srt,txt}" in display.text
    assert "call-rediarized/{Ann,Ben}.wav" in display.text
    assert "call.{srt,txt}" in terminal_session.run("export", "call.json", "-f", "srt,txt").text


def test_scores_fit_the_screen_and_sentences_are_folded_between_words(terminal_session: TerminalSession) -> None:
    shown = terminal_session.run("score", "turns.rttm", "--ref", "turns.rttm")
    assert any(line.startswith("recording ") and line.endswith(" people") for line in shown.text.splitlines())
    assert "a missed or wrong word counts where it was said" in shown.flowing


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_table_of_a_batch_has_its_reasons_and_counts(
    terminal_session: TerminalSession, size: tuple[int, int]
) -> None:
    for number in range(3):
        terminal_session.recording(f"calls/call-{number}.wav", number)
    (terminal_session.folder / "calls" / "bad.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing to hear here")
    display = terminal_session.run("batch", "calls", *terminal_session.given, "-o", "out", code=1, size=size)
    rows = [line.split() for line in display.text.splitlines()]
    assert ["call-0.wav", "done", "00:00:05", "2", "2", "0"] in rows
    assert ["bad.wav", "failed"] in rows
    reason = display.flowing.partition("bad.wav failed")[2]
    assert "bad.wav" in reason
    assert "again" in reason, "what to do about it"
    assert "3 done (" in display.flowing or "1 failed, 3 done (" in display.flowing
    assert all(f":calls/call-{number}.wav→out/call-{number}.*" in display.dense for number in range(3)), (
        "each one's end is told"
    )


def test_a_watch_collects_nothing_and_says_every_end(terminal_session: TerminalSession) -> None:
    terminal_session.recording("calls/first.wav", 1)
    display = terminal_session.start(
        "watch", "calls", *terminal_session.given, "--poll", "0.05", "-f", "txt", "--no-tracks"
    )
    for number, name in enumerate(("first", "second", "third")):
        terminal_session.recording(f"calls/{name}.wav", number)
        ending = f"done:calls/{name}.wav→calls/transcripts/{name}.*"
        display.until(lambda text, ending=ending: ending in "".join(text.split()) and BAR not in text)
    display.process.send_signal(signal.SIGTERM)
    assert display.end() == 0
    assert not display.screen.cursor.hidden
    assert all(sum(BAR in line for line in screen) <= 6 for screen in display.seen)
    assert "stopping: finished stages are kept" in display.flowing


def test_ctrl_c_says_what_is_kept(terminal_session: TerminalSession) -> None:
    """While it waits for another process that works on the same recording."""
    sha256 = hash_recording(terminal_session.recording("call.wav")).sha256
    with hold_lock(terminal_session.folder / "cache" / "runs" / sha256[:16] / "lock"):
        display = terminal_session.start("run", "call.wav", *terminal_session.given, "-o", "out")
        display.until(lambda text: "waiting for another meetsplit" in text and BAR in text)
        lines = display.shown()
        assert lines[lines.index("call.wav") + 1].strip().startswith("overall ━")
        assert "elapsed 0:0" in display.text
        display.process.send_signal(signal.SIGINT)
        assert display.end() == 130
    assert "stopped: no stage of call.wav was finished" in display.flowing
    assert BAR not in display.text
    assert not display.screen.cursor.hidden
