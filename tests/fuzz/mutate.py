"""Mutations: how an input becomes a hostile or damaged one. Every function takes a random generator and gives new
bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (
    *(
        "0",
        "-1",
        "-0.0",
        "1e-320",
        "1e15",
        "1e300",
        "1e306",
        "1e308",
        "1e309",
        "-1e309",
        "nan",
        "inf",
        "-inf",
        "NaN",
        "Infinity",
    ),
    *(
        "9" * 400,
        "0x10",
        "1_000",
        "1,5",
        "٣",
        "１",
        "+1",
        "1e",
        ".",
        "2147483647",
        "2147483648",
        "4294967296",
        "9223372036854775808",
        "1e-9",
    ),
)

TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\x00",
        "\x07",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x7f",
        "\u202eabc",
        "e\u0301",
        "😀" * 20,
    ),
    *(
        "..",
        ".",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\x",
        "CON",
        "nul.txt",
        "~",
        "$HOME",
        "$(id)",
        "`id`",
        "%s%n",
        "{0}",
        "%",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "a,b",
        'a"b',
        "a;b",
        "a\nb",
        "a\rb",
        "<v x>",
        "<b>",
        "{\\an8}",
        "-->",
        "&lt;",
        "]]>",
    ),
    *(
        "UNKNOWN",
        "SPEAKER_00",
        "SPEAKER_99",
        "<NA>",
        ";;",
        "SPEAKER",
        "null",
        "true",
        "[]",
        "{}",
        "x" * 3000,
        "é" * 200,
        "\ud800",
    ),
)
"""Words that programs trip over."""


def text(seed: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Lines and fields of a text dropped, doubled, swapped and replaced, or some of `data`'s mutations."""
    if rng.random() < 0.2:
        return data(seed, rng, others)
    lines = seed.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        lines = rng.choice(_LINES)(lines, rng)
    if rng.random() < 0.05:
        lines = ["\ufeff", *lines]
    if rng.random() < 0.03:
        return "".join(lines).encode("utf-16", "surrogatepass")
    return "".join(lines).encode("utf-8", rng.choice(("surrogatepass", "replace")))


def _without(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines) + 1)
    return lines[:at] + lines[at + rng.choice((1, 1, 5)) :]


def _twice(lines: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(lines) + 1)
    return lines[:at] + lines[at : at + 1] * rng.choice((2, 2, 200)) + lines[at + 1 :]


def _swapped(lines: list[str], rng: random.Random) -> list[str]:
    return rng.sample(lines, len(lines))


