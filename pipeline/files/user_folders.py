"""The user's own folders: where programs keep what belongs to one user (XDG Base Directory Specification 0.8)."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Literal

_DEFAULTS = MappingProxyType({"cache": ".cache", "config": ".config", "data": ".local/share", "state": ".local/state"})


def user_folder(kind: Literal["cache", "config", "data", "state"]) -> Path:
    """The folder of that kind: ``$XDG_CACHE_HOME`` and its like where that is an absolute path, else below the home."""
    folder = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    return Path(folder) if os.path.isabs(folder) else Path.home() / _DEFAULTS[kind]
