"""Help pages: the groups of commands, an example for each, and flags without a type."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

TRANSCRIBE, AFTERWARDS, QUEUE, MACHINE = (
    "Transcribe",
    "Work with transcripts",
    "Jobs and schedules",
    "This machine",
)
"""Groups of commands on the top page, in order."""

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run": (
            "meetsplit run interview.mp3 -o results --num-speakers 2",
            "meetsplit run call.wav --channels split --channel-names Agent,Customer -f srt,txt",
            "meetsplit run meeting.m4a --start 10:00 --end 12:00 --names Alice,Ben",
        ),
        "demo": ("meetsplit demo", "meetsplit demo -o trial"),
        "rediarize": ("meetsplit rediarize meeting.json --num-speakers 4",),
        "export": ("meetsplit export meeting.json -f srt --name SPEAKER_00=Alice --max-line-width 32",),
        "score": ("meetsplit score meeting.json --ref truth.stm --ref truth.rttm",),
        "batch": ("meetsplit batch calls/ -o transcripts --retries 1",),
        "watch": ("meetsplit watch calls/ --include '*.m4a' -o transcripts",),
        "worker": ("meetsplit worker --device cuda",),
        "doctor": ("meetsplit doctor --channels split",),
        "jobs list": ("meetsplit jobs list --state failed",),
        "jobs show": ("meetsplit jobs show 1f3c",),
        "jobs cancel": ("meetsplit jobs cancel 1f3c",),
        "jobs retry": ("meetsplit jobs retry --failed",),
        "jobs clean": ("meetsplit jobs clean --older-than 7",),
        "schedule add": ('meetsplit schedule add nightly --cron "0 2 * * *" --folder calls/ -o transcripts',),
        "schedule list": ("meetsplit schedule list --json",),
        "schedule pause": ("meetsplit schedule pause nightly",),
        "schedule resume": ("meetsplit schedule resume nightly",),
        "schedule run-now": ("meetsplit schedule run-now nightly",),
        "schedule remove": ("meetsplit schedule remove nightly",),
        "models list": ("meetsplit models list",),
        "models fetch": ("meetsplit models fetch embedded", "meetsplit models fetch large-v3 --model-dir models/"),
        "cache list": ("meetsplit cache list",),
        "cache clear": ("meetsplit cache clear --older-than 30",),
        "cache prune": ("meetsplit cache prune --cache-size 2GB",),
    }
)
"""Lines that a person could type, by command."""


class CommandGroup(TyperGroup):
    """A group of commands whose flags and arguments are shown without types: a flag takes no value."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command and the remaining arguments of a command line."""
        name, command, remaining = super().resolve_command(ctx, args)
        if command is not None:
            hide_types(command, ctx)
        return name, command, remaining

    def get_help(self, ctx: Any) -> str:
        """The page about the group itself."""
        hide_types(self, ctx)
        return super().get_help(ctx)


def hide_types(command: Any, ctx: Any) -> None:
    """Let the help show no type for a command's arguments and flags, ``--help`` included."""
    for parameter in command.get_params(ctx):
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
        elif parameter.is_flag and parameter.metavar is None:
            parameter.metavar = ""


def for_command_line(app: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    """The application for one command line: of all commands but the one that it names, only name and help.

    Typer reads the options of every command at each start, which takes longer than everything else for ``--help``.
    """
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    reduced = copy.copy(app)
    reduced.registered_commands = [
        command if word == (command.name or getattr(command.callback, "__name__", "")) else _without_options(command)
        for command in app.registered_commands
    ]
    reduced.registered_groups = [_reduced_group(group, word, arguments) for group in app.registered_groups]
    return reduced


def _reduced_group(group: Any, word: str | None, arguments: Sequence[str]) -> Any:
    """A group of commands with the options of the command that the arguments name, if that is one of them."""
    reduced = copy.copy(group)
    is_named = word is not None and group.name == word
    rest = arguments[arguments.index(word) + 1 :] if is_named else ()
    reduced.typer_instance = for_command_line(group.typer_instance, rest)
    return reduced


def _without_options(command: Any) -> Any:
    """A command with the name and help of this one."""

    def stub() -> None:
        raise NotImplementedError

    stub.__doc__, stub.__name__ = command.callback.__doc__, command.callback.__name__
    reduced = copy.copy(command)
    reduced.callback = stub
    return reduced


def add_command(
    app: typer.Typer, command: Callable[..., None], name: str, panel: str | None = None, group: str = ""
) -> None:
    """Add a command to an application, or to a ``group`` of commands, with its examples below its help."""
    lines = EXAMPLES[f"{group} {name}".strip()]
    heading = "Example:" if len(lines) == 1 else "Examples:"
    app.command(name, epilog="\n  ".join([heading, *lines]), rich_help_panel=panel)(command)
