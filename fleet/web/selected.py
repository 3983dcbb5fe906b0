"""Acting on several rows of a list at once: maintenance of nodes, silences of findings. Operators only.

The page shows what the list's own filter selects, each with a box; nothing refreshes while one chooses.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from fleet.domain.refusals import FieldError
from fleet.filters import FindingFilters, NodeFilters
from fleet.selectors.findings import findings
from fleet.selectors.nodes import nodes
from fleet.services import maintenance, silences
from fleet.templatetags import formats
from fleet.web import node_columns
from fleet.web.findings import HOURS, silenced_until
from fleet.web.shell.people import demand, person

MOST = 200
"""Rows that are acted on at once."""
_FELT = "Takes effect with the next collection run."


def nodes_page(request: HttpRequest) -> HttpResponse:
    """GET: the nodes of a filter. POST node (ids), do (begin or end), reason, hours: starts or ends their maintenance.

    Context: rows (list of Node), total, most, hours, query (of the filter), and what selected/form.html needs.
    """
    demand(request, "operator")
    now = timezone.now()
    if request.method == "POST":
        chosen = list(nodes.nodes().filter(pk__in=_ids(request, "node"), removed_at__isnull=True))
        until = silenced_until(request, now)
        reason = request.POST.get("reason", "")

        def act() -> str:
            if request.POST.get("do") == "end":
                ended = sum(maintenance.end(person(request), node, now=now) for node in chosen)
                return f"Maintenance of {formats.plural(ended, 'node')} ended. {_FELT}"
            for node in chosen:
                maintenance.begin(person(request), node, reason=reason, until=until, now=now)
            return f"{formats.plural(len(chosen), 'node')} {'is' if len(chosen) == 1 else 'are'} in maintenance. {_FELT}"

        return _do(request, act, bool(chosen), "nodes", "Select at least one node.")
    filterset = NodeFilters(request.GET, queryset=nodes.nodes())
    result = filterset.qs if filterset.is_valid() else nodes.nodes().none()
    ordered = node_columns.ordered(result.filter(removed_at__isnull=True), node_columns.sort_of(request.GET.get("sort", "")))
    context = {"rows": list(ordered[:MOST]), "total": ordered.count(), **_common(request, "node", "Maintenance")}
    return render(request, "selected/nodes.html", context)


def findings_page(request: HttpRequest) -> HttpResponse:
    """GET: the open findings of a filter. POST finding (ids), reason, hours: silences them.

    Context: rows (list of FindingRow), total, most, hours, query (of the filter), and what selected/form.html needs.
    """
    demand(request, "operator")
    now = timezone.now()
    opened = findings.findings().filter(period__endswith__isnull=True)
    if request.method == "POST":
        chosen = list(opened.filter(pk__in=_ids(request, "finding")))
        until = silenced_until(request, now)
        reason = request.POST.get("reason", "")

        def act() -> str:
            for finding in chosen:
                silences.silence(person(request), finding, reason=reason, until=until, now=now)
            return f"{formats.plural(len(chosen), 'finding')} silenced. They stay open under the status “silenced”."

        return _do(request, act, bool(chosen), "findings", "Select at least one finding.")
    filterset = FindingFilters(request.GET, queryset=opened)
    result = filterset.qs if filterset.is_valid() else opened.none()
    ordered = findings.ordered(result, "worst")
    context = {"rows": list(ordered[:MOST]), "total": result.count(), **_common(request, "finding", "Silence")}
    return render(request, "selected/findings.html", context)


def _common(request: HttpRequest, name: str, what: str) -> dict[str, object]:
    return {
        "most": MOST,
        "hours": HOURS,
        "query": request.GET.urlencode(),
        "name": name,
        "list": f"{name}s",
        "list_title": f"{name}s".capitalize(),
        "what": what,
    }


def _ids(request: HttpRequest, name: str) -> list[int]:
    texts = request.POST.getlist(name)[:MOST]
    return [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) <= 18]


def _do(request: HttpRequest, act: Callable[[], str], any_chosen: bool, back: str, nothing: str) -> HttpResponse:
    """Acts on all or none, and goes back to the list with its filter; with a refusal to the choice."""
    query = request.POST.get("query", "")[:2_000]
    refusal = "" if any_chosen else nothing
    if not refusal:
        try:
            with transaction.atomic():
                messages.success(request, act())
        except FieldError as error:
            refusal = str(error)
    if refusal:
        messages.error(request, refusal)
    target = redirect(f"{back}-selected" if refusal else back)
    if query:
        target["Location"] += f"?{query}"
    return target
