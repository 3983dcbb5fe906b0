"""Tags of timelines: `{% load timeline_ui %}`. Sparklines, the as-of control, and the timeline's links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django import template

from fleet.templatetags import curve_paths, formats

if TYPE_CHECKING:
    from django.http import QueryDict

register = template.Library()

SPARK_WIDTH, SPARK_HEIGHT = 56, 18


@register.simple_tag
def at_query(at: datetime) -> str:
    """`at=2026-11-22T21:47:00Z`, ready for an address."""
    return urlencode({"at": stamp(at)})


@register.filter
def stamp(at: datetime) -> str:
    """RFC 3339 in UTC, whole: a period begins within a second, and its moment must lie in it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@register.filter
def field_stamp(at: datetime | None) -> str:
    """Value of a datetime-local field; its time is UTC, as its label states."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" if at else ""


@register.filter
def hours_before(at: datetime, hours: int) -> datetime:
    return at - timedelta(hours=hours)


@register.inclusion_tag("components/_spark.html")
def spark(
    points: Sequence[tuple[datetime, float | None]], start: datetime, end: datetime, high: float | None = None,
    unit: str = "", label: str = "",
) -> dict[str, object]:  # fmt: skip
    """A curve from 0 to `high` (its own highest where unset). Its label has its lowest, highest and last value."""
    paths, last = curve_paths.curve_paths(curve_paths.Curve(points, start, end, 0.0, high), SPARK_WIDTH, SPARK_HEIGHT)
    known = [(at, value) for at, value in points if value is not None]
    result = f"{label}: no sample in the last {formats.duration((end - start).total_seconds())}"
    if known:
        values = [value for _, value in known]
        low, most, newest = (f"{formats.number(value, 0)} {unit}".strip() for value in (min(values), max(values), known[-1][1]))
        result = f"{label}: {low} to {most}, last {newest}"
    return {
        "paths": paths,
        "last": last,
        "label": result,
        "width": SPARK_WIDTH,
        "height": SPARK_HEIGHT,
        "floor": SPARK_HEIGHT - 3,
    }


# --- the as-of control --------------------------------------------------------------------------------------------


@register.simple_tag
def moment_url(url: str, at: datetime | None, keep: Iterable[tuple[str, str]] = ()) -> str:
    """The page at a moment, or live where `at` is None; `keep` are further parameters."""
    query = urlencode([*(keep or ()), *([("at", stamp(at))] if at is not None else [])])
    return f"{url}?{query}" if query else url


@register.simple_tag(takes_context=True)
def clock_text(context: template.Context, at: datetime) -> str:
    """A moment as plain text, for places without markup."""
    return formats.moment(at, context.get("now"))


@register.simple_tag
def kept(params: QueryDict, *names: str) -> list[tuple[str, str]]:
    """The parameters of these names that an address has."""
    return [(name, str(params[name])) for name in names if params.get(name)]
