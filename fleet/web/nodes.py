"""Nodes: the list with its facets, and one node."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from fleet.filters import NodeFilters
from fleet.selectors import clusters, nodes, saved_views
from fleet.selectors.facets import facets
from fleet.web import columns
from fleet.web.render import render_page

PER_PAGE = 50
FACETS = ("cluster", "state", "product", "mode", "zone", "driver")
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
            "facets": facets(NodeFilters, FACETS, params if valid else QueryDict(), everything),
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
    """Context: node (Node), info (the judged devices as a dict: remarks, evidence, resources, cards, mig_devices …),
    freshness, stale, holders, others, stack_pods (lists of Pod), resources, gpus, mig_instances, labels
    (list of labels.Explained), taints, conditions, revisions (newest 20), now."""
    now = timezone.now()
    node = nodes.get_node(cluster, name)
    if node is None:
        raise Http404

    def context() -> dict[str, Any]:
        fresh = clusters.freshness(node.cluster, now)
        pods = nodes.pods_of(node)
        return {
            "node": node,
            "info": node.info,
            "freshness": fresh,
            "stale": fresh.level in ("stale", "never"),
            "holders": [pod for pod in pods if pod.holds and (pod.slots or pod.slots is None) and not pod.component],
            "others": [pod for pod in pods if not pod.component and not (pod.holds and (pod.slots or pod.slots is None))],
            "stack_pods": [pod for pod in pods if pod.component],
            "resources": list(node.resources.all()),
            "gpus": list(node.gpus.all()),
            "mig_instances": list(node.mig_instance_rows.all()),
            "labels": nodes.explained_labels(node),
            "revisions": list(nodes.revisions_of(node)[:20]),
            "now": now,
        }

    return render_page(request, "nodes/detail.html", "nodes/_detail.html", context, etag=f"{clusters.data_version()}:{node.pk}")


def _without(params: Any, names: tuple[str, ...]) -> Any:
    kept = params.copy()
    for name in names:
        kept.pop(name, None)
    return kept
