"""Decisions of operators: waivers on the page of a cluster, maintenance and declared counts on that of a node.

Every form posts here and comes back to its page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError
from fleet.selectors import clusters, decisions
from fleet.selectors.nodes import nodes
from fleet.services import expected, maintenance, waivers
from fleet.web.shell import undo
from fleet.web.shell.people import demand, person

if TYPE_CHECKING:
    from fleet.models import Cluster, Node

_FELT = "Takes effect with the next collection run."


def may_decide(request: HttpRequest) -> bool:
    """Operators and administrators may waive, maintain and declare."""
    return person(request).may("operator")


@require_POST
def waive(request: HttpRequest, name: str) -> HttpResponse:
    """Waives a rung for the cluster (fields rung, reason)."""
    cluster = _cluster(request, name)
    rung = request.POST.get("rung", "")

    def grant() -> str:
        waivers.grant(person(request), cluster, rung, reason=request.POST.get("reason", ""), now=timezone.now())
        return f"{rung} is waived in {name}. {_FELT}"

    return _decide(request, grant, redirect("cluster", name=name))


@require_POST
def withdraw_waiver(request: HttpRequest, name: str, rung: str) -> HttpResponse:
    """Withdraws a waiver."""
    cluster = _cluster(request, name)

    def withdraw() -> str:
        waivers.withdraw(person(request), cluster, rung, now=timezone.now())
        return f"{rung} is no longer waived in {name}. {_FELT}"

    return _decide(request, withdraw, redirect("cluster", name=name))


@require_POST
def begin_maintenance(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Starts maintenance of the node (fields reason, until: a moment in UTC, or empty)."""
    node = _node(request, cluster, name)

    def begin() -> str:
        text = request.POST.get("until", "").strip()
        until = parse_datetime(text) if text else None
        if text and until is None:
            raise FieldError("until", "Enter the end as 2026-11-30T18:00.")
        if until is not None and timezone.is_naive(until):
            until = until.replace(tzinfo=timezone.get_default_timezone())
        maintenance.begin(person(request), node, reason=request.POST.get("reason", ""), until=until, now=timezone.now())
        return f"{name} is in maintenance. {_FELT}"

    is_new = decisions.of_node(node, timezone.now()).maintenance is None
    undo_url = reverse("node-maintenance-end", args=(cluster, name)) if is_new else ""
    return _decide(request, begin, redirect("node", cluster=cluster, name=name), undo_url)


@require_POST
def end_maintenance(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Ends maintenance of the node."""
    node = _node(request, cluster, name)

    def end() -> str:
        maintenance.end(person(request), node, now=timezone.now())
        return f"Maintenance of {name} ended. {_FELT}"

    return _decide(request, end, redirect("node", cluster=cluster, name=name))


@require_POST
def declare_expected(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Declares how many physical GPUs the node should have (fields count, reason)."""
    node = _node(request, cluster, name)

    def declare() -> str:
        text = request.POST.get("count", "").strip()
        if not text.isdecimal() or len(text) > 4:
            raise FieldError("count", "Enter the number of GPUs as a whole number.")
        expected.declare(person(request), node, count=int(text), reason=request.POST.get("reason", ""), now=timezone.now())
        return f"Expected GPUs of {name}: {text}. {_FELT}"

    return _decide(request, declare, redirect("node", cluster=cluster, name=name))


@require_POST
def withdraw_expected(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """From now on the node's count is learned again."""
    node = _node(request, cluster, name)

    def withdraw() -> str:
        expected.withdraw(person(request), node, now=timezone.now())
        return f"Expected GPUs of {name} are learned again. {_FELT}"

    return _decide(request, withdraw, redirect("node", cluster=cluster, name=name))


def _decide(request: HttpRequest, do: Callable[[], str], back: HttpResponse, undo_url: str = "") -> HttpResponse:
    try:
        undo.done(request, do(), undo_url)
    except FieldError as error:
        messages.error(request, str(error))
    return back


def _cluster(request: HttpRequest, name: str) -> Cluster:
    _check(request)
    cluster = clusters.get_cluster(name)
    if cluster is None:
        raise Http404
    return cluster


def _node(request: HttpRequest, cluster: str, name: str) -> Node:
    _check(request)
    node = nodes.get_node(cluster, name)
    if node is None or node.removed_at is not None:
        raise Http404
    return node


def _check(request: HttpRequest) -> None:
    demand(request, "operator")
