from __future__ import annotations

from fleet.domain.classes.requirements import class_in_pools, label_keys
from fleet.domain.classes.starters import starters
from fleet.domain.classes.workload import problems
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.suggest import suggest
from tests.builders import H100, with_pools
from tests.domain.classes.worlds import POOLS, fleet, nodes
from tests.domain.placement.fleets import real


def test_every_kind_is_offered_from_a_fleet_that_has_all_and_has_room() -> None:
    everything = fleet()
    offered = {starter.class_spec.slug: starter for starter in starters(POOLS, everything)}
    assert list(offered) == [
        "small-shared-inference",
        "mig-slice-inference",
        "full-gpu-inference",
        "whole-node-training",
        "multi-node-training",
        "notebook",
    ]
    for item in offered.values():
        assert problems(item.class_spec) == ()
        room = headroom([in_pool.requirement for in_pool in class_in_pools(item.class_spec, POOLS, everything)], everything)
        assert room.replicas > 0, item.class_spec.slug
        assert item.because
    full = offered["full-gpu-inference"].class_spec
    assert (full.products, full.sizes, full.min_memory_mib) == ((H100,), (2, 4, 8), 81559)
    assert full.pools[0] == "h100"
    assert offered["whole-node-training"].class_spec.gpus == 8
    assert offered["multi-node-training"].class_spec.topology == "nvlink-domain"
    assert offered["multi-node-training"].class_spec.gpus == 8
    assert offered["multi-node-training"].class_spec.pools == ("racks",), "no other pool has two nodes in one NVLink domain"


def test_nothing_is_offered_that_is_not_there() -> None:
    assert starters(POOLS, Fleet([], label_keys(POOLS))) == ()
    pool = PoolSpec(slug="a")
    fleet = Fleet(with_pools([pool], [real("n", gpus=2)]), label_keys([pool]))
    assert [starter.class_spec.slug for starter in starters([pool], fleet)] == ["full-gpu-inference"]
    assert starters([pool], fleet)[0].class_spec.sizes == (2,)


def test_a_pool_meant_for_it_goes_before_a_bigger_one() -> None:
    big, meant = PoolSpec(slug="big"), PoolSpec(slug="meant", policy=PoolPolicy(purpose="training and fine-tuning"))
    made = [real(f"n{at}", pools=("big",)) for at in range(5)] + [real(f"m{at}", pools=("meant",)) for at in range(2)]
    offered = {starter.class_spec.slug: starter.class_spec for starter in starters([big, meant], Fleet(made, label_keys([])))}
    assert offered["whole-node-training"].pools == ("meant", "big")
    assert offered["full-gpu-inference"].pools == ("big", "meant")
    assert offered["multi-node-training"].topology == "several-nodes"


def test_suggested_pools_are_enough_to_start_from() -> None:
    bare = nodes()
    pools = [item.pool for item in suggest(bare)]
    everything = Fleet(with_pools(pools, bare), label_keys(pools))
    for starter in starters(pools, everything):
        assert (
            headroom([in_pool.requirement for in_pool in class_in_pools(starter.class_spec, pools, everything)], everything).back
            > 0
        )
