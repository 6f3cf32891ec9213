"""The memory limit of a worker process. For the disks see `pipeline.results.disk_space`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from meetsplit.pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The most bytes that this process may hold when it begins a recording; None is no limit."""

    size: int | None = None

    def exceeded(self) -> bool:
        """Whether this process holds more than the limit."""
        return self.size is not None and resident_memory() > self.size


def resident_memory() -> int:
    """Resident memory of this process in bytes; on systems without ``/proc``, its peak."""
    status = Path("/proc/self/statm")
    if status.is_file():
        import resource

        return int(status.read_text("ascii").split()[1]) * resource.getpagesize()
    if sys.platform == "win32":
        raise SettingsError("--max-memory: the memory of a process cannot be told on this system")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
