"""Command lines of meetsplit in texts, and whether the program knows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

_ENDS = {"&&", "||", "|", ";", "&", ">", ">>", "2>", "<", "\\"}


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every ``meetsplit …`` in the code of a Markdown text: code in a line, and indented or fenced."""
    code = [match[1] for match in re.finditer(r"`(meetsplit [^`\n]+)`", text)]
    for line in code_blocks(text):
        code += re.findall(r"(?:^|[$;&|(]\s*|nohup |command: )(meetsplit .*)", line)
    for command in code:
        yield arguments(command)


def code_blocks(text: str) -> Iterator[str]:
    """The lines of indented and fenced blocks."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()


def arguments(command: str) -> list[str]:
    """What stands after ``meetsplit`` in a shell's line, up to a comment, a pipe or the next command."""
    try:
        words = shlex.split(command, comments=True)[1:]
    except ValueError:  # an apostrophe in a comment, or a line that goes on
        words = command.partition("  #")[0].split()[1:]
    end = next((at for at, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


@cache
def program() -> Any:
    """The command line as typer builds it."""
    from typer.main import get_command

    from meetsplit.cli import app

    return get_command(app)


def complaint(words: list[str]) -> str | None:
    """What the program does not know about a command line; None where it knows all of it."""
    command, path = program(), ["meetsplit"]
    rest = [word for word in words if word != "--debug"]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0].isupper() or rest[0] == "…":
            return None
        if rest[0] not in command.commands:
            return f"{' '.join(path)} has no command {rest[0]!r}"
        path.append(rest[0])
        command = command.commands[rest.pop(0)]
    known = {"--help", "-h", "--debug"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in rest:
        option = word.partition("=")[0].replace("_", "-") if word.startswith("--") else word
        if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
            return f"{' '.join(path)} has no option {option}"
    return None


def options() -> set[str]:
    """Every option of every command."""

    def below(command: Any) -> Iterator[str]:
        yield from (option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts))
        for inner in getattr(command, "commands", {}).values():
            yield from below(inner)

    return {option for option in below(program()) if option.startswith("-")} | {"--help", "-h"}
