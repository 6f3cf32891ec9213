"""The process that holds pocketsphinx's decoder: sounds come in, their words go out, until there are no more.

A script, run by `sphinx`, that imports nothing of meetsplit. pocketsphinx keeps Python's lock for as long as it
decodes; here it stops no progress bar, no Ctrl-C and no other thread. A sound is its number of bytes (4, little-endian)
and 16-bit samples; the answer is a line of JSON: ``[word, first frame, last frame, probability]`` of each segment.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, BinaryIO

RATE = 16000
"""The rate in Hz of the model's training speech."""

SIZE_BYTES = 4


def main() -> None:
    """Decode every sound of stdin."""
    # What ends the command is the command's own matter; this process ends when its stdin does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import pocketsphinx

    decoder = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")
    sounds: BinaryIO = sys.stdin.buffer
    while header := sounds.read(SIZE_BYTES):
        segments = decoded(decoder, sounds.read(int.from_bytes(header, "little")))
        sys.stdout.buffer.write(json.dumps(segments).encode() + b"\n")
        sys.stdout.buffer.flush()


def decoded(decoder: Any, sound: bytes) -> list[tuple[str, int, int, float]]:
    """The segments of one sound, whatever was decoded before it.

    The front end would keep its estimates of level and noise from sound to sound, so that words depended on their order
    and a run that was taken up again wrote others; it starts anew with each.
    """
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(sound, no_search=False, full_utt=True)
    decoder.end_utt()
    segments = () if decoder.hyp() is None else decoder.seg()
    return [(segment.word, segment.start_frame, segment.end_frame, segment.prob) for segment in segments]


if __name__ == "__main__":
    main()
