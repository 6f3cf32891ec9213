"""MkDocs hooks: pages that are generated, and pages that lie outside docs/."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
import cli_reference
import notebook_page
import python_reference
import schema_reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

OUTSIDE = {
    "index.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "meetsplit.schema.json": "pipeline/formats/meetsplit.schema.json",
    "refiner.md": "pipeline/separators/weights/refiner.md",
}
"""Pages and files of the site that lie elsewhere in the repository."""

GENERATED = {
    notebook_page.URI: notebook_page.page,
    "reference/cli.md": cli_reference.page,
    "reference/python.md": python_reference.page,
}
"""Pages of the site that are made when it is built."""

_CODE = re.compile(r"`[^`\n]*`")
"""Code in a line. For GitHub, a bar in it ends a table's cell unless a backslash stands before it; not for MkDocs."""

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay out the package under its name: the repository's root is the package, and no folder is called so."""
    package = ROOT / "build" / "docs-source" / "meetsplit"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for name in ("__init__.py", *python_reference.packages(ROOT)):
        (package / name).symlink_to(ROOT / name)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and those that lie outside docs/."""
    from mkdocs.structure.files import File

    for uri, path in OUTSIDE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_bytes()))
    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to the pages' places on the site: in the repository they lead from file to file."""
    uri = page.file.src_uri
    here = Path(OUTSIDE.get(uri, f"docs/{uri}")).parent
    places = {path: on_site for on_site, path in OUTSIDE.items()}
    if uri != notebook_page.URI:  # the page links its own file
        places[f"docs/{notebook_page.NOTEBOOK.name}"] = notebook_page.URI

    def moved(link: re.Match[str]) -> str:
        target = _relative((ROOT / here / link[1]).resolve(), ROOT)
        if target is None:
            return link[0]
        on_site = places.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if on_site is None or files.get_file_from_path(on_site) is None:
            return link[0]
        up = "../" * uri.count("/")
        return f"]({up}{on_site}{link[2]})"

    complete = markdown.replace(schema_reference.MARK, schema_reference.tables())
    return _LINK.sub(moved, _CODE.sub(lambda code: code[0].replace(r"\|", "|"), complete))


def _relative(path: Path, folder: Path) -> str | None:
    """The path inside the folder with slashes; None for one outside."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
