from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from fleet.domain.label_selectors import parse
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.availability import Observed, availability, worst_availability
from fleet.domain.pools.compliance import PoolSnapshot, find_violations, worst_state
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.domain.placement.fleets import bare, slots

GPU_TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
GOOD = bare("n1", taints=(GPU_TAINT,))
BY_LABEL = PoolSelector(labels=parse("pool=a"))
POLICY = {"taints": (GPU_TAINT,), "modes": ("full",), "min_driver": "570", "max_driver": "570", "min_ready": 1}


def pool_of(*members: PlacementNode, policy: dict[str, Any] | None = None, **changes: Any) -> PoolSnapshot:
    return PoolSnapshot(
        pool=PoolSpec(slug="a", selector=BY_LABEL, policy=PoolPolicy(**(POLICY | (policy or {})))), members=members, **changes
    )


def test_a_pool_that_meets_its_policy_and_target_has_no_violation() -> None:
    other = bare("n2", taints=(GPU_TAINT,))
    snapshot = pool_of(GOOD, other, policy={"availability_target": 99.0}, observed=Observed(99.4, 60), squatters={})
    assert find_violations(snapshot) == ()
    assert worst_state(()) == "met"


@pytest.mark.parametrize(
    ("changed", "policy", "id_", "says"),
    [
        ({"product": "NVIDIA-L4"}, {}, "mixed_products", "2 products"),
        (
            {"driver_version": "570.133.20"},
            {},
            "driver_skew",
            "2 driver versions run side by side: 570.133.20 (1), 570.172.08 (1)",
        ),
        (
            {"driver_version": "550.90.07"},
            {"one_driver": False},
            "driver_out_of_range",
            "n2 has another driver than the policy's at least 570",
        ),
        ({"driver_version": "580.65.06"}, {"one_driver": False}, "driver_out_of_range", "at most 570"),
        ({"taints": ()}, {}, "missing_taint", "n2 has no taint nvidia.com/gpu=present:NoSchedule"),
        ({"taints": (GPU_TAINT, Taint("spot", "", "NoSchedule"))}, {}, "unexpected_taint", "the taint spot:NoSchedule"),
        (
            {"resources": (slots(replicas=4),), "sharing": "time-slicing"},
            {},
            "wrong_mode",
            "The sharing mode of n2 is a time-sliced share",
        ),
        ({"partitioning": None}, {}, "unknown_mode", "The sharing mode of n2 is unknown."),
        ({"resources": ()}, {}, "unknown_mode", "n2"),
        ({"verdict": "not_ready"}, {"min_ready": 2}, "too_few_ready", "1 of 2 nodes are ready"),
        (
            {"verdict": "unknown"},
            {"availability_target": 95.0},
            "availability_at_risk",
            "1 of 2 nodes are ready now (50.0 %); the target is 95 %.",
        ),
        ({}, {"review_on": date(2026, 1, 1)}, "review_overdue", "2026-01-01"),
    ],
)
def test_each_condition_is_one_violation_with_its_sentence(
    changed: dict[str, Any], policy: dict[str, Any], id_: str, says: str
) -> None:
    other = bare("n2", **({"taints": (GPU_TAINT,)} | changed))
    (violation,) = find_violations(pool_of(GOOD, other, policy=policy, today=date(2026, 6, 1)))
    assert violation.id == id_
    assert says in violation.text
    assert violation.nodes in ((), (("east", "n2"),))
    assert worst_state([violation]) == violation.state


def test_what_the_policy_allows_is_not_a_violation() -> None:
    other = bare(
        "n2",
        slots(replicas=4),
        product="NVIDIA-L4",
        driver_version="550.1",
        sharing="time-slicing",
        taints=(GPU_TAINT, Taint("spot", "", "NoSchedule"), Taint("node.kubernetes.io/not-ready", "", "NoExecute")),
    )
    policy = {"one_product": False, "one_driver": False, "min_driver": "", "max_driver": "", "modes": ("full", "time-sliced")}
    policy |= {"tolerations": (Toleration("spot", "Exists"),), "other_pods": True}
    assert find_violations(pool_of(GOOD, other, policy=policy, squatters={("east", "n2"): ["kube-system/web"]})) == ()


