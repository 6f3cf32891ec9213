"""The reference of the command line as a page of Markdown, from the commands themselves.

Plugins for click do not know typer's commands, which are of a class of their own since typer 0.29, and typer's
generator knows neither the groups of options nor hidden ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_HEAD = """\
# Command line

Every command with every option, from the program itself. `meetsplit COMMAND --help` prints the same. Options can be
written with `-` or `_`. The options of a run can also stand in a settings file (`--config`).
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for context in contexts() for line in _command(context))])


def contexts() -> Iterator[Any]:
    """A typer context for every command: the program itself, then its commands and theirs, in the order of --help.

    Hidden ones are earlier names of others.
    """
    from typer import Context
    from typer.main import get_command

    from meetsplit.cli import app

    def below(context: Any) -> Iterator[Any]:
        yield context
        group = context.command
        for name in group.list_commands(context) if hasattr(group, "list_commands") else ():
            command = group.get_command(context, name)
            if not command.hidden:
                yield from below(Context(command, info_name=name, parent=context))

    program = get_command(app)
    return below(Context(program, info_name="meetsplit", **program.context_settings))


def _command(context: Any) -> Iterator[str]:
    """Heading, description, usage and options of one command."""
    command = context.command
    depth = 2 if context.parent is None or context.parent.parent is None else 3
    yield f"{'#' * depth} `{context.command_path}`\n"
    yield _plain(command.help or "") + "\n"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    if command.epilog:
        yield "\n".join(_examples(_plain(command.epilog))) + "\n"
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        panel, row = _row(parameter, context)
        panels.setdefault(panel, []).append(row)
    for panel in sorted(panels, key=lambda name: name == _HIDDEN):
        yield f"| {panel} | |\n|---|---|"
        yield "\n".join(f"| {option} | {text} |" for option, text in panels[panel]) + "\n"


_HIDDEN = "Also understood"


def _row(parameter: Any, context: Any) -> tuple[str, tuple[str, str]]:
    """The panel of an option or argument, and its row: what to write, and what it does."""
    record = parameter.get_help_record(context)
    if record is None:
        return _HIDDEN, (_code(", ".join([*parameter.opts, *parameter.secondary_opts])), cell(parameter.help or ""))
    written, text = record
    help_text = parameter.help or ""
    more = text.removeprefix(help_text) if text.startswith(help_text) else ""
    default_panel = "Arguments" if parameter.param_type_name == "argument" else "Options"
    panel = getattr(parameter, "rich_help_panel", None) or default_panel
    return panel, (_code(written), cell(f"{_plain(help_text)} {more.strip()}"))


def _code(option: str) -> str:
    return f"`{option}`{{ .option }}"


def _examples(epilog: str) -> Iterator[str]:
    """The epilog's lines; those that are commands are blocks of code."""
    in_code = False
    for line in epilog.splitlines():
        is_code = line.strip().startswith(("$ ", "meetsplit "))
        if is_code != in_code:
            yield ""
        yield f"    {line.strip().removeprefix('$ ')}" if is_code else line
        in_code = is_code


def _plain(text: str) -> str:
    """The text without rich's markup."""
    from rich.text import Text

    return Text.from_markup(text).plain.strip()


def cell(text: str) -> str:
    """The text on one line of a table, with what Markdown would take for HTML or a column written out."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("*", "\\*")):
        text = text.replace(sign, entity)
    return " ".join(text.split())
