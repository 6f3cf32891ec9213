"""The sound of a recording: decoded at most once, cut to the stretch that is processed, cleaned on request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.channels.activity import timebase
from meetsplit.pipeline.channels.recording import MultiFileRecording
from meetsplit.pipeline.cleaners import recording as cleaning
from meetsplit.pipeline.data import Channels, Span
from meetsplit.pipeline.errors import SettingsError, blame
from meetsplit.pipeline.events import Kept, Notice, Progressed
from meetsplit.pipeline.protocols import Cleaner
from meetsplit.pipeline.run.backends import Backends
from meetsplit.pipeline.run.stage_events import stage_events
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.rendering import write_sound


class RecordingSound:
    """The channels of a recording, each form of them made when it is first asked for.

    ``read`` decodes the recording; ``clean_key`` is the key under which cleaned channels are kept, None where the
    settings do not ask for them.
    """

    def __init__(
        self,
        backends: Backends,
        recording: Path | MultiFileRecording,
        read: Callable[[], Channels],
        cache: StageCache,
        clean_key: str | None,
    ) -> None:
        self._backends, self._recording, self._read = backends, recording, read
        self._cache, self._clean_key = cache, clean_key

    @functools.cached_property
    def whole(self) -> Channels:
        """The recording decoded."""
        on_event = self._backends.on_event
        with stage_events(on_event, "decode", f"decoding {self._recording}") as add_to_summary:
            audio = self._read()
            add_to_summary(f"{timebase(audio).duration:.0f} s")
        return audio

    @functools.cached_property
    def stretch(self) -> Channels:
        """The part of the recording that the settings choose, in its place on the recording's clock."""
        audio, settings = self.whole, self._backends.settings
        start, end = settings.stretch
        if (start, end) == (0.0, None):
            return audio
        length = timebase(audio).span.end
        check_stretch(settings, length, self._recording)
        if end is not None and end > length:
            self._backends.on_event(
                Notice(f"--end {end:g}: {self._recording} ends at {length:.1f} s already: up to there", "decode")
            )
        return tuple(channel.part(Span(start, length if end is None else end)) for channel in audio)

    @functools.cached_property
    def _cleaned(self) -> cleaning.CleanedRecording:
        """The same without music or noise, where the settings ask for that."""
        key, audio, backends = self._clean_key, self.stretch, self._backends
        if key is None:
            return cleaning.CleanedRecording(audio, ())
        outcomes = self._cache.load_cleaned(key)
        if outcomes is not None:
            backends.on_event(Kept("clean", self._cache.kept_since("clean", key)))
        if outcomes is not None and len(outcomes) == len(audio):
            return cleaning.kept_channels(audio, outcomes, self._cache, key)
        total = sum(channel.duration for channel in audio)
        doing = f"taking {_kinds(backends.settings)} out of {self._recording}"
        with stage_events(backends.on_event, "clean", doing) as add_to_summary:
            cleaner: Cleaner = backends.load("cleaner")
            cleaned = cleaning.clean_channels(
                audio,
                cleaner,
                backends.settings.clean,
                self._cache,
                key,
                lambda done: backends.on_event(Progressed("clean", done, total)),
            )
            add_to_summary(cleaned.summary())
        if not cleaned.is_changed:
            told = f"--clean {backends.settings.clean}: {self._recording} has next to none of it and stays as it is"
            backends.on_event(Notice(told, "clean"))
        return cleaned

    @property
    def cleaned(self) -> Channels:
        """The stretch without music or noise, where the settings ask for that; what the stages hear."""
        return self._cleaned.channels

    @property
    def is_cleaned(self) -> bool:
        """Whether the settings ask for cleaning, and anything was taken out."""
        return self._clean_key is not None and self._cleaned.is_changed

    def write_background(self, target: Path) -> bool:
        """Write what was taken out of the recording, 16 kHz and mono; False where that is nothing."""
        if not self.is_cleaned:
            return False
        whole = timebase(self.whole)
        blocks = cleaning.background(self.stretch, self.cleaned, len(whole.samples))
        with blame("write", f"writing the background of {self._recording}"):
            write_sound(target, blocks, whole.rate, len(whole.samples))
        return True


def _kinds(settings: Settings) -> str:
    """What the settings take out, in words."""
    return " and ".join(sorted(cleaning.kinds_of(settings.clean)))


def check_stretch(settings: Settings, length: float | None, recording: Path | MultiFileRecording) -> None:
    """Raise `SettingsError` where a recording of ``length`` seconds ends before the stretch to process begins."""
    start = settings.stretch[0]
    if length is not None and start > 0.0 and start >= length:
        raise SettingsError(f"--start {start:g}: {recording} ends at {length:.1f} s: choose an earlier time")
