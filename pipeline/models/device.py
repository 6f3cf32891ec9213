"""Devices that models run on."""

from __future__ import annotations

import os
from functools import lru_cache

from meetsplit.pipeline.errors import SettingsError, nearest
from meetsplit.pipeline.settings import DEVICES


def check(name: str) -> None:
    """Raise `SettingsError` for a device that does not exist, or that was named and is not on this machine.

    ``auto`` and ``cpu`` are answered without loading torch, which takes seconds: a run without models does not need it.
    """
    if name != "auto" and name.partition(":")[0] not in DEVICES:
        raise SettingsError(f"--device {name}: {nearest(name, [*DEVICES, 'auto'])}")
    if name != "auto":
        choose(name)


def limit_threads(count: int) -> None:
    """Let torch compute on the CPU with so many threads; 0 leaves it to torch, which is then not loaded."""
    if count:
        import torch

        torch.set_num_threads(count)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Threads that torch computes with on the CPU, for libraries that would take every core. Loads torch."""
    import torch

    return torch.get_num_threads()


@lru_cache(maxsize=8)
def choose(name: str) -> str:
    """The device for a setting.

    ``auto`` is ``cuda`` where there is a GPU, else ``mps`` on Apple machines, else ``cpu``.

    Raises `SettingsError` for a device that this machine does not have. Loads torch, except for ``cpu``.
    """
    kind = name.partition(":")[0]
    if kind == "cpu":
        return name
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[kind]:
        raise SettingsError(f"--device {name}: torch sees no such device here; use --device cpu")
    return name


@lru_cache(maxsize=8)
def has_fast_bfloat16(name: str) -> bool:
    """Whether products of bfloat16 matrices are several times as fast as in single precision on this device.

    So they are on processors that have instructions for them (AMX, AVX-512 BF16); other processors are slower with
    them than without. Only processors are asked: GPUs are quick enough in single precision. Loads torch.
    """
    import torch

    if name.partition(":")[0] != "cpu":
        return False
    # Older versions of torch do not tell.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def describe_accelerator() -> str:
    """The GPU that torch can use, with its memory, or why there is none. Loads torch."""
    import torch

    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        return ", ".join(f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus)
    if torch.backends.mps.is_available():
        return "Apple's (mps), which shares the machine's memory"
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    return f"none that torch can use (this torch is built for {built_for})"
