"""The past in the shape of the present: a node's row as it was, and the fleet's sums as they were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection
from django.db.models import QuerySet

from fleet.domain.devices import NodeDevices, describe
from fleet.domain.facts import Facts
from fleet.domain.gpu_nodes import machine_type, zone
from fleet.domain.history.rebuild import node_from_facts
from fleet.domain.readiness.types import Verdict
from fleet.domain.readiness.words import missing_words, rung_number
from fleet.domain.slots import ResourceSlots, add
from fleet.domain.snapshot import NodeSnapshot
from fleet.models import Node, NodeResource, NodeRevision, VerdictPeriod
from fleet.selectors.fleet import STATES, VERDICTS, Missing
from fleet.selectors.history import NodeMoment


def described(name: str, uid: str, facts: Facts) -> NodeDevices:
    """What can be said of the node's devices from its kept facts alone. Pods, device-plugin configuration and DRA devices are
    not kept with a revision: requested and free slots are unknown then, not zero."""
    return _described(node_from_facts(name, uid, facts))


def _described(snapshot: NodeSnapshot) -> NodeDevices:
    return describe(snapshot, pods=None, plugin=None, devices=None, allocations=None)


def _state(snapshot: NodeSnapshot, devices: NodeDevices) -> str:
    """Node.state, from what is kept of a moment."""
    ready = next((one.status for one in snapshot.conditions if one.type == "Ready"), None)
    return "cordoned" if snapshot.unschedulable else "not_ready" if ready in ("False", "Unknown") else devices.advertised


def as_node(moment: NodeMoment) -> Node:
    """A row that is not to be saved: the node as it was. What nobody kept of that moment is empty or None."""
    facts, now = moment.facts, moment.node
    snapshot = node_from_facts(now.name, now.uid, facts)
    devices, verdict = _described(snapshot), moment.verdict
    ready = facts.get("conditions", {}).get("Ready")
    node = Node(
        id=now.pk,
        cluster=now.cluster,
        name=now.name,
        uid=now.uid,
        created_at=now.created_at,
        machine_type=machine_type(snapshot.labels),
        zone=zone(snapshot.labels),
        kubelet_version=snapshot.node_info.kubelet,
        **{name: getattr(devices, name) for name in _SAME},
        partitioning=devices.partitioning or "",
        sharing=devices.sharing or "",
        expected=verdict.expected if verdict else None,
        usable=verdict.usable if verdict else None,
        slots_capacity=devices.slots.capacity,
        slots_allocatable=devices.slots.allocatable,
        state=_state(snapshot, devices),
        advertised=devices.advertised,
        reason=devices.reason,
        kubelet_ready=None if ready is None else ready == "True",
        schedulable=not snapshot.unschedulable,
        labels=snapshot.labels,
        taints=msgspec.to_builtins(snapshot.taints),
        conditions=msgspec.to_builtins(snapshot.conditions),
        info=msgspec.to_builtins(devices),
        stack=facts.get("stack", {}),
        verdict=verdict.verdict if verdict else "unknown",
        broken_rung=verdict.broken_rung if verdict else "",
        verdict_reason=verdict.reason if verdict else "Nothing was judged at that moment.",
        verdict_remedy=verdict.remedy if verdict else "",
        verdict_since=verdict.since if verdict else None,
        rungs=[
            {"id": rung.rung, "number": rung_number(rung.rung), "status": rung.status, "reason": rung.reason,
             "evidence": list(rung.evidence), "remedy": "", "rests_on": [], "own_status": None, "waiver": None}
            for rung in moment.rungs
        ],
        first_seen_at=now.first_seen_at,
        changed_at=moment.facts_since,
        state_since=moment.facts_since,
        removed_at=None,
        fingerprint="",
    )  # fmt: skip
    node._prefetched_objects_cache = {"resources": _resources(node, devices)}  # type: ignore[attr-defined]
    return node


_SAME = (
    "vendor", "product", "family", "gpu_memory_mib", "driver_version", "cuda_version", "physical", "physical_source",
    "replicas", "mode", "isolation", "mig_instances", "mig_desired", "mig_state",
)  # fmt: skip


def _resources(node: Node, devices: NodeDevices) -> list[NodeResource]:
    return [
        NodeResource(
            node=node, name=one.name, kind=one.kind, profile=one.profile, capacity=one.capacity, allocatable=one.allocatable,
            requested=None, free=None, predicted=one.predicted,
        )
        for one in devices.resources
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class FleetMoment:
    """The fleet's sums at one moment: physical GPUs and slots, never mixed. None where nobody knew the figure of any node."""

    at: datetime
    clusters: int
    """That had any node then."""
    nodes: int
    by_verdict: dict[str, int]
    """Every verdict, in order; 0 where no node had it. Likewise `by_state`."""
    by_state: dict[str, int]
    expected: int
    usable: int
    physical: int | None
    missing: tuple[Missing, ...]
    slots_capacity: int | None
    slots_allocatable: int | None
    uncounted_nodes: int
    resources: tuple[dict[str, Any], ...]
    """As selectors.fleet.Summary has them; what pods held is None."""


