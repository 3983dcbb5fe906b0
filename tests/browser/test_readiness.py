"""From the ladder's funnel to the node, back in its time, and what differs: in a real browser, on the simulated fleet."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.widths import no_sideways


def figure(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def serious(page: Page) -> list[str]:
    response = Axe().run(page).response["violations"]
    return [
        f"{item['id']} ({item['impact']}): {[node['target'] for node in item['nodes']][:4]}"
        for item in response
        if item["impact"] in {"serious", "critical"}
    ]


def a_broken_node(open_page: OpenPage) -> str:
    """The address of a node that is not ready."""
    page = open_page("/nodes/?verdict=not_ready")
    return str(page.locator("table tbody a[href^='/nodes/']").first.get_attribute("href"))


def test_from_the_funnel_to_the_node_its_past_and_what_differs(open_page: OpenPage) -> None:
    page = open_page("/")
    stop = page.locator(".funnel__stop.v-not_ready").first
    count = figure(stop.inner_text())
    stop.click()
    expect(page).to_have_url(re.compile(r"rung=\w+%3Afail"))
    expect(page.locator("table tbody tr")).to_have_count(min(count, 50))
    page.locator("table tbody a[href^='/nodes/']").first.click()
    expect(page.locator(".headline, .quiet-line").first).to_be_visible()
    node = page.url
    page.get_by_role("link", name="24 h", exact=True).click()
    expect(page).to_have_url(re.compile("window=24h"))
    expect(page.get_by_role("heading", name="Last 24 h")).to_be_visible()
    page.locator(".timeline__block--tall").last.click()
    expect(page).to_have_url(re.compile(r"\?at="))
    expect(page.get_by_text(re.compile("^As of"))).to_be_visible()
    assert page.locator("[data-refresh-url]").count() == 0
    page.locator(".band--past").get_by_role("link", name="back to live").click()
    expect(page).to_have_url(node.split("?")[0])
    page.locator("summary", has_text="Compare").click()
    page.get_by_role("link", name=re.compile("The last hour")).click()
    expect(page).to_have_url(re.compile(r"\?from=.*&to="))
    expect(page.get_by_text("compared with")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("facts? differ"))).to_be_visible()


def test_a_click_between_the_blocks_is_a_moment_too(open_page: OpenPage) -> None:
    page = open_page(a_broken_node(open_page))
    plot = page.locator("[data-timeline]")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + 20)
    expect(page.locator("[data-timeline-guide] text")).to_have_text(re.compile(r"\w+ \d+ \w+ \d\d:\d\d UTC"))
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + 20)
    expect(page).to_have_url(re.compile(r"\?at=\d{4}-"))
    expect(page.get_by_text("Node absent at that moment")).to_be_visible()


def test_the_timeline_and_the_map_by_keyboard(open_page: OpenPage) -> None:
    page = open_page(a_broken_node(open_page))
    first = page.locator("[data-timeline] a").first
    first.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement === [...document.querySelectorAll('[data-timeline] a')].at(-1)")
    page.keyboard.press("Home")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?at="))
    page = open_page("/")
    page.locator("a.tile").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("a.tile").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/nodes/"))


def test_a_rung_opens_by_keyboard_and_stays_open_over_a_refresh(open_page: OpenPage) -> None:
    page = open_page(a_broken_node(open_page))
    rung = page.locator("details.rung:not([open])").first
    name = rung.get_attribute("id")
    rung.locator("summary").focus()
    page.keyboard.press("Enter")
    page.evaluate("document.dispatchEvent(new Event('muster:refresh'))")
    page.wait_for_function("document.querySelector('[data-refresh-url]').dataset.etag")
    expect(page.locator(f"#{name}")).to_have_attribute("open", "")


def test_as_of_by_the_menu_works_for_the_fleet(open_page: OpenPage) -> None:
    page = open_page("/")
    page.locator("summary", has_text="As of").click()
    page.get_by_role("link", name="24 hours ago").click()
    expect(page).to_have_url(re.compile(r"\?at="))
    expect(page.get_by_text("No data for that moment")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_on_a_node_now_then_and_compared(open_page: OpenPage, scheme: str) -> None:
    node = a_broken_node(open_page)
    page = open_page(node, scheme=scheme)
    assert serious(page) == []
    now = page.evaluate("new Date().toISOString()")
    for query in (f"at={now}", f"from=2026-01-01T00:00&to={now}"):
        assert serious(open_page(f"{node}?{query}", scheme=scheme)) == []
    assert serious(open_page(f"/?at={now}", scheme=scheme)) == []


def test_no_width_scrolls_sideways(open_page: OpenPage) -> None:
    node = a_broken_node(open_page)
    now = open_page("/").evaluate("new Date().toISOString()")
    for path in ("/", f"/?at={now}", node, f"{node}?at={now}", f"{node}?from=2026-01-01T00:00&to={now}", "/patterns/"):
        no_sideways(open_page(path))
