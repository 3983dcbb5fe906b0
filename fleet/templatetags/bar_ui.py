"""Tags of bars and charts: `{% load bar_ui %}`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django import template
from django.contrib.staticfiles import finders
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleet.templatetags import formats

if TYPE_CHECKING:
    pass

register = template.Library()


@register.simple_tag
def meter(value: float | None, whole: float | None, css: str = "", label: str = "") -> SafeString:
    """A meter from 0 to `whole`. Where the value is not known, the meter is a dashed outline with a label for screen readers."""
    if value is None or not whole:
        return format_html('<svg class="meter meter--unknown {}" role="img" aria-label="{}unknown"></svg>', css, label)
    wide = max(0.0, min(100.0, 100 * value / whole))
    return format_html(
        '<svg class="meter {}" role="img" aria-label="{}{} of {}"><rect width="{}%" height="100%"></rect></svg>',
        css,
        label,
        formats.number(value),
        formats.number(whole),
        round(wide, 2),
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """One share of a stacked bar; `look` is v-ready … or is-requested, is-context."""

    count: int
    word: str
    look: str


@dataclass(frozen=True, slots=True)
class Rect(Segment):
    """A segment drawn: place and width in percent of the bar."""

    x: float
    width: float


@register.inclusion_tag("components/_bar_stack.html")
def bar_stack(segments: Iterable[Segment], label: str = "") -> dict[str, object]:
    """A stacked bar. Every share that is not 0 is at least 2 % wide, so that one node among thousands is visible."""
    shown = [segment for segment in segments if segment.count]
    total = sum(segment.count for segment in shown)
    wide = [max(2.0, 100 * segment.count / total) for segment in shown]
    scale = 100 / sum(wide) if wide else 1
    at, rects = 0.0, []
    for segment, width in zip(shown, wide, strict=True):
        rects.append(Rect(segment.count, segment.word, segment.look, round(at, 2), round(width * scale, 2)))
        at += width * scale
    text = ", ".join(f"{formats.number(segment.count)} {segment.word.lower()}" for segment in shown)
    return {"rects": rects, "label": f"{label}: {text}" if label else text}


@lru_cache(maxsize=1)
def _plotly_style_ids() -> tuple[str, ...]:
    """Ids of style elements that Plotly's bundle would add unless they exist.

    One carries 83 kB for maps, which Muster never draws and its content security policy forbids; the bundle looks for the id
    first, so an empty element of that id keeps it away. The id is a digest of the content, so it is read from the bundle itself.
    """
    path = finders.find("vendor/plotly.min.js")
    if not isinstance(path, str):
        return ()
    return tuple(sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', Path(path).read_text(encoding="utf-8")))))


@register.inclusion_tag("components/_charts_scripts.html")
def chart_scripts() -> dict[str, object]:
    """Scripts of a page with charts, for its block `scripts`."""
    return {"taken_ids": _plotly_style_ids()}
