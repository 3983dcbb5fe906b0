"""One node as pages, tags and serializers receive it: typed and frozen, now or at a past moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import msgspec
from django.db.models import prefetch_related_objects

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.dra.status import PoolStatus
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.node_capacity import Capacity, node_capacity
from fleet.domain.evaluation.subject import Waiver
from fleet.domain.findings import Evidence
from fleet.domain.history.rebuild import node_from_facts
from fleet.domain.labels import MIG_CONFIG
from fleet.domain.readiness.wording import rung_number
from fleet.domain.snapshot import Condition, Taint
from fleet.domain.snapshot.nodes import NodeInfo
from fleet.models import Cluster, FindingRow, Node, PoolMembership
from fleet.selectors import dra
from fleet.selectors.figures import NOT_KEPT, figures_at, figures_of
from fleet.selectors.findings import findings
from fleet.selectors.history.node_history import node_at
from fleet.selectors.history.rows import NodeMoment
from fleet.selectors.pools import pools

Struct = TypeVar("Struct", bound=msgspec.Struct)
PASSING = ("pass", "warn")


class RungView(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder."""

    id: str
    status: str
    number: int = -1
    reason: str = ""
    remedy: str = ""
    evidence: tuple[Evidence, ...] = ()
    own_status: str | None = None
    """Its own status, where `status` is blocked by an earlier rung."""
    rests_on: tuple[str, ...] = ()
    """Sections its evidence came from."""
    waiver: Waiver | None = None
    observed_at: datetime | None = None
    """Of a past moment: since when it had this status."""

    @property
    def shown_status(self) -> str:
        """Returns the status that pages show: `waived` where a waiver stands in for missing evidence."""
        return shown_status(self.status, self.waiver)


class DeviceFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What the inspection of a node's devices found.

    Severities are an open set: one of a newer version must not break a page.
    """

    rule: str
    severity: str
    text: str
    evidence: tuple[Evidence, ...] = ()


def shown_status(status: str, waiver: Waiver | None) -> str:
    """Returns the status that pages show; a rung that passes or warns needs no waiver."""
    return "waived" if waiver is not None and status not in PASSING else status


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node now, or as it was at `at`. None is unknown or not kept."""

    id: int
    cluster: Cluster
    name: str
    uid: str
    figures: NodeFigures
    created_at: datetime | None
    kubelet_version: str
    info: NodeInfo
    provider_id: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    conditions: tuple[Condition, ...]
    stack: Mapping[str, str]
    """Part of the GPU stack to the state of its pod."""
    mig_desired: str
    mig_state: str
    rungs: tuple[RungView, ...]
    verdict_reason: str
    verdict_remedy: str
    verdict_since: datetime | None
    reason: str
    """One sentence about its devices; empty without one that needs attention, or where none was kept."""
    device_findings: tuple[DeviceFinding, ...] | None
    """What the inspection of its devices found, worst first."""
    evidence: tuple[Evidence, ...] | None
    dra_pools: tuple[PoolStatus, ...] | None
    """Devices of each pool of a DRA driver, counted; None where they were not kept."""
    physical_is_lower_bound: bool = False
    state_since: datetime | None
    first_seen_at: datetime
    changed_at: datetime
    removed_at: datetime | None
    at: datetime | None = None
    """The moment it is a view of; None: now."""
    is_kept_whole: bool = True
    """False for a past moment of which requested slots, findings on devices and evidence were not kept."""
    pools: tuple[str, ...] = ()
    """Slugs of its pools, and its open findings, worst first: filled by `whole_views` and `whole_view_at`."""
    findings: tuple[FindingRow, ...] = ()

    @property
    def capacity(self) -> Capacity:
        return node_capacity(self.figures)

    @property
    def resources(self) -> tuple[ResourceSlots, ...]:
        return self.figures.resources


