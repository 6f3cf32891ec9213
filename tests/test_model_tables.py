"""The tables of docs/models.md: every separator and cleaner that there is, with what the code says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from meetsplit.pipeline.models import registry
from meetsplit.pipeline.models.sources import OPENUNMIX_MODELS

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text("utf-8")


def table(heading: str) -> dict[str, dict[str, str]]:
    """The rows of the table whose first column has that heading, by the name in that column."""
    lines = PAGE.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| `{heading}` |"))
    columns = cells(lines[first])
    rows: dict[str, dict[str, str]] = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        values = cells(line)
        assert len(values) == len(columns), line
        rows[values[0].strip("`")] = dict(zip(columns[1:], values[1:], strict=True))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("stage", ["separator", "cleaner"])
def test_every_backend_has_a_row_that_says_everything(stage: str) -> None:
    rows = table(f"--{stage}")
    assert rows.keys() == registry.BACKENDS[stage].keys()
    assert all(text for row in rows.values() for text in row.values())
    for name, row in rows.items():
        assert " / " in row["licence: code / weights"], name
        extra = registry.BACKENDS[stage][name].install.partition("meetsplit[")[2].partition("]")[0]
        assert not extra or f"[{extra}]" in row["needs"], name


def test_the_models_are_those_of_the_code() -> None:
    separators, cleaners = table("--separator"), table("--cleaner")
    for name, source in registry.BLIND_MODELS.items():
        assert f"[{source.repo_id}](" in separators[name]["needs"]
        assert source.note in separators[name]["rate"]
        assert separators[name]["family"].startswith("blind")
    assert [name for name, row in separators.items() if row["family"].startswith("blind")] == list(
        registry.BLIND_MODELS
    )
    assert f"[{registry.DEMUCS.repo_id}](" in cleaners["demucs"]["needs"]
    for model in OPENUNMIX_MODELS:
        assert all(f"`{model}`" in cleaners["openunmix"][column] for column in ("rate", "takes out"))
        assert f"`{model}`" in cleaners["openunmix"]["licence: code / weights"]
