"""What each of five people reads first, and how many clicks away the answer is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import OpenAs

LARGEST = """() => {
    let largest = null, size = 0;
    for (const element of document.querySelectorAll("main *")) {
        const text = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
        const box = element.getBoundingClientRect(), font = parseFloat(getComputedStyle(element).fontSize);
        if (!text || element.closest(".vh") || !box.width || box.top < 0 || box.bottom > innerHeight || font <= size) continue;
        [largest, size] = [element, font];
    }
    return largest?.textContent.trim().replace(/\\s+/g, " ") ?? "";
}"""


@dataclass
class Visit:
    """A page, and how often it was clicked."""

    page: Page
    clicks: int = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1

    @property
    def read_first(self) -> str:
        """The largest text in view."""
        return str(self.page.evaluate(LARGEST))

    def sees(self, *what: Locator) -> None:
        """Fails unless all of it is in view without scrolling."""
        for item in what:
            expect(item.first).to_be_in_viewport()


def test_a_newcomer_reads_how_many_gpus_are_usable_and_finds_what_to_do_with_two_clicks(open_page: OpenPage) -> None:
    visit = Visit(open_page("/"))
    assert re.fullmatch(r"[\d,]+", visit.read_first)
    reason = visit.page.locator(".fleet__missing li.v-not_ready a")
    visit.sees(visit.page.get_by_text(re.compile(r"of [\d,]+ expected")), reason)
    visit.click(reason.first)
    expect(visit.page).to_have_url(re.compile("/nodes/.*verdict=not_ready"))
    visit.click(visit.page.locator("table tbody a[href^='/nodes/']").first)
    visit.sees(visit.page.locator(".headline__title"), visit.page.get_by_role("heading", name="What to do"))
    assert visit.clicks == 2


def test_on_call_reads_cause_since_and_remedy_with_one_click_from_fleet(open_page: OpenPage) -> None:
    visit = Visit(open_page("/"))
    of_a_node = visit.page.locator(".fleet__findings li", has=visit.page.locator(".mono")).first
    cause = of_a_node.locator("a.subject")
    words = cause.inner_text()
    visit.click(cause)
    assert visit.read_first == words
    row = visit.page.locator(".incident").first
    visit.sees(row.locator(".incident__since"), row.locator(".incident__who"), row.get_by_text("What changed, what to do"))
    visit.click(row.locator("a[href^='/nodes/']").first)
    visit.sees(visit.page.locator(".headline__since"), visit.page.get_by_text("Start maintenance"))
    assert visit.clicks == 2


def test_an_owner_reads_which_pool_violates_its_policy_first(as_: OpenAs) -> None:
    visit = Visit(as_("otto", "/"))
    visit.click(visit.page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile("^Pools")))
    assert re.fullmatch(r"\d+ pools?", visit.read_first)
    rows = visit.page.locator("article.pool")
    visit.sees(rows)
    visit.click(rows.first.get_by_role("link").first)
    visit.sees(visit.page.get_by_role("heading", name="Compliance"), visit.page.get_by_role("heading", name="Capacity"))
    assert visit.clicks == 2


def test_a_developer_reads_the_room_now_and_copies_a_manifest_with_three_clicks(as_: OpenAs) -> None:
    visit = Visit(as_("mia", "/"))
    visit.click(visit.page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile("^Classes")))
    visit.click(visit.page.locator("a[href^='/classes/full-gpu-inference/']").first)
    expect(visit.page.locator("#open-class h1")).to_be_in_viewport()
    assert re.fullmatch(r"[\d,]+ replicas?", visit.read_first)
    visit.sees(visit.page.locator("#open-class").get_by_role("link", name="Request"))
    visit.click(visit.page.locator(".manifest .code").get_by_role("button", name="Copy"))
    expect(visit.page.locator(".manifest").get_by_text("Copied")).to_be_visible()
    assert visit.clicks == 3


def test_an_operator_reads_who_waits_and_can_approve_with_three_clicks(as_: OpenAs) -> None:
    visit = Visit(as_("otto", "/"))
    visit.click(visit.page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile("^Requests")))
    visit.click(visit.page.get_by_role("link", name=re.compile("^Approvals")))
    waiting = visit.page.get_by_role("article").first
    visit.sees(waiting.locator(".approval__room"), waiting.get_by_label("Reason"), waiting.get_by_role("button", name="Approve"))
    assert visit.clicks == 2
