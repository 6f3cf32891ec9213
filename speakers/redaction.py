"""Sound of a recording without some of its people: silence where they speak alone, the others' voices in overlaps.

    redacted      |------------|                              their turns and words
    others              |-----------|
    recording  ~~~                  ~~~   as it is
    silent       |----|                   exactly zero, `MARGIN` beyond their turns
    shared             |--------|         the others' tracks, with what is left of the redacted voice masked

Fades lie outside of what is silent, and outside of the redacted speech. In shared stretches each time-frequency bin of
the others' tracks is weighted by their share of the energy there, the redacted people's own tracks standing for the
rest (a Wiener filter). Where a track there *is* the recording, because the voices could not be taken apart, it is
silent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.audio.decoding import mixed_down
from meetsplit.pipeline.audio.native import in_blocks, open_native, resample_channels
from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.data import ChannelSamples, Samples, Span, Speaker, Turn, timeline
from meetsplit.speakers.rendering import pcm
from meetsplit.speakers.track_files import TrackFile, format_rate, require_channels, track_file

MARGIN = 0.3
"""Seconds by which redacted speech is taken to be longer on both sides: turns end a little early or late."""

FADE = 0.02
"""Seconds of the fade between the recording, silence and the others' tracks."""

BLOCK, CONTEXT = 10, 1
"""Seconds that are worked on at once, and those on both sides that the filter sees besides."""

FRAME = 0.05
"""Seconds in which a track is compared with the recording."""

SAME, HEARD = 0.01, 0.03
"""Share of the recording's energy: a track that differs by less is the recording, a redacted voice with more is heard
there."""

WEIGHT = 4.0
"""How much more the redacted voice's energy counts in the filter than the others': above 1, less of it is left."""

_WINDOW = 0.064
"""Seconds of the filter's window."""


@dataclass(frozen=True, slots=True)
class RedactionPlan:
    """What becomes of each moment, see the module: sorted, disjoint spans; in all others the recording stays.

    ``spoken`` is where redacted people speak, by their turns and words.
    """

    spoken: tuple[Span, ...]
    silent: tuple[Span, ...]
    shared: tuple[Span, ...]


def plan_redaction(
    turns: Sequence[Turn],
    redacted: Collection[Speaker],
    *,
    words: Iterable[Span] = (),
    within: Span,
    only_speech: bool = False,
) -> RedactionPlan:
    """The plan for a recording whose ``turns`` are known in ``within``; what is outside is silent.

    ``words`` are the spans of the redacted people's words, which may lie outside of turns. With ``only_speech``,
    whatever is no turn of the others (`MARGIN` longer) is silent, too: it may be anybody's.
    """
    everywhere = [Span(0.0, _END)]
    others = timeline.support(turn.span for turn in turns if turn.speaker not in redacted)
    own = (turn.span for turn in turns if turn.speaker in redacted)
    spoken = timeline.support((*own, *words))
    removed = timeline.widened(spoken, MARGIN)
    kept = timeline.subtract(timeline.widened(others, MARGIN), timeline.subtract(removed, others))
    unknown = timeline.subtract(everywhere, kept if only_speech else [within])
    silent = timeline.support((*timeline.subtract(removed, others), *unknown))
    return RedactionPlan(spoken, silent, timeline.subtract(removed, silent))


_END = 1e9
"""Seconds after the end of every recording."""


@dataclass(frozen=True, slots=True)
class RedactionSources:
    """The ``recording``, and the tracks that lie beside it: of those who are ``kept`` and of those who are redacted."""

    recording: Path
    kept: Mapping[Speaker, Path]
    redacted: Mapping[Speaker, Path]


@dataclass(frozen=True, slots=True)
class RedactionTargets:
    """Where the recording's copy goes, and the tracks of those who are kept."""

    recording: Path
    tracks: Mapping[Speaker, Path]


