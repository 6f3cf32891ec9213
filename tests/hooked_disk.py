"""A disk with a hook before every change, for tests of crashes and of other programs at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from meetsplit.pipeline import files


class HookedDisk(files.Disk):
    """A disk on which ``hook`` is called before every change.

    Links fail with the error number ``refused_links``, those between folders only unless ``everywhere``.
    """

    def __init__(self, hook: Callable[[], None], *, refused_links: int | None = None, everywhere: bool = False) -> None:
        self.hook, self.refused_links, self.everywhere = hook, refused_links, everywhere

    def create(self, path: Path, mode: int) -> BinaryIO:
        self.hook()
        return super().create(path, mode)

    def link(self, source: Path, target: Path) -> None:
        self.hook()
        if self.refused_links is not None and (self.everywhere or source.parent != target.parent):
            raise OSError(self.refused_links, os.strerror(self.refused_links))
        super().link(source, target)

    def fsync(self, file: IO[bytes]) -> None:
        self.hook()
        super().fsync(file)

    def replace(self, source: Path, target: Path) -> None:
        self.hook()
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self.hook()
        super().unlink(path)

    def sync_folder(self, folder: Path) -> None:
        self.hook()
        super().sync_folder(folder)

    def mkdir(self, folder: Path, mode: int) -> None:
        self.hook()
        super().mkdir(folder, mode)

    def rmdir(self, folder: Path) -> None:
        self.hook()
        super().rmdir(folder)
