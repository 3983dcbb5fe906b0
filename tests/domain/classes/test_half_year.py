"""One manifest stays for half a year while nodes join, leave and change: no pod outside the class, or a finding first."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from fleet.domain.classes.requirements import ClassInPool, class_in_pool, label_keys
from fleet.domain.classes.stale import KeptPlacement, UsedManifest, kept_placement, selected_outside, stale_manifests
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.label_selectors import parse
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import H100, with_pools
from tests.domain.placement.fleets import GPU, bare, real, slots

A100, L40S = "NVIDIA-A100-SXM4-40GB", "NVIDIA-L40S"
BY_PRODUCT = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)))
BY_LABEL = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a")))
FULL = ClassSpec(slug="full", gpus=4, products=(H100,), pools=("p",))
SLICES = ClassSpec(slug="slices", isolation="mig", profile="1g.10gb", products=(A100,), pools=("p",))


def joined(number: int, chance: random.Random) -> PlacementNode:
    """A node as clouds and clusters add them: any product, sharing, layout, dialect, taints."""
    name, label = f"n{number}", chance.choice([{}, {"team": "a"}, {"team": "b"}, {"agentpool": f"pool{chance.randrange(3)}"}])
    product = chance.choice([H100, H100, A100, L40S])
    taints = chance.choice([(), (), (Taint("nvidia.com/gpu", "present", "NoSchedule"),), (Taint("spot", "", "NoSchedule"),)])
    match chance.randrange(5):
        case 0:
            return real(name, product=product, sharing="time-slicing", replicas=4, labels=label, taints=taints)
        case 1:
            return real(name, product=product, gpus=1, mig="1g.10gb", labels=label, taints=taints)
        case 2:
            slices = {"1g.10gb": 7}
            return real(name, product=product, gpus=1, mig=slices, resource="nvidia.com/mig-1g.10gb", labels=label, taints=taints)
        case 3:
            return bare(name, slots(GPU), product=product, labels={"agentpool": "h100", **label}, taints=taints)
    return real(name, product=product, labels=label, taints=taints)


def a_day(nodes: list[PlacementNode], day: int, chance: random.Random) -> list[PlacementNode]:
    match chance.randrange(4):
        case 0 if len(nodes) > 4:
            nodes = [node for node in nodes if node is not chance.choice(nodes)]
        case 1:
            changed = chance.randrange(len(nodes))
            more = chance.choice([{"team": "a"}, {"team": "b"}, {"agentpool": "h100"}, {"muster.dev/pool": "p"}])
            node = nodes[changed]
            nodes = [*nodes]
            nodes[changed] = msgspec.structs.replace(node, labels={**node.labels, **more})
        case _:
            nodes = [*nodes, joined(day, chance)]
    return nodes


def world(pool: PoolSpec, nodes: list[PlacementNode]) -> Fleet:
    return Fleet(with_pools([pool], nodes), label_keys([pool]))


@pytest.mark.slow
@pytest.mark.parametrize("pool", [BY_PRODUCT, BY_LABEL], ids=["by product", "by label"])
@pytest.mark.parametrize("seed", range(12))
def test_a_manifest_of_day_one_lands_in_the_class_or_a_finding_comes_first(pool: PoolSpec, seed: int) -> None:
    chance = random.Random(seed)
    nodes = [real(f"first{number}", labels={"team": "a"}) for number in range(4)]
    written = class_in_pool(FULL, pool, world(pool, nodes))
    kept = kept_placement(written, placement_digest(written))
    for day in range(180):
        nodes = a_day(nodes, day, chance)
        if not any(node.product == H100 for node in nodes):
            nodes.append(real(f"again{day}", labels={"team": "a"}))
        fleet = world(pool, nodes)
        now = class_in_pool(FULL, pool, fleet)
        outside = feasible_outside(kept, pool, fleet)
        assert not outside or findings(kept, now, fleet), (day, [(node.name, node.labels) for node in outside])


def feasible_outside(kept: KeptPlacement, pool: PoolSpec, fleet: Fleet) -> list[PlacementNode]:
    """Nodes that take a pod of the manifest and are outside the pool or not of the class, from the facts of the node."""
    selected = selected_outside(kept, [], fleet)
    return [
        node
        for node in selected
        if pool.slug not in node.pools or node.product != H100 or node.sharing != "exclusive" or node.partitioning != "none"
    ]


def findings(kept: KeptPlacement, now: ClassInPool, fleet: Fleet) -> Any:
    used = [UsedManifest(kept.digest, "team-a/ReplicaSet/serve")]
    current = {placement_digest(now): now}
    return now.strays or stale_manifests(used, current, {kept.digest: kept}, fleet)


def test_slices_of_another_product_that_join_later_get_no_pod_of_the_class() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(A100,)))
    layout = {"gpus": 1, "mig": {"1g.10gb": 7}, "resource": "nvidia.com/mig-1g.10gb"}
    first = real("a", product=A100, **layout)
    written = class_in_pool(SLICES, pool, world(pool, [first]))
    kept = kept_placement(written, placement_digest(written))
    assert selected_outside(kept, [], world(pool, [first, real("h", product=H100, **layout)])) == tuple(
        with_pools([pool], [first])
    ), "every node that the manifest selects"


def test_stale_manifests_are_counted_with_what_they_select_and_what_the_class_selects_now() -> None:
    before = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a")))
    written = class_in_pool(ClassSpec(slug="full", pools=("p",)), before, world(before, [real("n1", labels={"team": "a"})]))
    kept = kept_placement(written, "old")
    after = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a,tier=prod")))
    fleet = world(after, [real("n1", labels={"team": "a", "tier": "prod"}), real("n2", labels={"team": "a"})])
    now = class_in_pool(ClassSpec(slug="full", pools=("p",)), after, fleet)
    used = [UsedManifest("old", "x"), UsedManifest("old", "y"), UsedManifest("old", "y"), UsedManifest("new", "z")]
    (violation,) = stale_manifests(used, {"new": now}, {"old": kept}, fleet)
    assert violation.text.startswith(
        "Manifests in use are stale (3 pods of 2 owners): they select 1 node outside the class. Selected: team=a,"
    )
    assert "The class now selects: team=a,tier=prod," in violation.text
    assert violation.nodes == (("east", "n2"),)
    assert stale_manifests(used[3:], {"new": now}, {"old": kept}, fleet) == ()
    assert (
        stale_manifests(used, {"new": now}, {"old": kept}, world(after, [real("n1", labels={"team": "a", "tier": "prod"})])) == ()
    )
    (unknown,) = stale_manifests([UsedManifest("", "x")], {"new": now}, {}, fleet)
    assert unknown.text == "Manifests in use are stale (1 pod of 1 owner): what they select is unknown."