def fleet_at(nodes: QuerySet[Node], at: datetime) -> FleetMoment:
    """Of those of `nodes` (gone ones too) that were there at `at`. Two queries; each node costs one probe of two indexes."""
    names = dict(nodes.order_by().values_list("pk", "name"))
    with connection.cursor() as cursor:
        cursor.execute(_AT, {"nodes": list(names), "at": at})
        rows = cursor.fetchall()
    by_verdict, by_state = dict.fromkeys(VERDICTS, 0), dict.fromkeys(STATES, 0)
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    expected_sum = usable_sum = uncounted = 0
    devices = []
    for pk, _, facts, verdict, broken_rung, usable, expected in rows:
        snapshot = node_from_facts(names[pk], "", msgspec.json.decode(facts))
        told = _described(snapshot)
        devices.append(told)
        verdict, good = verdict or "unknown", usable or 0
        by_verdict[verdict] += 1
        by_state[_state(snapshot, told) or "unknown"] += 1
        uncounted += told.physical is None and not expected
        expected = max(expected or 0, told.physical or 0)
        good = min(good, expected) if verdict in ("ready", "degraded") else 0
        expected_sum, usable_sum = expected_sum + expected, usable_sum + good
        if good < expected:
            rung = "" if verdict in (Verdict.EXCLUDED, Verdict.STARTING) else broken_rung or ""
            missing[verdict, rung].append(expected - good)
    return FleetMoment(
        at=at,
        clusters=len({row[1] for row in rows}),
        nodes=len(rows),
        by_verdict=by_verdict,
        by_state=by_state,
        expected=expected_sum,
        usable=usable_sum,
        physical=_total([one.physical for one in devices]),
        missing=tuple(
            Missing(verdict, rung, missing_words(verdict, rung), sum(cards), len(cards))
            for (verdict, rung), cards in sorted(missing.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
        ),
        slots_capacity=_total([one.slots.capacity for one in devices]),
        slots_allocatable=_total([one.slots.allocatable for one in devices]),
        uncounted_nodes=uncounted,
        resources=_sums(devices),
    )


def _sums(devices: Sequence[NodeDevices]) -> tuple[dict[str, Any], ...]:
    """Of each resource over the nodes that had it, the largest first."""
    found: dict[tuple[str, str], list[ResourceSlots]] = defaultdict(list)
    for one in devices:
        for resource in one.resources:
            found[resource.name, resource.kind].append(resource)
    rows = [
        {
            "name": name, "kind": kind, "nodes": len(told), "capacity": _total([one.capacity for one in told]),
            "allocatable": _total([one.allocatable for one in told]), "requested": None, "free": None,
        }
        for (name, kind), told in found.items()
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (row["capacity"] is not None, -(row["capacity"] or 0), row["name"])))


def _total(values: list[int | None]) -> int | None:
    return add(value for value in values if value is not None) if any(value is not None for value in values) else None


_AT = f"""
    SELECT node.id, node.cluster_id, revision.facts, verdict.verdict, verdict.broken_rung, verdict.usable, verdict.expected
    FROM {Node._meta.db_table} AS node
    CROSS JOIN LATERAL (
        SELECT facts, period FROM {NodeRevision._meta.db_table} WHERE node_id = node.id AND lower(period) <= %(at)s
        ORDER BY lower(period) DESC LIMIT 1
    ) AS revision
    LEFT JOIN LATERAL (
        SELECT one.* FROM (
            SELECT verdict, broken_rung, usable, expected, period FROM {VerdictPeriod._meta.db_table}
            WHERE node_id = node.id AND lower(period) <= %(at)s ORDER BY lower(period) DESC LIMIT 1
        ) AS one WHERE upper(one.period) > %(at)s OR upper(one.period) IS NULL
    ) AS verdict ON true
    WHERE node.id = ANY(%(nodes)s) AND (upper(revision.period) > %(at)s OR upper(revision.period) IS NULL)
"""  # noqa: S608 a table's own name
