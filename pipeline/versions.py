"""Versions of Python and of the packages that determine a result, for `made_by`, `doctor` and benchmark reports."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

PACKAGES = (
    "torch",
    "torchaudio",
    "pyannote.audio",
    "speechbrain",
    "openai-whisper",
    "ctranslate2",
    "av",
    "pocketsphinx",
)
"""Distributions that determine a result."""


@functools.cache
def version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def installed() -> tuple[tuple[str, str | None], ...]:
    """Python and `PACKAGES` with their versions; None for those that are not installed."""
    return (("python", platform.python_version()), *((package, version(package)) for package in PACKAGES))


def recorded() -> tuple[tuple[str, str], ...]:
    """Python and those of `PACKAGES` that are installed, with their versions."""
    return tuple((name, number) for name, number in installed() if number is not None)


def meetsplit() -> str:
    """The version of this package."""
    return version("meetsplit") or "unknown"