def redact_sound(
    sources: RedactionSources,
    plan: RedactionPlan,
    targets: RedactionTargets,
    on_progress: Callable[[float], None] = lambda share: None,
) -> tuple[Span, ...]:
    """Write the recording and the kept tracks without the redacted people; where tracks were silenced, because they
    play the recording itself while a redacted person speaks.

    All have the recording's sample rate (or the highest that their formats hold), and nothing of the recording's
    metadata. Memory does not grow with its length. Raises `AudioError` for a file that cannot be read, `OutputError`.
    """
    with ExitStack() as stack:
        native = stack.enter_context(open_native(sources.recording))
        every = (targets.recording, *targets.tracks.values())
        rate = min(format_rate(target.suffix[1:], native.rate) for target in every)
        require_channels(targets.recording.suffix[1:], native.channels, sources.recording)
        recording = in_blocks(resample_channels(native.seconds(), native.channels, native.rate, rate), BLOCK * rate)
        opened = {who: stack.enter_context(open_native(path)) for who, path in sources.kept.items()}
        others = [stack.enter_context(open_native(path)) for path in sources.redacted.values()]
        streams = {
            who: _endless(resample_channels(one.seconds(), one.channels, one.rate, rate), one.channels, rate)
            for who, one in [*opened.items(), *enumerate(others)]
        }
        expected = round((probe(sources.recording).duration or 0.0) * rate)
        files: dict[Speaker | None, TrackFile] = {
            who: stack.enter_context(track_file(targets.tracks[who], rate, opened[who].channels, expected))
            for who in opened
        }
        files[None] = stack.enter_context(track_file(targets.recording, rate, native.channels, expected))
        sound = _Redaction(plan, rate)
        windows = {who: _windows(stream, CONTEXT * rate) for who, stream in streams.items()}
        for window in _windows(recording, CONTEXT * rate):
            length = window.shape[1]
            parts = {who: next(stream)[:, :length] for who, stream in windows.items()}
            kept = {who: parts[who] for who in opened}
            copy, tracks = sound.window(window, kept, [parts[number] for number in range(len(others))])
            inside = slice(CONTEXT * rate, length - CONTEXT * rate)
            for who, samples in ((None, copy), *tracks.items()):
                files[who].write(pcm(samples[:, inside]))
            sound.advance(length - 2 * CONTEXT * rate)
            on_progress(min(sound.position / max(expected, 1), 1.0))
        return timeline.support(sound.unseparated)


