"""Groups of commands: the program itself, `jobs`, `schedule`, `models` and `cache`.

Commands are imported when they are asked for. The page of a group is drawn here from the table of commands: typer's own
would need every command with its options, and libraries for Markdown and tracebacks.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
import typer.main
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from meetsplit.console.command_table import COMMANDS, CommandEntry, GroupEntry


class CommandGroup(TyperGroup):
    """A group of commands whose flags and arguments are shown without types: a flag takes no value."""

    def __init__(self, *, entries: Sequence[CommandEntry | GroupEntry], **others: Any) -> None:
        super().__init__(**others)
        self.entries = entries
        self.commands = _Commands(entries)  # type: ignore[assignment] # typer only reads it

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None where there is none."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _hide_types(command, ctx)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page about the group: usage, its options, and its commands in their panels."""
        panels = {"Options": [_option_row(parameter, ctx) for parameter in self.get_params(ctx)]}
        for entry in self.entries:
            if not entry.is_hidden:
                panels.setdefault(entry.panel, []).append((Text(entry.name, "bold cyan"), entry.summary))
        console = Console(markup=False, emoji=False, highlight=False)
        usage = Text.assemble(("Usage: ", "yellow"), (ctx.command_path, "bold"), f" {_usage(self, ctx)}")
        console.print(Padding(usage, 1))
        console.print(Padding(self.help or "", (0, 1, 1, 1)))
        first = max(len(row[0]) for title, rows in panels.items() if title != "Options" for row in rows)
        for title, rows in panels.items():
            console.print(_panel(title, rows, first if title != "Options" else None))


class ProgramGroup(CommandGroup):
    """The program's own commands."""

    def __init__(self, **others: Any) -> None:
        super().__init__(entries=COMMANDS, **others)


class _Commands(Mapping[str, Any]):
    """The commands of a group by name, each made when it is first asked for."""

    def __init__(self, entries: Sequence[CommandEntry | GroupEntry]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(self._entries[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _made(entry: CommandEntry | GroupEntry) -> Any:
    """The command of an entry as typer makes it, with its examples below its help."""
    if isinstance(entry, GroupEntry):
        return CommandGroup(
            name=entry.name,
            help=entry.summary,
            entries=entry.commands,
            no_args_is_help=True,
            rich_markup_mode="rich",
            rich_help_panel=entry.panel,
        )
    function = getattr(importlib.import_module(f"meetsplit.console.{entry.module}"), entry.function)
    heading = "Example:" if len(entry.examples) == 1 else "Examples:"
    epilog = "\n  ".join([heading, *entry.examples]) if entry.examples else None
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    program.command(entry.name, epilog=epilog, hidden=entry.is_hidden, rich_help_panel=entry.panel)(function)
    return typer.main.get_command(program)


def _usage_pieces(argument: Any, ctx: Any) -> list[str]:
    """An argument in the line of usage, without the braces that typer puts around one that is required."""
    name = argument.metavar or argument.name.upper()
    return [(name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")]


def _hide_types(command: Any, ctx: Any) -> None:
    """Let the help show no type for a command's arguments and flags, ``--help`` included."""
    for parameter in command.get_params(ctx):
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
            parameter.get_usage_pieces = functools.partial(_usage_pieces, parameter)
        elif parameter.is_flag and parameter.metavar is None:
            parameter.metavar = ""


def _usage(group: TyperGroup, ctx: Any) -> str:
    return " ".join(group.collect_usage_pieces(ctx))


def _option_row(parameter: Any, ctx: Any) -> tuple[Text, str]:
    """How an option of the group is written, and what it does."""
    names = sorted(parameter.opts, key=len, reverse=True)
    text = Text(" ").join(Text(name, "bold cyan" if name.startswith("--") else "bold green") for name in names)
    return text, parameter.help or ""


def _panel(title: str, rows: Sequence[tuple[Text, str]], first_width: int | None) -> Panel:
    """A titled frame with a table of what can be written and what it does."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, min_width=first_width)
    table.add_column(ratio=1)
    for written, summary in rows:
        table.add_row(written, summary)
    return Panel(table, title=title, title_align="left", border_style="dim")
