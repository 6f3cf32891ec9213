"""Names of results: fit for every system, short enough, and never two recordings' under one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meetsplit.pipeline.formats import suffixes
from meetsplit.pipeline.results.stems import FAILED, safe_stem, shorten_stem, stem_endings, unique_stems


def stems(*paths: str) -> list[str]:
    return list(unique_stems([Path(path) for path in paths]).values())


def test_stems() -> None:
    assert stems("/in/a.wav", "/in/b.wav") == ["a", "b"]
    assert stems("/in/call.m4a", "/in/call.wav", "/may/call.m4a") == ["call", "call-wav", "call-may"]
    assert stems("/may/call.wav", "/june/call.wav", "/july/call.wav", "/x/july/call.wav") == [
        "call",
        "call-june",
        "call-july",
        "call-2",
    ]
    assert stems("/in/call.m4a", "/in/call.wav", "/in/call-wav.mp3") == ["call", "call-in", "call-wav"]
    assert stems("/in/Call.m4a", "/in/call.wav") == ["Call", "call-wav"]
    assert stems("/in/x.wav", "/in/x.seglst.wav") == ["x", "x.seglst-wav"]


def test_the_same_file_twice_has_one_stem(tmp_path: Path) -> None:
    found = unique_stems([tmp_path / "a.wav", tmp_path / "." / "a.wav"])
    assert set(found.values()) == {"a"}


def test_a_link_is_named_after_itself(tmp_path: Path) -> None:
    (tmp_path / "real.wav").touch()
    (tmp_path / "alias.wav").symlink_to("real.wav")
    assert list(unique_stems([tmp_path / "alias.wav"]).values()) == ["alias"]


@pytest.mark.parametrize(
    ("file", "stem"),
    [
        ("...m4a", "recording"),
        ("..m4a", "recording"),
        (".hidden.wav", "hidden"),
        (".meetsplit.wav", "meetsplit"),
        ("CON.wav", "_CON"),
        ("nul.part.wav", "_nul.part"),
        ("call .wav", "call"),
        ("call..wav", "call"),
        ("a\x1b[2J\nb.wav", "a_[2J_b"),
        ("a\\\\b.wav", "a__b"),
        ("console.wav", "console"),
    ],
)
def test_stems_are_safe(file: str, stem: str) -> None:
    assert safe_stem(Path(file).stem) == stem


@given(st.text(min_size=1, max_size=300))
def test_no_stem_leads_outside_or_is_too_long(name: str) -> None:
    stem = shorten_stem(safe_stem(name))
    assert Path("/out", stem).parent == Path("/out")
    assert stem not in ("", ".", "..")
    assert not stem.startswith(".")
    assert all(len(f"{stem}{kind}".encode("utf-8", "surrogatepass")) <= 255 for kind in stem_endings())
    assert shorten_stem(stem) == stem


def test_long_names_stay_different() -> None:
    first, second = shorten_stem("n" * 251), shorten_stem("n" * 250)
    assert first != second
    assert {len(first + FAILED), len(second + ".audacity.txt")} <= set(range(200, 256))


parts = st.sampled_from(["a", "A", "b", "a.seglst", "a.audacity", "a-wav", "a-2", "é", "e\u0301", "a.json"])


@given(st.lists(st.tuples(parts, parts, st.sampled_from([".wav", ".m4a", ""])), max_size=8))
@settings(deadline=None, max_examples=100)
def test_no_two_results_share_a_name(given: list[tuple[str, str, str]]) -> None:
    paths = [Path("/in") / folder / f"{stem}{kind}" for folder, stem, kind in given]
    found = unique_stems(paths)
    assert set(found) == set(paths)
    assert found == unique_stems(paths)
    results = [(stem + kind).casefold() for stem in set(found.values()) for kind in ("", *suffixes())]
    assert len(set(found.values())) == len(set(paths))
    assert len(set(results)) == len(results)
