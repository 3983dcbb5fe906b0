"""The forecast: the same evaluation over the snapshot as it is and as it would be, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.devices.slots import ResourceSlots, Slots, minus
from fleet.domain.evaluation.evaluate import ClusterEvaluation, evaluate
from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.placement.nodes import OTHER_RESOURCES, OtherResource, PlacementNode, placement_node
from fleet.domain.placement.requirement import GOOD
from fleet.domain.placement.scheduler.state import NodeState, node_state, scheduling_of
from fleet.domain.pod_resources import amount_of, holds
from fleet.domain.pools.membership import assign
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot, Taint
from fleet.domain.whatif.apply import ChangedSnapshot, PodAtRisk, apply
from fleet.domain.whatif.change_kinds import AddNodes, Change, QuotaChange


class NodeOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """One node at one side of a change."""

    verdict: str
    reason: str
    schedulable: bool
    product: str
    mode: str
    driver_version: str
    slots: Slots
    resources: tuple[ResourceSlots, ...]
    taints: tuple[Taint, ...]
    pools: tuple[str, ...]


class NodeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A node that the change touches. `before` None: it does not exist yet."""

    name: str
    before: NodeOutlook | None
    after: NodeOutlook


class PoolDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Members of a pool and how many of them are ready or degraded, before and after."""

    slug: str
    nodes: tuple[int, int]
    ready: tuple[int, int]
    target: float | None
    """Percent of known node-time ready that the pool commits to."""
    min_ready: int | None

    @property
    def breaks(self) -> bool:
        """Returns whether fewer members would be ready than the pool's policy demands, and are not now."""
        return self.min_ready is not None and self.ready[1] < self.min_ready <= self.ready[0]