def view_of(node: Node, at: datetime | None = None) -> NodeView:
    """The row as a view. Prefetch `resources` (selectors.nodes.nodes.with_resources) for many."""
    snapshot = node.snapshot or {}
    return NodeView(
        id=node.pk,
        cluster=node.cluster,
        name=node.name,
        uid=node.uid,
        figures=figures_of(node),
        created_at=node.created_at,
        kubelet_version=node.kubelet_version,
        info=msgspec.convert(snapshot.get("node_info") or {}, NodeInfo),
        provider_id=str(snapshot.get("provider_id") or ""),
        labels=node.labels,
        taints=_structs(node.taints, Taint),
        conditions=_structs(node.conditions, Condition),
        stack=node.stack,
        mig_desired=node.mig_desired,
        mig_state=node.mig_state,
        rungs=_structs(node.rungs, RungView),
        verdict_reason=node.verdict_reason,
        verdict_remedy=node.verdict_remedy,
        verdict_since=node.verdict_since,
        reason=node.reason,
        device_findings=_structs(node.device_findings, DeviceFinding),
        evidence=_structs(node.evidence, Evidence),
        dra_pools=dra.pools_of_node(node),
        physical_is_lower_bound=node.physical_is_lower_bound,
        state_since=node.state_since,
        first_seen_at=node.first_seen_at,
        changed_at=node.changed_at,
        removed_at=None if at is not None else node.removed_at,
        at=at,
    )


def view_at(cluster: str, name: str, at: datetime) -> tuple[NodeView, NodeMoment] | None:
    """Returns the node with this name at `at`, with its moment; None if Muster knew none.

    A node that has not changed since is its row. Of one that has, facts come from its revision and figures from its verdict's
    period; nothing is evaluated again.
    """
    moment = node_at(cluster, name, at)
    if moment is None:
        return None
    node = moment.node
    if node.changed_at <= at and node.removed_at is None:
        return view_of(node, at), moment
    return _of_moment(moment), moment


def _of_moment(moment: NodeMoment) -> NodeView:
    node, verdict = moment.node, moment.verdict
    snapshot = node_from_facts(node.name, node.uid, moment.facts)
    return NodeView(
        id=node.pk,
        cluster=node.cluster,
        name=node.name,
        uid=node.uid,
        figures=figures_at(Node.objects.filter(pk=node.pk), moment.at).get(node.pk, NOT_KEPT),
        created_at=node.created_at,
        kubelet_version=snapshot.node_info.kubelet,
        info=snapshot.node_info,
        provider_id=snapshot.provider_id,
        labels=snapshot.labels,
        taints=snapshot.taints,
        conditions=snapshot.conditions,
        stack=moment.facts.get("stack", {}),
        mig_desired=snapshot.labels.get(MIG_CONFIG, ""),
        mig_state="",
        rungs=tuple(
            RungView(
                id=rung.rung,
                number=rung_number(rung.rung),
                status=rung.status,
                reason=rung.reason,
                evidence=rung.evidence,
                observed_at=rung.since,
            )
            for rung in moment.rungs
        ),
        verdict_reason=verdict.reason if verdict else "No verdict was recorded at that moment.",
        verdict_remedy=verdict.remedy if verdict else "",
        verdict_since=verdict.since if verdict else None,
        reason="",
        device_findings=None,
        evidence=None,
        dra_pools=None,
        state_since=None,
        first_seen_at=node.first_seen_at,
        changed_at=moment.facts_since,
        removed_at=None,
        at=moment.at,
        is_kept_whole=False,
    )


def whole_views(nodes: Sequence[Node]) -> list[NodeView]:
    """Returns the rows as views with their pools and open findings. Two queries at most, whatever the number of nodes."""
    prefetch_related_objects(list(nodes), findings.of_nodes(), pools.of_nodes())
    return [
        replace(
            view_of(node),
            pools=tuple(sorted(membership.pool.slug for membership in vars(node)["open_memberships"])),
            findings=tuple(vars(node)["open_findings"]),
        )
        for node in nodes
    ]


def whole_view_at(cluster: str, name: str, at: datetime) -> tuple[NodeView, NodeMoment] | None:
    """Returns what `view_at` does, with the pools and findings of that moment."""
    known = view_at(cluster, name, at)
    if known is None:
        return None
    view, moment = known
    memberships = PoolMembership.objects.filter(node_id=view.id, period__contains=at).order_by("pool__slug")
    open_then = findings.findings().filter(node_id=view.id, period__contains=at).order_by("rank", "opened_at", "id")
    slugs = tuple(memberships.values_list("pool__slug", flat=True))
    return replace(view, pools=slugs, findings=tuple(open_then)), moment


def other_findings(view: NodeView, shown: Iterable[str]) -> tuple[DeviceFinding, ...]:
    """Returns the findings on its devices that the other sentences do not already state."""
    known = {text.rstrip(".") for text in (view.verdict_reason, *shown)}
    return tuple(finding for finding in view.device_findings or () if finding.text.rstrip(".") not in known)


def _structs(rows: Iterable[object], struct: type[Struct]) -> tuple[Struct, ...]:
    return tuple(msgspec.convert(row, struct, strict=False) for row in rows)
