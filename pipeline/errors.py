"""The exceptions of this package, and the translation of foreign ones.

    MeetsplitError
    ├── SettingsError            options or settings that make no sense        exit code 2
    ├── AudioError               a recording cannot be read                    exit code 1
    ├── OutputError              a result cannot be written                    exit code 1
    ├── JobError                 the job queue cannot do what is asked of it   exit code 1
    ├── VoicesError              enrolled voices cannot be read or added to    exit code 1
    ├── ScoreError               a reference or hypothesis cannot be compared  exit code 1
    └── StageError(stage)        a stage failed                                exit code 1
        ├── MissingWeights       its model is not on this machine and cannot be fetched
        ├── MissingDependency    a Python package it needs is not installed
        └── BrokenPromise        a backend's result breaks its stage's protocol

A message says what happened, where (file, time), and what to do next, in one sentence or two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class MeetsplitError(Exception):
    """Base class of all errors that this package raises on purpose."""

    exit_code = 1


class SettingsError(MeetsplitError):
    """Options or settings that make no sense."""

    exit_code = 2


class AudioError(MeetsplitError):
    """A recording cannot be read."""


class OutputError(MeetsplitError):
    """A result cannot be written."""


class JobError(MeetsplitError):
    """The job queue cannot do what is asked of it."""


class ScoreError(MeetsplitError):
    """A reference or hypothesis cannot be read, or cannot be compared."""


class VoicesError(MeetsplitError):
    """Enrolled voices cannot be read, or a sample of a voice cannot be enrolled."""


class StageError(MeetsplitError):
    """A stage failed; ``stage`` names it."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class MissingWeights(StageError):
    """A model's weights are not on this machine and cannot be fetched.

    ``reason`` is the message without the ``alternative``, an option with which the stage does without these weights.
    """

    def __init__(self, stage: str, reason: str, alternative: str | None = None) -> None:
        super().__init__(stage, f"{reason}; or use {alternative}" if alternative else reason)
        self.reason = reason


class MissingDependency(StageError):
    """A Python package that a backend needs is not installed."""


class BrokenPromise(StageError):
    """A backend's result breaks the protocol of its stage."""


@contextmanager
def blame(stage: str, doing: str) -> Iterator[None]:
    """Translate foreign exceptions raised inside the ``with`` block; the only place that does.

    Our own errors pass through. A missing package becomes `MissingDependency`, memory and everything else become
    `StageError`; the cause stays attached.

    >>> with blame("diarize", "finding the speakers of call.wav"):
    ...     raise RuntimeError("shapes do not match")
    Traceback (most recent call last):
    meetsplit.pipeline.errors.StageError: finding the speakers of call.wav failed: shapes do not match
    """
    try:
        yield
    except MeetsplitError:
        raise
    except ModuleNotFoundError as error:
        raise MissingDependency(
            stage, f"{doing} needs the Python package {error.name!r}: pip install {_requirement(error.name or '')}"
        ) from error
    except MemoryError as error:
        raise StageError(stage, f"{doing} ran out of memory; close other programs or use a smaller model") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StageError(stage, f"{doing} failed: {reason}") from error


_EXTRAS = {
    "docx": "docx",
    "meeteval": "score",
    "onnxruntime": "quality",
    "pocketsphinx": "offline",
    "simplejson": "score",
    "speechmos": "quality",
}
"""The extra of meetsplit that brings a package which is not required."""


def _requirement(package: str) -> str:
    """What pip has to be given to bring a missing package.

    >>> _requirement("meeteval.wer"), _requirement("av")
    ("'meetsplit[score]'", 'av')
    """
    extra = _EXTRAS.get(package.partition(".")[0])
    return package if extra is None else f"'meetsplit[{extra}]'"


def nearest(word: str, valid: Iterable[str]) -> str:
    """A hint for an unknown name: the closest valid one, and all of them.

    >>> nearest("pyanote", ["embedded", "pyannote"])
    "did you mean 'pyannote'? There are: embedded, pyannote"
    """
    names = sorted(valid)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}There are: {', '.join(names)}"
