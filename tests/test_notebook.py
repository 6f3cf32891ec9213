"""docs/python.ipynb: its cells run in order and print and show what is stored in it.

The cells run in this process: a kernel would cost more than they do. `python tests/test_notebook.py` runs them and
stores what comes out; `python tests/test_notebook.py FILE` writes them into a file, for mypy.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "python.ipynb"
PLAYER = re.compile(r"data:audio/[a-z]+;base64,[A-Za-z0-9+/=]+")


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of a cell as a notebook stores them: what it prints, and what its last expression is."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last is not None else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(True)}
        if hasattr(value, "_repr_html_"):
            html = PLAYER.sub("", value._repr_html_())  # sound is not stored: it would be a megabyte
            data["text/html"] = html.splitlines(True)
        outputs.append({"data": data, "execution_count": None, "metadata": {}, "output_type": "execute_result"})
    return outputs


def run(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The outputs of every code cell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [run_cell("".join(cell["source"]), names) for cell in code_cells(notebook)]


def test_it_runs_and_gives_what_is_stored_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    stored = [cell["outputs"] for cell in code_cells(notebook)]
    assert run(notebook) == stored
    assert any("<audio" in str(outputs) for outputs in stored)


def store() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    os.chdir(NOTEBOOK.parent)
    for cell, outputs in zip(code_cells(notebook), run(notebook), strict=True):
        cell["outputs"] = outputs
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        cells = code_cells(json.loads(NOTEBOOK.read_text("utf-8")))
        Path(sys.argv[1]).write_text("\n\n".join("".join(cell["source"]) for cell in cells) + "\n", "utf-8")
    else:
        store()
