"""Settings files: ``~/.config/meetsplit/config.toml``, ``./meetsplit.toml`` and the one that --config names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.files.user_folders import user_folder
from meetsplit.pipeline.settings import from_toml

PROJECT_FILE = Path("meetsplit.toml")
"""The settings file of the current folder."""

QUEUE_OPTIONS = (
    "state_dir",
    "database",
    "priority",
    "retries",
    "retry_delay",
    "on_done",
    "on_done_env",
    "on_done_timeout",
    "webhook",
    "move_done",
    "include",
    "exclude",
    "max_memory",
    "nice",
)
"""Options of the queue, the fields of `job_options.QueueOptions`."""

_ONLY_NAMED = ("trust_model_code", "on_done", "on_done_env", "webhook", "state_dir", "database")
"""Options that run code or send data elsewhere: a file that merely lies in the current folder cannot set them.

Stored jobs hold commands, so whoever chooses the queue chooses what is run.
"""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file and its ``options`` by their names on the command line, with ``_``."""

    path: Path
    options: Mapping[str, Any]


def user_file() -> Path:
    """The user's own settings file: in ``$XDG_CONFIG_HOME`` where that is an absolute path, otherwise ``~/.config``."""
    return user_folder("config") / "meetsplit" / "config.toml"


def file_paths(config: Path | None) -> tuple[Path, ...]:
    """The settings files that count, the weakest first: the user's, then ``config`` or the one of this folder."""
    own, here = user_file(), config or PROJECT_FILE
    paths = [path for path in (own, here) if path == config or path.is_file()]
    if len(paths) == 2 and os.path.exists(here) and os.path.samefile(own, here):
        return (here,)
    return tuple(paths)


def read_files(config: Path | None, others: tuple[str, ...] = ()) -> tuple[SettingsFile, ...]:
    """The settings files of `file_paths`, read. ``others`` are options besides those of `Settings` and `Outputs`.

    Raises `SettingsError` for a file that cannot be read, an unknown option, and an option that the file of the
    current folder cannot set.
    """
    files = []
    for path in file_paths(config):
        options = from_toml(path, others)
        forbidden = sorted(set(_ONLY_NAMED) & set(options)) if path == PROJECT_FILE and config is None else ()
        if forbidden:
            name = forbidden[0].replace("_", "-")
            raise SettingsError(
                f"{path}: {name} is not taken from a file that lies in the current folder, because it runs code or "
                f"sends data: name the file (--config {path}), or set it in {user_file()}"
            )
        files.append(SettingsFile(path, options))
    return tuple(files)
