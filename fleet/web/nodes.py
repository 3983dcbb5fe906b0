"""Nodes: the list with its facets, and one node."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from fleet.filters import NodeFilters
from fleet.selectors import clusters, curves, gpus, history, ladder, model_servers, nodes, pools, saved_views, worst_findings
from fleet.selectors.node_facets import node_facets
from fleet.web import columns, moments, node_time
from fleet.web.render import render_page

PER_PAGE = 50
FACETS = ("cluster", "pool", "verdict", "state", "product", "mode", "zone", "driver")
_NOT_FILTERS = ("page", "sort", "columns")


def node_list(request: HttpRequest) -> HttpResponse:
    """Context: page (Page of Node with resources), total, in_scope, facets (list of Facet), filters (cleaned), errors,
    columns (list of columns.Column, chosen), all_columns, sort, query (without page), filter_query (filters only),
    csv_url, json_url, saved (list of SavedView), stale_clusters, now."""
    now = timezone.now()
    params = request.GET

    def context() -> dict[str, Any]:
        everything = nodes.nodes()
        filterset = NodeFilters(params, queryset=everything)
        valid = filterset.is_valid()
        found = filterset.qs if valid else everything.none()
        sort = columns.sort_of(params.get("sort", ""))
        paginator = Paginator(nodes.with_resources(columns.ordered(found, sort)), PER_PAGE)
        filters = _without(params, _NOT_FILTERS)
        return {
            "page": paginator.get_page(params.get("page")),
            "total": paginator.count,
            "in_scope": everything.filter(removed_at__isnull=True).count(),
            "facets": node_facets(FACETS, params if valid else QueryDict(), everything),
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(1 for key, values in filters.lists() if any(values)),
            "q": params.get("q", ""),
            "columns": columns.chosen(params.getlist("columns")),
            "all_columns": columns.COLUMNS,
            "sort": sort,
            "query": _without(params, ("page",)).urlencode(),
            "unsorted_query": _without(params, ("page", "sort")).urlencode(),
            "filter_query": filters.urlencode(),
            "saved": saved_views.saved_views(request.user, "nodes"),
            "stale_clusters": clusters.stale_cluster_ids(now),
            "now": now,
        }

    version = f"{clusters.data_version()}:{saved_views.version(request.user, 'nodes')}:{params.urlencode()}"
    return render_page(request, "nodes/list.html", "nodes/_list.html", context, etag=version)


def node_detail(request: HttpRequest, cluster: str, name: str) -> HttpResponse:
    """One node: live, at a moment (`?at=`), or compared between two (`?from=&to=`).

    Context, live: node (Node), info (the judged devices as a dict), pools ([Pool]), freshness, stale, ladder (list of
    LadderRow), table (selectors.gpus.GpuTable), curves, day_ago, servers (list of ServerRow), past (history.NodeTimeline),
    window, windows, findings (list of FindingRow), holders, others, squatters, stack_pods (lists of Pod), resources, labels,
    revisions (newest 20), before, now. At a moment: see node_time.moment_context. A comparison: difference
    (history.NodeDifference).
    """
    now = timezone.now()
    at, odd = moments.asked(request, "at", now)
    start, odd_start = moments.asked(request, "from", now)
    end, odd_end = moments.asked(request, "to", now)
    node = nodes.get_node(cluster, name)
    if node is None:
        raise Http404
    about = {"node": node, "now": now, "odd_moment": odd or odd_start or odd_end}
    if start is not None and end is not None:
        return _compared(request, about, min(start, end), max(start, end))
    if at is not None:
        return _at(request, about, at)
    window = node_time.window_of(request.GET.get("window", ""), now, None, node.first_seen_at)
    version = f"{clusters.data_version()}:{gpus.telemetry_version(node)}:{node.pk}:{window.name}"
    return render_page(
        request, "nodes/detail.html", "nodes/_detail.html", lambda: {**about, **_live(node, window, now)}, etag=version
    )


def _live(node: Any, window: node_time.Window, now: datetime) -> dict[str, Any]:
    fresh = clusters.freshness(node.cluster, now)
    pods = nodes.pods_of(node)
    findings = worst_findings.of_node(node, now)
    table = gpus.gpu_table(node, now, findings, pods)
    past = history.node_timeline(node, window.since, window.until)
    holders = [pod for pod in pods if pod.holds and (pod.slots or pod.slots is None) and not pod.component]
    sitting = {(pod.namespace, pod.name) for row in table.rows for pod in row.pods if pod.squatter}
    day_ago = now - timedelta(hours=24)
    return {
        "info": node.info,
        "pools": pools.pools_of(node),
        "freshness": fresh,
        "stale": fresh.level in ("stale", "never"),
        "ladder": ladder.node_ladder(node),
        "table": table,
        "curves": curves.card_curves(node, ("gpu_util",), day_ago, now),
        "day_ago": day_ago,
        "servers": model_servers.server_rows(node, table.rows, now),
        "past": past,
        "window": window,
        "windows": [(one[0], one[1]) for one in node_time.WINDOWS],
        "numbers": {one["id"]: one["number"] for one in node.rungs},
        "before": node_time.last_change(past, node, now),
        "compare": node_time.comparisons(node.cluster.name, node.name, now, node.verdict_since),
        "findings": findings,
        "holders": holders,
        "squatters": [pod for pod in pods if (pod.namespace, pod.name) in sitting],
        "others": [pod for pod in pods if not pod.component and pod not in holders and (pod.namespace, pod.name) not in sitting],
        "stack_pods": [pod for pod in pods if pod.component],
        "resources": list(node.resources.all()),
        "labels": nodes.explained_labels(node),
        "revisions": list(nodes.revisions_of(node)[:20]),
    }


def _at(request: HttpRequest, about: dict[str, Any], at: datetime) -> HttpResponse:
    node, now = about["node"], about["now"]
    moment = history.node_at(node.cluster.name, node.name, at)
    window = node_time.window_of(request.GET.get("window", ""), now, at)
    context = {
        **about,
        "at": at,
        "past": history.node_timeline(moment.node if moment else node, window.since, window.until),
        "numbers": {one["id"]: one["number"] for one in node.rungs},
        "window": window,
        "windows": [(one[0], one[1]) for one in node_time.WINDOWS],
        "before": moment.before if moment else None,
        "after": moment.after if moment else node.first_seen_at if node.first_seen_at > at else None,
        "compare": node_time.comparisons(node.cluster.name, node.name, now, node.verdict_since),
        **(node_time.moment_context(moment) if moment else {}),
    }
    return render_page(request, "nodes/detail.html", "nodes/_past.html", context)


def _compared(request: HttpRequest, about: dict[str, Any], start: datetime, end: datetime) -> HttpResponse:
    node = about["node"]
    difference = history.node_diff(node.cluster.name, node.name, start, end)
    context = {
        **about,
        "difference": difference,
        "from": start,
        "to": end,
        "compare": node_time.comparisons(node.cluster.name, node.name, about["now"], node.verdict_since),
    }
    return render_page(request, "nodes/detail.html", "nodes/_compare.html", context)


def _without(params: Any, names: tuple[str, ...]) -> Any:
    kept = params.copy()
    for name in names:
        kept.pop(name, None)
    return kept
