"""Sizes, ages and times as people write them: parsed as options, and times written."""

from __future__ import annotations

import math
import re

from meetsplit.pipeline.errors import SettingsError

DAY = 86400.0
"""Seconds per day."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size(text: str, option: str = "--max-memory") -> int:
    """Bytes of a size such as ``8GB`` or ``512 MiB``. Raises `SettingsError` naming the ``option`` for anything else.

    >>> size("1.5GB"), size("512 MiB")
    (1500000000, 536870912)
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(I?)B?\s*", text.upper())
    if match is None or math.isinf(float(match[1])):
        raise SettingsError(f"{option} {text}: write a size such as 8GB or 512MB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 ** "KMGT".index(unit) * 1024 if binary and unit else _UNITS[unit]))


def size_or_none(value: str | int, option: str) -> int | None:
    """Bytes of a size, or None for "none".

    >>> size_or_none("none", "--cache-size"), size_or_none(0, "--cache-size")
    (None, 0)
    """
    return None if str(value).strip().lower() == "none" else size(str(value), option)


def days_or_none(value: str | float, option: str) -> float | None:
    """Seconds of a number of days, or None for "none". Raises `SettingsError` naming the ``option`` for anything else.

    >>> days_or_none("2", "--cache-age")
    172800.0
    """
    if str(value).strip().lower() == "none":
        return None
    try:
        days = float(value)
    except ValueError:
        days = math.nan
    if not (math.isfinite(days) and days >= 0):
        raise SettingsError(f"{option} {value}: a number of days, 0 or more, or none")
    return days * DAY


def seconds(value: str | float, option: str) -> float:
    """Seconds of a time: a number of seconds, ``m:ss`` or ``h:mm:ss``. Raises `SettingsError` for anything else.

    >>> seconds("1:02:03.5", "--start"), seconds("2:00", "--end"), seconds(90, "--end")
    (3723.5, 120.0, 90.0)
    """
    text = str(value).strip()
    clock = re.fullmatch(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d+)?)", text)
    if clock is not None:
        hours, minutes, rest = clock.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(rest)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SettingsError(f"{option} {value}: write a time as seconds, m:ss or h:mm:ss, such as 90 or 0:01:30")
    return number


def clock_time(seconds: float) -> str:
    """A time as ``m:ss``, or ``h:mm:ss`` from an hour on; parts of seconds are left out.

    >>> clock_time(127.4), clock_time(3600)
    ('2:07', '1:00:00')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
