"""The terminal: every line, table and bar of the command line passes here.

What is printed names files, labels and people, which other people chose: their control characters are written out
(``\\x1b``), and brackets and colons in them are text, never Rich's markup or emoji.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from meetsplit.pipeline.formats.control_characters import shown


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
        return super().render_str(shown(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is sent, whatever it was made from."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)
