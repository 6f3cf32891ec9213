"""Packing of speech into windows: it maps back exactly, keeps the order, and no word crosses a seam."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.transcribers.hallucinations import RawWord
from meetsplit.pipeline.transcribers.windows import Piece, Window, pack, split

RATE = 100
"""A low rate: nothing here depends on it, and the sound stays small."""

lengths = st.lists(st.integers(1, 40 * RATE), min_size=1, max_size=12)
gaps = st.integers(0, 2 * RATE).map(lambda samples: samples / RATE)


def pieces_of(lengths: list[int]) -> list[Piece]:
    """Pieces with distinct samples, a second apart on the recording's clock, one for each clip."""
    pieces, start, first = [], 0, 1
    for number, length in enumerate(lengths):
        samples = np.arange(first, first + length, dtype=np.float32)
        pieces.append(Piece(number, Audio(samples, RATE, start / RATE)))
        start, first = start + length + RATE, first + length
    return pieces


@given(lengths, gaps, st.floats(1.0, 30.0))
def test_every_sample_is_in_one_window_in_its_place(lengths: list[int], gap: float, longest: float) -> None:
    pieces = pieces_of(lengths)
    windows = list(pack(pieces, longest=longest, gap=gap))
    assert [piece for window in windows for piece in window.pieces] == pieces, "order is kept, nothing is lost"
    for window in windows:
        joined = window.samples()
        assert window.duration <= longest + 1e-6 or len(window.pieces) == 1
        for offset, piece in zip(window.offsets, window.pieces, strict=True):
            assert (joined[offset : offset + len(piece.audio.samples)] == piece.audio.samples).all()
        assert np.count_nonzero(joined) == sum(len(piece.audio.samples) for piece in window.pieces)
    for one, other in itertools.pairwise(windows):
        length = other.pieces[0].audio.duration
        assert one.duration + gap + length > longest - 1e-6, "what fits is not put into a new window"


@given(lengths, gaps)
def test_a_word_inside_a_piece_maps_back_exactly(lengths: list[int], gap: float) -> None:
    for window in pack(pieces_of(lengths), gap=gap):
        words = [
            RawWord(offset / RATE, (offset + len(piece.audio.samples)) / RATE, str(piece.clip), 0.5)
            for offset, piece in zip(window.offsets, window.pieces, strict=True)
        ]
        for piece_words in window.assign(words):
            (word,) = piece_words.words
            assert word.text == str(piece_words.piece.clip)
            assert abs(word.start) < 1e-9
            assert abs(word.end - piece_words.piece.audio.duration) < 1e-9


@given(lengths, gaps, st.lists(st.floats(0.0, 40.0), min_size=2, max_size=30))
def test_no_word_crosses_a_seam_and_their_order_is_kept(lengths: list[int], gap: float, times: list[float]) -> None:
    times.sort()
    words = [RawWord(start, end, str(n), 0.5) for n, (start, end) in enumerate(itertools.pairwise(times))]
    for window in pack(pieces_of(lengths), gap=gap):
        assigned = window.assign(words)
        texts = [word.text for piece_words in assigned for word in piece_words.words]
        assert texts == [word.text for word in words if word.start < window.duration]
        for piece_words in assigned:
            starts = [word.start for word in piece_words.words]
            assert starts == sorted(starts)
            assert all(
                0.0 <= word.start <= word.end <= piece_words.piece.audio.duration + 1e-9 for word in piece_words.words
            )


@given(lengths, gaps, st.integers(0, 30 * RATE))
def test_what_is_left_after_a_moment(lengths: list[int], gap: float, first: int) -> None:
    for window in pack(pieces_of(lengths), gap=gap):
        rest = window.after(first / RATE)
        left = window.samples()[first:]
        assert (rest is None) == (not left.any())
        if rest is not None:
            assert np.array_equal(rest.samples()[rest.samples() > 0], left[left > 0])
            assert abs(rest.pieces[-1].audio.span.end - window.pieces[-1].audio.span.end) < 1e-9


@given(st.integers(1, 100 * RATE))
def test_a_long_piece_is_cut_into_parts_that_follow_one_another(length: int) -> None:
    (piece,) = pieces_of([length])
    parts = split(piece)
    assert np.array_equal(np.concatenate([part.audio.samples for part in parts]), piece.audio.samples)
    assert all(0.0 < part.audio.duration <= 30.0 for part in parts)
    assert len(parts) <= max(1, -(-length // (14 * RATE)))
    assert all(abs(one.audio.span.end - other.audio.start) < 1e-9 for one, other in itertools.pairwise(parts))


def test_a_silence_belongs_to_the_nearest_piece() -> None:
    window = Window(tuple(pieces_of([RATE, RATE])), RATE)
    words = [RawWord(1.1, 1.3, "before", 0.5), RawWord(1.7, 1.9, "behind", 0.5), RawWord(3.0, 3.5, "late", 0.5)]
    first, second = window.assign(words)
    assert [(word.text, word.start, word.end) for word in first.words] == [("before", 1.0, 1.0)]
    assert [(word.text, word.start, word.end) for word in second.words] == [("behind", 0.0, 0.0)]
