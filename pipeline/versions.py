"""Which versions made this? For `made_by`, `doctor` and the protocol beside every number."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

PACKAGES = ("torch", "torchaudio", "pyannote.audio", "speechbrain", "openai-whisper", "av", "pocketsphinx")


@functools.cache
def version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def installed() -> tuple[tuple[str, str | None], ...]:
    """Python and the packages that shape a result, with their versions."""
    return (("python", platform.python_version()), *((package, version(package)) for package in PACKAGES))


def recorded() -> tuple[tuple[str, str], ...]:
    """The same without what is missing."""
    return tuple((name, found) for name, found in installed() if found is not None)


def meetsplit() -> str:
    """Our own version."""
    return version("meetsplit") or "unknown"
