"""Groups findings into incidents.

Every node has one cause, its most severe open finding; its other open findings are symptoms of that. Causes that share
a driver version, exporter image, zone or crash are one incident over their nodes, and findings about how a cluster is set up are
one incident per cluster and rule. An incident is named by one of its findings and keeps that name for as long as its cause is
open anywhere: a symptom that opens or is resolved changes neither name nor cause. Resolved findings stay where they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fleet.domain.incidents.causes import (
    GATHERED,
    KUBELET_RULES,
    TOGETHER,
    IncidentFinding,
    Signature,
    order_of,
    signature,
)


def group(findings: Iterable[IncidentFinding]) -> dict[int, int]:
    """Returns the incident of every finding, both as ids of findings.

    `findings` are all open ones of a cluster, and the resolved ones of incidents that were open when they were last grouped or
    ended less than ten minutes ago: a cause that returns within that time reopens its incident.
    """
    rows = sorted(findings, key=lambda row: (row.opened, row.id))
    known = {row.id: row for row in rows}
    cause_of = _causes(rows)
    causes = {cause.id: cause for cause in cause_of.values()}
    incidents = _incidents(causes.values(), known)
    result = {finding_id: incidents[cause.id] for finding_id, cause in cause_of.items()}
    for row in rows:
        if not row.is_open:
            result[row.id] = _of_resolved(row, known, result)
    return result


def _causes(rows: Sequence[IncidentFinding]) -> dict[int, IncidentFinding]:
    """Returns the cause of every open finding: itself where it is about a set-up or about no node."""
    worst: dict[int, IncidentFinding] = {}
    for row in rows:
        if not row.is_open or row.node is None or row.rule in GATHERED:
            continue
        before = worst.get(row.node)
        if before is None or order_of(row) < order_of(before):
            worst[row.node] = row
    return {row.id: row if row.node is None or row.rule in GATHERED else worst[row.node] for row in rows if row.is_open}


def _incidents(causes: Iterable[IncidentFinding], known: Mapping[int, IncidentFinding]) -> dict[int, int]:
    """Returns the incident of every cause."""
    by_signature: dict[Signature, list[IncidentFinding]] = defaultdict(list)
    for cause in sorted(causes, key=lambda row: (row.opened, row.id)):
        by_signature[signature(cause)].append(cause)
    ended: dict[Signature, list[IncidentFinding]] = defaultdict(list)
    for row in known.values():
        if not row.is_open and row.incident in (None, row.id):
            ended[signature(row)].append(row)
    result: dict[int, int] = {}
    for name, rows in by_signature.items():
        by_time = _by_time if rows[0].rule in KUBELET_RULES else _together
        result |= by_time(rows, ended[name])
    return result


def _together(rows: Sequence[IncidentFinding], ended: Sequence[IncidentFinding]) -> dict[int, int]:
    """Returns one incident for causes with one signature: the current incident of one of them, else the oldest."""
    names = [*(row for row in ended), *(row for row in rows if row.incident == row.id)]
    name = min(names or rows, key=lambda row: (row.opened, row.id)).id
    return {row.id: name for row in rows}


def _by_time(rows: Sequence[IncidentFinding], ended: Sequence[IncidentFinding]) -> dict[int, int]:
    """The same for causes that are grouped only if they began together; each stays in its current incident."""
    names = {row.id for row in rows if row.incident == row.id} | {row.id for row in ended}
    result: dict[int, int] = {}
    placed: list[IncidentFinding] = [*ended]
    for row in rows:
        near = [other for other in placed if other.node == row.node or abs(row.opened - other.opened) <= TOGETHER]
        if row.incident in names and row.incident is not None:
            result[row.id] = row.incident
        elif near:
            result[row.id] = result.get(near[-1].id, near[-1].id)
        else:
            result[row.id] = row.id
        placed.append(row)
    return result


def _of_resolved(row: IncidentFinding, known: Mapping[int, IncidentFinding], result: Mapping[int, int]) -> int:
    """Returns the incident of a resolved finding: still its own, or the one to which the incident's first finding moved."""
    if row.incident is None or row.incident == row.id:
        return row.id
    name = known.get(row.incident)
    return result.get(name.id, name.id) if name is not None and name.is_open else row.incident
