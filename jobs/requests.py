"""How do recordings become orders? A request says how all of them are worked on; each gets a name for its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meetsplit.jobs.discovery import Found, Patterns, obstacle
from meetsplit.jobs.file_index import Ledger
from meetsplit.jobs.job import Afterwards, Order
from meetsplit.pipeline.errors import AudioError, MeetsplitError
from meetsplit.pipeline.formats.control_characters import shown
from meetsplit.pipeline.results.folder import ResultsFolder
from meetsplit.pipeline.results.stems import claimed_names, unique_stems
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
        return Order(
            found.path, content, self.settings, outputs, self.outputs.folder, stem, self.priority, self.afterwards
        )

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
    """A job for every recording that can be read, with the stem that its results have or will have in their folder.

    Whatever is wrong with one file refuses that file and no other. Raises `OutputError` where the results folder
    cannot be written.
    """
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
        contents: dict[Found, str] = {}
        for one in group:
            try:
                contents[one] = ledger.content(one.path)
            except MeetsplitError as error:
                refused.append((one.path, error))
            except _FAULTS as error:
                refused.append((one.path, _refusal(one.path, error)))
        stems = unique_stems([one.path for one in contents])
        peers, inputs = claimed_names(stems.values()), tuple(stems)
        named = [request.order(one, content, stems[one.path]) for one, content in contents.items()]
        wishes = [
            dataclasses.replace(order.result_request(), peers=peers, inputs=(*order.inputs, *inputs)) for order in named
        ]
        places = ResultsFolder(request.outputs.folder / below).reserve(wishes) if wishes else []
        for order, place in zip(named, places, strict=True):
            if isinstance(place, MeetsplitError):
                refused.append((order.recording, place))
            else:
                orders.append(dataclasses.replace(order, stem=place.stem))
    ledger.save()
    return Taken(tuple(orders), tuple(refused))


_FAULTS = (OSError, ValueError, RuntimeError)
"""What a single odd name or file may raise in places that did not expect it."""


def _refusal(path: Path, error: Exception) -> MeetsplitError:
    return AudioError(f"{shown(str(path))}: cannot be queued: {getattr(error, 'strerror', None) or error}")
