"""The fleet after replicas have landed: as many slots fewer, where they landed, and nowhere else."""

from __future__ import annotations

from fleet.domain.placement.effect import after
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom, place
from fleet.domain.placement.requirement import PodRequirement
from tests.domain.placement.fleets import GPU, bare, slots


def ask(gpus: int, pool: str = "", pods: int = 1) -> PodRequirement:
    return PodRequirement(resources=((GPU, gpus),), pods=pods, pool=pool)


def test_room_shrinks_by_just_what_landed() -> None:
    fleet = Fleet([bare("n1"), bare("n2"), bare("n3")])
    wanted = [ask(4)]
    for count in range(7):
        then = after(fleet, place(wanted, fleet, count), wanted, ())
        assert headroom(wanted, then).replicas == 6 - count
    assert headroom(wanted, fleet).replicas == 6, "the fleet itself stays as it was"


def test_it_lands_where_it_was_placed_and_counts_for_others() -> None:
    fleet = Fleet([bare("n1"), bare("n2", slots(used=4))])
    wanted = [ask(8)]
    then = after(fleet, place(wanted, fleet, 1), wanted, ())
    free = {node.name: node.resources[0].free for node in then.nodes}
    assert free == {"n1": 0, "n2": 4}
    assert (headroom([ask(1)], fleet).replicas, headroom([ask(1)], then).replicas) == (12, 4)


def test_a_replica_of_several_pods_takes_every_node_it_names() -> None:
    fleet = Fleet([bare("n1"), bare("n2"), bare("n3")])
    wanted = [ask(8, pods=2)]
    then = after(fleet, place(wanted, fleet, 1), wanted, ())
    assert sorted(node.resources[0].free or 0 for node in then.nodes) == [0, 0, 8]


def test_pools_in_order_each_with_its_own_resource() -> None:
    shared = "nvidia.com/gpu.shared"
    fleet = Fleet([bare("n1", pools=("a",)), bare("n2", slots(shared, 4), pools=("b",))])
    wanted = [ask(8, "a"), PodRequirement(resources=((shared, 1),), pool="b")]
    then = after(fleet, place(wanted, fleet, 3), wanted, ())
    assert {node.name: node.resources[0].free for node in then.nodes} == {"n1": 0, "n2": 2}


def test_what_is_unknown_stays_unknown() -> None:
    fleet = Fleet([bare("n1"), bare("n2", slots(used=None))])
    wanted = [ask(8)]
    then = after(fleet, place(wanted, fleet, 2), wanted, ())
    assert {node.name: (node.resources[0].free, node.resources[0].requested) for node in then.nodes} == {
        "n1": (0, 8),
        "n2": (None, None),
    }