class _Redaction:
    """The redaction of one recording, window by window."""

    def __init__(self, plan: RedactionPlan, rate: int) -> None:
        self.position = 0
        """Samples that are done."""
        self.unseparated: list[Span] = []
        """Where tracks were silenced."""
        self._plan, self._rate = plan, rate
        self._removed = timeline.support((*plan.silent, *plan.shared))

    def advance(self, samples: int) -> None:
        """Go on by that many samples."""
        self.position += samples

    def window(
        self, recording: ChannelSamples, kept: Mapping[Speaker, ChannelSamples], redacted: Sequence[ChannelSamples]
    ) -> tuple[ChannelSamples, dict[Speaker, ChannelSamples]]:
        """The recording and the kept tracks redacted, of a window with its context."""
        first, length = self.position - CONTEXT * self._rate, recording.shape[1]
        removed, silent, shared = (
            self._mask(spans, first, length) for spans in (self._removed, self._plan.silent, self._plan.shared)
        )
        voices = dict(kept)
        if shared.any() and kept:
            gain = self._gain([*kept.values()], redacted)
            for who, track in kept.items():
                filtered = self._filtered(track, gain) * (1 - self._unseparated(recording, track, redacted, first))
                voices[who] = track * (1 - shared) + filtered * shared
        tracks = {who: voice * (1 - silent) for who, voice in voices.items()}
        copy = recording * (1 - removed)
        if shared.any():
            for track in tracks.values():
                copy = copy + (track if len(track) == len(copy) else mixed_down(track)[None]) * removed
        return copy, tracks

    def _mask(self, spans: Sequence[Span], first: int, length: int) -> Samples:
        """1 inside the spans, 0 elsewhere, with fades outside of them; ``length`` samples from ``first`` on."""
        mask = np.zeros(length, np.float32)
        fade = round(FADE * self._rate)
        rate = self._rate
        window = Span(max(first / rate - 2 * FADE, 0.0), (first + length) / rate + 2 * FADE)
        for span in timeline.during(spans, window):
            begin, end = int(np.floor(span.start * rate)) - first, int(np.ceil(span.end * rate)) - first
            at = np.arange(max(begin - fade, 0), min(end + fade, length))
            distance = np.maximum(np.maximum(begin - at, at - end + 1), 0)
            values = np.clip(1 - distance / (fade + 1), 0, 1).astype(np.float32)
            mask[at] = np.maximum(mask[at], values)
        return mask

    def _gain(self, kept: Sequence[ChannelSamples], redacted: Sequence[ChannelSamples]) -> Samples | None:
        """The filter's gain in each bin, ``(frequencies, frames)``; None without a redacted track."""
        if not redacted:
            return None
        energies = [
            np.square(np.abs(self._spectrum(np.sum([mixed_down(one) for one in tracks], axis=0))))
            for tracks in (kept, redacted)
        ]
        return np.asarray(energies[0] / (energies[0] + WEIGHT * energies[1] + 1e-12), np.float32)

    def _spectrum(self, samples: Samples) -> npt.NDArray[np.complex64]:
        from scipy.signal import stft

        size = self._window_size
        return np.asarray(stft(samples, nperseg=size, noverlap=size - size // 4)[2], np.complex64)

    def _filtered(self, track: ChannelSamples, gain: Samples | None) -> ChannelSamples:
        from scipy.signal import istft

        if gain is None:
            return track
        size = self._window_size
        rows = [istft(self._spectrum(row) * gain, nperseg=size, noverlap=size - size // 4)[1] for row in track]
        return np.stack([row[: track.shape[1]] for row in rows]).astype(np.float32)

    @property
    def _window_size(self) -> int:
        return 4 * round(_WINDOW * self._rate / 4)

    def _unseparated(
        self, recording: ChannelSamples, track: ChannelSamples, redacted: Sequence[ChannelSamples], first: int
    ) -> Samples:
        """1 where the track is the recording with a redacted voice in it, with fades; by frames in redacted speech."""
        size, whole = round(FRAME * self._rate), mixed_down(recording)
        count = len(whole) // size

        def energies(samples: Samples) -> Samples:
            frames: Samples = np.square(samples[: count * size].reshape(count, size)).sum(axis=1)
            return frames

        level = energies(whole)
        is_same = energies(mixed_down(track) - whole) <= SAME * level
        if redacted:
            voice = np.sum([mixed_down(one) for one in redacted], axis=0)
            is_same &= energies(voice) > HEARD * level
        frames = [
            Span(max(first + at * size, 0) / self._rate, max(first + (at + 1) * size, 0) / self._rate)
            for at in np.flatnonzero(is_same & (level > 0)).tolist()
        ]
        shared = timeline.subtract(self._plan.spoken, self._plan.silent)
        found = timeline.support(
            part for frame in frames for part in timeline.crop(timeline.during(shared, frame), frame)
        )
        self.unseparated += found
        return self._mask(found, first, len(whole))


def _endless(blocks: Iterable[ChannelSamples], channels: int, rate: int) -> Iterator[ChannelSamples]:
    """The samples in blocks of `BLOCK` seconds, and silence after them."""
    silence = np.zeros((channels, BLOCK * rate), np.float32)
    return in_blocks(itertools.chain(blocks, itertools.repeat(silence)), BLOCK * rate)


def _windows(blocks: Iterator[ChannelSamples], context: int) -> Iterator[ChannelSamples]:
    """Each block with ``context`` samples of those beside it, silence where there are none."""
    before, here = None, next(blocks, None)
    while here is not None:
        after = next(blocks, None)
        silence = np.zeros((len(here), context), np.float32)
        left = silence if before is None else before[:, -context:]
        right = silence if after is None else after[:, :context]
        right = np.pad(right, ((0, 0), (0, context - right.shape[1])))
        yield np.concatenate([left, here, right], axis=1)
        before, here = here, after
