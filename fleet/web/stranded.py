"""Stranded capacity: free GPUs that no wanted shape can use, per pool, class and product, with the smallest move as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from fleet.domain.stranded.report import Row, sentence
from fleet.selectors import clusters
from fleet.selectors.placement import stranded as select
from fleet.selectors.pools import pools
from fleet.web.shell.render import render_page

BAR = 1000
"""Width of the bar in the units of its drawing."""


@dataclass(frozen=True, slots=True)
class RowView:
    """One row with its link and its move in words."""

    row: Row
    url: str
    move: str
    """Empty where no move helps."""


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
            "groups": _groups(answer),
            "usable": usable,
            "usable_width": BAR * usable // max(answer.free_gpus, 1),
            "not_evaluated": select.NOT_EVALUATED,
            "now": now,
        }

    etag = f"{clusters.data_version()}:{pools.version()}"
    return render_page(request, "capacity/stranded.html", "capacity/_stranded.html", context, etag=etag)


def _groups(answer: select.Stranded) -> tuple[Group, ...]:
    return (
        Group("pools", "By pool", "what no wanted shape can use", _views(answer.pools)),
        Group("classes", "By class", "what this class alone cannot use in its pools", _views(answer.classes)),
        Group("products", "By product", "the same over the whole fleet", _views(answer.products)),
    )


def _views(rows: Iterable[Row]) -> tuple[RowView, ...]:
    return tuple(RowView(row, _url(row), sentence(row.proposal) if row.proposal and row.proposal.moves else "") for row in rows)


def _url(row: Row) -> str:
    if row.kind == "product":
        return f"{reverse('nodes')}?{urlencode({'product': row.name})}" if row.name else reverse("nodes")
    return reverse(row.kind, args=[row.name])
