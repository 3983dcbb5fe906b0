"""The minute in which GFD rewrites its labels: what was known of the node stands in for them."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from fleet.domain.devices.inputs import Previous
from fleet.domain.labels import GPU_PRODUCT
from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, Node

LABELS_MISSING = "labels_missing"
_LABELS_MAY_BE_AWAY = timedelta(minutes=5)


def while_labels_are_away(cluster: Cluster, snapshot: ClusterSnapshot) -> dict[str, Previous]:
    """Uid to what was known of a node whose GFD labels are not there now.

    A restart of GFD takes them away for a minute, which is not a fault. After five minutes the labels count as removed.
    """
    bare = [node.uid for node in snapshot.nodes if GPU_PRODUCT not in node.labels]
    had_them = Q(labels__has_key=GPU_PRODUCT) | Q(labels_missing_since__isnull=False)
    rows = cluster.nodes.filter(removed_at__isnull=True).filter(had_them, uid__in=bare).prefetch_related("resources")
    return {
        row.uid: _previous(row)
        for row in rows
        if row.labels_missing_since is None or snapshot.taken_at - row.labels_missing_since < _LABELS_MAY_BE_AWAY
    }


def _previous(row: Node) -> Previous:
    """Returns what the next inspection of the node takes as previous."""
    return Previous(
        product=row.product,
        products=tuple(row.products),
        family=row.family,
        gpu_memory_mib=row.gpu_memory_mib,
        physical=row.physical,
        physical_is_lower_bound=row.physical_is_lower_bound,
        partitioning=row.partitioning or None,
        sharing=row.sharing or None,
        replicas=row.replicas,
        mode=row.mode,
        mig_instances=row.mig_instances,
        capacity={resource.name: resource.capacity for resource in row.resources.all() if resource.capacity},
    )
