"""Tables of backends and models."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from meetsplit.pipeline.errors import StageError
from meetsplit.pipeline.models import catalog, weights
from meetsplit.pipeline.models.selection import SelectedBackend, UnavailableBackend
from meetsplit.pipeline.settings import Settings
from meetsplit.speakers import dnsmos

USUAL_ALIGNERS = frozenset({"MMS_FA", "WAV2VEC2_ASR_BASE_960H"})
"""torchaudio's models that are shown on a machine without them: many languages, and English."""


def plan_table(rows: Sequence[SelectedBackend | UnavailableBackend], *, is_brief: bool = False) -> Group:
    """The selected backends: a row per stage, and below how to get those that were passed over.

    A brief one, for the beginning of a run, names the weights without their files and the better backends not at all.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "backend", "weights", "device", "why"):
        table.add_column(heading, overflow="fold")
    describe = _short_name if is_brief else weights.describe
    notes: list[Text] = []
    for row in rows:
        if isinstance(row, UnavailableBackend):
            table.add_row(row.stage, row.backend, "–", "–", "cannot run, see below", style="red")
            notes.append(Text(f"no {row.stage}: {row.error}", style="red"))
            continue
        described = ", ".join(describe(source) for source in row.sources.values()) or "–"
        table.add_row(row.stage, row.backend, described, row.device, row.reason)
        notes += [Text(f"for a better {row.stage}: {sentence}", style="dim") for sentence in row.passed_over]
    if is_brief:
        notes = [Text("Better models: `meetsplit doctor`", style="dim")] if notes else []
    return Group(table, *notes)


def _short_name(source: weights.WeightSource) -> str:
    """A model's name in a narrow column."""
    if isinstance(source, weights.Wheel):
        return source.requirement
    return weights.describe(source).removesuffix(" (comes with meetsplit)")


def _dnsmos_place() -> str:
    """Where the network of `dnsmos` is, "no", or what is wrong with it."""
    try:
        file = dnsmos.model_file()
    except StageError as error:
        return str(error)
    return "no" if file is None else str(file)


def models_table(settings: Settings) -> Table:
    """The models of the catalog, and where each is on this machine.

    Of the many that only ``--align-model`` takes, `USUAL_ALIGNERS` and those that are here.
    """
    cache = settings.cache_dir or weights.default_cache()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "model", "here"):
        table.add_column(heading, overflow="fold")
    for name, sources in catalog.named_models().items():
        for source in sources if name != "default" else ():
            place = weights.locate(source, cache=cache)
            if isinstance(source, weights.TorchaudioFile) and place is None and name not in USUAL_ALIGNERS:
                continue
            table.add_row(name, weights.describe(source), str(place) if place else "no")
    table.add_row("dnsmos", f"DNSMOS P.835, MIT ({dnsmos.INSTALL})", _dnsmos_place())
    table.add_row("default", "community-1, sepformer, ecapa and Whisper (small; turbo with a GPU)", "")
    return table
