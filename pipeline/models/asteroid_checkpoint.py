"""asteroid's checkpoints read as data: the name of the network, its arguments, its weights.

A file is what ``BaseModel.serialize`` of asteroid (0.3 to 0.7) writes with ``torch.save``, on the hub as
``pytorch_model.bin``: a dictionary with ``model_name``, ``model_args`` and ``state_dict``. asteroid itself is not
needed, and nothing in the file is run (`checkpoints`). What the arguments ask for is checked before it is built: names,
kinds and sizes by `Arguments`, the shapes of all weights where they are loaded (`tasnet`).
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from meetsplit.pipeline.errors import MissingWeights, StageError, nearest
from meetsplit.pipeline.models.checkpoints import Tensor, read_checkpoint
from meetsplit.pipeline.models.sources import ASTEROID_CHECKPOINT

STAGE = "separate"

_KEYS = ("model_name", "model_args", "state_dict")


def checkpoint_file(path: Path) -> Path:
    """The file of weights at ``path``: itself, or `ASTEROID_CHECKPOINT` in a folder. Raises `MissingWeights`."""
    file = path / ASTEROID_CHECKPOINT if path.is_dir() else path
    if not file.is_file():
        raise MissingWeights(STAGE, f"{path} is no asteroid model: there is no {ASTEROID_CHECKPOINT} in it")
    return file


@dataclass(frozen=True)
class AsteroidCheckpoint:
    """A checkpoint's content: ``model_name`` is asteroid's class, ``arguments`` those it was made with."""

    path: Path
    model_name: str
    arguments: Arguments
    state: Mapping[str, Tensor]


def read_asteroid(path: Path) -> AsteroidCheckpoint:
    """The checkpoint at ``path``, a file or the folder of a hub repository.

    Raises `MissingWeights` where there is none, `StageError` for a file that is none of asteroid's.
    """
    file = checkpoint_file(path)
    try:
        content = read_checkpoint(file)
    except (pickle.UnpicklingError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise StageError(STAGE, f"{file} cannot be read as a checkpoint of asteroid's: {error}") from error
    absent = [key for key in _KEYS if key not in content]
    if absent:
        raise StageError(STAGE, f"{file} is no checkpoint of asteroid's: it has no {' and no '.join(absent)}")
    name, arguments, state = (content[key] for key in _KEYS)
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(state, dict):
        raise StageError(STAGE, f"{file} is no checkpoint of asteroid's: {', '.join(_KEYS)} are of other kinds")
    for key, weight in state.items():
        if not isinstance(key, str) or not isinstance(weight, np.ndarray) or weight.dtype.kind not in "fi":
            raise StageError(STAGE, f"{file}: {str(key)[:60]!r} in its state_dict is no tensor of numbers")
        if not np.isfinite(weight).all():
            raise StageError(STAGE, f"{file}: the weights of {key[:60]} are not finite numbers: it is damaged")
    return AsteroidCheckpoint(file, name, Arguments(file, arguments), state)


class Arguments:
    """The arguments of a network, as a checkpoint in ``file`` has them: each is asked for by name, kind and limits."""

    def __init__(self, file: Path, values: Mapping[Any, Any]) -> None:
        self._file = file
        self._values = {str(name): value for name, value in values.items()}
        self._known: set[str] = set()

    def number(self, name: str, default: int | None, *, most: int, least: int = 1) -> int:
        """A whole number between ``least`` and ``most``; one with a default may be absent or None."""
        value = self._value(name, default)
        if value is None:
            self.refuse(f"it does not say {name}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
            self.refuse(f"{name} is {value!r:.40}, no whole number")
        if not least <= value <= most:
            self.refuse(f"{name} is {int(value)}, and has to lie between {least} and {most}")
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth value."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            self.refuse(f"{name} is {value!r:.40}, neither true nor false")
        return value

    def word(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of ``choices``."""
        value = self._value(name, default)
        if not isinstance(value, str) or value not in choices:
            self.refuse(f"{name} is {value!r:.40}: {nearest(str(value)[:40], sorted(choices))}")
        return value

    def is_none(self, name: str) -> bool:
        """Whether an argument is there, and None."""
        self._known.add(name)
        return name in self._values and self._values[name] is None

    def ignore(self, *names: str) -> None:
        """Know arguments that only training needs."""
        self._known.update(names)

    def check_known(self) -> None:
        """Raise `StageError` for an argument that was not asked for: the network would be another one."""
        unknown = sorted(self._values.keys() - self._known)
        if unknown:
            self.refuse(f"{unknown[0][:60]!r} is none of its arguments")

    def refuse(self, problem: str) -> NoReturn:
        """Raise `StageError` about an argument."""
        raise StageError(STAGE, f"{self._file}: the network that its model_args describe cannot be built: {problem}")

    def _value(self, name: str, default: Any) -> Any:
        self._known.add(name)
        value = self._values.get(name)
        return default if value is None else value
