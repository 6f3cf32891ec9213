"""Which backend does each stage get on this machine, with which weights, and why? Asked before anything is decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from meetsplit.pipeline.data import StageRecord
from meetsplit.pipeline.errors import MissingDependency, MissingWeights, StageError
from meetsplit.pipeline.events import EventListener, Notice, ignore_events
from meetsplit.pipeline.models import device, registry, weights
from meetsplit.pipeline.models.weights import WeightSource
from meetsplit.pipeline.settings import Settings

VERBS = MappingProxyType(
    {"diarizer": "diarize", "separator": "separate", "embedder": "match", "transcriber": "transcribe"}
)
"""The stages that have backends, in order, and what each does."""

CHANNELS = "channels"
"""What stands in the diarizer's place where everybody has a channel."""


@dataclass(frozen=True, slots=True)
class SelectedBackend:
    """One stage's backend with its weights on this machine. ``better`` says why each better one was passed over."""

    stage: str
    backend: str
    sources: Mapping[str, WeightSource]
    weights: Mapping[str, Path]
    device: str
    why: str
    better: tuple[str, ...] = ()

    def record(self) -> StageRecord:
        """The same for `made_by`, without this machine's paths."""
        described = tuple(weights.describe(source) for source in self.sources.values())
        return StageRecord(self.stage, self.backend, described, self.device, self.why)


@dataclass(frozen=True, slots=True)
class UnavailableBackend:
    """A backend that ``auto`` passed over, or one that was named and cannot run: the error says why."""

    stage: str
    backend: str
    error: StageError


@dataclass(frozen=True, slots=True)
class BackendSelection:
    """One choice per stage that the settings use."""

    choices: tuple[SelectedBackend, ...]

    def of(self, stage: str) -> SelectedBackend | None:
        """The choice for a stage; None where the run does not need it."""
        return next((choice for choice in self.choices if choice.stage == stage), None)

    def records(self) -> tuple[StageRecord, ...]:
        """The table for `made_by`."""
        return tuple(choice.record() for choice in self.choices)


def preflight(settings: Settings, on_event: EventListener = ignore_events) -> BackendSelection:
    """Choose a backend for every stage and bring its weights to this machine.

    A backend named by the settings never falls back. ``auto`` takes the first of `backends.AUTO` whose weights are
    here or can be fetched now. Raises `SettingsError`, `MissingWeights` or `MissingDependency`.
    """
    on = device.choose(settings.device)
    _check_names(settings, on)
    choices: list[SelectedBackend] = []
    for stage in VERBS:
        if stage == "separator" and (settings.separate == "off" or settings.channels == "split"):
            continue
        if stage == "embedder" and not any(choice.backend in registry.BLIND for choice in choices):
            choices += _verifier(choices, settings, on, on_event)
            continue
        choices.append(_choose(stage, settings, on, on_event))
    return BackendSelection(tuple(choices))


def check_backends(settings: Settings) -> tuple[SelectedBackend | UnavailableBackend, ...]:
    """Every stage as `preflight` would choose it, without fetching anything and without stopping at a refusal."""
    on = device.choose(settings.device)
    found: list[SelectedBackend | UnavailableBackend] = []
    for stage in VERBS:
        if stage == "separator" and settings.channels == "split":
            continue
        if stage == "embedder" and not any(row.backend in registry.BLIND for row in found):
            found += _verifier([row for row in found if isinstance(row, SelectedBackend)], settings, on, ignore_events)
            continue
        try:
            found.append(_choose(stage, settings, on, ignore_events, fetch=False))
        except StageError as error:
            found.append(UnavailableBackend(stage, _asked(stage, settings), error))
    return tuple(found)


def _verifier(
    chosen: Sequence[SelectedBackend], settings: Settings, on: str, on_event: EventListener
) -> tuple[SelectedBackend, ...]:
    """An embedder to verify separated voices with, where nothing else needs one and the settings want it.

    A run can do without, so it is taken only if its weights are here; otherwise that is noticed.
    """
    separates = any(choice.stage == "separator" and choice.backend != "none" for choice in chosen)
    if not separates or not settings.has_check("verify"):
        return ()
    try:
        choice = _choose("embedder", dataclasses.replace(settings, offline=True), on, on_event)
    except MissingWeights:
        how = "`meetsplit models fetch embedded` brings what is missing"
        on_event(
            Notice(f"separated voices are not verified: there is no voice encoder on this machine; {how}", "separate")
        )
        return ()
    return (dataclasses.replace(choice, why="verifies separated voices; weights are here", better=()),)


def _asked(stage: str, settings: Settings) -> str:
    return {"diarizer": settings.diarizer, "separator": settings.separator, "transcriber": settings.transcriber}.get(
        stage, "auto"
    )


def _check_names(settings: Settings, on: str) -> None:
    """Raise `SettingsError` for a backend or model that does not exist, before weights of any stage are looked for."""
    for stage in VERBS:
        asked = _asked(stage, settings)
        if asked != "auto":
            registry.named(stage, asked)
            registry.sources(stage, asked, settings, on)


def _choose(stage: str, settings: Settings, on: str, on_event: EventListener, *, fetch: bool = True) -> SelectedBackend:
    if stage == "diarizer" and settings.channels == "split":
        return SelectedBackend(
            stage,
            CHANNELS,
            MappingProxyType({}),
            MappingProxyType({}),
            "cpu",
            "one channel per person: nobody has to be found",
        )
    asked = _asked(stage, settings)
    if asked != "auto":
        registry.named(stage, asked)
        return _take(stage, asked, settings, on, on_event, fetch=fetch)
    passed: list[UnavailableBackend] = []
    for name in registry.AUTO[stage]:
        try:
            choice = _take(stage, name, settings, on, on_event, fetch=fetch)
        except (MissingWeights, MissingDependency) as error:
            passed.append(UnavailableBackend(stage, name, error))
            continue
        return _explained(choice, passed)
    sentences = "; ".join(f"{refusal.backend}: {refusal.error}" for refusal in passed)
    raise MissingWeights(stage, f"no {stage} can run here. {sentences}")


def _explained(choice: SelectedBackend, passed: list[UnavailableBackend]) -> SelectedBackend:
    if not passed:
        return dataclasses.replace(choice, why=f"first choice; {choice.why}")
    instead = " and ".join(refusal.backend for refusal in passed)
    return dataclasses.replace(
        choice, why=f"{instead} not to be had; {choice.why}", better=tuple(str(refusal.error) for refusal in passed)
    )


def _take(
    stage: str, name: str, settings: Settings, on: str, on_event: EventListener, *, fetch: bool
) -> SelectedBackend:
    registry.require_packages(stage, name)
    cache = settings.cache_dir or weights.default_cache()
    found: dict[str, Path] = {}
    fetched = damaged = False
    sources = registry.sources(stage, name, settings, on)
    for role, source in sources.items():
        path = weights.locate(source, cache=cache)
        if path is None:
            if not fetch:
                weights.check(
                    source, stage=VERBS[stage], offline=settings.offline, token=settings.hf_token, cache=cache
                )
                damaged = damaged or weights.damage(source, cache=cache) is not None
                fetched = True
                continue
            path = weights.fetch(
                source,
                stage=VERBS[stage],
                cache=cache,
                offline=settings.offline,
                token=settings.hf_token,
                on_event=on_event,
            )
            fetched = True
        found[role] = path
    why = "weights are here" if sources else "needs no weights"
    if fetched:
        why = "fetched now" if fetch else "weights are damaged, to be fetched again" if damaged else "to be fetched"
    return SelectedBackend(stage, name, sources, found, on if registry.named(stage, name).on_device else "cpu", why)
