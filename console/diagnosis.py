"""What `meetsplit doctor` says about this machine, besides the backends."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from meetsplit.console.quantities import megabytes
from meetsplit.pipeline import versions
from meetsplit.pipeline.cache.run_cache import cached_runs_folder, size_on_disk
from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.models import device, hub, weights
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers import dnsmos


def machine_table(settings: Settings) -> Table:
    """Versions, the GPU, the cache folder with its size, and whether a token for the hub is known."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _facts(settings):
        table.add_row(label, value)
    return table


def _judges() -> str:
    """What `--track-quality` judges tracks by on this machine."""
    try:
        file = dnsmos.model_file()
    except StageError as error:
        return f"bleed and margin; {error}"
    if file is None:
        return f"bleed and margin; DNSMOS, how voices sound, needs {dnsmos.INSTALL}"
    return f"bleed, margin and DNSMOS ({dnsmos.PACKAGE} {versions.version(dnsmos.PACKAGE) or 'of no known version'})"


def _facts(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "meetsplit", versions.meetsplit()
    yield "versions", ", ".join(f"{name} {version or 'missing'}" for name, version in versions.installed())
    yield "GPU", device.describe_accelerator()
    cache = settings.cache_dir or weights.default_cache()
    runs = size_on_disk(cached_runs_folder(settings))
    models = max(size_on_disk(cache) - runs, 0)
    yield "cache", f"{cache}: models {megabytes(models)}, finished stages {megabytes(runs)}"
    yield "track quality", _judges()
    origin = hub.token_origin(settings.hf_token)
    advice = "none; gated models need one: https://huggingface.co/settings/tokens, then --hf-token or HF_TOKEN"
    yield "Hugging Face token", advice if origin is None else f"known, from {origin}"
