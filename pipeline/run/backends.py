"""Backends: settings with the backend that they select for each stage, loaded when first needed and then kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meetsplit.pipeline.errors import SettingsError, blame
from meetsplit.pipeline.events import EventListener, Notice
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.selection import (
    STAGE_VERBS,
    BackendSelection,
    FileStamps,
    SelectedBackend,
    preflight,
)
from meetsplit.pipeline.protocols import FromFile, Resampling, Separator, as_separator
from meetsplit.pipeline.run.route import RATE
from meetsplit.pipeline.separators.matching import MatchingSeparator
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers.match import EmbeddingMatcher
from meetsplit.speakers.voiceprints import VoiceEncoder


@dataclass(frozen=True, slots=True)
class LoadedBackend:
    """A backend with the stamps of the user's own model files that it was loaded from.

    None where the caller loaded it.
    """

    backend: Any
    stamps: FileStamps | None

    def is_current(self, stamps: FileStamps, sha256: str | None) -> bool:
        """Whether its model files still have these stamps, and its file of turns or words this checksum."""
        if isinstance(self.backend, FromFile) and sha256 is not None and self.backend.sha256 != sha256:
            return False
        return self.stamps is None or self.stamps == stamps


class Backends:
    """Settings with a backend for each stage, selected once, each loaded when first needed.

    ``loaded`` are those that the caller has loaded already, by stage. Without ``transcribes``, no transcriber is
    needed. What they do, and what the stages do with them, is told to ``on_event``.
    """

    def __init__(
        self, settings: Settings, on_event: EventListener, loaded: Mapping[str, Any], *, transcribes: bool
    ) -> None:
        self.settings = settings
        self.on_event = on_event
        self._transcribes = transcribes
        self._selection: BackendSelection | None = None
        self._loaded = {stage: LoadedBackend(backend, None) for stage, backend in loaded.items()}
        self._voice_encoders: dict[str, VoiceEncoder] = {}

    def preflight(self) -> BackendSelection:
        """Select a backend for each stage; fetches what is missing. Raises as `selection.preflight` does."""
        if self._selection is None:
            self._selection = preflight(self.settings, self.on_event, transcribes=self._transcribes)
        return self._selection

    def load(self, stage: str, sha256: str | None = None) -> Any:
        """The stage's backend, loaded when first needed.

        It is loaded again where model files that the user named have changed since, and where the checksum of its file
        of turns or words is no longer ``sha256``.
        """
        selected = self.preflight().of(stage)
        if selected is None:
            raise ValueError(f"the settings leave out the {stage}")
        stamps = selected.local_file_stamps()
        loaded = self._loaded.pop(stage, None)
        if loaded is None or not loaded.is_current(stamps, sha256):
            loaded = None  # an outdated model gives its memory back before the new one is loaded
            loaded = LoadedBackend(self._load(selected), stamps)
        self._loaded[stage] = loaded
        return loaded.backend

    def _load(self, selected: SelectedBackend) -> Any:
        cache = self.settings.cache_dir or weights.default_cache()
        verb = STAGE_VERBS[selected.stage]
        device.limit_threads(self.settings.threads)
        with blame(verb, f"loading the {selected.stage} {selected.backend}"):
            for source in selected.sources.values():
                weights.require_intact(source, stage=verb, cache=cache)
            return registry.load(selected.stage, selected.backend, self.settings, selected.weights, selected.device)

    def load_separator(self) -> Separator:
        """The separator; a blind one with the matcher that gives its voices to speakers."""
        separator = self.load("separator")
        selected = self.preflight().of("separator")
        if isinstance(separator, Resampling) and min(separator.network_rates, default=RATE) < RATE:
            self.on_event(Notice(_describe_low_rate(min(separator.network_rates)), "separate"))
        if selected is not None and selected.backend in registry.BLIND:
            separator = MatchingSeparator(separator, EmbeddingMatcher(self.load("embedder")))
        return as_separator(separator)

    def voice_encoder(self, backend: str) -> VoiceEncoder:
        """The encoder of voiceprints of that name, loaded when first needed; raises as `VoiceEncoder.load`."""
        if backend not in self._voice_encoders:
            self._voice_encoders[backend] = VoiceEncoder.load(self.settings, backend)
        return self._voice_encoders[backend]

    def share(self, other: Backends, stages: Collection[str]) -> None:
        """Take over the backends of these stages that ``other`` has loaded, and its encoders of voiceprints."""
        self._loaded = {stage: loaded for stage, loaded in other._loaded.items() if stage in stages}
        self._voice_encoders = other._voice_encoders


def check_unchanged(backend: object, path: Path | None, sha256: str | None) -> None:
    """Raise `SettingsError` where the file that a backend answers from is not the one with that checksum."""
    if isinstance(backend, FromFile) and sha256 is not None and backend.sha256 != sha256:
        raise SettingsError(
            f"{path}: has changed while it was being used; run again when nothing writes to it any more"
        )


def _describe_low_rate(rate: int) -> str:
    """A sentence about a separator's model for fewer samples a second than the pipeline has."""
    cut = f"what lies above {0.46 * rate / 1000:.1f} kHz goes to whoever is louder at that moment"
    return f"the separator's model is made for {rate / 1000:g} kHz: overlaps are resampled for it, and {cut}"
