"""What mutations begin with: small valid inputs of every kind, made when they are needed."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE = Path(__file__).parents[2] / "sample_data" / "standup.m4a"
START, SECONDS = 4.0, 2.5
"""Which part of the sample recording becomes small files."""

CONTAINERS: Mapping[str, tuple[str, str]] = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "mkv": ("matroska", "aac"),
    "ts": ("mpegts", "mp2"),
    "caf": ("caf", "pcm_s16be"),
    "aiff": ("aiff", "pcm_s16be"),
    "webm": ("webm", "libopus"),
    "avi": ("avi", "pcm_s16le"),
}
"""Suffix to FFmpeg's names of the container and the codec."""


@functools.cache
def speech() -> tuple[np.ndarray[Any, Any], int]:
    """A few seconds of the sample recording as 16-bit samples of shape ``(n,)``, and their rate."""
    from meetsplit.pipeline.audio.reading import read

    audio = read(SAMPLE)
    part = audio.samples[round(START * audio.rate) : round((START + SECONDS) * audio.rate)]
    return np.asarray(np.rint(np.clip(part, -1, 1) * 32767), np.int16), audio.rate


@functools.cache
def containers() -> dict[str, bytes]:
    """Those seconds in every container, by suffix."""
    return {suffix: contained(*kind) for suffix, kind in CONTAINERS.items()}


def contained(container: str, codec: str) -> bytes:
    """Those seconds in one container."""
    import av

    samples, rate = speech()
    rate_out = 48000 if codec == "libopus" else rate
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_out, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_out)
        for at in range(0, len(samples), 4000):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 4000], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return buffer.getvalue()


RTTM = b"""\
;; two people
SPKR-INFO call 1 <NA> <NA> <NA> unknown A <NA> <NA>
SPEAKER call 1 0.300 0.900 <NA> <NA> A <NA> <NA>
SPEAKER call 1 1.000 0.900 <NA> <NA> SPEAKER_01 <NA> <NA>
SPEAKER call 1 2.100 0.700 <NA> <NA> A <NA> <NA>
"""

RTTM_TWO = RTTM + b"SPEAKER other 1 0.5 1.25 <NA> <NA> B <NA> <NA>\n"

STM = b"""\
;; words
call 1 A 0.30 1.20 <o,f0,female> good morning { everyone / everybody } @
call 1 B 1.00 1.90 IGNORE_TIME_SEGMENT_IN_SCORING
call 1 A 2.10 2.80 thank you
"""

CTM = b"""\
call 1 0.35 0.30 good 0.91
call 1 0.70 0.30 morning 0.8
call 2 1.10 0.50 hello
call 1 2.20 0.40 thanks 1.0
"""

SEGLST = json.dumps(
    [
        {"session_id": "call", "speaker": "A", "start_time": "0.30", "end_time": 1.2, "words": "good morning"},
        {"session_id": "call", "speaker": "B", "start_time": 1.0, "end_time": 1.9, "words": "hello 今日は"},
    ]
).encode()

UEM = b";; scored\ncall 1 0.000 2.500\ncall 1 2.600 3.000\nother 1 0 1\n"

WHISPER = json.dumps(
    {
        "text": " Good morning.",
        "language": "en",
        "segments": [
            {
                **{
                    "id": 0,
                    "seek": 0,
                    "start": 0.3,
                    "end": 1.2,
                    "text": " Good morning.",
                    "tokens": [1, 2],
                    "avg_logprob": -0.2,
                },
                "words": [
                    {"word": " Good", "start": 0.3, "end": 0.6, "probability": 0.9},
                    {"word": " morning.", "start": 0.7, "end": 1.2, "probability": 0.8},
                ],
            }
        ],
    }
).encode()

WHISPERX = json.dumps(
    {
        "segments": [
            {
                **{"start": 0.3, "end": 1.2, "text": "Good morning.", "speaker": "SPEAKER_00"},
                "words": [
                    {"word": "Good", "start": 0.3, "end": 0.6, "score": 0.9, "speaker": "SPEAKER_00"},
                    {"word": "10", "speaker": "SPEAKER_00"},
                    {"word": "morning.", "start": 0.7, "end": 1.2, "score": 0.8, "speaker": "SPEAKER_01"},
                ],
            },
            {"start": 1.3, "end": 2.0, "text": "今日は ok"},
        ],
        "word_segments": [],
        "language": "en",
    }
).encode()

