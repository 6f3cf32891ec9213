"""Makes run.svg, the picture of the README: `meetsplit demo` in a pseudo-terminal, and the screen that it leaves.

    python docs/images/make.py

needs a system with pseudo-terminals, `pip install pyte`, and the models of `meetsplit models fetch embedded`.
"""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import select
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyte
from rich.color import ANSI_COLOR_NAMES
from rich.console import Console
from rich.style import Style
from rich.text import Text

from meetsplit.pipeline.models.weights import default_cache

COLUMNS, LINES = 100, 200
COMMAND = ("meetsplit", "demo")


def main() -> None:
    """Run the command in a folder with the sample, and write the picture."""
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"  # nothing is kept in it yet, but the models are there
        cache.mkdir()
        (cache / "wheels").symlink_to(default_cache() / "wheels")
        os.environ |= {"MEETSPLIT_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
        screen = terminal_after(COMMAND, folder)
    lines = [Text.assemble(("$ ", "green"), " ".join(COMMAND)), *text_of(screen)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(line, no_wrap=True, crop=True)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", console.export_svg(title="meetsplit"), flags=re.DOTALL)
    Path(__file__).with_name("run.svg").write_text(svg, "utf-8")  # without rich's fonts, which lie on a server


def terminal_after(command: Sequence[str], folder: str) -> pyte.Screen:
    """The screen of a terminal after the command has ended."""
    import fcntl
    import termios

    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PATH": programs()}
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    while select.select([terminal], [], []):
        try:
            received = os.read(terminal, 65536)
        except OSError:  # how Linux tells that the other side has ended
            break
        if not received:
            break
        stream.feed(received)
    _, status = os.waitpid(process, 0)
    if status != 0:
        sys.exit("\n".join(screen.display).rstrip())
    return screen


def programs() -> str:
    """The search path with this interpreter's programs first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def text_of(screen: pyte.Screen) -> list[Text]:
    """The lines of the screen with their colours."""
    return [line_of(screen, row) for row in range(screen.lines)]


def line_of(screen: pyte.Screen, row: int) -> Text:
    """One line of the screen."""
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    runs = itertools.groupby(cells, style_of)
    line = Text.assemble(*(("".join(cell.data for cell in run), style) for style, run in runs))
    line.rstrip()
    return line


def style_of(cell: pyte.screens.Char) -> Style:
    """A cell's colours and weight for rich."""
    return Style(color=colour(cell.fg), bgcolor=colour(cell.bg), bold=cell.bold, italic=cell.italics)


def colour(name: str) -> str | None:
    """A colour of pyte (a name, or six hexadecimal digits) for rich."""
    if name == "default":
        return None
    plain = name.removeprefix("bright").replace("brown", "yellow")
    if plain not in ANSI_COLOR_NAMES:
        return f"#{name}"
    return f"bright_{plain}" if name.startswith("bright") else plain


if __name__ == "__main__":
    main()
