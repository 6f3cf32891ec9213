"""How do recordings become orders? A request says how all of them are worked on; each gets a name for its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meetsplit.jobs.finding import Found, Patterns, obstacle, shown
from meetsplit.jobs.ledger import Ledger
from meetsplit.jobs.order import Afterwards, Order
from meetsplit.pipeline.errors import AudioError, MeetsplitError
from meetsplit.pipeline.settings import Outputs, Settings


@dataclass(frozen=True, slots=True)
class Request:
    """How recordings are worked on: settings with absolute paths, ``outputs`` with the folder that all results go to."""

    settings: Settings
    outputs: Outputs
    priority: int = 10
    afterwards: Afterwards = field(default_factory=Afterwards)
    patterns: Patterns = field(default_factory=Patterns)

    def order(self, found: Found, content: str, stem: str) -> Order:
        """The order for one recording; results of a subfolder's recordings go to a subfolder of the same name."""
        outputs = dataclasses.replace(self.outputs, folder=self.outputs.folder / found.below)
        return Order(found.path, content, self.settings, outputs, self.outputs.folder, stem, self.priority, self.afterwards)

    def to_json(self) -> dict[str, Any]:
        """The request for the database: an order without a recording, and the patterns."""
        patterns = {
            "include": list(self.patterns.include),
            "exclude": list(self.patterns.exclude),
            "apart": [str(place) for place in self.patterns.apart],
        }
        return {"order": self.order(Found(Path("nothing")), "", "").to_json(), "patterns": patterns}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Request:
        """What `to_json` gave. Raises `JobError`."""
        blank, own = Order.from_json(row["order"]), row["patterns"]
        patterns = Patterns(tuple(own["include"]), tuple(own["exclude"]), tuple(Path(place) for place in own["apart"]))
        return cls(blank.settings, blank.outputs, blank.priority, blank.afterwards, patterns)


@dataclass(frozen=True, slots=True)
class Taken:
    """Orders, and for each recording that gave none the reason."""

    orders: tuple[Order, ...]
    refused: tuple[tuple[Path, MeetsplitError], ...]


def take(found: Iterable[Found], request: Request, ledger: Ledger) -> Taken:
    """An order for every recording that can be read; whatever is wrong with one file refuses that file and no other."""
    orders: list[Order] = []
    refused: list[tuple[Path, MeetsplitError]] = []
    groups: dict[Path, list[Found]] = {}
    for one in found:
        problem = obstacle(one.path)
        if problem is None:
            groups.setdefault(one.below, []).append(one)
        else:
            refused.append((one.path, problem))
    for below, group in groups.items():
        stems, faults = _claimed(ledger, [one.path for one in group], request.outputs.folder / below)
        refused += faults
        for one in group:
            if one.path in stems:
                try:
                    orders.append(request.order(one, ledger.content(one.path), stems[one.path]))
                except MeetsplitError as error:
                    refused.append((one.path, error))
                except _FAULTS as error:
                    refused.append((one.path, _refusal(one.path, error)))
    ledger.save()
    return Taken(tuple(orders), tuple(refused))


_FAULTS = (OSError, ValueError, RuntimeError)
"""What a single odd name or file may raise in places that did not expect it."""


def _claimed(ledger: Ledger, paths: list[Path], folder: Path) -> tuple[dict[Path, str], list[tuple[Path, MeetsplitError]]]:
    """The names of the results of ``paths``; where one of them cannot have a name, the others still get theirs."""
    try:
        return ledger.claim(paths, folder), []
    except _FAULTS as error:
        if len(paths) == 1:
            return {}, [(paths[0], _refusal(paths[0], error))]
    stems: dict[Path, str] = {}
    refused: list[tuple[Path, MeetsplitError]] = []
    for path in paths:
        own, fault = _claimed(ledger, [path], folder)
        stems |= own
        refused += fault
    return stems, refused


def _refusal(path: Path, error: Exception) -> MeetsplitError:
    return AudioError(f"{shown(path)}: cannot be queued: {getattr(error, 'strerror', None) or error}")
