"""The terminal: every line, table and bar of the command line is printed here.

File names, labels and people's names come from others: their control characters are written out (``\\x1b``), and
brackets and colons in them are text, never Rich's markup or emoji.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text


class Terminal(Console):
    """A Rich console that sends no control character but Rich's own."""

    def __init__(
        self, *, stderr: bool = False, width: int | None = None, soft_wrap: bool = False, **others: Any
    ) -> None:
        super().__init__(
            stderr=stderr, width=width, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False, **others
        )

    def render_str(self, text: str, **how: Any) -> Text:
        """Text as Rich lays it out: control characters are written out before widths are counted."""
        return super().render_str(_without_controls(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments that are sent, without control characters whatever they were made from."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_without_controls(segment.text), segment.style)


def wide() -> Terminal:
    """The console for tables: the terminal at its width, a file or a pipe without folding."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=400)


def print_line(text: str) -> None:
    """Print one plain line on stdout."""
    Terminal().print(text, highlight=False, markup=False, soft_wrap=True)


def _without_controls(text: str) -> str:
    # Imported when something is printed: the package of all formats loads NumPy, and --help has to be quick.
    from meetsplit.pipeline.formats.control_characters import shown

    return shown(text)