def _field(lines: list[str], rng: random.Random) -> list[str]:
    """One word, number or piece between punctuation becomes another."""
    if not lines:
        return [rng.choice(TEXTS)]
    at = rng.randrange(len(lines))
    fields = lines[at].split(" ")
    which = rng.randrange(len(fields))
    kept = fields[which]
    fields[which] = rng.choice(
        (rng.choice(NUMBERS), rng.choice(TEXTS), kept + rng.choice(TEXTS), kept[: len(kept) // 2])
    )
    return [*lines[:at], " ".join(fields), *lines[at + 1 :]]


def _number(lines: list[str], rng: random.Random) -> list[str]:
    """One run of digits becomes another number."""
    places = [at for at, line in enumerate(lines) if any(letter.isdigit() for letter in line)]
    if not places:
        return _field(lines, rng)
    at = rng.choice(places)
    line = lines[at]
    first = rng.choice([index for index, letter in enumerate(line) if letter.isdigit()])
    last = first
    while last < len(line) and (line[last].isdigit() or line[last] in ".eE+-"):
        last += 1
    return [*lines[:at], line[:first] + rng.choice(NUMBERS) + line[last:], *lines[at + 1 :]]


_LINES: tuple[Callable[[list[str], random.Random], list[str]], ...] = (
    _without,
    _twice,
    _swapped,
    _field,
    _field,
    _field,
    _number,
    _number,
)


def document(seed: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """JSON with values replaced, removed, doubled or nested; sometimes `text`'s mutations, which leave no JSON."""
    if rng.random() < 0.3:
        return text(seed, rng, others)
    try:
        root: Any = json.loads(seed)
    except ValueError:
        return text(seed, rng, others)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        root = _changed(root, rng)
    if rng.random() < 0.02:
        depth = rng.choice((100, 900, 5000, 100_000))
        return ("[" * depth + "]" * rng.choice((depth, depth - 1))).encode()
    return json.dumps(root, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(root: Any, rng: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            collect(value[key])

    collect(root)
    if not places:
        return _value(root, rng)
    holder, key = rng.choice(places)
    what = rng.random()
    if what < 0.15:
        del holder[key]
    elif what < 0.25 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 1, 50)))
    elif what < 0.3 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    else:
        holder[key] = _value(holder[key], rng)
    return root


def _value(old: Any, rng: random.Random) -> Any:
    simple = rng.choice(
        (
            None,
            True,
            False,
            0,
            -1,
            1e300,
            1e306,
            1e308,
            float("nan"),
            float("inf"),
            10**400,
            1e-320,
            [],
            {},
            "",
            [[]],
            [None],
        )
    )
    options = [simple, rng.choice(TEXTS), rng.choice(NUMBERS), [old], {"start": old}, str(old)]
    if isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 1e300:
        options += [-old, old * 1e6, old + 1e-9, old * rng.random() * 3]
    if isinstance(old, str):
        options += [old + rng.choice(TEXTS), old * 50, old[::-1]]
    return rng.choice(options)


def data(seed: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Bytes flipped, cut off, removed, doubled, swapped, zeroed, put in, or taken from another input; fields set to
    extremes.
    """
    changed = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_DATA)(changed, rng)
    if others and rng.random() < 0.05:
        other = rng.choice(others)
        changed[rng.randrange(len(changed) + 1) :] = other[rng.randrange(len(other) + 1) :]
    return bytes(changed)


def _flip(changed: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3, 20)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)


def _head_byte(changed: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 4)) if changed else 0):
        changed[rng.randrange(min(len(changed), 256))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _extreme(changed: bytearray, rng: random.Random) -> None:
    """A field of a header, or any other, becomes an extreme number, in either order of bytes."""
    size = rng.choice((1, 2, 4, 4, 8))
    if len(changed) < size:
        return
    reach = rng.choice((64, 64, 512, 4096, len(changed)))
    at = rng.randrange(max(min(len(changed), reach) - size + 1, 1))
    at -= at % rng.choice((1, size))
    top = 1 << (8 * size)
    value = rng.choice(
        (0, 1, 2, top - 1, top // 2, top // 2 - 1, top // 4, rng.randrange(top), 0xFFFFFF % top, 48_000 % top)
    )
    changed[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(changed: bytearray, rng: random.Random) -> None:
    del changed[rng.choice((rng.randrange(len(changed) + 1), min(rng.randrange(200), len(changed)))) :]


def _block(changed: bytearray, rng: random.Random) -> tuple[int, int]:
    size = rng.choice((1, 4, 16, 256, 4096))
    at = rng.randrange(len(changed) + 1)
    return at, min(at + size, len(changed))


def _remove(changed: bytearray, rng: random.Random) -> None:
    first, last = _block(changed, rng)
    del changed[first:last]


def _double(changed: bytearray, rng: random.Random) -> None:
    first, last = _block(changed, rng)
    changed[last:last] = changed[first:last] * rng.choice((1, 1, 30))


def _swap(changed: bytearray, rng: random.Random) -> None:
    first, last = _block(changed, rng)
    other = rng.randrange(len(changed) + 1)
    taken = changed[other : other + last - first]
    if len(taken) == last - first:
        changed[other : other + last - first] = changed[first:last]
        changed[first:last] = taken


def _zero(changed: bytearray, rng: random.Random) -> None:
    first, last = _block(changed, rng)
    changed[first:last] = bytes(last - first)


def _insert(changed: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(changed) + 1)
    changed[at:at] = rng.randbytes(rng.choice((1, 3, 64, 1000)))


_DATA: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _head_byte, _head_byte, _extreme, _extreme, _extreme),
    *(_cut, _remove, _double, _swap, _zero, _insert),
)