class QuotaUse(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a quota against what the namespace's pods in this cluster request now."""

    namespace: str
    resource: str
    hard: int | None
    """In millicores, bytes or units; None where the text is not a quantity."""
    used: int | None
    """None where a pod's request is unknown, or the limit is of a kind that is not counted."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would do to one cluster."""

    nodes: tuple[NodeDifference, ...]
    slots: tuple[Slots, Slots]
    """Of the whole cluster, before and after."""
    pools: tuple[PoolDifference, ...]
    placement: tuple[tuple[PlacementNode, ...], tuple[PlacementNode, ...]]
    """Nodes as placement sees them, of this cluster, before and after: room of classes is counted over them."""
    pods_at_risk: tuple[PodAtRisk, ...]
    quotas: tuple[QuotaUse, ...]
    not_forecast: dict[str, str]


def forecast(
    snapshot: ClusterSnapshot, history: ClusterHistory, changes: Sequence[Change], pools: Sequence[PoolSpec]
) -> Forecast:
    """Returns what the changes would do. Raises FieldError for what cannot be forecast at all."""
    now = evaluate(snapshot, history)
    changed = apply(snapshot, changes, {node.node.name: node.devices for node in now.nodes})
    then = evaluate(changed.snapshot, history)
    before, after = _side(snapshot, now, pools), _side(changed.snapshot, then, pools)
    added = _added(changed.added, after, pools)
    after |= added
    names = [name for name in after if name not in before or before[name].outlook != after[name].outlook]
    return Forecast(
        nodes=tuple(
            NodeDifference(name=name, before=before[name].outlook if name in before else None, after=after[name].outlook)
            for name in names
        ),
        slots=(_total(before.values()), _total(after.values())),
        pools=_pool_differences(pools, before, after),
        placement=(
            tuple(side.placement for side in before.values()),
            tuple(side.placement for side in after.values()),
        ),
        pods_at_risk=_once(changed),
        quotas=tuple(_quotas(changes, snapshot.pods)),
        not_forecast=changed.not_forecast,
    )


class _Side(msgspec.Struct, frozen=True):
    outlook: NodeOutlook
    placement: PlacementNode


def _side(snapshot: ClusterSnapshot, evaluation: ClusterEvaluation, pools: Sequence[PoolSpec]) -> dict[str, _Side]:
    nodes = {row.node.name: _placement(snapshot.name, row) for row in evaluation.nodes}
    membership = assign(pools, nodes.values()).pools
    sides = {}
    for row in evaluation.nodes:
        name = row.node.name
        node = msgspec.structs.replace(nodes[name], pools=membership[nodes[name].key])
        sides[name] = _Side(_outlook(row, node.pools), node)
    return sides


def _outlook(row: NodeEvaluation, pools: tuple[str, ...]) -> NodeOutlook:
    return NodeOutlook(
        verdict=row.readiness.verdict,
        reason=row.readiness.reason,
        schedulable=not row.node.unschedulable,
        product=row.devices.product,
        mode=row.devices.mode,
        driver_version=row.devices.driver_version,
        slots=row.devices.slots,
        resources=row.devices.resources,
        taints=row.node.taints,
        pools=pools,
    )


def _placement(cluster: str, row: NodeEvaluation) -> PlacementNode:
    """Returns the node as placement sees it, with what is free besides GPUs, by the scheduler's arithmetic."""
    made = placement_node(cluster, row.node, row.devices, verdict=row.readiness.verdict, reason=row.readiness.reason)
    state = node_state(row.node, row.pods)
    allowed = state.allocatable.get("pods")
    return msgspec.structs.replace(
        made,
        others=tuple(_other(name, state) for name in OTHER_RESOURCES),
        pods_free=None if allowed is None else allowed - len(state.pods),
    )


def _other(name: str, state: NodeState) -> OtherResource:
    return OtherResource(name, state.allocatable.get(name, 0), state.free(name) if state.complete else None)


def _added(added: Iterable[AddNodes], sides: Mapping[str, _Side], pools: Sequence[PoolSpec]) -> dict[str, _Side]:
    """Returns new nodes as they will be once they are like their model: in its state, without workloads."""
    made: dict[str, _Side] = {}
    for change in added:
        model = sides[change.like]
        for _ in range(change.count):
            name = f"{change.like}-new-{len(made) + 1}"
            resources = tuple(_empty(slots) for slots in model.outlook.resources)
            node = msgspec.structs.replace(model.placement, name=name, resources=resources, schedulable=True)
            node = msgspec.structs.replace(node, pools=assign(pools, [node]).pools[node.key])
            outlook = msgspec.structs.replace(
                model.outlook,
                resources=resources,
                slots=_sum([_empty_totals(model.outlook.slots)]),
                pools=node.pools,
                schedulable=True,
            )
            made[name] = _Side(outlook, node)
    return made


def _empty(slots: ResourceSlots) -> ResourceSlots:
    return msgspec.structs.replace(slots, requested=0, free=minus(slots.allocatable, 0))


def _empty_totals(slots: Slots) -> Slots:
    return msgspec.structs.replace(slots, requested=0, free=minus(slots.allocatable, 0))


def _total(sides: Iterable[_Side]) -> Slots:
    return _sum([side.outlook.slots for side in sides])


def _sum(rows: Sequence[Slots]) -> Slots:
    """Returns the sums of what is known; None where no node states the figure."""
    totals: dict[str, int | None] = {}
    for name in ("capacity", "allocatable", "requested", "free"):
        known = [number for slots in rows if (number := getattr(slots, name)) is not None]
        totals[name] = sum(known) if known else None
    return Slots(**totals)


def _pool_differences(
    pools: Sequence[PoolSpec], before: Mapping[str, _Side], after: Mapping[str, _Side]
) -> tuple[PoolDifference, ...]:
    rows = []
    for pool in pools:
        counted = [_members(pool.slug, sides) for sides in (before, after)]
        if counted[0] != counted[1]:
            rows.append(
                PoolDifference(
                    slug=pool.slug,
                    nodes=(counted[0][0], counted[1][0]),
                    ready=(counted[0][1], counted[1][1]),
                    target=pool.policy.availability_target,
                    min_ready=pool.policy.min_ready,
                )
            )
    return tuple(rows)


def _members(slug: str, sides: Mapping[str, _Side]) -> tuple[int, int]:
    verdicts = [side.outlook.verdict for side in sides.values() if slug in side.outlook.pools]
    return len(verdicts), sum(verdict in GOOD for verdict in verdicts)


def _once(changed: ChangedSnapshot) -> tuple[PodAtRisk, ...]:
    return tuple({(row.namespace, row.name): row for row in changed.at_risk}.values())


def _quotas(changes: Iterable[Change], pods: Iterable[PodSnapshot]) -> Iterable[QuotaUse]:
    held = list(pods)
    for change in changes:
        if not isinstance(change, QuotaChange):
            continue
        own = [pod for pod in held if pod.namespace == change.namespace and holds(pod)]
        for key, text in sorted(change.hard.items()):
            resource = key.removeprefix("requests.")
            counted = key == "pods" or (key.startswith("requests.") or key in ("cpu", "memory"))
            amount = amount_of(resource, text)
            yield QuotaUse(
                namespace=change.namespace,
                resource=key,
                hard=None if amount is None else int(amount),
                used=_used(resource, own) if counted else None,
            )


def _used(resource: str, pods: Sequence[PodSnapshot]) -> int | None:
    if resource == "pods":
        return len(pods)
    amounts = [scheduling_of(pod).requests.get(resource, 0) if pod.scheduling is not None else None for pod in pods]
    return None if None in amounts else sum(amount or 0 for amount in amounts)
