"""Stranded GPUs: a free GPU counts where no combination of wanted pods uses it, and each one has a reason."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration
from fleet.domain.placement.scheduler.state import node_state
from fleet.domain.snapshot import PodSnapshot, Taint
from fleet.domain.snapshot.scheduling import HostPort, PodScheduling
from fleet.domain.stranded.count import NodeUse, best_use, node_use, wanted_on
from fleet.domain.stranded.nodes import FreeNode, amounts, free_node, may_move, why_fixed
from fleet.domain.stranded.shapes import CLASS, POD, SeenPods, WantedShape, pod_shapes, with_usual_needs
from tests.builders import make_node
from tests.domain.placement.fleets import GPU, bare, slots

SMALL = st.tuples(st.integers(1, 4), st.tuples(st.integers(0, 3), st.integers(0, 3)))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8), st.sets(SMALL, max_size=3), st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_best_use_is_what_trying_every_combination_finds(free: int, demand: set[Any], others: tuple[int, int]) -> None:
    rows = sorted(demand)
    best = 0
    for counts in product(range(free + 1), repeat=len(rows)):
        used = sum(count * row[0] for count, row in zip(counts, rows, strict=True))
        rest = [sum(count * row[1][at] for count, row in zip(counts, rows, strict=True)) for at in (0, 1)]
        if used <= free and rest[0] <= others[0] and rest[1] <= others[1]:
            best = max(best, used)
    assert best_use(free, tuple(rows), others) == best


def shape(gpus: int, *, cpu: int = 0, pods: int = 1, **requirement: Any) -> WantedShape:
    asked = PodRequirement(resources=((GPU, gpus),), pods=pods, verdicts=GOOD, **requirement)
    needs = amounts({GPU: gpus, "cpu": cpu, "pods": 1})
    return WantedShape(title=f"{gpus}", source=CLASS, workload_class="c", resource=GPU, gpus=gpus, requirement=asked, needs=needs)


def free(node: PlacementNode, *, cpu: int = 100, pods: int = 50) -> FreeNode:
    gpus = node.resources[0].free
    assert gpus is not None
    return FreeNode(node=node, resource=GPU, gpus=gpus, free={GPU: gpus, "cpu": cpu, "pods": pods}, receives=True)


def use_of(shapes: list[WantedShape], *nodes: FreeNode) -> dict[str, NodeUse]:
    by_key = {entry.key: entry for entry in nodes}
    wanted = wanted_on(by_key, shapes, Fleet([entry.node for entry in nodes], ()), ())
    uses = {key[1]: node_use(entry, wanted[key]) for key, entry in by_key.items()}
    return {name: use for name, use in uses.items() if use is not None}


def test_a_fragment_is_what_is_left_beside_the_best_combination() -> None:
    use = use_of([shape(4), shape(2)], free(bare("a", slots(GPU, 8, 1))))["a"]
    assert (use.free, use.stranded, use.reasons, use.sizes) == (7, 1, {"fragment": 1}, (2, 4))


def test_nothing_is_stranded_where_a_wanted_shape_uses_all_of_it() -> None:
    use = use_of([shape(4), shape(1)], free(bare("a", slots(GPU, 8, 1))))["a"]
    assert (use.stranded, use.reasons) == (0, {})


def test_each_gpu_has_the_reason_that_keeps_the_shape_off() -> None:
    taint = Taint("dedicated", "x", "NoSchedule")
    nodes = [
        free(bare("cordoned", schedulable=False)),
        free(bare("tainted", taints=(taint,))),
        free(bare("ill", verdict="not_ready")),
        free(bare("stale", stale=True)),
        free(bare("busy"), cpu=3),
        free(bare("crowded"), pods=0),
        free(bare("good")),
    ]
    uses = use_of([shape(8, cpu=4)], *nodes)
    assert {name: use.reasons for name, use in uses.items()} == {
        "cordoned": {"unschedulable": 8},
        "tainted": {"taint": 8},
        "ill": {"verdict": 8},
        "stale": {"verdict": 8},
        "busy": {"resources": 8},
        "crowded": {"resources": 8},
        "good": {},
    }


def test_reasons_add_up_where_several_hold_at_once() -> None:
    ill = free(bare("n", slots(GPU, 8, 1), verdict="not_ready"))
    assert use_of([shape(2)], ill)["n"].reasons == {"verdict": 6, "fragment": 1}
    tolerated = shape(4, tolerations=(Toleration("a", "Exists"),))
    tainted = free(bare("n", taints=(Taint("a", "", "NoSchedule"), Taint("b", "", "NoSchedule"))))
    assert use_of([tolerated], tainted)["n"].reasons == {"taint": 8}


def test_no_shape_wants_the_product() -> None:
    use = use_of([shape(1, products=("NVIDIA-L4",))], free(bare("n")))["n"]
    assert (use.stranded, use.reasons, use.sizes) == (8, {"no_demand": 8}, ())


def test_a_replica_of_several_pods_needs_them_all_in_one_domain() -> None:
    pair = shape(8, pods=2)
    alone = use_of([pair], free(bare("n")), free(bare("m", slots(GPU, 8, 1))))
    assert alone["n"].reasons == {"group": 8}
    assert alone["m"].reasons == {"fragment": 7}
    both = use_of([pair], free(bare("n")), free(bare("m")))
    assert both["n"].stranded == both["m"].stranded == 0
    assert use_of([pair], free(bare("n")), free(bare("m", cluster="west")))["n"].stranded == 8


def running(**fields: Any) -> PodSnapshot:
    scheduling = PodScheduling(requests={GPU: 2, "cpu": 4000}, **fields.pop("scheduling", {}))
    base = PodSnapshot(uid=fields.pop("uid", "u"), namespace="t", name="p", node_name="n", phase="Running", scheduling=scheduling)
    return msgspec.structs.replace(base, **({"owner_kind": "ReplicaSet"} | fields))


def test_a_node_has_what_is_left_and_the_pods_that_may_move() -> None:
    snapshot = make_node("n", gpus=8)
    pods = [running(), running(uid="d", owner_kind="DaemonSet")]
    node = free_node(bare("n", slots(GPU, 8, 4)), node_state(snapshot, pods))
    assert node is not None
    assert (node.gpus, node.free["cpu"], node.free["pods"]) == (4, 96_000 - 8_000, 248)
    assert [(pod.name, pod.gpus) for pod in node.movable] == [("p", 2)]


def test_what_is_unknown_is_not_counted() -> None:
    state = node_state(make_node("n", gpus=8))
    unknown = free_node(bare("n", slots(GPU, 8, None)), state)
    assert unknown is not None
    assert unknown.gpus is None
    assert node_use(unknown, []) is None
    no_pods_read = free_node(bare("n"), None)
    assert no_pods_read is not None
    assert no_pods_read.gpus is None
    old = free_node(bare("n"), node_state(make_node("n"), [msgspec.structs.replace(running(), scheduling=None)]))
    assert old is not None
    assert old.gpus is None


def test_shares_and_slices_are_no_gpus() -> None:
    state = node_state(make_node("n", gpus=8))
    assert free_node(bare("n", slots(GPU, 8, 0, replicas=4), sharing="time-slicing"), state) is None
    assert free_node(bare("n", slots("nvidia.com/mig-1g.10gb", 7, 0), partitioning="mig-mixed"), state) is None


def test_pods_that_stay_where_they_are() -> None:
    now = make_node("n").created_at
    assert why_fixed(running()) == ""
    assert why_fixed(running(owner_kind=""))
    assert why_fixed(running(owner_kind="DaemonSet"))
    assert why_fixed(running(component="device-plugin"))
    assert why_fixed(running(claims=("c",)))
    assert why_fixed(running(scheduling={"volume_claims": ("data",)}))
    assert why_fixed(running(scheduling={"ports": (HostPort(80),)}))
    assert now is None or why_fixed(running(deleting_since=now))


def test_pods_move_only_among_nodes_of_one_kind() -> None:
    taint = Taint("a", "", "NoSchedule")
    source, target = free(bare("a", taints=(taint,))), free(bare("b"))
    assert may_move(source, target)
    assert not may_move(target, source)
    assert not may_move(source, source)
    for other in (bare("b", cluster="west"), bare("b", pools=("p",)), bare("b", product="NVIDIA-L4")):
        assert not may_move(source, free(other))


def test_pods_that_were_seen_are_wanted_where_they_ran_and_larger_twins_add_nothing() -> None:
    node = bare("n", pools=("research",), taints=(Taint("a", "v", "NoSchedule"),))
    seen = [
        SeenPods(node=node, requests={GPU: 2, "cpu": 4000}),
        SeenPods(node=node, requests={GPU: 2, "cpu": 8000}),
        SeenPods(node=node, requests={GPU: 4, "cpu": 1000}),
        SeenPods(node=node, requests={"cpu": 1000}),
        SeenPods(node=node, requests={GPU: 1, "memory": None}),
    ]
    shapes = pod_shapes(seen, frozenset({GPU}))
    assert sorted(dict(row.needs)["cpu"] for row in shapes) == [1000, 4000]
    (two,) = [row for row in shapes if row.gpus == 2]
    assert (two.source, two.requirement.pool, two.requirement.products) == (POD, "research", (node.product,))
    assert two.requirement.tolerations == (Toleration("a", "Equal", "v", "NoSchedule"),)


def test_a_class_needs_the_cpu_that_pods_like_it_requested() -> None:
    node = bare("n", pools=("research",))
    seen = pod_shapes([SeenPods(node=node, requests={GPU: 2, "cpu": 4000, "memory": 2**30})], frozenset({GPU}))
    promised = shape(2, pool="research")
    filled, _ = with_usual_needs([promised, *seen])
    assert dict(filled.needs) == {GPU: 2, "cpu": 4000, "memory": 2**30, "pods": 1}
    stated, _ = with_usual_needs([shape(2, cpu=500, pool="research"), *seen])
    assert dict(stated.needs)["cpu"] == 500, "what the class states counts"
    (alone,) = with_usual_needs([promised])
    assert dict(alone.needs) == {GPU: 2, "pods": 1}
