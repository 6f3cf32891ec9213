"""Sizes and lengths of time, written for people."""

from __future__ import annotations


def megabytes(size: float) -> str:
    """A size in bytes, written for people.

    >>> megabytes(123_456_789)
    '123.5 MB'
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def ago(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> ago(7300.0)
    '2 h'
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
