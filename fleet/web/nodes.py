"""Nodes: the list with its facets, and one node."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.filters import NodeFilters
from fleet.selectors import clusters, decisions, people
from fleet.selectors.findings import worst as worst_findings
from fleet.selectors.history import node_history as history
from fleet.selectors.nodes import affected as node_affected
from fleet.selectors.nodes import drawings, gpus, headline, ladder, model_servers, nodes, telemetry
from fleet.selectors.nodes import pods as node_pods
from fleet.selectors.nodes import views as node_views
from fleet.selectors.nodes.facets import node_facets
from fleet.selectors.one_moment import one_moment
from fleet.selectors.pools import pools
from fleet.services import saved_views as service
from fleet.web import node_broken, node_columns, node_time, node_timeline
from fleet.web.decisions import may_decide
from fleet.web.shell import moments
from fleet.web.shell.addresses import without
from fleet.web.shell.people import person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import Node
    from fleet.selectors.nodes.views import NodeView
    from fleet.web.shell.time_range import TimeRange

PER_PAGE = 50
FACETS = ("cluster", "pool", "verdict", "state", "product", "mode", "team", "zone", "driver")
_NOT_FILTERS = ("page", "sort", "columns")


def node_list(request: HttpRequest) -> HttpResponse:
    """Shows the list of nodes.

    Context: page (Page of Node), rows (list of NodeView), total, in_scope, facets (list of Facet), filters (cleaned), errors,
    columns (list of node_columns.Column, chosen), all_columns, sort, query (without page), filter_query (filters only),
    csv_url, json_url, saved (list of SavedView), stale_clusters, may_operate, now.
    """
    now = timezone.now()
    params = request.GET

    def context() -> dict[str, object]:
        everything = nodes.nodes()
        filterset = NodeFilters(params, queryset=everything)
        valid = filterset.is_valid()
        result = filterset.qs if valid else everything.none()
        sort = node_columns.sort_of(params.get("sort", ""))
        paginator = Paginator(nodes.with_resources(node_columns.ordered(result, sort)), PER_PAGE)
        page = paginator.get_page(params.get("page"))
        filters = without(params, _NOT_FILTERS)
        return {
            "page": page,
            "rows": [node_views.view_of(row) for row in page],
            "total": paginator.count,
            "in_scope": everything.filter(removed_at__isnull=True).count(),
            "facets": node_facets(FACETS, params if valid else QueryDict(), everything),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(1 for key, values in filters.lists() if any(values)),
            "q": params.get("q", ""),
            "columns": node_columns.chosen(params.getlist("columns")),
            "all_columns": node_columns.COLUMNS,
            "sort": sort,
            "query": without(params, ("page",)).urlencode(),
            "unsorted_query": without(params, ("page", "sort")).urlencode(),
            "filter_query": filters.urlencode(),
            "saved": people.saved_views(request.user, "nodes"),
            "stale_clusters": clusters.stale_cluster_ids(now),
            "may_operate": person(request).may("operator"),
            "now": now,
        }

    version = f"{clusters.data_version()}:{people.saved_views_version(request.user, 'nodes')}:{params.urlencode()}"
    return render_page(request, "nodes/list.html", "nodes/_list.html", context, etag=version)


@one_moment()
def node_detail(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """One node: live, at a moment (`?at=`), or compared between two (`?from=&to=`).

    Context, live: node (NodeView), pools ([Pool]), freshness, stale, ladder (list of LadderRow), table (gpus.GpuTable),
    drawings ([SlotDrawing]), curves, day_ago, servers (list of ServerRow), past (history_rows.NodeTimeline), drawn
    (node_timeline.DrawnNodeTimeline), window (TimeRange), findings (list of FindingRow), inspected (findings on devices that are
    not shown elsewhere), pods (node_pods.NodePods), labels, key_labels, revisions (newest 20), decisions
    (decisions.NodeDecisions), may_decide, before, now. At a moment: see node_time.moment_context. A comparison: difference
    (history_rows.NodeDifference).
    """
    now = timezone.now()
    at, odd = moments.asked(request, "at", now)
    start, odd_start = moments.asked(request, "from", now)
    end, odd_end = moments.asked(request, "to", now)
    row = nodes.get_node(cluster, name)
    if row is None:
        raise Http404
    node = node_views.view_of(row)
    about = {"node": node, "now": now, "odd_moment": odd or odd_start or odd_end, "compare": node_time.comparisons(node, now)}
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end)
        difference = history.node_diff(cluster, name, start, end)
        context = {**about, "difference": difference, "from": start, "to": end}
        return render_page(request, "nodes/detail.html", "nodes/_compare.html", context)
    if at is not None:
        return _at(request, row, about, at)
    window = node_time.window_of(request, now, born=node.first_seen_at)
    about["odd_moment"] = about["odd_moment"] or window.error
    may = may_decide(request) and node.removed_at is None
    version = f"{clusters.data_version()}:{gpus.telemetry_version(row)}:{node.id}:{window.key}"
    return render_page(
        request,
        "nodes/detail.html",
        "nodes/_detail.html",
        lambda: {**about, **_live(row, node, window, now), "may_decide": may},
        etag=version,
    )


def _live(row: Node, node: NodeView, window: TimeRange, now: datetime) -> dict[str, object]:
    fresh = clusters.freshness(node.cluster, now)
    pods = nodes.pods_of(row)
    findings = worst_findings.of_node(row, now)
    table = gpus.gpu_table(row, now, findings, pods)
    pods_by_use = node_pods.node_pods(pods, table)
    past = history.node_timeline(row, window.since, window.until)
    day_ago = now - timedelta(hours=24)
    rungs = ladder.node_ladder(node)
    stale = fresh.level in ("stale", "never")
    labels = nodes.explained_labels(node.labels)
    incident = node_affected.incident_of_node(row, now)
    head = headline.node_headline(node, rungs, findings, pods_by_use.stack, stale, incident)
    head = headline.with_gpu_and_effect(head, node.figures, {gpu.uuid: gpu.index for gpu in table.rows if gpu.uuid})
    return {
        "headline": head,
        "incident": incident,
        **node_broken.context(row, head, now),
        "pools": pools.pools_of(row),
        "freshness": fresh,
        "stale": stale,
        "ladder": rungs,
        "table": table,
        "drawings": drawings.slot_drawings(row, table),
        "curves": telemetry.card_curves(row, ("gpu_util",), day_ago, now),
        "day_ago": day_ago,
        "servers": model_servers.server_rows(row, table.rows, now),
        "past": past,
        "drawn": node_timeline.draw_timeline(past, now, born=node.first_seen_at),
        "window": window,
        "before": node_time.last_change(past, node, now),
        "findings": findings,
        "inspected": node_views.other_findings(node, [finding.text for finding in findings]),
        "pods": pods_by_use,
        "labels": labels,
        "key_labels": nodes.key_labels(labels),
        "revisions": list(nodes.revisions_of(row)[:20]),
        "decisions": decisions.of_node(row, now),
    }


def _at(request: HttpRequest, row: Node, about: Mapping[str, object], at: datetime) -> HttpResponse:
    known = node_views.view_at(row.cluster.name, row.name, at)
    moment = known[1] if known else None
    now = timezone.now()
    window = node_time.window_of(request, now, at)
    past = history.node_timeline(moment.node if moment else row, window.since, window.until)
    context = {
        **about,
        "odd_moment": about["odd_moment"] or window.error,
        "at": at,
        "past": past,
        "drawn": node_timeline.draw_timeline(past, now, at, born=row.first_seen_at),
        "window": window,
        "before": moment.before if moment else None,
        "after": moment.after if moment else row.first_seen_at if row.first_seen_at > at else None,
        **(node_time.moment_context(*known) if known else {}),
    }
    return render_page(request, "nodes/detail.html", "nodes/_past.html", context)


@require_POST
def save_view(request: HttpRequest) -> HttpResponse:
    """POST name, query: saves the list of nodes as it is shown now."""
    name, query = request.POST.get("name", "").strip(), request.POST.get("query", "")
    if name:
        service.save(person(request), "nodes", name, query)
    return redirect(f"{reverse('nodes')}?{query}")


@require_POST
def delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: deletes one of the user's own views of the list of nodes."""
    service.delete(person(request), pk)
    return redirect("nodes")
