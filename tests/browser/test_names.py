"""Names that give up their middle: the tail that distinguishes them is there, and a copy is the whole name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import OpenPage

CUT_TAILS = """names => names.filter(one => one.offsetWidth).filter(one => {
    const tail = one.querySelector(".mid__tail"), box = one.getBoundingClientRect(), end = tail.getBoundingClientRect()
    return end.width < 5 || end.right > box.right + 0.6 || tail.scrollWidth > tail.clientWidth + 1
}).map(one => one.title)"""
COPY = """name => {
    getSelection().selectAllChildren(name)
    return getSelection().toString()
}"""
HEADINGS = """cells => cells.filter(one => one.offsetWidth && one.scrollWidth > one.clientWidth).map(one => one.textContent)"""


@pytest.mark.parametrize("width", [1440, 400])
def test_the_tail_of_a_name_is_never_cut(open_page: OpenPage, width: int) -> None:
    page = open_page("/nodes/?q=gke", width=width)
    names = page.locator("#node-rows .mid")
    assert names.count() > 10
    assert names.evaluate_all(CUT_TAILS) == []
    first = names.first
    assert first.evaluate(COPY) == first.get_attribute("title")


@pytest.mark.parametrize("kind", ["?q=h100", "?q=mig"])
def test_headings_of_the_cards_keep_apart_on_a_phone(open_page: OpenPage, kind: str) -> None:
    # several nodes: an earlier test may have left some without measurements
    rows = open_page(f"/nodes/{kind}").locator("#node-rows a.plain").all()[:12]
    hrefs: list[Any] = [row.get_attribute("href") for row in rows]
    pages = (open_page(href, width=400) for href in hrefs)
    page = next(page for page in pages if page.locator(".node__gpus").count())
    headings = page.locator(".node__gpus > thead th")
    assert headings.evaluate_all(HEADINGS) == []
    assert headings.last.bounding_box()["width"] > 100, "the name of the pod has room"  # type: ignore[index]