TOML = b"""\
output_dir = "results"
formats = ["srt", "json"]
seed = 7
[speakers]
num_speakers = 2
separate = "auto"
[machine]
device = "cpu"
offline = true
[names]
SPEAKER_00 = "Alice"
"""


@functools.cache
def transcript() -> bytes:
    """A transcript in our own JSON."""
    from meetsplit.pipeline.formats import export, read_transcript
    from meetsplit.pipeline.settings import Outputs

    return export(read_transcript(WHISPERX.decode(), "call.json"), "json", Outputs()).encode()


HYPERPARAMS_CODE = (
    "x: !!python/object/apply:os.system ['touch CANARY']",
    'a: {b: " #", c: !apply:os.system [touch CANARY]}',
    "x: !%61pply:os.system [touch CANARY]",
    "x: !<!%61pply:os.system> [touch CANARY]",
    "x: !apply:os.system [touch CANARY]",
    "x: !new:subprocess.Popen [[touch, CANARY]]",
    "x: !name:os.system [touch CANARY]",
    "x: !module:antigravity",
    "x: !apply:speechbrain.utils.superpowers.run_shell [touch CANARY]",
    "x: !apply:speechbrain.utils.superpowers.subprocess.check_output [[touch, CANARY]]",
    "x: !apply:torch.nn.modules.module.torch.os.system [touch CANARY]",
    "x: !new:speechbrain.lobes.models.dual_path.Encoder\n  kernel_size: !apply:os.system [touch CANARY]",
    "x: !include:CANARY.yaml",
    "x: !applyref:os.system [touch CANARY]",
    "x: &a !apply:os.system [touch CANARY]\ny: *a",
    "? !apply:os.system [touch CANARY]\n: 1",
    "<<: !apply:os.system [touch CANARY]",
    "x: !ref <y>\ny: !apply:os.system [touch CANARY]",
    "x: !ref <__import__('os').system('touch CANARY')>",
    "x: !!python/name:os.system",
    "x: !!python/object/new:subprocess.Popen [[touch, CANARY]]",
    "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"
    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]",
)
"""Lines that would run code, or take all memory, in a loader that trusts its file. CANARY is a path that must not
come to be.
"""

PYANNOTE_CODE = (
    "preprocessors:\n  x:\n    name: subprocess.Popen\n    params: {args: [touch, CANARY]}",
    "pipeline:\n  name: subprocess.Popen\n  params: {args: [touch, CANARY]}",
    "pipeline:\n  name: os.system\n  params: {command: touch CANARY}",
    "x: !!python/object/apply:os.system ['touch CANARY']",
    "freeze: {x: !!python/object/new:subprocess.Popen [[touch, CANARY]]}",
)


@functools.cache
def checkpoints() -> dict[str, bytes]:
    """A small torch checkpoint in both layouts."""
    import torch

    content = {
        "state_dict": {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(5, dtype=torch.int64)},
        "epoch": 3,
        "name": "x",
    }
    made = {}
    for layout, new in (("zip", True), ("sequence", False)):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=new)
        made[layout] = buffer.getvalue()
    return made


@functools.cache
def model_folder(kind: str) -> Path:
    """A folder with a tiny model in a public format: sepformer, ecapa or pyannote. It lives as long as the process."""
    import conftest

    folder = Path(_scratch()) / kind
    make: dict[str, Callable[[], Any]] = {
        "sepformer": lambda: conftest.speechbrain_folder(folder, conftest.SEPFORMER.format(rate=16000, voices=2)),
        "ecapa": lambda: conftest.speechbrain_folder(folder, conftest.ECAPA),
        "pyannote": lambda: conftest.pyannote_folder(folder),
    }
    make[kind]()
    return folder


@functools.cache
def _scratch() -> str:
    holder = tempfile.TemporaryDirectory(prefix="fuzz-models-")
    _KEPT.append(holder)
    return holder.name


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
