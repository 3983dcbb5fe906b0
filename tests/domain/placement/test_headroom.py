from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Headroom, headroom, place
from fleet.domain.placement.matching import When
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement
from fleet.domain.snapshot import Taint
from tests.domain.placement.fleets import GPU, bare, real, slots

CLIQUE = "nvidia.com/gpu.clique"


def ask(count: int = 1, resource: str = GPU, **fields: Any) -> PodRequirement:
    return PodRequirement(resources=((resource, count),), **({"verdicts": GOOD} | fields))


def room(requirement: PodRequirement, *nodes: PlacementNode) -> Headroom:
    return headroom([requirement], Fleet(nodes, requirement.label_keys()))


def with_free(*free: int, size: int = 8, **overrides: Any) -> list[PlacementNode]:
    return [bare(f"n{at}", slots(allocatable=size, used=size - left), **overrides) for at, left in enumerate(free)]


def test_fragments_do_not_add_up() -> None:
    # 12 slots are free, and no replica of 4 fits: three on each of four nodes
    assert room(ask(4), *with_free(3, 3, 3, 3)).replicas == 0
    assert room(ask(3), *with_free(3, 3, 3, 3)).replicas == 4
    assert room(ask(4), *with_free(8, 7, 4, 3)).replicas == 4


def test_ready_nodes_by_free_slots_and_the_reasons_of_the_others() -> None:
    nodes = [*with_free(8, 2, 2), bare("down", verdict="not_ready"), bare("blind", slots(used=None))]
    (result,) = room(ask(4), *nodes).pools
    assert result.by_free == {2: 2, 8: 1}
    assert (result.nodes, result.open_nodes) == (5, 1)
    rows = [(group.reason.code, [node.name for node in group.nodes]) for group in result.excluded]
    assert rows == [("insufficient", ["n1", "n2"]), ("unknown_free", ["blind"]), ("verdict", ["down"])]
    assert result.open_nodes + sum(len(group.nodes) for group in result.excluded) == result.nodes


def test_three_counts_each_believe_more() -> None:
    nodes = [*with_free(4), bare("old", stale=True), bare("down", slots(allocatable=0, capacity=8), verdict="not_ready")]
    result = room(ask(4), *nodes)
    assert (result.replicas, result.with_last_known, result.back) == (1, 3, 5)


