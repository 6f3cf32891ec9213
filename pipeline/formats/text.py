"""One line of text and one moment in time, as the text formats write them: blanks, widths, names, clock times."""

from __future__ import annotations

import re
import unicodedata

from meetsplit.pipeline.data import Speaker, Transcript

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def one_line(text: str) -> str:
    r"""The text without line breaks, tabs, doubled blanks and control characters.

    >>> one_line(" good\n\tmorning\x00 ")
    'good morning'
    """
    if text.isprintable() and "  " not in text and text == text.strip():  # the usual case, and the quick one
        return text
    printable = " ".join("".join(c for c in part if unicodedata.category(c) != "Cc") for part in text.split())
    return " ".join(printable.split())


def cell(text: str) -> str:
    """A text in a table: an apostrophe stands before what a spreadsheet would take for a formula.

    A transcript may quote anything, and a spreadsheet computes what begins with ``=``, ``+``, ``-`` or ``@``, of either
    width. In spreadsheets the apostrophe means text; other readers find it in the cell.

    >>> cell("=1+1"), cell("- Yes."), cell("Yes.")
    ("'=1+1", "'- Yes.", 'Yes.')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def speaker_names(transcript: Transcript) -> dict[Speaker, str]:
    """Each speaker's name on one line.

    The label where the name is missing or blank, and ``?`` where that is blank too.
    """
    names = dict(transcript.names)
    return {
        speaker: one_line(names.get(speaker, speaker)) or one_line(speaker) or "?" for speaker in transcript.speakers
    }


def width(text: str) -> int:
    """Columns on a screen: wide letters (Chinese, Japanese, Korean) take two, combining and invisible ones none.

    >>> width("naïve"), width("今日"), width("e\u0301")
    (5, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def shortened(text: str, columns: int) -> str:
    """The text cut off to so many columns.

    >>> shortened("Professor McGonagall", 12)
    'Professor M…'
    """
    if width(text) <= columns:
        return text
    kept = text
    while width(kept) > columns - 1:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds: the only rounding of times in the text formats."""
    return round(float(seconds) * 1000)


def stamp(at: int, mark: str = ".") -> str:
    """Milliseconds as a clock time with ``mark`` before the thousandths.

    >>> stamp(3_723_004, ",")
    '01:02:03,004'
    """
    return f"{clock(at)}{mark}{at % 1000:03d}"


def clock(at: int) -> str:
    """Milliseconds as ``hh:mm:ss``, rounded down.

    >>> clock(751_999)
    '00:12:31'
    """
    minutes, seconds = divmod(at // 1000, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def decimal(at: int) -> str:
    """Milliseconds as seconds with three decimals, computed without a float.

    >>> decimal(12_050)
    '12.050'
    """
    return f"{at // 1000}.{at % 1000:03d}"


def identifier(text: str) -> str:
    """A name that formats separated by blanks can hold: blanks become ``_``, a leading ``;`` (a comment) goes.

    >>> identifier("Weekly call (May)")
    'Weekly_call_(May)'
    """
    return one_line(text).replace(" ", "_").lstrip(";") or "unnamed"


def identifiers(transcript: Transcript) -> dict[Speaker, str]:
    """Each speaker's identifier in RTTM, STM and SegLST: the name without blanks.

    Where that would put two differently named people under one identifier, their labels are added.
    """
    names = speaker_names(transcript)
    short = {speaker: identifier(name) for speaker, name in names.items()}
    names_by_identifier: dict[str, set[str]] = {}
    for speaker, text in short.items():
        names_by_identifier.setdefault(text, set()).add(names[speaker])
    return {
        speaker: text if len(names_by_identifier[text]) == 1 else f"{text}_{identifier(speaker)}"
        for speaker, text in short.items()
    }


_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    r"""The text with U+FFFD for characters that no XML document can hold.

    >>> xml_text("a\x00b")
    'a�b'
    """
    return _NOT_XML.sub("\ufffd", text)
