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


def test_headings_of_the_cards_keep_apart_on_a_phone(open_page: OpenPage) -> None:
    # of two lists: an earlier test may have left few nodes ready
    lists = [open_page(path).locator("#node-rows a.plain").all()[:20] for path in ("/nodes/?verdict=ready", "/nodes/?q=gke")]
    hrefs: list[Any] = [row.get_attribute("href") for rows in lists for row in rows]
    pages = (open_page(href, width=400) for href in hrefs)
    page = next(page for page in pages if page.locator(".node__gpus").count())
    assert page.locator(".node__gpus th").evaluate_all(HEADINGS) == []
