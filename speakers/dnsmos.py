"""DNSMOS P.835: how separated voices sound to a network that was trained on listeners' marks, 1 (bad) to 5 (excellent).

Three marks (Reddy, Gopal, Cutler, 2022): of the speech, of the background, and overall. The network is Microsoft's
(MIT), a file in the wheel of the package ``speechmos``, which is found and never imported: its code wants librosa for a
fourth mark that is not used here. The rest is as published: 16 kHz, windows of 9.01 s, shorter sound doubled until it
fills one, each mark through a polynomial that was fitted to the listeners', the mean of all windows. Only the step from
window to window is a whole one here, not a second: a ninth of the work.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from meetsplit.pipeline.audio.wav import read_span
from meetsplit.pipeline.data import Dnsmos, OverlapResult, Samples, Span, Speaker, StreamInfo
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models import device
from meetsplit.speakers.track_quality import judged

PACKAGE = "speechmos"
"""The package whose wheel carries the network."""

INSTALL = "pip install 'meetsplit[quality]'"

RATE, WINDOW = 16000, 144160
"""Samples per second, and samples of a window: 9.01 s."""

MOST_WINDOWS = 6
"""Windows of a person's separated voices that are heard at most, those of the longest voices; 54 s."""

_FADE = 160
"""Samples over which the voices in a window begin and end: 10 ms."""

_FITTED = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""Of each mark, the polynomial from what the network says to what listeners did: speech, background, overall."""


@dataclass(frozen=True, slots=True)
class DnsmosNetwork:
    """The network, loaded: ``session`` is onnxruntime's."""

    session: Any

    @classmethod
    def load(cls, threads: int = 0) -> DnsmosNetwork | None:
        """The network of the installed package; None without the package. Raises `StageError` where it is not whole.

        It computes with so many ``threads``; 0: with as many as torch, which is then loaded.
        """
        file = model_file()
        return None if file is None else cls(_session(file, threads or device.threads()))

    def marks(self, samples: Samples) -> Dnsmos:
        """The marks of a sound at `RATE`. Raises `StageError` for a network that answers something else."""
        found = [self._window(window) for window in windows(samples)]
        fitted = [[float(np.polyval(fit, mark)) for fit, mark in zip(_FITTED, one, strict=True)] for one in found]
        sig, bak, ovr = np.mean(fitted, axis=0)
        return Dnsmos(float(sig), float(bak), float(ovr))

    def _window(self, window: Samples) -> Samples:
        """What the network says of a window: three numbers, before they are fitted."""
        with blame("write", "judging tracks by DNSMOS"):
            (answer,) = self.session.run(None, {self.session.get_inputs()[0].name: window[None]})
        marks = np.ravel(np.asarray(answer, np.float64))
        if marks.shape != (3,) or not np.isfinite(marks).all():
            raise StageError("write", f"the network of {PACKAGE} does not answer with three marks: {_REINSTALL}")
        return np.asarray(marks, np.float32)


_REINSTALL = INSTALL.replace("install", "install --force-reinstall", 1)


def model_file() -> Path | None:
    """The file of the network; None where the package is not installed.

    Raises `StageError` where it is installed and has no such file, or where onnxruntime is missing.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        return None
    for folder in found.submodule_search_locations or ():
        file = Path(folder) / "dnsmos_models" / "sig_bak_ovr.onnx"
        if file.is_file():
            break
    else:
        raise StageError("write", f"the package {PACKAGE} is installed without its DNSMOS network: {_REINSTALL}")
    if importlib.util.find_spec("onnxruntime") is None:
        raise StageError("write", f"the package {PACKAGE} is installed without onnxruntime, which runs it: {INSTALL}")
    return file


def windows(samples: Samples) -> Sequence[Samples]:
    """The windows of a sound, one after the other; a rest that fills none is left out.

    >>> [len(one) for one in windows(np.ones(100, np.float32))], len(windows(np.ones(2 * WINDOW + 5, np.float32)))
    ([144160], 2)
    """
    heard = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    while 0 < len(heard) < WINDOW:
        heard = np.concatenate([heard, heard])
    return [heard[first : first + WINDOW] for first in range(0, len(heard) - WINDOW + 1, WINDOW)]


def voices_marks(
    network: DnsmosNetwork,
    clips: Sequence[StreamInfo],
    tracks: Mapping[Speaker, Path],
    on_progress: Callable[[float], None] = lambda share: None,
) -> dict[Speaker, Dnsmos]:
    """The marks of every speaker with separated voices that `track_quality.judged` takes, by label.

    Of a speaker's voices, the longest are put one after the other until they fill `MOST_WINDOWS`. ``clips`` are those
    of all streams and ``tracks`` the cached ones. ``on_progress`` is told the share of the speakers that are through.
    """
    found: dict[Speaker, Dnsmos] = {}
    speakers = sorted({clip.speaker for clip in clips} & tracks.keys())
    for number, speaker in enumerate(speakers, 1):
        sound = _joined(tracks[speaker], judged(clips, speaker))
        if np.any(sound):
            found[speaker] = network.marks(sound)
        on_progress(number / len(speakers))
    return found


def _joined(track: Path, voices: Sequence[OverlapResult]) -> Samples:
    """The longest voices of a track in order of time, each faded in and out; at most `MOST_WINDOWS` windows."""
    left, chosen = MOST_WINDOWS * WINDOW / RATE, list[Span]()
    for voice in sorted(voices, key=lambda voice: (-voice.span.duration, voice.span.start)):
        span = Span(voice.span.start, min(voice.span.end, voice.span.start + left))
        left -= span.duration
        chosen += [span] if span.duration > 0.0 else []
    parts = [_faded(read_span(track, span).samples) for span in sorted(chosen)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _faded(samples: Samples) -> Samples:
    ramp = np.minimum(np.arange(1, len(samples) + 1, dtype=np.float32) / _FADE, 1.0)
    return np.asarray(samples * ramp * ramp[::-1], np.float32)


@lru_cache(maxsize=1)
def _session(file: Path, threads: int) -> Any:
    with blame("write", f"loading {file}"):
        import onnxruntime  # an extra, and slow to load

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only: they are raised as well
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
