"""Memory of this process: whether another recording may begin. For the disks see `pipeline.diskspace`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Limits:
    """``memory`` is how many bytes this process may hold when it begins a recording; None is no limit."""

    memory: int | None = None

    def full(self) -> bool:
        """Whether this process holds more than it may."""
        return self.memory is not None and resident() > self.memory


def resident() -> int:
    """Bytes of memory that this process holds now; on systems without ``/proc``, the most it ever held."""
    status = Path("/proc/self/statm")
    if status.is_file():
        import resource

        return int(status.read_text("ascii").split()[1]) * resource.getpagesize()
    if sys.platform == "win32":
        raise SettingsError("--max-memory: the memory of a process cannot be told on this system")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
