"""Stranded capacity: free GPUs that no wanted shape can use, per pool, class and product, with the smallest move as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from fleet.domain.stranded.report import Row, sentence
from fleet.selectors import clusters
from fleet.selectors.placement import stranded as select
from fleet.selectors.placement import stranded_history as past
from fleet.selectors.pools import pools
from fleet.web.shell.render import render_page

_History = dict[tuple[str, str], list[past.DayOfRow]]
BAR = 1000
"""Width of the bar in the units of its drawing."""


DAYS, DAY_WIDTH, DAY_HEIGHT = 30, 6, 24
"""Days of history in a row, and the size of the drawing of one."""


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day: its mean of stranded GPUs as a bar."""

    x: int
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class RowView:
    """One row with its link and its move in words."""

    row: Row
    url: str
    move: str
    """Empty where no move helps."""
    days: tuple[DayBar, ...] = ()
    """The last DAYS days; empty without two of them."""
    trend: str = ""
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    title: str
    note: str
    rows: tuple[RowView, ...]


def stranded_page(request: HttpRequest) -> HttpResponse:
    """Shows free GPUs that no pod of a shape can use.

    Context: answer (select.Stranded), groups ([Group]), usable (free GPUs that are not stranded), usable_width (of BAR),
    not_evaluated (sentences), now.
    """
    now = timezone.now()

    def context() -> dict[str, object]:
        answer = select.stranded(now)
        usable = answer.free_gpus - answer.stranded_gpus
        return {
            "answer": answer,
            "groups": _groups(answer, past.by_row(now, DAYS), now),
            "usable": usable,
            "usable_width": BAR * usable // max(answer.free_gpus, 1),
            "not_evaluated": select.NOT_EVALUATED,
            "now": now,
        }

    etag = f"{clusters.data_version()}:{pools.version()}"
    return render_page(request, "capacity/stranded.html", "capacity/_stranded.html", context, etag=etag)


def _groups(answer: select.Stranded, history: _History, now: datetime) -> tuple[Group, ...]:
    def views(rows: Iterable[Row]) -> tuple[RowView, ...]:
        return tuple(_view(row, history.get((row.kind, row.name), []), now) for row in rows)

    return (
        Group("pools", "By pool", "what no wanted shape can use", views(answer.pools)),
        Group("classes", "By class", "what this class alone cannot use in its pools", views(answer.classes)),
        Group("products", "By product", "the same over the whole fleet", views(answer.products)),
    )


def _view(row: Row, days: list[past.DayOfRow], now: datetime) -> RowView:
    move = sentence(row.proposal) if row.proposal and row.proposal.moves else ""
    if len(days) < 2:
        return RowView(row, _url(row), move)
    today, most = now.astimezone(UTC).date(), max(max(day.stranded_gpus for day in days), 1)
    bars = tuple(
        DayBar(
            x=DAY_WIDTH * (DAYS - 1 - (today - day.day).days),
            height=round(max(DAY_HEIGHT * day.stranded_gpus / most, 1), 1),
            title=f"{day.day:%-d %b}: {day.stranded_gpus:g} of {day.free_gpus:g} free",
        )
        for day in days
    )
    mean = sum(day.stranded_gpus for day in days) / len(days)
    trend = f"{mean:,.0f} on average in {len(days)} days, at most {max(day.most_stranded for day in days):,}"
    return RowView(row, _url(row), move, bars, trend)


def _url(row: Row) -> str:
    if row.kind == "product":
        return f"{reverse('nodes')}?{urlencode({'product': row.name})}" if row.name else reverse("nodes")
    return reverse(row.kind, args=[row.name])
