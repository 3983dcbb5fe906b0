"""Targets and rules through their forms, in a real browser, without a mouse where it matters."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage


def test_a_target_a_rule_and_a_test(open_page: OpenPage) -> None:
    page = open_page("/notifications/targets/new/")
    page.get_by_label("Name").fill("Chat of the night shift")
    page.get_by_label("Address", exact=True).fill("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    page.get_by_label("Name").press("Enter")
    expect(page.get_by_text("added")).to_be_visible()
    page.get_by_role("link", name="Add rule").click()
    page.get_by_label("Name").fill("Fatal things")
    page.get_by_label("A finding is opened or resolved").check()
    page.get_by_label("Minimum severity of findings").select_option("fatal")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_text("Findings fatal, and recoveries")).to_be_visible()
    page.get_by_role("button", name="Send a test to Chat of the night shift").click()
    expect(page.get_by_text(re.compile("Not delivered|The receiver took it"))).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Delivery log").click()
    expect(page.get_by_role("heading", name="1 message")).to_be_visible()


def test_the_pages_fit_a_phone(open_page: OpenPage) -> None:
    for path in ("/notifications/", "/notifications/deliveries/", "/notifications/targets/new/", "/notifications/rules/new/"):
        page = open_page(path, width=400)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
