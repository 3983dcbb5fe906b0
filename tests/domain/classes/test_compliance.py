from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.classes.compliance import ClassCompliance, evaluate_class
from fleet.domain.classes.requirements import class_in_pools, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.compliance import PoolSnapshot, find_violations
from fleet.domain.pools.findings import of_class
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from tests.builders import with_pools
from tests.domain.placement.fleets import bare, real

POOL = PoolSpec(slug="p", policy=PoolPolicy(one_product=False, one_driver=False))
FULL = ClassSpec(slug="full", gpus=4, min_driver="570", pools=("p",))


def stands(class_spec: ClassSpec, *nodes: PlacementNode, pool: PoolSpec = POOL) -> ClassCompliance:
    members = with_pools([pool], nodes)
    fleet = Fleet(members, label_keys([pool]))
    asked = class_in_pools(class_spec, [pool], fleet)
    room = headroom([item.requirement for item in asked], fleet)
    broken = {pool.slug: find_violations(PoolSnapshot(pool=pool, members=tuple(members)))}
    return evaluate_class(class_spec, asked, fleet, room, broken)


def test_a_class_with_room_is_kept() -> None:
    assert stands(FULL, real("a"), real("b", used=8)) == ClassCompliance(state="met")


@pytest.mark.parametrize(
    ("other", "code", "says"),
    [
        (real("b", sharing="time-slicing", replicas=4), "wrong_mode", "1 of 2 nodes of pool p have another sharing mode."),
        (bare("b", driver_version="550.1", labels={"agentpool": "gpu"}), "wrong_driver", "a driver that is too old"),
    ],
)
def test_a_part_of_the_pool_that_no_longer_fits_puts_it_at_risk(other: PlacementNode, code: str, says: str) -> None:
    result = stands(FULL, real("a"), other)
    (reason,) = result.violations
    assert (result.state, reason.id, reason.nodes) == ("at_risk", code, (("east", "b"),))
    assert says in reason.text


def test_products_are_compared() -> None:
    class_spec = msgspec.structs.replace(FULL, products=("NVIDIA-L40S",))
    result = stands(class_spec, real("a"), real("b", product="NVIDIA-L40S"))
    assert [reason.id for reason in result.violations] == ["wrong_product"]


def test_the_whole_pool_reconfigured_breaks_it() -> None:
    result = stands(FULL, *(real(name, sharing="time-slicing", replicas=4) for name in "ab"))
    assert result.state == "violated"
    assert [reason.id for reason in result.violations] == ["pool_cannot", "nothing_keeps_it"]


def test_no_room_is_a_risk_and_says_what_would_help() -> None:
    def reason(*nodes: PlacementNode) -> tuple[str, str]:
        result = stands(FULL, *nodes)
        return result.state, result.violations[-1].text

    assert reason(real("a", used=6)) == ("at_risk", "No replica fits now: all capacity of the class is in use.")
    assert reason(real("a", used=6), real("b", verdict="not_ready"))[1].endswith("one will fit once broken nodes are repaired.")
    assert "were not read recently" in reason(real("a", used=6), real("b", stale=True))[1]


def test_a_replica_bigger_than_any_node_is_a_broken_promise() -> None:
    result = stands(msgspec.structs.replace(FULL, gpus=16), real("a"), real("b"))
    assert (result.state, result.violations[-1].id) == ("violated", "never_fits")


def test_nothing_ready_is_broken() -> None:
    result = stands(FULL, real("a", verdict="not_ready"))
    assert "none_ready" in [reason.id for reason in result.violations]
    assert result.state == "violated"


def test_it_inherits_the_worst_of_its_pools() -> None:
    strict = PoolSpec(slug="p", policy=PoolPolicy(min_ready=3))
    result = stands(FULL, real("a"), pool=strict)
    assert result.state == "violated"
    assert result.violations[0].text == "Pool p: 1 of 1 nodes are ready; the policy asks for at least 3."


@pytest.mark.parametrize(("pools", "state"), [((), "violated"), (("gone",), "violated"), (("p", "gone"), "at_risk")])
def test_pools_that_do_not_exist(pools: tuple[str, ...], state: Any) -> None:
    assert stands(msgspec.structs.replace(FULL, pools=pools), real("a")).state == state


def test_nodes_outside_the_class_that_its_manifests_select_put_it_at_risk() -> None:
    fleet = Fleet(with_pools([POOL], [real("a")]), label_keys([POOL]))
    (asked,) = class_in_pools(FULL, [POOL], fleet)
    with_strays = msgspec.structs.replace(asked, strays=(real("out-1"), real("out-2")))
    result = evaluate_class(FULL, [with_strays], fleet, headroom([asked.requirement], fleet), {})
    assert [(reason.id, reason.state, [name for _, name in reason.nodes]) for reason in result.violations] == [
        ("others_match", "at_risk", ["out-1", "out-2"])
    ]
    assert "2 other nodes (out-1 and others) carry the labels" in result.violations[0].text


def test_members_that_are_not_of_the_class_are_a_violation_of_their_own() -> None:
    """No label of the pool keeps them out: they have it as well."""
    members = with_pools([POOL], [real("a"), real("odd")])
    fleet = Fleet(members, label_keys([POOL]))
    (asked,) = class_in_pools(FULL, [POOL], fleet)
    with_strays = msgspec.structs.replace(asked, strays=(members[1], real("out-1")))
    violations = evaluate_class(FULL, [with_strays], fleet, headroom([asked.requirement], fleet), {}).violations
    assert [(item.id, [name for _, name in item.nodes]) for item in violations] == [
        ("members_match", ["odd"]),
        ("others_match", ["out-1"]),
    ]
    remedies = {finding.rule: finding.remedy or "" for finding in of_class("full", violations)}
    assert "muster.dev/pool" not in remedies["class_members_match"]
    assert "pool of their own" in remedies["class_members_match"]
    assert "Add the label muster.dev/pool" in remedies["class_others_match"]
