"""Recordings that are arrays: NumPy's, torch's, and pyannote's mapping of a waveform, written as a float WAV file.

As a file a recording has all that the stages ask of it: content to hash, channels, a name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import AudioError, OutputError, SettingsError

MAX_CHANNELS = 64
"""Channels of a recording; an array of more rows than this has its axes the other way round."""

WAV_LIMIT = 2**32 - 4096
"""Bytes of samples that a WAV file holds."""


@runtime_checkable
class ArrayLike(Protocol):
    """An array: NumPy's, or a torch tensor."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """The values as a NumPy array."""


ArrayRecording: TypeAlias = ArrayLike | Mapping[str, Any]
"""A recording in memory: samples ``(n,)`` or ``(channels, n)``, floats from -1 to 1 or integers of full scale; or a
mapping as pyannote.audio takes it, with ``waveform``, ``sample_rate`` and perhaps ``uri``, its name."""


def is_array(recording: object) -> TypeGuard[ArrayRecording]:
    """Whether ``recording`` is in memory, not the path of a file; pyannote's mappings may hold either."""
    return isinstance(recording, ArrayLike) or (isinstance(recording, Mapping) and "audio" not in recording)


def write_array(recording: ArrayRecording, folder: Path, *, sample_rate: int | None, name: str) -> Path:
    """Write a recording in memory to ``folder/<name>.wav`` and return that path; no sample is changed.

    ``sample_rate`` is in Hz, ``name`` fit for a file; a mapping brings its own rate. Raises `SettingsError` for a
    missing or impossible rate, `AudioError` for an array that is no sound, `OutputError` where it cannot be written.
    """
    from scipy.io import wavfile  # slow to load

    values: Any = recording
    if isinstance(recording, Mapping):
        if "waveform" not in recording or "sample_rate" not in recording:
            raise SettingsError("a mapping needs 'waveform' and 'sample_rate', as pyannote.audio's do")
        if sample_rate not in (None, recording["sample_rate"]):
            raise SettingsError(f"sample_rate={sample_rate}, but the mapping's is {recording['sample_rate']}: drop one")
        values, sample_rate = recording["waveform"], recording["sample_rate"]
    if sample_rate is None:
        raise SettingsError("an array does not say its sample rate: Pipeline.run(samples, sample_rate=16000)")
    if int(sample_rate) != sample_rate or not 1000 <= sample_rate <= 768_000:
        raise SettingsError(f"sample_rate={sample_rate}: a whole number of Hz is needed, from 1000 to 768000")
    samples = _samples(values)
    if samples.nbytes > WAV_LIMIT:
        raise AudioError(
            f"an array of {samples.nbytes / 1e9:.0f} GB is more than a WAV file can hold: save it as a recording"
        )
    path = folder / f"{name}.wav"
    try:
        wavfile.write(path, int(sample_rate), np.ascontiguousarray(samples.T))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; make room") from error
    return path


def name_of(recording: ArrayRecording) -> str | None:
    """The name that the recording brings, pyannote's ``uri``."""
    uri = recording.get("uri") if isinstance(recording, Mapping) else None
    return None if uri is None else os.fspath(uri)


def _samples(values: Any) -> Samples:
    """Float32 samples of shape ``(channels, n)``."""
    if hasattr(values, "detach"):  # a tensor of torch, wherever it is and whether or not it is being learned
        values = values.detach().cpu()
    array: npt.NDArray[Any] = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2) or not array.size:
        raise AudioError(
            f"samples are numbers of shape (n,) or (channels, n), not {array.dtype} of shape {array.shape}"
        )
    channels = np.atleast_2d(array)
    if len(channels) > MAX_CHANNELS:
        raise AudioError(
            f"an array of shape {array.shape} has {len(channels)} channels: channels come first, so transpose it (.T)"
        )
    if array.dtype.kind == "f":
        return channels.astype(np.float32)
    bounds = np.iinfo(array.dtype)
    middle, scale = (bounds.max + 1) / 2 if array.dtype.kind == "u" else 0.0, 2.0 ** (bounds.bits - 1)
    return ((channels.astype(np.float64) - middle) / scale).astype(np.float32)
