"""The terminal: every line, table and bar of the command line is printed here.

File names, labels and people's names come from others: their control characters are written out (``\\x1b``), and
brackets and colons in them are text, never Rich's markup or emoji.

While bars are drawn, they own the screen: whatever any `Terminal` of the process prints on it appears above them. What
is printed past them is overwritten when they are drawn the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from rich.live import Live


class Terminal(Console):
    """A Rich console that sends no control character but Rich's own, and that never prints into bars."""

    _owner: ClassVar[Terminal | None] = None
    """The terminal of this process whose bars are drawn now."""

    _live: ClassVar[Live | None] = None
    """The bars."""

    def __init__(
        self, *, stderr: bool = False, width: int | None = None, soft_wrap: bool = False, **others: Any
    ) -> None:
        super().__init__(
            stderr=stderr, width=width, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False, **others
        )

    def print(self, *objects: Any, **how: Any) -> None:
        """Print, above the bars where there are any on the same screen."""
        owner = Terminal._owner
        if owner is None or owner is self or not self._shares_screen(owner):
            super().print(*objects, **how)
        else:
            owner.print(*objects, **{"soft_wrap": self.soft_wrap, **how})

    def start_bars(self, draw: Callable[[], RenderableType]) -> None:
        """Draw what ``draw`` returns below everything that is printed, four times a second, until `stop_bars`."""
        from rich.live import Live

        Terminal._owner = self
        Terminal._live = Live(console=self, get_renderable=draw, transient=True)
        Terminal._live.start(refresh=True)

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


def stop_bars() -> None:
    """Take the bars away, where there are any, and show the cursor again: at their end, and before a process ends at
    once.
    """
    try:
        if Terminal._live is not None:
            Terminal._live.stop()
    finally:
        Terminal._live = Terminal._owner = None


def wide() -> Terminal:
    """The console for tables: the terminal at its width, a file or a pipe without folding."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=400)


def print_line(text: str) -> None:
    """Print one plain line on stdout."""
    Terminal().print(text, highlight=False, markup=False, soft_wrap=True)


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
