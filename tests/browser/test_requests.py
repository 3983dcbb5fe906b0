"""Self-service in a real browser: a developer picks a class and asks above the limit, an operator approves in the queue, the
developer copies the manifest; a decision that comes too late says so."""

from __future__ import annotations

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Muster
from tests.browser.people import OpenAs
from tests.browser.widths import no_sideways


def ask(page: Page, name: str, replicas: str) -> str:
    """Fills in the form above the limit and submits it; the address of the request."""
    page.get_by_label("Replicas").fill(replicas)
    page.get_by_label("Workload name").fill(name)
    expect(page.locator(".ask__outlook").get_by_text("Needs approval")).to_be_visible()
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.locator("h1").get_by_text("Needs approval")).to_be_visible()
    return page.url


def test_from_the_class_to_the_manifest(as_: OpenAs) -> None:
    mia = as_("mia", "/requests/")
    mia.get_by_role("link", name="New request").click()
    mia.get_by_label("Class", exact=True).select_option("full-gpu-inference")
    expect(mia.locator(".ask__outlook .one-number")).to_contain_text("could land now")
    mia.locator(".ask__size", has_text="2 slots").click()
    expect(mia.locator(".ask__outlook .one-number")).to_contain_text("of 2 slots could land now")
    mia.get_by_label("Image (optional)").fill("not an image")
    expect(mia.get_by_text("is not a valid image: use registry/name:tag.")).to_be_visible()
    mia.get_by_label("Image (optional)").fill("registry.example/search/rerank:3")
    expect(mia.get_by_text("is not a valid image")).to_have_count(0)
    mia.get_by_label("Purpose (optional)").fill("Reranking")
    where = ask(mia, "rerank", "4")

    otto = as_("otto", "/")
    otto.get_by_role("navigation", name="Pages").get_by_role("link", name="Requests").click()
    otto.get_by_role("navigation", name="Pages about requests").get_by_role("link", name="Approvals").click()
    waiting = otto.get_by_role("article").filter(has=otto.get_by_role("heading", name="rerank"))
    expect(waiting.get_by_text("Reranking")).to_be_visible()
    expect(waiting.locator(".approval__room")).to_contain_text("→")
    waiting.get_by_label("Reason").fill("Fine for the launch.")
    waiting.get_by_role("button", name="Approve").click()
    expect(otto.get_by_text("is approved.")).to_be_visible()
    expect(waiting).to_have_count(0)

    mia.goto(where)
    expect(mia.get_by_text("Fine for the launch.")).to_be_visible()
    code = mia.get_by_role("region", name="Manifest").locator(".code--long")
    code.get_by_role("button", name="Copy").click()
    expect(code.get_by_text("Copied")).to_be_visible()
    copied = yaml.safe_load(mia.evaluate("navigator.clipboard.readText()"))
    assert (copied["kind"], copied["metadata"]["name"], copied["metadata"]["namespace"]) == ("Deployment", "rerank", "search")
    assert copied["spec"]["replicas"] == 4
    (container,) = copied["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/search/rerank:3"
    assert [int(amount) for amount in container["resources"]["limits"].values()] == [2]


def test_typed_text_survives_a_refresh(as_: OpenAs) -> None:
    page = as_("mia", "/requests/new/?class=full-gpu-inference")
    for label, words in (("Workload name", "llama"), ("Image (optional)", "registry.example/llama:3"), ("Replicas", "3")):
        page.get_by_label(label).press_sequentially(words, delay=30)
    page.get_by_label("Purpose (optional)").press_sequentially("Slowly typed, over several answers.", delay=40)
    expect(page.locator(".ask__outlook").get_by_text("Needs approval")).to_be_visible()
    page.wait_for_timeout(600)
    fields = {label: page.get_by_label(label).input_value() for label in ("Workload name", "Image (optional)", "Replicas")}
    assert list(fields.values()) in (["llama", "registry.example/llama:3", "13"], ["llama", "registry.example/llama:3", "31"])
    assert page.get_by_label("Purpose (optional)").input_value() == "Slowly typed, over several answers."


def test_a_decision_after_a_withdrawal_says_so_and_loses_nothing(as_: OpenAs) -> None:
    mia = as_("mia", "/requests/new/?class=full-gpu-inference")
    where = ask(mia, "withdrawn-since", "5")
    otto = as_("otto", "/approvals/")
    waiting = otto.get_by_role("article").filter(has=otto.get_by_role("heading", name="withdrawn-since"))
    waiting.get_by_label("Reason").fill("You may have it until March.")
    mia.goto(where)
    mia.get_by_text("Withdraw", exact=True).click()
    mia.get_by_role("button", name="Withdraw request").click()
    expect(mia.locator("h1").get_by_text("Withdrawn")).to_be_visible()
    waiting.get_by_role("button", name="Approve").click()
    alert = otto.get_by_role("alert")
    expect(alert).to_contain_text("This request was withdrawn and cannot be approved. Your change was not saved.")
    expect(alert).to_contain_text("You may have it until March.")
    mia.reload()
    expect(mia.locator("h1").get_by_text("Withdrawn")).to_be_visible()


def pages(page: Page) -> list[str]:
    """Every page about requests, with one request of each kind that the seed made."""
    page.goto(page.url.split("/requests")[0] + "/requests/?way=all")
    links = {link.inner_text().split()[-1]: link.get_attribute("href") or "" for link in page.locator(".requests__name a").all()}
    ones = [links[name] for name in ("granted", "first", "a-draft")]
    more = (
        "/requests/",
        "/requests/new/?class=full-gpu-inference",
        "/approvals/",
        "/requests/numbers/",
        "/teams/",
        "/teams/search/",
    )
    return [*ones, *more]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(as_: OpenAs, muster: Muster, scheme: str) -> None:
    page = as_("otto", "/requests/", scheme=scheme)
    result = {}
    for path in pages(page):
        page.goto(muster.url + path)
        page.evaluate("for (const one of document.querySelectorAll('.request__acts details')) one.open = true")
        violations = Axe().run(page).response["violations"]
        result[path] = [violation["id"] for violation in violations if violation["impact"] in {"serious", "critical"}]
    assert {path: ids for path, ids in result.items() if ids} == {}


def test_nothing_scrolls_sideways(as_: OpenAs, muster: Muster) -> None:
    page = as_("otto", "/requests/")
    for path in pages(page):
        page.goto(muster.url + path)
        no_sideways(page)


def test_a_user_without_a_team_sees_why(as_: OpenAs) -> None:
    page = as_("sam", "/requests/new/")
    expect(page.get_by_text("You are not in a team yet")).to_be_visible()