def test_pods_without_a_gpu_and_a_violated_target_are_two_violations() -> None:
    pods = {("east", "n1"): ["a/web", "a/db"]}
    snapshot = pool_of(GOOD, policy={"availability_target": 98.0}, observed=Observed(97.05, 60), squatters=pods)
    squatters, target = find_violations(snapshot)
    assert squatters.text == "2 pods run (a/web and others) on its nodes without requesting a GPU."
    assert target.text == "Ready for 97.0 % of the known node-time of the last 30 days; the target is 98 %."
    assert worst_state([squatters, target]) == "violated"
    assert worst_state([squatters]) == "at_risk"


def test_a_target_without_an_observation_is_not_violated() -> None:
    assert find_violations(pool_of(GOOD, policy={"availability_target": 98.0}, observed=None)) == ()


def test_what_a_policy_asks_for_where_it_says_nothing() -> None:
    policy = PoolPolicy()
    assert (policy.one_product, policy.one_driver, policy.exclusive) == (True, True, True)
    assert (policy.other_pods, policy.partial_nodes, policy.nvlink, policy.required_rung) == (False, False, False, 7)


def test_an_empty_pool_is_violated() -> None:
    assert [violation.id for violation in find_violations(pool_of())] == ["empty"]


@pytest.mark.parametrize("verdict", ["not_ready", "unknown", "excluded", "starting"])
def test_a_pool_without_a_ready_node_is_at_risk_whatever_its_policy_says(verdict: str) -> None:
    (violation,) = find_violations(pool_of(bare("n1", taints=(GPU_TAINT,), verdict=verdict), policy={"min_ready": None}))
    assert (violation.id, violation.state, violation.text) == ("none_ready", "at_risk", "n1, its only node, is not ready.")


@pytest.mark.parametrize(
    ("target", "observed", "ready", "nodes", "state"),
    [
        (None, Observed(100.0, 60), 2, 2, "none"),
        (None, None, 0, 0, "none"),
        (99.0, None, 2, 2, "none"),
        (99.0, None, 1, 2, "at_risk"),
        (99.0, Observed(99.0, 60), 2, 2, "met"),
        (99.0, Observed(98.99, 60), 2, 2, "violated"),
        (99.0, Observed(99.5, 60), 1, 2, "at_risk"),
        (50.0, Observed(99.5, 60), 1, 2, "met"),
        (99.5, Observed(99.5, 60), 199, 200, "met"),
        (99.5, Observed(99.5, 60), 99, 100, "at_risk"),
        (99.0, Observed(99.5, 60), 0, 0, "none"),
        (0.0, Observed(0.0, 60), 0, 2, "met"),
    ],
)
def test_availability_is_met_only_with_a_target_and_an_observation(
    target: float | None, observed: Observed | None, ready: int, nodes: int, state: str
) -> None:
    row = availability(PoolPolicy(availability_target=target), observed, ready, nodes)
    assert row.state == state
    assert (row.target_percent, row.percent) == (target, observed.percent if observed else None)
    assert (row.observed_s, row.window_s) == (observed.seconds if observed else 0, 2_592_000)


def test_a_class_has_the_worst_availability_of_its_pools() -> None:
    rows = [
        availability(PoolPolicy(availability_target=target), Observed(percent, 60), 2, 2)
        for target, percent in ((None, 10.0), (99.0, 99.9), (99.0, 99.1), (95.0, 94.0))
    ]
    assert worst_availability(rows) == rows[3]
    assert worst_availability(rows[:3]) == rows[2], "of equal states the lower percent"
    assert worst_availability(rows[:1]) == rows[0]
    assert worst_availability([]).state == "none"


def test_a_member_that_no_label_identifies_is_a_violation_by_name() -> None:
    labelled = bare("n2", taints=(GPU_TAINT,), labels={"agentpool": "gpu"})
    snapshot = msgspec.structs.replace(pool_of(GOOD, labelled), pool=PoolSpec(slug="a", policy=PoolPolicy(**POLICY)))
    (violation,) = find_violations(snapshot)
    assert (violation.id, violation.state, violation.nodes) == ("untargetable", "at_risk", (("east", "n1"),))
    assert violation.text == "n1 cannot be selected by label (n1). Add the label muster.dev/pool=a."
