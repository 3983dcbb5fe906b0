"""The widths that every page is looked at in: one page that is resized, which costs one load instead of five."""

from __future__ import annotations

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

WIDTHS = (1920, 1440, 1024, 768, 400, 320)
"""320 px is 400 % of zoom on a screen of 1280."""
FITS = "() => document.documentElement.scrollWidth <= innerWidth"
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
    .slice(0, 5).map(one => one.tagName.toLowerCase() + "." + (one.getAttribute("class") || one.id))"""


def no_sideways(page: Page) -> None:
    """Fails if the page scrolls sideways in one of the widths, with the outermost elements that reach too far.

    A chart follows a new width after a moment.
    """
    height = (page.viewport_size or {"height": 900})["height"]
    wide: dict[int, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        try:
            page.wait_for_function(FITS, timeout=5_000)
        except PlaywrightTimeout:
            wide[width] = page.evaluate(TOO_WIDE)
    assert not wide, f"{page.url} scrolls sideways: {wide}"
