"""On which device does a model run?"""

from __future__ import annotations

from meetsplit.pipeline.errors import SettingsError, nearest

DEVICES = ("cpu", "cuda", "mps")


def choose(asked: str) -> str:
    """``cuda`` where a GPU answers, else ``mps`` on Apple machines, else ``cpu``; or exactly what was asked for.

    Raises `SettingsError` for a device that nobody knows or that this machine does not have.
    """
    name = asked.partition(":")[0]
    if asked != "auto" and name not in DEVICES:
        raise SettingsError(f"--device {asked}: {nearest(asked, [*DEVICES, 'auto'])}")
    if name == "cpu":
        return asked
    import torch

    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if has[device])
    if not has[name]:
        raise SettingsError(f"--device {asked}: torch sees no such device here; use --device cpu")
    return asked
