"""Extraction of one voice: which of a meeting's people a clip of a voice is, and that person's part of the recording.

The track of a person is the recording where they speak alone and a separated voice in overlaps (`rendering`); what is
left of the recording without it is the recording minus the track, sample by sample:

    recording   aaaa  bbbbbb  cccc            track of b          ______  bbbbbb  ____
    overlap         bbb            ─────→     without b           aaaaaaa         cccc

So both add up to the recording, up to the rounding to 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meetsplit.pipeline.audio.decoding import mixed_down
from meetsplit.pipeline.audio.native import in_blocks, open_native, resample_channels
from meetsplit.pipeline.audio.reading import probe
from meetsplit.pipeline.data import ChannelSamples, Speaker
from meetsplit.speakers.rendering import pcm
from meetsplit.speakers.track_files import track_file
from meetsplit.speakers.voiceprints import VoiceEmbeddings, VoiceScorer

ENOUGH_ALONE = 20.0
"""Seconds of clean speech in the meeting from which on a clip from elsewhere says nothing more about a voice.

In meetings of two, 20 instead of 10 kept one to two points more of a voice; more than 20 kept no more.
"""


@dataclass(frozen=True, slots=True)
class VoiceSearch:
    """Who of a meeting's people has a voice: ``speakers``, the likeliest first; empty where it is nobody's.

    ``scores`` are everybody's, the logarithm of the likelihood ratio of one person over two; those of whom nothing can
    be said are missing. ``is_sure`` says that the first one passes as confirmed.
    """

    speakers: tuple[Speaker, ...]
    scores: Mapping[Speaker, float]
    is_sure: bool = False

    @property
    def nearest(self) -> Speaker | None:
        """The person whose voice is most like it; None where nothing can be said of anybody."""
        return max(self.scores, key=lambda speaker: self.scores[speaker], default=None)


def find_voice(people: Mapping[Speaker, VoiceEmbeddings], wanted: VoiceEmbeddings, scorer: VoiceScorer) -> VoiceSearch:
    """Who of the people has the ``wanted`` voice: whoever is likeliest from the score of a suggestion on, because it is
    said to be there; and all who pass as confirmed, because a diarizer may make two of one.
    """
    labels = list(people)
    if not labels:
        return VoiceSearch((), {})
    row = scorer.matrix([wanted], [people[label] for label in labels])[0]
    scores = {label: float(score) for label, score in zip(labels, row, strict=True) if np.isfinite(score)}
    ranked = sorted(scores, key=lambda label: -scores[label])
    calibration = scorer.calibration
    found = [
        label
        for place, label in enumerate(ranked)
        if scores[label] >= (calibration.confirmed if place else calibration.suggested)
    ]
    return VoiceSearch(tuple(found), scores, bool(found) and scores[found[0]] >= calibration.confirmed)


def write_silence(like: Path, target: Path, *, rate: int, channels: int) -> None:
    """Write a silent file as long as the recording ``like``. Raises as `write_rest`."""
    length = probe(like).duration or 0.0
    with track_file(target, rate, channels, round(length * rate)) as file:
        file.silence(round(length * rate))


def write_rest(
    recording: Path, track: Path | None, target: Path, *, on_progress: Callable[[float], None] = lambda share: None
) -> None:
    """Write the recording minus a finished track of one of its people; without a track, the whole recording.

    ``track`` is as long as the recording; rate and channels are the track's. Raises `AudioError` for a file that cannot
    be read, and `OutputError`.
    """
    with ExitStack() as stack:
        whole = stack.enter_context(open_native(recording))
        part = None if track is None else stack.enter_context(open_native(track))
        rate, channels = (whole.rate, whole.channels) if part is None else (part.rate, part.channels)
        expected = round((probe(recording).duration or 0.0) * rate)
        seconds = whole.seconds()
        if channels < whole.channels:
            seconds = (mixed_down(block)[None] for block in seconds)
        blocks = in_blocks(resample_channels(seconds, channels, whole.rate, rate), rate)
        taken = iter(()) if part is None else in_blocks(part.seconds(), rate)
        with track_file(target, rate, channels, expected) as file:
            for block in blocks:
                file.write(pcm(_without(block, taken)))
                on_progress(min(file.position / max(expected, 1), 1.0))


def _without(block: ChannelSamples, taken: Iterator[ChannelSamples]) -> ChannelSamples:
    """The block minus the next one of ``taken``, which may be shorter or over."""
    part = next(taken, None)
    if part is None:
        return block
    rest = block.copy()
    count = min(rest.shape[1], part.shape[1])
    rest[:, :count] -= part[:, :count]
    return rest
