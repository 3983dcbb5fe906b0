"""History of a cluster and its nodes that an evaluation needs.

Expected GPUs, boots, telemetry, Xid bursts, previous rungs, and decisions of operators.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Max, Q

from fleet.domain.catalog import thresholds
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, Policy, Waiver, XidBurst, XidPolicy
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.history.staleness import recent_for
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ModelServer
from fleet.models import (
    Cluster,
    DeviceTelemetry,
    FindingRow,
    Maintenance,
    ModelServerRow,
    Node,
    PoolMembership,
    VerdictPeriod,
    WaiverRow,
    XidBurstRow,
    XidOverride,
)
from fleet.selectors import declarations
from fleet.services import expected, missing_labels


def load_history(cluster: Cluster, snapshot: ClusterSnapshot) -> ClusterHistory:
    """Returns the history that the domain may use, in a constant number of queries."""
    at = snapshot.taken_at
    nodes = list(_alive(cluster))
    nodes += _back_again(cluster, snapshot, nodes)
    specs = {spec.slug: spec for spec in declarations.pool_specs()}
    return ClusterHistory(
        nodes=_nodes(cluster, snapshot, nodes),
        declarations=expected.declarations(cluster),
        most_seen_elsewhere=_most_seen_elsewhere(nodes),
        was_read=cluster.first_read_at is not None,
        policies=_policies(cluster, nodes, specs, at),
        default_policy=Policy(required_rung=settings.REQUIRED_RUNG, waivers=_waivers(cluster)),
        xids={
            row.code: XidPolicy(code=row.code, name="", severity=row.severity, action=row.action, overridden=True)
            for row in XidOverride.objects.all()
        },
        has_pools=bool(specs),
        silent_since=_silent_since(cluster, snapshot),
        last_reached_at=_measured_until(cluster, snapshot),
        rungs_proved=frozenset(cluster.rungs_proved),
        samples_recent_for=recent_for(settings.TELEMETRY_INTERVAL),
        boot_grace=settings.BOOT_GRACE,
        flap_changes=settings.FLAP_CHANGES,
    )


_REMEMBERED = (
    *("uid", "name", "first_seen_at", "boot_id", "booted_at", "booted_after", "most_seen", "physical_source", "machine_type"),
    *("product", "known_uuids", "pending", "rungs", "verdict", "verdict_since"),
)
"""Columns of a node that are read here: its documents, a dozen to a node, are left out."""


def _alive(cluster: Cluster) -> Any:
    return Node.objects.filter(cluster=cluster, removed_at__isnull=True).only(*_REMEMBERED)


def _back_again(cluster: Cluster, snapshot: ClusterSnapshot, alive: list[Node]) -> list[Node]:
    """Rows of removed nodes that are back, the same object under the same uid: their history counts too."""
    nodes = {node.uid for node in snapshot.nodes} - {node.uid for node in alive}
    gone = Node.objects.filter(cluster=cluster, removed_at__isnull=False, uid__in=nodes)
    return list(gone.only(*_REMEMBERED)) if nodes else []


def _silent_since(cluster: Cluster, snapshot: ClusterSnapshot) -> datetime | None:
    """Since when last known data is no longer used; None while it is, or while the nodes are read."""
    if snapshot.is_fresh("nodes") or cluster.read_at is None:
        return None
    turns = cluster.read_at + settings.STALE_AFTER
    return turns if turns <= snapshot.taken_at else None


def _measured_until(cluster: Cluster, snapshot: ClusterSnapshot) -> datetime | None:
    """The last run that could measure, while Muster itself has no access.

    The cluster is unreachable, or the permission to scrape exporters is missing. Evidence then lasts no longer than that of an
    unreachable cluster: until STALE_AFTER.
    """
    if not snapshot.is_reached:
        return cluster.read_at
    if snapshot.section("telemetry").outcome not in (Outcome.FORBIDDEN, Outcome.UNAUTHORISED):
        return None
    section_read_at = (cluster.section_read_at or {}).get("telemetry")
    at = datetime.fromisoformat(section_read_at) if section_read_at else None
    return at if at is not None and snapshot.taken_at - at < settings.STALE_AFTER else None


def _nodes(cluster: Cluster, snapshot: ClusterSnapshot, nodes: list[Node]) -> dict[str, NodeHistory]:
    at, first = snapshot.taken_at, cluster.first_read_at
    previous = missing_labels.while_labels_are_away(cluster, snapshot)
    ids = [node.pk for node in nodes]
    samples, servers, bursts, standing = _samples(ids), _servers(ids), _bursts(ids, at), _standing(ids)
    changes = _changes(ids, at)
    result = {}
    for node in nodes:
        result[node.uid] = NodeHistory(
            previous=previous.get(node.uid),
            first_seen_at=node.first_seen_at,
            found_at_start=first is None or node.first_seen_at <= first,
            boot_id=node.boot_id,
            booted_at=node.booted_at,
            booted_after=node.booted_after,
            most_seen=node.most_seen,
            counted_by=node.physical_source,
            machine_type=node.machine_type,
            product=node.product,
            known_uuids=tuple(node.known_uuids),
            samples=tuple(samples[node.pk]),
            servers=tuple(servers[node.pk]),
            bursts=tuple(bursts[node.pk]),
            standing=tuple(standing[node.pk]),
            pending={name: datetime.fromisoformat(since) for name, since in node.pending.items()},
            rungs={rung["id"]: rung["status"] for rung in node.rungs},
            verdict=node.verdict if node.verdict_since else "",
            verdict_since=node.verdict_since,
            recent_changes=changes[node.pk],
        )
    return result


def _most_seen_elsewhere(nodes: list[Node]) -> dict[tuple[str, str], int]:
    """(machine type, product) to the most GPUs ever counted on a node that is not among `nodes`. One query."""
    rows = Node.objects.exclude(pk__in=[node.pk for node in nodes]).exclude(machine_type="").exclude(product="")
    shapes = rows.order_by().values_list("machine_type", "product").annotate(most=Max("most_seen"))
    return {(kind, product): most for kind, product, most in shapes if most is not None}


def _changes(ids: list[int], at: datetime) -> Counter[int]:
    """How often the verdict changed within the flap window, by node.

    Another broken rung alone is no change of it: a node that comes up passes one after the other.
    """
    window = DateTimeTZRange(at - settings.FLAP_WINDOW, None)
    rows = VerdictPeriod.objects.filter(node_id__in=ids, period__overlap=window).order_by("node_id", "period")
    result = rows.values_list("node_id", "verdict")
    return Counter(node_id for (node_id, verdict), (other, then) in pairwise(result) if node_id == other and verdict != then)


def _samples(ids: list[int]) -> dict[int, list[DeviceSample]]:
    samples: dict[int, list[DeviceSample]] = defaultdict(list)
    for node_id, sample in DeviceTelemetry.objects.filter(node_id__in=ids).values_list("node_id", "sample"):
        samples[node_id].append(msgspec.convert(sample, DeviceSample, strict=False))
    return samples


def _servers(ids: list[int]) -> dict[int, list[ModelServer]]:
    servers: dict[int, list[ModelServer]] = defaultdict(list)
    for node_id, server in ModelServerRow.objects.filter(node_id__in=ids).values_list("node_id", "server"):
        servers[node_id].append(msgspec.convert(server, ModelServer, strict=False))
    return servers


def _bursts(ids: list[int], at: datetime) -> dict[int, list[XidBurst]]:
    bursts: dict[int, list[XidBurst]] = defaultdict(list)
    since = at - thresholds.load().xid.memory
    rows = (
        XidBurstRow.objects.filter(node_id__in=ids, last_at__gte=since)
        .select_related("node")
        .only("uuid", "code", "started_at", "last_at", "count", "source", "pods", "job", "reported_by", "node_id", "node__name")
        .order_by("started_at", "uuid", "code")
    )
    for row in rows:
        bursts[row.node_id].append(
            XidBurst(
                node_name=row.node.name,
                uuid=row.uuid,
                code=row.code,
                started_at=row.started_at,
                last_at=row.last_at,
                count=row.count,
                source=row.source,
                pods=tuple(row.pods),
                job=row.job,
                reported_by=row.reported_by,
            )
        )
    return bursts


def _standing(ids: list[int]) -> dict[int, list[Finding]]:
    result: dict[int, list[Finding]] = defaultdict(list)
    grave = (Severity.WARNING.value, Severity.CRITICAL.value, Severity.FATAL.value)
    rows = FindingRow.objects.filter(node_id__in=ids, period__endswith__isnull=True, severity__in=grave)
    for row in rows.order_by("rule", "key"):
        result[row.node_id or 0].append(
            Finding(
                rule=row.rule,
                severity=Severity(row.severity),
                text=row.text,
                key=row.key,
                subject=row.subject,
                evidence=msgspec.convert(row.evidence, tuple[Evidence, ...], strict=False),
                remedy=row.remedy,
                rung=row.rung,
            )
        )
    return result


def _waivers(cluster: Cluster, pool: str = "") -> tuple[Waiver, ...]:
    rows = WaiverRow.objects.filter(Q(cluster=cluster, pool="") | Q(pool=pool) & ~Q(pool="")).select_related("by")
    return tuple(
        Waiver(
            rung=row.rung,
            reason=row.reason,
            by=row.by.get_username() if row.by else "",
            at=row.at,
            where=f"pool {row.pool}" if row.pool else f"cluster {cluster.name}",
        )
        for row in rows
    )


def _policies(cluster: Cluster, nodes: list[Node], specs: Mapping[str, PoolSpec], at: datetime) -> dict[str, Policy]:
    """Node uid to its policy, for nodes that differ from the default: those in pools, and those in maintenance."""
    reasons = {
        row.node_name: row.reason for row in Maintenance.objects.filter(cluster=cluster) if row.until is None or row.until > at
    }
    slugs = _pools(nodes) if specs else {}
    of_pool: dict[str, Policy] = {"": Policy(required_rung=settings.REQUIRED_RUNG, waivers=_waivers(cluster))}
    policies = {}
    for node in nodes:
        rows = tuple(slug for slug in slugs.get(node.pk, ()) if slug in specs)
        rivals = tuple(slug for slug in rows if specs[slug].policy.exclusive)
        slug = (*rivals, *rows, "")[0]
        if slug not in of_pool:
            asked = specs[slug].policy
            of_pool[slug] = Policy(
                required_rung=asked.required_rung,
                partial_nodes=asked.partial_nodes,
                pool=slug,
                waivers=_waivers(cluster, slug),
            )
        if rows or node.name in reasons:
            policies[node.uid] = msgspec.structs.replace(
                of_pool[slug],
                pools=rows,
                rivals=rivals if len(rivals) > 1 else (),
                maintenance=reasons.get(node.name, ""),
            )
    return policies


def _pools(nodes: list[Node]) -> dict[int, list[str]]:
    pools: dict[int, list[str]] = defaultdict(list)
    rows = PoolMembership.objects.filter(node__in=[node.pk for node in nodes], period__endswith__isnull=True)
    for node_id, slug in rows.order_by("pool__slug").values_list("node_id", "pool__slug"):
        pools[node_id].append(slug)
    return pools
