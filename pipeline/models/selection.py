"""Backend selection: which backend each stage gets on this machine, with which weights, and why.

Before anything is decoded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from meetsplit.pipeline.data import StageRecord
from meetsplit.pipeline.errors import MissingDependency, MissingWeights, SettingsError, StageError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.backend_choice import auto_order, chosen_backend, unmet_request
from meetsplit.pipeline.models.sources import Local, WeightSource
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings

STAGE_VERBS = MappingProxyType(
    {
        "cleaner": "clean",
        "diarizer": "diarize",
        "separator": "separate",
        "embedder": "match",
        "transcriber": "transcribe",
        "aligner": "align",
    }
)
"""The stages that have backends, in order, with the name of what each does in events and errors."""

CHANNELS = "channels"
"""The diarizer's name in `made_by` where every speaker has a channel."""

FileStamps: TypeAlias = list[tuple[str, int, int]]
"""Name, size in bytes and time of change in nanoseconds of files."""


@dataclass(frozen=True, slots=True)
class SelectedBackend:
    """One stage's backend: ``sources`` of its weights and their paths on this machine, by role, and the ``reason``.

    ``passed_over`` says why each better backend is not used.
    """

    stage: str
    backend: str
    sources: Mapping[str, WeightSource]
    weights: Mapping[str, Path]
    device: str
    reason: str
    passed_over: tuple[str, ...] = ()

    def record(self) -> StageRecord:
        """The same for `made_by`, without this machine's paths."""
        described = tuple(weights.describe(source) for source in self.sources.values())
        return StageRecord(self.stage, self.backend, described, self.device, self.reason)

    def local_file_stamps(self) -> FileStamps:
        """Stamps of every model file that the user named: weights trained anew under an old name are other weights."""
        paths = [
            self.weights[role]
            for role, source in self.sources.items()
            if isinstance(source, Local) and role in self.weights
        ]
        model_files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        stamps = [(file.name, file.stat()) for file in model_files if file.is_file()]
        return [(name, status.st_size, status.st_mtime_ns) for name, status in stamps]


@dataclass(frozen=True, slots=True)
class UnavailableBackend:
    """A backend that cannot run, passed over by ``auto`` or named by the settings: the error says why."""

    stage: str
    backend: str
    error: StageError


@dataclass(frozen=True, slots=True)
class BackendSelection:
    """The selected backend of each stage that the settings use."""

    backends: tuple[SelectedBackend, ...]

    def of(self, stage: str) -> SelectedBackend | None:
        """The backend of a stage; None where the run does not need it."""
        return next((selected for selected in self.backends if selected.stage == stage), None)

    def records(self) -> tuple[StageRecord, ...]:
        """The table for `made_by`."""
        return tuple(selected.record() for selected in self.backends)


def preflight(
    settings: Settings, on_event: EventListener = ignore_events, *, transcribes: bool = True
) -> BackendSelection:
    """Select a backend for every stage and bring its weights to this machine; without ``transcribes``, of those before
    the words.

    A backend named by the settings never falls back, nor does one whose model they name. ``auto`` takes the first of
    `auto_order` that can do what they request and whose weights are here or can be fetched now. Raises
    `SettingsError`, `MissingWeights` or `MissingDependency`.
    """
    check_settings(settings)
    selected: list[SelectedBackend] = []
    for stage in STAGE_VERBS:
        if stage == "cleaner" and settings.clean == "off":
            continue
        if stage in ("transcriber", "aligner") and not transcribes:
            continue
        if stage == "separator" and (settings.separate == "off" or settings.channels == "split"):
            continue
        if stage == "embedder" and not _needs_matcher(selected):
            selected += _select_verifier(selected, settings, on_event)
            continue
        if stage == "aligner" and not _aligns(settings, on_event):
            continue
        selected.append(_select(stage, settings, on_event))
    return BackendSelection(tuple(selected))


def check_backends(settings: Settings) -> tuple[SelectedBackend | UnavailableBackend, ...]:
    """Every stage as `preflight` would select it, without fetching anything and without stopping at an error."""
    device.check(settings.device)
    rows: list[SelectedBackend | UnavailableBackend] = []
    for stage in STAGE_VERBS:
        if stage == "cleaner" and settings.clean == "off":
            continue
        if stage == "separator" and settings.channels == "split":
            continue
        if stage == "embedder" and not _needs_matcher(rows):
            selected = [row for row in rows if isinstance(row, SelectedBackend)]
            rows += _select_verifier(selected, settings, ignore_events)
            continue
        if stage == "aligner" and not _aligns(settings, ignore_events):
            continue
        try:
            rows.append(_select(stage, settings, ignore_events, fetch=False))
        except StageError as error:
            rows.append(UnavailableBackend(stage, chosen_backend(stage, settings), error))
    return tuple(rows)


def _aligns(settings: Settings, on_event: EventListener) -> bool:
    """Whether words get their times from a model for alignment; a notice where the settings name one in vain."""
    if settings.align_model is not None and settings.task == "translate":
        on_event(Notice("--align-model is not used: the words of a translation are not spoken anywhere", "align"))
        return False
    return settings.align_model is not None


def _needs_matcher(rows: Sequence[SelectedBackend | UnavailableBackend]) -> bool:
    """Whether the separator's voices are anonymous, so that an embedder has to match them with speakers."""
    return any(row.backend in registry.BLIND for row in rows)


