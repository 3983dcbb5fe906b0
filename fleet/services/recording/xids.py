"""Xid bursts as rows: a burst that goes on is updated, a new one is added, several of one crash share an incident."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.subject import ClusterHistory, XidBurst
from fleet.domain.health import bursts
from fleet.models import Cluster, XidBurstRow

_BATCH = 500
_FIELDS = ("last_at", "count", "source", "pods", "job", "reported_by", "incident")


def record(cluster: Cluster, history: ClusterHistory, ids: Mapping[str, int]) -> None:
    """Writes the bursts in `memory` that differ from their rows.

    No query without any, at most two else, and a third where the GPU of a burst became known: the row without one is deleted,
    and its incident passes on.
    """
    remembered = [(ids[uid], burst) for uid, node in history.nodes.items() if uid in ids for burst in node.bursts]
    if not remembered:
        return
    rows = {
        (row.node_id, row.uuid, row.code, row.started_at): row
        for row in XidBurstRow.objects.filter(
            node_id__in={node_id for node_id, _ in remembered},
            started_at__gte=min(burst.started_at for _, burst in remembered),
        )
    }
    before, nameless = {}, []
    for node_id, burst in remembered:
        row = rows.get((node_id, burst.uuid, burst.code, burst.started_at))
        was = rows.get((node_id, "", burst.code, burst.started_at)) if burst.uuid else None
        if was is not None:
            nameless.append(was.pk)
        if known := row or was:
            before[bursts.key(burst)] = known.incident
    incidents = bursts.incidents(
        [burst for _, burst in remembered], thresholds.load().xid.quiet, known=before, realm=cluster.name
    )
    wanted = [_row(node_id, burst, incidents[bursts.key(burst)]) for node_id, burst in remembered]
    changed = [row for row in wanted if _differs(row, rows.get((row.node_id, row.uuid, row.code, row.started_at)))]
    XidBurstRow.objects.bulk_create(
        changed,
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["node", "uuid", "code", "started_at"],
        update_fields=_FIELDS,
    )
    if nameless:
        XidBurstRow.objects.filter(pk__in=nameless).delete()


def _row(node_id: int, burst: XidBurst, incident: str) -> XidBurstRow:
    return XidBurstRow(
        node_id=node_id,
        uuid=burst.uuid,
        code=burst.code,
        started_at=burst.started_at,
        last_at=burst.last_at,
        count=burst.count,
        source=burst.source,
        pods=list(burst.pods),
        job=burst.job,
        reported_by=burst.reported_by,
        incident=incident,
    )


def _differs(row: XidBurstRow, before: XidBurstRow | None) -> bool:
    return before is None or any(getattr(row, name) != getattr(before, name) for name in _FIELDS)
