"""Half a year of a fleet in several clusters: manifests are copied, nodes come, go and change, a scheduler places the pods."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from fleet.domain.classes.compliance import evaluate_class
from fleet.domain.classes.requirements import ClassInPool, class_in_pool, label_keys
from fleet.domain.classes.stale import Manifests, UsedManifest, manifests_now, others_matching, stale_manifests
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.manifests.render import manifest, to_yaml
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.manifest_files import pod_templates, read_documents
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, SchedulingObjects, Taint
from tests.builders import H100, with_pools
from tests.domain.placement.fleets import GPU, bare, real, slots

A100, L40S = "NVIDIA-A100-SXM4-40GB", "NVIDIA-L40S"
GKE, POOL = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-nodepool"
START = datetime(2026, 12, 1, tzinfo=UTC)
TAINTS = (
    Taint("nvidia.com/gpu", "present", "NoSchedule"),
    Taint("spot", "", "NoSchedule"),
    Taint("node.kubernetes.io/not-ready", "", "NoExecute"),
    Taint("sunk.coreweave.com/lock", "true", "NoExecute"),
)


class Copied(NamedTuple):
    """A manifest that was copied: the pod of its YAML, and the clusters it is applied in."""

    digest: str
    pod: PodSnapshot
    clusters: frozenset[str]


def copied(in_pool: ClassInPool, clusters: Iterable[str]) -> Copied:
    text = to_yaml(manifest("pod", [in_pool], Parameters(name="serve", namespace="team-a")))
    template = pod_templates(read_documents(text))[-1]
    scheduling = pod_scheduling(template.metadata, template.spec, SchedulingObjects())
    pod = PodSnapshot(uid="u", namespace="team-a", name="serve", scheduling=replace(scheduling, requests=gpus_only(scheduling)))
    return Copied(placement_digest(in_pool), pod, frozenset(clusters))


def gpus_only(scheduling: Any) -> dict[str, int | None]:
    """CPU and memory of these nodes are not given."""
    return {name: amount for name, amount in scheduling.requests.items() if "/" in name}


def landings(copied: Copied, nodes: Sequence[PlacementNode]) -> list[PlacementNode]:
    """Returns the nodes that the scheduler's filters let the pod on, in the clusters that the manifest was applied in."""
    rows = []
    for cluster in copied.clusters:
        by_name = {node.name: node for node in nodes if node.cluster == cluster}
        state = ClusterState([_as_collected(node) for node in by_name.values()], [], SchedulingObjects(), whole=True)
        rows += [by_name[name] for name in evaluate(copied.pod, state).fitting]
    return rows


def _as_collected(node: PlacementNode) -> NodeSnapshot:
    offered = {entry.name: str(entry.free or 0) for entry in node.resources}
    return NodeSnapshot(
        name=node.name,
        uid=node.name,
        labels=node.labels,
        taints=node.taints,
        unschedulable=not node.schedulable,
        allocatable={"pods": "100", **offered},
    )


class Watch:
    """Muster beside the fleet: what it hands out, and what it reports each day."""

    def __init__(self, spec: ClassSpec, pool: PoolSpec) -> None:
        self.spec, self.pool = spec, pool
        self.manifests = Manifests(current={})
        self.used: list[UsedManifest] = []

    def look(self, nodes: Sequence[PlacementNode], day: int) -> tuple[list[PlacementNode], ClassInPool, dict[str, set[str]]]:
        """Returns the nodes with their pools, the class in its pool, and the violations: id to the nodes named."""
        members = with_pools([self.pool], nodes)
        fleet = Fleet(members, label_keys([self.pool]))
        in_pool = class_in_pool(self.spec, self.pool, fleet)
        self.manifests = manifests_now(self.manifests.kept, {1: [in_pool]}, self.used, fleet, START + timedelta(days=day))
        matching = others_matching(self.manifests, fleet)
        room = headroom([in_pool.requirement], fleet)
        result = evaluate_class(self.spec, [in_pool], fleet, room, {}, matching)
        stale = stale_manifests(self.used, self.manifests, fleet)
        violations: dict[str, set[str]] = {}
        for violation in (*result.violations, *stale):
            violations.setdefault(violation.id, set()).update(name for _, name in violation.nodes)
        return members, in_pool, violations


def joined(number: int, cluster: str, chance: random.Random) -> PlacementNode:
    """A node as clouds and people add them: any product, sharing and layout, several label dialects, any taints."""
    name = f"n{number}"
    product = chance.choice([H100, H100, A100, L40S])
    label = dict(chance.choice([{}, {"team": "a"}, {"team": "b"}, {"muster.dev/pool": chance.choice("pq")}]))
    taints = tuple(taint for taint in TAINTS if chance.random() < 0.2)
    common: dict[str, Any] = {"cluster": cluster, "product": product, "taints": taints}
    match chance.randrange(6):
        case 0:
            return real(name, sharing="time-slicing", replicas=4, labels=label, **common)
        case 1:
            return real(name, gpus=1, mig="1g.10gb", labels=label, **common)
        case 2:
            return real(name, gpus=1, mig={"1g.10gb": 7}, resource="nvidia.com/mig-1g.10gb", labels=label, **common)
        case 3:
            # One node pool of a cloud, whose machines are replaced by others under the same name.
            shared = chance.choice([{}, {"cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"}])
            mode = {"sharing": "time-slicing"} if shared else {}
            replicas = slots(GPU, replicas=4 if shared else 1)
            accelerator = {GKE: chance.choice(["nvidia-h100-80gb", "nvidia-l4"]), POOL: chance.choice(["gpu", "gpu", "more"])}
            return bare(name, replicas, labels={**accelerator, **shared, **label}, **mode, **common)
        case 4:
            return bare(name, slots(GPU), labels={"agentpool": chance.choice(["h100", "gpu"]), **label}, **common)
    return real(name, labels=label, **common)


def a_day(nodes: list[PlacementNode], day: int, clusters: Sequence[str], chance: random.Random) -> list[PlacementNode]:
    """Returns the fleet one day later: nodes are added, removed, relabelled, tainted; now and then a cluster is rebuilt."""
    nodes = list(nodes)
    where = chance.choice(clusters)
    if chance.random() < 0.02:
        nodes = [node for node in nodes if node.cluster != where]
        return nodes + [joined(1000 * day + number, where, chance) for number in range(chance.randrange(1, 5))]
    change = chance.randrange(5)
    if change == 0 and len(nodes) > 3:
        nodes.pop(chance.randrange(len(nodes)))
    elif change == 1 and nodes:
        index = chance.randrange(len(nodes))
        more = chance.choice([{"team": "a"}, {"team": "b"}, {"agentpool": "h100"}, {"muster.dev/pool": "p"}, {POOL: "gpu"}])
        nodes[index] = replace(nodes[index], labels={**nodes[index].labels, **more})
    elif change == 2 and nodes:
        index = chance.randrange(len(nodes))
        nodes[index] = replace(nodes[index], taints=tuple(taint for taint in TAINTS if chance.random() < 0.3))
    else:
        nodes.append(joined(day, where, chance))
    return nodes
