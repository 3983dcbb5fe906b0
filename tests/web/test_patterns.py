"""The pattern page shows every component in every state, in both themes, and no figure that was never measured as 0."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from fleet.templatetags import words

COMPONENTS = sorted((Path(settings.BASE_DIR) / "templates" / "components").glob("_*.html"))
# What stands on every page, or is a part of another component.
_FRAME = {"_styles", "_mark", "_shapes", "_charts_scripts"}


@pytest.fixture
def html(reader: Any) -> str:
    answer = reader.get("/patterns/")
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_only_people_who_signed_in_see_it(client: Any, db: None) -> None:
    assert client.get("/patterns/").status_code == 302


def test_it_uses_every_component() -> None:
    used = "".join(path.read_text() for path in (Path(settings.BASE_DIR) / "templates" / "patterns").glob("*.html"))
    tags = {
        "_badge": "{% verdict",
        "_box": "{% box",
        "_status": "{% status",
        "_freshness": "{% freshness",
        "_bar_stack": "{% bar_stack",
        "_run_strip": "{% run_strip",
        "_spark": "{% spark",
    }
    nested = {
        "_card_number": "_cards.html",
        "_gpu_silent": "_gpu_row.html",
        "_mig_rows": "_gpu_row.html",
        "_steps": "_headline.html",
        "_term": "_kv.html",
    }
    for path in COMPONENTS:
        wanted = tags.get(path.stem) or nested.get(path.stem) or path.name
        assert path.stem in _FRAME or wanted in used, f"{path.name} is not on the pattern page"


def test_it_shows_both_themes_alike(html: str) -> None:
    light, dark = (html.count(f'data-theme="{theme}"') for theme in ("light", "dark"))
    assert light == dark == 1
    for known in words.SETS.values():
        for word in known.values():
            assert html.count(word.word) >= 2, word


def test_no_id_stands_twice(html: str) -> None:
    ids = Counter(re.findall(r'\sid="([^"]+)"', html))
    assert [value for value, times in ids.items() if times > 1] == []


def test_nothing_in_it_breaks_the_content_security_policy(html: str) -> None:
    assert not re.search(r"<[^>]+\s(on\w+|style|hx-on[\w:-]*)=", html)
    for script in re.findall(r"<script([^>]*)>", html):
        assert "src=" in script or "application/json" in script


def test_every_component_says_what_it_takes() -> None:
    for path in COMPONENTS:
        assert path.stem in _FRAME or path.read_text().startswith("{% comment %}\n"), path.name


def test_colours_are_written_once() -> None:
    """Hex values live in tokens.css only."""
    base = Path(settings.BASE_DIR)
    for path in [*base.glob("static/css/*.css"), *base.glob("static/js/*.js"), *base.glob("templates/**/*.html")]:
        if path.name != "tokens.css":
            findall = re.findall(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b(?=[;)\s])|\brgba?\([^)]*[1-9]", path.read_text())
            assert findall == [], path.name
