"""What people do, in a real browser, from the printed link on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Muster, OpenPage
from tests.browser.widths import no_sideways

PAGES = ["/", "/nodes/", "/clusters/", "/clusters/prod-us-east/", "/nodes/?q=nothing-is-called-this", "/patterns/",
         "/history/?window=24h", "/notifications/", "/notifications/targets/new/", "/prices/", "/nodes/selected/"]  # fmt: skip


def a_node(page: Page) -> str:
    """The address of the first node in the list."""
    return str(page.locator("table tbody a[href^='/nodes/']").first.get_attribute("href"))


def test_every_page_requires_a_sign_in(muster: Muster, browser: Browser) -> None:
    page = browser.new_page()
    for path in ("/", "/nodes/", "/clusters/", "/patterns/", "/api/docs/"):
        page.goto(muster.url + path)
        expect(page).to_have_url(re.compile("/sign-in/"))
    page.close()


def test_the_link_works_once(muster: Muster, signed_in: Any, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(muster.link)
    with page.expect_response(muster.link) as response:
        page.get_by_role("button", name="Sign in").click()
    assert response.value.status == 410
    page.close()


def test_the_front_page_shows_usable_and_missing_gpus(open_page: OpenPage) -> None:
    page = open_page("/")
    expect(page).to_have_title("Fleet · Muster")
    text = page.locator("main").inner_text()
    result = re.search(r"([\d,]+)\s*of ([\d,]+) expected", text)
    assert result is not None
    offered, expected = (int(figure.replace(",", "")) for figure in result.groups())
    missing = re.search(r"([\d,]+) missing", text)
    assert missing is not None
    assert expected - offered == int(missing[1].replace(",", "")) > 0
    assert page.locator("[data-tile], .tile").count() > 100


def test_filter_nodes_by_product_and_by_label(open_page: OpenPage) -> None:
    page = open_page("/nodes/")
    everything = page.locator("table tbody tr").count()
    page.get_by_role("checkbox", name=re.compile("Tesla-T4")).first.check()
    expect(page).to_have_url(re.compile("product=Tesla-T4"))
    rows = page.locator("table tbody tr")
    expect(rows).not_to_have_count(everything)
    assert all("Tesla-T4" in text for text in rows.all_inner_texts())
    page.goto(page.url.split("?")[0])
    search = page.locator("main input[name=q]")
    search.fill("nvidia.com/gpu.product=NVIDIA-H200")
    search.press("Enter")
    expect(page).to_have_url(re.compile("q=nvidia.com"))
    expect(rows.first).to_contain_text("H200")
    assert all("H200" in text for text in rows.all_inner_texts())


def test_an_empty_list_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page("/nodes/?q=nothing-is-called-this")
    expect(page.get_by_text(re.compile("No node matches"))).to_be_visible()
    page.get_by_role("link", name=re.compile("[Cc]lear")).first.click()
    expect(page.locator("table tbody tr").first).to_be_visible()


def test_sort_page_and_come_back(open_page: OpenPage) -> None:
    page = open_page("/nodes/?product=NVIDIA-H100-80GB-HBM3")
    page.get_by_role("link", name=re.compile("^Free")).first.click()
    expect(page).to_have_url(re.compile("sort=-?free"))
    free = [int(text) for text in page.locator("table tbody tr td:last-child").all_inner_texts() if text.strip().isdigit()]
    assert free in (sorted(free), sorted(free, reverse=True))
    page.go_back(wait_until="load")
    expect(page).to_have_url(re.compile("nodes/.product=NVIDIA-H100-80GB-HBM3$"))
    expect(page.locator("table tbody tr").first).to_be_visible()


def test_open_a_node(open_page: OpenPage) -> None:
    page = open_page("/nodes/?product=NVIDIA-H100-80GB-HBM3")
    page.locator("table tbody a[href^='/nodes/']").first.click()
    expect(page.locator("h1")).to_be_visible()
    text = page.locator("main").inner_text()
    for words in ("physical GPUs", "slots", "allocatable", "requested", "free", "nvidia.com/gpu", "Labels"):
        assert words in text, words


def test_read_a_cluster_now(open_page: OpenPage, muster: Muster) -> None:
    page = open_page("/clusters/prod-us-east/")
    page.get_by_role("button", name=re.compile("Collect now")).click()
    expect(page).to_have_url(re.compile("/clusters/prod-us-east/"))
    expect(page.locator("body")).to_contain_text(re.compile("queued"))


def test_a_cluster_that_goes_away_is_shown_as_stale_with_its_last_known_data(open_page: OpenPage, muster: Muster) -> None:
    page = open_page("/")
    before = page.locator("[data-tile], .tile").count()
    muster.simulation.faults("research-onprem").set(unreachable="refused")
    try:
        expect(page.get_by_text(re.compile(r"research-onprem\s+unreachable since"))).to_be_visible(timeout=60_000)
        assert page.locator("[data-tile], .tile").count() == before, "its nodes stay on the map"
    finally:
        muster.simulation.faults("research-onprem").clear()
    expect(page.get_by_text(re.compile(r"research-onprem\s+unreachable since"))).to_be_hidden(timeout=60_000)


def test_a_change_arrives_without_a_reload_and_open_details_stay_open(open_page: OpenPage, muster: Muster) -> None:
    cluster = muster.simulation.fleet["prod-us-east"]
    listed = open_page("/nodes/?cluster=prod-us-east&state=full&product=NVIDIA-H100-80GB-HBM3")
    page = open_page(a_node(listed))
    name = page.url.rstrip("/").split("/")[-1]
    closed = page.locator("main details.rung:visible:not([open])").first
    details = page.locator(f"#{closed.get_attribute('id')}")
    details.locator("summary").click()
    page.evaluate("window.stays = true")
    cluster.cordon(name)
    try:
        expect(page.locator("main")).to_contain_text(re.compile("[Cc]ordoned"), timeout=60_000)
        assert page.evaluate("window.stays") is True
        expect(details).to_have_attribute("open", re.compile(".*"))
    finally:
        cluster.uncordon(name)


def test_save_a_view_and_delete_it(open_page: OpenPage) -> None:
    page = open_page("/nodes/?product=Tesla-T4")
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Save view as").fill("my cards")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("summary", has_text="Views").click()
    expect(page.get_by_role("link", name="my cards")).to_be_visible()
    page.get_by_role("button", name="Delete the view my cards").click()
    page.locator("summary", has_text="Views").click()
    expect(page.get_by_role("link", name="my cards")).to_have_count(0)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: OpenPage, path: str, scheme: str) -> None:
    response = Axe().run(open_page(path, scheme=scheme)).response["violations"]
    serious = [
        f"{item['id']} ({item['impact']}): {[node['target'] for node in item['nodes']][:4]}"
        for item in response
        if item["impact"] in {"serious", "critical"}
    ]
    assert serious == []


@pytest.mark.parametrize("path", [*PAGES, "a node"])
def test_nothing_scrolls_sideways(open_page: OpenPage, path: str) -> None:
    no_sideways(open_page(a_node(open_page("/nodes/")) if path == "a node" else path))


def test_axe_on_a_node(open_page: OpenPage) -> None:
    node = a_node(open_page("/nodes/?state=partial"))
    response = Axe().run(open_page(node)).response["violations"]
    assert [item["id"] for item in response if item["impact"] in {"serious", "critical"}] == []


def test_the_theme_is_kept(open_page: OpenPage) -> None:
    page = open_page("/", scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name=re.compile("light and dark")).click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip().lower().startswith("skip")
    page.keyboard.press("/")
    page.keyboard.type("tesla")
    page.keyboard.press("Enter")  # before the hits have come
    expect(page).not_to_have_url(re.compile(r"^https?://[^/]+/$"))
    expect(page.locator("main")).to_contain_text(re.compile("tesla", re.IGNORECASE))


def test_a_phone_reaches_every_page_by_the_menu(open_page: OpenPage) -> None:
    page = open_page("/", width=400, height=800)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name=re.compile("Nodes")).first.click()
    expect(page).to_have_url(re.compile("/nodes/"))


def test_the_api_docs_are_served_offline(open_page: OpenPage) -> None:
    page = open_page("/api/docs/")  # of more than 100 operations, it draws those in view
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    expect(page.get_by_role("link", name="New token")).to_be_visible()
    expect(page.get_by_text("/api/v1/audit/", exact=True).first).to_be_visible(timeout=15_000)
