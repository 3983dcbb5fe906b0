"""What operators decide on pages: waivers on a cluster's, maintenance and declared counts on a node's. Every form posts here
and comes back to its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from fleet.selectors import clusters, nodes
from fleet.services import expected, maintenance, waivers
from fleet.services.decisions import DecisionError
from fleet.web.people import person

_FELT = "It counts from the next reading."


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
        return f"{rung} need not be proved in {name}. {_FELT}"

    return _decide(request, grant, redirect("cluster", name=name))


@require_POST
def withdraw_waiver(request: HttpRequest, name: str, rung: str) -> HttpResponse:
    """Withdraws a waiver."""
    cluster = _cluster(request, name)

    def withdraw() -> str:
        waivers.withdraw(person(request), cluster, rung, now=timezone.now())
        return f"{rung} has to be proved in {name} again. {_FELT}"

    return _decide(request, withdraw, redirect("cluster", name=name))


@require_POST
def begin_maintenance(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Takes the node out (fields reason, until: a moment in UTC, or empty)."""
    node = _node(request, cluster, name)

    def begin() -> str:
        text = request.POST.get("until", "").strip()
        until = parse_datetime(text) if text else None
        if text and until is None:
            raise DecisionError("until", "Write the end as 2026-11-30T18:00.")
        if until is not None and timezone.is_naive(until):
            until = until.replace(tzinfo=timezone.get_default_timezone())
        maintenance.begin(person(request), node, reason=request.POST.get("reason", ""), until=until, now=timezone.now())
        return f"{name} is in maintenance. {_FELT}"

    return _decide(request, begin, redirect("node", cluster=cluster, name=name))


@require_POST
def end_maintenance(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Takes the node back in."""
    node = _node(request, cluster, name)

    def end() -> str:
        maintenance.end(person(request), node, now=timezone.now())
        return f"{name} is out of maintenance. {_FELT}"

    return _decide(request, end, redirect("node", cluster=cluster, name=name))


@require_POST
def declare_expected(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """Declares how many physical GPUs the node should have (fields count, reason)."""
    node = _node(request, cluster, name)

    def declare() -> str:
        text = request.POST.get("count", "").strip()
        if not text.isdecimal() or len(text) > 4:
            raise DecisionError("count", "Write the number of GPUs as a whole number.")
        expected.declare(person(request), node, count=int(text), reason=request.POST.get("reason", ""), now=timezone.now())
        return f"{name} should have {text} GPUs. {_FELT}"

    return _decide(request, declare, redirect("node", cluster=cluster, name=name))


@require_POST
def withdraw_expected(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """From now on the node's count is learned again."""
    node = _node(request, cluster, name)

    def withdraw() -> str:
        expected.withdraw(person(request), node, now=timezone.now())
        return f"The GPUs of {name} are learned again. {_FELT}"

    return _decide(request, withdraw, redirect("node", cluster=cluster, name=name))


def _decide(request: HttpRequest, do: Callable[[], str], back: HttpResponse) -> HttpResponse:
    try:
        messages.success(request, do())
    except DecisionError as error:
        messages.error(request, str(error))
    return back


def _cluster(request: HttpRequest, name: str) -> Any:
    _check(request)
    found = clusters.get_cluster(name)
    if found is None:
        raise Http404
    return found


def _node(request: HttpRequest, cluster: str, name: str) -> Any:
    _check(request)
    found = nodes.get_node(cluster, name)
    if found is None or found.removed_at is not None:
        raise Http404
    return found


def _check(request: HttpRequest) -> None:
    if not may_decide(request):
        raise PermissionDenied
