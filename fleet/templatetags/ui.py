"""Tags and filters of the pages: `{% load ui %}`. Words are in words.py, figures in formats.py, markup in components/."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from django import template
from django.conf import settings
from django.template import Context
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import lucide as render_icon

from fleet.domain.readiness.wording import rung_title
from fleet.selectors.clusters import older_section
from fleet.templatetags import formats, words

if TYPE_CHECKING:
    from django.contrib.messages.storage.base import Message

    from fleet.models import Cluster
    from fleet.selectors.clusters import Freshness

register = template.Library()
UNDO = "undo:"
"""Begins the tags of a message that can be undone; the address follows."""

register.filter("number", formats.number)
register.filter("percent", formats.percent)
register.filter("gib", formats.gib)
register.filter("duration", formats.duration)
register.filter("took", formats.took)
register.filter("middle", formats.middle)
register.filter("clause", formats.clause)


@register.filter
def undo_url(message: Message) -> str:
    """Returns the address that undoes what the message says was done; empty where nothing does."""
    tags = message.extra_tags or ""
    return tags.removeprefix(UNDO) if tags.startswith(UNDO) else ""


def _now(context: Context) -> datetime:
    """The moment of the page: the view's `now`, so that all ages of a page use one clock."""
    now = context.get("now")
    return now if isinstance(now, datetime) else timezone.now()


# --- figures ------------------------------------------------------------------------------------------------------


@register.simple_tag
def measured(value: float | None, unit: str = "", none: str = formats.UNKNOWN, digits: int | None = None) -> SafeString:
    """A measured value with its unit beside it, or the words `none` if it was not measured: never 0 or a dash."""
    if value is None:
        return format_html('<span class="unknown">{}</span>', none)
    text = formats.number(value, digits)
    return format_html('{}\N{NO-BREAK SPACE}<span class="unit">{}</span>', text, unit) if unit else mark_safe(text)  # noqa: S308


@register.simple_tag
def known(text: str | None, none: str = formats.UNKNOWN) -> SafeString:
    """Shows a text, or the word `none` in the look of the unknown where there is none."""
    return format_html("{}", text) if text else format_html('<span class="unknown">{}</span>', none)


@register.simple_tag
def count(value: int | None, row: str, many: str = "") -> str:
    """A count with its noun: `{% count 141 "node" %}` → 141 nodes."""
    return formats.plural(value, row, many)


@register.simple_tag
def share(part: float | None, whole: float | None, digits: int = 1) -> str:
    """Part of whole in percent, rounded so that 0 % and 100 % are exact."""
    return formats.share(part, whole, digits)


# --- time ---------------------------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def age(context: Context, at: datetime | None, suffix: str = "", none: str = formats.UNKNOWN) -> SafeString:
    """How long ago, ticking in the browser, with the moment in the title: `24 s`, or `24 s ago` with suffix="ago"."""
    if at is None:
        return format_html('<span class="unknown">{}</span>', none)
    now = _now(context)
    text = formats.duration((now - at).total_seconds())
    tail = f"\N{NO-BREAK SPACE}{suffix}" if suffix else ""
    return format_html(
        '<time class="age" datetime="{}" data-age="{}" title="{}">{}{}</time>',
        at.astimezone(UTC).isoformat(timespec="seconds"),
        suffix,
        formats.moment(at, now),
        text,
        tail,
    )


@register.simple_tag(takes_context=True)
def since(context: Context, at: datetime | None, none: str = "start unknown") -> SafeString:
    """`16 h 45 min, since Sun 22 Nov 21:47 UTC`."""
    if at is None:
        return format_html('<span class="unknown">{}</span>', none)
    return format_html("<b>{}</b>, since {}", age(context, at), moment(context, at))


@register.simple_tag(takes_context=True)
def moment(context: Context, at: datetime | None, none: str = formats.UNKNOWN) -> SafeString:
    """`Sun 22 Nov 21:47 UTC`."""
    if at is None:
        return format_html('<span class="unknown">{}</span>', none)
    return format_html(
        '<time datetime="{}">{}</time>', at.astimezone(UTC).isoformat(timespec="seconds"), formats.moment(at, _now(context))
    )


@register.simple_tag(takes_context=True)
def clock(context: Context, at: datetime | None, none: str = formats.UNKNOWN) -> SafeString:
    """`21:47`, or `22 Nov 21:47` where it is another day; UTC, with the whole moment in the title."""
    if at is None:
        return format_html('<span class="unknown">{}</span>', none)
    now = _now(context)
    stamp = at.astimezone(UTC).isoformat(timespec="seconds")
    return format_html('<time datetime="{}" title="{}">{}</time>', stamp, formats.moment(at, now), formats.clock(at, now))


