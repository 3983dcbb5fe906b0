"""Finds what broken nodes affect: pods that hold their GPUs, the teams of these pods, pools, and the classes on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fleet.models import Pod, PoolMembership
from fleet.selectors import declarations
from fleet.selectors.teams import by_namespace

MOST_PODS = 100
_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, order=True)
class AffectedPod:
    """A pod that holds GPU slots. Pods that are down sort first, then those with more slots."""

    running: bool
    less_slots: int
    cluster: str
    namespace: str
    name: str
    reason: str = ""
    team: str = ""

    @property
    def slots(self) -> int | None:
        """Returns the slots it holds; None where they are not counted per pod (devices of a claim)."""
        return -self.less_slots or None


@dataclass(frozen=True, slots=True)
class OfNode:
    """Pods, teams, pools and classes of one node."""

    pods: tuple[AffectedPod, ...] = ()
    pools: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Affected:
    """Who is affected by an incident."""

    pods: tuple[AffectedPod, ...] = ()
    """At most a hundred, those that are down first."""
    pod_count: int = 0
    pods_down: int = 0
    teams: tuple[str, ...] = ()
    """Slugs, in order."""
    pools: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """Slugs of the workload classes with a pool that contains one of the nodes."""


def by_node(nodes: Collection[int | None]) -> dict[int, OfNode]:
    """Returns the current pods, teams, pools and classes of each node. Four queries."""
    ids = [node for node in nodes if node is not None]
    if not ids:
        return {}
    teams = by_namespace()
    pods: dict[int, list[AffectedPod]] = defaultdict(list)
    holders = Pod.objects.filter(node__in=ids, removed_at__isnull=True, holds=True, component="").exclude(phase__in=_FINISHED)
    fields = ("node_id", "cluster__name", "namespace", "name", "phase", "ready", "reason", "slots")
    for node, cluster, namespace, name, phase, ready, reason, slots in holders.values_list(*fields):
        if node is None or slots == 0:
            continue
        running = phase == "Running" and ready
        pods[node].append(
            AffectedPod(
                running, -(slots or 0), cluster, namespace, name, reason or ("" if running else phase), teams.get(namespace, "")
            )
        )
    pools: dict[int, list[str]] = defaultdict(list)
    current = PoolMembership.objects.filter(node__in=ids, period__endswith__isnull=True, pool__removed_at__isnull=True)
    for node, slug in current.order_by("pool__slug").values_list("node_id", "pool__slug"):
        pools[node].append(slug)
    of_pool: dict[str, list[str]] = defaultdict(list)
    if pools:
        for slug, version in declarations.newest_versions().items():
            for pool in declarations.spec_of(version).pools:
                of_pool[pool].append(slug)
    return {
        node: OfNode(
            tuple(sorted(pods[node])),
            tuple(pools[node]),
            tuple(sorted({name for pool in pools[node] for name in of_pool[pool]})),
        )
        for node in ids
    }


def together(nodes: Iterable[OfNode | None]) -> Affected:
    """Returns who is affected by a fault of these nodes."""
    rows = [node for node in nodes if node is not None]
    pods = sorted(pod for node in rows for pod in node.pods)
    return Affected(
        pods=tuple(pods[:MOST_PODS]),
        pod_count=len(pods),
        pods_down=sum(1 for pod in pods if not pod.running),
        teams=tuple(sorted({pod.team for pod in pods if pod.team})),
        pools=tuple(sorted({name for node in rows for name in node.pools})),
        classes=tuple(sorted({name for node in rows for name in node.classes})),
    )
