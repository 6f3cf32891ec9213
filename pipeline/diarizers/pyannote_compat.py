"""pyannote.audio without warnings and telemetry, and its progress hook as events."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from meetsplit.pipeline.events import EventListener, Progressed


@contextmanager
def quiet_pyannote() -> Iterator[None]:
    """A context with no warnings (torchcodec, TF32, lightning) and nothing below an error in lightning's log."""
    loggers = [
        logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning")
    ]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def no_telemetry() -> None:
    """Turn off pyannote.audio's telemetry in this process."""
    with quiet_pyannote():
        from pyannote.audio.telemetry import set_telemetry_metrics

    set_telemetry_metrics(False)


def progress_hook(
    on_event: EventListener, seconds: float, shares: Mapping[str, tuple[float, float]]
) -> Callable[..., None]:
    """pyannote's progress hook as events in seconds of audio.

    ``shares`` says where each step lies between 0 and 1; steps without a share send no event. Progress never falls.
    """
    furthest = [0.0]

    def hook(
        step: str, artifact: Any = None, *, completed: int | None = None, total: int | None = None, **_: Any
    ) -> None:
        if step not in shares or completed is None or not total:
            return
        first, last = shares[step]
        furthest[0] = max(furthest[0], first + (last - first) * min(1.0, completed / total))
        on_event(Progressed("diarize", furthest[0] * seconds, seconds))

    return hook