@register.inclusion_tag("components/_freshness.html", takes_context=True)
def freshness(context: Context, fresh: Freshness) -> dict[str, object]:
    """The freshness chip of something with `level` (live, late, stale, never), `read_at` and `unknown_at`.

    The browser applies the same limits, so a chip cannot stay green on a page that stopped refreshing.
    """
    limits: dict[str, int] = {}
    if fresh.read_at is not None:
        limits["late_after"] = round(2 * settings.COLLECT_INTERVAL.total_seconds()) + 10
        if fresh.unknown_at is not None:
            limits["stale_after"] = round((fresh.unknown_at - fresh.read_at).total_seconds())
    return {"at": fresh.read_at, "level": fresh.level, "now": _now(context), **limits}


@register.inclusion_tag("components/_section_age.html", takes_context=True)
def section_age(context: Context, cluster: Cluster, section: str) -> dict[str, object]:
    """The age of a section of a cluster, where it is older than the cluster's list of nodes; else nothing."""
    return {"at": older_section(cluster, section), "now": _now(context)}


# --- shapes and icons ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _icon(name: str, css: str) -> SafeString:
    return mark_safe(  # noqa: S308  (the package's own SVG; name and class come from templates)
        render_icon(name, size=16, **{"class": css, "aria_hidden": "true", "focusable": "false", "stroke_width": "1.75"})
    )


@register.simple_tag
def icon(name: str, css: str = "icon") -> SafeString:
    """An icon of the lucide package, for decoration only: the text beside it has the meaning."""
    return _icon(str(name), str(css))


@register.simple_tag
def shape(name: str, css: str = "") -> SafeString:
    """One of Muster's own shapes (the symbols `sh-*` of components/_shapes.html): check, triangle, cross, half …"""
    return format_html(
        '<svg class="shape {}" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><use href="#sh-{}"></use></svg>',
        css,
        name,
    )


@register.simple_tag
def look(kind: str, key: str | None) -> words.Word:
    """`{% look "state" node.state as w %}` → w.word, w.shape, w.look."""
    return words.word(kind, key)


def _worded(kind: str, key: str | None, **more: object) -> dict[str, object]:
    return {"word": words.word(kind, key), "key": key, **more}


@register.inclusion_tag("components/_badge.html")
def verdict(key: str | None, stale: bool = False) -> dict[str, object]:
    """The verdict badge of a node; stale verdicts are hatched."""
    return _worded("verdict", key, stale=stale)


@register.inclusion_tag("components/_badge.html")
def state(key: str | None, stale: bool = False, text: str = "") -> dict[str, object]:
    """The state badge of a node (advertised against predicted resources); `text` replaces the word."""
    return _worded("state", key, stale=stale, text=text)


@register.inclusion_tag("components/_badge.html")
def severity(key: str | None) -> dict[str, object]:
    """The severity badge of a finding."""
    return _worded("severity", key)


@register.inclusion_tag("components/_status.html")
def status(key: str | None, text: str = "") -> dict[str, object]:
    """The status of a rung or rule: shape and word without a background; `text` replaces the word."""
    return _worded("status", key, text=text)


@register.inclusion_tag("components/_status.html")
def state_word(key: str | None, text: str = "") -> dict[str, object]:
    """The state of a node without a background, for tables."""
    return _worded("state", key, text=text)


@register.inclusion_tag("components/_status.html")
def verdict_word(key: str | None) -> dict[str, object]:
    """The verdict of a node without a background, for tables."""
    return _worded("verdict", key)


@register.inclusion_tag("components/_status.html")
def outcome(key: str | None, text: str = "") -> dict[str, object]:
    """The outcome of collecting a section or cluster."""
    return _worded("outcome", key, text=text)


@register.filter
def rung_name(rung: str) -> str:
    """Returns the plain name of a rung by its id: `GPUs advertised`."""
    return rung_title(rung) if rung else ""


@register.filter
def section_label(name: str) -> str:
    """A section of a collection, in words."""
    return words.SECTIONS.get(name, name.replace("_", " "))


# --- boxes --------------------------------------------------------------------------------------------------------


@register.simple_block_tag
def box(content: str, kind: str, title: str, **more: str | bool) -> str:
    """Shows components/_box.html with the content between the tags as its text, which may be longer than a template's line."""
    return render_to_string("components/_box.html", {"kind": kind, "title": title, "text": content.strip(), **more})


# --- names --------------------------------------------------------------------------------------------------------


@register.simple_tag
def name(value: str | None, css: str = "", none: str = formats.UNKNOWN) -> SafeString:
    """A long name that is cut in the middle when room is short; the title and a copy have the whole name."""
    if not value:
        return format_html('<span class="unknown">{}</span>', none)
    head, tail, rest = formats.parts(value)
    if not head and not rest:
        return format_html('<span class="{}">{}</span>', css, value)
    drawn = format_html_join("", '<span class="mid__{}" data-text="{}"></span>', (("tail", tail), ("rest", rest)))
    whole = format_html('{}<span class="mid__whole">{}{}</span>', head, tail, rest)
    return format_html('<span class="mid {}" title="{}"><span class="mid__head">{}</span>{}</span>', css, value, whole, drawn)


@register.filter
def unbroken(text: str) -> SafeString:
    """A command whose line breaks fall between its words; a word breaks only where it is longer than the line."""
    return format_html_join(" ", '<span class="unbroken">{}</span>', ((word,) for word in text.split()))
