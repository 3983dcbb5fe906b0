"""Pools: the list with purpose, figures and compliance, and the page of one pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.documents.documents import write
from fleet.domain.pools.compliance import Violation
from fleet.domain.pools.identity import labelling
from fleet.domain.refusals import FieldError, NotNow
from fleet.selectors import clusters, decisions, declarations
from fleet.selectors.findings import worst as worst_findings
from fleet.selectors.nodes import nodes
from fleet.selectors.nodes.ladder import rung_titles
from fleet.selectors.nodes.nodes import with_resources
from fleet.selectors.nodes.views import view_of
from fleet.selectors.pools import compliance
from fleet.selectors.pools import pools as select
from fleet.services import pools as service
from fleet.services import waivers
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import Pool

MOST_MEMBERS, MOST_CHANGES, MOST_PERIODS, MOST_SQUATTERS = 25, 12, 12, 20


def pool_list(request: HttpRequest) -> HttpResponse:
    """Shows the list of pools.

    Context: rows (list of PoolRow, violated and at risk first), alone and clashes (numbers of nodes),
    nodes_known, suggestions (list of Suggestion), rungs ([(number, id, title)]), may_operate, now.
    """
    now = timezone.now()

    def context() -> dict[str, object]:
        alone, clashes = select.outsiders(now)
        return {
            "rows": sorted(select.pool_rows(now), key=_worst_first),
            "alone": alone,
            "clashes": clashes,
            "nodes_known": nodes.nodes().filter(removed_at__isnull=True).count(),
            "suggestions": select.suggestions(now) if alone else (),
            "rungs": rung_titles(),
            "may_operate": person(request).may("operator"),
            "now": now,
        }

    etag = f"{clusters.data_version()}:{select.version()}"
    return render_page(request, "pools/list.html", "pools/_list.html", context, etag=etag)


_ORDER = {"violated": 0, "at_risk": 1}


def _worst_first(row: select.PoolRow) -> tuple[int, str]:
    return _ORDER.get(row.compliance.state or "", 2), row.row.slug


def pool_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Shows one pool.

    Context: row (PoolRow), violations (list of Violation), labelling ([(where, text)]), squatters ([(node key, pods)]),
    members (list of NodeView, the worst of them), changes (list of MembershipChange), periods (list of CompliancePeriod),
    findings (list of FindingRow), classes (rows that use it), waivers, waivable, yaml, may_operate, now.
    """
    now = timezone.now()
    if declarations.get_pool(slug) is None:
        raise Http404

    def context() -> dict[str, object]:
        (row,) = select.pool_rows(now, slug)
        violations, squatters = compliance.pool_violations(slug, now)
        return {
            "row": row,
            "violations": violations,
            "labelling": _labelling(slug, violations),
            "squatters": list(squatters.items())[:MOST_SQUATTERS],
            "squatting": sum(len(pods) for pods in squatters.values()),
            "members": [view_of(node) for node in with_resources(select.worst_members(row.row))[:MOST_MEMBERS]],
            "stale_clusters": clusters.stale_cluster_ids(now),
            "changes": select.membership_changes(row.row, 4 * MOST_MEMBERS)[:MOST_CHANGES],
            "periods": list(select.compliance_history("pool", slug)[:MOST_PERIODS]),
            "findings": worst_findings.of_declaration("pool", slug, now),
            "classes": [
                version.workload_class
                for version in declarations.newest_versions().values()
                if slug in declarations.spec_of(version).pools
            ],
            "waivers": list(decisions.pool_waivers(slug)),
            "waivable": decisions.waivable_in_pool(slug),
            "yaml": write([row.spec]),
            "may_operate": person(request).may("operator"),
            "now": now,
        }

    waived = ",".join(f"{pool_waiver.rung}@{pool_waiver.at.timestamp()}" for pool_waiver in decisions.pool_waivers(slug))
    etag = f"{clusters.data_version()}:{select.version()}:{waived}"
    return render_page(request, "pools/detail.html", "pools/_detail.html", context, etag=etag)


def _labelling(slug: str, violations: Sequence[Violation]) -> tuple[tuple[str, str], ...]:
    """Returns (where, text to copy) for Muster's pool label; empty where every member can be selected."""
    names = [name for violation in violations if violation.id == "untargetable" for _, name in violation.nodes]
    return labelling(slug, names) if names else ()


@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Removes the pool; its history is kept."""
    _pool(request, slug)
    try:
        service.remove(person(request), slug, timezone.now())
    except NotNow as refused:
        messages.error(request, str(refused))
        return redirect("pool", slug=slug)
    messages.success(request, f"Pool {slug} was removed. Its history is kept.")
    return redirect("pools")


@require_POST
def waive(request: HttpRequest, slug: str) -> HttpResponse:
    """Waives a rung for the nodes of the pool (fields rung, reason)."""
    pool = _pool(request, slug)
    rung = request.POST.get("rung", "")

    def grant() -> str:
        waivers.grant(person(request), pool, rung, reason=request.POST.get("reason", ""), now=timezone.now())
        return f"{rung} is not required in pool {slug}. Takes effect with the next collection run."

    return _decide(request, slug, grant)


@require_POST
def withdraw_waiver(request: HttpRequest, slug: str, rung: str) -> HttpResponse:
    """Withdraws a waiver of the pool."""
    pool = _pool(request, slug)

    def withdraw() -> str:
        waivers.withdraw(person(request), pool, rung, now=timezone.now())
        return f"{rung} is required in pool {slug} again. Takes effect with the next collection run."

    return _decide(request, slug, withdraw)


def _decide(request: HttpRequest, slug: str, do: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, do())
    except FieldError as error:
        messages.error(request, str(error))
    return redirect("pool", slug=slug)


def _pool(request: HttpRequest, slug: str) -> Pool:
    demand(request, "operator")
    pool = declarations.get_pool(slug)
    if pool is None:
        raise Http404
    return pool
