from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.classes.asks import asks, label_keys
from fleet.domain.classes.keeping import ClassState, class_state
from fleet.domain.classes.workload import WorkloadClass
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.keeping import Seen, broken_conditions
from fleet.domain.pools.membership import with_pools
from fleet.domain.pools.policy import Pool, PoolPolicy
from tests.domain.placement.fleets import GPU, bare, real, slots

POOL = Pool(slug="p", policy=PoolPolicy(one_product=False, one_driver=False))
FULL = WorkloadClass(slug="full", gpus=4, min_driver="570", pools=("p",))


def stands(promise: WorkloadClass, *nodes: PlacementNode, pool: Pool = POOL) -> ClassState:
    members = with_pools([pool], nodes)
    fleet = Fleet(members, label_keys([pool]))
    asked = asks(promise, [pool], fleet)
    room = headroom([one.requirement for one in asked], fleet)
    broken = {pool.slug: broken_conditions(Seen(pool=pool, members=tuple(members)))}
    return class_state(promise, asked, fleet, room, broken)


def test_a_class_with_room_is_kept() -> None:
    assert stands(FULL, real("a"), real("b", used=8)) == ClassState(state="kept")


@pytest.mark.parametrize(
    ("other", "code", "says"),
    [
        (real("b", sharing="time-slicing", replicas=4), "wrong_mode", "1 of 2 nodes of pool p share their cards another way."),
        (bare("b", driver_version="550.1"), "wrong_driver", "too old a driver"),
    ],
)
def test_a_part_of_the_pool_that_no_longer_fits_puts_it_at_risk(other: PlacementNode, code: str, says: str) -> None:
    found = stands(FULL, real("a"), other)
    (reason,) = found.reasons
    assert (found.state, reason.code, reason.nodes) == ("at_risk", code, (("east", "b"),))
    assert says in reason.text


def test_products_are_compared() -> None:
    promise = msgspec.structs.replace(FULL, products=("NVIDIA-L40S",))
    found = stands(promise, real("a"), real("b", product="NVIDIA-L40S"))
    assert [reason.code for reason in found.reasons] == ["wrong_product"]


def test_the_whole_pool_reconfigured_breaks_it() -> None:
    found = stands(FULL, *(real(name, sharing="time-slicing", replicas=4) for name in "ab"))
    assert found.state == "broken"
    assert [reason.code for reason in found.reasons] == ["pool_cannot", "nothing_keeps_it"]


def test_no_room_is_a_risk_and_says_what_would_help() -> None:
    def reason(*nodes: PlacementNode) -> tuple[str, str]:
        found = stands(FULL, *nodes)
        return found.state, found.reasons[-1].text

    assert reason(real("a", used=6)) == ("at_risk", "No replica fits now: what is promised is in use.")
    assert reason(real("a", used=6), real("b", verdict="not_ready"))[1].endswith("once broken nodes are back, one does.")
    assert "not been read lately" in reason(real("a", used=6), real("b", stale=True))[1]


def test_a_replica_bigger_than_any_node_is_a_broken_promise() -> None:
    found = stands(msgspec.structs.replace(FULL, gpus=16), real("a"), real("b"))
    assert (found.state, found.reasons[-1].code) == ("broken", "never_fits")


def test_nothing_ready_is_broken() -> None:
    found = stands(FULL, real("a", verdict="not_ready"))
    assert "none_ready" in [reason.code for reason in found.reasons]
    assert found.state == "broken"


def test_it_inherits_the_worst_of_its_pools() -> None:
    strict = Pool(slug="p", policy=PoolPolicy(min_ready=3))
    found = stands(FULL, real("a"), pool=strict)
    assert found.state == "broken"
    assert found.reasons[0].text == "Pool p: 1 of 1 nodes are ready; the policy asks for at least 3."


@pytest.mark.parametrize(("pools", "state"), [((), "broken"), (("gone",), "broken"), (("p", "gone"), "at_risk")])
def test_pools_that_do_not_exist(pools: tuple[str, ...], state: Any) -> None:
    assert stands(msgspec.structs.replace(FULL, pools=pools), bare("a", slots(GPU))).state == state
