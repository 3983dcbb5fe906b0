"""Pools: each with its purpose, what it holds, and whether it keeps its promise; one pool with everything about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.domain.asking import NotNow
from fleet.domain.declared.documents import write
from fleet.selectors import clusters, decisions, declarations, nodes, promises, worst_findings
from fleet.selectors import pools as select
from fleet.services import pools as service
from fleet.services import waivers
from fleet.services.decisions import DecisionError
from fleet.web.people import demand, person
from fleet.web.render import render_page

MOST_MEMBERS, MOST_CHANGES, MOST_PERIODS, MOST_SQUATTERS = 25, 12, 12, 20


def pool_list(request: HttpRequest) -> HttpResponse:
    """Context: rows (list of PoolRow), percents (slug to percent ready over 30 days), alone and clashes (numbers of nodes),
    nodes_known, suggestions (list of Suggestion), may_operate, now."""
    now = timezone.now()

    def context() -> dict[str, Any]:
        alone, clashes = select.outsiders(now)
        return {
            "rows": select.pool_rows(),
            "percents": promises.ready_percents(now - promises.PROMISE_WINDOW, now),
            "alone": alone,
            "clashes": clashes,
            "nodes_known": nodes.nodes().filter(removed_at__isnull=True).count(),
            "suggestions": select.suggestions(now) if alone else (),
            "may_operate": person(request).may("operator"),
            "now": now,
        }

    etag = f"{clusters.data_version()}:{select.version()}"
    return render_page(request, "pools/list.html", "pools/_list.html", context, etag=etag)


def pool_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Context: row (PoolRow), broken (list of keeping.Broken, as of now), squatters ([(node key, pods)]), percent, members (the
    worst of them), changes ([{at, what (joined or left), nodes}]), periods (list of PromisePeriod), findings (list of
    FindingRow), classes (rows that rest on it), waivers, waivable, yaml, may_operate, now."""
    now = timezone.now()
    if declarations.get_pool(slug) is None:
        raise Http404

    def context() -> dict[str, Any]:
        (row,) = select.pool_rows(slug)
        broken, squatters, percent = promises.pool_conditions(slug, now)
        return {
            "row": row,
            "broken": broken,
            "squatters": list(squatters.items())[:MOST_SQUATTERS],
            "squatting": sum(len(pods) for pods in squatters.values()),
            "percent": percent,
            "members": list(select.worst_members(row.row)[:MOST_MEMBERS]),
            "stale_clusters": clusters.stale_cluster_ids(now),
            "changes": _together(select.membership_changes(row.row, 4 * MOST_MEMBERS))[:MOST_CHANGES],
            "periods": list(select.promise_history("pool", slug)[:MOST_PERIODS]),
            "findings": worst_findings.of_promise("pool", slug, now),
            "classes": [
                version.workload_class
                for version in declarations.newest_versions().values()
                if slug in declarations.promise_of(version).pools
            ],
            "waivers": list(decisions.pool_waivers(slug)),
            "waivable": decisions.waivable_in_pool(slug),
            "yaml": write([row.spec]),
            "may_operate": person(request).may("operator"),
            "now": now,
        }

    waived = ",".join(f"{one.rung}@{one.at.timestamp()}" for one in decisions.pool_waivers(slug))
    etag = f"{clusters.data_version()}:{select.version()}:{waived}"
    return render_page(request, "pools/detail.html", "pools/_detail.html", context, etag=etag)


def _together(changes: list[tuple[datetime, str, Any]]) -> list[dict[str, Any]]:
    """What happened at one moment as one change."""
    found: list[dict[str, Any]] = []
    for at, what, node in changes:
        if not found or (found[-1]["at"], found[-1]["what"]) != (at, what):
            found.append({"at": at, "what": what, "nodes": []})
        found[-1]["nodes"].append(node)
    return found


@require_POST
def adopt(request: HttpRequest) -> HttpResponse:
    """POST slug: makes the suggested pool of that slug, as it is suggested now."""
    demand(request, "operator")
    now = timezone.now()
    slug = request.POST.get("slug", "")
    found = next((one for one in select.suggestions(now) if one.pool.slug == slug), None)
    if found is None:
        messages.error(request, f"Nothing suggests a pool {slug} any more: its nodes are in a pool by now, or gone.")
        return redirect("pools")
    service.save(person(request), found.pool, now)
    tasks.wake_promises()
    messages.success(request, f"Pool {slug} is there, with {found.nodes} node{'' if found.nodes == 1 else 's'}.")
    return redirect("pool", slug=slug)


@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """The pool is gone; its history stays."""
    _pool(request, slug)
    try:
        service.remove(person(request), slug, timezone.now())
    except NotNow as refused:
        messages.error(request, str(refused))
        return redirect("pool", slug=slug)
    messages.success(request, f"Pool {slug} was removed. Its history stays.")
    return redirect("pools")


@require_POST
def waive(request: HttpRequest, slug: str) -> HttpResponse:
    """Waives a rung for the nodes of the pool (fields rung, reason)."""
    pool = _pool(request, slug)
    rung = request.POST.get("rung", "")

    def grant() -> str:
        waivers.grant(person(request), pool, rung, reason=request.POST.get("reason", ""), now=timezone.now())
        return f"{rung} need not be proved in pool {slug}. It counts from the next reading."

    return _decide(request, slug, grant)


@require_POST
def withdraw_waiver(request: HttpRequest, slug: str, rung: str) -> HttpResponse:
    """Withdraws a waiver of the pool."""
    pool = _pool(request, slug)

    def withdraw() -> str:
        waivers.withdraw(person(request), pool, rung, now=timezone.now())
        return f"{rung} has to be proved in pool {slug} again. It counts from the next reading."

    return _decide(request, slug, withdraw)


def _decide(request: HttpRequest, slug: str, do: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, do())
    except DecisionError as error:
        messages.error(request, str(error))
    return redirect("pool", slug=slug)


def _pool(request: HttpRequest, slug: str) -> Any:
    demand(request, "operator")
    found = declarations.get_pool(slug)
    if found is None:
        raise Http404
    return found
