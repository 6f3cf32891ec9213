"""The script of the page is built of the sources beside it: whoever changes these runs `npm run build`."""

from __future__ import annotations

import hashlib
from pathlib import Path

PAGE = Path(__file__).parents[1] / "pipeline" / "formats" / "html"


def test_page_script_is_built_of_its_sources() -> None:
    digest = hashlib.sha256()
    for source in sorted((PAGE / "source").glob("*.js")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    first_line = (PAGE / "page.js").read_text("utf-8").splitlines()[0]
    assert first_line.endswith(digest.hexdigest()), "page.js is older than source/: `npm run build` in " + str(PAGE)