def _select_verifier(
    selected: Sequence[SelectedBackend], settings: Settings, on_event: EventListener
) -> tuple[SelectedBackend, ...]:
    """An embedder to verify separated voices with, where no matcher needs one and the settings ask for it.

    A run can do without, so it is selected only if its weights are here; otherwise there is a notice.
    """
    separates = any(row.stage == "separator" and row.backend != "none" for row in selected)
    if not separates or not settings.has_check("verify"):
        return ()
    try:
        embedder = _select("embedder", dataclasses.replace(settings, offline=True), on_event)
    except MissingWeights:
        how = "`meetsplit models fetch embedded` brings what is missing"
        on_event(
            Notice(f"separated voices are not verified: there is no voice encoder on this machine; {how}", "separate")
        )
        return ()
    return (dataclasses.replace(embedder, reason="verifies separated voices; weights are here", passed_over=()),)


def check_settings(settings: Settings) -> None:
    """Raise `SettingsError` for what can be known to be wrong before weights of any stage are looked for.

    These are a device, backend or model that does not exist, a request that the named transcriber cannot meet, and
    files of turns or words that cannot be read.
    """
    device.check(settings.device)
    for stage in STAGE_VERBS:
        name = chosen_backend(stage, settings)
        if name != "auto":
            registry.backend_named(stage, name)
            weight_sources(stage, name, settings)
        unmet = unmet_request(stage, name, settings)
        if unmet is not None:
            raise SettingsError(": ".join(unmet))
    for path in (settings.rttm, settings.script):
        if path is not None:
            try:
                path.open("rb").close()
            except OSError as error:
                raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error


def _select(stage: str, settings: Settings, on_event: EventListener, *, fetch: bool = True) -> SelectedBackend:
    """The stage's backend: the one that the settings name, or the first of `auto_order` that can run here."""
    if stage == "diarizer" and settings.channels == "split":
        nothing: Mapping[str, Any] = MappingProxyType({})
        reason = "one channel per person: nobody has to be found"
        return SelectedBackend(stage, CHANNELS, sources=nothing, weights=nothing, device="cpu", reason=reason)
    name = chosen_backend(stage, settings)
    if name != "auto":
        registry.backend_named(stage, name)
        return _locate_weights(stage, name, settings, on_event, fetch=fetch)
    unavailable: list[UnavailableBackend] = []
    for name in auto_order(stage, settings):
        unmet = unmet_request(stage, name, settings)
        if unmet is not None:
            unavailable.append(UnavailableBackend(stage, name, StageError(STAGE_VERBS[stage], unmet[0])))
            continue
        try:
            selected = _locate_weights(stage, name, settings, on_event, fetch=fetch)
        except (MissingWeights, MissingDependency) as error:
            unavailable.append(UnavailableBackend(stage, name, error))
            continue
        return _with_passed_over(selected, unavailable)
    sentences = "; ".join(f"{row.backend}: {row.error}" for row in unavailable)
    raise MissingWeights(stage, f"no {stage} can run here. {sentences}")


def _with_passed_over(selected: SelectedBackend, unavailable: Sequence[UnavailableBackend]) -> SelectedBackend:
    if not unavailable:
        return dataclasses.replace(selected, reason=f"first choice; {selected.reason}")
    names = " and ".join(row.backend for row in unavailable)
    return dataclasses.replace(
        selected,
        reason=f"{names} not to be had; {selected.reason}",
        passed_over=tuple(
            # what to use instead is what runs already
            row.error.reason if isinstance(row.error, MissingWeights) else str(row.error)
            for row in unavailable
        ),
    )


def _locate_weights(
    stage: str, name: str, settings: Settings, on_event: EventListener, *, fetch: bool
) -> SelectedBackend:
    """The backend of that name with its weights, fetched if need be.

    Without ``fetch``, only checked whether they can be.

    Raises `MissingDependency` or `MissingWeights`, which advises to use `sphinx` only where that can do what the
    settings request.
    """
    try:
        return _located_weights(stage, name, settings, on_event, fetch=fetch)
    except MissingWeights as error:
        if stage == "transcriber" and unmet_request(stage, "sphinx", settings) is not None:
            raise MissingWeights(error.stage, error.reason) from error
        raise


def _located_weights(
    stage: str, name: str, settings: Settings, on_event: EventListener, *, fetch: bool
) -> SelectedBackend:
    registry.require_packages(stage, name)
    cache = settings.cache_dir or weights.default_cache()
    verb, offline, token = STAGE_VERBS[stage], settings.offline, settings.hf_token
    paths: dict[str, Path] = {}
    sources = weight_sources(stage, name, settings)
    reason = "weights are here" if sources else "needs no weights"
    for role, source in sources.items():
        path = weights.locate(source, cache=cache)
        if path is not None:
            paths[role] = path
        elif fetch:
            paths[role] = weights.fetch(
                source, stage=verb, cache=cache, offline=offline, token=token, on_event=on_event
            )
            reason = "fetched now"
        else:
            weights.check_available(source, stage=verb, offline=offline, token=token, cache=cache)
            if weights.find_damage(source, cache=cache) is not None:
                reason = "weights are damaged, to be fetched again"
            elif reason == "weights are here":
                reason = "to be fetched"
    on = device.choose(settings.device) if registry.backend_named(stage, name).on_device else "cpu"
    return SelectedBackend(stage, name, sources, paths, on, reason)
