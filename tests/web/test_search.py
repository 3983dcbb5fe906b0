"""The palette's hits and preview, and the page of hits."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.models import Role
from fleet.templatetags.search_ui import marked
from tests.factories import a_finding, a_node, a_user
from tests.web.test_findings import text_of

pytestmark = pytest.mark.django_db


def test_the_palette_lists_hits_by_kind_and_actions(reader: Any) -> None:
    finding = a_finding(a_node("h100-01", verdict="not_ready"), "thermal", severity="fatal", text="It is hot.")
    a_node("h100-02")
    html = reader.get("/search/?palette=1&q=h100").content.decode()
    assert "<html" not in html
    assert html.index("Incidents") < html.index("Nodes")
    assert f'data-preview="/search/preview/incident/{finding.pk}/"' in html
    assert "<mark>h100</mark>-01" in html
    assert 'role="option"' in html
    assert "Open Fleet" in reader.get("/search/?palette=1&q=").content.decode()
    assert "No result contains" in reader.get("/search/?palette=1&q=zzzz").content.decode()


def test_actions_are_those_of_the_role(client: Any) -> None:
    for role, shown in ((Role.VIEWER, False), (Role.ADMIN, True)):
        client.force_login(a_user(f"user-{role}", role))
        assert ("Add pool" in text_of(client, "/search/?palette=1&q=pool")) is shown


def test_a_single_hit_opens_and_several_are_a_page(reader: Any) -> None:
    a_node("only-one")
    answer = reader.get("/search/?q=only-one")
    assert (answer.status_code, answer["Location"]) == (302, "/nodes/east/only-one/")
    a_node("only-two")
    assert "2 results for “only”" in text_of(reader, "/search/?q=only")
    assert "No results for “nothing-is-called-this”" in text_of(reader, "/search/?q=nothing-is-called-this")
    assert reader.post("/search/?q=only").status_code == 405


def test_the_preview_says_cause_next_step_and_place(reader: Any) -> None:
    node = a_node("n1", verdict="not_ready", verdict_reason="7 of 8 slots.", broken_rung="resources_advertised")
    finding = a_finding(node, "thermal", severity="fatal", text="It is hot.", remedy="Cool it.")
    page = text_of(reader, f"/search/preview/incident/{finding.pk}/")
    assert "It is hot" in page
    assert "Cool it." in page
    assert "7 of 8 slots. Stops at GPUs advertised" in text_of(reader, f"/search/preview/node/{node.pk}/").replace("  ", " ")
    for path in ("/search/preview/incident/999999/", "/search/preview/cat/1/"):
        assert reader.get(path).status_code == 404


def test_hits_are_marked_without_formatting_the_text() -> None:
    assert marked("<b>H100</b> h100", ["h100", ".*"]) == "&lt;b&gt;<mark>H100</mark>&lt;/b&gt; <mark>h100</mark>"
    assert marked("a", []) == "a"


def test_every_page_has_the_palette_and_the_keys(reader: Any) -> None:
    html = reader.get("/").content.decode()
    for part in ('id="palette"', 'id="keys"', "data-palette-open", "js/palette.js"):
        assert part in html, part
