"""Sizes, lengths of time and moments, written for people."""

from __future__ import annotations

import time


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


def duration(seconds: float) -> str:
    """A length of time in its two largest units; below ten seconds with a decimal.

    >>> duration(4.26), duration(59.7), duration(192.0), duration(4020.0)
    ('4.3 s', '1 min', '3 min 12 s', '1 h 7 min')
    """
    if seconds < 9.95:  # what would be written as 10.0 needs no decimal
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, left_over = divmod(minutes, 60)
    parts = ((hours, "h"), (left_over, "min")) if hours else ((minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "recording"), counted(0, "job")
    ('1 recording', '0 jobs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def about(seconds: float) -> str:
    """A length of time that is only an estimate: one or two digits of it.

    >>> about(23.0), about(192.0), about(4020.0), about(36000.0)
    ('20 s', '3 min', '1 h 10 min', '10 h')
    """
    for step, up_to in ((10, 60), (60, 3600), (600, 36000)):
        if seconds < up_to - step / 2:
            return duration(max(round(seconds / step), 1) * step)
    return duration(round(seconds / 3600) * 3600)


def day_and_time(moment: float) -> str:
    """A Unix time as day and local time.

    >>> len(day_and_time(0.0)) in (11, 12)
    True
    """
    return time.strftime("%d %b %H:%M", time.localtime(moment)).lstrip("0")


def kept_sentence(since: float | None) -> str:
    """Since when a stage's result is kept; ``since`` is a Unix time, None where it is unknown.

    >>> kept_sentence(None)
    'kept'
    """
    return "kept" if since is None else f"kept from {day_and_time(since)}"
