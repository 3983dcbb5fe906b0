"""A promise that breaks while people look on: a pool and its class applied as YAML, the pool's nodes made to share their cards,
and the page, the findings and a webhook say so."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Muster, OpenPage
from tests.services.notifications.receivers import HttpReceiver, http_receiver

CLUSTER, LABEL = "research-onprem", "b200-pilot"
DECLARED = f"""\
apiVersion: muster/v1
kind: Pool
metadata: {{name: pilot}}
spec:
  title: Pilot
  selector: {{labels: node-pool={LABEL}}}
  policy: {{purpose: full GPU, modes: [full]}}
---
apiVersion: muster/v1
kind: WorkloadClass
metadata: {{name: pilot-full}}
spec: {{title: Pilot full, gpus: 1, isolation: full, pools: [pilot]}}
"""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


def until(page: Page, words: str) -> None:
    """The badge of the page says so within a minute: pages do not refresh their title by themselves."""
    for _ in range(90):
        if words in page.locator(".page-title .badge").first.inner_text():
            return
        page.wait_for_timeout(1_000)
        page.reload()
    pytest.fail(f"the badge says {page.locator('.page-title .badge').first.inner_text()}, not {words}")


def tell(page: Page, receiver: HttpReceiver) -> None:
    """A rule that sends events of compliance to a webhook on this machine."""
    page.get_by_label("Name").fill("Robot of the platform")
    page.get_by_label("Signed webhook").check()
    page.get_by_label("Address", exact=True).fill(f"{receiver.url}/hook")
    page.get_by_label("Name").press("Enter")
    expect(page.get_by_text("added")).to_be_visible()
    page.goto(page.url.partition("/notifications/")[0] + "/notifications/rules/new/")
    page.get_by_label("Name").fill("Promises")
    page.get_by_label("Target").select_option(label="Robot of the platform")
    page.get_by_label("Compliance of a pool or class becomes at risk or violated").check()
    page.get_by_role("button", name="Add rule").click()
    expect(page.locator("main")).to_contain_text("Promises")


def test_a_class_is_violated_when_its_nodes_are_shared_and_all_are_notified(
    muster: Muster, open_page: OpenPage, receiver: HttpReceiver
) -> None:
    signal.alarm(300)  # it waits twice for a beat that comes once a minute
    cluster = next(item for item in muster.simulation.fleet.clusters if item.name == CLUSTER)
    nodes = [node.name for node in cluster.nodes.values() if node.pool == LABEL]
    for node in nodes:
        cluster.set_time_slicing(node, 1)  # which empties it
    tell(open_page("/notifications/targets/new/"), receiver)
    page = open_page("/pools/apply/")
    page.get_by_label("Documents").fill(DECLARED)
    page.get_by_role("button", name="Preview changes").click()
    page.get_by_role("button", name="Apply").click()
    page.goto(f"{muster.url}/classes/pilot-full/")
    until(page, "Met")
    room = page.locator("#open-class .one-number b")
    expect(room).to_have_text(re.compile(r"^[1-9]\d*\s*replicas"))
    try:
        for node in nodes:
            cluster.set_time_slicing(node, 4)
        until(page, "Violated")
        expect(room).to_have_text(re.compile(r"^0\s*replicas"))
        expect(page.locator("#open-class")).to_contain_text("share")
        page.goto(f"{muster.url}/findings/?q=pilot")
        expect(page.locator("main")).to_contain_text("class pilot-full")
        result = titles_sent(receiver, page)
        assert any("pilot-full" in title for title in result), result
    finally:
        for node in nodes:
            cluster.set_time_slicing(node, 1)


def titles_sent(receiver: HttpReceiver, page: Page) -> set[str]:
    """Titles of the class's notifications: a rule groups for a minute, and then comes the beat's."""
    rows: set[str] = set()
    for _ in range(150):
        rows = {notice["title"] for request in receiver.requests for notice in json.loads(request.body)["notices"]}
        if any("pilot-full" in title for title in rows):
            break
        page.wait_for_timeout(1_000)
    return rows
