"""Escapes for control characters in file names, labels and names, which terminals would obey.

They are the C0 and C1 controls (ESC begins commands that clear the screen, rename the window or type for the user), and
those that turn the direction of writing round, so that a name reads otherwise than it is.
"""

from __future__ import annotations

import re

_BIDIRECTIONAL = "\u202a-\u202e\u2066-\u2069"
_SHOWN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDIRECTIONAL}\u2028\u2029\ud800-\udfff]")
_IN_JSON = re.compile(f"[\x7f-\x9f{_BIDIRECTIONAL}\u2028\u2029\ud800-\udfff]")
_BYTE = 0x100
_UNDECODABLE = range(0xDC80, 0xDD00)


def shown(text: str) -> str:
    r"""The text with its control characters written out; line breaks and tabs stay.

    Bytes of file names that are no UTF-8, which Python keeps as half characters, are written out as well.

    >>> print(shown("a\x1b[2Jb\u202ec\udce9.wav"))
    a\x1b[2Jb\u202ec\xe9.wav
    """
    return _SHOWN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _UNDECODABLE:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < _BYTE else f"\\u{code:04x}"


def json_escaped(text: str) -> str:
    r"""A JSON text in which no control character stands as itself; its meaning is the same.

    >>> print(json_escaped('{"name": "a\x9b\u202eb"}'))
    {"name": "a\u009b\u202eb"}
    """
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