def test_mig_geometry() -> None:
    mixed = real("mixed", mig={"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}, used=14, resource="nvidia.com/mig-1g.10gb")
    assert room(ask(1, "nvidia.com/mig-1g.10gb", modes=("mig",), profile="1g.10gb"), mixed).replicas == 2
    assert room(ask(1, "nvidia.com/mig-3g.40gb", modes=("mig",), profile="3g.40gb"), mixed).replicas == 8
    # free instances of other profiles are no room for this one, nor are whole cards there
    assert room(ask(1, "nvidia.com/mig-4g.40gb", modes=("mig",), profile="4g.40gb"), mixed).replicas == 0
    assert room(ask(1, GPU, modes=("full",)), mixed).replicas == 0
    single = real("single", mig="1g.5gb", product="NVIDIA-A100-SXM4-40GB", gpus=1, used=3)
    assert room(ask(1, GPU, modes=("mig",), profile="1g.5gb"), single).replicas == 4
    assert room(ask(1, GPU, modes=("full",)), single).replicas == 0, "seven instances are not seven cards"


def test_a_mixed_node_with_whole_cards_left() -> None:
    node = real("half", mig={"1g.10gb": 28}, capacity={GPU: 4}, labels={"nvidia.com/gpu.replicas": "1"})
    assert room(ask(4, GPU, modes=("full",)), node).replicas == 1
    assert room(ask(1, "nvidia.com/mig-1g.10gb", profile="1g.10gb"), node).replicas == 28


def test_shares_are_no_cards() -> None:
    sliced = real("t4", gpus=1, product="Tesla-T4", sharing="time-slicing", replicas=4, used=1)
    assert room(ask(1, modes=("full",)), sliced).replicas == 0
    assert room(ask(1, modes=("time-sliced",)), sliced).replicas == 3


def test_a_group_stays_in_one_cluster() -> None:
    east, west = with_free(8, 8, 8), with_free(8, 8, 8, cluster="west")
    assert room(ask(8, pods=2), *east, *west).replicas == 2
    assert room(ask(8, pods=4), *east, *west).replicas == 0, "three and three nodes are not four together"


def test_a_group_stays_in_one_nvlink_domain() -> None:
    nodes = [bare(f"n{at}", slots(allocatable=4), labels={CLIQUE: f"rack-{at // 3}.1"}) for at in range(9)]
    assert room(ask(4, pods=2, domain=CLIQUE), *nodes).replicas == 3, "one node of three is left over in each domain"
    assert room(ask(4, pods=4, domain=CLIQUE), *nodes).replicas == 0
    assert room(ask(4, pods=4), *nodes).replicas == 2
    assert room(ask(2, pods=4, domain=CLIQUE), *nodes).replicas == 3, "two pods of a replica may share a node"
    for placed in place([ask(4, pods=2, domain=CLIQUE)], Fleet(nodes, [CLIQUE]), 9):
        assert len({node.clique for node in placed.nodes}) == 1


def test_pools_that_overlap_share_their_slots_once() -> None:
    nodes = [*with_free(4, pools=("a", "b")), bare("only-b", slots(used=6), pools=("b",)), bare("other", pools=("c",))]
    result = headroom([ask(2, pool="a"), ask(2, pool="b")], Fleet(nodes))
    assert [pool.replicas for pool in result.pools] == [2, 1]
    assert result.replicas == 3
    assert [group.reason.code for group in result.pools[1].excluded] == ["taken"]
    assert [pool.nodes for pool in result.pools] == [1, 2]


def test_a_group_leaves_to_the_next_pool_what_it_cannot_use() -> None:
    own = with_free(8, 8, pools=("a",))
    shared = [bare("shared", pools=("a", "b"))]
    result = headroom([ask(8, pool="a", pods=2), ask(8, pool="b")], Fleet([*shared, *own]))
    assert [pool.replicas for pool in result.pools] == [1, 1]


def test_placements_fill_what_is_begun_first_and_follow_the_order_of_pools() -> None:
    nodes = [*with_free(8, 4, pools=("b",)), bare("first", slots(used=4), pools=("a",))]
    placed = place([ask(4, pool="a"), ask(4, pool="b")], Fleet(nodes), 3)
    assert [(item.pool, item.nodes[0].name) for item in placed] == [("a", "first"), ("b", "n1"), ("b", "n0")]
    assert len(place([ask(4, pool="a"), ask(4, pool="b")], Fleet(nodes), 99)) == 4


def test_placements_can_ask_for_the_day_when_all_is_back() -> None:
    down = bare("down", slots(allocatable=0, capacity=8), verdict="not_ready")
    assert place([ask(8)], Fleet([down]), 1) == ()
    assert len(place([ask(8)], Fleet([down]), 9, When.BACK)) == 1


def test_alike_nodes_are_judged_once() -> None:
    nodes = [bare(f"n{at}", labels={"kubernetes.io/hostname": f"n{at}", "pool": "a"}) for at in range(50)]
    assert len(Fleet(nodes, ["pool"]).shapes) == 1
    assert len(Fleet(nodes, ["kubernetes.io/hostname"]).shapes) == 50
    assert len(Fleet(nodes, None).shapes) == 50


def test_an_empty_fleet_has_no_room() -> None:
    assert room(ask(1)).replicas == 0
    assert place([ask(1)], Fleet([]), 1) == ()


def test_a_requirement_without_a_pool_takes_what_is_left_anywhere() -> None:
    nodes = [bare("a", pools=("a",)), bare("b")]
    result = headroom([ask(8, pool="a"), ask(8)], Fleet(nodes))
    assert [pool.replicas for pool in result.pools] == [1, 1]
    assert [group.nodes[0].name for group in result.pools[1].excluded] == ["a"]


@pytest.mark.parametrize(
    "other",
    [
        {"cluster": "west"},
        {"taints": (Taint("a", "", "NoSchedule"),)},
        {"schedulable": False},
        {"verdict": "degraded"},
        {"product": "NVIDIA-L4"},
        {"gpu_memory_mib": 1},
        {"driver_version": "1"},
        {"cuda_version": "1"},
        {"partitioning": None},
        {"sharing": None},
        {"resources": (slots(used=1),)},
        {"device_memory": (("1g.10gb", 1),)},
        {"nvlink": True},
        {"pools": ("a",)},
        {"stale": True},
        {"labels": {"pool": "b"}},
    ],
)
def test_whatever_placement_can_see_keeps_nodes_apart(other: dict[str, Any]) -> None:
    assert len(Fleet([bare("a"), bare("b", **other)], ["pool"]).shapes) == 2


def test_what_it_cannot_see_does_not() -> None:
    assert len(Fleet([bare("a"), bare("b", reason="Read a minute later.", mode="Full GPU")]).shapes) == 1


def test_members_that_are_not_ready_but_open_to_the_scheduler_are_warned_of() -> None:
    """A real cluster bound 55 of 59 pods to a node in mig.config.state=pending: it was the emptiest."""
    asked = PodRequirement(resources=((GPU, 2),), verdicts=GOOD)
    tainted = Taint("readiness.k8s.io/gpu", "", "NoSchedule")
    nodes = [
        bare("good", slots(used=6)),
        bare("pending", verdict="not_ready"),
        bare("starting", slots(used=5), verdict="starting"),
        bare("full", slots(used=7), verdict="not_ready"),
        bare("tainted", verdict="not_ready", taints=(tainted,)),
        bare("cordoned", verdict="excluded", schedulable=False),
    ]
    (pool,) = headroom([asked], Fleet(nodes)).pools
    assert (pool.replicas, pool.unready_nodes, pool.unready_pods) == (1, 2, 5)
    assert pool.warning.startswith("2 members that are not ready have room for 5 pods.")
    assert "readiness.k8s.io/gpu:NoSchedule" in pool.warning


def test_ready_members_need_no_warning() -> None:
    (pool,) = headroom([PodRequirement(resources=((GPU, 2),), verdicts=GOOD)], Fleet([bare("good")])).pools
    assert pool.warning == ""


def test_nodes_whose_verdict_turned_unknown_with_their_cluster_count_if_it_is_unchanged() -> None:
    nodes = [
        bare("was-ready", verdict="unknown", last_verdict="ready", stale=True),
        bare("was-broken", verdict="unknown", last_verdict="not_ready", stale=True),
        bare("never-known", verdict="unknown", stale=True),
        bare("unknown-though-read", verdict="unknown", last_verdict="ready"),
    ]
    room = headroom([PodRequirement(resources=((GPU, 8),), verdicts=GOOD)], Fleet(nodes, ()))
    assert (room.replicas, room.with_last_known) == (0, 1)


def test_a_pod_of_an_earlier_pool_takes_one_place_for_pods_on_a_shared_node() -> None:
    shared = bare("shared", pools=("a", "b"), pods_free=3)
    first, second = headroom([ask(5, pool="a"), ask(1, pool="b")], Fleet([shared])).pools
    assert (first.replicas, second.replicas) == (1, 2), "2 of 3 places are left, and 3 of 8 GPUs"
