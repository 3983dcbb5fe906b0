"""static/js/morph.js on a blank page: what a refresh may not take from the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

SCRIPT = Path(__file__).parents[2] / "static" / "js" / "morph.js"
Morph = Callable[[str, str], Page]


@pytest.fixture
def morph(browser: Browser) -> Iterator[Morph]:
    """Loads `before` into #at; `go(after)` of the page refreshes it."""
    page = browser.new_page()

    def load(before: str, act: str = "") -> Page:
        # Without a doctype `:hover` matches nothing but links (quirks mode), which no page of Muster is in.
        page.set_content(f'<!doctype html><main><div id="at">{before}</div><p data-new-for="rows"></p></main>')
        page.evaluate("window.Muster = {}")
        page.add_script_tag(path=SCRIPT)
        page.evaluate(
            """void (window.go = (html, refresh = true) => {
                const template = document.createElement('template');
                template.innerHTML = html;
                Muster.morph(document.getElementById('at'), template.content, { refresh });
            })"""
        )
        if act:
            page.evaluate(act)
        return page

    yield load
    page.close()


def inside(page: Page) -> str:
    return str(page.inner_html("#at"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "<p>a</p>"),
        ("<p>a</p>", ""),
        ("<p>a</p>text<b>b</b>", "text<b>c</b><p>a</p>"),
        ("<i data-key='a'>a</i><i data-key='b'>b</i><i data-key='c'>c</i>", "<i data-key='c'>c</i><i data-key='a'>a</i>"),
        ("<i data-key='a'>a</i>", "<b data-key='a'>a</b>"),
        ("<p class='x' title='t'>a</p>", "<p class='y'>a</p>"),
    ],
)
def test_the_result_is_what_the_server_sent(morph: Morph, before: str, after: str) -> None:
    page = morph(before, "")
    page.evaluate("(html) => go(html)", after)
    assert inside(page) == after.replace("'", '"')


@pytest.mark.parametrize(
    ("before", "act", "after", "kept"),
    [
        ("<details><summary>s</summary>a</details>", "at.querySelector('details').open = true",
         "<details><summary>s</summary>b</details>", "at.querySelector('details').open"),
        ("<input value=''>", "at.firstChild.focus(), at.firstChild.value = 'half-ty'", "<input value='' class='x'>",
         "at.firstChild.value === 'half-ty' && document.activeElement === at.firstChild"),
        ("<a data-key='a' href='#'>a</a>", "at.firstChild.focus()",
         "<a data-key='b' href='#'>b</a><a data-key='a' href='#'>a</a>",
         "document.activeElement.textContent === 'a'"),
        ("<p data-preserve='1'>drawn</p>", "", "<p data-preserve='1'>empty</p>", "at.textContent === 'drawn'"),
        ("<p data-preserve='1'>drawn</p>", "", "<p data-preserve='2'>new</p>", "at.textContent === 'new'"),
        ("<b data-value>7</b>", "", "<b data-value>8</b>", "at.firstChild.classList.contains('flash')"),
        ("<b data-value>7</b>", "", "<b data-value>7</b>", "!at.firstChild.classList.contains('flash')"),
        ("<input type='checkbox' checked>", "at.firstChild.checked = false", "<input type='checkbox' checked>",
         "at.firstChild.checked"),
    ],
)  # fmt: skip
def test_a_refresh_keeps_what_the_reader_did(morph: Morph, before: str, act: str, after: str, kept: str) -> None:
    page = morph(before, f"(() => {{ const at = document.getElementById('at'); {act} }})()")
    page.evaluate("(html) => go(html)", after)
    assert page.evaluate(f"(() => {{ const at = document.getElementById('at'); return {kept} }})()")


LIST = "<ul id='rows' data-hold><li data-key='a'><a href='#'>a</a></li></ul><button>b</button>"
REFRESHED = "<ul id='rows' data-hold><li data-key='n'>new</li><li data-key='a'><a href='#'>a2</a></li></ul><button>b</button>"
FILTERED = "<ul id='rows' data-hold><li data-key='f'>filtered</li></ul><button>b</button>"


@pytest.mark.parametrize("reach", ["focus", "hover"])
def test_a_list_being_read_keeps_its_order_until_the_reader_leaves(morph: Morph, reach: str) -> None:
    page = morph(LIST, "")
    getattr(page, reach)("#rows a")
    page.evaluate("(html) => go(html)", REFRESHED)
    assert page.inner_text("#rows") == "a2"
    getattr(page, reach)("button")
    page.wait_for_function("document.querySelectorAll('#rows li').length === 2")
    assert page.inner_text("[data-new-for]") == "1 new"


def test_a_refresh_that_waited_does_not_undo_a_later_answer(morph: Morph) -> None:
    page = morph(LIST, "")
    page.hover("#rows a")
    page.evaluate("(html) => go(html)", REFRESHED)
    page.evaluate("(html) => go(html, false)", FILTERED)
    page.hover("button")
    page.wait_for_timeout(100)
    assert page.inner_text("#rows") == "filtered"
