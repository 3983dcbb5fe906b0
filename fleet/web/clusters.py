"""Clusters: state of collection, missing permissions, and a collection run on demand."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from fleet import tasks
from fleet.selectors import cluster_runs, clusters, decisions, dra
from fleet.selectors.one_moment import one_moment
from fleet.services import schedule
from fleet.web.decisions import may_decide
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page


def cluster_list(request: HttpRequest) -> HttpResponse:
    """Context: rows (list of ClusterRow), steps (cluster id → its last half hours), may_collect, now."""
    now = timezone.now()

    def context() -> dict[str, object]:
        rows = clusters.cluster_rows(now)
        return {"rows": rows, "steps": cluster_runs.run_steps(now), "may_collect": may_collect(request), "now": now}

    return render_page(
        request, "clusters/list.html", "clusters/_list.html", context, etag=f"{clusters.data_version()}:{now:%H:%M}"
    )


@one_moment()
def cluster_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Shows one cluster.

    Context: cluster, freshness, row (ClusterRow), runs (Page of CollectionRun), permissions (dict), operator (dict),
    device_plugin (dict), dra_drivers (list of dict), may_collect, unproved (list of decisions.Unproved), waivable, may_decide,
    now.
    """
    now = timezone.now()
    cluster = clusters.get_cluster(name)
    if cluster is None:
        if keeper := clusters.keeper_of(name):
            return redirect("cluster", name=keeper)
        raise Http404

    def context() -> dict[str, object]:
        return {
            "cluster": cluster,
            "freshness": clusters.freshness(cluster, now),
            "row": next(row for row in clusters.cluster_rows(now) if row.cluster.pk == cluster.pk),
            "runs": Paginator(clusters.runs().filter(cluster=cluster).exclude(trigger="telemetry"), 25).get_page(
                request.GET.get("page")
            ),
            "permissions": cluster.permissions,
            "operator": cluster.operator,
            "device_plugin": cluster.device_plugin,
            "dra_drivers": dra.drivers_of_cluster(cluster),
            "may_collect": may_collect(request),
            "unproved": decisions.unproved(cluster),
            "waivable": decisions.waivable(cluster),
            "may_decide": may_decide(request),
            "now": now,
        }

    return render_page(
        request,
        "clusters/detail.html",
        "clusters/_detail.html",
        context,
        etag=f"{clusters.data_version()}:{decisions.version(cluster)}:{request.GET.urlencode()}",
    )


def may_collect(request: HttpRequest) -> bool:
    """Returns whether the user may start a collection run: operators and administrators."""
    return person(request).may("operator")


@require_POST
def collect_now(request: HttpRequest, name: str) -> HttpResponse:
    """Queues a collection run and redirects to the cluster."""
    if clusters.get_cluster(name) is None:
        raise Http404
    demand(request, "operator")
    cluster_id = schedule.take_now(name, timezone.now(), person(request))
    if cluster_id is None:
        messages.info(request, f"A collection run of {name} is already queued.")
        return redirect("cluster", name=name)
    try:
        tasks.enqueue(cluster_id, "page")
        messages.success(request, f"Collection run of {name} queued. This page updates by itself.")
    except (OperationalError, OSError):
        schedule.cancel_turn(cluster_id)
        messages.error(request, "The broker does not respond: nothing was queued.")
    return redirect("cluster", name=name)
