"""The documentation site names every document, loads nothing from elsewhere, and its links lead to pages that it has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests import site


def test_the_site_names_every_document_once() -> None:
    documents = sorted(page for page in site.pages().values() if page.endswith(".md"))
    assert sorted(site.named()) == [page for page in documents if not page.startswith("adr/0")]
    decisions = (site.ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert [page for page in documents if page.startswith("adr/0") and f"({page.removeprefix('adr/')})" not in decisions] == []


def test_every_link_of_the_site_leads_to_a_page_or_picture(tmp_path: Path) -> None:
    site.assemble(tmp_path)
    links = [
        (page, match[1])
        for page in tmp_path.rglob("*.md")
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in match[1]
    ]
    assert len(links) > 50
    assert [(page.name, target) for page, target in links if not (page.parent / target).is_file()] == []


def test_a_link_to_a_file_that_is_no_document_is_its_name() -> None:
    placed = site.pages()
    text = "[license](LICENSE) [install](docs/install.md#helm) ![fleet](docs/img/fleet.png) [site](https://example.com/x)"
    whole = "license [install](install.md#helm) ![fleet](img/fleet.png) [site](https://example.com/x)"
    assert site.relinked(text, "README.md", placed) == whole
    assert site.relinked("[words](../glossary.md)", "docs/adr/0001-rooms-are-layers.md", placed) == "[words](../glossary.md)"
    assert site.relinked("[rules](../CONTRIBUTING.md)", "docs/testing.md", placed) == "[rules](contributing.md)"


def test_the_site_loads_nothing_from_another_host() -> None:
    config = yaml.safe_load(site.CONFIG.read_text(encoding="utf-8"))
    assert config["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "repo_url"} & set(config)
