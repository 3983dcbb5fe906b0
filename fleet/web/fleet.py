"""The front page: is the fleet good, and if not, where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.selectors import changes, clusters, fleet_map, nodes
from fleet.selectors import fleet as select
from fleet.web.render import render_page

GROUPS = (("cluster", "Cluster"), ("product", "Product"), ("mode", "Sharing mode"))


def fleet(request: HttpRequest) -> HttpResponse:
    """Context: summary (selectors.fleet.Summary), clusters (list of ClusterRow), groups (list of fleet_map.Group),
    group_by, group_choices, attention (list of Node), attention_total, changes (list of Change), hour_from, now."""
    now = timezone.now()
    chosen = request.GET.get("by", "cluster")
    by = chosen if chosen in dict(GROUPS) else "cluster"
    scope = request.GET.get("cluster", "")

    def context() -> dict[str, Any]:
        present = nodes.nodes().filter(removed_at__isnull=True)
        if scope:
            present = present.filter(cluster__name=scope)
        attention = nodes.needing_attention(present)
        return {
            "summary": select.summary(present),
            "clusters": clusters.cluster_rows(now),
            "groups": fleet_map.groups(present, by, now),
            "group_by": by,
            "group_choices": GROUPS,
            "scope": scope,
            "attention": list(attention[:8]),
            "attention_total": attention.count(),
            "changes": changes.recent_changes(now - timedelta(hours=1), now, limit=12),
            "hour_from": now - timedelta(hours=1),
            "now": now,
        }

    return render_page(request, "fleet/detail.html", "fleet/_body.html", context, etag=f"{clusters.data_version()}:{by}:{scope}")
