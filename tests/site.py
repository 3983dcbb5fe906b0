"""Assembles the pages of the documentation site: `python -m tests.site FOLDER`; `make docs` then builds it.

The site has the documents of docs/ and those of the repository's root in one folder, and links between them as they are in the
repository. A link to a file that is no document becomes its name.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "mkdocs.yml"
BESIDE_DOCS: Mapping[str, str] = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "THREAT_MODEL.md": "threat-model.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents of the repository's root, and their pages."""
_INDEX = ("docs/adr/README.md", "adr/index.md")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<part>#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Returns path in the repository to path in the site, of every document and everything that documents show."""
    documents = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*")) if path.is_file()]
    return {**BESIDE_DOCS, **{path: path.removeprefix("docs/") for path in documents}, _INDEX[0]: _INDEX[1]}


def assemble(folder: Path) -> None:
    """Writes the site's pages and pictures into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    placed = pages()
    for source, page in placed.items():
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            target.write_text(relinked((ROOT / source).read_text(encoding="utf-8"), source, placed), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, target)


def relinked(text: str, source: str, placed: Mapping[str, str]) -> str:
    """Returns a document with its links as they are in the site."""
    folder, page = PurePosixPath(source).parent, placed[source]

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        there = placed.get(normpath((folder / target).as_posix()))
        if there is None:
            return match["text"]
        return f"{match['image']}[{match['text']}]({relpath(there, PurePosixPath(page).parent)}{match['part'] or ''})"

    return _LINK.sub(link, text)


def named() -> list[str]:
    """Returns the pages that the site's navigation names, in order."""

    def leaves(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [leaf for item in (entry.values() if isinstance(entry, dict) else entry) for leaf in leaves(item)]

    return leaves(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["nav"])


if __name__ == "__main__":
    assemble(Path(sys.argv[1]))
