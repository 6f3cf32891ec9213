"""Files that a page saves: their names say which transcript they belong to.

A page called ``meeting.html`` saves corrections as ``meeting.corrected.json``; a browser may call the second and later
ones ``meeting.corrected (1).json``, ``meeting.corrected(1).json`` or ``meeting.corrected-1.json``.
"""

from __future__ import annotations

import re
from pathlib import Path

_CORRECTED = re.compile(r"(?P<stem>.+)\.corrected(?: ?\(\d+\)|[- ]\d+)?", re.DOTALL)


def corrected_stem(path: Path) -> str | None:
    """The stem of the transcript whose corrections a file holds by its name; None for any other file.

    >>> corrected_stem(Path("call.corrected (2).json")), corrected_stem(Path("call.json"))
    ('call', None)
    """
    match = _CORRECTED.fullmatch(path.stem) if path.suffix == ".json" else None
    return None if match is None else match["stem"]
