"""The terminal: every line, table and bar of the command line is printed here.

File names, labels and people's names come from others: their control characters are written out (``\\x1b``), and
brackets and colons in them are text, never Rich's markup or emoji.

While bars are drawn, they own the screen: whatever any `Terminal` of the process prints on it appears above them. What
is printed past them is overwritten when they are drawn the next time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from meetsplit.pipeline.results.folder import Placement

_SCREEN = threading.RLock()
"""Held by whoever changes the screen while there are bars: Rich finds their place by what it has drawn last, so that
two threads that print at once would leave a copy of them behind.
"""

REDRAW_EVERY = 0.25
"""Seconds between two drawings of the bars."""


class Terminal(Console):
    """A Rich console that sends no control character but Rich's own, and that never prints into bars."""

    _bars: ClassVar[Bars | None] = None
    """The bars of this process that are drawn now."""

    def __init__(
        self, *, stderr: bool = False, width: int | None = None, soft_wrap: bool = False, **others: Any
    ) -> None:
        super().__init__(
            stderr=stderr, width=width, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False, **others
        )

    def print(self, *objects: Any, **how: Any) -> None:
        """Print, above the bars where there are any on the same screen."""
        bars = Terminal._bars
        if bars is None or not self._shares_screen(bars.terminal):
            super().print(*objects, **how)
            return
        with _SCREEN:
            if bars.terminal is self:
                super().print(*objects, **how)
            else:
                bars.terminal.print(*objects, **{"soft_wrap": self.soft_wrap, **how})

    def say(self, sentence: str, style: str | None = None) -> None:
        """Print a sentence: folded between words on a terminal, on one line elsewhere."""
        self.print(sentence, style=style, soft_wrap=not self.is_terminal)

    def start_bars(self, draw: Callable[[], RenderableType]) -> None:
        """Draw what ``draw`` returns below everything that is printed, four times a second, until `stop_bars`."""
        Terminal._bars = Bars(self, draw)
        Terminal._bars.start()

    def _shares_screen(self, owner: Terminal) -> bool:
        if not self.is_terminal:
            return False
        try:
            return os.fstat(self.file.fileno()).st_rdev == os.fstat(owner.file.fileno()).st_rdev
        except (OSError, ValueError):  # no file of the system, as in a notebook
            return True

    def render_str(self, text: str, **how: Any) -> Text:
        """Text as Rich lays it out: control characters are written out before widths are counted."""
        return super().render_str(_without_controls(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments that are sent, without control characters whatever they were made from."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_without_controls(segment.text), segment.style)


class Bars:
    """What is drawn at the bottom of a terminal, again and again, by a thread of its own."""

    def __init__(self, terminal: Terminal, draw: Callable[[], RenderableType]) -> None:
        from rich.live import Live

        self.terminal = terminal
        self._live = Live(console=terminal, get_renderable=draw, transient=True, auto_refresh=False)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="meetsplit-bars", daemon=True)

    def start(self) -> None:
        """Draw them for the first time."""
        with _SCREEN:
            self._live.start(refresh=True)
        self._thread.start()

    def stop(self) -> None:
        """Take them away and show the cursor; they stay where the terminal takes no output any more."""
        self._over.set()
        if _SCREEN.acquire(timeout=2.0):
            try:
                self._live.stop()
            finally:
                _SCREEN.release()

    def _redraw(self) -> None:
        while not self._over.wait(REDRAW_EVERY):
            with _SCREEN:
                if not self._over.is_set():
                    self._live.refresh()


def stop_bars() -> None:
    """Take the bars away, where there are any: at their end, and before a process ends at once."""
    bars = Terminal._bars
    if bars is not None:
        try:
            bars.stop()
        finally:
            Terminal._bars = None


def wide() -> Terminal:
    """The console for tables: the terminal at its width, a file or a pipe without folding."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=400)


def print_line(text: str) -> None:
    """Print one plain line on stdout."""
    Terminal().print(text, highlight=False, markup=False, soft_wrap=True)


def print_error(error: object) -> None:
    """Print an error, which says what went wrong and what to do, on stderr."""
    Terminal(stderr=True).say(f"error: {error}", style="bold red")


def note_placement(source: object, placement: Placement) -> None:
    """Say on stderr that results have another name than the recording or transcript, and why."""
    if placement.reason is not None:
        Terminal(stderr=True).say(f"note: {source} is written as {placement.stem}.*, because {placement.reason}")


def time_of_day() -> str:
    """The local date and time for a line in a log.

    >>> len(time_of_day())
    19
    """
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _without_controls(text: str) -> str:
    # Imported when something is printed: the package of all formats loads NumPy, and --help has to be quick.
    from meetsplit.pipeline.formats.control_characters import shown

    return shown(text)
