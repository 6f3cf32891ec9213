"""The notebook docs/python.ipynb as a page of Markdown: its cells, and what is stored of their output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "python.ipynb"
URI = "python.md"
"""The page on the site."""


def page() -> str:
    """The whole page."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    note = f"*This page is a notebook, [{NOTEBOOK.name}]({NOTEBOOK.name}); the test suite runs it.*"
    head, *others = (block for cell in cells for block in _cell(cell))
    title, _, rest = head.partition("\n\n")
    return "\n\n".join([title, note, rest, *others])


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        html = "".join(data.get("text/html", ""))
        if html and "<audio" not in html:  # sound is not stored in the notebook
            yield f'<div class="output">{" ".join(html.split())}</div>'
        else:
            text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
            yield f"```text\n{text}\n```"
