"""Makes standup.m4a and its exact reference from standup.txt: ``python sample_data/make.py``.

Needs flite (``apt install flite``) and, for the word times in standup.ctm, pocketsphinx
(``pip install 'meetsplit[offline]'``). The only random part is the room's hiss, which has a fixed seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from pocketsphinx import Config, Decoder

from meetsplit.pipeline.data import Audio, Samples, Span
from meetsplit.pipeline.data.timeline import alone
from meetsplit.training.acoustics import pink_noise
from meetsplit.training.meeting import PlacedUtterance, TimedText, overlap_share, reference, rttm, stems, stm, uem
from meetsplit.training.script import words
from meetsplit.training.sources import from_dialogue

HERE = Path(__file__).parent
RATE = 16000
NAME = "standup"
LEVELS = {"slt": 0.55, "awb": 0.80, "rms": 0.65}
"""Gain of each voice: flite's voices are about equally loud, people at a table are not."""

NOISE_RMS = 10 ** (-58 / 20)
"""The room's hiss: about 35 dB below the voices."""

TAIL = 0.7
"""Seconds of hiss after the last word."""

ALIGNMENT_MARGIN = 0.1
"""Seconds around an utterance that are given to the aligner."""

MAX_PEAK = 0.99

EXCERPT = Span(54.7, 71.6)
"""The stretch that `meetsplit demo` works on: all three speak, each of them alone and over somebody else."""

EXCERPT_FILE = HERE.parent / "console" / "sample_recording" / f"{NAME}-excerpt.m4a"


def place_utterances(cache: Path) -> tuple[PlacedUtterance, ...]:
    """The dialogue's utterances at their times and levels."""
    placed = from_dialogue(HERE / f"{NAME}.txt", cache, RATE)
    return tuple(dataclasses.replace(item, gain=LEVELS[item.utterance.speaker]) for item in placed)


def word_times(tracks: Mapping[str, Samples], texts: Sequence[TimedText]) -> str:
    """NIST CTM, one row per word: pocketsphinx aligns each utterance's words to its speaker's stem."""
    decoder = Decoder(Config(loglevel="FATAL", bestpath=False))
    rows = []
    for text in texts:
        span = Span(max(text.span.start - ALIGNMENT_MARGIN, 0), text.span.end + ALIGNMENT_MARGIN)
        clip = Audio(tracks[text.speaker], RATE).crop(span)
        reference_words = words(text.text)
        decoder.set_align_text(" ".join(reference_words))
        decoder.start_utt()
        decoder.process_raw(np.asarray(clip.samples * 32767, np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        segments = [segment for segment in decoder.seg() if not segment.word.startswith(("<", "["))]
        if len(segments) != len(reference_words):
            raise SystemExit(f"{text.text!r} was not aligned: {[segment.word for segment in segments]}")
        for segment, word in zip(segments, reference_words, strict=True):
            start = clip.clock(segment.start_frame / 100)
            end = clip.clock((segment.end_frame + 1) / 100)
            rows.append((start, text.speaker, end - start, word))
    return "".join(
        f"{NAME} {speaker} {start:.2f} {length:.2f} {word}\n" for start, speaker, length, word in sorted(rows)
    )


def encode(path: Path, audio: Audio) -> None:
    """AAC in an MP4 container, 64 kbit/s."""
    with av.open(str(path), "w", format="ipod", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=audio.rate, layout="mono")
        stream.bit_rate = 64000
        frame = av.AudioFrame.from_ndarray(audio.samples[None], format="fltp", layout="mono")
        frame.rate = audio.rate
        # A first sample at 0 makes the encoder's own lead-in negative, and the container an edit list that skips it.
        frame.pts, frame.time_base = 0, Fraction(1, audio.rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    """Synthesize the dialogue, mix it, write the recording and its reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "flite-cache")
    parser.add_argument("-o", "--output-dir", type=Path, default=HERE)
    args = parser.parse_args()
    placed = place_utterances(args.cache)
    length = round((max(item.end for item in placed) + TAIL) * RATE)
    tracks = stems(placed, length, RATE)
    noise = NOISE_RMS * pink_noise(length, RATE, np.random.default_rng(7))
    mixture = np.sum(list(tracks.values()), axis=0) + noise
    peak = np.abs(mixture).max()
    if peak > MAX_PEAK:
        raise SystemExit(f"too loud: peak {peak:.2f}")
    turns, texts = reference(placed)
    folder = args.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    recording = Audio(np.asarray(mixture, np.float32), RATE)
    encode(folder / f"{NAME}.m4a", recording)
    excerpt = EXCERPT_FILE if folder == HERE else folder / EXCERPT_FILE.name
    encode(excerpt, Audio(recording.crop(EXCERPT).samples, RATE))
    (folder / f"{NAME}.rttm").write_text(rttm(NAME, turns), "utf-8")
    (folder / f"{NAME}.stm").write_text(stm(NAME, texts), "utf-8")
    (folder / f"{NAME}.uem").write_text(uem(NAME, length / RATE), "utf-8")
    (folder / f"{NAME}.ctm").write_text(word_times(tracks, texts), "utf-8")
    overlapped = f"{100 * overlap_share(turns):.1f} % of speech time overlapped"
    print(f"{length / RATE:.1f} s, peak {peak:.2f}, {overlapped}")
    clean_seconds = {speaker: sum(span.duration for span in alone(turns, speaker)) for speaker in tracks}
    print(", ".join(f"{speaker} alone {seconds:.1f} s" for speaker, seconds in clean_seconds.items()))


if __name__ == "__main__":
    main()
