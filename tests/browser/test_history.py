"""The History page in a real browser: the chart is drawn, leads somewhere, has its table, and says nothing wrong to axe."""

from __future__ import annotations

import time
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage


@pytest.fixture
def drawn(open_page: OpenPage) -> Any:
    """Opens the page once the first figures are there: a minute after the first reading at the latest."""

    def open_(**look: Any) -> Page:
        page = open_page("/history/?by=product&window=7d", **look)
        deadline = time.monotonic() + 90
        while not page.locator("#chart-history").count() and time.monotonic() < deadline:
            page.wait_for_timeout(2_000)
            page.reload()
        expect(page.locator("#chart-history .barlayer .point").first).to_be_attached()
        return page

    return open_


def test_a_cell_leads_to_its_nodes_and_the_table_to_the_same(drawn: Any) -> None:
    page = drawn()
    page.locator("#chart-history .barlayer .point path").first.click(force=True)
    expect(page.locator("#cell")).to_be_visible()
    by_click = page.url.split("#")[0]
    page.locator("#cell a", has_text="Close").click()
    expect(page.locator("#cell")).to_have_count(0)
    page.get_by_text("Show as table").focus()
    page.keyboard.press("Enter")
    page.locator("#chart-history-table a").first.click()
    expect(page.locator("#cell")).to_be_visible()
    assert page.url.split("?")[0] == by_click.split("?")[0]
    expect(page.locator("#cell tbody tr").first).to_be_visible()


def test_the_window_and_the_grouping_are_chosen_without_a_reload(drawn: Any) -> None:
    page = drawn()
    page.evaluate("window.kept = true")
    page.locator(".segmented a", has_text="90 d").click()
    expect(page.locator(".segmented a[aria-current]", has_text="90 d")).to_be_visible()
    page.locator(".segmented a", has_text="Machine type").click()
    expect(page.locator("h2", has_text="Ready nodes, machine type ×")).to_be_visible()  # cells as long as what was observed asks
    expect(page.locator("#chart-history .barlayer .point").first).to_be_attached()
    assert page.evaluate("window.kept") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(drawn: Any, scheme: str) -> None:
    page = drawn(scheme=scheme)
    rows = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in rows] == []


def test_on_a_phone_nothing_scrolls_sideways_and_cells_lose_their_numbers(drawn: Any) -> None:
    page = drawn(width=400, height=900)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("#chart-history .bartext").count() == 0
