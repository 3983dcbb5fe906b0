"""Findings in a real browser: from the count in the navigation to the evidence, to a silence and the audit log."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.widths import no_sideways

PAGES = ["/findings/?by=finding", "/findings/?by=rule", "/findings/?q=nothing-is-called-this", "/audit/"]


def issues(page: Page) -> int:
    return page.locator("details.issue").count()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: OpenPage, path: str, scheme: str) -> None:
    page = open_page(path, scheme=scheme)
    if issues(page):
        page.locator("details.issue summary").first.click()
        page.locator("details.issue .issue__silence summary").first.click()
    response = Axe().run(page).response["violations"]
    assert [item["id"] for item in response if item["impact"] in {"serious", "critical"}] == []


def test_nothing_scrolls_sideways(open_page: OpenPage) -> None:
    for path in PAGES:
        page = open_page(path)
        if issues(page):
            page.locator("details.issue summary").first.click()
            page.locator("details.issue .issue__silence summary").first.click()
        no_sideways(page)


def test_from_the_navigation_to_the_evidence_to_the_node(open_page: OpenPage) -> None:
    page = open_page("/")
    entry = page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile("Findings"))
    expect(entry.locator(".nav__count--alert")).to_be_visible()
    entry.click()
    expect(page).to_have_url(re.compile("/incidents/"))
    page.goto(urljoin(page.url, "/findings/?by=finding&rule=slots_mismatch"))
    first = page.locator("details.issue").first
    first.locator("summary").first.press("Enter")
    expect(first.get_by_role("heading", name="What to do")).to_be_visible()
    expect(first.locator(".evidence__row").first).to_be_visible()
    node = first.locator(".issue__main .mono").inner_text()
    first.get_by_role("link", name="Node").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(node)


def test_filter_and_count_agree(open_page: OpenPage) -> None:
    page = open_page("/findings/?by=finding")
    row = page.locator(".facet__item", has_text="Warning").first
    wanted = int(row.locator(".facet__count").inner_text().replace(",", ""))
    row.get_by_role("checkbox").check()
    expect(page).to_have_url(re.compile("severity=warning"))
    expect(page.locator("details.issue")).to_have_count(min(wanted, 50))
    assert set(page.locator("details.issue .issue__severity").all_inner_texts()) == {"Warning"}
    page.get_by_role("link", name="By rule").click()
    expect(page.locator(".findings__rules tbody tr").first).to_be_visible()
    page.locator(".findings__rules tbody tr a").first.click()
    expect(page).to_have_url(re.compile("rule="))
    expect(page.locator("details.issue").first).to_be_visible()


def test_an_open_finding_stays_open_over_a_refresh_and_keeps_what_was_typed(open_page: OpenPage) -> None:
    page = open_page("/findings/?by=finding")
    first = page.locator("details.issue").first
    first.locator("summary").first.click()
    first.locator(".issue__silence summary").click()
    first.get_by_label("Why").fill("half a reas")
    page.evaluate("delete document.querySelector('#findings').dataset.etag")
    with page.expect_event("response", lambda answer: "findings" in answer.url):
        page.evaluate("document.dispatchEvent(new CustomEvent('muster:refresh'))")
    page.wait_for_timeout(300)
    expect(first.get_by_label("Why")).to_have_value("half a reas")
    expect(first.get_by_role("heading", name="Evidence")).to_be_visible()


def test_silence_see_it_in_the_audit_log_and_unsilence(open_page: OpenPage) -> None:
    page = open_page("/findings/?by=finding&rule=untainted")
    before = issues(page)
    first = page.locator("details.issue").first
    node = first.locator(".issue__main .mono").inner_text()
    first.locator("summary").first.click()
    first.locator(".issue__silence summary").click()
    first.get_by_label("Why").fill("Dedicated by other means.")
    first.get_by_role("button", name="Silence").click()
    expect(page.get_by_text("Finding silenced. It stays open")).to_be_visible()
    expect(page.locator("details.issue")).to_have_count(before - 1)
    page.goto(page.url.split("?")[0] + "?status=silenced&by=finding")
    silenced = page.locator("details.issue", has_text=node).first
    silenced.locator("summary").first.click()
    expect(silenced.get_by_text("Dedicated by other means.")).to_be_visible()
    page.get_by_role("link", name="Audit").click()
    row = page.locator(".audit__table tbody tr").first
    expect(row).to_contain_text("silenced")
    expect(row).to_contain_text("Dedicated by other means.")
    page.go_back()
    silenced.locator("summary").first.click()
    silenced.get_by_role("button", name="Unsilence").click()
    expect(page.get_by_text("Silence ended.")).to_be_visible()
    page.goto(page.url.split("?")[0] + "?by=finding&rule=untainted")
    expect(page.locator("details.issue")).to_have_count(before)
