"""Makes standup.m4a and its exact truth from standup.txt: ``python sample_data/make.py``.

Needs flite (``apt install flite``) and, for the word times in standup.ctm, pocketsphinx (``pip install 'meetsplit[offline]'``).
Nothing in it is random but the room's hiss, which has a fixed seed.
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
from meetsplit.training.acoustics import pink
from meetsplit.training.meeting import Cue, Said, overlap, rttm, stems, stm, truth, uem
from meetsplit.training.script import words
from meetsplit.training.sources import from_dialogue

HERE = Path(__file__).parent
RATE = 16000
NAME = "standup"
LEVELS = {"slt": 0.55, "awb": 0.80, "rms": 0.65}
"""How loud each person is: flite's voices are about equally loud, people at a table are not."""

NOISE_RMS = 10 ** (-58 / 20)
"""The room's hiss: about 35 dB below the voices."""


def cues(cache: Path) -> tuple[Cue, ...]:
    """The dialogue at its places, everybody at their own level."""
    placed = from_dialogue(HERE / f"{NAME}.txt", cache, RATE)
    return tuple(dataclasses.replace(cue, gain=LEVELS[cue.utterance.speaker]) for cue in placed)


def word_times(tracks: Mapping[str, Samples], said: Sequence[Said]) -> str:
    """NIST CTM, one row per word: pocketsphinx aligns each utterance's known words to that speaker's own stem."""
    decoder = Decoder(Config(loglevel="FATAL", bestpath=False))
    rows = []
    for one in said:
        pad = 0.1
        clip = Audio(tracks[one.speaker], RATE).crop(Span(max(one.span.start - pad, 0), one.span.end + pad))
        decoder.set_align_text(" ".join(words(one.text)))
        decoder.start_utt()
        decoder.process_raw(np.asarray(clip.samples * 32767, np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        segments = [s for s in decoder.seg() if not s.word.startswith(("<", "["))]
        spoken = words(one.text)
        if len(segments) != len(spoken):
            raise SystemExit(f"{one.text!r} was not aligned: {[s.word for s in segments]}")
        for segment, word in zip(segments, spoken, strict=True):
            start = clip.clock(segment.start_frame / 100)
            end = clip.clock((segment.end_frame + 1) / 100)
            rows.append((start, one.speaker, end - start, word))
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
    """Speak, mix, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "flite-cache")
    options.add_argument("-o", "--output-dir", type=Path, default=HERE)
    chosen = options.parse_args()
    placed = cues(chosen.cache)
    length = round((max(cue.end for cue in placed) + 0.7) * RATE)
    tracks = stems(placed, length, RATE)
    mixture = np.sum(list(tracks.values()), axis=0) + NOISE_RMS * pink(length, RATE, np.random.default_rng(7))
    if np.abs(mixture).max() > 0.99:
        raise SystemExit(f"too loud: peak {np.abs(mixture).max():.2f}")
    turns, said = truth(placed)
    folder = chosen.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    encode(folder / f"{NAME}.m4a", Audio(np.asarray(mixture, np.float32), RATE))
    (folder / f"{NAME}.rttm").write_text(rttm(NAME, turns), "utf-8")
    (folder / f"{NAME}.stm").write_text(stm(NAME, said), "utf-8")
    (folder / f"{NAME}.uem").write_text(uem(NAME, length / RATE), "utf-8")
    (folder / f"{NAME}.ctm").write_text(word_times(tracks, said), "utf-8")
    clean = {speaker: sum(span.duration for span in alone(turns, speaker)) for speaker in tracks}
    print(
        f"{length / RATE:.1f} s, peak {np.abs(mixture).max():.2f}, {100 * overlap(turns):.1f} % of speech time overlapped"
    )
    print(", ".join(f"{speaker} alone {seconds:.1f} s" for speaker, seconds in clean.items()))


if __name__ == "__main__":
    main()
