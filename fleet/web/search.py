"""Search: the palette over every page, its preview, and a page of hits that works without script."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from fleet.selectors.incidents import incidents
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.nodes import nodes
from fleet.selectors.search import questions as search_questions
from fleet.selectors.search import search as select
from fleet.web.shell.people import person

IN_PALETTE, ON_PAGE, OF_KIND = 3, 10, 50
LABELS = {
    "incident": "Incidents", "node": "Nodes", "pool": "Pools", "class": "Classes", "request": "Requests", "team": "Teams",
    "cluster": "Clusters", "gpu": "GPUs", "pod": "Pods", "xid": "Xids", "rule": "Rules", "action": "Actions",
}  # fmt: skip
ICONS = {
    "incident": "triangle-alert", "node": "server", "pool": "layers", "class": "layout-grid", "request": "inbox", "team": "users",
    "cluster": "cloud", "gpu": "cpu", "pod": "box", "xid": "zap", "rule": "list-tree", "action": "arrow-right",
}  # fmt: skip
ORDERS = {"incident": "worst first", "node": "not ready first", "request": "waiting first"}


@dataclass(frozen=True, slots=True)
class Action:
    """An action or a page, found by its words."""

    title: str
    url: str
    role: str = ""
    words: str = ""
    """Further words it is found by."""


_ACTIONS = (
    Action("Open Fleet", "fleet", words="home overview"),
    Action("Open Nodes", "nodes"),
    Action("Open incidents", "incidents", words="findings alerts"),
    Action("Open findings by rule", "findings"),
    Action("Open History", "history", words="availability changes"),
    Action("Open Pools", "pools"),
    Action("Open Classes", "classes"),
    Action("Open Requests", "requests"),
    Action("Open Sizing", "sizing", words="model memory"),
    Action("Open Clusters", "clusters", words="collection"),
    Action("Open Xid errors", "xids"),
    Action("Open API docs", "api-docs", words="openapi token"),
    Action("Open Audit", "audit", "operator"),
    Action("Open Notifications", "notifications", "operator"),
    Action("Request a class", "request-new", words="new access"),
    Action("Decide requests", "approvals", "operator", "approve reject"),
    Action("Add pool", "pool-new", "admin", "create"),
    Action("Explain a pod", "explain", words="why pending not scheduled does not land"),
)


def search_page(request: HttpRequest) -> HttpResponse:
    """The hits of `?q=`; with `palette=1` as the palette's list. A single hit is opened at once.

    Context: q, kind, groups ([{kind, label, icon, note, hits, total, url}]), total, all_total, chips, actions, now.
    """
    now = timezone.now()
    text = request.GET.get("q", "")
    palette = request.GET.get("palette") == "1"
    kind = request.GET.get("kind", "")
    kind = kind if kind in search_questions.KINDS else ""
    question = search_questions.read(text)
    limit = OF_KIND if kind or question.kind else IN_PALETTE if palette else ON_PAGE
    groups = select.search(question, person(request), now, limit=limit)
    actions = _actions(request, question)
    only = select.single(groups)
    if only is not None and not palette and not kind:
        return redirect(only.url)
    totals = {group.kind: group.total for group in groups}
    shown = [group for group in groups if kind in ("", group.kind)]
    context = {
        "q": text[: search_questions.LONGEST],
        "kind": kind,
        "words": question.words,
        "groups": [_group(group, text) for group in shown],
        "chips": [{"kind": name, "label": LABELS[name], "count": count} for name, count in totals.items()],
        "total": sum(totals.values()),
        "actions": actions if not kind else [],
        "prefixes": sorted(search_questions.PREFIXES.items()),
        "now": now,
    }
    if palette:
        return render(request, "search/_hits.html", context)
    return render(request, "search/list.html", context)


def search_preview(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Preview of the selected incident or node in the palette. Context: row (IncidentRow or None), node (Node or None), now."""
    now = timezone.now()
    if kind == "incident":
        named = incidents.incident_of(pk)
        if named is not None:
            (row,) = incident_rows.rows([named], now)
            return render(request, "search/_incident.html", {"row": row, "now": now})
    elif kind == "node":
        node = nodes.nodes().filter(pk=pk).first()
        if node is not None:
            return render(request, "search/_node.html", {"node": node, "now": now})
    raise Http404


def _group(group: search_questions.Group, text: str) -> dict[str, object]:
    query = urlencode({"q": text[: search_questions.LONGEST], "kind": group.kind})
    note = ORDERS.get(group.kind, "")
    return {
        "kind": group.kind,
        "label": LABELS[group.kind],
        "icon": ICONS[group.kind],
        "note": f"{group.total:,}{f', {note}' if note else ''}",
        "hits": group.hits,
        "total": group.total,
        "more": group.total - len(group.hits),
        "url": f"{reverse('search')}?{query}",
    }


def _actions(request: HttpRequest, question: search_questions.Question) -> list[dict[str, str]]:
    """Returns the actions whose words begin with every word of the search; the first five without one."""
    words = [word.lower() for word in question.words]
    rows = []
    for action in _ACTIONS:
        known = f"{action.title} {action.words}".lower().split()
        found_by = all(any(name.startswith(word) for name in known) for word in words)
        if found_by and (not action.role or person(request).may(action.role)):
            rows.append({"title": action.title, "url": reverse(action.url)})
    return rows[:5]
