"""From a fleet without pools to a manifest in the clipboard: pools and classes adopted, edited, chosen, copied."""

from __future__ import annotations

import re

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Muster, OpenPage
from tests.browser.widths import no_sideways

POOL = "h100-prod-inference"
PAGES = ("/pools/", f"/pools/{POOL}/", f"/pools/{POOL}/edit/", "/pools/new/", "/pools/apply/", "/classes/", "/classes/new/")


@pytest.fixture(scope="module")
def _adopted(muster: Muster) -> set[str]:
    """What the tests of this module adopted already: they share one Muster."""
    return set()


@pytest.fixture
def adopted(_adopted: set[str], open_page: OpenPage) -> set[str]:
    if not _adopted:
        page = open_page("/pools/")
        page.get_by_role("button", name=f"Adopt {POOL}", exact=True).click()
        expect(page).to_have_url(re.compile(f"/pools/{POOL}/$"))
        expect(page.get_by_text(f"Pool {POOL} was created")).to_be_visible()
        _adopted.add(POOL)
    return _adopted


def judged(page: Page) -> None:
    """A worker evaluates within seconds, on a busy machine within the beat's minute; a reloaded page shows it."""
    for _ in range(70):
        if page.locator(".page-title .badge").first.inner_text() != "Not evaluated yet":
            return
        page.wait_for_timeout(1_000)
        page.reload()
    pytest.fail("compliance was not evaluated")


def test_a_pool_and_a_class_are_adopted_and_a_manifest_is_copied(adopted: set[str], open_page: OpenPage) -> None:
    page = open_page(f"/pools/{POOL}/")
    judged(page)
    page.goto(page.url.replace(f"/pools/{POOL}/", "/classes/"))
    page.get_by_role("button", name=re.compile("^Adopt Full ")).click()
    expect(page).to_have_url(re.compile("/classes/full-gpu-inference/$"))
    judged(page)
    room = page.locator("#open-class .one-number b")
    inner_text = room.inner_text()
    page.get_by_role("link", name=re.compile(r"^4 GPUs")).click()
    expect(page).to_have_url(re.compile("gpus=4"))
    expect(room).not_to_have_text(inner_text)
    page.get_by_label("Name", exact=True).fill("rerank")
    page.get_by_label("Namespace", exact=True).fill("search")
    code = page.get_by_label("Manifest", exact=True)
    expect(code).to_contain_text("namespace: search")
    expect(page.get_by_label("Namespace", exact=True)).to_be_focused()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".manifest .code").get_by_role("button").click()
    safe_load = yaml.safe_load(page.evaluate("navigator.clipboard.readText()"))
    assert (safe_load["kind"], safe_load["metadata"]["name"], safe_load["metadata"]["namespace"]) == ("Pod", "rerank", "search")
    assert safe_load["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    page.get_by_label("Name", exact=True).fill("Not A Name")
    expect(page.get_by_text("is not a valid DNS label")).to_be_visible()


def test_a_pool_is_edited_with_its_effect_shown_while_typing(adopted: set[str], open_page: OpenPage) -> None:
    page = open_page(f"/pools/{POOL}/edit/")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("No node joins or leaves.")
    labels = page.get_by_label("Labels")
    written = labels.input_value()
    labels.fill("node-pool=h200-training")
    expect(preview).to_contain_text("Join")
    expect(preview).to_contain_text("Leave")
    labels.fill("node-pool in (")
    expect(preview).to_contain_text("Labels.")
    labels.fill(written)
    expect(preview).to_contain_text("No node joins or leaves.")
    page.get_by_label(re.compile("^Availability target")).fill("50")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(f"/pools/{POOL}/$"))
    expect(page.locator("main")).to_contain_text("target 50 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_anyone_can_read_them(adopted: set[str], open_page: OpenPage, path: str, scheme: str) -> None:
    page = open_page(path, scheme=scheme)
    page.wait_for_load_state("networkidle")
    response = Axe().run(page).response["violations"]
    # the shell's brand and name stand outside of landmarks, which axe calls moderate: that is not these pages' matter
    assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in response if item["id"] != "region"] == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways(adopted: set[str], open_page: OpenPage, path: str) -> None:
    page = open_page(path)
    page.wait_for_load_state("networkidle")
    no_sideways(page)
