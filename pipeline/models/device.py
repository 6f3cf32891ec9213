"""Selection of the device on which models run."""

from __future__ import annotations

from meetsplit.pipeline.errors import SettingsError, nearest

DEVICES = ("cpu", "cuda", "mps")
"""Kinds of devices that ``--device`` takes."""


def choose(requested: str) -> str:
    """The requested device; for ``auto``, ``cuda`` where there is a GPU, else ``mps`` on Apple machines, else ``cpu``.

    Raises `SettingsError` for an unknown device, and for one that this machine does not have.
    """
    name = requested.partition(":")[0]
    if requested != "auto" and name not in DEVICES:
        raise SettingsError(f"--device {requested}: {nearest(requested, [*DEVICES, 'auto'])}")
    if name == "cpu":
        return requested
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if requested == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[name]:
        raise SettingsError(f"--device {requested}: torch sees no such device here; use --device cpu")
    return requested
