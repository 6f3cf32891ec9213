"""Torch checkpoints read as data: tensors as numpy arrays, without torch and without running anything in the file.

A torch checkpoint is a pickle, and a pickle may call any function. Here a pickle can build plain containers and numpy
arrays, nothing else: an object of any other class becomes a `StubObject`, which keeps its state. Both layouts are read,
the zip archive (torch >= 1.6) and the older sequence of pickles; see torch/serialization.py. No read is larger than the
file.

Why not ``torch.load(weights_only=True)``: docs/architecture.md, section 8.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Tensor: TypeAlias = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_BUILTINS = {
    "dict": dict,
    "list": list,
    "set": set,
    "tuple": tuple,
    "int": int,
    "long": int,
    "float": float,
    "str": str,
    "bool": bool,
}


_DAMAGE_ERRORS = (
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What the readers of pickles and archives raise about a damaged file."""


class StubObject:
    """Stands for an object of a class that is never imported: keeps its arguments and state, and does nothing."""

    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> StubObject:
        """Pickles make objects with and without ``__init__``; both ways pass here."""
        stub = super().__new__(cls)
        stub.args = args
        return stub

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Drop the item of a list subclass."""

    def __setitem__(self, key: Any, item: Any) -> None:
        """Drop the item of a dict subclass."""


class _Unpickler(pickle.Unpickler):
    """Builds plain containers and arrays over ``storages``, which the caller fills with the file's bytes.

    No storage has more than ``max_bytes``.
    """

    def __init__(self, stream: io.BufferedIOBase, storages: dict[str, Tensor], max_bytes: int) -> None:
        super().__init__(stream)
        self._storages, self._max_bytes = storages, max_bytes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor_view
        if module == "torch" and name in _STORAGE_TYPES:
            return np.dtype(_STORAGE_TYPES[name])
        if module in ("builtins", "__builtin__") and name in _BUILTINS:
            return _BUILTINS[name]
        return type(name, (StubObject,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Tensor:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], np.dtype)):
            raise pickle.UnpicklingError(f"an unknown kind of storage: {pid!r:.80}")
        _, dtype, key, _, count, *_ = pid
        if not 0 <= int(count) * dtype.itemsize <= self._max_bytes:
            raise pickle.UnpicklingError("a storage that is larger than the file")
        return self._storages.setdefault(str(key), np.zeros(int(count), dtype))


def _tensor_view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """The tensor of this size and stride in the storage, as a view: old files fill the storage in later."""
    is_empty = 0 in size
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (not is_empty and last >= max(storage.size, 1)):
        raise pickle.UnpicklingError("a tensor that reaches beyond its storage")
    item = storage.itemsize
    return np.lib.stride_tricks.as_strided(storage[offset:], size, tuple(step * item for step in stride))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Everything in the checkpoint at ``path``; tensors are numpy arrays.

    Raises ``pickle.UnpicklingError``, ``EOFError`` or ``zipfile.BadZipFile`` for a file that is not one, `OSError` for
    one that cannot be opened.
    """
    with path.open("rb"):
        file_size = path.stat().st_size
    try:
        content = _read_zip(path, file_size) if zipfile.is_zipfile(path) else _read_sequence(path, file_size)
    except _DAMAGE_ERRORS as error:
        raise pickle.UnpicklingError(f"not a checkpoint that can be read without running it ({error})") from error
    if not isinstance(content, dict):
        raise pickle.UnpicklingError("not a dictionary at the top")
    return content


def _read_zip(path: Path, file_size: int) -> Any:
    storages: dict[str, Tensor] = {}
    with zipfile.ZipFile(path) as archive:
        index = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
        if index is None:
            raise pickle.UnpicklingError("no data.pkl inside")
        if any(entry.file_size > file_size for entry in archive.infolist()):
            raise pickle.UnpicklingError("an entry that is larger than the file")
        content = _Unpickler(io.BytesIO(archive.read(index)), storages, file_size).load()
        for key, storage in storages.items():
            raw = archive.read(f"{index.removesuffix('data.pkl')}data/{key}")
            storage[:] = np.frombuffer(raw, storage.dtype, count=storage.size)
    return content


def _read_sequence(path: Path, file_size: int) -> Any:
    storages: dict[str, Tensor] = {}
    with path.open("rb") as stream:
        magic, _, _ = (_Unpickler(stream, {}, 0).load() for _ in range(3))
        if magic != _MAGIC:
            raise pickle.UnpicklingError("not a torch checkpoint")
        content = _Unpickler(stream, storages, file_size).load()
        for key in _Unpickler(stream, {}, 0).load():
            (count,) = struct.unpack("<q", stream.read(8))
            storage = storages[key]
            if count != storage.size:
                raise pickle.UnpicklingError("a storage of another size than its tensor's")
            storage[:] = np.frombuffer(stream.read(count * storage.itemsize), storage.dtype, count=count)
    return content


def json_value(value: Any) -> Any:
    """The value as JSON can hold it: stubs become their state, tensors and unknown objects the name of their class.

    >>> json_value({"stride": 10, "of": (1, 2)})
    {'stride': 10, 'of': [1, 2]}
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [json_value(item) for item in value]
    if isinstance(value, StubObject):
        return json_value(value.state if value.state is not None else list(value.args))
    return type(value).__name__
